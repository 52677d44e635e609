"""Sheets that staff have uploaded. They wait in the database, where every web host finds them, for a day at most."""

from datetime import timedelta
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.utils import timezone

from people.models import SheetUpload
from people.sheets.sheet import clean_line

LIFETIME = timedelta(days=1)
LONGEST_NAME = 200
GONE = "This import was confirmed already, or its preview is too old. Nothing was imported now; upload the file again."


class UploadGone(Exception):
    """There is no such sheet any more, or never was; the message is a sentence for staff."""


def keep_upload(data: bytes, *, name: str, owner: AbstractBaseUser) -> SheetUpload:
    """Keep a sheet until it is confirmed; those that nobody confirmed in time go."""
    SheetUpload.objects.filter(created_at__lt=timezone.now() - LIFETIME).delete()
    return SheetUpload.objects.create(data=data, name=clean_line(name)[:LONGEST_NAME] or "sheet", owner=owner)


def find_upload(name: str, *, owner: AbstractBaseUser) -> SheetUpload:
    """The upload of this owner, confirmed ones among them. Raises `UploadGone` for any other, and when it is too old."""
    try:
        return SheetUpload.objects.get(pk=UUID(name), owner=owner.pk, created_at__gt=timezone.now() - LIFETIME)
    except (ValueError, SheetUpload.DoesNotExist) as exc:
        raise UploadGone(GONE) from exc


def claim_upload(upload: SheetUpload) -> bool:
    """Take it for the import of this transaction. Of two confirmations one gets True, the other waits for it and gets False."""
    return bool(SheetUpload.objects.filter(pk=upload.pk, confirmed_at=None).update(confirmed_at=timezone.now()))


def close_upload(upload: SheetUpload, *, page: str, keeps_data: bool) -> None:
    """Remember where the import led to; the sheet itself goes, unless its refused rows may still be downloaded."""
    changed = {"page": page} if keeps_data else {"page": page, "data": b""}
    SheetUpload.objects.filter(pk=upload.pk).update(**changed)
