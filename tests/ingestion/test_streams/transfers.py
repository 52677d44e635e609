"""Short words for a transfer in a test."""

from collections.abc import Sequence
from typing import Any

from ingestion.extraction import Extraction, MediaFormat
from ingestion.store import Store
from ingestion.streams import Transferred, transfer
from tests.ingestion.media.origin import HttpSource, Origin

PART_SIZE = 256 << 10
PICTURES = {"vp9": "vp9", "vp8": "vp8"}


def make_format(origin: Origin, name: str, **over: Any) -> MediaFormat:
    fields = {
        "format_id": name,
        "url": origin.url(name),
        "protocol": "https",
        "ext": name.rpartition(".")[2],
        "size": len(origin.files[name]),
        "vcodec": None if name.startswith("sound") else PICTURES.get(name.partition(".")[0], "avc1"),
        "acodec": ("opus" if name.endswith(".webm") else "mp4a") if name.startswith(("sound", "both", "index")) else None,
        "fps": 30,
    }
    return MediaFormat(**{**fields, **over})


def make_extraction(*formats: MediaFormat, duration: float | None = 12) -> Extraction:
    return Extraction("abcdefghijk", "A title", "", duration, None, None, "not_live", "public", formats, {})


def silent(done: int, total: int | None) -> None:
    pass


def move(names: Sequence[str], *, origin: Origin, store: Store, duration: float | None = 12, **over: Any) -> Transferred:
    """Transfer the formats of these names, of a video that lasts `duration` seconds."""
    formats = [name if isinstance(name, MediaFormat) else make_format(origin, name) for name in names]
    options = {
        "source": HttpSource(),
        "store": store,
        "key_stem": "ann-1/UC1/abcdefghijk/u-1",
        "progress": silent,
        "metadata": {"youtube-id": "abcdefghijk"},
        "part_size": PART_SIZE,
    }
    return transfer(make_extraction(*formats, duration=duration), **{**options, **over})
