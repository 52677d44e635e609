"""Objects in a bucket of Google Cloud Storage, by the client of django-storages' configured GoogleCloudStorage.

An upload is one of Google's resumable sessions: its address and the number of bytes that Google has are all that another
host needs. Bytes go in one after the other, in multiples of 256 KiB; what is less waits for more, or for the end.
https://cloud.google.com/storage/docs/performing-resumable-uploads

Imported only where such a bucket is in use: Google's libraries fill tens of megabytes.
"""

import base64
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import reduce
from typing import IO, Any
from urllib.parse import urlsplit

import google_crc32c
import requests
from google.cloud.storage import Blob
from google.cloud.storage.exceptions import InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY
from requests.adapters import HTTPAdapter
from storages.backends.gcloud import GoogleCloudStorage
from storages.utils import clean_name

from ingestion.errors import ArchiveError, TransientError
from ingestion.store.border import storage_error
from ingestion.store.checksums import CRC32C_POLYNOMIAL, Part, Stored, combine_crc32
from ingestion.store.contents import OpenUpload, StoredObject, StoredRange, out_of_range
from ingestion.store.gcs_border import gcs_errors, status_of
from ingestion.store.pieces import Data, blocks_of, part_of
from ingestion.store.policies import Policy, gcs_policy
from ingestion.store.upload import OnState, State, Upload

GRANULE = 256 << 10
READ_SIZE = 4 << 20
PATIENCE_SECONDS = 60.0
TIMEOUT = (10, 60)
CONNECTIONS = 64
CANCELLED = 499
GONE = (404, 410, CANCELLED)


