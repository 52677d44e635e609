import threading
from pathlib import Path

import pytest

from ingestion.errors import ArchiveError, SetupError, TransientError
from ingestion.store import Store
from ingestion.streams import cutting, feeding, ffmpeg, inputs, recipes
from ingestion.streams.ranges import Window
from tests.ingestion.media.clips import outermost_boxes, packets, run
from tests.ingestion.media.origin import Fault, HttpSource
from tests.ingestion.media.stores import uploads_left
from tests.ingestion.test_streams.transfers import make_extraction, make_format, move

BOTH = ("picture.mp4", "sound.m4a")


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(inputs, "PICTURE_WINDOW", Window(4, 100_000))
    monkeypatch.setattr(inputs, "SOUND_WINDOW", Window(2, 50_000))


def fetch(store: Store, key: str, path: Path) -> Path:
    with store.open(key) as body:
        path.write_bytes(body.read())
    return path


def expected(clips, names, path: Path) -> str:
    """The same made by ffmpeg alone, from files."""
    inputs = [word for name in names for word in ("-i", clips.path(name))]
    run(*inputs, "-map", "0:v", "-map", "1:a", "-c", "copy", "-movflags", "+faststart", str(path))
    return str(path)


@pytest.mark.parametrize("kind", ["moto", "folder"])
@pytest.mark.parametrize(
    "names", [BOTH, ("vp9.webm", "sound.webm"), ("picture.mp4", "sound.webm")], ids=["h264-aac", "vp9-opus", "h264-opus"]
)
def test_picture_and_sound_become_one_plain_mp4(names, kind, origin, clips, tmp_path, request):
    store = request.getfixturevalue(f"{kind}_store")
    moved = move(names, origin=origin, store=store)
    path = fetch(store, moved.stored.key, tmp_path / "object.mp4")
    assert (moved.way, moved.container, moved.stored.key) == ("mux", "mp4", "ann-1/UC1/abcdefghijk/u-1.mp4")
    assert moved.bytes_fetched == sum(len(origin.files[name]) for name in names)
    boxes = outermost_boxes(path)
    assert boxes.index(b"moov") < boxes.index(b"mdat") and b"moof" not in boxes
    assert run("-i", str(path), "-f", "null", "-") == ""
    assert packets(str(path)) == packets(expected(clips, names, tmp_path / "expected.mp4"))
    assert store.examine(moved.stored.key, moved.stored.part_size) == moved.stored
    assert uploads_left(store) == []


def test_an_index_over_several_parts_is_held_back_whole(origin, moto_store, clips, tmp_path):
    moved = move(BOTH, origin=origin, store=moto_store, part_size=20_000)
    assert moved.stored.size / 20_000 > 100
    path = fetch(moto_store, moved.stored.key, tmp_path / "object.mp4")
    assert packets(str(path)) == packets(expected(clips, BOTH, tmp_path / "expected.mp4"))


def test_a_storage_that_wants_order_gets_fragments_in_order(origin, rclone_store, clips, tmp_path):
    moved = move(BOTH, origin=origin, store=rclone_store)
    path = fetch(rclone_store, moved.stored.key, tmp_path / "object.mp4")
    boxes = outermost_boxes(path)
    assert boxes.index(b"moov") < boxes.index(b"moof") < boxes.index(b"mdat")
    assert run("-i", str(path), "-f", "null", "-") == ""
    # without an index at the end nothing says how many samples of the last sound packet are padding
    made, whole = (
        [line.split(", S=")[0] for line in packets(name)] for name in (str(path), expected(clips, BOTH, tmp_path / "expected.mp4"))
    )
    assert made == whole
    assert rclone_store.examine(moved.stored.key, moved.stored.part_size) == moved.stored


def test_small_objects_may_go_to_rclone_in_any_order(origin, rclone_store, tmp_path):
    store = Store(rclone_store._place.storage, in_order=False)
    moved = move(BOTH, origin=origin, store=store)
    assert outermost_boxes(fetch(store, moved.stored.key, tmp_path / "object.mp4")).count(b"moof") == 0
    assert store.examine(moved.stored.key, moved.stored.part_size) == moved.stored


