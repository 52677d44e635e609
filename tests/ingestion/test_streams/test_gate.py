"""What looks whole and is not the video that was announced."""

from dataclasses import replace

import pytest

from ingestion.errors import ArchiveError, TransientError
from ingestion.streams import feeding, inputs, recipes
from ingestion.streams.boxes import boxes_in, clock, find, number
from ingestion.streams.gate import Heading, ask_ffmpeg, check_head, check_track, read_heading
from ingestion.streams.index import FragmentIndex
from ingestion.streams.memory import MemoryFile
from tests.ingestion.media.clips import FRAGMENTED, YOUTUBES, run
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
    content = clips.content("vp9.webm")
    assert ask_ffmpeg(content) == Heading(pytest.approx(12, abs=0.1), None, 90, lists_until=len(content))
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


LAYOUTS = [("moto", recipes.INDEX_MEMORY_LIMIT), ("moto", 0), ("rclone", 0), ("gcs", 0)]


@pytest.fixture(params=LAYOUTS, ids=["any order", "any order, fragments", "in order", "Google"])
def every_layout(request, monkeypatch):
    """A store for each way in which a file may be laid out."""
    server, limit = request.param
    monkeypatch.setattr(recipes, "INDEX_MEMORY_LIMIT", limit)
    return request.getfixturevalue(f"{server}_store")


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize(("name", "height"), [("picture.mp4", 360), ("vp9.webm", 90)])
def test_a_picture_lower_than_announced_is_not_stored(name, height, container, origin, every_layout):
    formats = [make_format(origin, name, height=1080), make_format(origin, "sound.m4a")]
    with pytest.raises(TransientError, match=f"{height} lines high") as caught:
        move(formats, origin=origin, store=every_layout, container=container)
    assert caught.value.kind == "incomplete"
    assert (uploads_left(every_layout), list(every_layout.list_keys())) == ([], [])


