"""Small files beside a video, pictures and captions; and yt-dlp's info of a video, fit to be shown to anybody."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from yt_dlp.networking import Request
from yt_dlp.networking.common import Response
from yt_dlp.networking.exceptions import HTTPError

from ingestion.errors import TransientError, error
from ingestion.signatures import host_and_path, is_signed
from ingestion.youtube import refusals
from ingestion.youtube.client import Client

HOSTS = re.compile(r"(?:www\.youtube\.com|i\d?\.ytimg\.com|yt3\.(?:ggpht|googleusercontent)\.com)")
READ_SIZE = 1 << 18

# Of the format that yt-dlp had to select, one of `formats`
OF_A_FORMAT = {
    *("abr", "acodec", "aspect_ratio", "asr", "audio_channels", "audio_ext", "available_at", "container", "dynamic_range", "ext"),
    *("filesize", "filesize_approx", "format", "format_id", "format_index", "format_note", "fps", "has_drm", "height"),
    *("language_preference", "preference", "protocol", "quality", "resolution", "source_preference", "stretched_ratio", "tbr"),
    *("url", "vbr", "vcodec", "video_ext", "width"),
}
# Where an address that was signed for us, cookies or headers may stand, at any depth
SECRET = {
    *("cookies", "downloader_options", "extra_param_to_key_url", "extra_param_to_segment_url", "fragment_base_url", "fragments"),
    *("hls_aes", "http_headers", "manifest_url", "player_url", "requested_downloads", "requested_formats", "requested_subtitles"),
}
# Words of people, at any depth, whatever addresses stand in them
FREE_TEXT = {
    *("album", "alt_title", "artist", "artists", "author", "categories", "channel", "creator", "creators", "description", "fulltitle"),
    *("genre", "genres", "license", "location", "playlist_title", "series", "tags", "text", "title", "track", "uploader"),
}


def fetch(client: Client, url: str, *, largest: int) -> bytes | None:
    """The whole of a small file, None for HTTP 404. Only from hosts of YouTube that serve pictures and captions.

    Raises ArchiveError: those of any request to YouTube; `incomplete` for what is larger than `largest` bytes.
    """
    _refuse_stranger(url)
    with client.look(media=True):
        try:
            response = client.urlopen(Request(url))
        except HTTPError as exc:
            if exc.status == 404:
                return None
            raise refusals.error_from(exc, media=True) from exc
        with response:
            _refuse_stranger(response.url)
            return _read(response, largest)


def _refuse_stranger(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" or not HOSTS.fullmatch(parts.hostname or ""):
        raise error("unknown", f"YouTube names an address of another host, which is not asked: {parts.scheme}://{parts.hostname}")


def _read(response: Response, largest: int) -> bytes:
    content = bytearray()
    while block := response.read(READ_SIZE):
        content += block
        if len(content) > largest:
            raise TransientError("incomplete", f"{host_and_path(response.url)} is larger than {largest} bytes")
    return bytes(content)


def public_info(info: Mapping[str, Any], offered: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Plain JSON of what yt-dlp knows of a video and of the formats that were offered: without signed addresses, cookies,
    headers. Captions are named by language only; nothing tells which formats were taken, the row of the video does."""
    plain = Client.sanitize_info({**info, "formats": list(offered)}, remove_private_keys=True)
    for name in ("subtitles", "automatic_captions"):
        plain[name] = {language: [form.get("ext") for form in forms] for language, forms in (plain.get(name) or {}).items()}
    plain["formats"] = [{name: value for name, value in raw.items() if name != "url"} for raw in plain.get("formats") or ()]
    return _without_secrets({name: value for name, value in plain.items() if name not in OF_A_FORMAT and name[0] != "_"})


def _without_secrets(value: Any, *, is_said: bool = False) -> Any:
    """`is_said`: these are words of people, not addresses."""
    if isinstance(value, Mapping):
        kept = {name: one for name, one in value.items() if name in FREE_TEXT or not (name in SECRET or _is_secret(one))}
        return {name: _without_secrets(one, is_said=name in FREE_TEXT) for name, one in kept.items()}
    if isinstance(value, list):
        return [_without_secrets(one, is_said=is_said) for one in value if is_said or not _is_secret(one)]
    return value


def _is_secret(value: Any) -> bool:
    return isinstance(value, str) and is_signed(value)
