"""The only writer of objects: whole and checked, or not there at all.

An object goes in by parts of one size, in any order, with a CRC-32 sent along and a SHA-256 kept for each; it appears
when the last step, `Upload.complete`, has compared sizes. Small ones go in by `Store.put`, at once.

Exceptions of S3, of Google Cloud Storage and of the file system leave here as an ArchiveError of a storage's kind:

    storage_credentials, storage_missing, storage_full    SetupError: the session stops, with the setting to correct
    storage_throttled, storage_unreachable                DeferredError: within a minute, no attempt is spent
    storage                                               TransientError: this one object
    storage_too_large                                     PermanentError: this one object, whenever it is tried
"""

import copy
import hashlib
import logging
import os
import uuid
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import IO, Any

from django.conf import settings
from django.core.files.storage import FileSystemStorage, Storage, storages
from django.utils.http import content_disposition_header

from ingestion.errors import ArchiveError, DeferredError, SetupError, TransientError
from ingestion.store.checksums import Part, Stored, composite
from ingestion.store.contents import OpenUpload, StoredObject, StoredRange
from ingestion.store.folder import FolderPlace
from ingestion.store.pieces import FilePiece
from ingestion.store.policies import Policy
from ingestion.store.s3 import S3Place, S3Storage
from ingestion.store.upload import SMALLEST_PART, OnState, State, Upload, part_size_for

__all__ = [
    "PROBE",
    "FilePiece",
    "OnState",
    "OpenUpload",
    "Part",
    "Policy",
    "State",
    "Store",
    "Stored",
    "StoredObject",
    "StoredRange",
    "Upload",
    "part_size_for",
]

logger = logging.getLogger(__name__)

READ_SIZE = 1 << 20
GOOGLE = "storages.backends.gcloud"
LINKS_LAST = timedelta(hours=1)
LONGEST_LINK = 7 * 24 * 3600
"""Seconds; signatures of S3 and of Google last no longer."""
PROBE = "massdl-probe-"
"""What the keys of `Store.probe` begin with."""


class Store:
    """Videos' objects in one Django storage: a bucket (S3Storage, GoogleCloudStorage) or a folder (FileSystemStorage).

    Without `links` nobody is sent to a bucket itself. Raises SetupError for any other storage, and for a bucket that no
    credentials are found for.
    """

    def __init__(self, storage: Storage, *, in_order: bool = False, links: bool = True):
        self._place = _place_of(storage, in_order=in_order)
        self._links = links

    @classmethod
    def default(cls) -> "Store":
        """The one of the settings (STORAGES["videos"]). A forked process gets connections of its own."""
        return _default_store(os.getpid(), storages["videos"], settings.S3_PARTS_IN_ORDER, settings.S3_LINKS)

    @property
    def in_order(self) -> bool:
        """Parts go in one after the other, from the first to the last."""
        return self._place.in_order

    def check(self) -> None:
        """Whether the storage answers, lets us in and is there at all, by one request that changes nothing.

        Raises DeferredError (`storage_unreachable`, `storage_throttled`) or SetupError (`storage_credentials`,
        `storage_missing`, `storage_full`).
        """
        self._place.check()

    def policy(self, days: int) -> Policy:
        """The rule by which the storage itself ends uploads that are older than `days`."""
        return self._place.policy(days)

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
        facts; else a new one begins, which `on_state` hears of at once: when it raises, the upload is aborted.
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
            self._abort_quietly(upload)
            raise
        return upload

    def _abort_quietly(self, upload: Upload) -> None:
        """What went wrong before matters more."""
        try:
            self.abort(upload.state)
        except ArchiveError as exc:
            logger.warning("an upload that nobody knows of could not be removed: %s", exc, extra={"key": upload.key})

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

    def open_range(self, key: str, first: int, last: int) -> StoredRange:
        """Bytes first..last of an object, both included; fewer where it ends before. Raises TransientError (`storage`) when
        it has no byte `first`, or is not there."""
        return self._place.open_range(key, first, last)

    def url(self, key: str, *, filename: str = "", as_attachment: bool = False, lifetime: timedelta = LINKS_LAST) -> str | None:
        """An address from which whoever has it may read the object, in ranges too, for `lifetime` (at least a second, at most a
        week); None of a storage that has none, such as a folder.

        The storage is told to name the file `filename`, and with `as_attachment` to have it saved and not shown. Whether the
        object is there is not asked. Raises what the storage's libraries find wrong with our credentials.
        """
        if not self._links:
            return None
        disposition = content_disposition_header(as_attachment, filename) if filename or as_attachment else None
        return self._place.url(key, disposition=disposition, seconds=min(max(int(lifetime.total_seconds()), 1), LONGEST_LINK))

    def put(self, key: str, data: bytes, *, content_type: str, metadata: Mapping[str, str]) -> Stored:
        """Store a small object by one request, under its whole name or not at all; as one part, whatever its size.

        Raises TransientError (`storage`), with the object gone, when the storage holds another size, and what it raises.
        """
        parts = [Part.of(data)] if data else []
        self._place.put(key, data, Part.of(data), content_type=content_type, metadata=metadata)
        held = self.size(key)
        if held != len(data):
            self.delete(key)
            raise TransientError("storage", f"{key}: {held} bytes stored of {len(data)}")
        return Stored.of(key, parts, max(SMALLEST_PART, len(data)))

    def list_keys(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Every object whose key begins with `prefix`, and its size."""
        return ((held.key, held.size) for held in self.objects(prefix))

    def objects(self, prefix: str = "") -> Iterator[StoredObject]:
        """Every object whose key begins with `prefix`, page by page."""
        return self._place.objects(prefix)

    def uploads(self) -> Iterator[OpenUpload]:
        """Every unfinished upload, page by page; none of Google Cloud Storage, which does not tell."""
        return self._place.uploads()

    def examine(self, key: str, part_size: int, *, check: Callable[[], None] = lambda: None) -> Stored:
        """Read an object again and work out everything that was recorded when it was stored. `check` is called for each
        block, and may raise to stop it."""
        digests, crc32, size = [], 0, 0
        for block in self._place.blocks(key, READ_SIZE):
            check()
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
        except (TransientError, DeferredError) as exc:
            raise SetupError("misconfigured", f"The storage cannot be used: start it, or correct its address. {exc.message}") from exc
        if seen != stored:
            raise SetupError("misconfigured", "The storage gave back other bytes than it was given: use another one.")


def _place_of(storage: Storage, *, in_order: bool) -> Any:
    if isinstance(storage, S3Storage):
        return S3Place(storage, in_order=in_order)
    if isinstance(storage, FileSystemStorage):
        return FolderPlace(storage)
    if any(cls.__module__ == GOOGLE for cls in type(storage).__mro__):
        from ingestion.store.gcs import GcsPlace  # with libraries that fill tens of megabytes

        return GcsPlace(storage)
    kinds = "S3Storage, GoogleCloudStorage or FileSystemStorage"
    raise SetupError("misconfigured", f"Videos cannot be kept in {type(storage).__name__}: use {kinds}.")


@lru_cache(maxsize=1)
def _default_store(process: int, storage: Storage, in_order: bool, links: bool) -> Store:
    return Store(copy.copy(storage), in_order=in_order, links=links)
