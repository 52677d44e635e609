import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from ingestion.options import (
    _ALLOWED,
    ASSETS,
    CODECS,
    CONTAINERS,
    CONVERSIONS,
    QUALITIES,
    Choice,
    Options,
    asset_names,
    conflicts,
    language_codes,
    read_options,
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("quality", "1080p"),
        ("quality", "audio"),
        ("skip_existing", False),
        ("max_concurrent", 3),
        ("max_concurrent", None),
        ("limit", 20),
        ("retry_failed", True),
        ("continue_on_error", False),
        ("codec", "av1"),
        ("hdr", True),
        ("audio_bitrate", 96),
        ("audio_bitrate", None),
        ("container", "mkv"),
        ("convert", "opus"),
        ("assets", ("info", "nfo")),
        ("assets", ()),
        ("subtitle_languages", ("de", "pt-BR")),
        ("automatic_subtitles", False),
    ],
)
def test_a_good_setting_is_used(name, value):
    assert read_options({name: value}) == ({name: value}, [])


@pytest.mark.parametrize(
    ("name", "value"),
    [("quality", "8k"), ("skip_existing", "yes"), ("max_concurrent", 0), ("max_concurrent", True), ("limit", "20"), ("qualty", "720p")]
    + [("codec", "h265"), ("codec", ["h264"]), ("hdr", 1), ("audio_bitrate", 128_000), ("audio_bitrate", 5), ("audio_bitrate", "128")]
    + [("container", "avi"), ("convert", "flac"), ("convert", None), ("automatic_subtitles", "no")]
    + [("assets", "everything"), ("assets", [1]), ("assets", {"info": True}), ("assets", ["info", "none"]), ("assets", None)]
    + [("subtitle_languages", bad) for bad in ("english", [], "", ["en", "../x"], ["en_US"], "*", 5, ["é"], None)],
)
def test_a_bad_or_unknown_setting_is_reported_by_name_and_passed_over(name, value):
    usable, sentences = read_options({name: value})
    assert usable == {}
    assert len(sentences) == 1 and repr(name) in sentences[0] and sentences[0].endswith(".")


def test_options_survive_the_database_and_keys_of_another_release():
    options = Options(quality="best", limit=3, assets=("info",), subtitle_languages=("de", "en"), hdr=True, audio_bitrate=64)
    assert Options.of(json.loads(json.dumps({**options.as_json(), "from_the_future": 1}))) == options
    assert hash(Options.of(json.loads(json.dumps(options.as_json())))) == hash(options)
    assert "best" in options.in_words() and "3 videos" in options.in_words()


OF_AN_EARLIER_RELEASE = {
    "quality": "1080p",
    "skip_existing": True,
    "max_concurrent": 4,
    "max_concurrent_channels": None,
    "limit": 7,
    "max_concurrent_per_channel": None,
    "max_attempts": None,
    "retry_failed": False,
    "continue_on_error": True,
}


def test_a_session_of_an_earlier_release_is_worked_as_before():
    options = Options.of(OF_AN_EARLIER_RELEASE)
    assert options == Options(quality="1080p", max_concurrent=4, limit=7)
    assert (options.choice, options.assets, options.convert) == (Choice("1080p"), (), "none")
    assert options.in_words() == "quality 1080p, at most 7 videos per channel, 4 at the same time"


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("info", ("info",)),
        (" nfo, info,nfo ", ("info", "nfo")),
        ("all", ASSETS),
        (["thumbnail", "all"], ASSETS),
        ("none", ()),
        ("", ()),
        ([], ()),
        (("transcript", "subtitles"), ("subtitles", "transcript")),
    ],
)
def test_assets_are_named_in_a_text_or_a_list(said, names):
    assert asset_names(said) == names
    assert read_options({"assets": said}) == ({"assets": names}, [])


@pytest.mark.parametrize(
    ("said", "codes"),
    [
        ("en", ("en",)),
        ("en, pt-BR,en", ("en", "pt-BR")),
        (["zh-Hans", "yue"], ("zh-Hans", "yue")),
        ("en,all", ("all",)),
        ("en-orig", ("en-orig",)),
        ("EN,pt-br,En, PT-BR", ("en", "pt-BR")),
        ("ZH-HANS, zh-hant-tw, ES-419, en-ORIG", ("zh-Hans", "zh-Hant-TW", "es-419", "en-orig")),
        ("EN-nP7-2PuUl7o", ("en-nP7-2PuUl7o",)),
        ("en,All", ("all",)),
    ],
)
def test_languages_are_codes(said, codes):
    assert language_codes(said) == codes


