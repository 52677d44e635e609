"""Wording and exceptions that the local YouTube cannot show."""

import inspect
from io import BytesIO

import pytest
from yt_dlp import cookies, utils
from yt_dlp.networking import exceptions as network
from yt_dlp.networking.common import Response
from yt_dlp.utils import DownloadError, ExtractorError, GeoRestrictedError

from ingestion.errors import KINDS, TransientError
from ingestion.youtube.refusals import CLASSES, WORDINGS, error_from, kind_of_wording, plain_line

WORDS = [
    ("Private video. Sign in if you've been granted access to this video", "private"),
    ("This video is private.", "private"),
    ("YouTube said: This playlist is private", "private"),
    ("Video unavailable. This video is private", "private"),
    ("Sign in to confirm you\u2019re not a bot. This helps protect our community.", "bot_check"),
    ("All player responses are invalid. Your IP is likely being blocked by Youtube", "bot_check"),
    ("Video unavailable. YouTube is requiring a captcha challenge before playback", "captcha"),
    ("This content isn\u2019t available, try again later.", "session_limited"),
    (
        "Video unavailable. This content isn't available, try again later. The current session has been rate-limited by YouTube",
        "session_limited",
    ),
    ("Too Many Requests", "rate_limited"),
    ("YouTube said: This account has been terminated for a violation of YouTube's Terms of Service.", "terminated"),
    ("YouTube said: This channel was removed because it violated our Community Guidelines.", "terminated"),
    ("Video unavailable. This video is no longer available because the uploader has closed their YouTube account.", "terminated"),
    (
        "Video unavailable. This video is no longer available because the YouTube account associated with this video has been terminated.",
        "terminated",
    ),
    ("YouTube said: The playlist does not exist.", "channel_missing"),
    ("YouTube said: This channel does not exist.", "channel_missing"),
    ("The channel/playlist does not exist and the URL redirected to youtube.com home page", "channel_missing"),
    ("Failed to resolve url (does the playlist exist?)", "channel_missing"),
    ("YouTube said: This playlist type is unviewable.", "channel_missing"),
    ("Join this channel to get access to members-only content like this video, and other exclusive perks.", "members_only"),
    ("This video is available to this channel's members on level: Fan (or any higher level).", "members_only"),
    ("Sign in to confirm your age. This video may be inappropriate for some users.", "age_restricted"),
    ("This video is age-restricted and only available on YouTube.", "age_restricted"),
    ("The uploader has not made this video available in your country", "geo_blocked"),
    ("This video is not available from your location due to geo restriction", "geo_blocked"),
    ("Video unavailable. This video contains content from X, who has blocked it in your country on copyright grounds", "geo_blocked"),
    ("Video unavailable. This video contains content from X, who has blocked it on copyright grounds", "copyright"),
    ("This video is no longer available due to a copyright claim by X", "copyright"),
    ("This video requires payment to watch.", "payment"),
    ("This video is only available to Music Premium members", "payment"),
    ("Premieres in 3 hours", "upcoming"),
    ("Premiere will begin shortly", "upcoming"),
    ("This live event will begin in a few moments.", "upcoming"),
    ("Video unavailable. This video has been removed by the uploader", "removed"),
    ("Video unavailable. This video has been removed for violating YouTube's Community Guidelines", "removed"),
    ("This live stream recording is not available.", "removed"),
    ("Video unavailable", "removed"),
    ("This video is unavailable", "removed"),
    ("Video unavailable. This video is not available", "no_formats"),
    ("Video unavailable. This content isn't available.", "no_formats"),
    ("This video is DRM protected", "no_formats"),
    ("Failed to extract any player response", "no_formats"),
    ("Incomplete data received", "incomplete"),
    ("Incomplete yt initial data received. Giving up after 3 retries", "incomplete"),
    ("You have requested merging of multiple formats but ffmpeg is not installed. Aborting due to --abort-on-error", "misconfigured"),
    ("Postprocessing: Conversion failed!", "media"),
    ("Got error: 7 bytes read, 93 more expected", "network"),
    ("Unable to download API page: HTTP Error 503: Service Unavailable", "network"),
    ("fragment 3 not found, unable to continue", "incomplete"),
    ("Something YouTube thought of yesterday", None),
    ("", None),
]


@pytest.mark.parametrize(("words", "kind"), WORDS, ids=lambda value: str(value)[:60])
def test_words_have_their_kind(words: str, kind: str | None):
    assert kind_of_wording([words]) == kind


def test_every_row_is_of_a_known_kind_and_needed_by_a_test():
    assert {row.kind for row in WORDINGS} <= set(KINDS)
    assert {kind for _, kind in CLASSES} - {None} <= set(KINDS)
    assert {row.kind for row in WORDINGS} == {kind for _, kind in WORDS if kind}


def test_the_newest_known_line_decides():
    assert kind_of_wording(["something new", "Private video", "Video unavailable"]) == "private"


@pytest.mark.parametrize("module", [utils, network], ids=lambda module: module.__name__)
def test_every_exception_class_of_yt_dlp_is_mapped(module):
    theirs = {
        cls
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if issubclass(cls, Exception) and cls.__module__.startswith(("yt_dlp.utils", "yt_dlp.networking")) and cls.__name__[0] != "_"
    }
    assert theirs <= {cls for cls, _ in CLASSES}


