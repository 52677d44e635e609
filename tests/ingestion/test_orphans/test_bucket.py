"""Objects and uploads that nothing in the database knows, among all that the storage holds."""

import os
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from ingestion import orphans
from ingestion.errors import SetupError, TransientError
from ingestion.models import Attempt
from ingestion.orphans import clean
from ingestion.store import PROBE, Store
from tests.factories import make_attempt
from tests.ingestion.media.stores import make_s3_storage
from tests.ingestion.test_orphans.leftovers import begin, key_of, keys, put, remember, set_video, uploads

pytestmark = pytest.mark.django_db

AT_ONCE, HOUR = timedelta(0), timedelta(hours=1)


@pytest.mark.parametrize("status", ["pending", "failed", "unavailable", "skipped", "stored"])
def test_an_object_that_no_row_points_to_is_removed(store, status):
    attempt = make_attempt(outcome="retry")
    put(store, key_of(attempt))
    set_video(attempt, status)
    done = clean(store, older_than=AT_ONCE)
    assert (done.objects, done.bytes, keys(store)) == (1, 5, set())


def test_an_object_that_is_young_is_left_alone(store):
    attempt = make_attempt(outcome="retry")
    put(store, key_of(attempt))
    set_video(attempt, "failed")
    assert clean(store, older_than=HOUR).objects == 0
    assert keys(store) == {key_of(attempt)}


def test_an_object_that_has_become_old_is_removed(folder_store):
    attempt = make_attempt(outcome="retry")
    put(folder_store, key_of(attempt))
    path = Path(folder_store._place.storage.location, key_of(attempt))
    hour_ago = path.stat().st_mtime - 3601
    os.utime(path, (hour_ago, hour_ago))
    assert clean(folder_store, older_than=HOUR).objects == 1
    assert not path.exists()


def test_the_object_of_a_video_is_never_touched(store):
    attempt = make_attempt(outcome="stored")
    put(store, key_of(attempt))
    set_video(attempt, "stored", storage_key=key_of(attempt))
    again = make_attempt()
    put(store, key_of(again))
    set_video(again, "pending", storage_key=key_of(again))  # is to be stored anew
    assert clean(store, older_than=AT_ONCE).objects == 0
    assert keys(store) == {key_of(attempt), key_of(again)}


def test_an_object_is_left_to_the_worker_that_is_about_to_record_it(store):
    """Its own, or that of an upload which it goes on with; the object of an older attempt goes."""
    old = make_attempt()
    first, now = (make_attempt(video=old.video, number=number) for number in (2, 3))
    remember(first, put(store, key_of(first)))
    for attempt in (old, now):
        put(store, key_of(attempt))
    set_video(now, "downloading")
    assert clean(store, older_than=AT_ONCE).objects == 1
    assert keys(store) == {key_of(first), key_of(now)}


def test_an_upload_that_nobody_knows_is_removed(store):
    attempt = make_attempt(outcome="lost")
    begin(store, key_of(attempt))
    set_video(attempt, "pending")
    done = clean(store, older_than=AT_ONCE)
    assert (done.uploads, uploads(store)) == (1, set())


def test_an_upload_of_a_running_or_resumable_attempt_is_left_alone(store):
    running, resumable = make_attempt(), make_attempt()
    begin(store, key_of(running))  # its state could not be saved yet
    set_video(running, "downloading")
    remember(resumable, begin(store, key_of(resumable)).state)
    done = clean(store, older_than=AT_ONCE)
    assert (done.uploads, done.remembered, uploads(store)) == (0, 0, {key_of(running), key_of(resumable)})


def test_a_second_upload_of_a_key_is_removed_beside_the_one_that_is_remembered(moto_store):
    attempt = make_attempt()
    begin(moto_store, key_of(attempt))
    kept = begin(moto_store, key_of(attempt)).state
    remember(attempt, kept)
    assert clean(moto_store, older_than=HOUR).uploads == 1  # moto dates every upload 2010
    assert [upload.upload_id for upload in moto_store.uploads()] == [kept["upload_id"]]


