import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from demo.youtube_twin import Twin
from ingestion.errors import ArchiveError, DeferredError, FleetError, TransientError
from ingestion.options import Choice
from ingestion.youtube import YouTube, offers
from tests.ingestion.test_youtube.conftest import asked_site


def test_one_look_costs_two_requests_to_youtube_and_none_to_media_hosts(twin: Twin, youtube: YouTube):
    youtube.extract("demv0000050")
    assert [line.partition("?")[0] for line in asked_site(twin)] == ["GET /watch", "POST /youtubei/v1/player"]
    assert len(twin.log()) == 2


def test_what_youtube_says_of_a_video(youtube: YouTube):
    extraction = youtube.extract("demv0000050")
    assert extraction.external_id == "demv0000050"
    assert extraction.title == 'Video demv0000050 \u2013 title & "quotes"'
    assert extraction.description == "Description of demv0000050\nline 2"
    assert (extraction.duration, extraction.view_count) == (12, 1050)
    assert extraction.upload_date.isoformat() == "2026-06-11"
    assert (extraction.live_status, extraction.availability) == ("not_live", "public")


@pytest.mark.parametrize(
    ("video", "quality", "ids"),
    [
        ("demv0000050", "720p", ["136", "140"]),
        ("demv0000050", "1080p", ["137", "140"]),
        ("demv0000050", "360p", ["134", "140"]),
        ("demv0000050", "audio", ["140"]),
        ("PROGRESS18_", "720p", ["18"]),
        ("UHD2160____", "2160p", ["313", "251"]),
        ("UHD2160____", "1080p", ["137", "140"]),
        ("HLSONLY____", "360p", ["93"]),
        ("DEGRADED___", "360p", ["18"]),
        ("MANIFEST___", "360p", ["18"]),
        ("MANIFEST___", "1080p", ["95"]),
    ],
)
def test_the_formats_for_a_quality(youtube: YouTube, video: str, quality: str, ids: list[str]):
    extraction = youtube.extract(video, Choice(quality))
    assert [media.format_id for media in extraction.formats] == ids
    assert [raw["format_id"] for raw in extraction.info["formats"]] == ids


@pytest.mark.parametrize(
    ("choice", "ids"),
    [
        (Choice("1080p", codec="vp9"), ["248", "251"]),
        (Choice("1080p", codec="av1", hdr=True), ["137", "140"]),
        (Choice("720p", container="webm"), ["247", "251"]),
        (Choice("audio", container="opus"), ["251"]),
        (Choice("audio", container="m4a"), ["140"]),
        (Choice("audio", audio_bitrate=16, container="opus"), ["140"]),
    ],
    ids=str,
)
def test_wishes_are_read_from_what_yt_dlp_tells(youtube: YouTube, choice: Choice, ids: list[str]):
    assert [media.format_id for media in youtube.extract("demv0000050", choice).formats] == ids


def test_picture_and_sound_come_in_that_order_with_size_and_headers(youtube: YouTube):
    picture, sound = youtube.extract("demv0000050", Choice("720p")).formats
    assert (picture.protocol, picture.ext, picture.width, picture.height, picture.fps) == ("https", "mp4", 1280, 720, 25)
    assert picture.vcodec.startswith("avc1")
    assert picture.acodec is None
    assert (sound.vcodec, sound.acodec, sound.ext) == (None, "mp4a.40.2", "m4a")
    assert picture.size > 0
    assert sound.size > 0
    assert "User-Agent" in picture.headers


@pytest.mark.parametrize(
    ("video", "kind", "treatment"),
    [
        ("PRIVATE____", "private", "permanent"),
        ("MEMBERS____", "members_only", "permanent"),
        ("REMOVED____", "removed", "permanent"),
        ("TERMACCT___", "terminated", "permanent"),
        ("COPYRIGHT__", "copyright", "permanent"),
        ("GEOBLOCK___", "geo_blocked", "permanent"),
        ("GEOMOBILE__", "geo_blocked", "permanent"),
        ("AGEGATE____", "age_restricted", "permanent"),
        ("PREMIUM____", "payment", "permanent"),
        ("PAIDMOVIE__", "payment", "permanent"),
        ("UNKNOWNID__", "removed", "permanent"),
        ("nosuchvideo", "removed", "permanent"),
        ("UPCOMING___", "upcoming", "deferred"),
        ("LIVESOON___", "upcoming", "deferred"),
        ("LIVENOW____", "live_now", "deferred"),
        ("SABRONLY___", "no_formats", "transient"),
        ("DEGRADED___", "degraded", "transient"),
        ("NCHALLENGE_", "no_formats", "transient"),
        ("SIGCIPHER__", "no_formats", "transient"),
        ("BOTCHECK___", "bot_check", "fleet"),
        ("WRONGVIDEO_", "bot_check", "fleet"),
        ("CAPTCHA____", "captcha", "fleet"),
        ("TRYLATER___", "session_limited", "fleet"),
    ],
)
def test_every_special_video_has_its_kind(youtube: YouTube, video: str, kind: str, treatment: str):
    with pytest.raises(ArchiveError) as raised:
        youtube.extract(video)
    assert (raised.value.kind, raised.value.treatment) == (kind, treatment)
    assert "--cookies" not in raised.value.message


