import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections
from django.test import Client
from django.utils import timezone

from people import import_pages, uploads
from people.enrolment import EnrolmentError
from people.models import Channel, Person
from people.sheets import read_sheet
from tests.factories import make_channel, make_person
from tests.people.test_admin import said, sign_in
from tests.people.workbooks import make_workbook

pytestmark = pytest.mark.django_db

IMPORT = "/admin/people/person/import/"
CONFIRM = "/admin/people/person/process_import/"
EXPORT = "/admin/people/person/export/"
LIST = "/admin/people/person/"

calls: list[dict] = []


def remember(**kwargs) -> str:
    calls.append(kwargs)
    return "/admin/people/channel/"


def say_nothing(**kwargs) -> None:
    calls.append(kwargs)


@pytest.fixture(autouse=True)
def hook(settings, tmp_path):
    calls.clear()
    settings.AFTER_ENROLMENT = f"{__name__}.remember"
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": tmp_path}},
    }
    return settings


def upload(client, data: bytes, name: str = "people.csv"):
    return client.post(IMPORT, {"import_file": SimpleUploadedFile(name, data), "format": "0", "resource": "0"})


def confirmation(response) -> dict[str, str]:
    """What the browser sends when staff confirm the preview; empty when there is nothing to confirm."""
    page = response.content.decode()
    form = re.search(rf'<form action="{CONFIRM}".*?</form>', page, re.DOTALL)
    return dict(re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)"', form[0])) if form else {}


FILES = {
    "people.csv": b"name,email,channel\nAnn,ann@x.org,@ann\n",
    "people.json": b'{"channels": [{"name": "Ann", "email": "ann@x.org", "channel": "@ann"}], "settings": {"limit": 3}}',
    "people.xlsx": make_workbook([["name", "email", "channel"], ["Ann", "ann@x.org", "@ann"]]),
}


@pytest.mark.parametrize("name", FILES)
def test_a_sheet_is_shown_first_and_imported_when_confirmed(admin_client, admin_user, name):
    preview = upload(admin_client, FILES[name], name)
    page = preview.content.decode()
    assert f"{name}: 1 new, 0 changed, 0 unchanged, 0 not imported" in page
    assert "https://www.youtube.com/@ann" in page
    assert not Person.objects.exists()
    done = admin_client.post(CONFIRM, confirmation(preview))
    channel = Channel.objects.get()
    assert (done.status_code, done["Location"]) == (302, "/admin/people/channel/")
    assert said(done) == [f"Imported {name}: 1 new, 0 changed, 0 unchanged, 0 not imported."]
    expected = {"limit": 3} if name.endswith("json") else {}
    assert calls == [{"channels": [channel.pk], "source": name, "problems": [], "settings": expected, "user": admin_user}]


def test_text_is_imported_too_and_people_are_named_after_their_handles(admin_client):
    admin_client.post(CONFIRM, confirmation(upload(admin_client, b"@ann # ours\n@bob\n", "list.txt")))
    assert sorted(Person.objects.values_list("name", flat=True)) == ["@ann", "@bob"]


MIXED = b"""name,email,type,channel
New,new@x.org,,@new
Old,old@x.org,pupil,https://www.youtube.com/@old
Same,same@x.org,,https://www.youtube.com/@same
Bad,not-an-email,,@bad
Thief,thief@x.org,,https://www.youtube.com/@same2
Typo,typo@x.org,,htps:/youtube
"""


@pytest.fixture
def known():
    for name in ("old", "same"):
        person = make_person(name=name.title(), email=f"{name}@x.org", type="teacher")
        make_channel(person=person, canonical_url=f"https://www.youtube.com/@{name}")
    make_channel(person=person, canonical_url="https://www.youtube.com/@same2")


def test_the_preview_tells_row_by_row_what_would_happen(admin_client, known):
    page = upload(admin_client, MIXED).content.decode()
    assert "people.csv: 1 new, 1 changed, 1 unchanged, 3 not imported" in page
    problems, rows = (re.search(f'id="{part}".*?</table>', page, re.DOTALL)[0] for part in ("import-problems", "import-rows"))
    assert numbers(problems) == ["5", "6", "7"]
    assert numbers(rows) == ["2", "3", "4"]
    assert "This is not an e-mail address" in problems
    assert "This channel belongs to Same (same@x.org)" in problems
    assert "type: teacher → pupil" in rows
    assert Person.objects.count() == 2


def test_good_rows_are_imported_although_others_are_refused(admin_client, known):
    done = admin_client.post(CONFIRM, confirmation(upload(admin_client, MIXED)))
    assert said(done) == ["Imported people.csv: 1 new, 1 changed, 1 unchanged, 3 not imported."]
    assert set(Person.objects.values_list("name", "type")) == {("New", ""), ("Old", "pupil"), ("Same", "teacher")}
    assert [(problem["source"], problem["row"]) for problem in calls[0]["problems"]] == [("people.csv", row) for row in (5, 6, 7)]
    assert len(calls[0]["channels"]) == 3
    history = LogEntry.objects.order_by("object_repr").values_list("object_repr", "action_flag", "change_message")
    assert list(history) == [("New", 1, "Imported from people.csv."), ("Old", 2, "Imported from people.csv.")]


