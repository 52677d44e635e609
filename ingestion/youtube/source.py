"""YouTube as the rest of the project sees it: list a channel, look at a video, read its bytes."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from ingestion.errors import DeferredError, error
from ingestion.extraction import Extraction, MediaFormat, Progress
from ingestion.options import QUALITIES, Choice
from ingestion.youtube import files, listing, media, offers, refusals
from ingestion.youtube.client import Client, no_budget
from ingestion.youtube.formats import choose, is_streamable, is_usable, media_format

DEFAULT_CHOICE = Choice()
LONGEST_ADVERTISEMENT_SECONDS = 60
SLEEP_SLICE_SECONDS = 0.5
CONCLUSIONS = ("No video formats found", "Requested format is not", "Extractor failed")
REASON = re.compile(r"\[youtube\] (?!\[|[\w-]{11}: )", re.ASCII)  # see raise_no_formats in yt-dlp's _video.py


class YouTube:
    """One per process, reused: a MediaSource that can also list and look.

    `options` are yt-dlp's, for its Python interface. Three calls may raise to stop the work, the first two may sleep:
    `spend()` comes before every request to YouTube itself (media hosts excepted), `pace(size)` after every read of media,
    in the thread that read, `check()` now and then in a longer wait. Listing and looking are for one thread at a time;
    `open_range` may be called by several. All else that is raised is an ArchiveError, or ValueError for a wrong argument.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        *,
        spend: Callable[[], None] = no_budget,
        pace: media.Pace = media.no_limit,
        check: Callable[[], None] = lambda: None,
    ):
        self._options, self._spend, self._pace, self._check = dict(options), spend, pace, check
        self._client = Client(self._options, spend=spend)
        self._manifests = False

    def list_channel(self, url: str, kind: str = "channel") -> listing.Listing:
        """The listing of a canonical address on www.youtube.com; nothing is asked before it is iterated."""
        return listing.list_channel(self._client, url, kind)

    def extract(self, external_id: str, choice: Choice = DEFAULT_CHOICE) -> Extraction:
        """One look at a video: what YouTube says of it, and the formats to take for this choice.

        Raises DeferredError for a video that is live or was not shown yet, `degraded` when YouTube names much better
        formats than it gives. Returns when the formats may be fetched: YouTube makes the visitor wait for the length of
        its advertisement.
        """
        if not listing.VIDEO_ID.fullmatch(external_id):
            raise ValueError(f"not the id of a video: {external_id!r}")
        if choice.quality not in QUALITIES:
            raise ValueError(f"not a quality: {choice.quality!r}")
        info = self._info(external_id, choice)
        chosen = choose(info.get("formats") or (), choice)
        if not chosen:
            raise error("no_formats", self._last_words("YouTube offered no format that can be used."))
        if said := self._shortfall(chosen, choice):
            raise error("degraded", f"{said} {self._last_words()}".rstrip())
        _wait_until_served(chosen, self._check)
        return _extraction(info, chosen)

    def describe(self, external_id: str) -> Extraction:
        """One look at a video without a choice of formats, for what is kept beside it; raises as `extract` does."""
        if not listing.VIDEO_ID.fullmatch(external_id):
            raise ValueError(f"not the id of a video: {external_id!r}")
        return _extraction(self._look(external_id), ())

    def fetch(self, url: str, *, largest: int) -> bytes | None:
        """A picture or captions; see `files.fetch`."""
        return files.fetch(self._client, url, largest=largest)

    def public_info(self, extraction: Extraction) -> dict[str, Any]:
        """What yt-dlp knows, fit to be shown to anybody; see `files.public_info`."""
        return files.public_info(extraction.info, extraction.offered)

    def open_range(self, media_format: MediaFormat, first: int, last: int) -> media.Range:
        """Ask for bytes first..last of a format, both included; see `media.open_range`."""
        return media.open_range(self._client, media_format, first, last, pace=self._pace)

    def download_to(self, extraction: Extraction, folder: Path, progress: Progress) -> Path:
        """Let yt-dlp's own downloader make one whole file in `folder`; see `media.download_to`."""
        return media.download_to(self._options, self._spend, extraction, folder, progress, pace=self._pace)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _info(self, external_id: str, choice: Choice) -> Mapping[str, Any]:
        """yt-dlp's info with all formats. Manifests are fetched only when the formats without them do not do, and from then
        on until a video does without."""
        info = self._look(external_id)
        if self._needs_manifests(info, choice) and not self._manifests:
            self._manifests = True
            info = self._look(external_id)
        self._manifests = self._needs_manifests(info, choice)
        return info

    def _needs_manifests(self, info: Mapping[str, Any], choice: Choice) -> bool:
        """Whether YouTube names much better formats than those that need none."""
        plain = [raw for raw in info.get("formats") or () if is_streamable(raw)]
        return not plain or bool(self._shortfall(choose(plain, choice), choice))

    def _shortfall(self, chosen: Sequence[Mapping[str, Any]], choice: Choice) -> str:
        return offers.shortfall(chosen, choice, self._client.named, self._client.warnings)

    def _look(self, external_id: str) -> Mapping[str, Any]:
        self._client.with_manifests(self._manifests)
        with self._client.look():
            url = f"{listing.SITE}/watch?v={external_id}"
            raw = self._client.extract_info(url, download=False, process=False, ie_key="Youtube") or {}
            if raw.get("_type", "video") != "video":  # a paid film answers with its trailer
                raise error("payment", "YouTube offers a trailer only.")
            is_shown = bool(raw.get("title"))
            info = self._client.process_ie_result(raw, download=False)
        self._raise_reason(info, is_shown=is_shown)
        return info

    def _raise_reason(self, info: Mapping[str, Any], *, is_shown: bool) -> None:
        """Raise what YouTube gives as the reason for offering nothing, or for offering it later.

        A video whose title is still shown is not gone, whatever the answer to the app that yt-dlp plays: videos made
        for kids are "unavailable" to some apps (yt-dlp issues 15780 and 17252).
        """
        state = info.get("live_status")
        offers_something = any(is_usable(raw) for raw in info.get("formats") or ())
        kind = None if offers_something else refusals.kind_of_wording(self._reasons())
        if kind == "removed" and is_shown:
            raise error("no_formats", self._last_words())
        if kind not in (None, "upcoming", "live_now", "no_formats"):
            raise error(kind, self._last_words())
        if state == "is_upcoming" or kind == "upcoming":
            raise DeferredError("upcoming", self._last_words(), not_before=_time(info.get("release_timestamp")))
        if state in ("is_live", "post_live"):
            raise DeferredError("live_now", "" if state == "is_live" else "It is over, and YouTube still prepares the recording.")
        if not kind and not offers_something and (said := self._unheard_of()):
            raise error("unknown", said)

    def _reasons(self) -> list[str]:
        """The warnings of this look, newest first, without yt-dlp's own conclusion that nothing was found."""
        said = [refusals.plain_line(line) for line in reversed(self._client.warnings)]
        return [line for line in said if not line.startswith(CONCLUSIONS)]

    def _unheard_of(self) -> str:
        """YouTube's reason in words that no row knows; "" where the last words are yt-dlp's own, which name the video."""
        said = next((line for line in reversed(self._client.warnings) if not line.startswith(CONCLUSIONS)), "")
        return refusals.plain_line(said) if REASON.match(said) else ""

    def _last_words(self, otherwise: str = "") -> str:
        return next(iter(self._reasons()), otherwise)


def _extraction(info: Mapping[str, Any], chosen: tuple[Mapping[str, Any], ...]) -> Extraction:
    return Extraction(
        external_id=info["id"],
        title=info.get("title") or "",
        description=info.get("description") or "",
        duration=info.get("duration"),
        upload_date=_date(info.get("upload_date")),
        view_count=info.get("view_count"),
        live_status=info.get("live_status") or "",
        availability=info.get("availability") or "",
        formats=tuple(media_format(raw) for raw in chosen),
        info={**info, "formats": list(chosen)},
        offered=tuple(info.get("formats") or ()),
    )


def _wait_until_served(chosen: tuple[Mapping[str, Any], ...], check: Callable[[], None]) -> None:
    served_at = max(raw.get("available_at") or 0 for raw in chosen)
    wait = min(served_at - time.time(), LONGEST_ADVERTISEMENT_SECONDS)
    while wait > 0:
        check()
        time.sleep(min(wait, SLEEP_SLICE_SECONDS))
        wait -= SLEEP_SLICE_SECONDS


def _date(compact: str | None) -> date | None:
    return date(int(compact[:4]), int(compact[4:6]), int(compact[6:8])) if compact else None


def _time(timestamp: float | None) -> datetime | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)
