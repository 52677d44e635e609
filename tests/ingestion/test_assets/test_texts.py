"""What needs neither YouTube nor database: which captions are taken, their forms, names and pictures."""

from datetime import date
from types import SimpleNamespace

import pytest

from ingestion.assets import captions, wanted
from ingestion.assets.contents import nfo, picture_kind
from ingestion.assets.wanted import Wanted, label
from ingestion.errors import ArchiveError, TransientError
from ingestion.options import ASSETS, Options
from ingestion.youtube import YouTube, files
from people.models import Channel, Person
from videos.models import Asset, Video


def offer(**languages):
    return {code: [{"ext": "json3", "url": f"{name}?json3"}, {"ext": "vtt", "url": name}] for code, name in languages.items()}


INFO = {
    "subtitles": {**offer(de="written-de", live_chat="chat"), **offer(**{"en-GB": "written-en-GB"})},
    "automatic_captions": offer(**{"en-orig": "spoken", "en": "spoken-again", "fr": "translated", "de": "translated-de"}),
}


@pytest.mark.parametrize(
    ("language", "automatic", "url"),
    [
        ("de", True, "written-de"),
        ("en", True, "written-en-GB"),
        ("fr", True, "translated"),
        ("fr", False, None),
        ("en-GB", False, "written-en-GB"),
        ("EN-gb", False, "written-en-GB"),
        ("EN", True, "written-en-GB"),
        ("en-Orig", True, "spoken"),
        ("e", True, None),
        ("live_chat", True, None),
        ("ja", True, None),
    ],
)
def test_written_captions_come_before_recognised_ones_and_those_before_translations(language, automatic, url):
    track = captions.track_in(INFO, language, automatic=automatic)
    assert (track and track.url) == url


def test_the_spoken_language_comes_before_a_translation_into_it():
    assert captions.track_in({"automatic_captions": INFO["automatic_captions"]}, "en", automatic=True).url == "spoken"


@pytest.mark.parametrize(("automatic", "languages"), [(True, ["de", "en-GB", "en"]), (False, ["de", "en-GB"])])
def test_all_languages_are_written_or_spoken(automatic, languages):
    assert captions.languages_of(INFO, automatic=automatic) == languages


def test_a_code_is_the_same_in_large_and_small_letters():
    info = {"subtitles": offer(**{"PT-br": "written"}), "automatic_captions": offer(**{"pt-BR-orig": "spoken", "ZH-hans": "translated"})}
    assert captions.languages_of(info, automatic=True) == ["PT-br"]
    assert captions.track_in(info, "pt-BR", automatic=True).url == "written"
    assert captions.track_in(info, "zh-Hans", automatic=True).url == "translated"
    del info["subtitles"]
    assert captions.track_in(info, "PT-BR", automatic=True).url == "spoken"


def test_a_look_that_tells_nothing_of_captions_offers_none():
    assert captions.track_in({}, "en", automatic=True) is None and captions.languages_of({}, automatic=True) == []


ROLLING = """WEBVTT

00:00:00.000 --> 00:00:01.990 align:start position:0%
\x20
no<00:00:01.000><c> no</c>

00:00:01.990 --> 00:00:02.000 align:start position:0%
no no
\x20

00:00:02.000 --> 00:00:03.990 align:start position:0%
no no
no<00:00:03.000><c> no</c>

00:00:03.990 --> 00:00:04.000 align:start position:0%
no no
\x20

00:00:04.000 --> 00:00:05.990 align:start position:0%
no no
5
"""


def test_rolling_lines_are_taken_once_but_words_said_twice_stay():
    assert captions.to_text(ROLLING.encode(), is_rolling=True) == b"no no\nno no\n5\n"


def test_what_people_wrote_keeps_every_line_and_no_mark_up():
    vtt = "WEBVTT\n\n00:01.000 --> 00:02.000\n<i>No.</i> 1 &lt; 2\n\n00:02.000 --> 00:03.000\nNo.\n\n00:03.000 --> 00:04.000\nNo.\n"
    assert captions.to_text(vtt.encode(), is_rolling=False).decode() == "No. 1 < 2\nNo.\nNo.\n"


def test_each_option_asks_for_its_rows_once():
    options = Options(assets=ASSETS, subtitle_languages=("en", "all", "en"))
    assert wanted(options) == [
        Wanted("info", "", "json"),
        Wanted("thumbnail", "", ""),
        Wanted("subtitles", "en", "vtt"),
        Wanted("subtitles", "en", "srt"),
        Wanted("subtitles", "all", ""),
        Wanted("transcript", "en", "txt"),
        Wanted("transcript", "all", ""),
        Wanted("nfo", "", "nfo"),
    ]
    assert wanted(Options()) == []


