"""Reports as files: read back by programs that know the format, without formulas, and without being held in memory."""

import csv
import io
import json
import zipfile
from contextlib import closing
from datetime import date, timedelta

import openpyxl
import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.signals import request_finished
from django.db import close_old_connections, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from ingestion.errors import KINDS
from ingestion.exports import videos as exported
from ingestion.exports import workbook
from ingestion.exports.answers import table_answer
from ingestion.exports.videos import COLUMNS, video_rows
from ingestion.exports.workbook import Table, workbook_chunks
from ingestion.exports.writing import csv_chunks, json_chunks
from ingestion.models import Limits
from ingestion.reports import report_chunks, report_parts, session_report
from people.formats import MARK
from tests.factories import make_asset, make_channel, make_person, make_scan, make_session, make_video
from tests.pages import groups_of_roles, list_of, page_of, staff_with
from videos.models import Video

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("downloads_in_the_tests_transaction")]

FORMATS = ("csv", "xlsx", "json")
LATER = timedelta(hours=1)


def download(client: Client, form: str, videos=(), *, query: str = "", everything: bool = False):
    data = {"action": f"download_{form}", "_selected_action": [video.pk for video in videos], "select_across": "1" if everything else "0"}
    return client.post(list_of(Video) + query, data)


def report_of(session, form: str) -> str:
    return reverse("admin:ingestion_downloadsession_report", args=[session.pk, form])


def content(response) -> bytes:
    assert response.streaming and response.status_code == 200
    return b"".join(response)


def rows_of(form: str, body: bytes, sheet: str = "Videos") -> list[dict]:
    """As another program reads the file, blank cells as ""."""
    if form == "json":
        return [{name: "" if value is None else value for name, value in row.items()} for row in json.loads(body)]
    if form == "csv":
        assert body.startswith(MARK.encode())
        return list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline="")))
    header, *rows = openpyxl.load_workbook(io.BytesIO(body))[sheet].values
    return [dict(zip(header, ("" if value is None else value for value in row), strict=True)) for row in rows]


def make_stored(**over) -> Video:
    person = make_person(name="Ann")
    channel = make_channel(person=person, title="Her channel", canonical_url="https://www.youtube.com/@ann")
    fields = {"title": "A film", "status": "stored", "file_size": 700, "duration": 65, "height": 1080, "container": "mp4", "attempts": 2}
    dates = {"upload_date": date(2020, 2, 29), "upload_date_is_exact": True, "stored_at": timezone.now()}
    return make_video(**{"channel": channel, **fields, **dates, **over})


# --- what stands in a file


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_tells_in_words_what_became_of_each_video(admin_client, form):
    session = make_session()
    stored = make_stored(session=session, crc32="00000001")
    private = make_video(status="unavailable", error_kind="private", upload_date=date(2019, 5, 1))
    first, second = rows_of(form, content(download(admin_client, form, [private, stored])))
    assert list(first) == list(COLUMNS)
    assert (first["person"], first["channel"], first["title"], first["status"]) == ("Ann", "Her channel", "A film", "Stored")
    assert first["link"] == f"https://www.youtube.com/watch?v={stored.external_id}"
    assert [str(first[name]) for name in ("number", "bytes", "seconds", "height", "attempts", "session")] == [
        *(str(stored.pk), "700", "65", "1080", "2", str(session.pk))
    ]
    assert (first["uploaded"], first["format"], first["key"], first["checksum"], first["crc32"]) == (
        *("2020-02-29", "mp4", stored.storage_key, stored.checksum, "00000001"),
    )
    assert first["stored"][:10] == timezone.localdate().isoformat() and first["why"] == first["advice"] == ""
    kind = KINDS["private"]
    assert (second["status"], second["why"], second["advice"]) == ("Unavailable", kind.meaning, kind.advice)
    assert (second["uploaded"], second["bytes"], second["session"]) == ("about 2019-05-01", "", "")


