import pytest

from ingestion.errors import TransientError
from ingestion.extraction import MediaFormat
from ingestion.streams.recipes import INDEX_MEMORY_LIMIT, INDEX_MEMORY_PER_PACKET, make_recipe, needs_ffmpeg, packets
from tests.ingestion.test_streams.transfers import make_extraction


def media(ext: str, vcodec: str | None, acodec: str | None, **over) -> MediaFormat:
    return MediaFormat("1", "", "https", ext, 1_000_000, vcodec, acodec, **over)


H264, VP9 = media("mp4", "avc1.64001f", None, fps=30), media("webm", "vp9", None, fps=30)
AAC, OPUS = media("m4a", None, "mp4a.40.2"), media("webm", None, "opus")
BOTH = media("mp4", "avc1.42001E", "mp4a.40.2", fps=30)
COPY = ("-c", "copy")

NEEDS = [
    ((H264, AAC), "mp4", "none", True),
    ((BOTH,), "mp4", "none", False),
    ((BOTH,), "mkv", "none", True),
    ((BOTH,), "mp4", "h264", False),
    ((BOTH,), "mp4", "hevc", True),
    ((BOTH,), "mp4", "m4a", True),
    ((VP9,), "webm", "none", False),
    ((VP9,), "webm", "h264", True),
    ((AAC,), "mp4", "none", False),
    ((AAC,), "mkv", "h264", False),
    ((AAC,), "mp4", "m4a", False),
    ((AAC,), "mp4", "mp3", True),
    ((OPUS,), "mp4", "none", False),
    ((OPUS,), "mp4", "opus", True),
]


@pytest.mark.parametrize(("formats", "container", "convert", "needed"), NEEDS)
def test_ffmpeg_is_needed_unless_the_one_format_is_what_was_asked_for(formats, container, convert, needed):
    assert needs_ffmpeg(make_extraction(*formats), container, convert) is needed


MADE = [
    ((H264, AAC), "mp4", "none", "mp4", COPY, "moov"),
    ((VP9, OPUS), "mp4", "none", "mp4", COPY, "moov"),
    ((VP9, OPUS), "webm", "none", "webm", COPY, "cues"),
    ((H264, AAC), "mkv", "none", "mkv", COPY, "cues"),
    ((H264, AAC), "webm", "none", "mkv", COPY, "cues"),
    ((VP9, AAC), "webm", "none", "mkv", COPY, "cues"),
    ((VP9, media("webm", None, "")), "webm", "none", "webm", COPY, "cues"),
    ((H264, AAC), "webm", "h264", "mkv", COPY, "cues"),
    ((H264, AAC), "mp4", "h264", "mp4", COPY, "moov"),
    ((H264, AAC), "mp4", "m4a", "m4a", COPY, "moov"),
    ((VP9, OPUS), "mp4", "opus", "opus", COPY, "plain"),
    ((VP9, OPUS), "mp4", "m4a", "m4a", ("-c:a", "aac", "-b:a", "160k"), "moov"),
    ((BOTH,), "mkv", "mp3", "mp3", ("-c:a", "libmp3lame", "-b:a", "160k"), "plain"),
]


@pytest.mark.parametrize(("formats", "container", "convert", "extension", "codecs", "layout"), MADE)
def test_what_is_made_of_the_formats(formats, container, convert, extension, codecs, layout):
    recipe = make_recipe(make_extraction(*formats, duration=60), container, convert, in_order=False)
    assert (recipe.extension, recipe.codecs, recipe.layout) == (extension, codecs, layout)
    assert recipe.encodes == (codecs != COPY)
    assert make_recipe(make_extraction(*formats, duration=60), container, convert, in_order=True).layout == "in order"


def test_only_the_sound_is_fetched_where_only_the_sound_is_kept():
    assert make_recipe(make_extraction(H264, AAC), "mp4", "mp3", in_order=False).formats == (AAC,)


def test_the_picture_is_encoded_only_where_it_has_to_be():
    recipe = make_recipe(make_extraction(VP9, AAC), "mp4", "hevc", in_order=False)
    assert recipe.codecs[:2] == ("-c:v", "libx265") and recipe.codecs[-2:] == ("-c:a", "copy")
    assert ("hvc1" in recipe.codecs, recipe.compares_sizes) == (True, False)
    assert "hvc1" not in make_recipe(make_extraction(VP9, AAC), "mkv", "hevc", in_order=False).codecs


@pytest.mark.parametrize(("abr", "rate"), [(48, "64k"), (128.0, "128k"), (129.5, "160k"), (384, "320k")])
def test_sound_is_encoded_at_the_next_rate_above_its_own(abr, rate):
    sound = media("webm", None, "opus", abr=abr)
    assert make_recipe(make_extraction(sound), "mp4", "mp3", in_order=False).codecs[-1] == rate


@pytest.mark.parametrize(("most", "rate"), [(64, "64k"), (48, "48k"), (500, "160k"), (None, "160k")])
def test_sound_is_encoded_with_no_more_bits_than_were_asked_for(most, rate):
    sound = media("webm", None, "opus", abr=130)
    assert make_recipe(make_extraction(sound), "mp4", "mp3", in_order=False, most_kbits=most).codecs[-1] == rate


def test_sound_that_is_not_there_cannot_be_kept():
    with pytest.raises(TransientError, match="no sound") as caught:
        make_recipe(make_extraction(H264), "mp4", "mp3", in_order=False)
    assert caught.value.kind == "no_formats"


@pytest.mark.parametrize("fps", [30, 60])
def test_an_mp4_is_in_fragments_from_where_its_index_would_fill_memory(fps):
    formats = media("mp4", "avc1", None, fps=fps), AAC
    hours = INDEX_MEMORY_LIMIT / INDEX_MEMORY_PER_PACKET / (fps + 50) / 3600
    assert packets(make_extraction(*formats, duration=3600)) == 3600 * (fps + 50)
    layouts = [
        make_recipe(make_extraction(*formats, duration=3600 * h), "mp4", "none", in_order=False).layout
        for h in (hours * 0.99, hours * 1.01)
    ]
    assert layouts == ["moov", "fragments"]
