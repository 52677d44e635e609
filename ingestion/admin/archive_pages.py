"""The pages of a person and of a channel: what is archived of them, what is new, what went wrong, how they were listed."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.db.models import QuerySet, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display

from ingestion.admin.kinds import ADVICE, ENDED, MEANINGS
from ingestion.admin.offers import idle_for_channel
from ingestion.admin.scans import COLOURS as SCAN_COLOURS
from ingestion.admin.tallies import progress_bar
from ingestion.models import Limits, Scan
from people.models import Channel
from videos import tallies
from videos.admin import WidePages
from videos.cells import NOTHING, kind_words, label, moment, number_of, once, one_line, size, table, video_table
from videos.models import Video, VideoTally
from videos.tallies import Tally

MOST_CHANNELS = 20
MOST_VIDEOS = 20
MOST_SCANS = 10
STATE_COLOURS = {"active": "success", "paused": "warning", "gone": "danger"}


class ArchivePage(WidePages):
    """For an admin with `VideoColumns`: its rows' pages show what is archived, to those who may see videos."""

    inlines: ClassVar = ()
    shown: ClassVar = ("archived", "newest")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        row = super().get_object(request, object_id, from_field)
        if row:
            row.tally = self.tally_of(row)
            row.unfinished_videos = row.tally.waiting  # what a cancel would give up
        return row

    def tally_of(self, row: Any) -> Tally:
        return self.tallies_of_rows([row.pk])[row.pk]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [*super().get_readonly_fields(request, obj), *self.shown]

    def newest_of(self, row: Any) -> QuerySet[Video]:
        """Its videos, over an index that has them in order."""
        raise NotImplementedError

    @display(description="videos")
    @once
    def archived(self, row):
        numbers = [self.stored_videos(row), self.waiting_videos(row), self.refused_videos(row), self.bytes_stored(row)]
        shown = table(("Stored", "Waiting", "Not stored", "Storage"), [numbers])
        return format_html('<div class="flex flex-col gap-3 massdl-wide">{}{}</div>', progress_bar(row.tally.videos), shown)

    @display(description="the newest")
    @once
    def newest(self, row):
        videos = self.newest_of(row).defer("description", "error_message")[:MOST_VIDEOS]
        every = list_link("videos_video", {self.filter_of_videos: row.pk}, f"All {number_of(row.tally.videos.total(), 'video')}")
        return format_html('<div class="massdl-wide">{}<p class="mt-2">{}</p></div>', video_table(videos), every) if videos else "None yet."


def list_link(name: str, query: dict[str, Any], text: str) -> SafeString:
    return format_html('<a class="text-link" href="{}?{}">{}</a>', reverse(f"admin:{name}_changelist"), urlencode(query), text)


def page_link(row: Any, text: Any) -> SafeString:
    page = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a class="text-link" href="{}">{}</a>', page, text)


class PersonPage(ArchivePage):
    shown: ClassVar = ("archived", "newest", "their_channels", "added")

    def get_fieldsets(self, request, obj=None):
        sees = request.user.has_perm
        about = [("name", "email"), ("type", "row_id"), "source_link", "notes", *(["added"] if obj else [])]
        if obj is None:
            return [(None, {"fields": about})]
        obj.may_get_channels = sees("people.add_channel")
        return [
            (None, {"fields": about}),
            *([("Archived of this person", {"fields": ("archived",)})] if sees("videos.view_video") else []),
            *([("Channels", {"fields": ("their_channels",)})] if sees("people.view_channel") else []),
            *([("Videos", {"fields": ("newest",)})] if sees("videos.view_video") else []),
        ]

    def newest_of(self, row):
        return Video.objects.filter(person=row)

    @display(description="where the videos come from")
    @once
    def their_channels(self, person):
        channels = list(person.channels.order_by("title", "id")[: MOST_CHANNELS + 1])
        shown = channels_table(channels[:MOST_CHANNELS]) if channels else "None yet."
        links = []
        if len(channels) > MOST_CHANNELS:
            links.append(list_link("people_channel", {"person__id__exact": person.pk}, "All channels of this person"))
        if person.may_get_channels:
            page = f"{reverse('admin:people_channel_add')}?person={person.pk}"
            links.append(format_html('<a class="text-link" href="{}">Add a channel</a>', page))
        rows = format_html_join("", '<p class="mt-2">{}</p>', ((link,) for link in links))
        return format_html('<div class="massdl-wide">{}{}</div>', shown, rows)


def channels_table(channels: Iterable[Channel]) -> SafeString:
    """Each with its videos; one query for all."""
    found = tallies.of_channels([channel.pk for channel in channels])
    rows = [
        (
            page_link(channel, channel),
            label(channel.get_state_display(), STATE_COLOURS[channel.state]),
            f"{found[channel.pk].stored:,} of {found[channel.pk].videos.total():,}",
            size(found[channel.pk].bytes),
            moment(channel.last_scanned_at) if channel.last_scanned_at else "Not yet",
        )
        for channel in channels
    ]
    return table(("Channel", "State", "Stored", "Storage", "Looked at"), rows)


