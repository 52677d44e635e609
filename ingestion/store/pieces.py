"""The bytes of one part: a buffer, or a piece of an open file that is sent from where it is, without a copy of it."""

import os
from collections.abc import Iterator

BLOCK_SIZE = 128 << 10

Buffer = bytes | bytearray | memoryview


class FilePiece:
    """`size` bytes from `offset` on of an open file; a body for botocore, which rewinds it to send it again.

    The file keeps its own position. For one thread at a time.
    """

    def __init__(self, file: int, offset: int, size: int):
        self.offset = offset
        self._file = file
        self._size = size
        self._position = 0

    def __len__(self) -> int:
        return self._size

    def tell(self) -> int:
        return self._position

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + position)
        return self._position

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, or more: urllib3 asks for 16 KiB at a time, which would cost a lot of system calls.

        Raises OSError when the file ends before the piece does.
        """
        left = max(0, self._size - self._position)
        wanted = left if size < 0 else min(left, max(size, BLOCK_SIZE)) if size else 0
        block = self._block(self._position, wanted)
        self._position += len(block)
        return block

    def part(self, first: int, end: int) -> "FilePiece":
        """Bytes first..end-1 of this piece."""
        return FilePiece(self._file, self.offset + first, end - first)

    def blocks(self) -> Iterator[bytes]:
        """All of it from the beginning; the position stays."""
        for position in range(0, self._size, BLOCK_SIZE):
            yield self._block(position, min(BLOCK_SIZE, self._size - position))

    def _block(self, position: int, size: int) -> bytes:
        block = os.pread(self._file, size, self.offset + position)
        if len(block) != size:
            raise OSError(f"the file ends at byte {self.offset + position + len(block)}, {size - len(block)} bytes too early")
        return block


Data = Buffer | FilePiece


def blocks_of(data: Data) -> Iterator[Buffer]:
    """All bytes in order: a buffer at once, a piece of a file in blocks."""
    if isinstance(data, FilePiece):
        yield from data.blocks()
    else:
        yield data


def part_of(data: Data, first: int, end: int) -> Data:
    """Bytes first..end-1, without a copy of them."""
    return data.part(first, end) if isinstance(data, FilePiece) else memoryview(data)[first:end]