@pytest.mark.parametrize(
    ("fields", "ext", "name"),
    [
        ({"kind": "info", "tries": 1}, "json", "info.json"),
        ({"kind": "thumbnail", "tries": 2}, "webp", "thumbnail-try2.webp"),
        ({"kind": "subtitles", "language": "zh-Hans", "tries": 1}, "srt", "zh-Hans.srt"),
        ({"kind": "subtitles", "language": "a/../b", "tries": 3}, "vtt", "a----b-try3.vtt"),
        ({"kind": "nfo", "tries": 1}, "nfo", "nfo"),
        ({"kind": "nfo", "tries": 2}, "nfo", "try2.nfo"),
    ],
)
def test_the_name_of_an_object_tells_what_it_is_and_which_try(fields, ext, name):
    assert label(Asset(**fields), ext) == name


@pytest.mark.parametrize(
    ("content", "ext"),
    [(b"\xff\xd8\xff\xe0", "jpg"), (b"RIFF1234WEBPVP8 ", "webp"), (b"\x89PNG\r\n\x1a\n", "png"), (b"<html>", ""), (b"", "")],
)
def test_a_picture_is_known_by_its_first_bytes(content, ext):
    assert picture_kind(content) == ext


def test_an_nfo_is_whole_xml_whatever_the_description_says():
    channel, person = Channel(title="C & A"), Person(name="Ann")
    video = Video(title="<b>\x0b", description="\x00\x1b[0m ok", duration=89, upload_date=date(2020, 2, 3), channel=channel, person=person)
    video.external_id = "abcdefghijk"
    said = nfo(video).decode()
    assert "<title>&lt;b&gt;</title>" in said and "<plot>[0m ok</plot>" in said
    assert "<runtime>1</runtime>" in said and "<year>2020</year>" in said and "<studio>C &amp; A</studio>" in said


@pytest.mark.parametrize(
    "url",
    [
        "http://i.ytimg.com/a.jpg",
        "https://i.ytimg.com.example.org/a.jpg",
        "https://127.0.0.1/a.jpg",
        "https://user@evil.example/i.ytimg.com",
        "file:///etc/passwd",
    ],
)
def test_an_address_of_another_host_is_refused_before_it_is_asked(url):
    asked = []
    with pytest.raises(ArchiveError):
        files.fetch(SimpleNamespace(urlopen=asked.append), url, largest=10)
    assert asked == []


def test_more_than_a_small_file_is_not_read(fresh_twin):
    youtube = YouTube({**fresh_twin.ytdlp_options(), "cachedir": False})
    try:
        with pytest.raises(TransientError) as raised:
            youtube.fetch("https://i.ytimg.com/vi/demv0000050/hqdefault.jpg?expire=1&ip=192.0.2.7&signature=5EC2E7", largest=100)
        assert raised.value.message == "i.ytimg.com/vi/demv0000050/hqdefault.jpg is larger than 100 bytes"
    finally:
        youtube.close()


def test_secrets_are_taken_out_of_the_info_at_any_depth():
    info = {
        "id": "abcdefghijk",
        "_private": 1,
        "cookies": "SID=1",
        "url": "https://rr1.googlevideo.com/videoplayback?sig=1",
        "description": "see https://example.org/?key=value and more",
        "formats": [{"format_id": "chosen", "url": "https://cdn.example/a"}],
        "thumbnails": [{"url": "https://i.ytimg.com/vi/a.jpg"}],
        "other": {"deep": ["https://manifest.googlevideo.com/api/manifest/x", "kept"]},
    }
    offered = [
        {"format_id": "1", "width": 640, "url": "https://cdn.example/a", "http_headers": {"Cookie": "SID=1"}, "fragments": [{"url": "x"}]},
        {"format_id": "2", "vcodec": "av01", "manifest_url": "https://manifest.googlevideo.com/api/manifest/hls"},
    ]
    shown = files.public_info(info, offered)
    del shown["epoch"]
    assert shown == {
        "id": "abcdefghijk",
        "description": "see https://example.org/?key=value and more",
        "formats": [{"format_id": "1", "width": 640}, {"format_id": "2", "vcodec": "av01"}],
        "thumbnails": [{"url": "https://i.ytimg.com/vi/a.jpg"}],
        "other": {"deep": ["kept"]},
        "subtitles": {},
        "automatic_captions": {},
    }


def test_words_of_people_are_no_secrets_whatever_addresses_stand_in_them():
    address = "https://example.org/?key=value"
    info = {
        "title": address,
        "description": f"Shop:\n{address}",
        "tags": [address],
        "chapters": [{"title": address, "start_time": 0}],
        "comments": [{"author": address, "text": address, "author_url": address}],
        "channel": "https://rr1.googlevideo.com/videoplayback",
        "other": f"see\n{address}",
        "webpage_url": f" {address}\n",
    }
    shown = files.public_info(info, ())
    kept = ("title", "description", "tags", "chapters", "channel", "other")
    assert {name: shown[name] for name in kept} == {name: info[name] for name in kept}
    assert shown["comments"] == [{"author": address, "text": address}] and "webpage_url" not in shown
