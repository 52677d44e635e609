import json

import pytest

from ingestion.errors import ArchiveError, TransientError, error
from ingestion.store import StoredRange
from ingestion.streams import feeding, muxing, plan, recipes, tracks
from tests.ingestion.media.clips import packets
from tests.ingestion.media.origin import Fault, HttpSource
from tests.ingestion.media.stores import uploads_left
from tests.ingestion.test_streams.test_copying import Interrupted, stop_at
from tests.ingestion.test_streams.test_muxing import expected, fetch
from tests.ingestion.test_streams.transfers import make_extraction, make_format, move

BOTH = ("picture.mp4", "sound.m4a")
STEM = "ann-1/UC1/abcdefghijk/u-1"


class Memory:
    """What a row remembers: JSON, as PostgreSQL keeps it."""

    def __init__(self):
        self.said: list[str] = []

    def __call__(self, state) -> None:
        self.said.append(json.dumps(state))

    @property
    def last(self):
        return json.loads(self.said[-1])


class Killed(BaseException):
    """What ends a transfer as kill -9 does: nothing of it is tidied up."""


@pytest.fixture
def memory():
    return Memory()


def again(origin, store, **over):
    """A transfer of a video that was begun in vain before."""
    return move(BOTH, origin=origin, store=store, **{"begun_before": True, "on_state": lambda state: None, **over})


def plain(packets):
    """Without the side data, which a fragmented file has elsewhere."""
    return [packet.partition(", S=")[0] for packet in packets]


def sizes(origin):
    return [len(origin.files[name]) for name in BOTH]


def test_a_picture_of_another_height_is_refused_before_anything_of_it_is_stored(origin, moto_store):
    formats = [make_format(origin, "picture.mp4", height=1080), make_format(origin, "sound.m4a")]
    with pytest.raises(TransientError, match="YouTube announced 1080") as caught:
        move(formats, origin=origin, store=moto_store, begun_before=True, on_state=lambda state: None)
    assert caught.value.kind == "incomplete"
    assert origin.bytes_asked("picture.mp4") < len(origin.files["picture.mp4"]) and not origin.bytes_asked("sound.m4a")
    assert uploads_left(moto_store) == []


def test_tracks_that_cannot_be_removed_do_not_hide_what_was_wrong_with_them(origin, moto_store, monkeypatch):
    formats = [make_format(origin, "picture.mp4", height=1080), make_format(origin, "sound.m4a")]
    state = {"uploads": {"sound": {"key": f"{STEM}.sound.m4a", "upload_id": "gone", "part_size": 1, "checksums": True, "parts": {}}}}
    monkeypatch.setattr(moto_store, "abort", lambda state: (_ for _ in ()).throw(error("storage_unreachable", "503")))
    with pytest.raises(TransientError, match="YouTube announced 1080"):
        move(formats, origin=origin, store=moto_store, begun_before=True, state=state, on_state=lambda state: None)


def test_a_video_that_was_begun_before_takes_the_way_by_its_tracks(origin):
    video = make_extraction(*(make_format(origin, name) for name in BOTH))
    assert plan(video) == "mux"
    assert plan(video, begun_before=True) == "tracks"
    assert plan(make_extraction(make_format(origin, "both.mp4")), begun_before=True) == "copy"


def test_so_does_a_large_one_at_once(origin):
    assert plan(make_extraction(make_format(origin, "picture.mp4", size=tracks.LARGE), make_format(origin, "sound.m4a"))) == "tracks"


def test_nobody_who_cannot_remember_takes_it(origin, store):
    assert move(BOTH, origin=origin, store=store, begun_before=True).way == "mux"