def test_an_upload_that_is_young_is_left_alone(folder_store):
    attempt = make_attempt(outcome="lost")
    begin(folder_store, key_of(attempt))
    assert clean(folder_store, older_than=HOUR).uploads == 0
    assert uploads(folder_store) == {key_of(attempt)}


def test_what_attempts_remember_is_cleared_as_well(store):
    attempt = make_attempt()
    remember(attempt, begin(store, key_of(attempt)).state)
    set_video(attempt, "failed")
    done = clean(store, older_than=HOUR)
    assert (done.remembered, done.uploads, uploads(store)) == (1, 0, set())
    assert Attempt.objects.get().upload is None


def test_what_is_not_ours_stays_and_is_counted(store):
    strange = {"notes.txt", "ann-1/UC1/v/film.mp4", f"backup/{uuid4()}-1.mp4.gz", f"a/b/c/d/{uuid4()}-1.mp4"}
    for key in strange:
        put(store, key)
    begin(store, "ann-1/UC1/v/film-2.mp4")
    done = clean(store, older_than=AT_ONCE, unknown=True)
    assert (done.strange, done.objects, done.uploads, keys(store)) == (5, 0, 0, strange)


def test_what_another_database_stored_stays_unless_it_is_asked_for(store):
    """As after a backup was restored, or with an empty database on the bucket of another one."""
    attempt = make_attempt(outcome="lost")
    foreign = {f"ann-1/UC1/v/{uuid4()}-{attempt.pk}.mp4", f"ann-1/UC1/v/{attempt.video.uuid}-{attempt.pk + 7}.mp4"}
    for key in foreign:
        put(store, key)
    done = clean(store, older_than=AT_ONCE)
    assert (done.unknown, done.objects, keys(store)) == (2, 0, foreign)
    done = clean(store, older_than=AT_ONCE, unknown=True)
    assert (done.unknown, done.objects, keys(store)) == (0, 2, set())


def test_an_object_whose_row_was_deleted_goes_when_asked_for(store):
    attempt = make_attempt(outcome="stored")
    key = key_of(attempt)
    put(store, key)
    attempt.video.delete()
    assert clean(store, older_than=AT_ONCE).unknown == 1
    assert clean(store, older_than=AT_ONCE, unknown=True).objects == 1


def test_a_probe_that_a_dead_host_left_goes_after_a_while(folder_store):
    put(folder_store, f"{PROBE}abc")
    assert clean(folder_store, older_than=AT_ONCE).objects == 0
    path = Path(folder_store._place.storage.location, f"{PROBE}abc")
    os.utime(path, (0, 0))
    done = clean(folder_store, older_than=AT_ONCE)
    assert (done.objects, done.strange, keys(folder_store)) == (1, 0, set())


def test_a_dry_run_removes_nothing_and_names_everything(store):
    lost, over = make_attempt(outcome="lost"), make_attempt()
    put(store, key_of(lost))
    remember(over, begin(store, key_of(over)).state)
    set_video(over, "failed")
    told = []
    done = clean(store, older_than=AT_ONCE, dry_run=True, tell=told.append)
    assert (done.objects, done.uploads, done.remembered) == (1, 0, 1)
    assert [line.split(":")[0] for line in told] == [key_of(over), key_of(lost)]
    assert (keys(store), uploads(store)) == ({key_of(lost)}, {key_of(over)})
    assert Attempt.objects.get(pk=over.pk).upload


