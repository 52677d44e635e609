"""What a storage is found to hold when it is listed or read."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import IO, Any, NamedTuple

from ingestion.errors import TransientError

Border = Callable[[str], AbstractContextManager[None]]
"""A context that maps the storage's exceptions to ours; its argument says what was being done."""


class StoredObject(NamedTuple):
    """`size` is in bytes. S3 itself dates an object back to the beginning of its upload."""

    key: str
    size: int
    since: datetime


class OpenUpload(NamedTuple):
    """An upload that was begun and neither completed nor aborted."""

    key: str
    upload_id: str
    since: datetime

    @property
    def state(self) -> dict[str, Any]:
        """Enough for `Store.abort`."""
        return {"key": self.key, "upload_id": self.upload_id}


class StoredRange:
    """Bytes first..last of an object, to `read` and to `close`; an `ingestion.extraction.RangeAnswer`.

    `total` is the object's size; `validator` changes when the object does. `last` is the object's last byte where more was
    asked for.
    """

    def __init__(self, key: str, first: int, last: int, total: int, validator: str, body: IO[bytes], border: Border):
        self.first = first
        self.last = last
        self.total = total
        self.validator = validator
        self._key = key
        self._left = last + 1 - first
        self._body = body
        self._border = border

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, b"" at the end. Raises TransientError when the storage ends before."""
        wanted = self._left if size < 0 else min(size, self._left)
        with self._border(f"read {self._key}"):
            block = self._body.read(wanted) if wanted else b""
        if wanted and not block:
            raise TransientError("storage", f"read {self._key}: {self._left} bytes missing before byte {self.last}")
        self._left -= len(block)
        return block

    def readinto(self, buffer: memoryview) -> int:
        """The bytes that were put at the beginning of `buffer`, 0 at the end; raises as `read` does."""
        block = self.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        self._body.close()

    def __enter__(self) -> "StoredRange":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def out_of_range(key: str, first: int, total: int | None) -> TransientError:
    held = "there is no such object" if total is None else f"it has {total} bytes"
    return TransientError("storage", f"read {key}: no byte {first}, {held}")