def test_the_result_is_what_mux_makes(origin, store, clips, tmp_path, memory):
    done = []
    moved = again(origin, store, on_state=memory, progress=lambda *now: done.append(now))
    path = fetch(store, moved.stored.key, tmp_path / "object.mp4")
    assert plain(packets(str(path))) == plain(packets(expected(clips, BOTH, tmp_path / "expected.mp4")))
    assert (moved.way, moved.stored.key, moved.bytes_fetched) == ("tracks", f"{STEM}.mp4", sum(sizes(origin)))
    assert store.examine(moved.stored.key, moved.stored.part_size) == moved.stored
    assert [done[-1][0], *{total for _, total in done}] == [2 * sum(sizes(origin))] * 2
    assert [earlier for earlier, _ in done] == sorted(earlier for earlier, _ in done)
    assert moved.leftovers == (f"{STEM}.picture.mp4", f"{STEM}.sound.m4a")
    assert sorted(key for key, _ in store.list_keys()) == sorted([moved.stored.key, *moved.leftovers])
    assert uploads_left(store) == []


@pytest.mark.parametrize("share", [0.2, 0.6, 0.97], ids=["in the picture", "near its end", "in the sound"])
def test_a_stopped_one_fetches_only_what_is_missing(share, origin, store, memory):
    stop = stop_at(int(share * sum(sizes(origin))), Interrupted())
    with pytest.raises(Interrupted):
        again(origin, store, on_state=memory, progress=stop)
    held = sum(part["size"] for upload in memory.last["uploads"].values() for part in upload.get("parts", {}).values())
    held += sum(upload["stored"]["size"] for upload in memory.last["uploads"].values() if "stored" in upload)
    assert held
    moved = again(origin, store, state=memory.last, key_stem="ann-1/UC1/abcdefghijk/u-2")
    assert moved.bytes_fetched == sum(sizes(origin)) - held
    assert moved.stored.key == "ann-1/UC1/abcdefghijk/u-2.mp4"


def test_once_both_tracks_are_objects_nothing_is_fetched_again(origin, store, memory):
    with pytest.raises(Interrupted):
        again(origin, store, on_state=memory, progress=stop_at(int(1.5 * sum(sizes(origin))), Interrupted()))
    origin.asked.clear()
    moved = again(origin, store, state=memory.last)
    assert (origin.asked, moved.bytes_fetched) == ([], 0)
    assert uploads_left(store) == []


def test_a_track_that_was_whole_but_not_noted_is_not_fetched_again(origin, store, memory, monkeypatch):
    def die(*arguments):
        raise Killed

    monkeypatch.setattr(tracks._Begun, "note_stored", die)
    with pytest.raises(Killed):
        again(origin, store, on_state=memory)
    monkeypatch.undo()
    origin.asked.clear()
    moved = again(origin, store, state=memory.last)
    assert {name for name, _, _ in origin.asked} == {"sound.m4a"}
    assert moved.bytes_fetched == len(origin.files["sound.m4a"])


def test_a_copy_that_was_whole_but_not_recorded_is_not_fetched_again(origin, store, memory):
    first = move(["both.mp4"], origin=origin, store=store, on_state=memory)
    origin.asked.clear()
    moved = move(["both.mp4"], origin=origin, store=store, state=memory.last, key_stem="second", on_state=memory)
    assert (moved.stored, moved.bytes_fetched, origin.asked) == (first.stored, 0, [])
    assert memory.last["key"] == moved.stored.key


def test_a_track_object_that_is_gone_is_fetched_again(origin, store, memory):
    with pytest.raises(Interrupted):
        again(origin, store, on_state=memory, progress=stop_at(int(1.5 * sum(sizes(origin))), Interrupted()))
    store.delete(memory.last["uploads"]["sound"]["key"])
    moved = again(origin, store, state=memory.last)
    assert moved.bytes_fetched == len(origin.files["sound.m4a"])


def test_what_a_mux_had_begun_is_cleared_away_first(origin, moto_store):
    states = []
    with pytest.raises(Killed):
        move(BOTH, origin=origin, store=moto_store, on_state=lambda state: states.append(state) or _die())
    left = {**states[0], "upload_id": moto_store.begin(f"{STEM}.mp4", content_type="video/mp4", metadata={}, expected_size=9).upload_id}
    again(origin, moto_store, state=left)
    assert uploads_left(moto_store) == []


def _die():
    raise Killed


