"""Channels and playlists as a stream of entries: nothing is asked before it is needed, nothing is kept after it was given."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ingestion.errors import PermanentError, error
from ingestion.youtube.client import Client

SITE = "https://www.youtube.com"
TABS = ("videos", "shorts", "streams")
VIDEO_ID = re.compile(r"[\w-]{11}", re.ASCII)
CHANNEL_ID = re.compile(r"UC[\w-]{22}", re.ASCII)
MISSING = "channel_missing"
AGE_GATE = b"channelAgeGateRenderer"
MOST_POINTERS = 8  # answers that point to another page: a channel's other tabs, a regional redirect

_END = object()


@dataclass(frozen=True, slots=True)
class Entry:
    """One video as a listing shows it; blank or None where it does not tell.

    `upload_date` is always approximate ("3 years ago"), `view_count` rounded. `tab` is one of TABS, `playlist` or `video`.
    """

    external_id: str
    title: str = ""
    duration: float | None = None  # seconds
    upload_date: date | None = None
    view_count: int | None = None
    live_status: str = ""
    availability: str = ""  # `subscriber_only`: for paying members
    tab: str = "video"


class Listing:
    """One walk through a channel, a playlist or a single video; to be iterated once, in one thread.

    The attributes fill up with the first answer, so before the first entry is given; for a channel without entries,
    when the iteration is over. The same video in two tabs comes twice: ids are not remembered, so memory stays flat,
    and the database tells known ones anyway. Iterating raises ArchiveError, also half-way.
    """

    def __init__(self, walk: "Callable[[Listing], Iterator[Entry]]"):
        self.title = ""
        self.external_id = ""  # UC... or the playlist's id
        self.handle = ""  # with its @
        self.expected: int | None = None  # how many YouTube announces, where it does (playlists)
        self.complete = False  # the end was reached, of every tab
        self._walk = walk(self)
        self._left = False

    def __iter__(self) -> Iterator[Entry]:
        return self._walk

    def leave_tab(self) -> None:
        """Go on with the next tab: the rest of this one is known. The listing does not become complete."""
        self._left = True


def list_channel(client: Client, url: str, kind: str = "channel") -> Listing:
    """The listing of a canonical address on www.youtube.com; `kind` is channel, playlist or video.

    Asks nothing yet. Raises ValueError for an address elsewhere, or one that is not of that kind.
    """
    parts = urlsplit(url)
    if (parts.scheme, parts.netloc) != ("https", "www.youtube.com"):
        raise ValueError(f"not an address on {SITE}: {url}")
    if kind == "video":
        video_id = _video_id(parts.path, parts.query)
        return Listing(lambda listing: _single(listing, video_id))
    if kind == "playlist":
        playlist_id = _playlist_id(parts.path, parts.query)
        return Listing(lambda listing: _Walk(client, listing, kind).start(f"{SITE}/playlist?list={playlist_id}"))
    if kind != "channel":
        raise ValueError(f"neither channel, playlist nor video: {kind}")
    path = _channel_path(parts.path)
    return Listing(lambda listing: _Walk(client, listing, kind).start(f"{SITE}{path}"))


def _video_id(path: str, query: str) -> str:
    video_id = parse_qs(query).get("v", [""])[0] if path == "/watch" else path.rpartition("/")[2]
    if not VIDEO_ID.fullmatch(video_id):
        raise ValueError(f"not the address of a video: {path}")
    return video_id


def _playlist_id(path: str, query: str) -> str:
    playlist_id = parse_qs(query).get("list", [""])[0]
    if path != "/playlist" or not re.fullmatch(r"[\w-]+", playlist_id, re.ASCII):
        raise ValueError(f"not the address of a playlist: {path}")
    return playlist_id


def _channel_path(path: str) -> str:
    """The path without a tab: yt-dlp then tells of itself which tabs there are, with the answer for the first."""
    match = re.fullmatch(r"(/(?:(?:channel|c|user)/)?[^/?#]+)(?:/(?:featured|videos|shorts|streams|live))?/?", path)
    if not match:
        raise ValueError(f"not the address of a channel: {path}")
    return match[1]


def _single(listing: Listing, video_id: str) -> Iterator[Entry]:
    listing.external_id = video_id
    yield Entry(video_id)
    listing.complete = True


class _Walk:
    """From one answer to the next. A channel's first answer names its id, its tabs and the first videos: one request."""

    def __init__(self, client: Client, listing: Listing, kind: str):
        self._client, self._listing, self._kind = client, listing, kind
        self._pointers = self._given = 0
        self._cut_short = False

    def start(self, url: str) -> Iterator[Entry]:
        """All entries; raises ArchiveError."""
        self._client.feed_looped = False
        answer = self._ask(url, missing=MISSING)
        yield from self._answer(answer)
        if self._kind == "channel" and not self._given and not str(answer.get("id")).startswith("UU"):
            yield from self._uploads()
            if not self._given:
                self._raise_if_gated(url)
        self._listing.complete = not self._cut_short and not self._client.feed_looped

    def _uploads(self) -> Iterator[Entry]:
        """What a channel without tabs still shows: music channels made by YouTube, and those behind an age gate."""
        try:
            answer = self._ask(f"{SITE}/playlist?list=UU{self._listing.external_id[2:]}", missing=MISSING)
        except PermanentError as exc:
            if exc.kind != MISSING:
                raise
        else:
            yield from self._answer(answer)

    def _raise_if_gated(self, url: str) -> None:
        """yt-dlp shows a channel behind an age gate as an empty one: the page itself tells them apart."""
        with self._client.look(missing=MISSING), self._client.urlopen(url) as answer:
            if AGE_GATE in answer.read():
                raise error("age_restricted", "The channel is shown to signed-in adults only.")

    def _ask(self, url: str, *, missing: str = "unknown") -> Mapping[str, Any]:
        with self._client.look(missing=missing):
            answer = self._client.extract_info(url, download=False, process=False, ie_key="YoutubeTab") or {}
        self._learn(answer, url)
        return answer

    def _learn(self, answer: Mapping[str, Any], url: str) -> None:
        listing, own_id = self._listing, str(answer.get("id") or "")
        if self._kind == "playlist":
            listing.external_id = listing.external_id or own_id
            listing.title = listing.title or answer.get("title") or ""
        else:
            listing.external_id = listing.external_id or answer.get("channel_id") or _channel_id(own_id, url)
            listing.title = listing.title or answer.get("channel") or ""
        listing.handle = listing.handle or answer.get("uploader_id") or ""
        if listing.expected is None:
            listing.expected = answer.get("playlist_count")

    def _answer(self, answer: Mapping[str, Any]) -> Iterator[Entry]:
        """The entries of a tab, of several tabs, or of the page that an answer points to."""
        if answer.get("_type") in ("url", "url_transparent"):
            yield from self._follow(answer)
        elif isinstance(entries := answer.get("entries") or (), list):
            for part in entries:
                yield from self._answer(part)
        else:
            yield from self._tab(iter(entries), self._tab_name(answer))

    def _follow(self, answer: Mapping[str, Any]) -> Iterator[Entry]:
        url, video_id = str(answer.get("url")), str(answer.get("id") or "")
        if answer.get("ie_key") == "Youtube":
            if VIDEO_ID.fullmatch(video_id):
                yield Entry(video_id, tab="videos")
            return
        self._pointers += 1
        if url.startswith(f"{SITE}/") and self._pointers <= MOST_POINTERS:
            yield from self._answer(self._ask(url))

    def _tab(self, entries: Iterator[Any], name: str) -> Iterator[Entry]:
        self._listing._left = False
        while not self._listing._left:
            with self._client.look():
                raw = next(entries, _END)
            if raw is _END:
                return
            if entry := entry_of(raw, name):
                self._given += 1
                yield entry
        self._cut_short = True

    def _tab_name(self, answer: Mapping[str, Any]) -> str:
        if self._kind == "playlist":
            return "playlist"
        last = urlsplit(answer.get("webpage_url") or "").path.rpartition("/")[2]
        return last if last in TABS else "videos"


def entry_of(raw: Any, tab: str) -> Entry | None:
    """An Entry of yt-dlp's flat dict; None for what is no video: a gap, a playlist on a shelf, a channel."""
    if not isinstance(raw, dict) or raw.get("ie_key") != "Youtube" or not VIDEO_ID.fullmatch(raw.get("id") or ""):
        return None
    return Entry(
        external_id=raw["id"],
        title=raw.get("title") or "",
        duration=raw.get("duration"),
        upload_date=_day(raw.get("timestamp")),
        view_count=raw.get("view_count"),
        live_status=raw.get("live_status") or "",
        availability=raw.get("availability") or "",
        tab=tab,
    )


def _day(timestamp: float | None) -> date | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC).date()


def _channel_id(own_id: str, url: str) -> str:
    """The UC... id from the answer's own id (UU... is the playlist of a channel's uploads) or the address asked."""
    if own_id.startswith("UU"):
        own_id = f"UC{own_id[2:]}"
    found = CHANNEL_ID.search(own_id) or CHANNEL_ID.search(url)
    return found[0] if found else ""