def test_too_little_room_for_the_index_is_mended_by_a_second_run(origin, moto_store, clips, tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "index_size", lambda extraction: 1000)
    seen = []
    moved = move(BOTH, origin=origin, store=moto_store, progress=lambda done, total: seen.append((done, total)))
    path = fetch(moto_store, moved.stored.key, tmp_path / "object.mp4")
    assert packets(str(path)) == packets(expected(clips, BOTH, tmp_path / "expected.mp4"))
    assert uploads_left(moto_store) == []
    whole = sum(len(origin.files[name]) for name in BOTH)
    assert moved.bytes_fetched == 2 * whole
    assert seen == sorted(seen) and seen[-1] == (2 * whole, 2 * whole)  # bytes fetched in vain count on both sides


def test_the_room_for_the_index_follows_duration_and_frames(origin):
    formats = [make_format(origin, "picture.mp4", fps=60), make_format(origin, "sound.m4a")]
    assert recipes.index_size(make_extraction(*formats, duration=3600)) == (128 << 10) + 24 * 110 * 3600
    assert recipes.index_size(make_extraction(*formats, duration=None)) > 128 << 10


def test_feeding_waits_while_the_storage_is_slow(origin, moto_store, monkeypatch):
    """No part is stored before feeding has waited: a transfer that does not wait ends here."""
    monkeypatch.setattr(cutting, "BACKLOG_LIMIT", 0)
    put, wait_for_room = moto_store._place.client.upload_part, feeding.Mux._wait_for_room
    waited, stored = threading.Event(), threading.Event()
    seconds_in_vain = 20

    def wait(self) -> None:
        was_full = self._full()
        if was_full:
            waited.set()
        wait_for_room(self)
        assert stored.is_set() or not was_full, "only a part that is stored makes room"

    def put_late(**parameters):
        if not waited.wait(seconds_in_vain):
            raise AssertionError("everything was fed though nothing was stored")
        answer = put(**parameters)
        stored.set()
        return answer

    monkeypatch.setattr(feeding.Mux, "_wait_for_room", wait)
    monkeypatch.setattr(moto_store._place.client, "upload_part", put_late)
    move(BOTH, origin=origin, store=moto_store, part_size=20_000)
    assert waited.is_set()


def test_an_earlier_upload_is_aborted_and_the_new_one_is_known_at_once(origin, moto_store):
    old = moto_store.begin("old.mp4", content_type="video/mp4", metadata={}, expected_size=1)
    states = []
    move(BOTH, origin=origin, store=moto_store, state=old.state, on_state=states.append)
    assert uploads_left(moto_store) == []
    assert states[0]["parts"] == {} and states[0]["key"].endswith("u-1.mp4")
    assert len(states[-1]["parts"]) > 5


REFUSALS = [
    ("picture.mp4", "short", 100_000, "network"),
    ("picture.mp4", "reset", 100_000, "network"),
    ("sound.m4a", "reset", 50_000, "network"),
    ("sound.m4a", "stall", 50_000, "network"),
    ("picture.mp4", "changed", 1_000_000, "incomplete"),
    ("sound.m4a", "changed", 50_000, "incomplete"),
    ("picture.mp4", "grown", 0, "incomplete"),
    ("picture.mp4", "untold", 0, "incomplete"),
    ("sound.m4a", "refused", 0, "forbidden"),
    ("picture.mp4", "refused", 1_000_000, "forbidden"),
]


