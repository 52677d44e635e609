"""The bytes of an object in Google Cloud Storage. Imported only where such a bucket is in use."""

import io

from google.api_core.retry import Retry
from google.cloud.storage import Blob

from ingestion.store.gcs_border import TIMEOUT, gcs_errors

READ_SIZE = 4 << 20


class GcsReader(io.RawIOBase):
    """Bytes first..last of one generation of an object, by a request for each buffer."""

    def __init__(self, key: str, blob: Blob, first: int, last: int, *, retry: Retry):
        self._key, self._blob, self._retry = key, blob, retry
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
                retry=self._retry,
            )
        buffer[: len(block)] = block
        self._next += len(block)
        return len(block)
