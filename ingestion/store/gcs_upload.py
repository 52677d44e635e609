"""An upload into Google Cloud Storage: one of its resumable sessions.

Its address and the number of bytes that Google has are all that another host needs. Bytes go in one after the other, in
multiples of 256 KiB; what is less waits for more, or for the end.
https://cloud.google.com/storage/docs/performing-resumable-uploads

Imported only where such a bucket is in use.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import google_crc32c
import requests
from google.cloud.storage.exceptions import InvalidResponse

from ingestion.errors import TransientError
from ingestion.store.border import storage_error
from ingestion.store.checksums import Part, Stored, crc32_header, whole_crc32c
from ingestion.store.gcs_border import GONE, TIMEOUT, gcs_errors
from ingestion.store.pieces import Data, blocks_of, part_of
from ingestion.store.upload import OnState, State, Upload

if TYPE_CHECKING:
    from ingestion.store.gcs import GcsPlace

GRANULE = 256 << 10


class GcsUpload(Upload):
    """A resumable session. `etag` of a part is its CRC-32C; the last request claims that of the whole."""

    def __init__(self, place: "GcsPlace", state: State, on_state: OnState | None, *, held: int):
        super().__init__(place, state, on_state=on_state, in_order=True)
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
        crc32c = crc32_header(whole_crc32c((int(part.etag, 16), part.size) for part in parts))
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
