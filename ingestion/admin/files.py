"""Stored files for a browser, to play and to download: by an address of the storage's own, else through this site."""

import re
from datetime import timedelta
from http import HTTPStatus

from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils.http import content_disposition_header, quote_etag
from django.views.decorators.http import require_safe

from ingestion.errors import ArchiveError, advice_for
from ingestion.store import Store
from videos.keys import download_name
from videos.models import Asset, Video

LINKS_LAST = timedelta(hours=1)
"""How long an address of the storage serves; for a film as much longer as it is long."""
BLOCK_SIZE = 1 << 18
CONTENT_TYPES = {
    "mp4": "video/mp4",
    "webm": "video/webm",
    "m4a": "audio/mp4",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
}
"""What a browser may show; anything else is saved only, for it could be a page with a script."""
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class StoredFiles:
    """For the admin of videos: the addresses of a video's file and of its assets, for those who may view them.

    With `?save` the browser saves the file, else it may show it.
    """

    def get_urls(self):
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/file/", view(require_safe(self.file_view), cacheable=True), name="videos_video_file"),
            path("<int:pk>/assets/<int:asset_pk>/", view(require_safe(self.asset_view), cacheable=True), name="videos_video_asset"),
            *super().get_urls(),
        ]

    def file_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        video = self._stored_video(request, pk)
        if not video.storage_key:
            raise Http404("This video is not stored.")
        return send(request, video.storage_key, video, lifetime=LINKS_LAST + timedelta(seconds=video.duration or 0))

    def asset_view(self, request: HttpRequest, pk: int, asset_pk: int) -> HttpResponse:
        if not request.user.has_perm("videos.view_asset"):
            raise PermissionDenied
        video = self._stored_video(request, pk)
        asset = get_object_or_404(Asset.objects.exclude(storage_key=""), pk=asset_pk, video=video)
        return send(request, asset.storage_key, video, lifetime=LINKS_LAST)

    def _stored_video(self, request: HttpRequest, pk: int) -> Video:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return get_object_or_404(Video.objects.only("storage_key", "title", "external_id", "duration"), pk=pk)


def send(request: HttpRequest, key: str, video: Video, *, lifetime: timedelta) -> HttpResponse:
    """The object of `key`, named after its video."""
    kind = CONTENT_TYPES.get(key.rpartition(".")[2])
    disposition = {
        "filename": download_name(key, video.title, video.external_id),
        "as_attachment": "save" in request.GET or kind is None,
    }
    store = Store.default()
    try:
        if address := store.url(key, **disposition, lifetime=lifetime):
            return HttpResponseRedirect(address, headers={"Cache-Control": "private, no-store"})
        answer = _through_this_site(request, store, key, kind or "application/octet-stream")
    except ArchiveError as exc:
        sentence = f"The storage does not give this file now. {advice_for(exc.kind)}"
        return HttpResponse(sentence, status=HTTPStatus.SERVICE_UNAVAILABLE, content_type="text/plain; charset=utf-8")
    answer.headers["Content-Disposition"] = content_disposition_header(**disposition)
    return answer


def _through_this_site(request: HttpRequest, store: Store, key: str, kind: str) -> HttpResponse:
    """The whole object, or the range of it that is asked for."""
    total = store.size(key)
    if total is None:
        raise Http404("The storage has this file no more.")
    etag = quote_etag(key)  # nothing is ever stored twice under one key
    headers = {"Accept-Ranges": "bytes", "Cache-Control": "private, no-cache", "ETag": etag}
    asked = asked_range(request.headers.get("Range", ""), total) if request.headers.get("If-Range", etag) == etag else None
    if asked == NOWHERE:
        headers["Content-Range"] = f"bytes */{total}"
        return HttpResponse(status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=headers)
    first, last = asked or (0, total - 1)
    if asked:
        headers["Content-Range"] = f"bytes {first}-{last}/{total}"
    answer = _body(request, store, key, first, last, content_type=kind, headers=headers)
    answer.headers["Content-Length"] = str(last + 1 - first)
    answer.status_code = HTTPStatus.PARTIAL_CONTENT if asked else HTTPStatus.OK
    return answer


def _body(request: HttpRequest, store: Store, key: str, first: int, last: int, **said) -> HttpResponse:
    if request.method == "HEAD" or last < first:
        return HttpResponse(**said)
    answer = FileResponse(store.open_range(key, first, last), **said)
    answer.block_size = BLOCK_SIZE
    return answer


NOWHERE = (0, -1)


def asked_range(header: str, total: int) -> tuple[int, int] | None:
    """First and last byte of the one range that a `Range` header asks for; None where it asks for all, for several ranges or
    for what nobody understands, which is answered with all; NOWHERE for a range that lies behind the end."""
    match = _RANGE.fullmatch(header.strip())
    if not match or not (match[1] or match[2]):
        return None
    if not match[1]:
        return (max(total - int(match[2]), 0), total - 1) if int(match[2]) and total else NOWHERE
    first, last = int(match[1]), int(match[2] or total - 1)
    if first >= total:
        return NOWHERE
    return (first, min(last, total - 1)) if first <= last else None
