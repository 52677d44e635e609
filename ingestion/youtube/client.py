"""yt-dlp's YoutubeDL with our budget in front of every request to YouTube, and one place where its failures are seen."""

import io
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from yt_dlp import YoutubeDL
from yt_dlp.networking.common import Response
from yt_dlp.networking.exceptions import HTTPError, RequestError

from ingestion.errors import ArchiveError, error
from ingestion.youtube import curl, offers, refusals

logger = logging.getLogger(__name__)

SITE_HOSTS = ("youtube.com", "youtube-nocookie.com", "youtubei.googleapis.com")
LONGEST_PAUSE_SECONDS = 10
LONGEST_ERROR_PAGE = 1 << 16


def no_budget() -> None:
    """Requests cost nothing."""


def is_site(url: str) -> bool:
    """Whether a request goes to YouTube itself, not to a host that serves media or pictures."""
    host = urlsplit(url).hostname or ""
    return any(host == site or host.endswith(f".{site}") for site in SITE_HOSTS)


def _pause(n: int) -> float:
    """Seconds before retry `n` of one request, counted from 0."""
    return min(2**n, LONGEST_PAUSE_SECONDS)


def _any_format(offer: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Satisfies yt-dlp's need to select something: `formats` chooses for us, from all that is offered."""
    yield from offer["formats"][-1:]


class _Log:
    """yt-dlp's chatter, for the debug log only: what matters is raised or collected."""

    def debug(self, message: str) -> None:
        logger.debug("%s", message)

    info = warning = error = debug


# A user of the settings may change these
DEFAULTS: Mapping[str, Any] = {
    "retries": 5,
    "fragment_retries": 10,
    "extractor_retries": 3,
    "file_access_retries": 3,
    "retry_sleep_functions": dict.fromkeys(("extractor", "http", "fragment", "file_access"), _pause),
    "socket_timeout": 30,
}

# Arguments of the extractors: a junk answer is an error, never a silent end of a listing; flat entries bring dates
EXTRACTOR_ARGS: Mapping[str, Mapping[str, list[str]]] = {
    "youtube": {"raise_incomplete_data": ["true"]},
    "youtubetab": {"approximate_date": [""]},
}

# Correctness rests on these: a user cannot change them
OURS: Mapping[str, Any] = {
    "allowed_extractors": ["youtube", "youtube:tab"],  # no address, however it came, reaches a site other than YouTube
    "color": {"stdout": "never", "stderr": "never"},  # no colour codes in the recorded lines
    "format": _any_format,
    "ignore_no_formats_error": True,  # else the time of a premiere is lost with the error
    "ignoreerrors": False,
    "logger": _Log(),
    "noplaylist": True,
    "noprogress": True,
    "playlist_items": "0",  # the channel's other tabs come as addresses, to be asked for when their turn comes
    "quiet": True,
    "skip_unavailable_fragments": False,  # a hole in the film is a failure
}


def full_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """yt-dlp's options: our defaults, the user's on top, ours that must hold above all; extractor_args are merged."""
    merged = {name: dict(values) for name, values in EXTRACTOR_ARGS.items()}
    for name, values in (options.get("extractor_args") or {}).items():
        merged.setdefault(name, {}).update(values)
    return {**DEFAULTS, **options, **OURS, "extractor_args": merged}


class Client(YoutubeDL):
    """One per process. Looks are taken by one thread at a time; `urlopen` of media may be called by several at once.

    `spend` is called before each request to YouTube; what it raises ends the look, even where yt-dlp would have
    swallowed it. The same holds for an answer that means "stop asking".
    """

    def __init__(self, options: Mapping[str, Any], *, spend: Callable[[], None] = no_budget, **own: Any):
        self._spend = spend
        self._missing, self._not_found = "unknown", 0
        self._stopped_by: BaseException | None = None
        self.warnings: deque[str] = deque(maxlen=50)
        self.feed_looped = False
        self.named: offers.Named | None = None
        try:
            super().__init__({**full_options(options), **own})
            self.add_info_extractor(offers.NotingIE())
            self._skip = list(self._youtube_args().get("skip", ()))
            _ = self._request_director  # made now, not by several threads at once; reads the cookies file
        except refusals.YTDLP_ERRORS as exc:
            raise error("misconfigured", f"yt-dlp's options: {refusals.raw_line(exc)}") from exc

    @contextmanager
    def look(self, *, missing: str = "unknown", media: bool = False) -> Iterator[None]:
        """Around one piece of work of yt-dlp: whatever it raises comes out as an ArchiveError.

        `missing` is the kind that HTTP 404 means here: the second one in a row is believed and ends the look.
        """
        self.warnings.clear()
        self._stopped_by, self._missing, self._not_found = None, missing, 0
        self.named = None
        try:
            yield
        except ArchiveError:
            raise
        except refusals.YTDLP_ERRORS as exc:
            raise self._stopped_by or refusals.error_from(exc, self.warnings, media=media, missing=missing) from exc
        if self._stopped_by:
            raise self._stopped_by

    def with_manifests(self, wanted: bool) -> None:
        """Whether HLS and DASH manifests are fetched too: a request more for each video, needed by few."""
        self._youtube_args()["skip"] = self._skip + ([] if wanted else ["hls", "dash"])

    def build_request_director(self, handlers: Iterable[Any], preferences: Iterable[Any] | None = None) -> Any:
        """yt-dlp's own, with libcurl for ranges in front."""
        return super().build_request_director([*handlers, curl.RangesRH], {*(preferences or ()), curl.preference})

    def urlopen(self, req: Any) -> Any:
        """Open a request of yt-dlp's; requests to YouTube are paid for, and a refusal of us ends everything."""
        is_paid = is_site(_url(req))
        if is_paid:
            self._pay()
        try:
            return super().urlopen(req)
        except HTTPError as exc:
            _settle(exc)
            if is_paid:
                self._judge(exc)
            raise

    def _pay(self) -> None:
        try:
            self._spend()
        except BaseException as exc:
            self._stopped_by = exc
            raise

    def _judge(self, exc: HTTPError) -> None:
        """Raise at once what no retry can mend."""
        stop = refusals.fleet_refusal(exc)
        if exc.status == 404 and self._missing != "unknown":
            self._not_found += 1
            stop = error(self._missing, refusals.raw_line(exc)) if self._not_found > 1 else None
        if stop:
            self._stopped_by = stop
            raise stop from exc

    def report_warning(self, message: Any, only_once: bool = False) -> None:
        """Kept for the classification of failures; yt-dlp's own remembers every line it ever said."""
        self.warnings.append(str(message))
        logger.debug("%s", message)

    def write_debug(self, message: str, only_once: bool = False) -> None:
        """The only sign that yt-dlp ended a listing because its pages repeat (_tab.py _entries)."""
        self.feed_looped = self.feed_looped or "feed looping" in message

    def save_cookies(self) -> None:
        """Never: the cookies file is shared by all workers, and may be read-only."""

    def _youtube_args(self) -> dict[str, Any]:
        return self.params["extractor_args"]["youtube"]


def _settle(exc: HTTPError) -> None:
    """Read the page of an error at once: its connection is free again, whoever forgets to close it."""
    answer = exc.response
    with suppress(RequestError):
        body = io.BytesIO(answer.read(LONGEST_ERROR_PAGE))
        exc.response = Response(body, url=answer.url, headers=answer.headers, status=answer.status, reason=answer.reason)
    answer.close()


def _url(req: Any) -> str:
    if isinstance(req, str):
        return req
    return getattr(req, "full_url", None) or req.url
