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
from collections.abc import Sequence

from ingestion.extraction import Extraction
from ingestion.store import Upload
from ingestion.streams.crew import PULSE_SECONDS
from ingestion.streams.feeding import Mux
from ingestion.streams.ffmpeg import MoovTooSmallError, NotForMp4Error
from ingestion.streams.job import Job, Transferred, Unstreamable, compare_sizes
from ingestion.streams.memory import MemoryFile
from ingestion.streams.ranges import MIB, Meter, Track, Window

PICTURE_WINDOW = Window(ranges=4, range_size=8 * MIB)
SOUND_WINDOW = Window(ranges=2, range_size=4 * MIB)
BACKLOG_LIMIT = 48 * MIB

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
                for number, data in output.parts(last=ended):
                    crew.submit(upload.put_part, number, data)
            process.judge()
            compare_sizes(memory.size, inputs, index=index)
            for number, data in output.head():
                crew.submit(upload.put_part, number, data)
            crew.drain()
        stored = upload.complete(memory.size)
    return Transferred(stored, "mux", "mp4", meter.fetched)


class _Output:
    """The memory file cut into parts; the first `head_parts` are held back, ffmpeg comes back to them."""

    def __init__(self, memory: MemoryFile, upload: Upload, *, head_parts: int):
        self._memory = memory
        self._part_size = upload.part_size
        self._head_parts = head_parts
        self._taken = head_parts  # parts

    def is_full(self) -> bool:
        return self._memory.size - self._taken * self._part_size > max(BACKLOG_LIMIT, 2 * self._part_size)

    def parts(self, *, last: bool):
        """The parts behind the head that are written by now; at the `last` call also the shorter one at the end."""
        size = self._memory.size
        while (offset := self._taken * self._part_size) < size:
            length = min(self._part_size, size - offset)
            if length < self._part_size and not last:
                return
            data = self._memory.take(offset, length)
            self._taken += 1
            yield self._taken, data

    def head(self):
        size = self._memory.size
        for number in range(1, self._head_parts + 1):
            offset = (number - 1) * self._part_size
            if offset < size:
                yield number, self._memory.take(offset, min(self._part_size, size - offset))


def _mux_in_order(job: Job, meter: Meter) -> Transferred:
    inputs = _inputs_size(job)
    upload = job.begin("mp4", inputs, facts={"way": "mux"})
    size = 0
    with job.upload_or_nothing(upload):
        with (
            job.crew(upload, lambda: job.progress(meter.done, inputs), size=1) as crew,
            Mux(_tracks(job, meter), FRAGMENTED, cancel=job.cancel, stdout=subprocess.PIPE) as process,
        ):
            number, data = 1, _read_part(process, upload.part_size, crew.look)
            while data:
                crew.submit(upload.put_part, number, data)
                size += len(data)
                number, data = number + 1, _read_part(process, upload.part_size, crew.look)
            process.judge()
            compare_sizes(size, inputs, index=index_size(job.extraction))
            crew.drain()
        stored = upload.complete(size)
    return Transferred(stored, "mux", "mp4", meter.fetched)


def _read_part(process: Mux, size: int, pulse) -> bytearray:
    """The next `size` bytes of ffmpeg's stdout, fewer at the end of it."""
    buffer, got = bytearray(size), 0
    pipe = process.process.stdout.fileno()
    with memoryview(buffer) as rest:
        while got < size:
            pulse()
            if select.select([pipe], [], [], PULSE_SECONDS)[0]:
                count = os.readv(pipe, [rest[got:]])
                if not count:
                    break
                got += count
    del buffer[got:]
    return buffer


def _inputs_size(job: Job) -> int:
    return sum(media.size for media in job.extraction.formats)


def _tracks(job: Job, meter: Meter) -> Sequence[tuple[Track, Window]]:
    picture, sound = job.extraction.formats
    return [(job.track(picture, meter), PICTURE_WINDOW), (job.track(sound, meter), SOUND_WINDOW)]
