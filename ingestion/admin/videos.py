"""The videos' pages once more, with what only the work knows: attempts, the words for errors, what else holds a video."""

from dataclasses import dataclass
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display

from ingestion.admin.assets import AssetInline
from ingestion.admin.attempts import timeline
from ingestion.admin.bulk_actions import BulkActions
from ingestion.admin.files import StoredFiles
from ingestion.admin.kinds import KIND_GROUPS, ErrorWords
from ingestion.admin.offers import idle_for_video
from ingestion.admin.player import player
from ingestion.admin.report_downloads import DOWNLOADS, ReportDownloads
from ingestion.models import DownloadSession, Limits
from ingestion.operations.verbs import VERBS
from people.models import Channel
from videos.admin import VideoAdmin as PlainVideoAdmin
from videos.admin import VideoChangeList as PlainVideoChangeList
from videos.cells import once
from videos.models import Video

admin.site.unregister(Video)


PRESETS = {
    **{group.title: {"todo": name} for name, group in KIND_GROUPS.items()},
    "Stored this week": {"stored": "week"},
    "All videos": {},
}
"""Ready-made filters by what their links say."""
NO_FILTER = {"p", "o", "e"}


@dataclass(frozen=True)
class Preset:
    title: str
    href: str
    is_chosen: bool


def presets(request: HttpRequest) -> list[Preset]:
    chosen = {name: value for name, value in request.GET.items() if name not in NO_FILTER and value}
    return [Preset(title, f"?{urlencode(query)}", chosen == query) for title, query in PRESETS.items()]


class VideoChangeList(PlainVideoChangeList):
    """Tells each video of the page whether everything is paused, and the page what its presets are."""

    def __init__(self, request, *args, **kwargs):
        super().__init__(request, *args, **kwargs)
        self.presets = presets(request)

    def get_queryset(self, request, exclude_parameters=None):
        return super().get_queryset(request, exclude_parameters).defer("session__problems", "session__options")

    def get_results(self, request):
        super().get_results(request)
        is_paused = Limits.row().paused
        for video in self.result_list:
            video.is_paused_with_all = is_paused


@admin.register(Video)
class VideoAdmin(StoredFiles, ReportDownloads, BulkActions, ErrorWords, PlainVideoAdmin):
    list_filter = (*PlainVideoAdmin.list_filter, ("session", AutocompleteSelectFilter))
    list_select_related = (*PlainVideoAdmin.list_select_related, "session")
    list_before_template = "admin/presets.html"
    inlines = (AssetInline,)
    readonly_fields = (*PlainVideoAdmin.readonly_fields, "player", "timeline")
    actions = (*VERBS["videos.video"], *DOWNLOADS)

    def get_changelist(self, request, **kwargs):
        return VideoChangeList

    def get_object(self, request, object_id, from_field=None):
        video = super().get_object(request, object_id, from_field)
        if video:
            video.is_paused_with_all = Limits.row().paused
            video.assets_known = list(video.assets.only("video", "kind", "ext", "status", "next_attempt_at"))
        return video

    def names_of_page_actions(self, request, obj):
        idle = idle_for_video(obj)
        return [name for name in super().names_of_page_actions(request, obj) if name not in idle]

    def get_fieldsets(self, request, obj=None):
        """With the player first and the attempts last, for those who may see them."""
        first, *others = super().get_fieldsets(request, obj)
        obj.shows_assets = request.user.has_perm("videos.view_asset")
        watch = [("Watch and download", {"fields": ("player",)})] if obj.storage_key else []
        tried = [("Attempts", {"fields": ("timeline",)})] if request.user.has_perm("ingestion.view_attempt") else []
        return [first, *watch, *others, *tried]

    @display(description="stored file")
    @once
    def player(self, video):
        return player(video, shows_assets=video.shows_assets)

    @display(description="the newest first")
    @once
    def timeline(self, video):
        return timeline(video)

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
