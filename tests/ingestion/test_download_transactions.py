"""Downloads and the database: all of a file is of one moment, and it ends in time, whole or for all to see as broken."""

import csv
import http.client
import io
import json
import logging
import os
import re
import socket
import subprocess
import sys
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from urllib.parse import quote

import openpyxl
import pytest
from django.conf import settings
from django.contrib import admin
from django.core.signals import request_finished
from django.db import DatabaseError, close_old_connections, connection
from django.urls import reverse

from ingestion import reports
from ingestion.exports import answers, workbook, writing
from ingestion.exports import videos as exported
from ingestion.exports.answers import FORMATS, file_answer, table_answer
from ingestion.exports.workbook import Table
from ingestion.models import DownloadSession, Limits
from tests.factories import make_asset, make_channel, make_scan, make_session, make_video
from videos.models import Asset, Video

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def keeps_its_connection():
    """As the test client does when an answer is closed: this connection is the test's."""
    request_finished.disconnect(close_old_connections)
    yield
    request_finished.connect(close_old_connections)


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(exported, "AT_ONCE", 2)
    monkeypatch.setattr(writing, "AT_ONCE", 2)
    monkeypatch.setattr(workbook, "CHUNK", 1)


def elsewhere(change) -> None:
    """Do it on a connection of its own, and commit it."""

    def work():
        try:
            change()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


def report_table() -> Table:
    return admin.site.get_model_admin(Video).report_table(Video.objects.all())


# --- of one moment


def change_everything() -> None:
    Video.objects.update(title="new", status="failed", error_kind="network")
    Asset.objects.update(error_message="new")
    DownloadSession.objects.update(state="cancelled")
    Limits.objects.update(paused=True)
    make_video(session=DownloadSession.objects.get(), title="new")
    make_scan(session=DownloadSession.objects.get(), channel=make_channel(title="new"))


@pytest.mark.parametrize("form", FORMATS)
def test_a_sessions_report_is_of_one_moment_whatever_changes_while_it_is_sent(admin_client, small_pieces, form):
    session, channel = make_session(), make_channel(title="old")
    make_scan(session=session, channel=channel)
    for _ in range(9):
        make_asset(video=make_video(session=session, channel=channel, title="old"), session=session)
    address = reverse("admin:ingestion_downloadsession_report", args=[session.pk, form])
    before = admin_client.get(address).getvalue()
    chunks = iter(admin_client.get(address))
    first = next(chunks)
    elsewhere(change_everything)
    during = first + b"".join(chunks)
    assert told(form, during) == told(form, before)
    assert told(form, admin_client.get(address).getvalue()) != told(form, before), "nothing had changed"


def told(form: str, body: bytes):
    if form == "json":
        return json.loads(body)
    if form == "csv":
        return list(csv.reader(io.StringIO(body.decode())))
    book = openpyxl.load_workbook(io.BytesIO(body))
    return {sheet.title: list(sheet.values) for sheet in book}


def test_a_download_writes_nothing_and_begins_its_own_transaction():
    def chunks():
        with connection.cursor() as cursor:
            for name in ("transaction_isolation", "transaction_read_only", "cursor_tuple_fraction", "statement_timeout"):
                cursor.execute(f"SHOW {name}")
                yield cursor.fetchone()[0].encode()

    sent = list(file_answer(chunks(), "csv", "x").streaming_content)
    assert sent == [b"repeatable read", b"on", b"1", b"10min"]
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",), "it was for the download alone"


# --- broken for all to see


@pytest.fixture
def site_words(caplog):
    caplog.set_level(logging.ERROR, logger="ingestion.exports.answers")
    return caplog


def take(response) -> bytes:
    """What arrives before the connection breaks."""
    taken = bytearray()
    with pytest.raises((DatabaseError, TimeoutError)):
        for chunk in response.streaming_content:
            taken += chunk
    return bytes(taken)


def assert_not_whole(form: str, body: bytes) -> None:
    if form == "csv":
        assert body.endswith(answers.NOT_WHOLE["csv"])
    elif form == "json":
        with pytest.raises(ValueError):
            json.loads(body)
    else:
        assert not zipfile.is_zipfile(io.BytesIO(body))