def test_a_file_says_what_holds_a_video_as_its_list_does(admin_client):
    Limits.row()
    make_video(session=make_session(state="paused"))
    make_video(wanted="pause")
    make_video(channel=make_channel(state="paused"))
    make_video(next_attempt_at=timezone.now() + LATER)
    rows = rows_of("json", content(download(admin_client, "json", Video.objects.all())))
    assert [row["status"] for row in rows] == ["Paused with its session", "Paused", "Paused with its channel", "Waiting"]
    Limits.objects.update(paused=True)
    assert rows_of("json", content(download(admin_client, "json", [make_video()])))[0]["status"] == "Paused with everything"


@pytest.mark.parametrize("form", ["csv", "xlsx"])
@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "'=", "\uff1d"])
def test_no_cell_runs_as_a_formula(admin_client, form, start):
    evil = f'{start}HYPERLINK("http://evil")'
    person = make_person(name=evil)
    make_stored(title=evil, channel=make_channel(person=person, title=evil))
    body = content(download(admin_client, form, Video.objects.all()))
    (row,) = rows_of(form, body)
    assert {row[name] for name in ("person", "channel", "title")} == {f"'{evil}" if form == "csv" else evil}
    if form == "xlsx":
        cells = [cell for line in openpyxl.load_workbook(io.BytesIO(body))["Videos"].iter_rows() for cell in line]
        assert "f" not in {cell.data_type for cell in cells}


@pytest.mark.parametrize("form", FORMATS)
def test_odd_titles_come_through_whole(admin_client, form):
    title = 'Quotes "and", commas; <tags> & ampersands\nand lines, ünïcödé 🎬'
    make_stored(title=title)
    assert rows_of(form, content(download(admin_client, form, Video.objects.all())))[0]["title"] == title


def test_characters_that_no_workbook_may_hold_are_left_out(admin_client):
    make_stored(title="a\x01b\x1fc\uffffd")
    assert rows_of("xlsx", content(download(admin_client, "xlsx", Video.objects.all())))[0]["title"] == "abcd"


def test_a_cell_that_is_too_long_for_a_workbook_is_cut_and_says_so():
    body = b"".join(workbook_chunks([Table("Long", ["text"], [["x" * 40_000]])]))
    (row,) = rows_of("xlsx", body, "Long")
    assert len(row["text"]) == workbook.MOST_CHARACTERS and row["text"].endswith("x…")


@pytest.mark.parametrize(("form", "chunks"), [("csv", csv_chunks), ("json", json_chunks)])
def test_a_file_without_rows_is_whole(form, chunks):
    assert rows_of(form, b"".join(chunks(["a", "b"], []))) == []


def test_a_workbook_without_rows_has_its_heading():
    assert rows_of("xlsx", b"".join(workbook_chunks([Table("Videos", ["a", "b"], [])]))) == []


@pytest.mark.parametrize("limit", ["MOST_ROWS", "MOST_BYTES"])
def test_rows_that_do_not_fit_on_a_sheet_go_on_in_the_next(monkeypatch, limit):
    monkeypatch.setattr(workbook, limit, {"MOST_ROWS": 4, "MOST_BYTES": 700}[limit])
    body = b"".join(workbook_chunks([Table("Videos", ["number"], ([n] for n in range(10))), Table("Others", ["word"], [["last"]])]))
    book = openpyxl.load_workbook(io.BytesIO(body))
    *parts, others = book.sheetnames
    assert parts[:2] == ["Videos", "Videos 2"] and others == "Others"
    assert [book[name]["A1"].value for name in parts] == ["number"] * len(parts)
    assert [row[0] for name in parts for row in book[name].iter_rows(min_row=2, values_only=True)] == list(range(10))
    assert book["Others"]["A2"].value == "last"
    assert zipfile.ZipFile(io.BytesIO(body)).testzip() is None


def test_a_sheet_that_is_just_full_has_no_empty_one_after_it(monkeypatch):
    monkeypatch.setattr(workbook, "MOST_ROWS", 4)
    body = b"".join(workbook_chunks([Table("Videos", ["number"], [[1], [2], [3]])]))
    assert openpyxl.load_workbook(io.BytesIO(body)).sheetnames == ["Videos"]


# --- which videos


