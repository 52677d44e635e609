"""Large operations are done by workers piece by piece, each piece once, whatever dies, fails or stops meanwhile."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from ingestion import leases, operations, tasks
from ingestion.models import DownloadSession, OperationPiece
from ingestion.operations import begin, find_verb, stop, undo, words
from tests.factories import make_channel, make_session, make_video
from tests.ingestion.test_operations.steps import asked, done, state_of, statuses, tell, work_all
from videos.models import Video

pytestmark = pytest.mark.django_db
LATER = timedelta(hours=1)


def test_a_large_one_is_done_by_workers_piece_by_piece(pieces_of_two, django_capture_on_commit_callbacks):
    for _ in range(5):
        make_video(status="failed")
    operation = asked("retry", Video.objects.all())
    assert words.warning(operation, find_verb(Video, "retry"), at_once=operations.is_small(operation)).endswith(words.IN_BACKGROUND)
    begin(operation)
    assert (state_of(operation), statuses().count("failed")) == ("running", 5)
    assert work_all() == 3
    assert (state_of(operation), operation.handled, operation.changed, statuses().count("pending")) == ("done", 5, 5, 5)
    assert operation.finished_at


@pytest.mark.django_db(transaction=True)
def test_any_worker_that_comes_round_takes_pieces_before_all_else(pieces_of_two, monkeypatch, store):
    monkeypatch.setattr(tasks, "YouTube", lambda *args, **kwargs: None)
    monkeypatch.setattr(tasks.Store, "default", lambda: store)
    monkeypatch.setattr(tasks.chores, "clean_now_and_then", lambda store: None)
    tasks._desk.cache_clear()
    session = make_session(state="paused")
    for _ in range(5):
        make_video(status="failed", session=session)
    operation = asked("retry", Video.objects.all())
    begin(operation)
    assert tasks.download_due() == 3
    assert (state_of(operation), statuses()) == ("done", ["pending"] * 5)
    tasks._desk.cache_clear()


def test_what_reads_the_storage_does_not_keep_anybody_from_their_work(user):
    for status in ("stored", "failed"):
        make_video(status=status)
    begin(asked("verify", Video.objects.all(), user))
    assert operations.next_piece() is None
    assert operations.next_piece(examines=True).operation.verb == "verify"


def test_one_that_is_stopped_does_no_more_and_tells_how_far_it_came(pieces_of_two):
    for _ in range(5):
        make_video(status="failed")
    operation = asked("retry", Video.objects.all())
    begin(operation)
    operations.work_piece(operations.next_piece())
    assert (stop(operation), stop(operation)) == (True, False)
    assert work_all() == 0
    assert (state_of(operation), statuses().count("pending")) == ("stopped", 2)
    assert tell(operation) == "2 videos will be tried again."
    assert undo(operation)
    assert work_all() == 1
    assert (state_of(operation), statuses().count("failed")) == ("undone", 5)


# --- what goes wrong meanwhile


def test_a_worker_that_dies_in_the_middle_loses_nothing_and_nothing_is_done_twice(pieces_of_two, settings):
    for _ in range(4):
        make_video(status="failed")
    operation = asked("retry", Video.objects.all())
    begin(operation)
    dead = operations.next_piece()
    assert work_all() == 1
    assert state_of(operation) == "running"
    OperationPiece.objects.filter(pk=dead.pk).update(lease_expires_at=Now() - LATER)
    assert work_all() == 1
    assert (state_of(operation), operation.changed) == ("done", 4)
    operations.work_piece(dead)  # it was not dead after all
    assert (state_of(operation), operation.changed, operation.handled) == ("done", 4, 4)


def test_one_whose_worker_died_after_the_last_piece_is_closed_by_the_next(pieces_of_two, monkeypatch):
    for _ in range(3):
        make_video(status="failed")
    operation = asked("retry", Video.objects.all())
    begin(operation)
    with monkeypatch.context() as patch:
        patch.setattr("ingestion.operations.working.finish_operations", lambda pk: None)
        assert work_all() == 2
    assert state_of(operation) == "running"
    assert work_all() == 0
    assert state_of(operation) == "done"


def test_a_piece_happens_whole_or_not_at_all(monkeypatch):
    make_video(status="failed")
    operation = asked("retry", Video.objects.all())
    monkeypatch.setattr("ingestion.operations.working._finish", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        begin(operation)
    assert (statuses(), state_of(operation)) == (["failed"], "running")
    monkeypatch.undo()
    OperationPiece.objects.update(lease_expires_at=Now() - LATER)
    assert work_all() == 1
    assert statuses() == ["pending"]


def test_a_piece_that_fails_again_and_again_is_set_aside_and_told(pieces_of_two, monkeypatch):
    videos = [make_video(status="failed") for _ in range(3)]
    operation = asked("retry", Video.objects.all())
    begin(operation)
    piece = operations.next_piece()
    for _ in range(3):
        operations.note_failure(piece, "ValueError: nobody foresaw this")
        piece = operations.next_piece()
    assert piece.rows == [videos[2].pk]
    operations.work_piece(piece)
    assert (state_of(operation), operation.handled, operation.changed) == ("done", 3, 1)
    assert operation.notes[0]["text"] == "It failed 3 times here, and 2 rows were left as they are: ValueError: nobody foresaw this"


def test_what_the_database_has_no_time_for_is_left_to_the_workers(monkeypatch):
    make_video(status="failed")
    operation = asked("retry", Video.objects.all())

    def ended(*args):
        raise OperationalError("canceling statement due to statement timeout")

    with monkeypatch.context() as patch:
        patch.setattr(operations, "carry_out", ended)
        assert begin(operation)
    assert state_of(operation) == "running"
    work_all()
    assert statuses() == ["pending"]


# --- what is left to workers, and what is not


def test_a_large_session_is_held_at_once_and_given_up_in_steps(monkeypatch, user):
    monkeypatch.setattr("ingestion.operations.MOST_VIDEOS_AT_ONCE", 2)
    monkeypatch.setattr("ingestion.operations.steered.BATCH", 2)
    session = make_session()
    channel = make_channel()
    for _ in range(5):
        make_video(session=session, channel=channel)
    operation = done("cancel", DownloadSession.objects.all(), user)
    session.refresh_from_db()
    assert (operation.state, session.state, session.state_reason) == ("running", "paused", "Being cancelled by ann.")
    assert leases.claim("w") is None
    with CaptureQueriesContext(connection) as captured:
        assert work_all() == 1
    updates = [query["sql"] for query in captured if query["sql"].startswith('UPDATE "videos_video"') and "cancelled" in query["sql"]]
    assert len(updates) >= 3
    session.refresh_from_db()
    assert (session.state, session.state_reason, statuses()) == ("cancelled", "Cancelled by ann.", ["skipped"] * 5)
    assert tell(operation) == "1 download session cancelled. 5 videos given up."
    back = done("resume", DownloadSession.objects.all(), user)
    work_all()
    assert (state_of(back), statuses()) == ("done", ["pending"] * 5)


def test_steering_many_videos_of_a_session_is_left_to_workers(monkeypatch, user):
    monkeypatch.setattr("ingestion.operations.MOST_VIDEOS_AT_ONCE", 1)
    small, large = make_session(), make_session()
    make_video(session=small)
    for session in (large, large):
        make_video(session=session)
    assert operations.is_small(asked("cancel", DownloadSession.objects.filter(pk=small.pk), user))
    assert not operations.is_small(asked("cancel", DownloadSession.objects.filter(pk=large.pk), user))


def test_a_pause_is_never_left_to_workers(monkeypatch, user):
    monkeypatch.setattr("ingestion.operations.MOST_VIDEOS_AT_ONCE", 0)
    session = make_session()
    make_video(session=session)
    assert done("pause_now", DownloadSession.objects.all(), user).state == "done"