@contextmanager
def ended_by_the_database():
    """The session of the download is ended while its file is sent."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()

    def end():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            assert cursor.fetchone() == (True,)

    yield end
    connection.close()


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_that_breaks_off_never_looks_whole_and_is_logged(small_pieces, site_words, form):
    for _ in range(9):
        make_video()
    table = report_table()
    with ended_by_the_database() as end:
        response = table_answer(Table(table.title, table.header, ending_it(table.rows, end)), form, "videos")
        body = take(response)
    assert_not_whole(form, body)
    assert [record.getMessage() for record in site_words.records] == [f"The download of {record_name(response)} broke off."]


def ending_it(rows, end):
    """Ends it after five rows."""
    for number, row in enumerate(rows, 1):
        yield row
        if number == 5:
            elsewhere(end)


def record_name(response) -> str:
    return response["Content-Disposition"].split('"')[1]


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_that_takes_too_long_breaks_off(monkeypatch, small_pieces, site_words, form):
    monkeypatch.setattr(answers, "LONGEST", timedelta(0))
    make_video()
    body = take(table_answer(report_table(), form, "videos"))
    assert_not_whole(form, body)
    assert "whoever takes it reads too slowly" in site_words.text


@pytest.mark.parametrize(("bound", "wait"), [("STATEMENT", True), ("SILENCE", False)])
def test_neither_a_statement_nor_a_silence_may_last(monkeypatch, site_words, bound, wait):
    """The database ends both: also while the thread waits for somebody who reads nothing."""
    monkeypatch.setattr(answers, bound, timedelta(seconds=1))

    def chunks():
        with connection.cursor() as cursor:
            yield b"first"
            if wait:
                cursor.execute("SELECT pg_sleep(60)")
            else:
                elsewhere(wait_until_nobody_has_a_transaction)
                cursor.execute("SELECT 1")
            yield b"last"

    body = take(file_answer(chunks(), "csv", "x"))
    connection.close()
    assert body == b"first" + answers.NOT_WHOLE["csv"]


def wait_until_nobody_has_a_transaction() -> None:
    with connection.cursor() as cursor:
        cursor.execute("""
            DO $$ BEGIN WHILE EXISTS (SELECT FROM pg_stat_activity
                WHERE state LIKE 'idle in transaction%' AND datname = current_database()) LOOP
                PERFORM pg_sleep(0.05), pg_stat_clear_snapshot();
            END LOOP; END $$
        """)


@pytest.fixture
def served():
    """Host and port of the site as it is in earnest, over the tests' database."""
    place = connection.settings_dict
    url = f"postgres://{place['USER'] or 'postgres'}@{quote(place['HOST'], safe='')}/{place['NAME']}"
    command = [sys.executable, "-m", "gunicorn", "--config", "deploy/gunicorn.conf.py", "--bind", "127.0.0.1:0", "massdl_site.wsgi"]
    env = {**os.environ, "DATABASE_URL": url, "WEB_CONCURRENCY": "1"}
    with subprocess.Popen(command, cwd=settings.BASE_DIR, env=env, stderr=subprocess.PIPE, text=True) as server:
        try:
            port = next(found[1] for line in server.stderr if (found := re.search(r"Listening at: http://127.0.0.1:(\d+)", line)))
            yield ("127.0.0.1", int(port))
        finally:
            server.kill()


@contextmanager
def asked_slowly(place: tuple[str, int], address: str, cookie: str):
    """An answer whose body nobody has read yet; little of it fits into what lies between."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(60)
    sock.connect(place)
    with closing(http.client.HTTPConnection(*place)) as client:
        client.sock = sock
        client.request("GET", address, headers={"Cookie": f"sessionid={cookie}"})
        with client.getresponse() as answer:
            yield answer


def test_a_client_of_the_real_server_notices_a_file_that_breaks_off(served, admin_client):
    session = make_session()
    make_more(make_video(session=session, channel=make_channel(title="y" * 300), title="x" * 300), 12_000)
    address = reverse("admin:ingestion_downloadsession_report", args=[session.pk, "csv"])
    with asked_slowly(served, address, admin_client.cookies["sessionid"].value) as answer:
        assert answer.status == 200
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL"
                " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            assert cursor.fetchall() == [(True,)]
        with pytest.raises(http.client.IncompleteRead) as broken:
            answer.read()
    assert broken.value.partial.endswith(answers.NOT_WHOLE["csv"])


# --- in a memory that does not grow

SPARE = 300_000
"""Bytes, for what is made once: far less than the rows that are many more take."""
MAKE_VIDEOS = """
    INSERT INTO videos_video
    SELECT (jsonb_populate_record(v, jsonb_build_object('id', v.id + n, 'uuid', gen_random_uuid(), 'external_id', 'many' || n))).*
    FROM videos_video v CROSS JOIN generate_series(%s, %s) n WHERE v.id = %s
"""


@contextmanager
def traced():
    """How much memory was taken at most since it began."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def peak_of(response) -> int:
    """Of sending it; what is sent is thrown away."""
    with traced() as peak, closing(response):
        assert sum(map(len, response.streaming_content))
        return peak()


def many_rows(count: int) -> Table:
    return Table("Videos", ["number", "title"], ([number, f"{number}" * 40] for number in range(count)))


@pytest.mark.parametrize("form", FORMATS)
def test_a_format_takes_no_more_memory_for_many_rows_than_for_some(form):
    few, many = (peak_of(table_answer(many_rows(count), form, "videos")) for count in (6000, 20_000))
    assert many < few + SPARE
    with traced() as peak:
        list(many_rows(20_000).rows)
        assert peak() > 4 * SPARE, "held in memory, they would be seen"


def peaks_of(session, client) -> dict[str, int]:
    addresses = {form: reverse("admin:ingestion_downloadsession_report", args=[session.pk, form]) for form in FORMATS}
    return {form: peak_of(client.get(address)) for form, address in addresses.items()}


def test_no_report_takes_more_memory_for_many_videos_than_for_some(admin_client, monkeypatch):
    for module in (exported, writing, reports):
        monkeypatch.setattr(module, "AT_ONCE", 100)
    session = make_session()
    video = make_video(session=session, channel=make_channel(), title="x" * 300)
    sizes = (300, 1500)
    peaks = []
    for size in sizes:
        make_more(video, size)
        peaks.append(peaks_of(session, admin_client))
    few, many = peaks
    assert {name: (few[name], peak) for name, peak in many.items() if peak > few[name] + SPARE} == {}
    with traced() as peak:
        rows = list(report_table().rows)
        assert peak() > 4 * SPARE, "held in memory, they would be seen"
    assert len(rows) == sizes[1]


def make_more(video: Video, total: int) -> None:
    """Such as it, until there are so many."""
    with connection.cursor() as cursor:
        cursor.execute(MAKE_VIDEOS, [Video.objects.count(), total - 1, video.pk])