def test_importing_the_same_file_again_changes_nothing_but_starts_again(admin_client):
    for _ in range(2):
        done = admin_client.post(CONFIRM, confirmation(upload(admin_client, FILES["people.csv"])))
    assert said(done)[-1] == "Imported people.csv: 0 new, 0 changed, 1 unchanged, 0 not imported."
    assert (Channel.objects.count(), len(calls)) == (1, 2)


UNUSABLE = {
    "empty.csv": (b"", "The submitted file is empty."),
    "blank.csv": (b" \n", "The file is empty."),
    "headless.csv": (b"a,b\n1,2\n", "The first row is not a header."),
    "broken.json": (b'{"channels": [', "This is not valid JSON"),
    "broken.xlsx": (b"PK\x03\x04broken", "This is not an Excel workbook"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_file_of_which_nothing_can_be_used_is_refused_in_words(admin_client, name):
    data, message = UNUSABLE[name]
    response = upload(admin_client, data, name)
    assert (response.status_code, confirmation(response)) == (200, {})
    assert message in response.content.decode()


def test_a_file_that_is_too_big_is_refused_before_it_is_read(admin_client, monkeypatch):
    monkeypatch.setattr(import_pages, "MAX_BYTES", 10)
    assert "Split it" in upload(admin_client, FILES["people.csv"]).content.decode()


def test_a_sheet_of_which_no_row_is_good_can_not_be_confirmed(admin_client):
    response = upload(admin_client, b"name,channel\nAnn,nope\n")
    assert confirmation(response) == {}
    assert "1 not imported" in response.content.decode()


def test_what_stands_in_a_file_can_not_run_in_the_browser(admin_client):
    page = upload(admin_client, b"name,channel\n<script>1</script>,@ann\n<i>,<script>2\n", "<b>.csv").content.decode()
    assert "<script>1" not in page
    assert "<script>2" not in page
    assert "<b>.csv" not in page


def test_a_second_confirmation_does_nothing_and_says_so(admin_client):
    data = confirmation(upload(admin_client, FILES["people.csv"]))
    admin_client.post(CONFIRM, data)
    again = admin_client.post(CONFIRM, data)
    assert (again.status_code, again["Location"], len(calls)) == (302, IMPORT, 1)
    assert said(again)[-1].startswith("This import was confirmed already")


@pytest.mark.django_db(transaction=True)
def test_of_two_confirmations_at_once_one_counts(admin_client):
    data = confirmation(upload(admin_client, FILES["people.csv"]))
    barrier = Barrier(2)

    def confirm(_number: int) -> str:
        client = Client()
        client.cookies = admin_client.cookies
        barrier.wait()
        try:
            return client.post(CONFIRM, data)["Location"]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(confirm, range(2))) == ["/admin/people/channel/", IMPORT]
    assert (Channel.objects.count(), len(calls)) == (1, 1)


@pytest.mark.parametrize("token", ["", "../../etc/passwd", "0" * 32, "a:b:c"])
def test_a_made_up_confirmation_is_refused(admin_client, token):
    response = admin_client.post(CONFIRM, {"import_file_name": token, "original_file_name": "x", "format": "0"})
    assert (response.status_code, response["Location"]) == (302, IMPORT)
    assert said(response)[-1].startswith("This import was confirmed already")


def test_nobody_confirms_what_somebody_else_has_uploaded(admin_client, client):
    data = confirmation(upload(admin_client, FILES["people.csv"]))
    sign_in(client, "import_person")
    assert said(client.post(CONFIRM, data))[-1].startswith("This import was confirmed already")
    assert not Person.objects.exists()


def test_a_sealed_name_can_not_lead_out_of_the_folder(admin_client, admin_user):
    token = uploads.seal("../secret", source="x", user_id=admin_user.pk)
    assert admin_client.post(CONFIRM, {"import_file_name": token})["Location"] == IMPORT


def test_an_old_preview_has_expired(admin_client, monkeypatch):
    data = confirmation(upload(admin_client, FILES["people.csv"]))
    monkeypatch.setattr(uploads, "LIFETIME", timedelta(seconds=-1))
    assert "too old" in said(admin_client.post(CONFIRM, data))[-1]


def test_uploads_nobody_confirmed_are_swept(admin_client, monkeypatch, tmp_path):
    default_storage.save("imports/" + "a" * 32, ContentFile(b"x"))
    upload(admin_client, FILES["people.csv"])
    assert len(list((tmp_path / "imports").iterdir())) == 2
    later = timezone.now() + timedelta(days=2)
    monkeypatch.setattr(uploads.timezone, "now", lambda: later)
    uploads.sweep()
    assert list((tmp_path / "imports").iterdir()) == []


def test_an_import_that_others_disturb_can_be_confirmed_again(admin_client, monkeypatch):
    data = confirmation(upload(admin_client, FILES["people.csv"]))

    def disturbed(*_args, **_kwargs):
        raise EnrolmentError("Somebody else is changing the same people. Try again.")

    with monkeypatch.context() as patch:
        patch.setattr("people.resources.enrol", disturbed)
        assert "Try again" in said(admin_client.post(CONFIRM, data))[-1]
    assert admin_client.post(CONFIRM, data).status_code == 302
    assert Person.objects.count() == 1


@pytest.mark.parametrize("path", [None, f"{__name__}.say_nothing"])
def test_without_a_page_to_go_to_staff_see_the_list(admin_client, hook, path):
    hook.AFTER_ENROLMENT = path
    done = admin_client.post(CONFIRM, confirmation(upload(admin_client, FILES["people.csv"])))
    assert done["Location"] == LIST


def test_a_get_confirms_nothing(admin_client):
    assert admin_client.get(CONFIRM).status_code == 405


@pytest.mark.parametrize("page", [IMPORT, EXPORT])
def test_import_and_export_want_permissions_of_their_own(client, page):
    sign_in(client, "view_person", "add_person", "change_person")
    assert client.get(page).status_code == 403
    assert client.post(page).status_code == 403
    assert client.post(CONFIRM).status_code == 403
    assert page not in client.get(LIST).content.decode()


def test_who_has_the_permission_imports_and_exports(client):
    sign_in(client, "view_person", "import_person", "export_person")
    page = client.get(LIST).content.decode()
    assert IMPORT in page
    assert EXPORT in page
    assert client.get(IMPORT).status_code == client.get(EXPORT).status_code == 200


def test_a_large_sheet_is_shown_in_part_and_imported_whole(admin_client):
    preview = upload(admin_client, b"channel\n" + b"".join(b"@name%d\n" % number for number in range(700)))
    page = preview.content.decode()
    assert "200 more are not shown here" in page
    assert len(numbers(page)) == 500
    admin_client.post(CONFIRM, confirmation(preview))
    assert Channel.objects.count() == 700


EXPORTS = {"0": "people.csv", "1": "people.xlsx", "2": "people.json"}


@pytest.mark.parametrize("form", EXPORTS)
def test_what_is_exported_can_be_imported_again_unchanged(admin_client, form):
    make_channel(person=make_person(name="=1+1", notes="@two\r\nlines, \"quoted\"; and 'more'", type="-", source_link="https://x.org/?a=1"))
    make_channel(person=make_person(name="'=x", email="", row_id="007"), canonical_url="https://www.youtube.com/@日本語")
    person = make_person(name="@handle  with  blanks", email="")
    for kind, url in (("playlist", "playlist?list=PL0123456789abcdef"), ("video", "watch?v=dQw4w9WgXcQ")):
        make_channel(person=person, kind=kind, canonical_url=f"https://www.youtube.com/{url}", external_id=url.partition("=")[2])
    response = admin_client.post(EXPORT, {"format": form, "resource": "0"})
    assert response.status_code == 200
    before = list(Person.objects.order_by("pk").values()), list(Channel.objects.order_by("pk").values())
    preview = upload(admin_client, response.content, EXPORTS[form])
    assert f"{EXPORTS[form]}: 0 new, 0 changed, 4 unchanged, 0 not imported" in preview.content.decode()
    admin_client.post(CONFIRM, confirmation(preview))
    assert (list(Person.objects.order_by("pk").values()), list(Channel.objects.order_by("pk").values())) == before


def test_no_cell_of_an_export_runs_as_a_formula(admin_client):
    for start in "=+-@":
        make_channel(person=make_person(name=f"{start}cmd|' /C calc'!A0"))
    data = admin_client.post(EXPORT, {"format": "0", "resource": "0"}).content.decode("utf-8-sig")
    assert data.count("'=cmd") == data.count("'@cmd") == 1
    assert not re.search(r"(^|,|\")[=+\-@]", data, re.MULTILINE)


def test_an_export_keeps_to_the_filter_of_the_list_and_to_who_has_no_channel(admin_client):
    make_person(name="Ann", type="teacher")
    make_channel(person=make_person(name="Bob", type="pupil"))
    response = admin_client.post(f"{EXPORT}?type=teacher", {"format": "2", "resource": "0"})
    assert [row["name"] for row in response.json()] == ["Ann"]
    assert read_sheet(response.content, "a.json").problems[0].message.startswith("There is no channel in this row")


def numbers(page: str) -> list[str]:
    """The first cell of each row."""
    return re.findall(r"<tr[^>]*>\s*<td[^>]*>(\d+)</td>", page)
