import hashlib
import json
import random
import zlib
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError
from django.db import InterfaceError, OperationalError

from ingestion.errors import DeferredError, TransientError, error
from ingestion.store import Part, Store
from tests.ingestion.media.stores import refuse, uploads_left

PART = 256 << 10  # the least that Google takes
CONTENT = random.Random(1).randbytes(4 * PART + 352)  # four parts and a shorter one


def piece(number: int) -> bytes:
    return CONTENT[(number - 1) * PART : number * PART]


def begin(store: Store, key: str = "a/b/clip.mp4", **over):
    options = {"content_type": "video/mp4", "metadata": {"youtube-id": "abc"}, "expected_size": len(CONTENT), "part_size": PART}
    return store.begin(key, **{**options, **over})


def read(store: Store, key: str) -> bytes:
    with store.open(key) as body:
        return body.read()


def test_parts_from_several_threads_become_one_object(store):
    upload = begin(store)
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda number: upload.put_part(number, piece(number)), range(1, 6)))
    assert store.size(upload.key) is None
    stored = upload.complete(len(CONTENT))
    assert read(store, stored.key) == CONTENT
    assert (stored.key, stored.size, stored.part_size) == ("a/b/clip.mp4", len(CONTENT), PART)
    assert stored.crc32 == f"{zlib.crc32(CONTENT):08x}"
    assert stored.checksum.endswith("-5")
    assert store.examine(stored.key, PART) == stored
    assert uploads_left(store) == []


@pytest.mark.parametrize("kind", ["folder", "moto"])
def test_the_first_part_may_come_last(kind, request):
    store = request.getfixturevalue(f"{kind}_store")
    upload = begin(store)
    for number in (3, 2, 5, 4, 1):
        upload.put_part(number, piece(number))
    assert store.examine(upload.complete(len(CONTENT)).key, PART).crc32 == f"{zlib.crc32(CONTENT):08x}"


def test_an_object_of_one_part_is_like_any_other(store):
    upload = begin(store)
    upload.put_part(1, b"small")
    stored = upload.complete(5)
    assert (read(store, stored.key), store.size(stored.key)) == (b"small", 5)


def test_an_upload_goes_on_from_its_saved_state(store):
    saved = []
    upload = begin(store, on_state=lambda state: saved.append(json.dumps(state)), facts={"format_id": "137"})
    for number in (1, 2):
        upload.put_part(number, piece(number))
        upload.keep_state()
    upload.leave()
    again = begin(store, key="other.mp4", state=json.loads(saved[-1]))
    assert (again.key, again.part_size, again.facts) == ("a/b/clip.mp4", PART, {"format_id": "137"})
    assert sorted(again.parts) == [1, 2]
    for number in (3, 4, 5):
        again.put_part(number, piece(number))
    assert read(store, again.complete(len(CONTENT)).key) == CONTENT
    assert len(saved) == 3


def test_a_state_is_handed_over_only_when_it_has_changed(store):
    saved = []
    upload = begin(store, on_state=saved.append)
    upload.keep_state()
    assert [state["parts"] for state in saved] == [{}]
    upload.abort()
    assert saved[-1] is None


def test_a_part_that_the_storage_lost_is_not_believed(moto_store):
    upload = begin(moto_store)
    upload.put_part(1, piece(1))
    state = upload.state
    state["parts"]["2"] = {**state["parts"]["1"], "etag": '"another"'}
    state["parts"]["1"]["etag"] = '"another"'
    assert begin(moto_store, state=state).parts == {}


def test_a_state_whose_upload_is_gone_begins_anew(store):
    upload = begin(store)
    upload.put_part(1, piece(1))
    store.abort(upload.state)
    again = begin(store, key="anew.mp4", state=upload.state)
    assert (again.key, dict(again.parts)) == ("anew.mp4", {})
    again.abort()


def forget(state) -> None:
    raise OperationalError("no database")


