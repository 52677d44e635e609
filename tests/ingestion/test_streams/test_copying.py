import json

import pytest

from ingestion.errors import ArchiveError, PermanentError, TransientError
from ingestion.store import Store
from ingestion.streams import plan
from tests.ingestion.media.origin import Fault, HttpSource
from tests.ingestion.media.stores import refuse, uploads_left
from tests.ingestion.test_streams.transfers import PART_SIZE, make_extraction, make_format, move


def content_of(store: Store, key: str) -> bytes:
    with store.open(key) as body:
        return body.read()


@pytest.mark.parametrize(
    ("formats", "way"),
    [
        ([{}], "copy"),
        ([{"protocol": "m3u8_native"}], "spool"),
        ([{"size": None}], "spool"),
        ([{}, {"vcodec": None, "acodec": "opus"}], "mux"),
        ([{}, {"vcodec": None, "acodec": "opus", "size": None}], "spool"),
        ([{"protocol": "http_dash_segments"}, {"vcodec": None, "acodec": "opus"}], "spool"),
        ([{}, {}], "spool"),
        ([{}, {}, {}], "spool"),
    ],
    ids=["one", "hls", "unknown size", "two", "one of unknown size", "fragments", "two pictures", "three"],
)
def test_the_way_follows_from_the_formats(formats, way, origin):
    assert plan(make_extraction(*(make_format(origin, "picture.mp4", **over) for over in formats))) == way


@pytest.mark.parametrize("name", ["both.mp4", "sound.m4a", "sound.webm"])
def test_one_format_is_stored_as_it_is(name, origin, store):
    moved = move([name], origin=origin, store=store)
    assert content_of(store, moved.stored.key) == origin.files[name]
    assert (moved.way, moved.container, moved.bytes_fetched) == ("copy", name.rpartition(".")[2], len(origin.files[name]))
    assert moved.stored.key.endswith(f".{moved.container}")
    assert store.examine(moved.stored.key, PART_SIZE) == moved.stored
    assert origin.bytes_asked(name) == len(origin.files[name])
    assert uploads_left(store) == []


def test_a_picture_in_the_container_that_was_asked_for_is_stored_as_it_is(origin, store):
    moved = move(["vp9.webm"], origin=origin, store=store, container="webm")
    assert (moved.way, moved.container) == ("copy", "webm")
    assert content_of(store, moved.stored.key) == origin.files["vp9.webm"]


def test_a_file_that_lasts_otherwise_than_announced_leaves_no_object(origin, store):
    with pytest.raises(TransientError, match="YouTube announced 60"):
        move(["both.mp4"], origin=origin, store=store, duration=60)
    assert (uploads_left(store), list(store.list_keys())) == ([], [])


def test_faulty_connections_cost_no_byte_twice(origin, store):
    origin.faults = [Fault("both.mp4", kind, at, times=2) for kind, at in (("short", 0), ("reset", 500_000), ("stall", 900_000))]
    moved = move(["both.mp4"], origin=origin, store=store)
    assert content_of(store, moved.stored.key) == origin.files["both.mp4"]
    assert moved.bytes_fetched == len(origin.files["both.mp4"])


class Interrupted(Exception):
    keep_upload = True


def stop_at(size: int, exception: Exception):
    """A progress that raises once `size` bytes are done."""

    def progress(done: int, total: int) -> None:
        if done >= size:
            raise exception

    return progress


def interrupted(origin, store, **over) -> dict:
    """The state of a transfer that was interrupted in its middle."""
    saved = []
    origin.faults = [Fault("both.mp4", "refused", at=4 * PART_SIZE)]
    with pytest.raises(TransientError, match="forbidden"):
        move(["both.mp4"], origin=origin, store=store, on_state=lambda state: saved.append(json.dumps(state)), **over)
    origin.faults, origin.asked[:] = [], []
    return json.loads(saved[-1])


def test_an_interrupted_copy_fetches_only_what_is_missing(origin, store):
    state = interrupted(origin, store)
    held = {int(number) for number in state["parts"]}
    assert held and held <= {1, 2, 3, 4}
    assert (state["facts"]["size"], state["facts"]["validator"]) == (len(origin.files["both.mp4"]), '"both.mp4"')
    done = []
    moved = move(["both.mp4"], origin=origin, store=store, state=state, key_stem="second", progress=lambda *now: done.append(now))
    assert {first for _, first, _ in origin.asked}.isdisjoint((number - 1) * PART_SIZE for number in held)
    assert moved.bytes_fetched == len(origin.files["both.mp4"]) - len(held) * PART_SIZE
    assert done[0][0] >= len(held) * PART_SIZE
    assert done[-1] == (len(origin.files["both.mp4"]), len(origin.files["both.mp4"]))
    assert moved.stored.key == state["key"] == "ann-1/UC1/abcdefghijk/u-1.mp4"
    assert content_of(store, moved.stored.key) == origin.files["both.mp4"]
    assert store.examine(moved.stored.key, PART_SIZE) == moved.stored


