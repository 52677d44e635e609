import logging
from types import SimpleNamespace

import pytest
from django.db import OperationalError
from django.db.models.functions import Now
from django_q.models import OrmQ

from ingestion import dispatch, tasks
from ingestion.errors import SetupError
from ingestion.heartbeat import Stopped
from ingestion.models import Scan
from people.models import Channel
from tests.factories import make_attempt, make_scan, make_session, make_video
from videos.models import Video

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def no_desk_is_kept():
    tasks._desk.cache_clear()
    yield
    tasks._desk.cache_clear()


@pytest.fixture
def desk(monkeypatch):
    """A desk without YouTube and storage."""
    monkeypatch.setattr(tasks, "YouTube", lambda *args, **kwargs: None)
    monkeypatch.setattr(tasks.Store, "default", lambda: None)
    monkeypatch.setattr(tasks.chores, "clean_now_and_then", lambda store: None)
    desk = tasks._Desk()
    monkeypatch.setattr(tasks, "_Desk", lambda: desk)
    return desk


@pytest.fixture
def downloaded(desk, monkeypatch):
    """Downloads that store everything at once; the ids of the videos."""
    done = []

    def download(claim, **_):
        done.append(claim.video_id)
        Video.objects.filter(pk=claim.video_id).update(
            status="skipped", claim_id=None, lease_owner="", lease_expires_at=None, next_attempt_at=Now()
        )

    monkeypatch.setattr(tasks, "download", download)
    return done


def records_of(caplog):
    return [record for record in caplog.records if record.name == "ingestion.tasks"]


def test_all_that_is_due_is_taken(downloaded):
    videos = [make_video(), make_video(), make_video()]
    assert tasks.download_due() == 3
    assert sorted(downloaded) == [video.pk for video in videos]


def test_after_a_slice_the_wake_up_is_passed_on(downloaded, monkeypatch):
    monkeypatch.setattr(tasks, "SLICE_SECONDS", -1)
    make_video(), make_video()
    assert tasks.download_due() == 1
    assert OrmQ.objects.filter(key="download").count() == 1


def test_nothing_is_taken_by_a_worker_that_stops(downloaded, monkeypatch):
    monkeypatch.setattr(tasks, "is_stopping", lambda: True)
    make_video()
    assert (tasks.download_due(), downloaded) == (0, [])


@pytest.mark.parametrize("task", [tasks.download_due, tasks.scan_due])
def test_a_bad_cookies_file_pauses_what_runs_and_says_why(task, tmp_path, settings, caplog):
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("this is no cookies file\n")
    settings.YTDLP_COOKIES_FILE = str(cookies)
    running, cancelled = make_session(), make_session(state="cancelled")
    make_video(session=running)
    assert task() == 0
    running.refresh_from_db(), cancelled.refresh_from_db()
    assert (running.state, cancelled.state) == ("paused", "cancelled")
    assert "cookies" in running.state_reason.lower()
    [record] = records_of(caplog)
    assert (record.levelno, record.exc_info) == (logging.ERROR, None)
    assert running.state_reason in record.getMessage()


def test_a_storage_that_is_set_up_wrongly_pauses_what_runs(monkeypatch):
    def refuse():
        raise SetupError("misconfigured", "There is no bucket.")

    monkeypatch.setattr(tasks, "Store", SimpleNamespace(default=refuse))
    session = make_session()
    assert tasks.download_due() == 0
    session.refresh_from_db()
    assert session.state == "running", "there is nothing to do"
    make_video(session=session)
    assert tasks.download_due() == 0
    session.refresh_from_db()
    assert (session.state, session.state_reason) == ("paused", "There is no bucket.")


def test_a_host_that_is_set_up_wrongly_is_not_woken_for_chores_again_and_again(monkeypatch):
    def refuse():
        raise SetupError("misconfigured", "There is no bucket.")

    monkeypatch.setattr(tasks, "Store", SimpleNamespace(default=refuse))
    dispatch.tick()
    assert OrmQ.objects.filter(key="control").count() == 1
    tasks.scan_due()
    OrmQ.objects.all().delete()
    dispatch.tick()
    assert not OrmQ.objects.exists()


