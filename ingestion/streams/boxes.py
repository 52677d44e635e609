"""The boxes of an MP4, by the clauses of ISO/IEC 14496-12: how to walk over them, and where the index (moov) is."""

from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import BinaryIO

Bytes = bytes | bytearray | memoryview | mmap

HEADER_SIZE = 16
MP4_EXTENSIONS = ("mp4", "m4a", "m4v", "mov")
TRANSPORT_STREAM_SYNC, TRANSPORT_STREAM_PACKET = 0x47, 188


@dataclass(frozen=True)
class Box:
    """A box inside of some bytes: `start` is where its header begins, `body` what follows the header, `end` behind it."""

    kind: bytes
    start: int
    body: int
    end: int


def index_is_first(head: Bytes) -> bool | None:
    """Whether the index stands before the media, from the first bytes of a file; None when they do not reach that far."""
    position = 0
    while position + 8 <= len(head):
        kind, size = read_header(bytes(head[position : position + HEADER_SIZE]))
        if kind in (b"moov", b"mdat"):
            return kind == b"moov"
        if size < 8:
            return False
        position += size
    return None


def box_kinds(file: BinaryIO) -> Iterator[bytes]:
    """The kinds of the outermost boxes of a whole file, in order."""
    end = file.seek(0, 2)
    position = 0
    while position + 8 <= end:
        file.seek(position)
        kind, size = read_header(file.read(HEADER_SIZE))
        yield kind
        if size < 8:
            return
        position += size


def wants_remux(path: Path) -> bool:
    """True for an MPEG transport stream, and for an MP4 that is fragmented or has its index behind the media."""
    if is_transport_stream(path):
        return True
    with path.open("rb") as file:
        if file.read(8)[4:] != b"ftyp":
            return False
        kinds = list(box_kinds(file))
    return b"moof" in kinds or b"moov" not in kinds or (b"mdat" in kinds and kinds.index(b"mdat") < kinds.index(b"moov"))


def is_transport_stream(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(TRANSPORT_STREAM_PACKET + 1)
    return head[:1] == head[TRANSPORT_STREAM_PACKET : TRANSPORT_STREAM_PACKET + 1] == bytes([TRANSPORT_STREAM_SYNC])


def read_header(header: bytes) -> tuple[bytes, int]:
    """Kind and size of the box that begins here; size 0 when it reaches to the end of the file."""
    size, kind = int.from_bytes(header[:4], "big"), header[4:8]
    return kind, int.from_bytes(header[8:16], "big") if size == 1 else size


def boxes_in(data: Bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes side by side in a region of bytes; the last may be cut off, and ends where the bytes do."""
    end = len(data) if end is None else min(end, len(data))
    while start + 8 <= end:
        kind, size = read_header(bytes(data[start : start + HEADER_SIZE]))
        header = 16 if number(data, start, 4) == 1 else 8
        size = size or end - start
        if size < header:
            return
        yield Box(kind, start, start + header, min(start + size, end))
        start += size


def find(data: Bytes, path: str, start: int = 0, end: int | None = None) -> Box | None:
    """The first box at a path as `moov/mvhd`."""
    kind, _, rest = path.partition("/")
    for box in boxes_in(data, start, end):
        if box.kind == kind.encode():
            return find(data, rest, box.body, box.end) if rest else box
    return None


def number(data: Bytes, position: int, size: int) -> int:
    return int.from_bytes(data[position : position + size], "big")


def clock(data: Bytes, box: Box) -> tuple[int, int]:
    """Of an mvhd or mdhd (8.2.2, 8.4.2): where its timescale is, and how wide its duration, which comes right after."""
    return (box.body + 20, 8) if data[box.body] else (box.body + 12, 4)
