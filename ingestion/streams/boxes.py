"""The outermost boxes of an MP4: where its index (moov) is."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

HEADER_SIZE = 16
MP4_EXTENSIONS = ("mp4", "m4a", "m4v", "mov")
TRANSPORT_STREAM_SYNC, TRANSPORT_STREAM_PACKET = 0x47, 188


def index_is_first(head: bytes | bytearray | memoryview) -> bool | None:
    """Whether the index stands before the media, from the first bytes of a file; None when they do not reach that far."""
    position = 0
    while position + 8 <= len(head):
        kind, size = _box(bytes(head[position : position + HEADER_SIZE]))
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
        kind, size = _box(file.read(HEADER_SIZE))
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


def _box(header: bytes) -> tuple[bytes, int]:
    """Kind and size of the box that begins here; size 0 when it reaches to the end of the file."""
    size, kind = int.from_bytes(header[:4], "big"), header[4:8]
    return kind, int.from_bytes(header[8:16], "big") if size == 1 else size
