"""Films of ten hours: few packets that last long, so that they are made in no time."""

from dataclasses import replace
from pathlib import Path

import pytest

from ingestion.errors import TransientError
from ingestion.streams import gate, index
from ingestion.streams.boxes import find, number
from ingestion.streams.gate import read_heading
from ingestion.streams.recipes import make_recipe
from tests.ingestion.media.clips import FRAGMENTED, outermost_boxes, packets, run
from tests.ingestion.test_streams.test_muxing import expected, fetch
from tests.ingestion.test_streams.transfers import make_extraction, make_format, move

HOURS_10 = 36_000.0
LONG = ("picture-long.mp4", "sound-long.m4a")


@pytest.fixture(scope="module")
def long_clips(clips):
    """A key frame each 100 seconds; in these clips a piece of sound lasts 70."""
    stretched = "setts=pts=PTS*3000:dts=DTS*3000:duration=DURATION*3000"
    picture = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "1", "-t", "12")
    run("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30", *picture, clips.path("keys.mp4"))
    run("-i", clips.path("keys.mp4"), "-c", "copy", "-bsf:v", stretched, *FRAGMENTED, clips.path(LONG[0]))
    sound = ("-movflags", "+empty_moov+default_base_moof", "-frag_duration", "600000000")
    run("-i", clips.path("sound.m4a"), "-c", "copy", "-bsf:a", stretched, *sound, clips.path(LONG[1]))
    return clips


@pytest.fixture
def long_film(long_clips, origin, moto_store, tmp_path) -> Path:
    origin.files |= {name: long_clips.content(name) for name in LONG}
    moved = move(LONG, origin=origin, store=moto_store, duration=HOURS_10)
    assert (moved.way, moved.container) == ("mux", "mp4")
    return fetch(moto_store, moved.stored.key, tmp_path / "film.mp4")


def table(content: bytes) -> list[tuple[int, int]]:
    """Where each fragment of the sidx begins, and for how many seconds it lasts."""
    sidx = find(content, "sidx")
    timescale, first = number(content, sidx.body + 8, 4), number(content, sidx.body + 20, 8)
    place, rows = sidx.end + first, []
    for at in range(sidx.body + 32, sidx.end, 12):
        rows.append((place, number(content, at + 4, 4) // timescale))
        place += number(content, at, 4)
    assert place == len(content)
    return rows


def times(lines: list[str]) -> list[list[str]]:
    """Packets without what is said of the padding of the last piece of sound."""
    return [line.split(", ")[:6] for line in lines]


def test_a_film_of_ten_hours_is_in_fragments_with_a_table_in_front(long_film):
    content = long_film.read_bytes()
    boxes = outermost_boxes(long_film)
    assert boxes[:6] == [b"ftyp", b"moov", b"free", b"sidx", b"sidx", b"moof"]
    rows = table(content)
    assert len(rows) == boxes.count(b"moof") == 360
    assert all(content[place + 4 : place + 8] == b"moof" for place, _ in rows)
    assert {seconds for _, seconds in rows} == {100}


def test_its_packets_are_those_of_an_ordinary_film(long_film, long_clips, tmp_path):
    ordinary = packets(expected(long_clips, LONG, tmp_path / "expected.mp4"))
    assert times(packets(str(long_film))) == times(ordinary)
    assert run("-i", str(long_film), "-f", "null", "-") == ""


def test_its_duration_is_known_from_its_head_alone(long_film):
    head = long_film.read_bytes()[: index.ROOM + 4096]
    assert read_heading(head).duration == pytest.approx(HOURS_10, abs=100)
    assert gate.ask_ffmpeg(head).duration == pytest.approx(HOURS_10, abs=100)


def test_players_seek_to_its_end_without_its_middle(long_film, tmp_path):
    """ffmpeg looks at some packets of the beginning before it seeks."""
    content, tenth = long_film.read_bytes(), long_film.stat().st_size // 10
    hollow = tmp_path / "hollow.mp4"
    hollow.write_bytes(content[: 3 * tenth] + bytes(len(content) - 4 * tenth) + content[-tenth:])
    seek = ("-probesize", "100000", "-ss", str(HOURS_10 - 1000), "-i")
    shown = [run(*seek, str(film), "-map", "0:v", "-f", "framemd5", "-") for film in (long_film, hollow)]
    assert shown[0] == shown[1]
    assert 5 < len([line for line in shown[0].splitlines() if not line.startswith("#")]) < 15


def test_fragments_share_the_rows_of_a_table_that_is_too_short(long_clips, origin, moto_store, tmp_path, monkeypatch):
    monkeypatch.setattr(index, "MOST_REFERENCES", 50)
    origin.files |= {name: long_clips.content(name) for name in LONG}
    moved = move(LONG, origin=origin, store=moto_store, duration=HOURS_10)
    film = fetch(moto_store, moved.stored.key, tmp_path / "film.mp4")
    rows = table(film.read_bytes())
    assert len(rows) == 45
    assert {seconds for _, seconds in rows} == {800}
    assert run("-ss", str(HOURS_10 - 1000), "-i", str(film), "-f", "null", "-") == ""


def test_a_table_that_is_full_leaves_room_for_its_rest():
    assert index.TRACKS * (index.SIDX_HEAD + index.REFERENCE * index.MOST_REFERENCES) + index.FREE_HEAD + index.MEHD <= index.ROOM
    assert index.MOST_REFERENCES < 1 << 16


def test_a_long_film_whose_parts_are_small_loses_nothing_between_them(long_clips, origin, moto_store, tmp_path):
    origin.files |= {name: long_clips.content(name) for name in LONG}
    moved = move(LONG, origin=origin, store=moto_store, duration=HOURS_10, part_size=10_000)
    film = fetch(moto_store, moved.stored.key, tmp_path / "film.mp4")
    ordinary = expected(long_clips, LONG, tmp_path / "expected.mp4")
    assert times(packets(str(film))) == times(packets(ordinary))
    assert moto_store.examine(moved.stored.key, moved.stored.part_size) == moved.stored


def test_a_film_of_unknown_length_gets_room_by_its_size(origin, long_clips, moto_store, tmp_path):
    origin.files |= {name: long_clips.content(name) for name in LONG}
    moved = move(LONG, origin=origin, store=moto_store, duration=None)
    film = fetch(moto_store, moved.stored.key, tmp_path / "film.mp4")
    assert b"sidx" not in outermost_boxes(film)
    assert times(packets(str(film))) == times(packets(expected(long_clips, LONG, tmp_path / "expected.mp4")))


def test_a_wrong_length_is_noticed(origin, long_clips, moto_store):
    origin.files |= {name: long_clips.content(name) for name in LONG}
    with pytest.raises(TransientError, match=r"YouTube announced 32000\.0 s") as caught:
        move(LONG, origin=origin, store=moto_store, duration=32_000)
    assert caught.value.kind == "incomplete"
    assert list(moto_store.list_keys()) == []


def test_frames_decide_as_well_as_hours(origin):
    formats = make_format(origin, "picture.mp4", fps=30), make_format(origin, "sound.m4a")
    film = make_extraction(*formats, duration=7000)
    lively = replace(film, formats=(replace(formats[0], fps=60), formats[1]))
    layouts = [make_recipe(video, "mp4", "none", in_order=False).layout for video in (film, lively)]
    assert layouts == ["moov", "fragments"]
