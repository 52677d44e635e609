"""Other kinds of file than MP4, and what is encoded anew; all of it flows, none of it rests on disk."""

import pytest

from ingestion.errors import ArchiveError
from ingestion.streams import muxing, recipes
from ingestion.streams.ffmpeg import BlamelessError
from ingestion.streams.gate import ask_ffmpeg
from ingestion.streams.job import Job
from ingestion.streams.muxing import mux
from tests.ingestion.media.clips import packets, run
from tests.ingestion.media.origin import Fault, HttpSource
from tests.ingestion.media.stores import uploads_left
from tests.ingestion.test_streams.test_muxing import BOTH, fetch
from tests.ingestion.test_streams.transfers import PART_SIZE, make_extraction, make_format, move, silent

VP9, VP8 = ("vp9.webm", "sound.webm"), ("vp8.webm", "sound.webm")


def make_job(formats, store, **over) -> Job:
    options = {"key_stem": "ann-1/u-1", "progress": silent, "metadata": {}, "parts_in_flight": 2, "part_size": PART_SIZE}
    return Job(make_extraction(*formats), HttpSource(), store, **{**options, **over})


def frames(path, kind: str) -> int:
    return len([line for line in packets(str(path)) if line.startswith(kind)])


@pytest.mark.parametrize(
    ("names", "container", "stored_as"),
    [
        (BOTH, "mkv", "mkv"),
        (VP9, "webm", "webm"),
        (VP8, "webm", "webm"),
        (BOTH, "webm", "mkv"),
        (VP8, "mp4", "mkv"),
    ],
    ids=["h264 in mkv", "vp9 in webm", "vp8 in webm", "h264 not in webm", "vp8 not in mp4"],
)
def test_a_video_is_stored_in_the_container_asked_for_or_in_mkv(names, container, stored_as, origin, store, clips, tmp_path):
    moved = move(names, origin=origin, store=store, container=container)
    assert (moved.way, moved.container) == ("mux", stored_as)
    path = fetch(store, moved.stored.key, tmp_path / f"object.{stored_as}")
    inputs = [word for name in names for word in ("-i", clips.path(name))]
    run(*inputs, "-map", "0:v", "-map", "1:a", "-c", "copy", str(tmp_path / f"expected.{stored_as}"))
    assert packets(str(path)) == packets(str(tmp_path / f"expected.{stored_as}"))
    assert run("-i", str(path), "-f", "null", "-") == ""
    assert store.examine(moved.stored.key, moved.stored.part_size) == moved.stored
    assert uploads_left(store) == []


def test_codecs_that_are_known_not_to_fit_cost_no_byte(origin, moto_store):
    moved = move(BOTH, origin=origin, store=moto_store, container="webm")
    assert (moved.container, moved.bytes_fetched) == ("mkv", sum(len(origin.files[name]) for name in BOTH))


def test_an_encoder_that_has_everything_to_read_still_shows_progress(origin, moto_store):
    """A small video is fetched long before it is encoded; the watch over workers goes by what is done."""
    seen = []
    formats = [make_format(origin, "vp9.webm"), make_format(origin, "sound.webm")]
    job = make_job(formats, moto_store, convert="h264", container="mkv", part_size=20_000, progress=lambda *now: seen.append(now))
    mux(job)
    size = sum(media.size for media in formats)
    made = moto_store.size("ann-1/u-1.mkv")
    assert made > size and seen == sorted(seen)
    assert seen[-1] == (size + made, size + made), "the bar lengthens with what is larger than what it is made of"
    assert len({done for done, _ in seen if done > size}) > 3


@pytest.mark.parametrize(("names", "container"), [(BOTH, "mkv"), (VP9, "webm")])
def test_matroska_has_its_index_and_length_in_front(names, container, origin, moto_store, tmp_path):
    moved = move(names, origin=origin, store=moto_store, container=container)
    content = fetch(moto_store, moved.stored.key, tmp_path / "object").read_bytes()
    cues, first_cluster = bytes.fromhex("1c53bb6b"), bytes.fromhex("1f43b675")
    assert content.rfind(cues, 0, content.find(first_cluster)) > 0
    assert ask_ffmpeg(content[:100_000]).duration == pytest.approx(12, abs=0.2)


def test_too_little_room_for_the_index_of_mkv_is_mended_by_a_second_run(origin, moto_store, monkeypatch):
    monkeypatch.setattr(recipes, "CUES_FIXED", 50)
    monkeypatch.setattr(recipes, "CUES_PER_SECOND", 0)
    seen = []
    moved = move(BOTH, origin=origin, store=moto_store, container="mkv", progress=lambda done, total: seen.append((done, total)))
    whole = sum(len(origin.files[name]) for name in BOTH)
    assert (moved.container, moved.bytes_fetched) == ("mkv", 2 * whole)
    assert seen == sorted(seen) and seen[-1] == (2 * whole, 2 * whole)
    assert uploads_left(moto_store) == []


