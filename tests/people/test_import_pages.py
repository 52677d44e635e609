import re
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connections
from django.test import Client

from ingestion.models import DownloadSession
from people import import_pages
from people.enrolment import EnrolmentError
from people.import_report import OUTCOMES
from people.models import Channel, Person, SheetUpload
from people.sheets import read_sheet
from people.sheets.columns import NAMES
from people.sheets.samples import SAMPLES
from tests.factories import make_channel, make_person
from tests.people.importing import CONFIRM, IMPORT, LIST, confirmation, numbers, part, plain, upload
from tests.people.test_admin import said, sign_in
from tests.people.workbooks import make_workbook

pytestmark = pytest.mark.django_db

EXPORT = "/admin/people/person/export/"

calls: list[dict] = []


def remember(**kwargs) -> str:
    calls.append(kwargs)
    return "/admin/people/channel/"


def say_nothing(**kwargs) -> None:
    calls.append(kwargs)


@pytest.fixture(autouse=True)
def hook(settings):
    calls.clear()
    settings.AFTER_ENROLMENT = f"{__name__}.remember"
    return settings


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
    (call,) = calls
    assert call.pop("settings")["limit"] == (3 if name.endswith("json") else None)
    assert call == {"channels": [channel.pk], "source": name, "problems": [], "user": admin_user}
    assert not SheetUpload.objects.exclude(data=b"").exists()


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
    page = upload(admin_client, MIXED)
    assert "people.csv: 1 new, 1 changed, 1 unchanged, 3 not imported" in page.content.decode()
    groups = {outcome: plain(part(page, f"import-{outcome}")) for outcome in OUTCOMES}
    assert {outcome: numbers(part(page, f"import-{outcome}")) for outcome in OUTCOMES} == {
        "refused": [5, 6, 7],
        "changed": [3],
        "new": [2],
        "unchanged": [4],
    }
    assert "Row 5 not-an-email This is not an e-mail address." in groups["refused"]
    assert "This channel belongs to Same (same@x.org)" in groups["refused"]
    assert "Old https://www.youtube.com/@old type: teacher → pupil" in groups["changed"]
    assert "New https://www.youtube.com/@new email: new@x.org" in groups["new"]
    assert Person.objects.count() == 2


def test_good_rows_are_imported_although_others_are_refused(admin_client, known):
    done = admin_client.post(CONFIRM, confirmation(upload(admin_client, MIXED)))
    assert plain(said(done)[0]) == "Imported people.csv: 1 new, 1 changed, 1 unchanged, 3 not imported. Download the refused rows"
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
    assert (again.status_code, again["Location"], len(calls)) == (302, "/admin/people/channel/", 1)
    assert said(again)[-1] == "This sheet was imported already; nothing was done a second time."


def test_the_preview_of_a_sheet_that_was_imported_leads_to_what_came_of_it(admin_client):
    preview = upload(admin_client, FILES["people.csv"])
    admin_client.post(CONFIRM, confirmation(preview))
    assert admin_client.get(preview.request["PATH_INFO"])["Location"] == "/admin/people/channel/"


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
        assert list(pool.map(confirm, range(2))) == ["/admin/people/channel/"] * 2
    assert (Channel.objects.count(), len(calls)) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_two_people_import_the_same_sheet_at_once_and_every_channel_is_there_once(admin_client, client):
    sign_in(client, "import_person")
    rows = b"name,channel\n" + b"".join(b"Person %d,@person%d\n" % (number % 40, number) for number in range(200))
    sheets = [(one, confirmation(upload(one, rows))) for one in (admin_client, client)]
    barrier = Barrier(2)

    def confirm(sheet) -> list[str]:
        one, data = sheet
        barrier.wait()
        try:
            return said(one.post(CONFIRM, data))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        sentences = [sentence for said_to_one in pool.map(confirm, sheets) for sentence in said_to_one]
    assert sorted(sentences) == [
        "Imported people.csv: 0 new, 0 changed, 200 unchanged, 0 not imported.",
        "Imported people.csv: 200 new, 0 changed, 0 unchanged, 0 not imported.",
    ]
    assert (Channel.objects.count(), Person.objects.count(), len(calls)) == (200, 40, 2)


def test_an_import_that_others_disturb_can_be_confirmed_again(admin_client, monkeypatch):
    data = confirmation(upload(admin_client, FILES["people.csv"]))

    def disturbed(*_args, **_kwargs):
        raise EnrolmentError("Somebody else is changing the same people. Try again.")

    with monkeypatch.context() as patch:
        patch.setattr("people.resources.enrol", disturbed)
        disturbed_once = admin_client.post(CONFIRM, data)
        assert "Try again" in said(disturbed_once)[-1]
        assert disturbed_once["Location"] == f"{IMPORT}{data['upload']}/"
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


