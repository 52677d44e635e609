"""Operations: fixed when they are asked for, done piece by piece, each piece once, and undone where nothing else has changed."""

import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ingestion import leases, operations, tasks
from ingestion.errors import error
from ingestion.models import DownloadSession, Operation, OperationPiece
from ingestion.operations import ask, begin, find_verb, stop, undo, undoable, words, working
from ingestion.operations.verbs import VERBS
from people.models import Channel
from tests.factories import make_asset, make_channel, make_operation, make_scan, make_session, make_video
from tests.ingestion.media.stores import make_folder_store
from tests.pages import make_download
from videos.models import Asset, Video

pytestmark = pytest.mark.django_db
State = Operation.State
LATER = timedelta(hours=1)


@pytest.fixture
def user() -> User:
    return User.objects.create_user("ann", is_staff=True)


@pytest.fixture
def pieces_of_two(monkeypatch):
    """More than two rows are too many for a moment."""
    monkeypatch.setattr("ingestion.operations.PIECE", 2)
    monkeypatch.setattr("ingestion.operations.verb.PIECE", 2)


@pytest.fixture
def store(tmp_path):
    return make_folder_store(tmp_path)


def asked(name: str, rows, user=None) -> Operation:
    return ask(find_verb(rows.model, name), rows, user)


def done(name: str, rows, user=None) -> Operation:
    operation = asked(name, rows, user)
    assert begin(operation)
    operation.refresh_from_db()
    return operation


def work_all(**how) -> int:
    """As workers do; returns how many pieces there were."""
    count = 0
    while piece := operations.next_piece() or operations.next_piece(examines=True):
        operations.work_piece(piece, **how)
        count += 1
    return count


def statuses() -> list[str]:
    return list(Video.objects.order_by("pk").values_list("status", flat=True))


def tell(operation: Operation) -> str:
    operation.refresh_from_db()
    return words.outcome(operation, find_verb(operation.model, operation.verb))


def state_of(operation: Operation) -> str:
    operation.refresh_from_db()
    return operation.state


# --- asked for


def test_what_is_asked_for_is_counted_and_nothing_is_done(user):
    for status in ("failed", "unavailable", "stored"):
        make_video(status=status)
    operation = asked("retry", Video.objects.all(), user)
    verb = find_verb(Video, "retry")
    assert words.question(operation, verb) == "Retry 2 videos?"
    assert words.warning(operation, verb, at_once=True) == (
        "They are downloaded as soon as it is their turn, with all their attempts before them. What YouTube refuses for good, such as "
        "private videos, fails again until its owner changes that. Of the 3 chosen 1 is left alone: it did not fail. "
        "It can be undone for a week, where nothing else has changed meanwhile."
    )
    assert (operation.state, statuses()) == ("asked", ["failed", "unavailable", "stored"])
    assert work_all() == 0


def test_where_the_verb_fits_nothing_there_is_no_operation(user):
    make_video(status="stored")
    assert asked("retry", Video.objects.all(), user) is None
    assert not Operation.objects.exists()


def test_rows_that_come_to_fit_later_are_not_touched():
    _first, second = make_video(status="failed"), make_video(status="stored")
    operation = asked("retry", Video.objects.all())
    Video.objects.filter(pk=second.pk).update(status="failed", error_kind="network")
    assert begin(operation)
    assert statuses() == ["pending", "failed"]
    assert tell(operation) == "1 video will be tried again. 1 left alone: it did not fail."


def test_what_does_not_fit_any_more_when_it_is_begun_is_left_alone_and_told():
    first, second = make_video(status="failed"), make_video(status="failed")
    operation = asked("retry", Video.objects.all())
    Video.objects.filter(pk=second.pk).update(status="skipped")
    Video.objects.filter(pk=first.pk).delete()
    begin(operation)
    assert tell(operation) == "1 video will be tried again. 1 left alone: it did not fail."


def test_it_is_begun_once():
    make_video(status="failed")
    operation = asked("retry", Video.objects.all())
    assert (begin(operation), begin(operation)) == (True, False)
    assert state_of(operation) == "done"


@pytest.mark.parametrize("model", VERBS)
def test_every_verb_has_its_words(model):
    for verb in VERBS[model].values():
        assert "{rows}" in verb.question and verb.question.endswith("?")
        assert verb.warning.endswith(".") and verb.done and all(verb.left)
        assert (verb.work is None) == verb.examines


