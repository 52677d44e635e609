"""Sheets that a preview has shown and that wait, for a day at most, to be confirmed."""

import re
from datetime import timedelta
from uuid import uuid4

from django.core import signing
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone
from import_export.tmp_storages import BaseStorage

FOLDER = "imports"
LIFETIME = timedelta(days=1)
SALT = "people.uploads"
GONE = "This import was confirmed already, or its preview is too old. Nothing was imported now; upload the file again."


class UploadGone(Exception):
    """There is no such sheet any more, or never was; the message is a sentence for staff."""


class UploadStorage(BaseStorage):
    """One upload; `name` is made by `save`. No name can lead out of the folder."""

    def save(self, data: bytes) -> None:
        sweep()
        self.name = uuid4().hex
        default_storage.save(self._path(), ContentFile(data))

    def read(self) -> bytes:
        """Raises `UploadGone`."""
        try:
            with default_storage.open(self._path()) as file:
                return file.read()
        except FileNotFoundError as exc:
            raise UploadGone(GONE) from exc

    def remove(self) -> None:
        default_storage.delete(self._path())

    def _path(self) -> str:
        if not re.fullmatch(r"[0-9a-f]{32}", self.name or ""):
            raise UploadGone(GONE)
        return f"{FOLDER}/{self.name}"


def seal(name: str, *, source: str, user_id: int) -> str:
    """A token for the confirmation form: which upload, the file's own name, and who may confirm it."""
    return signing.dumps([name, source[:200], user_id], salt=SALT)


def unseal(token: str, *, user_id: int) -> tuple[str, str]:
    """The upload's name and its file's own name. Raises `UploadGone` for what was not sealed for this user, or too long ago."""
    try:
        name, source, owner = signing.loads(token, salt=SALT, max_age=LIFETIME)
    except signing.BadSignature as exc:
        raise UploadGone(GONE) from exc
    if owner != user_id:
        raise UploadGone(GONE)
    return name, source


def sweep() -> None:
    """Remove the uploads nobody has confirmed in time."""
    if not default_storage.exists(FOLDER):
        return
    oldest = timezone.now() - LIFETIME
    for name in default_storage.listdir(FOLDER)[1]:
        try:
            if default_storage.get_modified_time(f"{FOLDER}/{name}") < oldest:
                default_storage.delete(f"{FOLDER}/{name}")
        except FileNotFoundError:  # somebody else swept it
            continue