@pytest.mark.parametrize("page", ["", "refused.csv", "refused/"])
def test_an_upload_of_ones_own_is_closed_too_once_the_permission_is_taken_away(client, page):
    user = sign_in(client, "import_person")
    preview = upload(client, MIXED)
    user.user_permissions.clear()
    assert client.get(f"{preview.request['PATH_INFO']}{page}").status_code == 403
    assert client.post(CONFIRM, confirmation(preview)).status_code == 403
    assert client.get(f"{IMPORT}samples/people.csv").status_code == 403


def test_who_may_not_see_sessions_is_not_led_to_one(client, hook):
    hook.AFTER_ENROLMENT = "ingestion.api.start_after_import"
    sign_in(client, "import_person")
    done = client.post(CONFIRM, confirmation(upload(client, FILES["people.csv"])), follow=True)
    assert (done.status_code, done.request["PATH_INFO"], DownloadSession.objects.count()) == (200, IMPORT, 1)


def test_who_has_the_permission_imports_and_exports(client):
    sign_in(client, "view_person", "import_person", "export_person")
    page = client.get(LIST).content.decode()
    assert IMPORT in page
    assert EXPORT in page
    assert client.get(IMPORT).status_code == client.get(EXPORT).status_code == 200


def test_a_large_sheet_is_shown_in_part_and_imported_whole(admin_client):
    preview = upload(admin_client, b"channel\n" + b"".join(b"@name%d\n" % number for number in range(250)))
    assert numbers(part(preview, "import-new")) == list(range(2, 27))
    assert "Show all 250" in part(preview, "import-new")
    admin_client.post(CONFIRM, confirmation(preview))
    assert Channel.objects.count() == 250


def test_all_rows_of_a_group_are_on_pages_of_their_own(admin_client):
    preview = upload(admin_client, b"channel\n" + b"".join(b"@name%d\nnothing%d\n" % (number, number) for number in range(250)))
    address = preview.request["PATH_INFO"]
    pages = [admin_client.get(f"{address}refused/?page={page}") for page in (1, 2, 3)]
    assert [number for page in pages for number in numbers(part(page, "import-refused"))] == list(range(3, 502, 2))
    assert "Page 2 of 3" in pages[1].content.decode()
    assert numbers(part(admin_client.get(f"{address}new/?page=x"), "import-new"))[0] == 2
    assert admin_client.get(f"{address}nothing/").status_code == 404


def test_the_preview_of_ten_thousand_rows_of_all_kinds_is_small_and_takes_few_queries(admin_client, django_assert_max_num_queries):
    for number in range(30):
        person = make_person(name=f"Known {number}", email=f"known{number}@x.org", type="teacher")
        make_channel(person=person, canonical_url=f"https://www.youtube.com/@known{number}", url="")
    known = "".join(f"Known {n},known{n}@x.org,{'pupil' if n % 2 else 'teacher'},@known{n},{'n' * 300}\n" for n in range(30))
    others = "".join(f"Person {n},{'wrong' if n % 2 else f'p{n}@x.org'},pupil,@person{n},{'n' * 300}\n" for n in range(9970))
    with django_assert_max_num_queries(40):
        preview = upload(admin_client, f"name,email,type,channel,notes\n{known}{others}".encode())
    assert preview.context["report"].counts == {"refused": 4985, "changed": 30, "new": 4985, "unchanged": 0}
    assert len(preview.content) < 200_000
    with django_assert_max_num_queries(60):
        admin_client.post(CONFIRM, confirmation(preview))
    assert Channel.objects.count() == 5015


def test_a_row_that_repeats_a_channel_counts_as_unchanged_and_says_why(admin_client):
    preview = upload(admin_client, b"name,channel\nAnn,@ann\nAnn,youtube.com/@Ann\n")
    assert "1 new, 0 changed, 1 unchanged, 0 not imported" in preview.content.decode()
    assert "Row 3 youtube.com/@Ann This channel is already in row 2." in plain(part(preview, "import-unchanged"))


def test_what_concerns_the_whole_file_is_told_above_the_rows(admin_client):
    preview = upload(admin_client, b"name,channel,shoe size\nAnn,@ann,38\n")
    assert "The column “shoe size” is not known and was not read." in part(preview, "import-file-problems")


def test_the_page_of_the_upload_tells_what_each_column_holds(admin_client):
    page = admin_client.get(IMPORT)
    assert re.findall(r"<dt[^>]*>(\w+):</dt>", page.content.decode()) == sorted(NAMES, key=lambda name: TOLD.index(name))


TOLD = ["channel", "name", "email", "row_id", "type", "link", "notes"]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_can_be_downloaded_and_imported_as_it_is(admin_client, name):
    assert f"{IMPORT}samples/{name}" in admin_client.get(IMPORT).content.decode()
    sample = admin_client.get(f"{IMPORT}samples/{name}")
    assert f'filename="{name}"' in sample["Content-Disposition"]
    preview = upload(admin_client, sample.content, name)
    assert f"{name}: 3 new, 0 changed, 0 unchanged, 0 not imported" in preview.content.decode()
    assert (preview.context["report"].problems, preview.context["complaints"]) == ([], [])


def test_there_is_no_other_sample(admin_client):
    assert admin_client.get(f"{IMPORT}samples/other.csv").status_code == 404


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