def first_half(content: bytes) -> bytes:
    """A fragmented MP4 that ends with a whole fragment."""
    starts = [box.start for box in boxes_in(content) if box.kind == b"moof"]
    return content[: starts[len(starts) // 2]]


@pytest.fixture(scope="module")
def cut_off(clips, tmp_path_factory):
    """Pictures of six seconds and sounds of five, with heads that tell so, do not tell, or tell of twelve."""
    folder = tmp_path_factory.mktemp("cut")

    def cut(name: str, *options: str) -> bytes:
        made = folder / f"{len(list(folder.iterdir()))}-{name}"
        run("-t", "5" if "sound" in name else "6", "-i", clips.path(name), "-c", "copy", *options, str(made))
        return made.read_bytes()

    live = ("-f", "webm", "-live", "1")  # without a duration
    return {
        "told": ("picture.mp4", cut("picture.mp4", "-movflags", "+frag_keyframe", *YOUTUBES)),
        "not told": ("picture.mp4", cut("picture.mp4", *FRAGMENTED)),
        "told of bytes that are not there": ("picture.mp4", first_half(clips.content("picture.mp4"))),
        "told by a webm": ("vp9.webm", cut("vp9.webm")),
        "not told by a webm": ("vp9.webm", cut("vp9.webm", *live)),
        "sound, told": ("sound.m4a", cut("sound.m4a", "-frag_duration", "1000000", *YOUTUBES)),
        "sound, not told": ("sound.webm", cut("sound.webm", *live)),
    }


KINDS_OF_CUT = [
    "told",
    "not told",
    "told of bytes that are not there",
    "told by a webm",
    "not told by a webm",
    "sound, told",
    "sound, not told",
]


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("cut", KINDS_OF_CUT)
def test_a_track_that_ends_half_way_is_not_stored(cut, container, origin, every_layout, cut_off):
    name, content = cut_off[cut]
    origin.files[name] = content
    names = ("picture.mp4", name) if name.startswith("sound") else (name, "sound.m4a")
    with pytest.raises(
        TransientError, match=r"the (picture|sound) lasts (4\.9|5\.0|5\.1|5\.9|6\.0|6\.1) s; YouTube announced 12"
    ) as caught:
        move(names, origin=origin, store=every_layout, container=container)
    assert caught.value.kind == "incomplete"
    assert (uploads_left(every_layout), list(every_layout.list_keys())) == ([], [])


def test_a_track_in_one_with_sound_that_ends_half_way_is_not_stored(origin, store, clips, tmp_path):
    made = tmp_path / "half.mp4"
    sound = ("-i", clips.path("sound.m4a"), "-c", "copy", "-movflags", "+faststart")
    run("-t", "6", "-i", clips.path("picture.mp4"), *sound, str(made))
    origin.files["both.mp4"] = made.read_bytes()
    for container in ("mkv", "mp4"):
        with pytest.raises(TransientError, match="the picture lasts 6"):
            move(["both.mp4"], origin=origin, store=store, container=container)
    assert (uploads_left(store), list(store.list_keys())) == ([], [])


def test_whole_tracks_whose_heads_do_not_tell_are_stored(origin, every_layout, clips, tmp_path):
    """Begun once more, with all packets looked at: no more than what was under way by then is fetched twice."""
    for name, to in (("picture.mp4", FRAGMENTED), ("sound.webm", ("-f", "webm", "-live", "1"))):
        run("-i", clips.path(name), "-c", "copy", *to, str(tmp_path / name))
        origin.files[name] = (tmp_path / name).read_bytes()
    moved = move(("picture.mp4", "sound.webm"), origin=origin, store=every_layout)
    whole = sum(len(origin.files[name]) for name in ("picture.mp4", "sound.webm"))
    windows = (inputs.PICTURE_WINDOW, inputs.SOUND_WINDOW)
    assert whole <= moved.bytes_fetched <= whole + sum(window.ranges * window.range_size for window in windows)
    assert every_layout.examine(moved.stored.key, moved.stored.part_size) == moved.stored


def test_sound_that_ends_before_its_picture_is_stored(origin, every_layout, clips, tmp_path):
    """So are some films. Sound alone is as long as announced."""
    run("-t", "8", "-i", clips.path("sound.m4a"), "-c", "copy", "-frag_duration", "1000000", *YOUTUBES, str(tmp_path / "sound.m4a"))
    origin.files["sound.m4a"] = (tmp_path / "sound.m4a").read_bytes()
    moved = move(("picture.mp4", "sound.m4a"), origin=origin, store=every_layout)
    assert every_layout.size(moved.stored.key) == moved.stored.size
    with pytest.raises(TransientError, match="YouTube announced 12"):
        move(("sound.m4a",), origin=origin, store=every_layout, convert="opus")


HEADS = [
    ("picture.mp4", 0, True),
    ("picture.mp4", 1, False),
    ("sound.m4a", 0, True),
    ("both.mp4", 0, False),
    ("vp9.webm", 0, True),
    ("vp9.webm", 1, False),
]


@pytest.mark.parametrize(("name", "missing", "told"), HEADS)
def test_a_head_is_believed_only_about_bytes_that_are_there(name, missing, told, origin, clips):
    content = clips.content(name)
    media = make_format(origin, name, size=len(content) - missing)
    assert check_track(content, media, make_extraction(media)) is told


def announcing(content: bytes, seconds: int) -> bytes:
    """The same fragmented MP4 with a mehd that says so."""
    moov = find(content, "moov")
    movie, mvex = find(content, "mvhd", moov.body, moov.end), find(content, "mvex", moov.body, moov.end)
    place, _ = clock(content, movie)
    length = (seconds * number(content, place, 4)).to_bytes(4, "big")
    mehd = (16).to_bytes(4, "big") + b"mehd" + bytes(4) + length
    longer = bytearray(content[: mvex.body] + mehd + content[mvex.body :])
    for box in (moov, mvex):
        longer[box.start : box.start + 4] = (box.end - box.start + len(mehd)).to_bytes(4, "big")
    return bytes(longer)


def test_a_sound_whose_own_table_tells_of_less_than_its_head_announces_is_refused(origin, cut_off):
    name, content = cut_off["sound, told"]
    origin.files[name] = content = announcing(content, 12)
    assert find(content, "moov/mvex/mehd")
    media = make_format(origin, name)
    with pytest.raises(TransientError, match=r"the sound lasts (4\.9|5\.[01]) s"):
        check_track(content, media, make_extraction(media))


def test_the_table_of_a_head_that_is_cut_off_is_not_believed(origin, clips):
    content = clips.content("picture.mp4")
    media = make_format(origin, "picture.mp4")
    assert check_track(content[: content.index(b"sidx") + 40], media, make_extraction(media)) is False


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
