"""The bytes: ranged reads over kept-alive connections, and yt-dlp's own downloader for what cannot be read in ranges."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from yt_dlp.networking import Request
from yt_dlp.networking.common import Response
from yt_dlp.networking.exceptions import HTTPError, RequestError

from ingestion.errors import TransientError
from ingestion.extraction import Extraction, MediaFormat, Progress
from ingestion.youtube import curl, refusals
from ingestion.youtube.client import Client

Pace = Callable[[int], None]
"""Called with the number of bytes of media that were just read; it may sleep, and raise to stop the transfer."""


def no_limit(size: int) -> None:
    """Bytes come as fast as they can."""


class Range:
    """An open answer to one range request: a RangeAnswer. It ends only when every byte of it was read.

    `pace` is told of all bytes as they were read; it may sleep, and raise to stop the transfer.
    """

    def __init__(self, response: Response, first: int, last: int, total: int | None, pace: Pace = no_limit):
        self.first, self.last, self.total = first, last, total
        self.validator: str | None = response.headers.get("ETag") or response.headers.get("Last-Modified")
        self._response = response
        self._left = last - first + 1
        self._pace = pace

    def readinto(self, buffer: memoryview) -> int | None:
        """The bytes that were put at the beginning of `buffer`: 0 at the end, None when nothing came for a second. Raises
        TransientError when the connection ends before."""
        room = buffer[: self._left]
        if not room:
            return 0
        try:
            size = _read_into(self._response, room)
        except (RequestError, OSError) as exc:
            raise TransientError("network", refusals.raw_line(exc)) from exc
        if size is None:
            return None
        if not size:
            raise TransientError("network", f"the answer ended {self._left} bytes before byte {self.last}")
        self._left -= size
        self._pace(size)
        return size

    def close(self) -> None:
        self._response.close()


def _read_into(response: Response, room: memoryview) -> int | None:
    """By libcurl as it comes; yt-dlp's own handlers, which are there for what it does not support, wait for all of it."""
    if isinstance(response, curl.Answer):
        return response.readinto(room)
    data = response.read(len(room))
    room[: len(data)] = data
    return len(data)


def open_range(client: Client, media: MediaFormat, first: int, last: int, *, pace: Pace = no_limit) -> Range:
    """Ask for bytes first..last of a format, both included. Called by several threads at once.

    The answer may end earlier, where the file does. Raises TransientError: `forbidden` when the address is refused or
    gone, `incomplete` when the file is shorter than `first`, `network` for all else.
    """
    headers = {**media.headers, "Accept-Encoding": "identity", "Range": f"bytes={first}-{last}"}
    try:
        response = client.urlopen(Request(media.url, headers=headers))
    except HTTPError as exc:
        raise refusals.error_from(exc, media=True) from exc
    except (RequestError, OSError) as exc:
        raise TransientError("network", refusals.raw_line(exc)) from exc
    try:
        return _checked(response, first, last, pace)
    except TransientError:
        response.close()
        raise


def _checked(response: Response, first: int, last: int, pace: Pace) -> Range:
    said = response.headers.get("Content-Range") or ""
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", said)
    if response.status != 206 or not match:
        raise TransientError("network", f"asked for bytes {first}-{last}, got status {response.status} with range {said!r}")
    got_first, got_last = int(match[1]), int(match[2])
    if got_first != first or not first <= got_last <= last:
        raise TransientError("network", f"asked for bytes {first}-{last}, got {said}")
    return Range(response, got_first, got_last, None if match[3] == "*" else int(match[3]), pace)


def download_to(
    options: Mapping[str, Any],
    spend: Callable[[], None],
    extraction: Extraction,
    folder: Path,
    progress: Progress,
    *,
    pace: Pace = no_limit,
) -> Path:
    """Let yt-dlp's own downloader make one whole file of the chosen formats in `folder`; returns its path.

    Nothing is extracted again. Raises ArchiveError, and whatever `progress` and `pace` raise to stop the transfer.
    """
    tally = _Tally(extraction, progress, pace)
    own = {
        "format": "+".join(media.format_id for media in extraction.formats),
        "ignore_no_formats_error": False,
        "outtmpl": {"default": f"{extraction.external_id}.%(ext)s"},
        "paths": {"home": str(folder)},
        "progress_hooks": [tally.hook],
    }
    client = Client(options, spend=spend, **own)
    try:
        info = {**extraction.info, "formats": [dict(raw) for raw in extraction.info["formats"]]}
        with client.look(media=True):
            done = client.process_ie_result(info, download=True)
        return _made_file(done)
    finally:
        client.close()


def _made_file(done: Mapping[str, Any]) -> Path:
    for made in done.get("requested_downloads") or ():
        path = Path(made.get("filepath") or "")
        if path.is_file():
            return path
    raise TransientError("incomplete", "yt-dlp's downloader left no file")


class _Tally:
    """Adds up the bytes of all files of one download for `progress`, and tells `pace` of those that are new."""

    def __init__(self, extraction: Extraction, progress: Progress, pace: Pace):
        sizes = [media.size for media in extraction.formats]
        self._total = sum(sizes) if all(sizes) else None
        self._single = len(sizes) == 1
        self._progress = progress
        self._pace = pace
        self._done: dict[str, int] = {}

    def hook(self, status: Mapping[str, Any]) -> None:
        total = status.get("total_bytes") or status.get("total_bytes_estimate")
        done = status.get("downloaded_bytes") or (total if status["status"] == "finished" else 0)
        before = self._done.get(status["filename"], 0)
        self._done[status["filename"]] = now = int(done or 0)
        guess = int(total) if self._single and total else None
        self._progress(sum(self._done.values()), self._total or guess)
        if now > before:
            self._pace(now - before)
