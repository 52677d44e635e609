"""What one look at a video tells, and what its bytes are read through; plain data between `youtube` and `streams`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class MediaFormat:
    """One downloadable track, or both in one. `size` is in bytes, None when YouTube does not say."""

    format_id: str
    url: str
    protocol: str  # as yt-dlp names it: https, m3u8_native, http_dash_segments...
    ext: str
    size: int | None
    vcodec: str | None  # None: no picture
    acodec: str | None  # None: no sound
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    dynamic_range: str = ""  # as yt-dlp names it: SDR, HDR10, HLG...; "" for sound
    abr: float | None = None  # kbit/s of the sound
    tbr: float | None = None  # kbit/s in all


@dataclass(frozen=True)
class Extraction:
    """Metadata and the chosen formats (one, or picture then sound). `info` is yt-dlp's own, for its own downloader, with
    the chosen formats only; `offered` are all that this look found, as yt-dlp tells them."""

    external_id: str
    title: str
    description: str
    duration: float | None  # seconds
    upload_date: date | None
    view_count: int | None
    live_status: str
    availability: str
    formats: tuple[MediaFormat, ...]
    info: Mapping[str, Any] = field(repr=False)
    offered: Sequence[Mapping[str, Any]] = field(default=(), repr=False)


class RangeAnswer(Protocol):
    """An open answer to one range request. `total` is the file's size; `validator` its ETag or Last-Modified."""

    first: int
    last: int
    total: int | None
    validator: str | None

    def readinto(self, buffer: memoryview) -> int | None:
        """How many bytes were put at the beginning of `buffer`: 0 at the end, None when nothing came for a while."""

    def close(self) -> None: ...


Progress = Callable[[int, int | None], None]
"""Called with the bytes done so far and the bytes in all (None: unknown); it raises to stop the transfer."""


class MediaSource(Protocol):
    """Where media bytes come from. Both, and readinto(), raise ArchiveError (`network`, `forbidden`...) or what stops the work."""

    def open_range(self, media: MediaFormat, first: int, last: int) -> RangeAnswer:
        """Ask for bytes first..last, both included."""

    def download_to(self, extraction: Extraction, folder: Path, progress: Progress) -> Path:
        """Let yt-dlp's own downloader make one whole file in `folder`; returns its path."""
