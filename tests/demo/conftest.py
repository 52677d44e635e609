"""What the twin's own tests share: yt-dlp as the project uses it, and plain HTTPS beside it."""

import contextlib
import ssl
from collections.abc import Callable, Iterator
from http.client import HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
from yt_dlp import YoutubeDL

from demo.youtube_twin import Twin
from demo.youtube_twin.encoding import ffmpeg_path

MEDIA_HOST = "rr1---sn-twin.googlevideo.com"


class Silence:
    """yt-dlp's words, kept instead of printed."""

    def __init__(self):
        self.warnings: list[str] = []

    def debug(self, message: str) -> None: ...

    def error(self, message: str) -> None: ...

    def warning(self, message: str) -> None:
        self.warnings.append(message)


@pytest.fixture
def ytdlp(fresh_twin: Twin, tmp_path: Path) -> Callable[..., YoutubeDL]:
    """Makes a YoutubeDL that speaks to the twin; its options by name. Downloads go to tmp_path."""
    arguments = {"youtube": {"raise_incomplete_data": ["true"]}}

    def make(**options: Any) -> YoutubeDL:
        fixed = {"ignoreconfig": True, "cachedir": False, "quiet": True, "noprogress": True, "logger": Silence()}
        places = {"paths": {"home": str(tmp_path)}, "outtmpl": "%(id)s.%(ext)s", "ffmpeg_location": ffmpeg_path()}
        return YoutubeDL({**fixed, **places, "retries": 2, "extractor_args": arguments, **fresh_twin.ytdlp_options(), **options})

    return make


@pytest.fixture
def extract(ytdlp: Callable[..., YoutubeDL]) -> Callable[..., dict[str, Any]]:
    """One extraction without a download; raises yt-dlp's DownloadError."""

    def run(url: str, **options: Any) -> dict[str, Any]:
        with ytdlp(**options) as downloader:
            return downloader.extract_info(url, download=False)

    return run


@pytest.fixture
def list_ids(extract: Callable[..., dict[str, Any]]) -> Callable[[str], list[str]]:
    """The ids of all videos behind a URL, through every continuation, tabs one after the other."""

    def walk(entry: dict[str, Any]) -> Iterator[str]:
        if "entries" not in entry:
            yield entry["id"]
        for inner in entry.get("entries", ()):
            yield from walk(inner)

    return lambda url: list(walk(extract(url, extract_flat=True)))


@contextlib.contextmanager
def connect(twin: Twin, host: str = MEDIA_HOST, *, timeout: float = 20) -> Iterator[HTTPSConnection]:
    """A connection through the proxy that really checks the certificate."""
    context = ssl.create_default_context(cafile=twin.ca_file)
    connection = HTTPSConnection("127.0.0.1", twin.port, timeout=timeout, context=context)
    connection.set_tunnel(host, 443)
    with contextlib.closing(connection):
        yield connection


def get(connection: HTTPSConnection, url: str, **headers: str) -> tuple[HTTPResponse, bytes]:
    """The answer and its whole body; the connection stays open for the next."""
    connection.request("GET", url, headers=headers)
    response = connection.getresponse()
    return response, response.read()