@pytest.mark.parametrize("change", [{"format_id": "22"}, {"size": 1}, {"validator": '"older"'}], ids=lambda change: next(iter(change)))
def test_a_state_of_another_file_is_aborted_and_begun_anew(change, origin, store):
    state = interrupted(origin, store)
    state["facts"] |= change
    moved = move(["both.mp4"], origin=origin, store=store, state=state, key_stem="second")
    assert moved.stored.key == "second.mp4"
    assert content_of(store, moved.stored.key) == origin.files["both.mp4"]
    assert (uploads_left(store), [key for key, _ in store.list_keys()]) == ([], ["second.mp4"])


def test_a_state_whose_upload_is_gone_begins_anew(origin, store):
    state = interrupted(origin, store)
    store.abort(state)
    moved = move(["both.mp4"], origin=origin, store=store, state=state, key_stem="second")
    assert content_of(store, moved.stored.key) == origin.files["both.mp4"]


@pytest.mark.parametrize(
    ("exception", "kept"),
    [(Interrupted(), True), (RuntimeError("stop"), False), (KeyboardInterrupt(), False)],
    ids=["keep", "drop", "interrupt"],
)
def test_progress_stops_a_copy(exception, kept, origin, store):
    states = []
    with pytest.raises(type(exception)):
        move(["both.mp4"], origin=origin, store=store, progress=stop_at(700_000, exception), on_state=states.append)
    assert list(store.list_keys()) == []
    assert (states[-1] is not None, bool(uploads_left(store))) == (kept, kept)
    if kept:
        moved = move(["both.mp4"], origin=origin, store=store, state=states[-1])
        assert content_of(store, moved.stored.key) == origin.files["both.mp4"]


def test_nothing_is_kept_for_somebody_who_cannot_remember(origin, store):
    with pytest.raises(Interrupted):
        move(["both.mp4"], origin=origin, store=store, progress=stop_at(700_000, Interrupted()))
    assert uploads_left(store) == []


REFUSALS = [
    ("short", "network"),
    ("stall", "network"),
    ("refused", "forbidden"),
    ("changed", "incomplete"),
    ("grown", "incomplete"),
    ("untold", "incomplete"),
]


@pytest.mark.parametrize(("fault", "kind"), REFUSALS, ids=[fault for fault, _ in REFUSALS])
def test_a_format_that_is_not_whole_leaves_no_object(fault, kind, origin, store, monkeypatch):
    monkeypatch.setattr("ingestion.streams.ranges.TRIES", 2)
    origin.faults = [Fault("both.mp4", fault, at=PART_SIZE)]
    with pytest.raises(ArchiveError) as caught:
        move(["both.mp4"], origin=origin, store=store)
    assert caught.value.kind == kind
    assert (uploads_left(store), list(store.list_keys())) == ([], [])


def test_a_size_that_was_announced_wrongly_is_refused(origin, store):
    with pytest.raises(ArchiveError, match="announced"):
        move([make_format(origin, "both.mp4", size=1_000_000)], origin=origin, store=store)
    assert (uploads_left(store), list(store.list_keys())) == ([], [])


def test_a_refused_url_is_not_tried_again(origin, store):
    origin.faults = [Fault("sound.m4a", "refused")]
    with pytest.raises(ArchiveError):
        move(["sound.m4a"], origin=origin, store=store)
    assert len(origin.asked) == 1


def test_an_index_behind_the_media_is_moved_to_the_front(origin, store, tmp_path):
    source = HttpSource(("made.mp4", origin.files["index-last.mp4"]))
    moved = move(["index-last.mp4"], origin=origin, store=store, source=source)
    assert (moved.way, moved.container) == ("spool", "mp4")
    content = content_of(store, moved.stored.key)
    assert content.index(b"moov") < content.index(b"mdat")
    assert uploads_left(store) == []


REFUSALS_OF_THE_STORAGE = [
    (404, "NoSuchUpload", "storage"),
    (400, "EntityTooLarge", "storage_too_large"),
    (503, "ServiceUnavailable", "storage_unreachable"),
]


@pytest.mark.parametrize(("status", "code", "kind"), REFUSALS_OF_THE_STORAGE, ids=[code for _, code, _ in REFUSALS_OF_THE_STORAGE])
def test_a_storage_that_fails_in_the_middle_leaves_no_object(status, code, kind, origin, moto_store):
    refuse(moto_store, "UploadPart", status, code, after=2)
    with pytest.raises(ArchiveError) as caught:
        move(["both.mp4"], origin=origin, store=moto_store)
    assert caught.value.kind == kind
    assert (uploads_left(moto_store), list(moto_store.list_keys())) == ([], [])


def test_a_copy_that_the_storage_can_never_take_is_not_kept_to_go_on_with(origin, moto_store):
    states = []
    refuse(moto_store, "CompleteMultipartUpload", 400, "EntityTooLarge")
    with pytest.raises(PermanentError):
        move(["both.mp4"], origin=origin, store=moto_store, on_state=states.append)
    assert (states[-1], uploads_left(moto_store)) == (None, [])
