"""What two connections may do at once: nobody waits in a circle, nobody acts on what was true a moment before."""

import threading

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from ingestion import budget, leases
from ingestion.errors import error
from ingestion.leases import NO_LEASE
from ingestion.models import Attempt, Budget, DownloadSession, Limits
from ingestion.options import Options
from ingestion.scanning import claim_scan, rows
from ingestion.scanning.claims import ScanLost
from ingestion.steering import Sessions, cancel
from tests.factories import make_channel, make_scan, make_session, make_video
from tests.ingestion.listings import FakeEntry
from videos.models import Video

pytestmark = pytest.mark.django_db(transaction=True)

STORED = {"storage_key": "k", "file_size": 10, "checksum": "c-1"}


@pytest.fixture
def at_once():
    """Runs functions on connections of their own, all at once; returns what each raised, None for nothing."""

    def run(*acts):
        raised = [None] * len(acts)

        def perform(number, act):
            try:
                act()
            except (AssertionError, DatabaseError, ScanLost) as exc:
                raised[number] = exc
            finally:
                connection.close()

        threads = [threading.Thread(target=perform, args=item) for item in enumerate(acts)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        return raised

    return run


def until_somebody_waits():
    """Until a connection of this database waits for a lock."""
    with connection.cursor() as cursor:
        for _ in range(1000):
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT pg_sleep(0.01), count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            if cursor.fetchone()[1]:
                return
    raise AssertionError("nobody waited")


def test_a_cancellation_and_the_end_of_a_download_do_not_wait_for_each_other(at_once):
    Limits.row()
    make_video(session=make_session())
    claim = leases.claim("h:x:1")
    taken = threading.Event()

    def finish():
        with transaction.atomic():
            Video.objects.filter(pk=claim.video_id).update(status="stored", stored_at=Now(), **STORED, **NO_LEASE)
            taken.set()
            until_somebody_waits()
            Attempt.objects.filter(pk=claim.attempt_id).update(outcome="stored", finished_at=Now())

    def cancel_now():
        taken.wait(10)
        cancel(Sessions(DownloadSession.objects.all()), now=True)

    assert at_once(finish, cancel_now) == [None, None]
    assert Video.objects.get().status == "stored"


def test_a_cancellation_and_a_batch_of_a_scan_do_not_wait_for_each_other(at_once, monkeypatch):
    Limits.row()
    session, channel = make_session(), make_channel()
    make_video(session=session, channel=channel, external_id="aaaaaaaaaaa")
    make_scan(session=session, channel=channel)
    scan, taken, write_tally = claim_scan("h:x:1"), threading.Event(), rows.write_tally

    def write_slowly(*args, **kwargs):
        taken.set()
        until_somebody_waits()
        write_tally(*args, **kwargs)

    monkeypatch.setattr(rows, "write_tally", write_slowly)

    def cancel_meanwhile():
        taken.wait(10)
        cancel(Sessions(DownloadSession.objects.all()))

    batch = [FakeEntry("aaaaaaaaaaa"), FakeEntry("bbbbbbbbbbb")]
    assert at_once(lambda: rows.save_batch(scan, batch, Options(), rows.Tally()), cancel_meanwhile) == [None, None]
    assert set(Video.objects.values_list("status", flat=True)) == {"skipped"}, "nothing slips into a cancelled session"


def test_limits_are_read_once_the_lock_is_ours(at_once):
    Limits.row()
    Budget.objects.create(identity="guest")
    seen, locked = [], threading.Event()

    def refuse():
        with transaction.atomic():
            leases.lock_limits()
            locked.set()
            until_somebody_waits()
            budget.refused("bot_check")
            seen.append(timezone.now())

    def claim():
        locked.wait(10)
        with transaction.atomic():
            seen.append(leases.lock_limits())

    assert at_once(refuse, claim) == [None, None]
    refused_at, room = seen
    assert room.is_closed and room.now >= refused_at


def test_a_living_claim_is_not_expired_for_a_dead_one_of_the_same_video():
    Limits.row()
    make_video()
    dead = leases.claim("h:x:1")

    def is_alive(pid):
        if pid == 1:  # it handed back and ended, and a sibling takes the video between the look and the update
            leases.hand_back(dead)
            leases.claim("h:x:2")
        return pid != 1

    assert leases.expire("h:x:", is_alive) == 0
    assert Video.objects.get().lease_expires_at > timezone.now()


def test_each_identity_finds_out_for_itself_whether_youtube_answers(settings):
    Limits.row()
    Budget.objects.create(identity="guest", refusals=1, open_until=Now(), open_reason="bot_check")
    for _ in range(3):
        make_video()
    settings.YTDLP_COOKIES_FILE = "/x/cookies.txt"
    assert leases.claim("b:x:1")
    settings.YTDLP_COOKIES_FILE = ""
    assert leases.claim("a:x:1")
    assert leases.claim("a:x:2") is None, "one probe at a time"


@pytest.mark.parametrize(("kind", "closes"), [("private", True), ("upcoming", True), ("budget_spent", False), ("network", False)])
def test_what_youtube_says_of_a_video_is_an_answer(kind, closes):
    Budget.objects.create(identity="guest", refusals=1, open_until=Now(), open_reason="bot_check")
    budget.note_answer(error(kind))
    assert (Budget.objects.get().refusals == 0) == closes


def test_a_host_whose_clock_is_ahead_does_not_ask_again_and_again_for_a_spent_hour(settings, monkeypatch):
    settings.REQUESTS_PER_SECOND, settings.REQUESTS_PER_HOUR = 1000, 3
    for _ in range(3):
        budget.spend(sleep=lambda seconds: None)
    Budget.objects.update(minutes=[0] * 60 + [3])
    monkeypatch.setattr(budget, "_raise_if_unaskable", lambda: None)
    waits = []

    def check():
        if len(waits) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        budget.spend(check=check, sleep=waits.append)
    assert waits == [budget.SLEEP_SLICE_SECONDS] * 3
