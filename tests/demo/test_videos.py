from collections.abc import Callable
from typing import Any

import pytest
from yt_dlp.utils import DownloadError

from demo.youtube_twin import Twin
from demo.youtube_twin.formats import H264, VP9
from demo.youtube_twin.specials import REFUSALS, SPECIAL_IDS

WATCH = "https://www.youtube.com/watch?v="
Extract = Callable[..., dict[str, Any]]

ERRORS = {
    "PRIVATE____": "Private video. Sign in if you've been granted access",
    "MEMBERS____": "Join this channel to get access to members-only content",
    "REMOVED____": "Video unavailable. This video has been removed by the uploader",
    "TERMACCT___": "YouTube account associated with this video has been terminated",
    "COPYRIGHT__": "no longer available due to a copyright claim",
    "GEOBLOCK___": "not made this video available in your country\nThis video is available in Germany, France",
    "GEOMOBILE__": "not made this video available in your country",
    "AGEGATE____": "Sign in to confirm your age. This video may be inappropriate for some users",
    "BOTCHECK___": "Sign in to confirm you\u2019re not a bot. Use --cookies",
    "CAPTCHA____": "YouTube is requiring a captcha challenge before playback",
    "TRYLATER___": "has been rate-limited by YouTube for up to an hour",
    "PREMIUM____": "only available to Music Premium members",
    "PAIDMOVIE__": "This video requires payment to watch",
    "UPCOMING___": "Premieres in 3 hours",
    "LIVESOON___": "This live event will begin in 3 hours",
    "UNKNOWNID__": "UNKNOWNID__: Video unavailable",
    "notavideo__": "notavideo__: Video unavailable",
    "SABRONLY___": "No video formats found",
    "NCHALLENGE_": "No video formats found",
    "SIGCIPHER__": "No video formats found",
    "WRONGVIDEO_": "All player responses are invalid",
}


@pytest.mark.parametrize(("video_id", "words"), ERRORS.items(), ids=ERRORS)
def test_a_special_video_fails_in_youtubes_words(video_id: str, words: str, extract: Extract):
    with pytest.raises(DownloadError) as raised:
        extract(WATCH + video_id)
    assert words in str(raised.value)


def test_every_refusal_has_a_video():
    assert set(SPECIAL_IDS.values()) >= set(REFUSALS)
    assert {video_id for video_id, special in SPECIAL_IDS.items() if special in REFUSALS} <= set(ERRORS)


@pytest.mark.parametrize("prefix", ["watch?v=", "shorts/", "live/", "embed/", "v/"])
def test_a_video_is_found_by_each_form_of_its_address(prefix: str, extract: Extract):
    assert extract(f"https://www.youtube.com/{prefix}demv0000040")["id"] == "demv0000040"


def test_a_video_tells_whose_and_what_it_is(extract: Extract, fresh_twin: Twin):
    channel = fresh_twin.site.catalogue.channel("evening-physics")
    video = channel.tabs["videos"][0]
    found = extract(WATCH + video.id)
    assert (found["title"], found["channel_id"], found["channel"]) == (video.title, channel.id, channel.title)
    assert (found["uploader_id"], found["duration"]) == ("@evening-physics", video.seconds)
    assert (found["upload_date"], found["view_count"]) == (f"{video.published:%Y%m%d}", video.views)
    assert found["description"] == video.description


@pytest.mark.parametrize(
    ("video_id", "itags"),
    [
        pytest.param("demv0000040", (*H264, 602), id="ordinary"),
        pytest.param("demv0000041", (*H264, *VP9, 602), id="with VP9 and Opus"),
        pytest.param("UHD2160____", (313, *H264, *VP9, 602), id="2160p"),
        pytest.param("PROGRESS18_", (18,), id="one progressive format"),
        pytest.param("HLSONLY____", (95, 93), id="HLS only"),
        pytest.param("LIVENOW____", (95,), id="on air"),
        pytest.param("t0000500000", (134, 140, 602), id="tiny"),
    ],
)
def test_a_video_offers_its_formats(video_id: str, itags: tuple[int, ...], extract: Extract):
    assert {int(format["format_id"]) for format in extract(WATCH + video_id)["formats"]} == set(itags)


def test_a_broadcast_that_is_over_says_so(extract: Extract):
    assert extract(WATCH + "WASLIVE____")["live_status"] == "was_live"


def test_a_broadcast_on_air_says_so(extract: Extract):
    assert extract(WATCH + "LIVENOW____")["live_status"] == "is_live"


def test_an_extraction_costs_three_requests(extract: Extract, fresh_twin: Twin):
    extract(WATCH + "demv0000040")
    assert [entry["kind"] for entry in fresh_twin.log()] == ["watch", "player", "manifest"]


FLEET = {
    "bot_check": "not a bot",
    "captcha": "captcha challenge",
    "session_limited": "rate-limited by YouTube",
    "rate_limited": "Failed to extract any player response",
}


@pytest.mark.parametrize(("refusal", "words"), FLEET.items(), ids=FLEET)
def test_the_whole_twin_can_refuse_a_number_of_extractions(refusal: str, words: str, extract: Extract, fresh_twin: Twin):
    fresh_twin.configure(refuse=refusal, refuse_times=2)
    for video_id in ("demv0000040", "demv0000041"):
        with pytest.raises(DownloadError, match=words):
            extract(WATCH + video_id)
    assert {entry["refused"] for entry in fresh_twin.log() if entry["kind"] in ("watch", "player")} == {refusal}
    fresh_twin.clear_log()
    assert extract(WATCH + "demv0000040")["duration"] == 7
    assert {entry["refused"] for entry in fresh_twin.log()} == {None}


def test_the_whole_twin_can_refuse_without_end(extract: Extract, fresh_twin: Twin):
    fresh_twin.configure(refuse="bot_check")
    for _ in range(3):
        with pytest.raises(DownloadError, match="not a bot"):
            extract(WATCH + "demv0000040")
    fresh_twin.configure(refuse=None)
    assert extract(WATCH + "demv0000040")["duration"] == 7
