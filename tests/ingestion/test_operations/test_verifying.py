"""Files are read and compared with their rows; what differs is found and named, and an outage is no difference."""

import pytest
from django.db.models.functions import Now

from ingestion import operations
from ingestion.errors import error
from ingestion.models import Operation
from ingestion.operations import begin
from tests.factories import make_asset, make_video
from tests.ingestion.test_operations.steps import asked, state_of, statuses, tell, work_all
from videos.models import Asset, Video

pytestmark = pytest.mark.django_db

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