class GcsPlace:
    """The bucket of one GoogleCloudStorage. `retry` says how long a failed request is tried again."""

    in_order = True

    def __init__(self, storage: GoogleCloudStorage):
        self.storage = storage
        self.retry = DEFAULT_RETRY.with_timeout(PATIENCE_SECONDS)
        with gcs_errors("connect to Google Cloud Storage"):
            self.client, self.bucket = storage.client, storage.bucket
        self.location = self.name("x")[:-1]
        self.http = requests.Session()  # for uploads alone: their address is all they need
        self.http.mount(self.client.api_endpoint, HTTPAdapter(pool_maxsize=CONNECTIONS))

    def name(self, key: str) -> str:
        """The key as the bucket knows it, below the storage's location."""
        return self.storage._normalize_name(clean_name(key))

    def blob(self, key: str) -> Blob:
        return self.bucket.blob(self.name(key))

    def check(self) -> None:
        """A listing: to look at the bucket itself takes a right that nothing else needs."""
        with gcs_errors(f"look at bucket {self.bucket.name}"):
            next(iter(self._listed(self.location, max_results=1)), None)

    def policy(self, days: int) -> Policy:
        return gcs_policy(self.bucket.name, self.location, days)

    def begin(self, key: str, *, part_size: int, content_type: str, metadata: Mapping[str, str], on_state: OnState | None) -> "GcsUpload":
        blob, acl = self._described(key, metadata)
        with gcs_errors(f"begin {key}"):
            session = blob.create_resumable_upload_session(
                content_type=content_type, predefined_acl=acl, checksum=None, timeout=TIMEOUT, retry=self.retry
            )
        return GcsUpload(self, {"upload_id": session, "key": key, "part_size": part_size}, on_state, held=0)

    def _described(self, key: str, metadata: Mapping[str, str]) -> tuple[Blob, str | None]:
        """A blob with all that the storage's settings and the caller say of it, and its access list."""
        blob, parameters = self.blob(key), self.storage.get_object_parameters(key)
        acl = parameters.pop("acl", self.storage.default_acl)
        for name, value in {**parameters, "metadata": dict(metadata)}.items():
            setattr(blob, name, value)
        return blob, acl

    def resume(self, state: State, on_state: OnState | None) -> "GcsUpload | None":
        """The upload of `state`, with the parts that are whole in the bytes Google has; None when it is over."""
        held = self.bytes_held(state["upload_id"], doing=f"look for the parts of {state['key']}")
        if not isinstance(held, int):
            return None
        known, end = {}, 0
        listed = {**state.get("sending", {}), **state["parts"]}
        while (part := listed.get(str(len(known) + 1))) and end + part["size"] <= held:
            known[str(len(known) + 1)], end = part, end + part["size"]
        return GcsUpload(self, {**state, "parts": known}, on_state, held=held)

    def bytes_held(self, session: str, *, doing: str) -> int | dict[str, Any] | None:
        """How many bytes of an upload Google has; what it says of the object when that is there; None when all is gone."""
        if not self.is_session(session):
            return None
        try:
            with gcs_errors(doing):
                answer = self.retry(self.send)(session, b"", "bytes */*")
        except ArchiveError as exc:
            if status_of(exc) in GONE:
                return None
            raise
        return held_by(answer)

    def is_session(self, session: str) -> bool:
        """An address at Google, or at its emulator: no other is ever asked."""
        return urlsplit(session)[:2] == urlsplit(self.client.api_endpoint)[:2]

    def send(self, session: str, body: Data, place: str, headers: Mapping[str, str] | None = None) -> requests.Response:
        """One request of an upload. Raises InvalidResponse unless Google took it."""
        said = {"Content-Range": place, "Content-Length": str(len(body)), **(headers or {})}
        answer = self.http.put(session, data=body or None, headers=said, timeout=TIMEOUT, allow_redirects=False)
        if answer.status_code not in (200, 201, 308):
            raise InvalidResponse(answer, answer.status_code)
        return answer

    def abort(self, state: Mapping[str, Any]) -> None:
        if not self.is_session(state["upload_id"]):
            return
        try:
            with gcs_errors(f"abort {state['key']}"):
                self.retry(self._cancel)(state["upload_id"])
        except ArchiveError as exc:
            if status_of(exc) not in GONE:
                raise

    def _cancel(self, session: str) -> None:
        answer = self.http.delete(session, headers={"Content-Length": "0"}, timeout=TIMEOUT, allow_redirects=False)
        if not answer.ok:
            raise InvalidResponse(answer, answer.status_code)

    def size(self, key: str) -> int | None:
        found = self._found(key, f"look at {key}")
        return found.size if found else None

    def delete(self, key: str) -> None:
        try:
            with gcs_errors(f"delete {key}"):
                self.blob(key).delete(timeout=TIMEOUT, retry=self.retry)
        except ArchiveError as exc:
            if status_of(exc) != 404:
                raise

    def open(self, key: str) -> IO[bytes]:
        found = self._found(key, f"open {key}")
        if found is None:
            raise out_of_range(key, 0, None)
        return self._reader(key, found, 0, found.size - 1)

    def open_range(self, key: str, first: int, last: int) -> StoredRange:
        found = self._found(key, f"read {key}")
        if found is None or not 0 <= first <= last or first >= found.size:
            raise out_of_range(key, first, found and found.size)
        last = min(last, found.size - 1)
        return StoredRange(key, first, last, found.size, str(found.generation), self._reader(key, found, first, last), gcs_errors)

    def put(self, key: str, data: bytes, part: Part, *, content_type: str, metadata: Mapping[str, str]) -> None:
        blob, acl = self._described(key, metadata)
        with gcs_errors(f"put {key}"):
            blob.upload_from_string(
                data, content_type=content_type, predefined_acl=acl, checksum="crc32c", timeout=TIMEOUT, retry=self.retry
            )

    def blocks(self, key: str, size: int) -> Iterator[bytes]:
        with closing(self.open(key)) as body:
            while block := body.read(size):
                yield block

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        with gcs_errors("list the bucket"):
            for blob in self._listed(self.location + prefix):
                yield StoredObject(blob.name.removeprefix(self.location), blob.size, blob.time_created)

    def uploads(self) -> Iterator[OpenUpload]:
        """None: Google lists no resumable sessions. Those that nobody remembers end by themselves after a week."""
        return iter(())

    def _listed(self, prefix: str, **options: Any) -> Iterator[Blob]:
        return self.client.list_blobs(self.bucket, prefix=prefix, timeout=TIMEOUT, retry=self.retry, **options)

    def _found(self, key: str, doing: str) -> Blob | None:
        with gcs_errors(doing):
            return self.bucket.get_blob(self.name(key), timeout=TIMEOUT, retry=self.retry)

    def _reader(self, key: str, blob: Blob, first: int, last: int) -> IO[bytes]:
        return io.BufferedReader(_Reading(self, key, blob, first, last), READ_SIZE)


class _Reading(io.RawIOBase):
    """Bytes first..last of one generation of an object, by a request for each buffer."""

    def __init__(self, place: GcsPlace, key: str, blob: Blob, first: int, last: int):
        self._place, self._key, self._blob = place, key, blob
        self._generation = blob.generation  # the blob forgets it where an answer does not repeat it
        self._next, self._last = first, last

    def readable(self) -> bool:
        return True

    def readall(self) -> bytes:
        """Python's own asks for 8 KiB at a time."""
        return b"".join(iter(lambda: self.read(READ_SIZE), b""))

    def readinto(self, buffer: memoryview) -> int:
        end = min(self._next + len(buffer) - 1, self._last)
        if end < self._next:
            return 0
        with gcs_errors(f"read {self._key}"):
            block = self._blob.download_as_bytes(
                start=self._next,
                end=end,
                raw_download=True,
                if_generation_match=self._generation,
                checksum=None,  # a part has none
                timeout=TIMEOUT,
                retry=self._place.retry,
            )
        buffer[: len(block)] = block
        self._next += len(block)
        return len(block)