@pytest.mark.parametrize(("name", "fault", "at", "kind"), REFUSALS, ids=[f"{row[0]}-{row[1]}-{row[2]}" for row in REFUSALS])
@pytest.mark.parametrize("server", ["moto", "rclone"])
def test_a_track_that_is_not_whole_leaves_no_object(server, name, fault, at, kind, origin, request, monkeypatch):
    store = request.getfixturevalue(f"{server}_store")
    monkeypatch.setattr("ingestion.streams.ranges.TRIES", 2)
    origin.faults.append(Fault(name, fault, at))
    states = []
    with pytest.raises(ArchiveError) as caught:
        move(BOTH, origin=origin, store=store, on_state=states.append)
    assert caught.value.kind == kind
    assert (uploads_left(store), list(store.list_keys()), states[-1]) == ([], [], None)


def test_connections_that_fail_go_on_from_the_byte_that_was_reached(origin, moto_store):
    for name in BOTH:
        origin.faults += [Fault(name, kind, at, times=2) for kind, at in (("reset", 0), ("short", 100_000), ("stall", 150_000))]
    moved = move(BOTH, origin=origin, store=moto_store)
    assert moved.bytes_fetched == sum(len(origin.files[name]) for name in BOTH)


def test_what_ffmpeg_complains_about_is_never_stored(origin, moto_store):
    content = bytearray(origin.files["picture.mp4"])
    content[len(content) // 2 : len(content) // 2 + 50_000] = bytes(50_000)
    origin.files["picture.mp4"] = bytes(content)
    with pytest.raises(ArchiveError) as caught:
        move(BOTH, origin=origin, store=moto_store)
    assert caught.value.kind == "media" and not isinstance(caught.value, ffmpeg.BlamelessError)
    assert (uploads_left(moto_store), list(moto_store.list_keys())) == ([], [])


ENDINGS = [
    (-9, [], ffmpeg.BlamelessError),
    (-11, ["Invalid data"], ffmpeg.BlamelessError),
    (255, [], ffmpeg.BlamelessError),  # after SIGTERM
    (1, ["Invalid data"], TransientError),
    (0, ["File ended prematurely"], TransientError),
    (1, ["reserved_moov_size is too small, needed 7 additional"], ffmpeg.IndexTooSmallError),
    (1, ["Could not write header"], ffmpeg.UnfitError),
    (0, [], None),
]


@pytest.mark.parametrize(("code", "words", "raised"), ENDINGS, ids=[f"{row[0]} {' '.join(row[1])}" for row in ENDINGS])
def test_how_ffmpeg_ended_is_told_from_its_code_and_words(code, words, raised):
    if raised is None:
        ffmpeg.judge(code, words)
        return
    with pytest.raises(raised) as caught:
        ffmpeg.judge(code, words)
    assert type(caught.value) is raised


def test_an_output_far_smaller_than_its_inputs_is_never_stored(origin, moto_store):
    origin.files["picture.mp4"] += (2_000_000).to_bytes(4, "big") + b"free" + bytes(2_000_000 - 8)
    with pytest.raises(ArchiveError, match="too far apart"):
        move(BOTH, origin=origin, store=moto_store)
    assert (uploads_left(moto_store), list(moto_store.list_keys())) == ([], [])


def test_a_file_with_its_index_last_goes_through_the_scratch_folder(origin, moto_store):
    formats = [make_format(origin, "picture-index-last.mp4"), make_format(origin, "sound.m4a")]
    moved = move(formats, origin=origin, store=moto_store, source=HttpSource(("merged.mp4", origin.files["both.mp4"])))
    assert (moved.way, moved.container) == ("spool", "mp4")
    assert uploads_left(moto_store) == []


def test_a_missing_ffmpeg_is_named_with_its_setting(origin, moto_store, settings):
    settings.FFMPEG = "/nowhere/ffmpeg"
    with pytest.raises(SetupError, match="MASSDL_FFMPEG"):
        move(BOTH, origin=origin, store=moto_store)
    assert uploads_left(moto_store) == []


def test_ffmpeg_of_the_settings_is_used(settings, tmp_path):
    own = tmp_path / "ffmpeg"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    settings.FFMPEG = str(own)
    assert ffmpeg.ffmpeg_path() == str(own)
