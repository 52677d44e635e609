"""Uploads that attempts remember and nobody will go on with."""

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from ingestion import orphans
from ingestion.errors import TransientError
from ingestion.models import Attempt
from tests.factories import make_attempt, make_video
from tests.ingestion.test_orphans.leftovers import begin, key_of, keys, put, remember, set_video, uploads
from videos.models import Video

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("status", ["failed", "unavailable", "skipped", "stored"])
def test_an_upload_of_a_video_that_is_over_is_removed_and_forgotten(store, status):
    attempt = make_attempt()
    remember(attempt, begin(store, key_of(attempt)).state)
    set_video(attempt, status)
    assert orphans.clear_rows(store=store) == 1
    assert uploads(store) == set()
    assert Attempt.objects.get().upload is None
    assert orphans.clear_rows(store=store) == 0


@pytest.mark.parametrize("status", ["pending", "downloading"])
def test_an_upload_that_may_go_on_is_left_alone(store, status):
    attempt = make_attempt()
    remember(attempt, begin(store, key_of(attempt)).state)
    set_video(attempt, status)
    assert orphans.clear_rows(store=store) == 0
    assert uploads(store) == {key_of(attempt)}
    assert Attempt.objects.get().upload


def test_an_object_that_was_whole_but_never_recorded_is_removed(store):
    attempt = make_attempt()
    remember(attempt, put(store, key_of(attempt)), outcome="lost")
    set_video(attempt, "skipped")
    assert orphans.clear_rows(store=store) == 1
    assert keys(store) == set()


def test_an_upload_that_a_later_attempt_finished_leaves_the_object_there(store):
    first = make_attempt()
    key = key_of(first)
    state = put(store, key)
    remember(first, state, outcome="lost")
    remember(make_attempt(video=first.video, number=2), state, outcome="stored")
    set_video(first, "stored", storage_key=key)
    assert orphans.clear_rows(store=store) == 1
    assert keys(store) == {key}
    assert list(Attempt.objects.order_by("pk").values_list("upload", flat=True)) == [None, state]


def test_at_most_so_many_attempts_at_a_time(folder_store):
    for _ in range(3):
        attempt = make_attempt()
        remember(attempt, begin(folder_store, key_of(attempt)).state)
        set_video(attempt, "failed")
    assert [orphans.clear_rows(2, store=folder_store) for _ in range(3)] == [2, 1, 0]


@pytest.mark.parametrize("start", [0, 1, 2])
def test_from_wherever_it_begins_each_has_its_turn(folder_store, monkeypatch, start):
    attempts = [make_attempt() for _ in range(3)]
    for attempt in attempts:
        remember(attempt, begin(folder_store, key_of(attempt)).state)
        set_video(attempt, "failed")
    monkeypatch.setattr(orphans.random, "randint", lambda first, last: attempts[start].video_id)
    assert orphans.clear_rows(2, store=folder_store) == 2
    assert list(Attempt.objects.filter(upload__isnull=False)) == [attempts[start - 1]]
    assert orphans.clear_rows(2, store=folder_store) == 1


def test_what_the_storage_refuses_stays_remembered_and_keeps_nobody_back(folder_store, monkeypatch):
    bad, good = make_attempt(), make_attempt()
    for attempt in (bad, good):
        remember(attempt, begin(folder_store, key_of(attempt)).state)
        set_video(attempt, "failed")
    abort = folder_store.abort

    def refuse(state):
        if state["key"] == key_of(bad):
            raise TransientError("storage", "out of order")
        abort(state)

    monkeypatch.setattr(folder_store, "abort", refuse)
    assert orphans.clear_rows(store=folder_store) == 1
    assert list(Attempt.objects.filter(upload__isnull=False)) == [bad]
    monkeypatch.undo()
    assert orphans.clear_rows(store=folder_store) == 1
    assert uploads(folder_store) == set()


def test_a_storage_that_is_down_is_asked_a_few_times_only(folder_store, monkeypatch):
    asked = []

    def refuse(state):
        asked.append(state)
        raise TransientError("storage", "down")

    for _ in range(orphans.MOST_FAILURES + 2):
        attempt = make_attempt()
        remember(attempt, begin(folder_store, key_of(attempt)).state)
        set_video(attempt, "failed")
    monkeypatch.setattr(folder_store, "abort", refuse)
    assert orphans.clear_rows(store=folder_store) == 0
    assert len(asked) == orphans.MOST_FAILURES
    assert not Attempt.objects.filter(upload=None).exists()


def test_a_video_that_is_retried_in_this_very_moment_keeps_its_upload(folder_store, monkeypatch):
    attempt = make_attempt()
    remember(attempt, begin(folder_store, key_of(attempt)).state)
    set_video(attempt, "failed")
    forget = orphans._forget

    def forget_after_a_retry(video):
        Video.objects.filter(pk=video).retry()
        return forget(video)

    monkeypatch.setattr(orphans, "_forget", forget_after_a_retry)
    assert orphans.clear_rows(store=folder_store) == 0
    assert uploads(folder_store) == {key_of(attempt)}
    assert Attempt.objects.get().upload


def test_the_attempt_has_forgotten_before_the_storage_is_told(folder_store, monkeypatch):
    """Else a worker that takes the video up in between would go on with an upload that is being removed."""
    attempt = make_attempt()
    remember(attempt, begin(folder_store, key_of(attempt)).state)
    set_video(attempt, "failed")
    seen = []
    monkeypatch.setattr(folder_store, "abort", lambda state: seen.append(Attempt.objects.get().upload))
    orphans.clear_rows(store=folder_store)
    assert seen == [None]


@pytest.mark.django_db(transaction=True)
def test_a_row_that_somebody_else_holds_is_passed_over(folder_store):
    attempt = make_attempt()
    remember(attempt, begin(folder_store, key_of(attempt)).state)
    set_video(attempt, "failed")
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT FROM videos_video FOR UPDATE")
            assert orphans.clear_rows(store=folder_store) == 0
            cursor.execute("ROLLBACK")
    finally:
        other.close()
    assert orphans.clear_rows(store=folder_store) == 1


def test_what_is_over_is_found_by_its_index_and_nothing_is_sorted():
    video = make_video(status="stored")
    Attempt.objects.bulk_create([Attempt(video=video, number=1, outcome="stored", worker="w") for _ in range(2000)])
    make_attempt(upload={"key": "k"}, video=make_video(status="failed"))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("ANALYZE ingestion_attempt, videos_video")
    assert "attempt_begun_upload" in orphans._over().values_list("video_id").explain()
    with CaptureQueriesContext(connection) as asked:
        assert list(orphans._videos_over(10))
    reads = [query["sql"] for query in asked if query["sql"].startswith("SELECT")]
    with connection.cursor() as cursor:
        for read in reads:
            cursor.execute(f"EXPLAIN {read}")
            plan = str(cursor.fetchall())
            assert "attempt_begun_upload" in plan and "Sort" not in plan
