"""What a storage is found to hold when it is listed."""

from datetime import datetime
from typing import Any, NamedTuple


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
