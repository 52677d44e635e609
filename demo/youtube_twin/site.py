"""Which answer belongs to which address: all of YouTube's hosts, free of sockets."""

import re
import threading
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from demo.youtube_twin import captions, listings, player, webpages
from demo.youtube_twin.catalogue import Catalogue, Channel, Video, make_demo_channel, make_odd_channels
from demo.youtube_twin.formats import FORMATS, HLS_TRACKS
from demo.youtube_twin.media import Library, MediaFile
from demo.youtube_twin.messages import Request, Response
from demo.youtube_twin.numbered import BenchVideos, NumberedChannels
from demo.youtube_twin.settings import Settings
from demo.youtube_twin.showcase import make_showcase
from demo.youtube_twin.specials import REFUSALS, Refusal

ENTITY_NOT_FOUND = {"error": {"code": 404, "message": "Requested entity was not found.", "status": "NOT_FOUND"}}


def make_catalogue() -> Catalogue:
    channels = [make_demo_channel(), *make_odd_channels(), *make_showcase()]
    return Catalogue(channels, [NumberedChannels(), BenchVideos()])


class Site:
    """Answers requests for any of YouTube's hosts, from any thread."""

    def __init__(self, library: Library, settings: Settings, *, player_js: Path | None = None):
        self.catalogue = make_catalogue()
        self.library = library
        self.settings = settings
        self.player_js = player_js
        self._refusals = Refusals(settings)

    def answer(self, request: Request) -> Response:
        host, path = request.host, request.path
        if host.endswith(".googlevideo.com"):
            return self._manifest(path) if host.startswith("manifest.") else self._media(request)
        if host.endswith((".ytimg.com", ".ggpht.com")):
            return self._image(path)
        if path.startswith("/youtubei/v1/"):
            return self._innertube(path.removeprefix("/youtubei/v1/"), request)
        return self._page(request)

    # --- pages --------------------------------------------------------------------------------------------------------

    def _page(self, request: Request) -> Response:
        path, query = request.path, request.query
        if path == "/watch" and "v" in query:
            return self._watch(query["v"], query.get("list"))
        if path == "/playlist":
            return Response.html(webpages.page(listings.playlist_page(self.catalogue.playlist(query.get("list", "")))))
        if path in ("/", "/tv"):  # where some clients get their configuration
            return Response.html(webpages.page({"contents": {}}, client="TVHTML5" if path == "/tv" else "WEB"))
        if path.startswith("/embed/"):  # asked for age-gated videos
            return Response.html(webpages.page({}, client="WEB_EMBEDDED_PLAYER"))
        if path == "/iframe_api":
            return Response.text(webpages.IFRAME_API, content_type="text/javascript")
        if path.startswith("/s/player/"):
            return self._script()
        if path == "/api/timedtext":
            return self._captions(query)
        channel, tab = self._resolve(path)
        if channel is None:
            return Response.html(webpages.NOT_FOUND, 404)
        return Response.html(webpages.page(self._channel_page(channel, tab)))

    def _script(self) -> Response:
        if self.player_js is None:
            return Response.html(webpages.NOT_FOUND, 404)
        return Response(200, "text/javascript", self.player_js.read_bytes())

    def _watch(self, video_id: str, playlist_id: str | None) -> Response:
        refusal = self._refusals.on_watch(video_id)
        if refusal == "rate_limited":
            return replace(Response.html(webpages.TOO_MANY, 429), refused=refusal)
        around = self._watch_next(video_id, playlist_id)
        return replace(Response.html(webpages.page(around, self._player(video_id, "WEB", refusal))), refused=refusal)

    def _resolve(self, path: str) -> tuple[Channel | None, str]:
        """/@x/videos, /channel/UC.., /c/x, /user/x, /x -> the channel and the tab asked for."""
        match = re.fullmatch(r"/(?:channel/|c/|user/)?([^/]+)(?:/(\w+))?/?", unquote(path))
        if not match:
            return None, ""
        return self.catalogue.channel(match[1]), match[2] or "featured"

    def _channel_page(self, channel: Channel, tab: str) -> listings.Json:
        return listings.channel_page(channel, tab, shape=self.settings.shape, pad=self.settings.pad)

    # --- innertube ----------------------------------------------------------------------------------------------------

    def _innertube(self, endpoint: str, request: Request) -> Response:
        body = request.body
        if endpoint == "player" and "videoId" in body:
            return self._player_response(body["videoId"], request.client)
        if endpoint == "next" and "videoId" in body:
            return Response.json(self._watch_next(body["videoId"], body.get("playlistId")))
        if endpoint == "navigation/resolve_url" and "url" in body:
            return self._resolve_url(body["url"])
        if endpoint == "browse" and "continuation" in body:
            return self._continuation(body["continuation"])
        if endpoint == "browse" and "browseId" in body:
            return self._browse(body["browseId"], body.get("params", "featured"))
        return Response.json(ENTITY_NOT_FOUND, 404)

    def _resolve_url(self, url: str) -> Response:
        parts = urlsplit(url)
        if parts.path == "/playlist":
            return Response.json({"endpoint": {"browseEndpoint": {"browseId": "VL" + parse_qs(parts.query)["list"][0]}}})
        channel, tab = self._resolve(parts.path)
        if channel is None:
            return Response.json(ENTITY_NOT_FOUND, 404)
        return Response.json({"endpoint": {"browseEndpoint": {"browseId": channel.id, "params": tab}}})

    def _browse(self, browse_id: str, tab: str) -> Response:
        if browse_id.startswith("VL"):
            return Response.json(listings.playlist_page(self.catalogue.playlist(browse_id[2:])))
        channel = self.catalogue.channel(browse_id) if browse_id.startswith("UC") else None
        if channel is None:
            return Response.json(ENTITY_NOT_FOUND, 404)
        return Response.json(self._channel_page(channel, tab))

    def _continuation(self, token: str) -> Response:
        place = listings.read_token(token)
        if place is None:
            return Response.json(ENTITY_NOT_FOUND, 404)
        kind, source, start = place["kind"], place["source"], place["start"]
        if kind == "playlist":
            items = listings.playlist_items(self.catalogue.playlist(source), start)
        else:
            channel = self.catalogue.channel(source)
            items = listings.tab_items(channel, kind, start, shape=self.settings.shape, pad=self.settings.pad)
        return Response.json(listings.continuation_page(items))

    # --- videos -------------------------------------------------------------------------------------------------------

    def _player_response(self, video_id: str, client: str | None) -> Response:
        refusal = self._refusals.on_player(video_id)
        if refusal == "rate_limited":
            return replace(Response.html(webpages.TOO_MANY, 429), refused=refusal)
        return replace(Response.json(self._player(video_id, client, refusal)), refused=refusal)

    def _player(self, video_id: str, client: str | None, refused_as: str | None) -> listings.Json:
        found = self.catalogue.find(video_id)
        if not found:
            return player.unknown_answer(video_id)
        channel, video = found
        refusal: Refusal | None = REFUSALS[refused_as] if refused_as else video.refusal
        return player.player_answer(
            channel, video, client, refusal=refusal, ttl=self.settings.ttl, size_of=lambda itag: self._file(video, itag).size
        )

    def _watch_next(self, video_id: str, playlist_id: str | None) -> listings.Json:
        found = self.catalogue.find(video_id)
        if not found:
            return {"contents": {"twoColumnWatchNextResults": {}}}
        return player.watch_next(*found, self.catalogue.playlist(playlist_id or ""))

    def _captions(self, query: dict[str, str]) -> Response:
        found = self.catalogue.find(query.get("v", ""))
        served = captions.served(found[1], query) if found and is_fresh(query) else None
        if served is None:
            return Response.text("", 404)
        if isinstance(served, dict):
            return Response.json(served)
        return Response.text(served, content_type="text/vtt; charset=UTF-8")

    # --- media --------------------------------------------------------------------------------------------------------

    def _file(self, video: Video, itag: int) -> MediaFile:
        return self.library.file(itag, video.seconds, video.grade)

    def _media(self, request: Request) -> Response:
        """/videoplayback?id=..&itag=.., or for segments /videoplayback/id/../itag/../file/seg0.ts"""
        words = read_path(request.path.removeprefix("/videoplayback")) | request.query
        video, itag = self._asked(words)
        if video is None or not is_fresh(words):
            return Response.text("", 403)
        if "file" not in words:
            return Response.file(self._file(video, itag), FORMATS[itag].mime_type) if itag in FORMATS else Response.text("", 404)
        segment = self.library.segment(itag, video.seconds, words["file"], video.grade) if itag in HLS_TRACKS else None
        return Response.file(segment, "video/mp2t") if segment else Response.text("", 404)

    def _manifest(self, path: str) -> Response:
        """/api/manifest/hls_variant/... lists the variants, /api/manifest/hls_playlist/.../itag/N/... the segments of one."""
        words = read_path(path.removeprefix("/api/manifest/hls_variant").removeprefix("/api/manifest/hls_playlist"))
        video, itag = self._asked(words)
        if video is None or not is_fresh(words):
            return Response.text("", 403)
        if not itag:
            manifest = player.hls_variants(video, words["expire"])
        elif itag in HLS_TRACKS and video.special != "live_now":
            playlist = self.library.playlist(itag, video.seconds, video.grade)
            manifest = player.hls_playlist(playlist, video, itag, words["expire"])
        else:
            return Response.text("", 404)
        return Response.text(manifest, content_type="application/vnd.apple.mpegurl")

    def _asked(self, words: dict[str, str]) -> tuple[Video | None, int]:
        found = self.catalogue.find(words.get("id", ""))
        itag = words.get("itag", "0")
        return (found[1] if found else None), int(itag) if itag.isdigit() else 0

    def _image(self, path: str) -> Response:
        """Only JPEGs, as for many older videos."""
        if not path.endswith(".jpg"):
            return Response.text("", 404)
        return Response.file(self.library.thumbnail(path.split("/")[-2]), "image/jpeg")


def read_path(path: str) -> dict[str, str]:
    """/expire/12/id/abc -> {"expire": "12", "id": "abc"}"""
    words = path.strip("/").split("/")
    return dict(zip(words[::2], words[1::2], strict=False))


def is_fresh(words: dict[str, str]) -> bool:
    expire = words.get("expire", "")
    return expire.isdigit() and int(expire) >= time.time()


class Refusals:
    """The setting `refuse`: an extraction is refused as a whole, from its watch page on.

    `refuse_times` counts watch pages; the player requests for a video go the way its last watch page went.
    """

    def __init__(self, settings: Settings):
        self._settings = settings
        self._lock = threading.Lock()
        self._refused: dict[str, str] = {}

    def on_watch(self, video_id: str) -> str | None:
        settings = self._settings
        with self._lock:
            if settings.refuse is None or settings.refuse_times == 0:
                self._refused.pop(video_id, None)
                return None
            if settings.refuse_times is not None:
                settings.refuse_times -= 1
            self._refused[video_id] = settings.refuse
            return settings.refuse

    def on_player(self, video_id: str) -> str | None:
        if self._settings.refuse_times is None:
            return self._settings.refuse
        return self._refused.get(video_id)
