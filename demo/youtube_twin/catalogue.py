"""Every channel, playlist and video there is; found by any spelling. Nothing here depends on the clock."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from demo.youtube_twin.specials import REFUSALS, SPECIAL_IDS, Refusal

NEWEST = datetime(2026, 8, 1, 12, tzinfo=UTC)
TABS = ("videos", "shorts", "streams")
DEMO_COUNTS = {"videos": 75, "shorts": 50, "streams": 5}


@dataclass(frozen=True)
class Video:
    """`special` is a key of REFUSALS or one of ODDITIES, empty for an ordinary video.

    `grade` says how heavy its media are: "plain", "tiny" (some KB) or "heavy" (as many MB as `megabytes`).
    """

    id: str
    title: str
    seconds: int
    published: datetime
    views: int
    description: str = ""
    special: str = ""
    grade: str = "plain"
    megabytes: int = 0

    @property
    def refusal(self) -> Refusal | None:
        return REFUSALS.get(self.special)


@dataclass(frozen=True)
class Channel:
    """`tabs` holds the videos of each tab it has, newest first. `closed`: "terminated", "age_gated" or empty."""

    key: str
    title: str
    tabs: Mapping[str, Sequence[Video]]
    description: str = "A channel of the twin"
    closed: str = ""

    @property
    def id(self) -> str:
        return channel_id(self.key)

    @property
    def handle(self) -> str:
        return f"@{self.key}"

    def videos(self) -> Iterator[Video]:
        for tab in self.tabs.values():
            yield from tab


@dataclass(frozen=True)
class Playlist:
    id: str
    title: str
    channel: Channel
    videos: Sequence[Video]


def channel_id(key: str) -> str:
    return "UC" + key.ljust(22, "_")[:22]


def key_of(name: str) -> str:
    """The key of a channel in any spelling: id, handle with or without @, /c/ or /user/ name; case and hyphens do not count."""
    if re.fullmatch(r"UC[\w-]{22}", name):
        name = name[2:].rstrip("_")
    return name.removeprefix("@").replace("-", "").lower()


class Family(Protocol):
    """Channels of which there are as many as somebody asks for."""

    def channel(self, key: str) -> Channel | None: ...

    def find(self, video_id: str) -> tuple[Channel, Video] | None: ...


class Catalogue:
    """Looks things up; every method answers None for what does not exist."""

    def __init__(self, channels: Sequence[Channel], families: Sequence[Family]):
        self.channels = {key_of(channel.key): channel for channel in channels}
        self._families = families
        self._videos = {video.id: (channel, video) for channel in channels for video in channel.videos()}

    def channel(self, name: str) -> Channel | None:
        key = key_of(name)
        return self.channels.get(key) or next((found for family in self._families if (found := family.channel(key))), None)

    def find(self, video_id: str) -> tuple[Channel, Video] | None:
        """The video and the channel that shows it."""
        if found := self._videos.get(video_id):
            return found
        return next((found for family in self._families if (found := family.find(video_id))), None)

    def playlist(self, playlist_id: str) -> Playlist | None:
        """PLtwin<N>xxxxx: all of @big<N>. UU<rest of a channel's id>: its uploads. PL<key>___: its owner's choice, every second video."""
        kind, rest = playlist_id[:2], playlist_id[2:]
        match = re.fullmatch(r"twin(\d+)x*", rest)
        channel = self.channel(f"big{match[1]}" if match else rest.rstrip("_"))
        if kind not in ("PL", "UU") or channel is None or channel.closed:
            return None
        videos = channel.tabs.get("videos", ())
        if kind == "UU" or match:
            return Playlist(playlist_id, f"Uploads from {channel.title}", channel, videos)
        return Playlist(playlist_id, f"Best of {channel.title}", channel, videos[::2])


def make_demo_channel() -> Channel:
    """@demo: one of each special video first, then ordinary ones, with titles that are awkward for files and shells."""
    specials = [_demo_video(video_id, 0, special=special) for video_id, special in SPECIAL_IDS.items()]
    tabs: dict[str, list[Video]] = {tab: specials if tab == "videos" else [] for tab in TABS}
    for tab, videos in tabs.items():
        letter = "h" if tab == "shorts" else tab[0]
        for index in range(len(videos), DEMO_COUNTS[tab]):
            videos.append(_demo_video(f"dem{letter}{index:07}", index, special="was_live" if tab == "streams" else ""))
    return Channel("demo", "Twin demo", tabs)


def _demo_video(video_id: str, index: int, *, special: str) -> Video:
    return Video(
        id=video_id,
        title=f'Video {video_id} \u2013 title & "quotes"',
        seconds=(4, 7, 12)[index % 3] if index else 7,
        published=NEWEST - timedelta(days=1 + index),
        views=1000 + index,
        description=f"Description of {video_id}\nline 2",
        special=special,
    )


def make_odd_channels() -> list[Channel]:
    shorts = [_demo_video(f"shoh{index:07}", index + 1, special="") for index in range(12)]
    return [
        Channel("empty", "Twin empty", {}),
        Channel("shortsonly", "Twin shorts only", {"shorts": shorts}),
        Channel("terminated", "Twin terminated", {}, closed="terminated"),
        Channel("agegated", "Twin age-gated", {}, closed="age_gated"),
    ]
