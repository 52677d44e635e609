"""Objects in a bucket of Google Cloud Storage, by the client of django-storages' configured GoogleCloudStorage.

Imported only where such a bucket is in use: Google's libraries fill tens of megabytes.
"""

import io
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from typing import IO, Any
from urllib.parse import urlsplit

import requests
from google.cloud.storage import Blob
from google.cloud.storage.exceptions import InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY
from requests.adapters import HTTPAdapter
from storages.backends.gcloud import GoogleCloudStorage

from ingestion.errors import ArchiveError
from ingestion.store.bucket import BucketPlace
from ingestion.store.checksums import Part
from ingestion.store.contents import OpenUpload, StoredObject, StoredRange, out_of_range
from ingestion.store.gcs_border import GONE, TIMEOUT, gcs_errors, status_of
from ingestion.store.gcs_reader import READ_SIZE, GcsReader
from ingestion.store.gcs_upload import GcsUpload, held_by
from ingestion.store.pieces import Data
from ingestion.store.policies import Policy, gcs_policy
from ingestion.store.upload import OnState, State

PATIENCE_SECONDS = 60.0
CONNECTIONS = 64


class GcsPlace(BucketPlace):
    """The bucket of one GoogleCloudStorage. `retry` says how long a failed request is tried again."""

    in_order = True

    def __init__(self, storage: GoogleCloudStorage):
        super().__init__(storage)
        self.retry = DEFAULT_RETRY.with_timeout(PATIENCE_SECONDS)
        with gcs_errors("connect to Google Cloud Storage"):
            self.client, self.bucket = storage.client, storage.bucket
        self.http = requests.Session()  # for uploads alone: their address is all they need
        self.http.mount(self.client.api_endpoint, HTTPAdapter(pool_maxsize=CONNECTIONS))

    def blob(self, key: str) -> Blob:
        return self.bucket.blob(self.name(key))

    def check(self) -> None:
        """A listing: to look at the bucket itself takes a right that nothing else needs."""
        with gcs_errors(f"look at bucket {self.bucket.name}"):
            next(iter(self._listed(self.location, max_results=1)), None)

    def policy(self, days: int) -> Policy:
        return gcs_policy(self.bucket.name, self.location, days)

    def begin(self, key: str, *, part_size: int, content_type: str, metadata: Mapping[str, str], on_state: OnState | None) -> GcsUpload:
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

    def resume(self, state: State, on_state: OnState | None) -> GcsUpload | None:
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

    def url(self, key: str, *, disposition: str | None, seconds: int) -> str | None:
        """None where there is no key to sign with, as with an emulator. A machine's own account has Google sign it."""
        said = {"response_disposition": disposition} if disposition else {}
        try:
            with gcs_errors(f"sign an address of {key}"):
                return self.storage.url(key, parameters={"expiration": timedelta(seconds=seconds), **said})
        except AttributeError:  # how Google's libraries and django-storages say that these credentials sign nothing
            return None

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
        return io.BufferedReader(GcsReader(key, blob, first, last, retry=self.retry), READ_SIZE)