def test_all_that_the_filters_find_is_in_the_file_and_nothing_else(admin_client):
    failed = [make_video(status="failed"), make_video(status="failed")]
    make_video(status="stored")
    response = download(admin_client, "json", failed[:1], query="?status__exact=failed", everything=True)
    assert [row["number"] for row in rows_of("json", content(response))] == [video.pk for video in failed]
    assert f"videos-filtered-{timezone.localdate().isoformat()}.json" in response["Content-Disposition"]


def test_the_file_is_named_by_what_it_holds_and_saved(admin_client):
    video = make_video()
    names = [
        download(admin_client, "csv", [video])["Content-Disposition"],
        download(admin_client, "xlsx", [video], query="?o=-8", everything=True)["Content-Disposition"],
    ]
    today = timezone.localdate().isoformat()
    assert names == [f'attachment; filename="videos-selected-{today}.csv"', f'attachment; filename="videos-all-{today}.xlsx"']


def test_the_page_of_a_video_has_no_button_for_a_file(admin_client):
    shown = admin_client.get(page_of(make_video())).context["page_actions"]
    assert not [button["name"] for button in shown["buttons"] if button["name"].startswith("download_")]


# --- who may


@pytest.fixture
def viewer() -> Client:
    user = User.objects.create_user("looks", is_staff=True)
    user.groups.add(groups_of_roles()["Viewer"])
    client = Client()
    client.force_login(user)
    return client


def test_a_viewer_is_offered_the_files_and_gets_them(viewer):
    video, session = make_stored(), make_session()
    assert viewer.get(list_of(Video)).text.count("Download as ") == 3
    assert len(rows_of("csv", content(download(viewer, "csv", [video])))) == 1
    assert report_of(session, "xlsx") in viewer.get(page_of(session)).text
    assert content(viewer.get(report_of(session, "json")))


def test_who_may_not_see_videos_gets_no_report_of_a_session(client):
    session = make_session()
    client.force_login(staff_with("view_downloadsession"))
    assert report_of(session, "csv") not in client.get(page_of(session)).text
    assert {client.get(report_of(session, form)).status_code for form in FORMATS} == {403}


def test_who_may_not_see_assets_gets_no_report_that_tells_of_them(client):
    session = make_session()
    client.force_login(staff_with("view_downloadsession", "view_video"))
    assert [client.get(report_of(session, form)).status_code for form in FORMATS] == [200, 200, 403]
    shown = client.get(page_of(session)).text
    assert report_of(session, "json") not in shown and report_of(session, "csv") in shown


def test_who_may_not_see_sessions_gets_no_report_either(client):
    client.force_login(staff_with("view_video"))
    assert client.get(report_of(make_session(), "csv")).status_code == 403


def test_a_report_in_an_unknown_format_or_of_no_session_is_not_there(admin_client):
    assert admin_client.get(report_of(make_session(), "exe")).status_code == 404
    assert admin_client.get(reverse("admin:ingestion_downloadsession_report", args=[999_999, "csv"])).status_code == 404


# --- the report of a session


@pytest.fixture
def session():
    session = make_session(problems=[{"source": "s.csv", "row": 7, "value": "=x", "message": "No channel.", "is_note": False}])
    channel = make_channel(title="ünï")
    make_scan(session=session, channel=channel, state="done", seen=5, left_alone={"removed": 1})
    make_scan(session=session, state="failed", error_kind="terminated")
    for number in range(3):
        video = make_video(session=session, channel=channel, status="stored", title=f'"{number}"\n<b>')
        make_asset(video=video, session=session, status="stored")
    make_video(session=session, channel=channel, status="unavailable", error_kind="private")
    make_asset(video=make_video(status="stored"), session=session, status="failed", error_kind="network")
    session.refresh_from_db()
    return session


def test_the_json_is_the_report_to_the_byte(admin_client, session):
    whole = json.dumps(session_report(session), indent=1, ensure_ascii=False) + "\n"
    body = content(admin_client.get(report_of(session, "json")))
    assert body.decode() == whole
    assert len(json.loads(body)["videos"]) == 4 and len(json.loads(body)["completed"]) == 1


