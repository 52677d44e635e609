"""An undo puts back what it was, where nothing else has changed meanwhile, and tells what it left alone."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from ingestion import leases, operations
from ingestion.models import DownloadSession, Operation, OperationPiece
from ingestion.operations import begin, stop, undo, undoable, words, working
from tests.factories import make_channel, make_operation, make_session, make_video
from tests.ingestion.test_operations.steps import asked, done, state_of, statuses, tell, work_all
from tests.pages import make_download
from videos.models import Video

pytestmark = pytest.mark.django_db
LATER = timedelta(hours=1)

UNDONE = [
    ("retry", {"status": "failed", "attempts": 3, "error_kind": "network", "error_message": "gone"}),
    ("retry", {"status": "skipped"}),
    ("skip", {"status": "failed", "error_kind": "private"}),
    ("skip", {"status": "pending"}),
    ("pause", {"status": "pending"}),
    ("resume", {"status": "pending", "wanted": "pause", "next_attempt_at": timezone.now() + LATER}),
    ("cancel", {"status": "pending"}),
    ("cancel", {"status": "pending", "wanted": "pause", "error_kind": "network", "error_message": "once"}),
    ("prioritise", {"status": "pending", "priority": 3}),
    ("in_turn", {"status": "pending", "priority": 7}),
    ("store_again", {"status": "stored", "attempts": 1}),
]
WORKED = ("status", "wanted", "priority", "attempts", "losses", "error_kind", "error_message", "next_attempt_at", "storage_key")


@pytest.mark.parametrize(("name", "row"), UNDONE, ids=[f"{name} {row['status']}" for name, row in UNDONE])
def test_an_undo_puts_a_video_back_to_what_it_was(name, row):
    video = make_video(**row)
    before = Video.objects.values(*WORKED).get()
    operation = done(name, Video.objects.filter(pk=video.pk))
    assert Video.objects.values(*WORKED).get() != before
    assert undoable(operation) and undo(operation)
    assert Video.objects.values(*WORKED).get() == before
    operation.refresh_from_db()
    assert (operation.state, words.undone(operation)) == ("undone", "1 video put back as before.")
    assert not undo(operation)


def test_an_undo_leaves_alone_what_has_changed_meanwhile_and_says_so():
    videos = [make_video(status="failed") for _ in range(3)]
    operation = done("retry", Video.objects.all())
    Video.objects.filter(pk=videos[0].pk).update(status="unavailable", error_kind="private")
    Video.objects.filter(pk=videos[1].pk).delete()
    assert undo(operation)
    operation.refresh_from_db()
    assert words.undone(operation) == "1 video put back as before. 2 left alone: they have changed again meanwhile."
    assert statuses() == ["unavailable", "failed"]


def test_an_undone_pause_lets_a_running_download_go_on():
    video = make_download()
    operation = done("pause_now", Video.objects.all())
    assert tell(operation) == "1 video paused. 1 running job will stop within seconds."
    undo(operation)
    video.refresh_from_db()
    assert (video.status, video.wanted) == ("downloading", "run")


@pytest.mark.parametrize("kind", ["channel", "session"])
def test_channels_and_sessions_that_were_paused_are_put_back(kind, user):
    rows = [make_session(), make_session(state="paused", state_reason="Paused by bob.")]
    rows = rows if kind == "session" else [make_channel(), make_channel(state="paused"), make_channel(state="gone")]
    model = type(rows[0])
    before = list(model.objects.order_by("pk").values_list("state", flat=True))
    operation = done("pause", model.objects.all(), user)
    assert set(model.objects.values_list("state", flat=True)) == {"paused"}
    undo(operation)
    assert list(model.objects.order_by("pk").values_list("state", flat=True)) == before


def test_what_cannot_be_undone_is_not(store):
    session = make_session()
    make_video(session=session)
    operation = done("cancel", DownloadSession.objects.all())
    assert tell(operation) == "1 download session cancelled. 1 video given up."
    assert not undoable(operation) and not undo(operation)


def test_after_a_week_it_is_forgotten_what_rows_were_and_after_a_day_what_nobody_began():
    make_video(status="failed")
    operation, question = done("retry", Video.objects.all()), make_operation()
    Operation.objects.filter(pk=operation.pk).update(finished_at=Now() - timedelta(days=8))
    assert Operation.objects.forget_old() == 0
    assert not undoable(operation) and not OperationPiece.objects.exists()
    Operation.objects.filter(pk=question.pk).update(created_at=Now() - timedelta(days=2))
    assert Operation.objects.forget_old() == 1
    assert Operation.objects.get() == operation


def test_an_undo_that_would_break_what_the_database_demands_leaves_the_row_alone():
    make_video(status="failed")
    skipped = done("skip", Video.objects.all())
    done("retry", Video.objects.all())
    done("skip", Video.objects.all())
    assert undo(skipped)
    skipped.refresh_from_db()
    assert (skipped.state, skipped.restored, statuses()) == ("undone", 0, ["skipped"])


def test_an_undone_resume_leaves_alone_what_is_being_downloaded_by_now():
    make_video(wanted="pause")
    operation = done("resume", Video.objects.all())
    assert leases.claim("w")
    undo(operation)
    assert Video.objects.values_list("status", "wanted").get() == ("downloading", "run")
    operation.refresh_from_db()
    assert words.undone(operation) == "No video put back as before. 1 left alone: it has changed again meanwhile."


@pytest.mark.django_db(transaction=True)
def test_a_piece_in_flight_when_its_operation_is_stopped_and_undone_happens_not_at_all(pieces_of_two, monkeypatch):
    for _ in range(4):
        make_video(status="failed")
    operation = asked("retry", Video.objects.all())
    begin(operation)
    operations.work_piece(operations.next_piece())
    finish = working._finish

    def stop_and_undo() -> None:
        stop(operation)
        operation.refresh_from_db()
        assert undo(operation)
        connection.close()

    def meanwhile(*args):
        elsewhere = threading.Thread(target=stop_and_undo)
        elsewhere.start()
        elsewhere.join()
        return finish(*args)

    with monkeypatch.context() as patch:
        patch.setattr(working, "_finish", meanwhile)
        operations.work_piece(operations.next_piece())
    assert state_of(operation) == "undoing"
    work_all()
    assert (state_of(operation), operation.restored, statuses()) == ("undone", 2, ["failed"] * 4)