class GcsUpload(Upload):
    """A resumable session. `etag` of a part is its CRC-32C; the last request claims that of the whole."""

    def __init__(self, place: GcsPlace, state: State, on_state: OnState | None, *, held: int):
        super().__init__(state, on_state=on_state, in_order=True)
        self._place = place
        self._held = held  # bytes that Google has
        self._tail = b""  # those behind them that do not fill a granule
        self._object: dict[str, Any] | None = None  # what Google says of the finished object

    def _announced(self, data: Data) -> Part:
        part, crc32c = Part.of(data), google_crc32c.Checksum()
        for block in blocks_of(data):
            crc32c.update(bytes(block) if isinstance(block, bytearray | memoryview) else block)
        return Part(part.size, part.crc32, part.sha256, crc32c.hexdigest().decode())

    def _put(self, number: int, data: Data, part: Part) -> str:
        start = (number - 1) * self.part_size
        rest = part_of(data, min(max(self._held - start, 0), len(data)), len(data))
        if self._tail:
            rest = b"".join([self._tail, *blocks_of(rest)])
        whole = len(rest) - len(rest) % GRANULE
        if whole:
            with gcs_errors(f"part {number} of {self.key}"):
                self._send(part_of(rest, 0, whole))
        self._tail = b"".join(blocks_of(part_of(rest, whole, len(rest))))
        return part.etag

    def _send(self, body: Data, *, total: int | None = None, headers: Mapping[str, str] | None = None) -> None:
        """Bring Google on by `body`; with a `total` the object appears. What fails goes on from the byte that Google says."""
        first, failed = self._held, False

        def attempt() -> None:
            nonlocal failed
            if failed:
                self._note(self._place.send(self.upload_id, b"", f"bytes */{'*' if total is None else total}", headers), first)
            failed = True
            if self._object is None and (self._held < first + len(body) or total is not None):
                rest = part_of(body, self._held - first, len(body))
                self._note(self._place.send(self.upload_id, rest, _place(self._held, len(rest), total), headers), first)
            if self._object is None and (self._held < first + len(body) or total is not None):
                raise requests.ConnectionError("Google took only a part of it")

        self._place.retry(attempt)()

    def _note(self, answer: requests.Response, least: int) -> None:
        held = held_by(answer)
        if isinstance(held, dict):
            self._object = held
        elif held < least:
            raise TransientError("storage", f"{self.key}: {held} bytes are left of {least} that were stored")
        else:
            self._held = held

    def _complete(self, parts: list[Part], stored: Stored) -> None:
        crc32c = _in_base64(reduce(_appended, parts, 0))
        with gcs_errors(f"complete {self.key}"):
            try:
                self._send(self._tail, total=stored.size, headers={"X-Goog-Hash": f"crc32c={crc32c}"})
            except InvalidResponse as exc:
                if exc.response.status_code not in GONE:
                    raise
                self._object = self._found_object()  # the answer to an earlier try was lost
                if self._object is None:
                    raise
        self._tail = b""
        if self._object.get("crc32c") != crc32c:
            self._delete()
            raise storage_error("storage", f"{self.key}: its CRC-32C is {self._object.get('crc32c')}, sent was {crc32c}")

    def _found_object(self) -> dict[str, Any] | None:
        blob = self._place.bucket.get_blob(self._place.name(self.key), timeout=TIMEOUT, retry=self._place.retry)
        return {"crc32c": blob.crc32c} if blob else None

    def _abort(self) -> None:
        self._place.abort(self.state)

    def _size_held(self) -> int | None:
        return self._place.size(self.key)

    def _delete(self) -> None:
        self._place.delete(self.key)


def held_by(answer: requests.Response) -> int | dict[str, Any]:
    """The bytes that Google has of an upload, or what it says of the finished object."""
    if answer.status_code != 308:
        return answer.json()
    found = re.fullmatch(r"bytes=0-(\d+)", answer.headers.get("Range", ""))
    return int(found[1]) + 1 if found else 0


def _place(first: int, size: int, total: int | None) -> str:
    """A Content-Range."""
    bytes_sent = f"{first}-{first + size - 1}" if size else "*"
    return f"bytes {bytes_sent}/{'*' if total is None else total}"


def _appended(crc32c: int, part: Part) -> int:
    return combine_crc32(crc32c, int(part.etag, 16), part.size, CRC32C_POLYNOMIAL)


def _in_base64(crc32c: int) -> str:
    return base64.b64encode(crc32c.to_bytes(4, "big")).decode()