def test_a_video_that_still_shows_its_title_is_not_gone(twin: Twin, youtube: YouTube):
    """As yt-dlp meets videos made for kids: the watch page shows them, the app's answer calls them unavailable."""
    message = {"reason": {"simpleText": "Video unavailable"}, "subreason": {"simpleText": "This video is unavailable"}}
    refusal = {"status": "ERROR", "reason": "Video unavailable", "errorScreen": {"playerErrorMessageRenderer": message}}
    answer = {"playabilityStatus": refusal, "videoDetails": {"videoId": "demv0000050"}}
    twin.faults([{"match": "/youtubei/v1/player", "status": 200, "body": json.dumps(answer)}])
    with pytest.raises(TransientError) as raised:
        youtube.extract("demv0000050")
    assert raised.value.kind == "no_formats"


def test_pictures_of_the_seek_bar_are_no_offer(twin: Twin, youtube: YouTube):
    spec = "https://i.ytimg.com/sb/x/storyboard3_L$L/$N.jpg?sqp=a|48#27#100#10#10#0#default#rs$b"
    answer = {
        "playabilityStatus": {"status": "UNPLAYABLE", "reason": "Join this channel to get access to members-only content"},
        "videoDetails": {"videoId": "demv0000050"},
        "storyboards": {"playerStoryboardSpecRenderer": {"spec": spec}},
    }
    twin.faults([{"match": "/youtubei/v1/player", "status": 200, "body": json.dumps(answer)}])
    with pytest.raises(ArchiveError) as raised:
        youtube.extract("demv0000050")
    assert raised.value.kind == "members_only"


def test_a_paid_film_is_not_taken_for_its_trailer(twin: Twin, youtube: YouTube):
    screen = {"playerLegacyDesktopYpcTrailerRenderer": {"trailerVideoId": "demv0000051"}}
    answer = {"playabilityStatus": {"status": "UNPLAYABLE", "errorScreen": screen}, "videoDetails": {"videoId": "demv0000050"}}
    twin.faults([{"match": "/youtubei/v1/player", "status": 200, "body": json.dumps(answer)}])
    with pytest.raises(ArchiveError) as raised:
        youtube.extract("demv0000050")
    assert raised.value.kind == "payment"
    assert len(asked_site(twin)) == 2


def test_a_premiere_is_deferred_until_its_time(youtube: YouTube):
    with pytest.raises(DeferredError) as raised:
        youtube.extract("UPCOMING___")
    wait = raised.value.not_before - datetime.now(UTC)
    assert timedelta(hours=2, minutes=58) < wait < timedelta(hours=3, minutes=2)


def test_a_recorded_broadcast_is_a_video_like_others(youtube: YouTube):
    extraction = youtube.extract("WASLIVE____")
    assert (extraction.live_status, len(extraction.formats)) == ("was_live", 2)


@pytest.mark.parametrize("kind", ["bot_check", "captcha", "session_limited", "rate_limited"])
def test_a_refusal_of_us_is_no_fault_of_the_video(twin: Twin, youtube: YouTube, kind: str):
    twin.configure(refuse=kind)
    with pytest.raises(FleetError) as raised:
        youtube.extract("demv0000050")
    assert raised.value.kind == kind
    twin.configure(refuse=None)
    assert youtube.extract("demv0000050").external_id == "demv0000050"


@pytest.mark.parametrize("match", ["GET www.youtube.com/watch", "/youtubei/v1/player"])
def test_too_many_requests_is_seen_even_where_yt_dlp_passes_over_it(twin: Twin, make_youtube, match: str):
    twin.faults([{"match": match, "status": 429}])
    with pytest.raises(FleetError) as raised:
        make_youtube(extractor_retries=3).extract("demv0000050")
    assert raised.value.kind == "rate_limited"
    assert [seen["status"] for seen in twin.log()].count(429) == 1


def test_a_dead_network_is_transient(twin: Twin, youtube: YouTube):
    twin.faults([{"match": "www.youtube.com", "reset": 0}])
    with pytest.raises(ArchiveError) as raised:
        youtube.extract("demv0000050")
    assert raised.value.kind == "network"


def test_without_a_proxy_to_speak_to_it_is_the_network(make_youtube: Callable[..., YouTube]):
    with pytest.raises(ArchiveError) as raised:
        make_youtube(proxy="http://127.0.0.1:1").extract("demv0000050")
    assert raised.value.kind == "network"


def test_manifests_are_fetched_only_while_videos_need_them(twin: Twin, youtube: YouTube):
    def requests(video: str) -> tuple[int, int]:
        twin.clear_log()
        youtube.extract(video)
        site = len(asked_site(twin))
        return site, len(twin.log()) - site

    assert requests("demv0000050") == (2, 0)
    assert requests("HLSONLY____") == (4, 1), "once without, once with manifests"
    assert requests("HLSONLY____") == (2, 1), "the next one is expected to need them, too"
    assert requests("demv0000050") == (2, 1)
    assert requests("demv0000050") == (2, 0)
    assert requests("MANIFEST___") == (4, 1), "what is given without them is far from what is named"
    assert requests("MANIFEST___") == (2, 1)


