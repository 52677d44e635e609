import re
import textwrap
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from ingestion import api
from ingestion.models import DownloadSession, Limits, Scan
from ingestion.options import Options
from ingestion.progress import session_progress
from people.models import Channel, Person
from tests.factories import make_channel, make_scan, make_session, make_video

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


def test_settings_of_a_sheet_reach_the_session_as_they_are_meant():
    envelope = b'{"channels": ["@ann"], "settings": {"assets": "info, subtitles", "subtitle_languages": ["de"], "convert": "hevc"}}'
    inputs = api.read_inputs([("a.json", envelope)])
    assert not inputs.problems
    options = inputs.options(container="mkv", hdr=False, assets=None)
    session = api.start_session(inputs, options=options)
    session.refresh_from_db()
    assert Options.of(session.options) == options
    assert options == Options(assets=("info", "subtitles"), subtitle_languages=("de",), convert="hevc", container="mkv")


def test_options_that_exclude_each_other_start_no_session():
    with pytest.raises(ValueError, match="webm file cannot hold h264"):
        api.start_session(api.read_inputs([("a.csv", CSV)]), options=Options(container="webm", convert="h264"))
    assert not DownloadSession.objects.exists() and not Person.objects.exists()


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


TWO_PEOPLE = b"name,channel\nBob,@bob\nZoe,https://m.youtube.com/@ann\n"


def test_a_channel_of_two_people_in_two_sheets_is_refused_and_names_the_first_row():
    inputs = api.read_inputs([("a.csv", b"name,channel\nAnn,@ann\n"), ("b.csv", TWO_PEOPLE)])
    (problem,) = inputs.problems
    assert [row.name for row in inputs.rows] == ["Ann", "Bob"] and inputs.left_out
    assert (problem["source"], problem["row"], problem["is_note"]) == ("b.csv", 3, False)
    assert "already in row 2 of a.csv, for another person (Ann)" in problem["message"]


@pytest.mark.parametrize(("urls", "place"), [([], "in row 2 of a.csv"), (["@cleo", "@cleo"], "given with --channel")])
def test_a_channel_that_is_named_again_for_the_same_person_is_a_note(urls, place):
    files = [("a.csv", b"name,channel\nAnn,@ann\n"), ("b.csv", b"name,channel\nAnn,@ann\n")]
    inputs = api.read_inputs([] if urls else files, urls)
    (problem,) = inputs.problems
    assert place in problem["message"] and problem["is_note"] and not inputs.left_out


def test_a_row_the_database_refuses_is_told_with_its_own_sheet():
    api.start_session(api.read_inputs([("a.csv", CSV)]), options=Options())
    sheets = [("b.csv", b"name,channel\nCleo,@cleo\n"), ("c.csv", b"name,email,channel\nZoe,zoe@example.org,@ann\n")]
    session = api.start_session(api.read_inputs(sheets), options=Options())
    assert [(problem["source"], problem["row"]) for problem in session.problems] == [("c.csv", 2)]


def test_retrying_the_failed_ones_leaves_alone_what_staff_skipped():
    session = make_session()
    skipped = make_video(session=session, status="skipped", error_kind="private")
    gone = make_video(session=session, status="unavailable")
    assert api.resume(session, retry_failed=True) == 1
    skipped.refresh_from_db()
    gone.refresh_from_db()
    assert (skipped.status, gone.status) == ("skipped", "pending")


def held_by_its_channel(session):
    make_video(session=session, channel=make_channel(state="paused"))


def held_by_staff(session):
    make_video(session=session, wanted="pause")
    make_video(session=session, wanted="cancel")


def held_by_the_limits(session):
    make_video(session=session)
    make_scan(session=session)
    Limits.objects.update_or_create(pk=1, defaults={"paused": True})


def held_before_it_was_listed(session):
    make_scan(session=session, channel=make_channel(state="paused"))


def held_in_the_middle_of_the_listing(session):
    past = timezone.now() - timedelta(minutes=1)
    make_scan(session=session, channel=make_channel(state="paused"), state="running", lease_expires_at=past)


HOLDS = [held_by_its_channel, held_by_staff, held_by_the_limits, held_before_it_was_listed, held_in_the_middle_of_the_listing]


@pytest.mark.parametrize("hold", HOLDS)
def test_what_staff_hold_back_is_not_waited_for(hold):
    session = make_session()
    hold(session)
    progress = session_progress(session)
    assert api.is_settled(progress) and not progress.is_over and not progress.all_stored


@pytest.mark.parametrize("hold", HOLDS[:-1])
def test_other_work_is_waited_for_beside_what_is_held_back(hold):
    session = make_session()
    hold(session)
    Limits.objects.update(paused=False)
    make_video(session=session)
    assert not api.is_settled(session_progress(session))


ROOT = Path(api.__file__).resolve().parent.parent
EXAMPLES = {
    "README.md": re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1],
    "the module": "from ingestion.api import *\nfrom ingestion.options import Options\nfrom pathlib import Path\n"
    + textwrap.dedent("\n".join(line for line in api.__doc__.splitlines() if line.startswith("    "))),
}


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_the_examples_of_python_work_as_they_stand(example, monkeypatch, tmp_path, capsys):
    """Against the real database, with workers that have listed every channel at once."""

    class Workers:
        kept = 0

        def keep(self):
            self.kept += 1
            Scan.objects.update(state="done")

    workers = Workers()
    monkeypatch.setattr(api, "borrowed_workers", lambda: nullcontext(workers))
    (tmp_path / "people.csv").write_bytes(CSV)
    monkeypatch.chdir(tmp_path)
    said: dict[str, Any] = {}
    exec(example, said)
    assert said["report"]["session"]["options"]["quality"] == "1080p" and workers.kept == 1
    assert capsys.readouterr().out


def test_a_cancelled_session_gives_up_what_is_not_stored():
    session = make_session()
    make_video(session=session), make_video(session=session, status="stored")
    assert api.cancel(session, "Not wanted.") == 1
    session.refresh_from_db()
    assert (session.state, session.state_reason) == ("cancelled", "Not wanted.")
    assert set(session.videos.values_list("status", flat=True)) == {"skipped", "stored"}


def test_options_that_cannot_be_used_start_nothing():
    with pytest.raises(ValueError, match="max_concurrent"):
        api.start_session(api.read_inputs(urls=["@somebody"]), options=Options(max_concurrent=0))
    assert not DownloadSession.objects.exists()