class ChannelPage(ArchivePage):
    shown: ClassVar = (
        *("archived", "newest", "page_on_youtube", "listing", "looked_at", "whole", "added"),
        *("in_force", "what_failed", "scans", "also_known_as", "given", "now"),
    )

    def names_of_page_actions(self, request, obj):
        idle = idle_for_channel(obj)
        return [name for name in super().names_of_page_actions(request, obj) if name not in idle]

    def get_fieldsets(self, request, obj=None):
        limits = ("max_concurrent_videos", "rescan_every_hours")
        if obj is None:
            return [(None, {"fields": ("person", "url", limits)})]
        sees = request.user.has_perm
        failed = sees("videos.view_video") and obj.tally.refused
        return [
            (None, {"fields": (("person", "now"), ("page_on_youtube", "kind"), ("given", "also_known_as"))}),
            ("How complete it is", {"fields": (("listing", "looked_at"), ("whole", "added"))}),
            *([("Archived of this channel", {"fields": ("archived",)})] if sees("videos.view_video") else []),
            *([("What went wrong, and what to do", {"fields": ("what_failed",)})] if failed else []),
            ("Limits of its own", {"fields": (limits, "in_force")}),
            *([("Videos", {"fields": ("newest",)})] if sees("videos.view_video") else []),
            *([("Scans", {"fields": ("scans",)})] if sees("ingestion.view_scan") else []),
        ]

    def tally_of(self, row):
        """The same query tells the kinds of what is not stored (`kinds_refused`)."""
        tally, row.kinds_refused = Tally(), Counter()
        sums = VideoTally.objects.filter(channel_id=row.pk).order_by().values_list("status", "error_kind")
        for status, kind, videos, count in sums.annotate(number=Sum("videos"), size=Sum("bytes")):
            tally.add(status, kind, int(videos), int(count))
            if status in ENDED and kind:
                row.kinds_refused[kind] += int(videos)
        return tally

    def newest_of(self, row):
        return Video.objects.filter(channel=row)

    @display(description="state")
    def now(self, channel):
        return label(channel.get_state_display(), STATE_COLOURS[channel.state])

    @display(description="on YouTube")
    def page_on_youtube(self, channel):
        link = '<a class="text-link" href="{0}" target="_blank" rel="noopener noreferrer">{0}</a>'
        return format_html(link, channel.canonical_url)

    @display(description="address as it was given")
    def given(self, channel):
        return channel.url

    @display(description="also known as")
    @once
    def also_known_as(self, channel):
        return ", ".join(channel.aliases.order_by("canonical_url").values_list("canonical_url", flat=True)[:MOST_CHANNELS]) or NOTHING

    @display(description="videos seen by the newest whole listing")
    def listing(self, channel):
        if channel.seen is None:
            return "It was not listed yet."
        if not channel.expected:
            return f"{channel.seen:,}; YouTube did not say how many there are."
        return f"{channel.seen:,} of {channel.expected:,} that YouTube announced"

    @display(description="looked at last")
    def looked_at(self, channel):
        return moment(channel.last_scanned_at) if channel.last_scanned_at else "Not yet"

    @display(description="first listed to its end")
    def whole(self, channel):
        return moment(channel.listed_whole_at) if channel.listed_whole_at else "Not yet"

    @display(description="added")
    def added(self, channel):
        return moment(channel.created_at)

    @display(description="in force")
    @once
    def in_force(self, channel):
        limits = Limits.row()
        videos = channel.max_concurrent_videos or limits.max_concurrent_videos_per_channel
        hours = channel.rescan_every_hours or limits.rescan_every_hours
        looked_at = f"every {hours:,} hours" if hours else "only when somebody asks"
        return f"At most {number_of(videos, 'video')} at the same time; looked at for new videos {looked_at}."

    @display(description="videos that are not stored, by what went wrong")
    def what_failed(self, channel):
        rows = [
            (_failed_link(channel, kind, number), kind_words(kind), MEANINGS.get(kind, NOTHING), ADVICE.get(kind, NOTHING))
            for kind, number in channel.kinds_refused.most_common()
            if number
        ]
        return table(("Videos", "Error", "What this means", "What to do"), rows)

    @display(description="the newest first")
    @once
    def scans(self, channel):
        scans = list(Scan.objects.filter(channel=channel).select_related("session").defer("session__problems")[: MOST_SCANS + 1])
        rows = [_scan_row(scan) for scan in scans[:MOST_SCANS]]
        if not rows:
            return "It was not listed yet."
        every = list_link("ingestion_scan", {"channel__id__exact": channel.pk}, "All scans of this channel")
        more = format_html('<p class="mt-2">{}</p>', every) if len(scans) > MOST_SCANS else ""
        shown = table(("When", "State", "Seen", "New", "Session", "What went wrong"), rows)
        return format_html('<div class="massdl-wide">{}{}</div>', shown, more)


def _failed_link(channel: Channel, kind: str, number: int) -> SafeString:
    return list_link("videos_video", {"channel__id__exact": channel.pk, "error_kind": kind}, f"{number:,}")


def _scan_row(scan: Scan) -> tuple[Any, ...]:
    seen = f"{scan.seen:,} of {scan.expected:,}" if scan.expected else f"{scan.seen:,}"
    state = label(scan.get_state_display(), SCAN_COLOURS.get(scan.state, ""))
    wrong = kind_words(scan.error_kind) if scan.error_kind else NOTHING
    return page_link(scan, moment(scan.created_at)), state, one_line(seen), f"{scan.new:,}", page_link(scan.session, scan.session), wrong