CONFLICTS = {
    "a container of its own": ({"convert": "mp3", "container": "mkv"}, "leave out the container mkv"),
    "no h264 in webm": ({"convert": "h264", "container": "webm"}, "A webm file cannot hold h264: take the container mp4 or mkv, or do not"),
    "no hevc in webm": ({"convert": "hevc", "container": "webm"}, "A webm file cannot hold hevc"),
    "not even as it comes": ({"codec": "h264", "container": "webm"}, "or another codec"),
    "no picture": ({"convert": "h264", "quality": "audio"}, "there is no picture"),
    "no HDR": ({"convert": "h264", "hdr": True}, "HDR is lost in h264"),
}


@pytest.mark.parametrize(("wishes", "words"), CONFLICTS.values(), ids=CONFLICTS)
def test_wishes_that_exclude_each_other_are_one_sentence_and_passed_over_together(wishes, words):
    [conflict] = conflicts(Options(**wishes))
    assert words in str(conflict) and set(conflict.names) == set(wishes)
    usable, [told] = read_options({**wishes, "limit": 3})
    assert usable == {"limit": 3} and told.startswith(str(conflict))


@pytest.mark.parametrize(
    "wishes",
    [{"convert": convert, "container": container} for convert in ("none", "h264", "hevc") for container in ("mp4", "mkv")]
    + [
        {"convert": "m4a", "quality": "audio"},
        {"container": "webm", "quality": "audio"},
        {"container": "webm", "codec": "av1", "hdr": True},
    ],
)
def test_what_goes_together(wishes):
    assert list(conflicts(Options(**wishes))) == []


CHOICES = {
    "the default": ({}, Choice()),
    "as asked": (
        {"quality": "best", "codec": "av1", "hdr": True, "audio_bitrate": 64, "container": "webm"},
        Choice("best", "av1", True, 64, "webm"),
    ),
    "sound alone": ({"quality": "1080p", "convert": "mp3"}, Choice("audio", container="mp3")),
    "sound as it may come": ({"convert": "opus", "audio_bitrate": 64}, Choice("audio", audio_bitrate=64, container="opus")),
    "h264 that need not be made": ({"convert": "h264"}, Choice(codec="h264")),
    "made of what was asked for": ({"convert": "h264", "codec": "av1"}, Choice(codec="av1")),
    "hevc is made of any": ({"convert": "hevc", "container": "mkv"}, Choice(container="mkv")),
}


@pytest.mark.parametrize(("wishes", "choice"), CHOICES.values(), ids=CHOICES)
def test_which_formats_the_options_choose(wishes, choice):
    assert Options(**wishes).choice == choice


WORDS = {
    "the default": ({}, "quality 720p"),
    "formats": (
        {"codec": "vp9", "hdr": True, "audio_bitrate": 96, "container": "webm"},
        "quality 720p, vp9 where it is offered, HDR where it is offered, sound of at most 96 kbit/s, in webm files",
    ),
    "a conversion": ({"convert": "m4a"}, "quality 720p, converted to m4a"),
    "assets": ({"assets": ("info", "nfo")}, "quality 720p, with info and nfo"),
    "languages": ({"assets": ("subtitles",), "subtitle_languages": ("de", "en")}, "quality 720p, with subtitles, in de and en"),
    "all languages": (
        {"assets": ("transcript",), "subtitle_languages": ("all",), "automatic_subtitles": False},
        "quality 720p, with transcript, in all languages, no automatic subtitles",
    ),
    "languages of nothing": ({"subtitle_languages": ("de",), "automatic_subtitles": False}, "quality 720p"),
}


@pytest.mark.parametrize(("wishes", "words"), WORDS.values(), ids=WORDS)
def test_options_in_words_tell_what_differs_from_the_default(wishes, words):
    assert Options(**wishes).in_words() == words


PAGE = (Path(__file__).resolve().parents[2] / "docs" / "input-formats.md").read_text(encoding="utf-8")


def test_every_option_is_a_setting_and_the_page_names_it_with_its_values():
    assert list(_ALLOWED) == [field.name for field in fields(Options)]
    told = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", PAGE[PAGE.index("| setting |") :], re.MULTILINE))
    assert set(told) == set(_ALLOWED)
    values = {"quality": QUALITIES, "codec": CODECS, "container": CONTAINERS, "convert": CONVERSIONS, "assets": (*ASSETS, "all", "none")}
    for name, words in values.items():
        assert [word for word in re.findall(r"`(\w+)`", told[name]) if word in words] == list(words)
