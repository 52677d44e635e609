"""The videos' pages once more, with what only the work knows: attempts, the words for errors, what else holds a video."""

from typing import ClassVar

from django.contrib import admin
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from ingestion.admin.assets import AssetInline
from ingestion.admin.attempts import AttemptInline
from ingestion.admin.kinds import ErrorWords
from ingestion.admin.steering import SteeringActions
from ingestion.models import DownloadSession, Limits
from ingestion.steering import Videos
from people.models import Channel
from videos.admin import VideoAdmin as PlainVideoAdmin
from videos.admin import VideoChangeList as PlainVideoChangeList
from videos.models import Video

admin.site.unregister(Video)


class VideoChangeList(PlainVideoChangeList):
    """Tells each video of the page whether everything is paused."""

    def get_queryset(self, request, exclude_parameters=None):
        return super().get_queryset(request, exclude_parameters).defer("session__problems", "session__options")

    def get_results(self, request):
        super().get_results(request)
        is_paused = Limits.row().paused
        for video in self.result_list:
            video.is_paused_with_all = is_paused


@admin.register(Video)
class VideoAdmin(SteeringActions, ErrorWords, PlainVideoAdmin):
    list_filter = (*PlainVideoAdmin.list_filter, ("session", AutocompleteSelectFilter))
    list_select_related = (*PlainVideoAdmin.list_select_related, "session")
    inlines = (AssetInline, AttemptInline)
    actions = ("retry", "retry_assets", "pause", "pause_now", "resume", "skip", "cancel", "cancel_now")
    left_alone: ClassVar = {
        "pause": ("it is paused or over already", "they are paused or over already"),
        "resume": ("it was not waiting", "they were not waiting"),
        "cancel": ("it was over already", "they were over already"),
    }
    resumed = "will go on at once"

    def get_changelist(self, request, **kwargs):
        return VideoChangeList

    def get_object(self, request, object_id, from_field=None):
        video = super().get_object(request, object_id, from_field)
        if video:
            video.is_paused_with_all = Limits.row().paused
        return video

    def scope(self, queryset):
        return Videos(queryset)

    def state_words(self, video):
        is_due = video.status == Video.Status.PENDING and video.wanted == Video.Wanted.RUN
        return (is_due and held_with(video)) or super().state_words(video)


def held_with(video: Video) -> str:
    """In words what holds a video that itself is to run; "" for nothing."""
    if video.session and video.session.state == DownloadSession.State.CANCELLED:
        return "Cancelled with its session"
    if video.session and video.session.state == DownloadSession.State.PAUSED:
        return "Paused with its session"
    if video.channel.state == Channel.State.PAUSED:
        return "Paused with its channel"
    return "Paused with everything" if video.is_paused_with_all else ""
