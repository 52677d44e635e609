"""MUX: picture and sound flow through ffmpeg into one MP4 in the storage; neither is ever whole in memory or on disk.

ffmpeg writes into a memory file. It leaves room for the index (moov) at the beginning, so that the result is a plain MP4
that begins to play at once, and comes back to that room at its very end: the first parts are sent last, all others as
soon as they are written. A storage that wants parts in order gets a fragmented MP4 instead, of fragments of half a
minute: players need more requests before they know its length.

MP4 takes every codec YouTube has (H.264, VP9, AV1; AAC, Opus, AC-3); where ffmpeg refuses one, Unstreamable is raised.
"""

import os
import select
import subprocess
from collections.abc import Callable, Iterator, Sequence

from ingestion.extraction import Extraction
from ingestion.store import FilePiece, Upload
from ingestion.streams.crew import PULSE_SECONDS
from ingestion.streams.feeding import Mux
from ingestion.streams.ffmpeg import MoovTooSmallError, NotForMp4Error
from ingestion.streams.job import Job, Transferred, Unstreamable, compare_sizes
from ingestion.streams.memory import MemoryFile
from ingestion.streams.ranges import MIB, Meter, Track, Window

PICTURE_WINDOW = Window(ranges=4, range_size=2 * MIB)
SOUND_WINDOW = Window(ranges=2, range_size=MIB // 2)
BACKLOG_LIMIT = 16 * MIB  # of the memory file, besides its head: parts in flight and what is to become parts

INDEX_FIXED = 128 << 10
INDEX_PER_PACKET = 24  # bytes: size, two times, place
SOUND_PACKETS_PER_SECOND = 50
USUAL_FPS = 60
SLOWEST_BYTES_PER_SECOND = 25_000  # where the duration is unknown
BOXES_BESIDE_INDEX = 4096  # ftyp before it, the head of mdat behind it

FRAGMENTED = ("-movflags", "frag_keyframe+delay_moov+default_base_moof", "-min_frag_duration", "30000000", "-f", "mp4", "pipe:1")
POLL_SECONDS = 0.05


def index_size(extraction: Extraction) -> int:
    """Bytes that the index of the finished MP4 is expected to need."""
    total = sum(media.size or 0 for media in extraction.formats)
    duration = extraction.duration or total / SLOWEST_BYTES_PER_SECOND
    packets = (extraction.formats[0].fps or USUAL_FPS) + SOUND_PACKETS_PER_SECOND
    return INDEX_FIXED + int(INDEX_PER_PACKET * packets * duration)


def mux(job: Job) -> Transferred:
    """Begins anew whatever `job.state` says. Raises Unstreamable for codecs that MP4 does not take.

    A video whose index needs more room than expected is done a second time, with the room that ffmpeg asked for.
    """
    if job.state:
        job.store.abort(job.state)
    meter = Meter()
    try:
        if job.store.in_order:
            return _mux_in_order(job, meter)
        index = index_size(job.extraction)
        try:
            return _mux(job, meter, index)
        except MoovTooSmallError as exc:
            job.cancel.clear()
            return _mux(job, Meter(), index + exc.missing + INDEX_FIXED)
    except NotForMp4Error as exc:
        raise Unstreamable(str(exc)) from exc


def _mux(job: Job, meter: Meter, index: int) -> Transferred:
    inputs = _inputs_size(job)
    upload = job.begin("mp4", inputs + index, facts={"way": "mux"})
    with job.upload_or_nothing(upload), MemoryFile("massdl-mux") as memory:
        output = _Output(memory, upload, head_parts=-(-(index + BOXES_BESIDE_INDEX) // upload.part_size))
        arguments = ("-moov_size", str(index), "-f", "mp4", "-fd", str(memory.fd), "fd:")
        with (
            job.crew(upload, lambda: job.progress(meter.done, inputs)) as crew,
            Mux(_tracks(job, meter), arguments, cancel=job.cancel, full=output.is_full, pass_fds=[memory.fd]) as process,
        ):
            ended = False
            while not ended:
                ended = process.ended(wait=POLL_SECONDS)
                crew.look()
                for number, piece in output.parts(last=ended):
                    crew.submit(_move, memory, piece, upload, number)
            process.judge()
            compare_sizes(memory.size, inputs, index=index)
            for number, piece in output.head():
                crew.submit(_move, memory, piece, upload, number)
            crew.drain()
        stored = upload.complete(memory.size)
    return Transferred(stored, "mux", "mp4", meter.fetched)


def _move(memory: MemoryFile, piece: FilePiece, upload: Upload, number: int) -> None:
    """A part leaves memory when the storage has it."""
    upload.put_part(number, piece)
    memory.free(piece)


class _Output:
    """The memory file cut into parts; the first `head_parts` are held back, ffmpeg comes back to them."""

    def __init__(self, memory: MemoryFile, upload: Upload, *, head_parts: int):
        self._memory = memory
        self._part_size = upload.part_size
        self._head_parts = head_parts
        self._taken = head_parts  # parts

    def is_full(self) -> bool:
        """More is held than there is room for. A whole part beside the head is on its way then, and will make room."""
        return self._memory.held > self._head_parts * self._part_size + max(BACKLOG_LIMIT, 2 * self._part_size)

    def parts(self, *, last: bool) -> Iterator[tuple[int, FilePiece]]:
        """The parts behind the head that are written by now; at the `last` call also the shorter one at the end."""
        size = self._memory.size
        while (offset := self._taken * self._part_size) < size:
            length = min(self._part_size, size - offset)
            if length < self._part_size and not last:
                return
            self._taken += 1
            yield self._taken, self._memory.piece(offset, length)

    def head(self) -> Iterator[tuple[int, FilePiece]]:
        size = self._memory.size
        for number in range(1, self._head_parts + 1):
            offset = (number - 1) * self._part_size
            if offset < size:
                yield number, self._memory.piece(offset, min(self._part_size, size - offset))


def _mux_in_order(job: Job, meter: Meter) -> Transferred:
    inputs = _inputs_size(job)
    upload = job.begin("mp4", inputs, facts={"way": "mux"})
    size = 0
    with job.upload_or_nothing(upload), MemoryFile("massdl-mux") as memory:
        with (
            job.crew(upload, lambda: job.progress(meter.done, inputs), size=1) as crew,
            Mux(_tracks(job, meter), FRAGMENTED, cancel=job.cancel, stdout=subprocess.PIPE) as process,
        ):
            number = 1
            while length := _take_part(process, memory, size, upload.part_size, crew.look):
                crew.submit(_move, memory, memory.piece(size, length), upload, number)
                size, number = size + length, number + 1
            process.judge()
            compare_sizes(size, inputs, index=index_size(job.extraction))
            crew.drain()
        stored = upload.complete(size)
    return Transferred(stored, "mux", "mp4", meter.fetched)


def _take_part(process: Mux, memory: MemoryFile, offset: int, size: int, pulse: Callable[[], None]) -> int:
    """Move the next `size` bytes of ffmpeg's stdout, fewer at its end, into the memory file; returns how many."""
    got = 0
    pipe = process.process.stdout.fileno()
    while got < size:
        pulse()
        if select.select([pipe], [], [], PULSE_SECONDS)[0]:
            count = os.splice(pipe, memory.fd, size - got, offset_dst=offset + got)
            if not count:
                break
            got += count
    return got


def _inputs_size(job: Job) -> int:
    return sum(media.size for media in job.extraction.formats)


def _tracks(job: Job, meter: Meter) -> Sequence[tuple[Track, Window]]:
    picture, sound = job.extraction.formats
    return [(job.track(picture, meter), PICTURE_WINDOW), (job.track(sound, meter), SOUND_WINDOW)]
