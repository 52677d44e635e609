"""How far the rows of a page are: sessions, people and channels, in a constant number of queries for all of them."""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from urllib.parse import urlencode

from django.db.models import Count
from django.template.defaultfilters import pluralize
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display

from ingestion.models import Scan
from videos import tallies
from videos.admin import PlainChangeList
from videos.cells import NOTHING, one_line, size


@dataclass
class Tally(tallies.Tally):
    """A session's own videos by status and its scans by state."""

    scans: Counter[str] = field(default_factory=Counter)

    @property
    def lists_on(self) -> bool:
        """Channels are still to be listed: the number of videos may grow."""
        return bool(self.scans["pending"] + self.scans["running"])

    def refused_in_words(self) -> str:
        """Videos that are not stored, and channels that could not be listed."""
        channels = self.scans["failed"]
        return f"{self.refused:,}" + (f", and {channels:,} channel{pluralize(channels)}" if channels else "")

    def in_words(self) -> str:
        if not self.videos.total():
            return "listing channels" if self.lists_on else "no videos"
        return f"{self.stored:,} of {self.videos.total():,}{' so far' if self.lists_on else ''}"


def tallies_of(session_ids: Collection[int]) -> dict[int, Tally]:
    """A tally for each session, zeros where nothing is known."""
    found = {pk: Tally(**vars(tally)) for pk, tally in tallies.of_sessions(session_ids).items()}
    scans = Scan.objects.filter(session__in=list(found)).order_by().values_list("session_id", "state")
    for pk, state, count in scans.annotate(count=Count("*")):
        found[pk].scans[state] = count
    return found


class TalliedChangeList(PlainChangeList):
    """Gives each row of the page its `tally`."""

    def get_results(self, request):
        super().get_results(request)
        found = self.model_admin.tallies_of_rows([row.pk for row in self.result_list])
        for row in self.result_list:
            row.tally = found[row.pk]


class VideoColumns:
    """For the admin of what videos hang on: how many there are and what they take, read for the rows of the page only.

    `filter_of_videos` is the parameter by which the list of videos shows those of a row.
    """

    tallies_of_rows: Callable[[Collection[int]], dict[int, tallies.Tally]]
    filter_of_videos: str

    def get_changelist(self, request, **kwargs):
        return TalliedChangeList

    @display(description="stored")
    def stored_videos(self, row):
        return self._link(row, row.tally.stored, "stored")

    @display(description="waiting")
    def waiting_videos(self, row):
        return self._link(row, row.tally.waiting, "pending" if not row.tally.videos["downloading"] else "")

    @display(description="not stored")
    def refused_videos(self, row):
        failed, unavailable = row.tally.videos["failed"], row.tally.videos["unavailable"]
        return self._link(row, failed + unavailable, "" if failed and unavailable else "failed" if failed else "unavailable")

    @display(description="storage")
    def bytes_stored(self, row):
        return one_line(size(row.tally.bytes) if row.tally.bytes else NOTHING)

    def _link(self, row, count: int, status: str) -> SafeString | str:
        """To those videos; to all of the row where no one status stands for them."""
        if not count:
            return "0"
        query = {self.filter_of_videos: row.pk} | ({"status__exact": status} if status else {})
        page = reverse("admin:videos_video_changelist")
        return format_html('<a class="text-link" href="{}?{}">{}</a>', page, urlencode(query), f"{count:,}")


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