def test_no_row_hides_a_later_one():
    seen: list[type] = []
    for cls, _ in CLASSES:
        assert not any(issubclass(cls, earlier) for earlier in seen), cls
        seen.append(cls)


def http_error(status: int, url: str = "https://www.youtube.com/watch") -> network.HTTPError:
    return network.HTTPError(Response(BytesIO(), url=url, headers={}, status=status))


def wrapped(cause: Exception, text: str = "Unable to download webpage") -> DownloadError:
    """As YoutubeDL parcels a failure up."""
    inner = ExtractorError(text, cause=cause, video_id="abc", ie="youtube")
    return DownloadError(f"ERROR: {inner}", (type(inner), inner, None))


@pytest.mark.parametrize(
    ("exc", "kind"),
    [
        (wrapped(http_error(429)), "rate_limited"),
        (wrapped(http_error(429, "https://www.google.com/sorry/index?continue=x")), "captcha"),
        (wrapped(http_error(403)), "forbidden"),
        (wrapped(http_error(404)), "channel_missing"),
        (wrapped(http_error(500)), "network"),
        (wrapped(http_error(503), "Private video"), "network"),
        (wrapped(network.TransportError("timed out")), "network"),
        (wrapped(network.ProxyError("refused")), "network"),
        (wrapped(network.SSLError("handshake")), "network"),
        (wrapped(network.CertificateVerifyError("self-signed")), "misconfigured"),
        (wrapped(network.NoSupportingHandlers([], [])), "misconfigured"),
        (wrapped(ValueError("junk"), "Failed to parse JSON"), "unknown"),
        (ExtractorError("Private video", expected=False), "private"),
        (GeoRestrictedError("not here", countries=["DE"]), "geo_blocked"),
        (utils.ContentTooShortError(1, 2), "incomplete"),
        (utils.PostProcessingError("ffmpeg said no"), "media"),
        (utils.PostProcessingError("Error writing trailer: No space left on device"), "scratch_full"),
        (utils.UnavailableVideoError(OSError(5, "Input/output error")), "media"),
        (utils.UnavailableVideoError(OSError(28, "No space left on device")), "scratch_full"),
        (DownloadError("ERROR: unable to write data: [Errno 122] Disk quota exceeded", (None, None, None)), "scratch_full"),
        (utils.MaxDownloadsReached(), "misconfigured"),
        (cookies.CookieLoadError("failed to load cookies"), "misconfigured"),
        (KeyError("videoRenderer"), "unknown"),
        (TimeoutError("timed out"), "network"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{type(value).__name__} {value}"[:60],
)
def test_exceptions_have_their_kind(exc: Exception, kind: str):
    assert error_from(exc, missing="channel_missing").kind == kind


def test_an_error_that_says_nothing_is_explained_by_the_warnings():
    exc = DownloadError("ERROR: [youtube] abc: Failed to extract something", (None, None, None))
    assert error_from(exc, ["Sign in to confirm your age", "a detail"]).kind == "age_restricted"


@pytest.mark.parametrize(
    ("status", "kind"), [(403, "forbidden"), (404, "forbidden"), (416, "incomplete"), (429, "network"), (502, "network")]
)
def test_the_downloader_s_text_tells_the_status(status: int, kind: str):
    exc = DownloadError(f"ERROR: \r[download] Got error: HTTP Error {status}: Something. Giving up after 1 retries", (None, None, None))
    assert error_from(exc, media=True).kind == kind


def test_an_unknown_text_is_worth_another_attempt_and_kept():
    failure = error_from(ExtractorError("Something YouTube thought of yesterday"))
    assert isinstance(failure, TransientError)
    assert (failure.kind, failure.message) == ("unknown", "Something YouTube thought of yesterday")


def test_an_archive_error_stays_itself():
    failure = TransientError("network")
    assert error_from(failure) is failure


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("ERROR: [youtube] dQw4w9WgXcQ: Private video. Use --cookies-from-browser or --cookies for", "Private video"),
        ("[youtube:tab] @x: gone; please report this issue on  https://github.com/", "gone"),
        ("ERROR: \r[download] Got error: HTTP Error 404: Not Found. Giving up", "HTTP Error 404: Not Found. Giving up"),
        ("[youtube] Premieres in 3 hours", "Premieres in 3 hours"),
        ("two\nlines", "two lines"),
        (
            "Max retries exceeded with url: /videoplayback?expire=1&ip=192.0.2.7&sig=5EC2E7 (Caused by X)",
            "Max retries exceeded with url: /videoplayback (Caused by X)",
        ),
        (
            "got 'https://a.googlevideo.com/videoplayback/expire/1/ip/192.0.2.7/sig/5EC2E7/file/seg.ts'",
            "got 'https://a.googlevideo.com/videoplayback/...'",
        ),
        ("Unsupported URL: https://www.youtube.com/watch?v=abc", "Unsupported URL: https://www.youtube.com/watch?v=abc"),
    ],
)
def test_the_recorded_line_is_what_was_said(said: str, line: str):
    assert plain_line(said) == line