# --- in the background


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


def test_what_reads_the_storage_does_not_keep_anybody_from_their_work(user):
    for status in ("stored", "failed"):
        make_video(status=status)
    begin(asked("verify", Video.objects.all(), user))
    assert operations.next_piece() is None
    assert operations.next_piece(examines=True).operation.verb == "verify"


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


# --- undone


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


# --- what they do


def test_what_ended_after_the_question_is_not_counted():
    first, _second = make_video(), make_video()
    operation = asked("prioritise", Video.objects.all())
    Video.objects.filter(pk=first.pk).update(status="skipped")
    begin(operation)
    assert tell(operation) == "1 video will go first. 1 left alone: it is over, or goes first already."
    first.refresh_from_db()
    assert first.priority == 0


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


def test_a_pause_is_never_left_to_workers(monkeypatch, user):
    monkeypatch.setattr("ingestion.operations.MOST_VIDEOS_AT_ONCE", 0)
    session = make_session()
    make_video(session=session)
    assert done("pause_now", DownloadSession.objects.all(), user).state == "done"


def test_the_number_of_channels_is_that_of_those_it_can_do_something_to(user):
    make_channel(state="paused"), make_channel(), make_channel()
    waiting = make_video(next_attempt_at=timezone.now() + LATER).channel
    assert asked("resume", Channel.objects.all(), user).total == 2
    assert asked("pause_now", Channel.objects.all(), user).total == 3
    assert asked("resume", Channel.objects.filter(pk=waiting.pk), user).total == 1


def test_who_asked_may_be_gone_by_then():
    session = make_session()
    done("pause", DownloadSession.objects.all())
    session.refresh_from_db()
    assert session.state_reason == "Paused."


def test_a_stored_video_whose_assets_are_given_up_is_counted(user):
    make_asset(video=make_video(status="stored"))
    assert tell(done("cancel", Video.objects.all(), user)) == "1 video cancelled. 1 asset given up."


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


def test_what_goes_first_is_claimed_first():
    old, wanted = make_video(), make_video(next_attempt_at=timezone.now())
    done("prioritise", Video.objects.filter(pk=wanted.pk))
    assert leases.claim("w").video_id == wanted.pk != old.pk
    assert tell(done("in_turn", Video.objects.all())) == "1 video will go in turn. 1 left alone: it is over, or goes in turn already."


def test_storing_again_keeps_what_is_stored_until_then():
    video = make_video(status="stored")
    done("store_again", Video.objects.all())
    video.refresh_from_db()
    assert (video.status, video.storage_key != "") == ("pending", True)
    done("cancel", Video.objects.all())
    video.refresh_from_db()
    assert video.status == "stored"


def test_looking_for_new_videos_tells_the_sessions_it_made(user):
    channel = make_channel()
    operation = done("look_for_new_videos", Channel.objects.all(), user)
    session = DownloadSession.objects.get()
    assert [scan.channel for scan in session.scans.all()] == [channel]
    assert operation.notes == [{"model": "ingestion.downloadsession", "pk": session.pk, "text": f"Session {session.pk}"}]


def test_steering_many_videos_of_a_session_is_left_to_workers(monkeypatch, user):
    monkeypatch.setattr("ingestion.operations.MOST_VIDEOS_AT_ONCE", 1)
    small, large = make_session(), make_session()
    make_video(session=small)
    for session in (large, large):
        make_video(session=session)
    assert operations.is_small(asked("cancel", DownloadSession.objects.filter(pk=small.pk), user))
    assert not operations.is_small(asked("cancel", DownloadSession.objects.filter(pk=large.pk), user))


# --- verified


CONTENT = b"a film" * 1000


def stored(store, **over) -> Video:
    video = make_video(status="stored")
    Video.objects.filter(pk=video.pk).update(**{**_put(store, video.storage_key), **over})
    video.refresh_from_db()
    return video


def _put(store, key: str) -> dict:
    held = store.put(key, CONTENT, content_type="video/mp4", metadata={})
    return {"file_size": held.size, "checksum": held.checksum, "crc32": held.crc32, "part_size": held.part_size}