@pytest.mark.parametrize("failure", [OperationalError("no database"), InterfaceError("closed"), KeyboardInterrupt()], ids=repr)
def test_a_first_state_that_cannot_be_saved_leaves_no_upload(failure, store):
    def refuse(state):
        raise failure

    with pytest.raises(type(failure)):
        begin(store, on_state=refuse)
    assert uploads_left(store) == []


def test_a_first_state_that_cannot_be_saved_is_what_is_told_though_the_storage_fails_too(moto_store, caplog):
    refuse(moto_store, "AbortMultipartUpload", 503, "ServiceUnavailable")
    with pytest.raises(OperationalError):
        begin(moto_store, on_state=forget)
    assert [record.key for record in caplog.records if record.name == "ingestion.store"] == ["a/b/clip.mp4"]
    assert len(uploads_left(moto_store)) == 1


def test_an_upload_that_goes_on_stays_when_its_state_cannot_be_saved(store):
    """The attempt before remembers it."""
    upload = begin(store)
    upload.put_part(1, piece(1))
    with pytest.raises(OperationalError):
        begin(store, state=upload.state, on_state=forget)
    assert sorted(begin(store, state=upload.state).parts) == [1]


class Rows:
    """A database that takes states, but for when it is away."""

    def __init__(self):
        self.is_away, self.asked, self.saved = False, 0, []

    def __call__(self, state) -> None:
        self.asked += 1
        if self.is_away:
            raise OperationalError("no database")
        self.saved.append(sorted(state["parts"]))


def test_a_later_state_that_cannot_be_saved_is_handed_over_with_the_next_part(store):
    upload = begin(store, on_state=(rows := Rows()))
    rows.is_away = True
    upload.put_part(1, piece(1))
    for _ in range(3):
        upload.keep_state()
    assert (rows.saved, rows.asked) == ([[]], 2), "not asked again and again for the same"
    rows.is_away = False
    upload.put_part(2, piece(2))
    upload.keep_state()
    upload.keep_state()
    assert (rows.saved, rows.asked) == ([[], ["1", "2"]], 3)


def test_a_state_that_could_not_be_saved_is_handed_over_once_more_at_the_end(store):
    upload = begin(store, on_state=(rows := Rows()))
    rows.is_away = True
    upload.put_part(1, piece(1))
    upload.keep_state()
    rows.is_away = False
    upload.leave()
    upload.keep_state()
    assert rows.saved == [[], ["1"]]


def test_an_upload_is_aborted_though_the_database_does_not_hear_of_it(store, caplog):
    answers = iter([None, OperationalError("no database")])

    def save(state):
        if failure := next(answers):
            raise failure

    begin(store, on_state=save).abort()
    assert uploads_left(store) == []
    assert "that an upload is gone was not saved" in caplog.text


def test_only_a_database_that_is_away_is_passed_over(moto_store):
    """Whoever stops a transfer is heard."""
    calls = iter([None, KeyError("stop")])

    def save(state):
        if failure := next(calls):
            raise failure

    upload = begin(moto_store, on_state=save)
    upload.put_part(1, piece(1))
    with pytest.raises(KeyError):
        upload.keep_state()


def test_an_aborted_upload_leaves_nothing(store):
    upload = begin(store)
    upload.put_part(1, piece(1))
    upload.abort()
    upload.abort()
    store.abort(upload.state)
    assert uploads_left(store) == []
    assert list(store.list_keys()) == []
    with pytest.raises(TransientError, match="given up"):
        upload.put_part(2, piece(2))


@pytest.mark.parametrize(
    ("numbers", "size"),
    [([1, 2, 3, 4], len(CONTENT)), ([1, 3, 4, 5], len(CONTENT) - PART), ([1, 2, 5], 2 * PART + 352), ([], 0), ([1, 2, 3, 4, 5], 5000)],
    ids=["last missing", "hole", "two holes", "nothing", "another size"],
)
def test_parts_with_a_hole_are_never_completed(numbers, size, moto_store):
    upload = begin(moto_store)
    for number in numbers:
        upload.put_part(number, piece(number))
    with pytest.raises(TransientError, match="do not make up"):
        upload.complete(size)
    assert moto_store.size(upload.key) is None
    upload.abort()


