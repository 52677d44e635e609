"""The only writer of objects: whole and checked, or not there at all.

An object goes in by parts of one size, in any order, with a CRC-32 sent along and a SHA-256 kept for each; it appears
when the last step, `Upload.complete`, has compared sizes. Exceptions of S3 and of the file system leave here as
SetupError (`misconfigured`: keys, bucket, rights) or TransientError (`storage`: outage, throttling, space).
"""

import copy
import hashlib
import os
import uuid
import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import IO, Any

from django.conf import settings
from django.core.files.storage import FileSystemStorage, Storage, storages

from ingestion.errors import SetupError, TransientError
from ingestion.store.checksums import Part, Stored, composite
from ingestion.store.contents import OpenUpload, StoredObject
from ingestion.store.folder import FolderPlace
from ingestion.store.pieces import FilePiece
from ingestion.store.s3 import S3Place, S3Storage
from ingestion.store.upload import OnState, State, Upload, part_size_for

__all__ = [
    "PROBE",
    "FilePiece",
    "OnState",
    "OpenUpload",
    "Part",
    "State",
    "Store",
    "Stored",
    "StoredObject",
    "Upload",
    "part_size_for",
]

READ_SIZE = 1 << 20
PROBE = "massdl-probe-"
"""What the keys of `Store.probe` begin with."""


class Store:
    """Videos' objects in one Django storage: a bucket (S3Storage) or a folder (FileSystemStorage)."""

    def __init__(self, storage: Storage, *, in_order: bool = False):
        if isinstance(storage, S3Storage):
            self._place = S3Place(storage, in_order=in_order)
        elif isinstance(storage, FileSystemStorage):
            self._place = FolderPlace(storage)
        else:
            raise SetupError("misconfigured", f"Videos cannot be kept in {type(storage).__name__}: use S3Storage or FileSystemStorage.")

    @classmethod
    def default(cls) -> "Store":
        """The one of the settings (STORAGES["videos"]). A forked process gets connections of its own."""
        return _default_store(os.getpid(), storages["videos"], settings.S3_PARTS_IN_ORDER)

    @property
    def in_order(self) -> bool:
        """Parts go in one after the other, from the first to the last."""
        return self._place.in_order

    def begin(
        self,
        key: str,
        *,
        content_type: str,
        metadata: Mapping[str, str],
        expected_size: int | None,
        part_size: int | None = None,
        facts: Mapping[str, Any] | None = None,
        state: Mapping[str, Any] | None = None,
        on_state: OnState | None = None,
    ) -> Upload:
        """An upload that nobody sees until it is complete.

        With the `state` of an earlier one that is still there, that one goes on, under its own key, part size and
        facts; else a new one begins, which `on_state` hears of at once.
        """
        if state and (upload := self._place.resume(dict(state), on_state)):
            upload.keep_state()
            return upload
        part_size = part_size or part_size_for(expected_size)
        upload = self._place.begin(key, part_size=part_size, content_type=content_type, metadata=metadata, on_state=on_state)
        upload.facts = dict(facts or {})
        try:
            upload.keep_state()
        except BaseException:  # nobody would know of it
            self.abort(upload.state)
            raise
        return upload

    def abort(self, state: Mapping[str, Any]) -> None:
        """Remove the upload of a saved state; nothing happens when it is gone already."""
        self._place.abort(state)

    def size(self, key: str) -> int | None:
        """Bytes of an object, or None when there is none."""
        return self._place.size(key)

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens when it is gone already."""
        self._place.delete(key)

    def open(self, key: str) -> IO[bytes]:
        """The object's bytes, to `read` and to `close`."""
        return self._place.open(key)

    def list_keys(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Every object whose key begins with `prefix`, and its size."""
        return ((held.key, held.size) for held in self.objects(prefix))

    def objects(self, prefix: str = "") -> Iterator[StoredObject]:
        """Every object whose key begins with `prefix`, page by page."""
        return self._place.objects(prefix)

    def uploads(self) -> Iterator[OpenUpload]:
        """Every unfinished upload, page by page."""
        return self._place.uploads()

    def examine(self, key: str, part_size: int) -> Stored:
        """Read an object again and work out everything that was recorded when it was stored."""
        digests, crc32, size = [], 0, 0
        for block in self._place.blocks(key, READ_SIZE):
            crc32, rest = zlib.crc32(block, crc32), memoryview(block)
            while rest:
                room = part_size - size % part_size
                if room == part_size:
                    digests.append(hashlib.sha256())
                digests[-1].update(rest[:room])
                size, rest = size + len(rest[:room]), rest[room:]
        parts = [Part(0, 0, b64encode(digest.digest()).decode()) for digest in digests]
        return Stored(key, size, composite(parts), f"{crc32:08x}", part_size)

    def probe(self) -> None:
        """Write, read and delete a small object. Raises SetupError with a sentence that says what to do."""
        key, content = f"{PROBE}{uuid.uuid4().hex}", b"massdl was here"
        try:
            upload = self.begin(key, content_type="text/plain", metadata={}, expected_size=len(content))
            try:
                upload.put_part(1, content)
                stored = upload.complete(len(content))
            except BaseException:
                upload.abort()
                raise
            seen = self.examine(key, stored.part_size)
            self.delete(key)
        except TransientError as exc:
            raise SetupError("misconfigured", f"The storage cannot be used: start it, or correct its address. {exc.message}") from exc
        if seen != stored:
            raise SetupError("misconfigured", "The storage gave back other bytes than it was given: use another one.")


@lru_cache(maxsize=1)
def _default_store(process: int, storage: Storage, in_order: bool) -> Store:
    return Store(copy.copy(storage), in_order=in_order)