def verified(store) -> Operation:
    operation = asked("verify", Video.objects.all())
    begin(operation)
    assert state_of(operation) == "running"  # files may be large: never at once
    work_all(store=store)
    operation.refresh_from_db()
    return operation


def test_what_is_stored_is_read_and_compared_with_its_assets(store):
    video = stored(store)
    asset = make_asset(video=video, status="stored")
    Asset.objects.filter(pk=asset.pk).update(**_put(store, asset.storage_key))
    stored(store)
    make_video(status="failed")
    operation = verified(store)
    assert (operation.state, operation.notes) == ("done", [])
    assert tell(operation) == "2 videos looked at. 1 left alone: it is not stored. 3 files read. All of it is as it was stored."


def test_what_is_missing_or_differs_is_found_and_named(store):
    _whole, missing, other = stored(store), stored(store), stored(store, checksum="c2hhMjU2-2", crc32="00000000")
    store.delete(missing.storage_key)
    operation = verified(store)
    assert [note["pk"] for note in operation.notes] == [missing.pk, other.pk]
    first, second = (note["text"] for note in operation.notes)
    assert first == (f"The video is not in the storage any more (there is no object {missing.storage_key}). Store again downloads it anew.")
    assert second.startswith("The video is not what was stored: checksum is c2hhMjU2-2 in the row") and "CRC-32" in second
    assert tell(operation) == "3 videos looked at. 3 files read. 2 differences found."
    assert statuses() == ["stored"] * 3


def test_a_storage_that_is_away_is_asked_again_later_and_is_no_difference(store, monkeypatch):
    stored(store)
    monkeypatch.setattr(store, "size", lambda key: (_ for _ in ()).throw(error("storage_unreachable", "no route to host")))
    operation = verified(store)
    assert (operation.state, operation.notes, operation.waits_for) == ("running", [], "no route to host")
    monkeypatch.undo()
    assert work_all(store=store) == 0  # not before its time
    Operation.objects.update(not_before=Now())
    assert work_all(store=store) == 1
    assert (state_of(operation), operation.waits_for, operation.notes) == ("done", "", [])


def test_one_object_that_the_storage_keeps_to_itself_is_a_finding_and_stops_nobody(store, monkeypatch):
    refused, _fine = stored(store), stored(store)
    examine = store.examine

    def refuse(key, *args, **kwargs):
        if key == refused.storage_key:
            raise error("storage_credentials", "AccessDenied")
        return examine(key, *args, **kwargs)

    monkeypatch.setattr(store, "examine", refuse)
    operation = verified(store)
    assert (operation.state, [note["pk"] for note in operation.notes]) == ("done", [refused.pk])
    assert operation.notes[0]["text"] == "The video cannot be read: AccessDenied. Ask who looks after the storage."


def test_where_the_set_up_is_wrong_what_reads_the_storage_waits_and_says_so(store):
    stored(store)
    operation, other = asked("verify", Video.objects.all()), asked("store_again", Video.objects.all())
    for one in (operation, other):
        Operation.objects.filter(pk=one.pk).update(state="running")
    operations.put_off(error("misconfigured", "No bucket is named."))
    assert (state_of(operation), operation.waits_for) == ("running", "No bucket is named.")
    assert operations.next_piece(examines=True) is None
    assert operations.next_piece().operation == other


def test_reading_is_stopped_when_the_worker_must_stop(store):
    stored(store)
    begin(asked("verify", Video.objects.all()))
    piece = operations.next_piece(examines=True)

    def check():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        operations.work_piece(piece, store=store, check=check)
    operations.put_piece_back(piece)
    assert work_all(store=store) == 1


# --- many rows


def test_asking_and_doing_cost_the_same_for_any_number_of_rows(user):
    def queries(name: str) -> int:
        operation = None
        with CaptureQueriesContext(connection) as captured:
            operation = done(name, Video.objects.all(), user)
        assert operation.state == "done"
        return len(captured)

    make_video(status="failed")
    few = queries("retry")
    for _ in range(20):
        make_video(status="failed")
    assert queries("retry") == few


def test_scans_and_assets_of_what_is_cancelled_are_told(user):
    channel = make_channel()
    make_scan(channel=channel)
    make_asset(video=make_video(channel=channel, status="stored"))
    assert tell(done("cancel", Channel.objects.all(), user)) == "1 channel cancelled. 1 scan and 1 asset given up."