def test_a_small_picture_is_refused_when_youtube_names_a_larger_one(youtube: YouTube):
    with pytest.raises(TransientError) as raised:
        youtube.extract("DEGRADED___", Choice("best"))
    assert raised.value.kind == "degraded"
    assert raised.value.message.startswith("There is a picture of 1080p, but only 360p was offered. Some ")
    assert "missing a URL" in raised.value.message


def test_an_old_small_film_is_the_best_there_is(youtube: YouTube):
    assert [media.height for media in youtube.extract("PROGRESS18_", Choice("best")).formats] == [360]


def test_sound_alone_does_not_fall_short_of_a_picture(youtube: YouTube):
    assert [media.format_id for media in youtube.extract("DEGRADED___", Choice("audio")).formats] == ["18"]


def test_what_is_named_is_known_of_every_look(youtube: YouTube):
    """Rests on the name of a method of yt-dlp's; without it only its warnings tell."""
    youtube.extract("demv0000050")
    assert youtube._client.named == offers.Named(1080, has_sound=True)


def test_without_the_names_a_warning_stands_for_them(youtube: YouTube, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(offers.NotingIE, "_extract_player_responses")
    with pytest.raises(TransientError) as raised:
        youtube.extract("DEGRADED___", Choice("1080p"))
    assert raised.value.kind == "degraded"
    assert [media.format_id for media in youtube.extract("PROGRESS18_", Choice("1080p")).formats] == ["18"]


def test_the_facts_that_choices_are_made_by(youtube: YouTube):
    picture, sound = youtube.extract("demv0000050").formats
    assert (picture.dynamic_range, sound.dynamic_range) == ("SDR", "")
    assert 0 < sound.abr == sound.tbr < 200 < picture.tbr and not picture.abr


@pytest.mark.parametrize("external_id", ["", "short", "https://e.x", "demv0000050x", "../../../..", "demv000005é"])
def test_only_ids_of_videos_are_looked_at(twin: Twin, youtube: YouTube, external_id: str):
    with pytest.raises(ValueError, match="not the id"):
        youtube.extract(external_id)
    assert twin.log() == []


def test_an_unknown_quality_is_refused(youtube: YouTube):
    with pytest.raises(ValueError, match="not a quality"):
        youtube.extract("demv0000050", Choice("9000p"))


def test_every_request_to_youtube_is_paid_for_and_no_other(twin: Twin, make_youtube: Callable[..., YouTube]):
    paid = []
    youtube = make_youtube(spend=lambda: paid.append(1))
    list(youtube.list_channel("https://www.youtube.com/@demo"))
    extraction = youtube.extract("demv0000050")
    for video in ("HLSONLY____", "AGEGATE____", "PRIVATE____"):
        try:
            youtube.extract(video)
        except ArchiveError:
            continue
    youtube.open_range(extraction.formats[0], 0, 99).close()
    assert len(paid) == len(asked_site(twin)) < len(twin.log())


def test_a_spent_budget_leaves_no_request(twin: Twin, make_youtube: Callable[..., YouTube]):
    def spend():
        raise DeferredError("budget_spent")

    with pytest.raises(DeferredError) as raised:
        make_youtube(spend=spend).extract("demv0000050")
    assert raised.value.kind == "budget_spent"
    assert twin.log() == []


def test_what_spend_raises_is_not_lost_where_yt_dlp_swallows_errors(make_youtube: Callable[..., YouTube]):
    """The player's script is fetched by a challenge solver, which turns any exception into a warning."""
    calls = []

    def spend():
        calls.append(1)
        if len(calls) > 2:
            raise DeferredError("budget_spent")

    with pytest.raises(DeferredError):
        make_youtube(spend=spend).extract("NCHALLENGE_")


@pytest.fixture
def advertisement(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """One of 15 seconds before every video; what was slept for it."""
    slept: list[float] = []
    monkeypatch.setattr("ingestion.youtube.source.time.sleep", slept.append)
    monkeypatch.setattr("yt_dlp.extractor.youtube.YoutubeIE._get_available_at_timestamp", lambda *_: datetime.now(UTC).timestamp() + 15)
    return slept


def test_the_length_of_an_advertisement_is_waited_for(youtube: YouTube, advertisement: list[float]):
    youtube.extract("demv0000050")
    assert 13 < sum(advertisement) <= 15


def test_a_stop_is_heard_while_an_advertisement_is_waited_for(make_youtube: Callable[..., YouTube], advertisement: list[float]):
    class Stopped(Exception):
        pass

    def check():
        if len(advertisement) == 3:
            raise Stopped

    with pytest.raises(Stopped):
        make_youtube(check=check).extract("demv0000050")
    assert advertisement == [0.5, 0.5, 0.5]