def test_an_object_of_another_size_than_sent_is_removed(store, monkeypatch):
    upload = begin(store)
    upload.put_part(1, b"small")
    real = store._place.size
    monkeypatch.setattr(store._place, "size", lambda key: real(key) and real(key) - 1)
    with pytest.raises(TransientError, match="4 bytes stored of 5"):
        upload.complete(5)
    monkeypatch.undo()
    assert store.size(upload.key) is None


def test_a_lost_answer_to_complete_is_no_loss(moto_store):
    upload = begin(moto_store)
    upload.put_part(1, b"small")
    again = begin(moto_store, state=upload.state)
    stored = upload.complete(5)
    assert again.complete(5) == stored


def test_an_object_that_is_whole_when_the_upload_is_aborted_goes_too(store, monkeypatch):
    """As when the look at it after its completion was not answered."""
    upload = begin(store)
    upload.put_part(1, piece(1))
    with monkeypatch.context() as away:
        away.setattr(upload, "_size_held", lambda: (_ for _ in ()).throw(error("storage_unreachable", "503")))
        with pytest.raises(DeferredError):
            upload.complete(len(piece(1)))
    assert list(store.list_keys())
    upload.abort()
    assert list(store.list_keys()) == []


def test_a_server_without_checksums_gets_md5(moto_store, monkeypatch):
    client, sent = moto_store._place.client, []
    create, put = client.create_multipart_upload, client.upload_part

    def create_plainly(**parameters):
        if "ChecksumAlgorithm" in parameters:
            raise ClientError({"Error": {"Code": "NotImplemented"}}, "CreateMultipartUpload")
        return create(**parameters)

    def put_part(**parameters):
        sent.append(parameters)
        return put(**parameters)

    monkeypatch.setattr(client, "create_multipart_upload", create_plainly)
    monkeypatch.setattr(client, "upload_part", put_part)
    upload = begin(moto_store)
    upload = begin(moto_store, state=json.loads(json.dumps(upload.state)))
    upload.put_part(1, b"small")
    assert upload.complete(5).crc32 == f"{zlib.crc32(b'small'):08x}"
    assert sent[0]["ContentMD5"] and "ChecksumCRC32" not in sent[0]


def test_every_part_carries_its_crc32(moto_store, monkeypatch):
    client, sent = moto_store._place.client, []
    put = client.upload_part
    monkeypatch.setattr(client, "upload_part", lambda **parameters: sent.append(parameters) or put(**parameters))
    upload = begin(moto_store)
    upload.put_part(1, b"small")
    upload.complete(5)
    assert sent[0]["ChecksumCRC32"] == b64encode(zlib.crc32(b"small").to_bytes(4, "big")).decode()


def test_parts_wait_for_their_turn_where_order_is_wanted(rclone_store):
    upload = begin(rclone_store)
    with ThreadPoolExecutor(5) as threads:
        later = [threads.submit(upload.put_part, number, piece(number)) for number in (5, 4, 3, 2)]
        assert not any(future.done() for future in later)
        upload.put_part(1, piece(1))
    assert all(future.result() for future in later)
    stored = upload.complete(len(CONTENT))
    assert hashlib.sha256(read(rclone_store, stored.key)).digest() == hashlib.sha256(CONTENT).digest()


def test_whoever_waits_for_a_turn_is_woken_when_the_upload_is_given_up(rclone_store):
    upload = begin(rclone_store)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(upload.put_part, 2, piece(2))
        upload.leave()
        with pytest.raises(TransientError, match="given up"):
            waiting.result()
    upload.abort()


