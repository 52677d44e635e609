from datetime import timedelta

import pytest
from django.core.files.storage import FileSystemStorage
from django.db.models.functions import Now
from django_q.brokers import get_broker
from django_q.models import OrmQ

from ingestion import chores, dispatch
from ingestion.models import Chore
from ingestion.store import Store
from tests.factories import make_attempt, make_video
from videos import tallies
from videos.keys import key_stem
from videos.models import Video, VideoTally

pytestmark = pytest.mark.django_db(transaction=True)  # the chore has a thread and a connection of its own


@pytest.fixture
def store(tmp_path):
    return Store(FileSystemStorage(tmp_path))


def orphan_key(video):
    attempt = make_attempt(video=video, outcome="lost")
    names = {"person_id": video.person_id, "person_name": video.person.name, "channel_id": "UC1", "video_id": video.external_id}
    return f"{key_stem(**names, uuid=video.uuid, attempt_id=attempt.pk)}.mp4"


def begin(store, key):
    return store.begin(key, content_type="video/mp4", metadata={}, expected_size=9)


def put(store, key):
    upload = begin(store, key)
    upload.put_part(1, b"123456789")
    upload.complete(9)


def test_a_chore_is_taken_by_one_and_then_not_before_its_time():
    assert [chores.take(chores.UPLOADS) for _ in range(3)] == [True, False, False]
    chores.note_end(chores.UPLOADS)
    Chore.objects.update(began_at=Now() - timedelta(minutes=59))
    assert not chores.take(chores.UPLOADS)
    Chore.objects.update(began_at=Now() - timedelta(minutes=61))
    assert [chores.take(chores.UPLOADS) for _ in range(2)] == [True, False]
    assert chores.take(chores.BUCKET)


def test_one_that_never_ended_is_taken_again_in_an_hour():
    assert chores.take(chores.BUCKET)
    Chore.objects.update(began_at=Now() - timedelta(minutes=61))
    assert [chores.take(chores.BUCKET) for _ in range(2)] == [True, False]
    chores.note_end(chores.BUCKET)
    Chore.objects.update(began_at=Now() - timedelta(minutes=61))
    assert not chores.take(chores.BUCKET)


def test_an_idle_fleet_is_woken_for_its_chores(store):
    dispatch.tick()
    assert get_broker(dispatch.SCANS).queue_size() == 1
    OrmQ.objects.all().delete()
    chores.clean_now_and_then(store).join()
    dispatch.tick()
    assert get_broker(dispatch.SCANS).queue_size() == 0


def test_the_bucket_is_cleaned_at_once_and_then_every_day(store, monkeypatch):
    monkeypatch.setattr(chores, "OLDER_THAN", timedelta(0))
    video = make_video(status="stored")
    put(store, orphan_key(video))
    chores.clean_now_and_then(store).join()
    assert list(store.list_keys()) == []
    put(store, orphan_key(video))
    assert chores.clean_now_and_then(store) is None
    Chore.objects.update(began_at=Now() - timedelta(hours=25))
    chores.clean_now_and_then(store).join()
    assert list(store.list_keys()) == []


def test_between_only_unfinished_uploads_are_looked_for(store, monkeypatch):
    chores.clean_now_and_then(store).join()
    monkeypatch.setattr(chores, "OLDER_THAN", timedelta(0))
    video = make_video(status="stored")
    put(store, key := orphan_key(video))
    begin(store, orphan_key(video))
    Chore.objects.update(began_at=Now() - timedelta(minutes=61))
    chores.clean_now_and_then(store).join()
    assert list(store.uploads()) == []
    assert [held for held, _ in store.list_keys()] == [key]


def test_what_is_younger_than_an_hour_stays(store):
    key = orphan_key(make_video(status="stored"))
    put(store, key)
    chores.clean_now_and_then(store).join()
    assert [held for held, _ in store.list_keys()] == [key]


def test_a_storage_that_does_not_answer_is_left_for_the_next_time(store, monkeypatch, caplog):
    monkeypatch.setattr(Store, "objects", lambda self, prefix="": (_ for _ in ()).throw(chores.ArchiveError("storage", "away")))
    chores.clean_now_and_then(store).join()
    assert "the storage was not cleaned" in caplog.text
    of_storage = Chore.objects.filter(name__in=[chores.UPLOADS, chores.BUCKET])
    assert set(of_storage.values_list("ended_at", flat=True)) == {None}


def test_tallies_are_folded_and_counted_anew_whatever_the_storage_says(store, monkeypatch, caplog):
    monkeypatch.setattr(Store, "objects", lambda self, prefix="": (_ for _ in ()).throw(chores.ArchiveError("storage", "away")))
    video = make_video()
    Video.objects.filter(pk=video.pk).update(status="skipped")
    VideoTally.objects.filter(status="skipped").update(videos=7)
    chores.clean_now_and_then(store).join()
    assert +tallies.archive().videos == {"skipped": 1}
    assert not VideoTally.objects.filter(status="pending").exists()
    assert "1 tallies of videos were wrong" in caplog.text
