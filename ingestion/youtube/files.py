"""Small files beside a video, pictures and captions; and yt-dlp's info of a video, fit to be shown to anybody."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from yt_dlp.networking import Request
from yt_dlp.networking.common import Response
from yt_dlp.networking.exceptions import HTTPError

from ingestion.errors import TransientError, error
from ingestion.youtube import refusals
from ingestion.youtube.client import Client

HOSTS = re.compile(r"(?:www\.youtube\.com|i\d?\.ytimg\.com|yt3\.(?:ggpht|googleusercontent)\.com)")
READ_SIZE = 1 << 18

# Of the format that yt-dlp had to select; `formats` says which were taken
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
SIGNED = re.compile(
    r"googlevideo\.com|/api/(?:timedtext|manifest)|/videoplayback|[?&;](?:sig|lsig|signature|expire|ip|pot|key)=", re.IGNORECASE
)


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
            raise TransientError("incomplete", f"{response.url} is larger than {largest} bytes")
    return bytes(content)


def public_info(info: Mapping[str, Any]) -> dict[str, Any]:
    """Plain JSON of what yt-dlp knows of a video: without signed addresses, cookies, headers, and what is of a format that
    was not chosen. Captions are named by language only."""
    plain = Client.sanitize_info(dict(info), remove_private_keys=True)
    for name in ("subtitles", "automatic_captions"):
        plain[name] = {language: [form.get("ext") for form in forms] for language, forms in (plain.get(name) or {}).items()}
    plain["formats"] = [{name: value for name, value in raw.items() if name != "url"} for raw in plain.get("formats") or ()]
    return _without_secrets({name: value for name, value in plain.items() if name not in OF_A_FORMAT and name[0] != "_"})


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {name: _without_secrets(one) for name, one in value.items() if name not in SECRET}
        return {name: one for name, one in kept.items() if not _is_signed(one)}
    if isinstance(value, list):
        return [_without_secrets(one) for one in value if not _is_signed(one)]
    return value


def _is_signed(value: Any) -> bool:
    return isinstance(value, str) and "://" in value and " " not in value and bool(SIGNED.search(value))
