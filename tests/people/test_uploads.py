"""Uploads wait in the database, each for its owner alone and for a day."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.core.files.storage import default_storage
from django.db import connection
from django.utils import timezone

from people import uploads
from people.models import Person, SheetUpload
from tests.people.importing import CONFIRM, IMPORT, confirmation, upload
from tests.people.test_admin import said, sign_in

pytestmark = pytest.mark.django_db

SHEET = b"name,email,channel\nAnn,ann@x.org,@ann\nBob,wrong,@bob\n"
MADE_UP = ["", "x", "../../etc/passwd", "0" * 32, "e0cb25f5-d707-4600-bc8c-45743940a0a9", "{}", "\0", "é" * 500]


def age(name: str, by: timedelta) -> None:
    SheetUpload.objects.filter(pk=name).update(created_at=timezone.now() - by)


def test_an_upload_lies_in_the_database_and_in_no_folder_of_the_host(admin_client):
    data = confirmation(upload(admin_client, SHEET))
    with connection.cursor() as cursor:
        cursor.execute("SELECT data, name FROM people_sheetupload WHERE id = %s", [data["upload"]])
        stored, name = cursor.fetchone()
    assert (bytes(stored), name) == (SHEET, "people.csv")
    assert not default_storage.exists("imports")


@pytest.mark.parametrize("name", MADE_UP)
def test_a_made_up_confirmation_is_refused(admin_client, name):
    response = admin_client.post(CONFIRM, {"upload": name})
    assert (response.status_code, response["Location"]) == (302, IMPORT)
    assert said(response)[-1].startswith("This import was confirmed already, or its preview is too old.")


@pytest.mark.parametrize("page", ["", "refused.csv", "refused/"])
@pytest.mark.parametrize("name", ["x", "0" * 32, "%00"])
def test_the_pages_of_an_upload_that_never_was_lead_back_to_the_upload(admin_client, name, page):
    assert admin_client.get(f"{IMPORT}{name}/{page}")["Location"] == IMPORT


def test_nobody_sees_or_confirms_what_somebody_else_has_uploaded(admin_client, client):
    preview = upload(admin_client, SHEET)
    sign_in(client, "import_person")
    for page in ("", "refused.csv", "refused/"):
        assert client.get(f"{preview.request['PATH_INFO']}{page}")["Location"] == IMPORT
    assert said(client.post(CONFIRM, confirmation(preview)))[-1].startswith("This import was confirmed already")
    assert not Person.objects.exists()


def test_an_old_preview_has_expired(admin_client):
    preview = upload(admin_client, SHEET)
    data = confirmation(preview)
    age(data["upload"], uploads.LIFETIME)
    assert "too old" in said(admin_client.post(CONFIRM, data))[-1]
    assert admin_client.get(preview.request["PATH_INFO"])["Location"] == IMPORT
    assert not Person.objects.exists()


def test_uploads_nobody_confirmed_are_swept_with_the_next_one(admin_client):
    old, young = (confirmation(upload(admin_client, SHEET))["upload"] for _ in range(2))
    age(old, uploads.LIFETIME + timedelta(seconds=1))
    newest = confirmation(upload(admin_client, SHEET))["upload"]
    assert {str(pk) for pk in SheetUpload.objects.values_list("pk", flat=True)} == {young, newest}


def test_what_was_imported_whole_is_not_kept_and_what_was_refused_only_as_long_as_it_may_be_downloaded(admin_client):
    whole = confirmation(upload(admin_client, b"name,channel\nAnn,@ann\n"))
    partly = confirmation(upload(admin_client, SHEET))
    for data in (whole, partly):
        admin_client.post(CONFIRM, data)
    kept = {str(one.pk): bytes(one.data) for one in SheetUpload.objects.all()}
    assert kept == {whole["upload"]: b"", partly["upload"]: SHEET}


def test_uploads_have_no_permissions_that_could_be_given():
    assert not Permission.objects.filter(content_type__model="sheetupload").exists()
