"""A file in memory whose pieces are given back while somebody else still writes its end."""

import ctypes
import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ingestion.store import FilePiece

PUNCH_HOLE_KEEP_SIZE = 0x02 | 0x01

_fallocate = ctypes.CDLL(None, use_errno=True).fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


class MemoryFile:
    """A context; `fd` is what the writer gets. Linux only."""

    def __init__(self, name: str):
        self.fd = os.memfd_create(name)
        self._lock = threading.Lock()
        self._freed = 0

    def __enter__(self) -> "MemoryFile":
        return self

    def __exit__(self, *exception) -> None:
        os.close(self.fd)

    @property
    def size(self) -> int:
        return os.fstat(self.fd).st_size

    @property
    def held(self) -> int:
        """Bytes that were written and not freed."""
        return self.size - self._freed

    def piece(self, offset: int, size: int) -> FilePiece:
        """The bytes of a region, read from here until it is freed."""
        return FilePiece(self.fd, offset, size)

    @contextmanager
    def view(self, size: int) -> Iterator[mmap.mmap]:
        """The first `size` bytes, fewer when there are no more, to look at without a copy of them."""
        with mmap.mmap(self.fd, min(size, self.size), access=mmap.ACCESS_READ) as view:
            yield view

    def free(self, piece: FilePiece) -> None:
        """Give its memory back; it reads as zeros afterwards. From any thread."""
        if _fallocate(self.fd, PUNCH_HOLE_KEEP_SIZE, piece.offset, len(piece)):
            raise OSError(ctypes.get_errno(), "fallocate")
        with self._lock:
            self._freed += len(piece)
