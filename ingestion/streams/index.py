"""The index of a fragmented MP4: a table of its fragments, put in front of them when all are written.

ffmpeg keeps the index of an ordinary MP4 in memory, a line for each packet; of a fragmented one it keeps nothing. What
players then lack, the duration and where to seek to, a segment index tells them (sidx, ISO/IEC 14496-12, 8.16.3). Fragments
do not depend on where they are in the file (default-base-is-moof, 8.8.7), so room is left in front of everything: at the
end ftyp and moov move to the beginning, followed by as much nothing (free) as is left of the room, and by a sidx for each
track. ffmpeg trusts them only right before the first fragment; for a track without one it reads the film from its start.
"""

import os
import struct
from itertools import pairwise

from ingestion.errors import TransientError
from ingestion.streams.boxes import HEADER_SIZE, Box, boxes_in, clock, find, number, read_header
from ingestion.streams.memory import MemoryFile

ROOM = 256 << 10
TRACKS = 2
SIDX_HEAD, REFERENCE, FREE_HEAD, MEHD = 40, 12, 8, 20  # bytes
MOST_REFERENCES = ((ROOM - MEHD - FREE_HEAD) // TRACKS - SIDX_HEAD) // REFERENCE  # 10,900 or 15 hours; a sidx may have 65,535
BEGINS_WITH_KEYFRAME = 0x90000000  # starts_with_SAP, SAP_type 1
HAS_BASE, HAS_DESCRIPTION, HAS_DURATION = 0x1, 0x2, 0x8  # flags of a tfhd (8.8.7)
HAS_OFFSET, HAS_FIRST_FLAGS, DURATIONS, EACH = 0x1, 0x4, 0x100, (0x100, 0x200, 0x400, 0x800)  # of a trun (8.8.8)


class FragmentIndex:
    """Follows a fragmented MP4 that is being written into a memory file behind ROOM bytes of nothing."""

    def __init__(self, memory: MemoryFile):
        self._memory = memory
        self._position = ROOM
        self._head_end = ROOM
        self._clocks: dict[int, int] = {}  # timescale of each track
        self._picture = 0  # the track that the index goes by
        self._references: list[tuple[int, dict[int, int]]] = []  # where a fragment is, and at what time each track begins in it
        self._last: dict[int, bytes] = {}  # of each track, its description in the last fragment that it is in

    def follow(self) -> int:
        """Take note of what was written meanwhile; returns the first byte that has to be seen again."""
        size = self._memory.size
        while self._position + HEADER_SIZE <= size:
            kind, length = read_header(self._read(self._position, HEADER_SIZE))
            if kind in (b"moov", b"moof"):
                if self._position + length > size:
                    return self._position
                self._note(kind, self._read(self._position, length))
            self._position += length
        return min(self._position, size)

    def write(self) -> int:
        """Put the head into its place, when ffmpeg is through; returns its size. Raises TransientError when there is no film."""
        if not self._references:
            raise TransientError("media", "ffmpeg wrote no picture and no sound")
        head = self._read(ROOM, self._head_end - ROOM)
        moov = find(head, "moov")
        seconds = max((_end(traf) / self._clocks[track] for track, traf in self._last.items()), default=0)
        movie = _with_duration(head[moov.start :], seconds)
        room = self._head_end - moov.start - len(movie)
        os.pwrite(self._memory.fd, head[: moov.start] + movie + self._segment_indexes(room), 0)
        return self._head_end

    def _read(self, position: int, size: int) -> bytes:
        return os.pread(self._memory.fd, size, position)

    def _note(self, kind: bytes, data: bytes) -> None:
        if kind == b"moov":
            self._note_tracks(data)
            self._head_end = self._position + len(data)
            return
        trafs = {_track(data, traf): data[traf.start : traf.end] for traf in boxes_in(data, 8) if traf.kind == b"traf"}
        self._last |= trafs
        if self._picture in trafs:  # a fragment without it counts with the one before
            before = self._references[-1][1] if self._references else dict.fromkeys(self._clocks, 0)
            self._references.append((self._position, before | {track: _begin(traf) for track, traf in trafs.items()}))

    def _note_tracks(self, moov: bytes) -> None:
        for trak in (box for box in boxes_in(moov, 8) if box.kind == b"trak"):
            header, media = (find(moov, path, trak.body, trak.end) for path in ("tkhd", "mdia/mdhd"))
            track = number(moov, header.body + (20 if moov[header.body] else 12), 4)
            self._clocks[track] = number(moov, clock(moov, media)[0], 4)
            handler = find(moov, "mdia/hdlr", trak.body, trak.end)
            if not self._picture or moov[handler.body + 8 : handler.body + 12] == b"vide":
                self._picture = track

    def _segment_indexes(self, room: int) -> bytes:
        """A free box and a sidx for each track that fill `room` together."""
        tracks = sorted(self._last)
        step = -(-len(self._references) // MOST_REFERENCES) or 1  # neighbours share a row when there are too many of them
        marks = [(self._head_end, self._references[0][1]), *self._references[step::step]]
        marks.append((self._memory.size, {track: _end(self._last[track]) for track in tracks}))
        size = SIDX_HEAD + REFERENCE * (len(marks) - 1)
        free = room - size * len(tracks)
        tables = [
            self._segment_index(track, marks, gap=size * after) for after, track in zip(reversed(range(len(tracks))), tracks, strict=True)
        ]
        return struct.pack(">I4s", free, b"free") + bytes(free - FREE_HEAD) + b"".join(tables)

    def _segment_index(self, track: int, marks: list[tuple[int, dict[int, int]]], *, gap: int) -> bytes:
        """A sidx with a row from each mark to the next; `gap` bytes follow it before the first fragment."""
        rows = [(to - at, until[track] - since[track], BEGINS_WITH_KEYFRAME) for (at, since), (to, until) in pairwise(marks)]
        version_1, reserved = 1 << 24, 0
        fields = (version_1, track, self._clocks[track], marks[0][1][track], gap, reserved, len(rows))
        size = SIDX_HEAD + REFERENCE * len(rows)
        return struct.pack(">I4sIIIQQHH", size, b"sidx", *fields) + b"".join(struct.pack(">III", *row) for row in rows)


def _with_duration(moov: bytes, seconds: float) -> bytes:
    """The same moov with its duration in mvhd (8.2.2) and, as a fragmented film has it, in mehd (8.8.2)."""
    changed = bytearray(moov)
    place, wide = clock(moov, find(moov, "mvhd", 8))
    duration = round(seconds * number(moov, place, 4))
    changed[place + 4 : place + 4 + wide] = min(duration, (1 << 8 * wide) - 2).to_bytes(wide, "big")
    mvex = find(moov, "mvex", 8)
    changed[mvex.body : mvex.body] = struct.pack(">I4sIQ", MEHD, b"mehd", 1 << 24, duration)
    for box in (Box(b"moov", 0, 8, len(moov)), mvex):
        struct.pack_into(">I", changed, box.start, box.end - box.start + MEHD)
    return bytes(changed)


def _track(data: bytes, traf: Box) -> int:
    return number(data, find(data, "tfhd", traf.body, traf.end).body + 4, 4)


def _begin(traf: bytes) -> int:
    """The time at which a track's part of a fragment begins (tfdt, 8.8.12)."""
    tfdt = find(traf, "tfdt", 8)
    return number(traf, tfdt.body + 4, 8 if traf[tfdt.body] else 4)


def _end(traf: bytes) -> int:
    """The time at which it ends: each sample says how long it is, or all are as the tfhd says."""
    header = find(traf, "tfhd", 8)
    flags = number(traf, header.body + 1, 3)
    usual = number(traf, header.body + 8 + 8 * bool(flags & HAS_BASE) + 4 * bool(flags & HAS_DESCRIPTION), 4) if flags & HAS_DURATION else 0
    end = _begin(traf)
    for run in (box for box in boxes_in(traf, 8) if box.kind == b"trun"):
        flags, samples = number(traf, run.body + 1, 3), number(traf, run.body + 4, 4)
        first = run.body + 8 + 4 * bool(flags & HAS_OFFSET) + 4 * bool(flags & HAS_FIRST_FLAGS)
        step = 4 * sum(bool(flags & field) for field in EACH)
        if flags & DURATIONS:
            end += sum(number(traf, first + step * sample, 4) for sample in range(samples))
        else:
            end += usual * samples
    return end
