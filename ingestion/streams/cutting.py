"""ffmpeg's output in a memory file, cut into the parts of an upload."""

import os
import select
from collections.abc import Callable, Iterator

from ingestion.store import FilePiece, Upload
from ingestion.streams.crew import PULSE_SECONDS
from ingestion.streams.feeding import Mux
from ingestion.streams.ffmpeg import IndexTooSmallError
from ingestion.streams.index import FragmentIndex
from ingestion.streams.memory import MemoryFile
from ingestion.streams.ranges import MIB
from ingestion.streams.recipes import Recipe

BACKLOG_LIMIT = 16 * MIB  # of the memory file, besides its head: parts in flight and what is to become parts
BOXES_BESIDE_INDEX = 4096  # ftyp before it, the head of mdat behind it
CUES = bytes.fromhex("1c53bb6b")  # the element of Matroska that holds its index


class Output:
    """The memory file cut into parts; those that hold its head are held back. `words` are what ffmpeg calls it."""

    def __init__(self, memory: MemoryFile, upload: Upload, recipe: Recipe):
        self._memory = memory
        self._part_size = upload.part_size
        self._head_parts = -(-(recipe.room + BOXES_BESIDE_INDEX) // upload.part_size)
        self._taken = self._head_parts  # parts
        self._index = None
        self.words = ("-fd", str(memory.fd), "fd:")
        if recipe.layout == "fragments":
            self._index = FragmentIndex(memory)
            os.lseek(memory.fd, recipe.room, os.SEEK_SET)
            self.words = (f"pipe:{memory.fd}",)  # ffmpeg does not seek in it

    @property
    def head_size(self) -> int:
        return self._head_parts * self._part_size

    def is_full(self) -> bool:
        """More is held than there is room for. A whole part beside the head is on its way then, and will make room."""
        return self._memory.held > self.head_size + max(BACKLOG_LIMIT, 2 * self._part_size)

    def parts(self, *, last: bool) -> Iterator[tuple[int, FilePiece]]:
        """The parts behind the head that are written by now; at the `last` call also the shorter one at the end."""
        size = self._memory.size
        seen = self._index.follow() if self._index else size
        while (offset := self._taken * self._part_size) < size:
            length = min(self._part_size, size - offset)
            if not last and (length < self._part_size or offset + length > seen):
                return
            self._taken += 1
            yield self._taken, self._memory.piece(offset, length)

    def finish(self, recipe: Recipe) -> None:
        """Complete the head, or see that ffmpeg did. Raises IndexTooSmallError."""
        if self._index:
            self._index.write()
        if recipe.layout == "cues":  # releases before 9 leave the index out and end well
            with self._memory.view(self.head_size) as head:
                if head.find(CUES) < 0:
                    raise IndexTooSmallError(None)

    def head(self) -> Iterator[tuple[int, FilePiece]]:
        size = self._memory.size
        for number in range(1, self._head_parts + 1):
            offset = (number - 1) * self._part_size
            if offset < size:
                yield number, self._memory.piece(offset, min(self._part_size, size - offset))


def take_part(process: Mux, memory: MemoryFile, offset: int, size: int, pulse: Callable[[], None]) -> int:
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