@pytest.mark.parametrize("at_once", [1, 2, 1000])
def test_a_bucket_is_compared_in_batches(folder_store, at_once, monkeypatch, django_assert_max_num_queries):
    monkeypatch.setattr(orphans, "AT_ONCE", at_once)
    stored = [make_attempt(outcome="stored") for _ in range(5)]
    for attempt in stored:
        put(folder_store, key_of(attempt))
        set_video(attempt, "stored", storage_key=key_of(attempt))
    gone = make_attempt(outcome="lost")
    put(folder_store, key_of(gone))
    with django_assert_max_num_queries(1 + 3 * -(-6 // at_once) + 3):
        assert clean(folder_store, older_than=AT_ONCE).objects == 1
    assert keys(folder_store) == {key_of(attempt) for attempt in stored}


@pytest.mark.parametrize("server", ["moto", "rclone"])
def test_a_listing_goes_page_by_page(server, request, monkeypatch):
    store = request.getfixturevalue(f"{server}_store")
    for _ in range(5):
        attempt = make_attempt(outcome="lost")
        put(store, key_of(attempt))
        begin(store, key_of(attempt))
    asked = []

    def of_two(event_name, params, **kwargs):
        asked.append(event_name.rpartition(".")[2])
        params["MaxKeys" if asked[-1] == "ListObjectsV2" else "MaxUploads"] = 2

    events = store._place.client.meta.events
    events.register("before-parameter-build.s3.ListObjectsV2", of_two)
    events.register("before-parameter-build.s3.ListMultipartUploads", of_two)
    monkeypatch.setattr(orphans, "AT_ONCE", 2)
    done = clean(store, older_than=AT_ONCE)
    pages = asked.count("ListObjectsV2"), asked.count("ListMultipartUploads")
    assert pages == (3, 1 if server == "moto" else 3)  # moto tells all uploads at once
    assert (done.objects, done.uploads, keys(store), uploads(store)) == (5, 5, set(), set())


def test_a_video_that_is_recorded_while_the_bucket_is_listed_keeps_its_object(folder_store, monkeypatch):
    """The comparison of the batch saw an orphan; the last look before the removal sees a stored video."""
    attempt = make_attempt(outcome="retry")
    put(folder_store, key_of(attempt))
    looked = []
    of = orphans._Known.of

    def look(found):
        known = of(found)
        if not looked:
            set_video(attempt, "stored", storage_key=key_of(attempt))
        looked.append(known)
        return known

    monkeypatch.setattr(orphans._Known, "of", look)
    assert clean(folder_store, older_than=AT_ONCE).objects == 0
    assert len(looked) == 2
    assert keys(folder_store) == {key_of(attempt)}


def test_a_video_that_is_recorded_between_two_queries_keeps_its_object(folder_store, monkeypatch):
    """In work when the attempts are read, stored when the stored keys are: needed either way."""
    attempt = make_attempt()
    put(folder_store, key_of(attempt))
    set_video(attempt, "downloading")
    begun = orphans._begun

    def begun_after_the_end():
        cleared = {"claim_id": None, "lease_owner": "", "lease_expires_at": None}
        set_video(attempt, "stored", storage_key=key_of(attempt), **cleared)
        return begun()

    monkeypatch.setattr(orphans, "_begun", begun_after_the_end)
    known = orphans._Known.of([key_of(attempt)])
    assert known.needs(next(folder_store.objects()))


def test_a_storage_that_refuses_one_removal_does_not_end_the_cleaning(folder_store, monkeypatch):
    attempts = [make_attempt(outcome="lost") for _ in range(2)]
    for attempt in attempts:
        put(folder_store, key_of(attempt))
    delete = folder_store.delete

    def refuse(key):
        if key == key_of(attempts[0]):
            raise TransientError("storage", "busy")
        delete(key)

    monkeypatch.setattr(folder_store, "delete", refuse)
    done = clean(folder_store, older_than=AT_ONCE)
    assert (done.objects, len(done.failures)) == (1, 1)
    assert keys(folder_store) == {key_of(attempts[0])}


def test_a_bucket_that_cannot_be_listed_is_an_error(moto_endpoint):
    with pytest.raises(SetupError, match="MASSDL_S3_BUCKET"):
        clean(Store(make_s3_storage(moto_endpoint, "missing")), older_than=AT_ONCE)