def test_the_report_of_an_empty_session_is_the_same_to_the_byte():
    session = make_session()
    written = b"".join(report_chunks(report_parts(session))).decode()
    assert written == json.dumps(session_report(session), indent=1, ensure_ascii=False) + "\n"


def test_the_csv_holds_the_sessions_videos(admin_client, session):
    rows = rows_of("csv", content(admin_client.get(report_of(session, "csv"))))
    assert [int(row["number"]) for row in rows] == list(session.videos.order_by("pk").values_list("pk", flat=True))


def test_the_workbook_has_a_sheet_for_each_part_of_the_report(admin_client, session):
    body = content(admin_client.get(report_of(session, "xlsx")))
    report = session_report(session)
    sheets = openpyxl.load_workbook(io.BytesIO(body)).sheetnames
    assert sheets == ["Summary", "Videos", "Channels", "What went wrong", "Rows refused and notes"]
    assert [row["status"] for row in rows_of("xlsx", body)] == ["Stored"] * 3 + ["Unavailable"]
    assert {row["what"]: row["number"] for row in rows_of("xlsx", body, "Summary")} == {
        name.replace("_", " "): count for name, count in report["totals"].items()
    }
    assert [row["title"] for row in rows_of("xlsx", body, "Channels")] == [row["title"] for row in report["channels"]]
    assert [row["kind"] for row in rows_of("xlsx", body, "What went wrong")] == [row["kind"] for row in report["failures"]]
    assert [(row["row"], row["value"]) for row in rows_of("xlsx", body, "Rows refused and notes")] == [(7, "=x")]


# --- streaming


def cursors() -> list[str]:
    """The queries that the database has open for us at this moment."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_cursors WHERE name <> ''")
        return [statement for (statement,) in cursor.fetchall()]


@pytest.fixture
def seen(monkeypatch) -> list[int]:
    """The numbers of the videos that were read, as they are read; ten at a time."""
    monkeypatch.setattr(exported, "AT_ONCE", 10)
    read: list[int] = []
    from_db = Video.from_db.__func__

    def noting(cls, *row):
        video = from_db(cls, *row)
        read.append(video.pk)
        return video

    monkeypatch.setattr(Video, "from_db", classmethod(noting))
    return read


def test_rows_are_read_through_a_cursor_of_the_database_a_few_at_a_time(seen):
    for _ in range(35):
        make_video()
    with closing(video_rows(Video.objects.all(), lambda video: "")) as rows:
        next(rows)
        assert len(seen) <= 10
        (statement,) = cursors()
        assert "WITH HOLD" not in statement.upper().split("FOR SELECT")[0], "in a transaction nothing is put aside"
        assert len([*rows]) == 34
    assert len(seen) == 35 and cursors() == []


@pytest.mark.parametrize("form", FORMATS)
def test_who_goes_away_ends_the_query(monkeypatch, form, seen):
    monkeypatch.setattr("ingestion.exports.writing.AT_ONCE", 5)
    monkeypatch.setattr("ingestion.exports.workbook.CHUNK", 1)
    for _ in range(35):
        make_video()
    response = table_answer(admin.site.get_model_admin(Video).report_table(Video.objects.all()), form, "videos")
    chunks = iter(response.streaming_content)
    assert seen == [], "nothing is read before it is sent"
    while not seen:
        next(chunks)
    assert len(seen) <= 20 and len(cursors()) == 1
    request_finished.disconnect(close_old_connections)  # as the test client does: this connection is the test's
    try:
        response.close()
    finally:
        request_finished.connect(close_old_connections)
    assert cursors() == []
    assert len(seen) <= 20


def test_a_file_takes_as_many_queries_for_many_videos_as_for_few(admin_client):
    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            rows = rows_of("json", content(download(admin_client, "json", [Video.objects.first()], everything=True)))
        assert len(rows) == Video.objects.count()
        return len(asked)

    for _ in range(30):  # more than a page of the list, which takes one query more than less than a page
        make_video(session=make_session())
    queries()
    few = queries()
    for _ in range(30):
        make_video(session=make_session())
    assert queries() == few
