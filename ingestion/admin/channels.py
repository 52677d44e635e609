"""Channels once more, with what only the work can do: stop them, give up what they owe, look for new videos."""

from typing import ClassVar

from django.contrib import admin, messages
from django.db.models import Exists, OuterRef
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action

from ingestion.admin.archive_pages import ChannelPage
from ingestion.admin.steering import SteeringActions
from ingestion.admin.tallies import VideoColumns
from ingestion.api import look_again
from ingestion.models import DownloadSession, Scan
from ingestion.steering import Channels
from people.models import Channel
from videos import tallies
from videos.admin import ChannelAdmin as PlainChannelAdmin
from videos.cells import number_of
from videos.models import Asset, Video

admin.site.unregister(Channel)


@admin.register(Channel)
class ChannelAdmin(ChannelPage, SteeringActions, VideoColumns, PlainChannelAdmin):
    list_display = (*PlainChannelAdmin.list_display, "stored_videos", "waiting_videos", "refused_videos", "bytes_stored")
    list_filter = (("person", AutocompleteSelectFilter), *PlainChannelAdmin.list_filter)
    tallies_of_rows = staticmethod(tallies.of_channels)
    filter_of_videos = "channel__id__exact"
    actions = ("pause", "pause_now", "resume", "cancel", "cancel_now", "look_for_new_videos")
    left_alone: ClassVar = {
        "pause": ("it is paused already", "they are paused already"),
        "resume": ("it was not paused", "they were not paused"),
        "cancel": ("nothing of it was to be done", "nothing of them was to be done"),
    }

    def scope(self, queryset):
        return Channels(Channel.objects.filter(pk__in=list(queryset.values_list("pk", flat=True))))

    def resumable(self, queryset):
        return queryset.filter(state=Channel.State.PAUSED)

    def cancellable(self, queryset):
        videos = Video.objects.unfinished().filter(channel=OuterRef("pk"))
        scans = Scan.objects.filter(channel=OuterRef("pk"), state__in=[Scan.State.PENDING, Scan.State.RUNNING])
        assets = Asset.objects.filter(video__channel=OuterRef("pk"), status=Asset.Status.PENDING)
        return queryset.filter(Exists(videos) | Exists(scans) | Exists(assets))

    @action(description="Look for new videos now", permissions=["change"])
    def look_for_new_videos(self, request, queryset):
        selected = queryset.count()
        sessions = look_again(queryset, user=request.user)
        channels = Scan.objects.filter(session__in=sessions).count()
        left = "paused, gone, a single video, or being listed already"
        sentence = f"{number_of(channels, 'channel')} will be looked at."
        if alone := selected - channels:
            sentence += f" {alone:,} left alone: {'it is' if alone == 1 else 'each is'} {left}."
        for session in sessions:
            sentence = format_html("{} {}", sentence, _link(session))
        self.message_user(request, sentence, messages.SUCCESS if sessions else messages.WARNING)


def _link(session: DownloadSession) -> SafeString:
    page = reverse("admin:ingestion_downloadsession_change", args=[session.pk])
    return format_html('<a class="underline" href="{}">{}</a>', page, session)
