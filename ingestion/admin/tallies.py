"""How far the sessions of a page are, in two queries for all of them."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from django.db.models import Count
from django.template.defaultfilters import pluralize
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ingestion.models import Scan
from videos.models import Video


@dataclass
class Tally:
    """A session's own videos by status and its scans by state."""

    videos: Counter = field(default_factory=Counter)
    scans: Counter = field(default_factory=Counter)

    @property
    def lists_on(self) -> bool:
        """Channels are still to be listed: the number of videos may grow."""
        return bool(self.scans["pending"] + self.scans["running"])

    @property
    def waiting(self) -> int:
        return self.videos["pending"] + self.videos["downloading"]

    @property
    def refused(self) -> int:
        return self.videos["failed"] + self.videos["unavailable"]

    def refused_in_words(self) -> str:
        """Videos that are not stored, and channels that could not be listed."""
        channels = self.scans["failed"]
        return f"{self.refused:,}" + (f", and {channels:,} channel{pluralize(channels)}" if channels else "")

    def in_words(self) -> str:
        if not self.videos.total():
            return "listing channels" if self.lists_on else "no videos"
        return f"{self.videos['stored']:,} of {self.videos.total():,}{' so far' if self.lists_on else ''}"


def tallies_of(session_ids: Collection[int]) -> dict[int, Tally]:
    """A tally for each session, zeros where nothing is known."""
    tallies = {pk: Tally() for pk in session_ids}
    grouped = Count("pk")
    for pk, status, count in _rows(Video, tallies).values_list("session_id", "status").annotate(count=grouped):
        tallies[pk].videos[status] = count
    for pk, state, count in _rows(Scan, tallies).values_list("session_id", "state").annotate(count=grouped):
        tallies[pk].scans[state] = count
    return tallies


def _rows(model: type[Video] | type[Scan], session_ids: Collection[int]):
    return model.objects.filter(session__in=list(session_ids)).order_by()


def progress_bar(videos: Counter) -> SafeString:
    """Stored in green and, in red, what will not be, as parts of all."""
    shares = (("Stored", videos["stored"], "green"), ("Not stored", videos["failed"] + videos["unavailable"], "red"))
    parts = [(colour, title, count, round(100 * count / videos.total(), 1)) for title, count, colour in shares if count]
    inner = format_html_join("", '<div class="h-1.5 bg-{}-600" title="{}: {}" style="width: {}%"></div>', parts)
    return format_html(
        '<div class="bg-base-100 dark:bg-base-800 flex flex-row h-1.5 overflow-hidden rounded-default w-full">{}</div>', inner
    )


def progress_cell(tally: Tally) -> SafeString:
    return format_html(
        '<div class="w-32"><div class="mb-1 whitespace-nowrap">{}</div>{}</div>', tally.in_words(), progress_bar(tally.videos)
    )
