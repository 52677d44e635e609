"""A file in memory that is read and given back while somebody else still writes its end."""

import ctypes
import os

PUNCH_HOLE_KEEP_SIZE = 0x02 | 0x01

_fallocate = ctypes.CDLL(None, use_errno=True).fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


class MemoryFile:
    """A context; `fd` is what the writer gets. Linux only."""

    def __init__(self, name: str):
        self.fd = os.memfd_create(name)

    def __enter__(self) -> "MemoryFile":
        return self

    def __exit__(self, *exception) -> None:
        os.close(self.fd)

    @property
    def size(self) -> int:
        return os.fstat(self.fd).st_size

    def take(self, offset: int, size: int) -> bytearray:
        """Read and free that region; it reads as zeros afterwards."""
        buffer = bytearray(size)
        with memoryview(buffer) as rest:
            got = 0
            while got < size:
                got += os.preadv(self.fd, [rest[got:]], offset + got)
        if _fallocate(self.fd, PUNCH_HOLE_KEEP_SIZE, offset, size):
            raise OSError(ctypes.get_errno(), "fallocate")
        return buffer