def test_an_index_that_never_fits_is_given_up(origin, moto_store, monkeypatch):
    monkeypatch.setattr(recipes, "CUES_FIXED", 2)
    monkeypatch.setattr(recipes, "CUES_PER_SECOND", 0)
    monkeypatch.setattr(muxing, "MORE_ROOM", 1)
    with pytest.raises(BlamelessError, match="the index needs more than") as caught:
        move(BOTH, origin=origin, store=moto_store, container="mkv")
    assert caught.value.kind == "media"
    assert (uploads_left(moto_store), list(moto_store.list_keys())) == ([], [])


def test_one_format_becomes_another_kind_of_file(origin, moto_store, tmp_path, clips):
    moved = mux(make_job([make_format(origin, "both.mp4")], moto_store, container="mkv"))
    path = fetch(moto_store, moved.stored.key, tmp_path / "object.mkv")
    assert (moved.way, moved.container) == ("mux", "mkv")
    assert len(packets(str(path))) == len(packets(clips.path("both.mp4")))


SOUNDS = [
    (BOTH, "m4a", True),
    (BOTH, "mp3", False),
    (BOTH, "opus", False),
    (VP9, "opus", True),
    (VP9, "m4a", False),
    (("both.mp4",), "mp3", False),
    (("both.mp4",), "m4a", True),
]


@pytest.mark.parametrize(("names", "convert", "copied"), SOUNDS, ids=[f"{row[0][-1]} to {row[1]}" for row in SOUNDS])
def test_the_sound_alone_is_kept(names, convert, copied, origin, store, clips, tmp_path):
    formats = [make_format(origin, name) for name in names]
    if names == VP9:
        formats[1] = make_format(origin, "sound.webm", acodec="opus")
    moved = mux(make_job(formats, store, convert=convert))
    assert (moved.way, moved.container, moved.bytes_fetched) == ("convert", convert, len(origin.files[names[-1]]))
    path = fetch(store, moved.stored.key, tmp_path / f"object.{convert}")
    said = run("-i", str(path), "-map", "0:a", "-f", "framemd5", "-")
    assert said.count("media_type") == 1
    run("-i", clips.path(names[-1]), "-map", "0:a", "-c", "copy", str(tmp_path / "own.mka"))
    run("-i", str(path), "-c", "copy", str(tmp_path / "made.mka"))
    sizes = [[line.split(",")[4] for line in packets(str(tmp_path / name))] for name in ("own.mka", "made.mka")]
    assert (sizes[0] == sizes[1]) is copied
    assert store.examine(moved.stored.key, moved.stored.part_size) == moved.stored


def test_sound_is_made_no_larger_than_asked_for(origin, moto_store):
    sizes = [move(BOTH, origin=origin, store=moto_store, convert="mp3", audio_bitrate=most).stored.size for most in (32, None)]
    assert 1.5 * sizes[0] < sizes[1]


def test_the_length_of_an_mp3_is_told_in_its_head(origin, moto_store, tmp_path):
    moved = mux(make_job([make_format(origin, name) for name in BOTH], moto_store, convert="mp3"))
    content = fetch(moto_store, moved.stored.key, tmp_path / "object.mp3").read_bytes()
    place = max(content.find(b"Xing", 0, 4096), content.find(b"Info", 0, 4096))
    frames_told = int.from_bytes(content[place + 8 : place + 12], "big")
    assert place > 0
    assert frames_told * 1152 / 44_100 == pytest.approx(12, abs=0.2)


@pytest.mark.parametrize(("convert", "named"), [("h264", "h264"), ("hevc", "hevc")])
@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_the_picture_is_encoded_anew(convert, named, container, origin, moto_store, tmp_path):
    formats = [make_format(origin, "vp9.webm", vcodec="vp9"), make_format(origin, "sound.m4a")]
    moved = mux(make_job(formats, moto_store, convert=convert, container=container))
    assert (moved.way, moved.container) == ("convert", container)
    path = fetch(moto_store, moved.stored.key, tmp_path / f"object.{container}")
    run("-i", str(path), "-map", "0:v", "-c", "copy", "-f", named, str(tmp_path / "picture"))  # refuses other codecs
    assert frames(path, "0,") == 360


def test_a_track_that_is_refused_leaves_nothing_encoded(origin, moto_store):
    origin.faults.append(Fault("vp9.webm", "refused"))
    formats = [make_format(origin, "vp9.webm", vcodec="vp9"), make_format(origin, "sound.m4a")]
    with pytest.raises(ArchiveError) as caught:
        mux(make_job(formats, moto_store, convert="h264"))
    assert caught.value.kind == "forbidden"
    assert (uploads_left(moto_store), list(moto_store.list_keys())) == ([], [])