def test_s3_objects_know_what_they_are(moto_store):
    upload = begin(moto_store, metadata={"youtube-id": "abc", "person": "Zoë"})
    upload.put_part(1, b"small")
    upload.complete(5)
    place = moto_store._place
    head = place.client.head_object(Bucket=place.bucket, Key="archive/a/b/clip.mp4")
    assert (head["ContentType"], head["Metadata"]) == ("video/mp4", {"youtube-id": "abc", "person": "Zo%C3%AB"})


def kill_between_the_answer_and_the_record(upload, number: int) -> dict:
    """The state that was saved while a part was on its way, and that the storage then took."""
    saved = []
    upload._on_state = lambda state: saved.append(json.loads(json.dumps(state)))
    put = upload._put

    def put_and_save_before(*args):
        upload.keep_state()
        return put(*args)

    upload._put = put_and_save_before
    upload.put_part(number, piece(number))
    upload.leave()
    return saved[-1]


def test_a_part_that_arrived_as_its_sender_died_is_taken_over(store):
    upload = begin(store)
    upload.put_part(1, piece(1))
    state = kill_between_the_answer_and_the_record(upload, 2)
    assert (sorted(state["parts"]), sorted(state["sending"])) == (["1"], ["2"])
    again = begin(store, state=state)
    assert sorted(again.parts) == [1, 2]
    for number in (3, 4, 5):
        again.put_part(number, piece(number))
    stored = again.complete(len(CONTENT))
    assert store.examine(stored.key, PART) == stored
    assert read(store, stored.key) == CONTENT


@pytest.mark.parametrize("kind", ["folder", "moto", "rclone"])
def test_a_part_that_arrived_otherwise_than_announced_is_sent_again(kind, request):
    store = request.getfixturevalue(f"{kind}_store")
    upload = begin(store)
    state = kill_between_the_answer_and_the_record(upload, 1)
    state["sending"]["1"] = Part.of(piece(2)).as_json()
    assert dict(begin(store, state=state).parts) == {}


def test_a_part_that_never_arrived_is_sent_again(store):
    upload = begin(store)
    upload.put_part(1, piece(1))
    state = {**upload.state, "sending": {"2": Part.of(piece(2)).as_json()}}
    assert sorted(begin(store, state=state).parts) == [1]


def test_a_state_of_an_earlier_release_goes_on(store):
    upload = begin(store)
    upload.put_part(1, piece(1))
    state = upload.state
    del state["sending"]
    assert sorted(begin(store, state=state).parts) == [1]


def test_a_part_is_known_by_its_crc32_where_the_server_encrypts_and_has_no_md5(moto_store, monkeypatch):
    upload = begin(moto_store)
    state = kill_between_the_answer_and_the_record(upload, 1)
    state["sending"]["1"]["etag"] = '"of the plain bytes"'
    checksum = b64encode(zlib.crc32(piece(1)).to_bytes(4, "big")).decode()
    held = {"PartNumber": 1, "Size": PART, "ETag": '"of the encrypted bytes"', "ChecksumCRC32": checksum}
    monkeypatch.setattr(moto_store._place.client, "get_paginator", lambda name: Pages([{"Parts": [held]}]))
    assert begin(moto_store, state=state).parts[1].etag == '"of the encrypted bytes"'


class Pages(list):
    def paginate(self, **names):
        return self


def test_no_md5_is_worked_out_where_the_server_tells_the_crc32(moto_store, monkeypatch):
    client, put = moto_store._place.client, moto_store._place.client.upload_part
    upload = begin(moto_store)
    monkeypatch.setattr(client, "upload_part", lambda **sent: {**put(**sent), "ChecksumCRC32": sent["ChecksumCRC32"]})
    assert upload._announced(piece(1)).etag
    upload.put_part(1, piece(1))
    assert not upload._announced(piece(2)).etag


def test_a_failed_part_stays_announced_for_it_may_have_arrived(moto_store):
    upload = begin(moto_store)
    refuse(moto_store, "UploadPart", 503, "ServiceUnavailable")
    with pytest.raises(DeferredError):
        upload.put_part(1, piece(1))
    assert (upload.state["parts"], list(upload.state["sending"])) == ({}, ["1"])
