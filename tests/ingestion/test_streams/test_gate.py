"""What looks whole and is not the video that was announced."""

from dataclasses import replace

import pytest

from ingestion.errors import ArchiveError, TransientError
from ingestion.streams import feeding, recipes
from ingestion.streams.boxes import boxes_in
from ingestion.streams.gate import Heading, ask_ffmpeg, check_head, read_heading
from ingestion.streams.index import FragmentIndex
from ingestion.streams.memory import MemoryFile
from tests.ingestion.media.stores import uploads_left
from tests.ingestion.test_streams.test_muxing import BOTH
from tests.ingestion.test_streams.transfers import make_extraction, make_format, move


@pytest.mark.parametrize(
    ("name", "height"), [("both.mp4", 360), ("picture.mp4", 360), ("sound.m4a", None)], ids=["ordinary", "fragmented", "sound"]
)
def test_the_head_of_an_mp4_tells_its_height(name, height, clips):
    assert read_heading(clips.content(name)).height == height


def test_the_head_of_an_ordinary_mp4_tells_how_long_it_and_its_picture_last(clips):
    heading = read_heading(clips.content("both.mp4"))
    assert (heading.duration, heading.picture_duration) == (pytest.approx(12, abs=0.1), pytest.approx(12, abs=0.1))


@pytest.mark.parametrize("size", [0, 8, 40, 100, 200, 600])
def test_a_head_that_is_cut_off_tells_less(size, clips):
    content = clips.content("both.mp4")
    whole, part = read_heading(content), read_heading(content[:size])
    assert all(told in (None, known) for told, known in zip(vars(part).values(), vars(whole).values(), strict=True))


def test_ffmpeg_tells_of_other_kinds(clips):
    assert ask_ffmpeg(clips.content("vp9.webm")) == Heading(pytest.approx(12, abs=0.1), None, 90)
    assert ask_ffmpeg(b"no film") == Heading()


FACTS = [
    ({}, {}, None),
    ({"duration": 13.5}, {}, None),
    ({"duration": None}, {"height": None}, None),
    ({"duration": 15}, {}, "the file lasts 12"),
    ({"duration": 8}, {}, "the file lasts 12"),
    ({}, {"height": 720}, "the picture is 360 lines high; YouTube announced 720"),
    ({}, {"height": 350}, None),
]


@pytest.mark.parametrize(("over", "format_over", "sentence"), FACTS)
def test_the_head_has_to_tell_what_youtube_announced(over, format_over, sentence, origin, clips):
    media = make_format(origin, "both.mp4", **{"height": 360, **format_over})
    video = replace(make_extraction(media), **over)
    if sentence is None:
        check_head(clips.content("both.mp4"), video)
        return
    with pytest.raises(TransientError, match=sentence) as caught:
        check_head(clips.content("both.mp4"), video)
    assert caught.value.kind == "incomplete"


@pytest.mark.parametrize("limit", [recipes.INDEX_MEMORY_LIMIT, 0], ids=["ordinary", "fragments"])
@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_a_picture_lower_than_announced_is_not_stored(container, limit, origin, moto_store, monkeypatch):
    monkeypatch.setattr(recipes, "INDEX_MEMORY_LIMIT", limit)
    formats = [make_format(origin, "picture.mp4", height=1080), make_format(origin, "sound.m4a")]
    with pytest.raises(TransientError, match="360 lines high"):
        move(formats, origin=origin, store=moto_store, container=container)
    assert (uploads_left(moto_store), list(moto_store.list_keys())) == ([], [])


def first_half(content: bytes) -> bytes:
    """A fragmented MP4 that ends with a whole fragment."""
    starts = [box.start for box in boxes_in(content) if box.kind == b"moof"]
    return content[: starts[len(starts) // 2]]


@pytest.mark.parametrize("limit", [recipes.INDEX_MEMORY_LIMIT, 0], ids=["ordinary", "fragments"])
def test_a_picture_that_ends_early_under_sound_that_does_not_is_not_stored(limit, origin, moto_store, monkeypatch):
    monkeypatch.setattr(recipes, "INDEX_MEMORY_LIMIT", limit)
    origin.files["picture.mp4"] = first_half(origin.files["picture.mp4"])
    with pytest.raises(TransientError, match="the picture lasts 6") as caught:
        move(BOTH, origin=origin, store=moto_store)
    assert caught.value.kind == "incomplete"
    assert (uploads_left(moto_store), list(moto_store.list_keys())) == ([], [])


@pytest.mark.parametrize("over", [{}, {"container": "mkv"}, {"convert": "h264"}, {"convert": "m4a"}, {"convert": "mp3"}], ids=str)
def test_a_video_that_is_half_as_long_as_announced_is_not_stored(over, origin, store):
    with pytest.raises(TransientError, match=r"lasts 12\.\d s; YouTube announced 24") as caught:
        move(BOTH, origin=origin, store=store, duration=24, **over)
    assert caught.value.kind == "incomplete"
    assert (uploads_left(store), list(store.list_keys())) == ([], [])


@pytest.mark.parametrize("over", [{}, {"container": "mkv"}, {"convert": "h264"}], ids=str)
def test_an_ffmpeg_that_is_killed_in_the_middle_leaves_nothing(over, origin, store, monkeypatch):
    fed = feeding.Mux._wait_for_room

    def kill_at_once(self) -> None:
        self.process.kill()
        fed(self)

    monkeypatch.setattr(feeding.Mux, "_wait_for_room", kill_at_once)
    formats = [make_format(origin, "vp9.webm", vcodec="vp9"), make_format(origin, "sound.webm", acodec="opus")]
    with pytest.raises(ArchiveError) as caught:
        move(formats, origin=origin, store=store, **over)
    assert isinstance(caught.value, TransientError) and caught.value.kind == "media"
    assert (uploads_left(store), list(store.list_keys())) == ([], [])


@pytest.mark.parametrize("name", BOTH)
def test_a_track_that_is_cut_in_a_fragment_leaves_nothing(name, origin, moto_store):
    origin.files[name] = origin.files[name][: len(origin.files[name]) * 2 // 3]
    with pytest.raises(TransientError):
        move(BOTH, origin=origin, store=moto_store)
    assert (uploads_left(moto_store), list(moto_store.list_keys())) == ([], [])


def test_a_film_without_fragments_is_none():
    with MemoryFile("massdl-test") as memory, pytest.raises(TransientError, match="no picture"):
        FragmentIndex(memory).write()
