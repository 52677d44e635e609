"""The player on the page of a video, and where its files are."""

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ingestion.admin.files import CONTENT_TYPES
from videos.cells import NOTHING, size
from videos.models import Asset, Video

SOUND = ("m4a", "mp3", "opus")
PLAYED = ("mp4", "webm", *SOUND)
"""Kinds of files that browsers play."""
SELDOM_PLAYED = ("hevc", "hev1", "hvc1")
"""How the names of pictures begin that only some browsers play."""


def player(video: Video, *, shows_assets: bool) -> SafeString:
    """Plays the file without fetching any of it before somebody wants to; says so where browsers cannot. Wants
    `video.assets_known`."""
    container = video.storage_key.rpartition(".")[2]
    context = {
        "file": reverse("admin:videos_video_file", args=[video.pk]),
        "container": container,
        "content_type": CONTENT_TYPES.get(container, ""),
        "is_sound": container in SOUND,
        "can_play": container in PLAYED,
        "may_not_play": (video.vcodec or "").lower().startswith(SELDOM_PLAYED),
        "size": size(video.file_size),
        "title": str(video),
        "poster": _poster(video) if shows_assets and container not in SOUND else "",
    }
    return render_to_string("admin/player.html", context)


def _poster(video: Video) -> str:
    """Where the stored picture is, if there is one that browsers show."""
    pictures = (asset for asset in video.assets_known if asset.kind == Asset.Kind.THUMBNAIL and asset.status == Asset.Status.STORED)
    picture = next((asset for asset in pictures if asset.ext in CONTENT_TYPES), None)
    return reverse("admin:videos_video_asset", args=[video.pk, picture.pk]) if picture else ""


def download_link(asset: Asset) -> SafeString | str:
    if not asset.storage_key:
        return NOTHING
    page = reverse("admin:videos_video_asset", args=[asset.video_id, asset.pk])
    return format_html('<a class="text-link" href="{}?save" aria-label="Download: {}">Download</a>', page, asset)
