"""What yt-dlp raises and what YouTube says, turned into our kinds of errors.

The HTTP status of the cause decides first, then the class of the exception, then the wording: of the error itself, then
of the warnings given on the way (newest first). yt-dlp's `expected` flag is never looked at. What no row knows is
`unknown`, which is tried again: a video is called gone on known words only.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from yt_dlp import utils
from yt_dlp.cookies import CookieLoadError
from yt_dlp.networking import exceptions as network

from ingestion.errors import ArchiveError, error
from ingestion.signatures import without_signatures

LONGEST_LINE = 1000

# Raised by yt-dlp's own code over an answer of unforeseen shape; it wraps only some of them itself
STUMBLES = (ArithmeticError, AssertionError, AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError)

YTDLP_ERRORS = (utils.YoutubeDLError, *STUMBLES)

# Statuses of hosts of youtube.com itself, and of those that serve media. Other statuses are judged by the wording.
SITE_STATUSES = {403: "forbidden", 429: "rate_limited"}
MEDIA_STATUSES = {403: "forbidden", 404: "forbidden", 410: "forbidden", 416: "incomplete", 429: "network"}

# Kind of each exception class, None where the wording (or a cause inside) must tell. Subclasses before their parents.
CLASSES: tuple[tuple[type[BaseException], str | None], ...] = (
    (network.CertificateVerifyError, "misconfigured"),
    (network.SSLError, "network"),
    (network.ProxyError, "network"),
    (network.IncompleteRead, "network"),
    (network.TransportError, "network"),
    (network.HTTPError, None),
    (network.NoSupportingHandlers, "misconfigured"),  # a proxy address that no handler understands, for one
    (network.UnsupportedRequest, "misconfigured"),
    (network.RequestError, "network"),
    (CookieLoadError, "misconfigured"),
    (utils.GeoRestrictedError, "geo_blocked"),
    (utils.UserNotLive, "upcoming"),
    (utils.UnsupportedError, "unknown"),
    (utils.RegexNotFoundError, "unknown"),
    (utils.ExtractorError, None),
    (utils.DownloadError, None),
    (utils.ContentTooShortError, "incomplete"),
    (utils.UnavailableVideoError, "media"),  # what the downloader makes of an OSError
    (utils.PostProcessingError, "media"),
    (utils.XAttrMetadataError, "media"),
    (utils.XAttrUnavailableError, "media"),
    (utils.SameFileError, "misconfigured"),
    (utils.UnsafeExecExpansionError, "misconfigured"),
    # Only options handed through could cause these
    (utils.ExistingVideoReached, "misconfigured"),
    (utils.RejectedVideoReached, "misconfigured"),
    (utils.MaxDownloadsReached, "misconfigured"),
    (utils.DownloadCancelled, "misconfigured"),
    (utils.EntryNotInPlaylist, "unknown"),
    (utils.ThrottledDownload, "network"),
    (utils.ReExtractInfo, "unknown"),
    (utils.LockingUnsupportedError, "misconfigured"),
    (utils.YoutubeDLError, None),
)


@dataclass(frozen=True)
class Wording:
    """One row: `pattern` is searched in the lower-case line with straight quotes; `source` is where the words come from."""

    pattern: str
    kind: str
    source: str


# Of the kernel. Looked for before the class of the exception: yt-dlp has one for every OSError of a download
NO_ROOM = r"no space left on device|disk quota exceeded"

# Order matters: YouTube joins a general sentence ("Video unavailable") and a precise one, so the precise ones come first.
WORDINGS = (
    # --- refusals of us, not of the video
    Wording(r"confirm you're not a bot", "bot_check", "YouTube, LOGIN_REQUIRED"),
    Wording(r"ip is likely being blocked", "bot_check", "_video.py _extract_player_responses: answers for another video"),
    Wording(r"captcha", "captcha", "_video.py _real_extract: errorScreen.playerCaptchaViewModel"),
    Wording(r"content isn't available, try again later", "session_limited", "YouTube, UNPLAYABLE"),
    Wording(r"has been rate-limited by youtube", "session_limited", "_video.py _real_extract, to the wording above"),
    Wording(r"too many requests", "rate_limited", "HTTP 429"),
    Wording(r"unusual traffic", "captcha", "google.com/sorry"),
    # --- channels and playlists
    Wording(r"account has been (terminated|suspended)", "terminated", "YouTube, alert of a channel page"),
    Wording(r"channel was removed because it violated", "terminated", "YouTube, alert of a channel page"),
    Wording(r"(channel|playlist|channel/playlist) does not exist", "channel_missing", "YouTube, alert; _tab.py _extract_data"),
    Wording(r"does the playlist exist\?", "channel_missing", "_tab.py _extract_tab_endpoint"),
    Wording(r"playlist type is unviewable", "channel_missing", "YouTube, alert of a playlist page"),
    Wording(r"playlist is private", "private", "YouTube, alert of a playlist page"),
    # --- videos
    Wording(r"private video|video is private", "private", "YouTube, LOGIN_REQUIRED"),
    Wording(r"account associated with this video has been terminated", "terminated", "YouTube, ERROR with a subreason"),
    Wording(r"has closed their youtube account", "terminated", "YouTube, ERROR with a subreason"),
    Wording(r"join this channel|available to this channel's members|members-only", "members_only", "YouTube, UNPLAYABLE"),
    Wording(r"confirm your age|inappropriate for some users|age-restricted", "age_restricted", "YouTube, LOGIN_REQUIRED"),
    Wording(r"(in|from) your (country|location|region)", "geo_blocked", "YouTube, UNPLAYABLE; also 'blocked it in your country'"),
    Wording(r"copyright", "copyright", "YouTube, ERROR: a claim, a strike, 'blocked it on copyright grounds'"),
    Wording(r"requires payment|must be purchased|available to rent|premium members|only available to .*premium", "payment", "YouTube"),
    Wording(
        r"premieres in|premiere will begin|live event will begin|live event has not started", "upcoming", "YouTube, LIVE_STREAM_OFFLINE"
    ),
    Wording(r"has been removed|removed by the uploader|removed for violating", "removed", "YouTube, ERROR with a subreason"),
    Wording(r"video (is no longer available|does not exist)|live stream recording is not available", "removed", "YouTube, ERROR"),
    # Said of videos that play elsewhere, too: never taken for gone
    Wording(r"this (content|video) (isn't|is not) available", "no_formats", "YouTube, ERROR; yt-dlp issues 14095 and 28613 of youtube-dl"),
    Wording(r"video (is )?unavailable", "removed", "YouTube, ERROR without a subreason"),
    # --- answers that are no answers
    Wording(r"incomplete (yt initial )?data received", "incomplete", "_base.py _extract_response; _tab.py _extract_webpage"),
    Wording(r"timed out|connection (reset|refused|aborted)|bytes read, \d+ more expected", "network", "networking/exceptions.py"),
    Wording(r"http error 5\d\d", "network", "_base.py _call_api, which gives up on one app with a warning"),
    Wording(r"ffmpeg (is )?not (found|installed)", "misconfigured", "postprocessor/ffmpeg.py; YoutubeDL.py process_info"),
    Wording(r"content too short", "incomplete", "YoutubeDL.py process_info"),
    Wording(r"fragment \d+ not found|fragment retries", "incomplete", "downloader/fragment.py"),
    Wording(r"postprocessing:", "media", "YoutubeDL.py process_info"),
    Wording(r"drm protected|no video formats|format is not available|failed to extract any player response", "no_formats", "yt-dlp"),
)


def error_from(exc: BaseException, warnings: Iterable[str] = (), *, media: bool = False, missing: str = "unknown") -> ArchiveError:
    """The ArchiveError for an exception of yt-dlp. `media`: it was reading media; `missing`: what HTTP 404 means else."""
    if isinstance(exc, ArchiveError):
        return exc
    causes = list(_causes(exc))
    line = raw_line(causes[0])
    for status, url in _statuses(causes, line):
        if kind := kind_of_status(status, media=media, missing=missing):
            return error("captcha" if kind == "rate_limited" and _is_sorry(url) else kind, line)
    full = "scratch_full" if re.search(NO_ROOM, line, re.IGNORECASE) else None
    kind = full or kind_of_class(causes) or kind_of_wording([line, *reversed(list(warnings))])
    return error(kind or "unknown", line)


def kind_of_status(status: int, *, media: bool, missing: str = "unknown") -> str | None:
    """The kind of an HTTP status, or None when it tells nothing."""
    if status >= 500:
        return "network"
    if media:
        return MEDIA_STATUSES.get(status, "network")
    return missing if status == 404 and missing != "unknown" else SITE_STATUSES.get(status)


def kind_of_class(causes: Iterable[BaseException]) -> str | None:
    """The kind of the innermost exception whose class tells one."""
    kinds = [next((kind for cls, kind in CLASSES if isinstance(cause, cls)), None) for cause in causes]
    return next((kind for kind in reversed(kinds) if kind), None)


def kind_of_wording(lines: Iterable[str]) -> str | None:
    """The kind of the first line that any row knows; None when none does."""
    for line in lines:
        plain = line.replace("\u2019", "'").replace("\xa0", " ").lower()
        if kind := next((row.kind for row in WORDINGS if re.search(row.pattern, plain)), None):
            return kind
    return None


def fleet_refusal(exc: network.HTTPError) -> ArchiveError | None:
    """The error that stops all hosts, when YouTube answered a request so; None for any other status."""
    return error_from(exc) if exc.status == 429 else None


def raw_line(exc: BaseException) -> str:
    """One line for the record of an exception; see `plain_line`."""
    said = str(getattr(exc, "orig_msg", None) or getattr(exc, "msg", None) or exc) or type(exc).__name__
    return plain_line(said if isinstance(exc, utils.YoutubeDLError) else f"{type(exc).__name__}: {said}")


def plain_line(said: str) -> str:
    """One line without yt-dlp's prefix, its advice to users of its command line, its bug notice and signed addresses."""
    said = re.sub(r"^(ERROR|WARNING):\s+", "", said.replace("\n", " "))
    said = re.sub(r"^\[[\w:]+\] (?:Got error: |[^\s:]+: )?", "", said)
    return without_signatures(re.sub(r"\.? Use --cookies.*|; please report this issue.*", "", said))[:LONGEST_LINE]


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """The exception and what it wraps, from the outside in; a DownloadError is only the parcel of what it carries."""
    inner = _wrapped(exc)
    if not (inner and isinstance(exc, utils.DownloadError)):
        yield exc
    if inner is not None:
        yield from _causes(inner)


def _wrapped(exc: BaseException) -> BaseException | None:
    if isinstance(exc, utils.DownloadError):
        carried = exc.exc_info[1] if exc.exc_info else None
        return carried if carried is not exc and carried is not None else exc.__context__
    cause = getattr(exc, "cause", None)
    return cause if isinstance(cause, BaseException) and cause is not exc else None


def _statuses(causes: Iterable[BaseException], line: str) -> Iterator[tuple[int, str]]:
    """HTTP statuses with their addresses; the downloader keeps only the text of its failures."""
    for cause in causes:
        if isinstance(cause, network.HTTPError):
            yield cause.status, cause.response.url or ""
    if match := re.search(r"HTTP Error (\d{3})", line):
        yield int(match[1]), ""


def _is_sorry(url: str) -> bool:
    """Google's page with a puzzle, which answers 429 as well."""
    return "/sorry/" in url
