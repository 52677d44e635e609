"""Captions as yt-dlp finds them, and the forms in which they are served."""

import pytest

from demo.youtube_twin import Twin
from tests.demo.conftest import connect, get

WATCH = "https://www.youtube.com/watch?v="
WRITTEN, RECOGNISED = "demv0000050", "demv0000040"


def address(info, container: str, language: str, form: str = "vtt") -> str:
    return next(one["url"] for one in info[container][language] if one["ext"] == form)


def fetch(twin: Twin, url: str) -> tuple[int, str, bytes]:
    with connect(twin, "www.youtube.com") as connection:
        response, body = get(connection, url.removeprefix("https://www.youtube.com"))
        return response.status, response.headers["Content-Type"], body


@pytest.mark.parametrize(("video_id", "written"), [(WRITTEN, {"en", "de"}), (RECOGNISED, set()), ("WASLIVE____", set())])
def test_ordinary_videos_have_captions_and_special_ones_have_none(video_id: str, written: set[str], extract):
    info = extract(WATCH + video_id)
    assert set(info["subtitles"]) == written
    recognised = {language for language in info["automatic_captions"] if language.endswith("-orig")}
    assert recognised == (set() if video_id == "WASLIVE____" else {"en-orig"})


def test_recognised_captions_are_offered_in_translation(extract):
    assert {"de", "fr", "ja"} <= set(extract(WATCH + RECOGNISED)["automatic_captions"])


def test_a_track_is_served_as_asked(fresh_twin: Twin, extract):
    info = extract(WATCH + WRITTEN)
    status, kind, body = fetch(fresh_twin, address(info, "subtitles", "de"))
    assert (status, kind) == (200, "text/vtt; charset=UTF-8") and body.startswith(b"WEBVTT\n") and b"Worte 1 &amp; more" in body
    status, kind, body = fetch(fresh_twin, address(info, "subtitles", "de", "json3"))
    assert status == 200 and kind.startswith("application/json") and b'"events"' in body
    assert fresh_twin.counters()["captions"] == 2


def test_recognised_lines_come_word_by_word_and_stay_while_the_next_comes(fresh_twin: Twin, extract):
    _, _, body = fetch(fresh_twin, address(extract(WATCH + RECOGNISED), "automatic_captions", "en-orig"))
    assert body.count(b"words 1 &amp; more") == 2 and b"<c> 1 &amp; more</c>" in body


@pytest.mark.parametrize("change", [("lang=de", "lang=it"), ("fmt=vtt", "fmt=srt"), (WRITTEN, "nobody00000"), ("expire=", "expire=1&x=")])
def test_what_there_is_not_answers_404(fresh_twin: Twin, extract, change):
    url = address(extract(WATCH + WRITTEN), "subtitles", "de")
    assert change[0] in url
    assert fetch(fresh_twin, url.replace(*change))[0] == 404
