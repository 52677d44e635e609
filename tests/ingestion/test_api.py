from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from ingestion import api
from ingestion.models import DownloadSession, Scan
from ingestion.options import Options
from people.models import Channel, Person
from tests.factories import make_channel, make_session, make_video

pytestmark = pytest.mark.django_db

CSV = b"name,email,channel_url\nAnn,ann@example.org,https://youtube.com/@ann\nBob,bob@example.org,https://vimeo.com/bob\n"


def test_sheets_and_urls_become_rows_problems_and_settings():
    envelope = b'{"channels": ["https://www.youtube.com/@cleo"], "settings": {"quality": "480p", "qualty": 1, "limit": 0}}'
    inputs = api.read_inputs([("a.csv", CSV), ("b.json", envelope)], ["@dan", "http://evil.example/@x"])
    assert [row.channel.canonical.rpartition("/")[2] for row in inputs.rows] == ["@ann", "@cleo", "@dan"]
    assert inputs.settings == {"quality": "480p"}
    assert [(problem["source"], problem["row"]) for problem in inputs.problems] == [
        ("a.csv", 3),
        ("b.json", None),
        ("b.json", None),
        ("--channel", None),
    ]


def test_a_file_that_is_no_sheet_is_a_problem_not_an_exception():
    inputs = api.read_inputs([("x.bin", bytes(range(256)) * 10)])
    assert inputs.rows == [] and inputs.problems[0]["source"] == "x.bin"


def test_what_is_said_elsewhere_overrules_the_sheet():
    inputs = api.Inputs("x", settings={"quality": "480p", "limit": 3})
    assert inputs.options(quality="best", limit=None) == Options(quality="best", limit=3)


def test_a_session_has_a_scan_for_each_channel_and_wakes_the_workers():
    session = api.start_session(api.read_inputs([("a.csv", CSV)]), options=Options(limit=2))
    assert (Person.objects.count(), Channel.objects.count()) == (1, 1)
    assert [scan.channel.person.name for scan in session.scans.all()] == ["Ann"]
    assert session.options["limit"] == 2 and session.problems[0]["row"] == 3
    assert OrmQ.objects.filter(key="control").count() == 1


def test_the_same_sheet_twice_is_two_sessions_over_one_channel():
    inputs = api.read_inputs([("a.csv", CSV)])
    api.start_session(inputs, options=Options())
    api.start_session(inputs, options=Options())
    assert (DownloadSession.objects.count(), Channel.objects.count(), Scan.objects.count()) == (2, 1, 2)


def test_a_channel_of_somebody_else_is_refused_in_words_and_the_rest_goes_on():
    api.start_session(api.read_inputs([("a.csv", CSV)]), options=Options())
    other = b"name,email,channel_url\nZoe,zoe@example.org,https://youtube.com/@ann\nZoe,zoe@example.org,https://youtube.com/@zoe\n"
    session = api.start_session(api.read_inputs([("b.csv", other)]), options=Options())
    assert [problem["row"] for problem in session.problems] == [2] and "Ann" in session.problems[0]["message"]
    assert [scan.channel.canonical_url for scan in session.scans.all()] == ["https://www.youtube.com/@zoe"]


def test_the_preview_writes_nothing():
    outcomes = api.preview(api.read_inputs([("a.csv", CSV)])).outcomes
    assert [outcome.outcome for outcome in outcomes] == ["new"]
    assert not Person.objects.exists()


def test_an_import_in_the_admin_starts_a_session_and_leads_to_its_page(admin_user):
    channel = make_channel()
    page = api.start_after_import(
        channels=[channel.pk], source="s.json", problems=[], settings={"quality": "360p", "x": 1}, user=admin_user
    )
    session = DownloadSession.objects.get()
    assert page.endswith(f"/{session.pk}/change/")
    assert (session.created_by, session.options["quality"], len(session.problems)) == (admin_user, "360p", 1)
    assert api.start_after_import(channels=[], source="s", problems=[], settings={}) is None


def test_resuming_makes_waiting_work_due_and_failed_work_only_when_asked():
    session = make_session(state="paused", state_reason="because")
    later = timezone.now() + timedelta(hours=5)
    make_video(session=session, next_attempt_at=later)
    failed = make_video(session=session, status="failed", attempts=3)
    Scan.objects.create(session=session, channel=make_channel(), state="failed", error_kind="network")
    assert api.resume(session) == 1
    session.refresh_from_db()
    assert (session.state, session.state_reason) == ("running", "")
    assert api.resume(session, retry_failed=True) == 2
    failed.refresh_from_db()
    assert (failed.status, failed.attempts) == ("pending", 0)
    assert session.scans.get().state == "pending"


def test_watching_ends_when_the_session_is_over_or_paused_or_must_wait():
    session = make_session()
    video = make_video(session=session, next_attempt_at=timezone.now() + timedelta(hours=5))
    assert len(list(api.watch(session))) == 1
    video.__class__.objects.update(status="stored", storage_key="k", file_size=1, checksum="c")
    (progress,) = api.watch(session)
    assert progress.all_stored
    session.refresh_from_db()
    assert session.state == "finished"
    assert api.pause(make_session()) and not api.pause(session)
