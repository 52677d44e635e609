"""A format's bytes, asked for in ranges; every range must come from the same file, whole."""

import mmap
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from ingestion.errors import DeferredError, TransientError
from ingestion.extraction import MediaFormat, MediaSource, RangeAnswer
from ingestion.streams.addresses import Addresses

MIB = 1 << 20
BLOCK_SIZE, SMALLEST_BLOCK = 512 << 10, 4 << 10
QUICK_SECONDS, SLOW_SECONDS = 0.1, 1.0
RANGE_SIZE = 8 * MIB  # YouTube slows connections that ask for more than about 10 MiB at once
TRIES = 5
TRIED_AGAIN = ("network", "storage", "storage_unreachable")  # kinds; tracks that are objects are read from the storage
BACKOFF_SECONDS = 0.1
UNSEEN = object()


class Cancelled(Exception):
    """The transfer is being torn down; whoever did that knows why."""


class SourceChangedError(TransientError):
    """The file behind the URL is not the one the first ranges came from."""


class Meter:
    """Bytes fetched by all threads of a transfer; `done` also counts those that were there before."""

    def __init__(self):
        self._lock = threading.Lock()
        self._start = 0
        self.fetched = 0

    def start_at(self, size: int) -> None:
        """`size` bytes are there before the next is fetched."""
        with self._lock:
            self._start = size - self.fetched

    def add(self, size: int) -> None:
        with self._lock:
            self.fetched += size

    @property
    def done(self) -> int:
        return self._start + self.fetched


@dataclass(frozen=True)
class Window:
    """How far ahead a track is read: memory is `ranges` times `range_size`."""

    ranges: int
    range_size: int


class Track:
    """One https format of known size. Any number of threads may read from it.

    An address that is refused is replaced by a fresh one of `addresses`, and the reading goes on at the same byte.
    """

    def __init__(
        self,
        source: MediaSource,
        media: MediaFormat,
        *,
        addresses: Addresses,
        meter: Meter,
        cancel: threading.Event,
        validator: object = UNSEEN,
    ):
        assert media.size is not None
        self.media = media
        self.size = media.size
        self.validator = validator  # UNSEEN until the first answer
        self._source = source
        self._addresses = addresses
        self._meter = meter
        self._cancel = cancel
        self._lock = threading.Lock()
        self._block = BLOCK_SIZE // 32

    def fill(self, buffer: memoryview, first: int) -> Iterator[int]:
        """Fill `buffer` with the bytes from `first` on; yields how many are there, again and again. A connection that fails
        is opened again at the byte that was reached.

        Raises SourceChangedError, TransientError (`incomplete`: other file or size; `network`, or the storage's own kind, after
        TRIES without one more byte; `forbidden` by a fresh address, too; what the source raises), what a look at the video
        raises, Cancelled.
        """
        for start in range(0, len(buffer), RANGE_SIZE):
            for filled in self._fill(buffer[start : start + RANGE_SIZE], first + start):
                yield start + filled

    def _fill(self, buffer: memoryview, first: int) -> Iterator[int]:
        filled, tries, renewed_at = 0, 0, -1
        media = self._addresses.of(self.media.format_id)
        while filled < len(buffer):
            try:
                for size in self._answer(media, buffer[filled:], first + filled):
                    filled, tries = filled + size, 0
                    self._meter.add(size)
                    self._addresses.note_good(media)
                    yield filled
            except (TransientError, DeferredError) as exc:
                if exc.kind == "forbidden" and renewed_at < filled and (fresh := self._addresses.fresh(media)):
                    media, renewed_at = fresh, filled
                    continue
                tries += 1
                if exc.kind not in TRIED_AGAIN or tries == TRIES:
                    raise
                if self._cancel.wait(BACKOFF_SECONDS * 2**tries):
                    raise Cancelled from exc

    def stream(self, window: Window) -> Iterator[memoryview]:
        """All bytes in order, several ranges in flight; what is yielded is good until the next is asked for.

        The threads are this track's own: with shared ones the fast track takes them all while ffmpeg waits for the slow
        one. So are the buffers, used again and again: thousands of small pieces leave the allocator full of holes.

        An error, also of whoever reads, and being closed before the end cancel the transfer: else the ranges under way would
        still be fetched whole.
        """
        starts = iter(range(0, self.size, window.range_size))
        free = [_buffer(min(window.range_size, self.size)) for _ in range(window.ranges)]
        waiting: deque[Future[memoryview]] = deque()
        with ThreadPoolExecutor(window.ranges, thread_name_prefix=f"range-{self.media.format_id}") as threads:
            try:
                while self._ask(threads, starts, waiting, free) or waiting:
                    filled = waiting.popleft().result()
                    yield filled
                    free.append(filled.obj)
            except BaseException:
                self._cancel.set()
                raise
            finally:
                for future in waiting:
                    future.cancel()

    def _ask(self, threads: ThreadPoolExecutor, starts: Iterator[int], waiting: deque, free: list[mmap.mmap]) -> bool:
        """Give every free buffer a range to be filled with; True when anything was asked for."""
        before = len(waiting)
        while free and (start := next(starts, None)) is not None:
            buffer = free.pop()
            waiting.append(threads.submit(self._range, memoryview(buffer)[: self.size - start], start))
        return len(waiting) > before

    def _range(self, buffer: memoryview, first: int) -> memoryview:
        deque(self.fill(buffer, first), maxlen=0)
        return buffer

    def _answer(self, media: MediaFormat, buffer: memoryview, first: int) -> Iterator[int]:
        """One answer into `buffer`, which may be larger; yields the sizes of its pieces."""
        if self._cancel.is_set():
            raise Cancelled
        answer = self._source.open_range(media, first, first + len(buffer) - 1)
        try:
            self._compare(answer, first)
            room = buffer[: answer.last + 1 - first]
            while room:
                size = self._read(answer, room)
                if size == 0:
                    raise TransientError("network", f"format {self.media.format_id}: {len(room)} bytes missing before {answer.last}")
                if self._cancel.is_set():
                    raise Cancelled
                if size is None:
                    continue
                room = room[size:]
                yield size
        finally:
            answer.close()

    def _read(self, answer: RangeAnswer, room: memoryview) -> int | None:
        """A block, of a size that takes about as long as a stop may wait: some sources cannot be interrupted."""
        started = time.monotonic()
        size = answer.readinto(room[: self._block])
        took = time.monotonic() - started
        if took > SLOW_SECONDS:
            self._block = max(self._block // 2, SMALLEST_BLOCK)
        elif took < QUICK_SECONDS:
            self._block = min(self._block * 2, BLOCK_SIZE)
        return size

    def _compare(self, answer: RangeAnswer, first: int) -> None:
        """Raises unless the answer is about the announced file, and about the same one as all answers before."""
        name = f"format {self.media.format_id}"
        if answer.first != first or answer.last < first:
            raise TransientError("incomplete", f"{name}: asked for byte {first}, got {answer.first}-{answer.last}")
        with self._lock:
            if self.validator is UNSEEN:
                self.validator = answer.validator
            if answer.validator != self.validator:
                raise SourceChangedError("incomplete", f"{name}: changed from {self.validator} to {answer.validator} meanwhile")
        if answer.total != self.size:
            raise SourceChangedError("incomplete", f"{name}: {answer.total} bytes, announced were {self.size}")


def _buffer(size: int) -> mmap.mmap:
    """Memory that is taken as it is filled, and given back whole; a bytearray is filled with zeros first."""
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