def test_the_storage_is_tidied_between_assets_however_many_wait(desk, monkeypatch):
    claims, tidied = iter([True, True, False]), []
    monkeypatch.setattr(tasks, "_complete_one", lambda desk: next(claims))
    monkeypatch.setattr(desk, "tidy", lambda: tidied.append(1))
    assert tasks.scan_due() == 2
    assert len(tidied) == 3


def test_work_goes_on_when_the_set_up_was_mended(monkeypatch, downloaded):
    working = tasks._Desk

    def broken():
        raise SetupError("misconfigured")

    make_video()
    monkeypatch.setattr(tasks, "_Desk", broken)
    assert tasks.download_due() == 0
    monkeypatch.setattr(tasks, "_Desk", working)
    assert tasks.download_due() == 1


def test_an_error_that_nobody_foresaw_is_logged_once_and_ends_no_worker(downloaded, monkeypatch, caplog):
    def stumble(claim, **_):
        raise RuntimeError("surprise")

    make_video(), make_video()
    storing = tasks.download
    monkeypatch.setattr(tasks, "download", stumble)
    assert tasks.download_due() == 0
    [record] = records_of(caplog)
    assert "surprise" in str(record.exc_info[1])
    monkeypatch.setattr(tasks, "download", storing)
    assert tasks.download_due() == 1


def test_a_database_that_is_away_is_no_fault_of_the_code(desk, monkeypatch, caplog):
    def refuse(owner):
        raise OperationalError("the server is away")

    monkeypatch.setattr(tasks.leases, "claim", refuse)
    assert tasks.download_due() == 0
    [record] = records_of(caplog)
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)


def test_a_scan_that_is_stopped_is_handed_back(desk, monkeypatch):
    stopping = []

    def scan_channel(scan, *, check, **_):
        stopping.append(True)
        check()

    monkeypatch.setattr(tasks, "is_stopping", lambda: bool(stopping))
    monkeypatch.setattr(tasks, "scan_channel", scan_channel)
    scan = make_scan()
    assert tasks.scan_due() == 1
    scan.refresh_from_db()
    assert (scan.state, scan.attempts, scan.claim_id) == (Scan.State.PENDING, 0, None)


def test_a_stop_is_heard_between_videos(monkeypatch):
    monkeypatch.setattr(tasks, "is_stopping", lambda: True)
    with pytest.raises(Stopped):
        tasks._stop_when_told()


def test_what_dead_workers_left_is_cleared_away_when_there_is_nothing_to_scan(desk, monkeypatch):
    attempt = make_attempt(video=make_video(status="failed"), outcome="lost", upload={"key": "left/behind"})
    for chore in tasks.chores.EVERY:
        tasks.chores.take(chore), tasks.chores.note_end(chore)
    removed = []
    monkeypatch.setattr(tasks.orphans, "clear_rows", lambda limit, *, store: removed.append(store))
    monkeypatch.setattr(tasks.chores, "clean_now_and_then", removed.append)
    dispatch.tick()
    assert OrmQ.objects.filter(key="control").count() == 1, "somebody is woken up for it"
    tasks.scan_due(), tasks.scan_due()
    assert removed == [desk.store, desk.store], "not again and again"
    attempt.delete()
    OrmQ.objects.all().delete()
    dispatch.tick()
    assert not OrmQ.objects.exists()


def test_a_scan_in_which_the_database_goes_away_is_handed_back(desk, monkeypatch):
    def scan_channel(scan, **_):
        Channel.objects.update(state="paused")
        raise OperationalError("consuming input failed")

    monkeypatch.setattr(tasks, "scan_channel", scan_channel)
    scan = make_scan()
    assert tasks.scan_due() == 1
    scan.refresh_from_db()
    assert (scan.state, scan.attempts, scan.claim_id) == (Scan.State.PENDING, 0, None)