def test_formats_that_have_changed_begin_anew_with_nothing_left_behind(origin, store, memory):
    with pytest.raises(Interrupted):
        again(origin, store, on_state=memory, progress=stop_at(int(1.5 * sum(sizes(origin))), Interrupted()))
    moved = move(["both.mp4"], origin=origin, store=store, state=memory.last, key_stem="second")
    assert moved.way == "copy"
    assert (uploads_left(store), [key for key, _ in store.list_keys()]) == ([], ["second.mp4"])


def test_tracks_that_do_not_go_together_are_not_kept(origin, moto_store, memory, monkeypatch):
    """What is stored may be at fault, so the next attempt fetches everything again."""

    def refuse(job):
        raise error("media", "moov atom not found")

    monkeypatch.setattr(tracks, "mux", refuse)
    with pytest.raises(ArchiveError) as caught:
        again(origin, moto_store, on_state=memory)
    assert caught.value.kind == "media"
    assert (memory.last, uploads_left(moto_store), list(moto_store.list_keys())) == (None, [], [])


def test_an_ffmpeg_that_is_killed_says_nothing_against_the_tracks(origin, moto_store, memory, monkeypatch):
    fed = feeding.Mux._wait_for_room

    def kill_at_once(self) -> None:
        self.process.kill()
        fed(self)

    monkeypatch.setattr(feeding.Mux, "_wait_for_room", kill_at_once)
    with pytest.raises(ArchiveError) as caught:
        again(origin, moto_store, on_state=memory)
    assert caught.value.kind == "media"
    monkeypatch.undo()
    assert again(origin, moto_store, state=memory.last).bytes_fetched == 0
    assert uploads_left(moto_store) == []


def test_neither_does_an_index_that_finds_no_room(origin, moto_store, memory, monkeypatch):
    seen = []
    monkeypatch.setattr(recipes, "CUES_FIXED", 2)
    monkeypatch.setattr(recipes, "CUES_PER_SECOND", 0)
    monkeypatch.setattr(muxing, "MORE_ROOM", 1)
    with pytest.raises(ArchiveError) as caught:
        again(origin, moto_store, on_state=memory, container="mkv", progress=lambda *now: seen.append(now))
    assert caught.value.kind == "media"
    whole = sum(sizes(origin))
    assert seen == sorted(seen) and seen[-1][0] > 4 * whole, "every try moves the bar: the watch over workers goes by it"
    monkeypatch.undo()
    assert again(origin, moto_store, state=memory.last, container="mkv").bytes_fetched == 0


@pytest.mark.parametrize("failure", [error("storage_unreachable", "reset"), error("storage", "bytes missing")], ids=lambda exc: exc.kind)
@pytest.mark.parametrize("times", [3, 1000], ids=["three times", "always"])
def test_a_storage_that_breaks_off_is_read_on_at_the_same_byte(failure, times, origin, moto_store, memory, monkeypatch):
    read, left = StoredRange.read, [times]

    def break_off(self, size=-1):
        if left[0] and self.first:
            left[0] -= 1
            raise failure
        return read(self, size)

    monkeypatch.setattr(StoredRange, "read", break_off)
    if times == 3:
        assert again(origin, moto_store, on_state=memory).way == "tracks"
        return
    with pytest.raises(ArchiveError) as caught:
        again(origin, moto_store, on_state=memory)
    assert caught.value is failure
    monkeypatch.undo()
    assert again(origin, moto_store, state=memory.last).bytes_fetched == 0


def test_codecs_that_ffmpeg_refuses_go_through_the_scratch_folder(origin, store, memory):
    source = HttpSource(("made.mp4", origin.files["both.mp4"]))
    moved = move(["picture-index-last.mp4", "sound.m4a"], origin=origin, store=store, source=source, begun_before=True, on_state=memory)
    assert moved.way == "spool"
    assert (uploads_left(store), [key for key, _ in store.list_keys()]) == ([], [moved.stored.key])


def test_a_refused_track_keeps_the_other(origin, store, memory):
    origin.faults = [Fault("sound.m4a", "refused")]
    with pytest.raises(ArchiveError):
        again(origin, store, on_state=memory)
    origin.faults = []
    assert again(origin, store, state=memory.last).bytes_fetched == len(origin.files["sound.m4a"])
