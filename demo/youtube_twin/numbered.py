"""Channels of any size, and benchmark videos of any weight: nothing is stored, ids say it all."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from demo.youtube_twin.catalogue import NEWEST, Channel, Video

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
MEGABYTES_PER_SECOND = 0.62  # of heavy media; 100 MB last 161 s
OLDEST = timedelta(days=3650)


def to_base36(number: int) -> str:
    """Five characters; numbers up to 60 million."""
    digits = ""
    for _ in range(5):
        number, digit = divmod(number, 36)
        digits = DIGITS[digit] + digits
    return digits


@dataclass(frozen=True)
class NumberedVideos(Sequence[Video]):
    """The videos of a numbered channel, made when looked at. Id: letter, count, index, the latter two in base 36."""

    letter: str
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self.count))]
        if not 0 <= index < self.count:
            raise IndexError(index)
        tiny = self.letter == "t"
        return Video(
            id=self.letter + to_base36(self.count) + to_base36(index),
            title=f"Number {index + 1} of {self.count}",
            seconds=2 if tiny else (4, 7, 12)[index % 3],
            published=NEWEST - min(timedelta(hours=6), OLDEST / self.count) * (index + 1),
            views=1000 + index,
            description=f"Video {index + 1} of {self.count}",
            grade="tiny" if tiny else "plain",
        )


class NumberedChannels:
    """@big<N>: N ordinary videos. @tiny<N>: N videos of a few KB."""

    _letters = {"big": "b", "tiny": "t"}

    def channel(self, key: str) -> Channel | None:
        match = re.fullmatch(r"(big|tiny)([1-9]\d{0,6})", key)
        if not match:
            return None
        return Channel(key, f"Twin {key}", {"videos": NumberedVideos(self._letters[match[1]], int(match[2]))})

    def find(self, video_id: str) -> tuple[Channel, Video] | None:
        match = re.fullmatch(r"([bt])([0-9a-z]{5})([0-9a-z]{5})", video_id)
        if not match:
            return None
        count, index = int(match[2], 36), int(match[3], 36)
        channel = self.channel(("big" if match[1] == "b" else "tiny") + str(count))
        return (channel, channel.tabs["videos"][index]) if channel and index < count else None


class BenchVideos:
    """bench00100M: about 100 MB as video and audio. prog_00100M: the same as one progressive file. BIGFILE____ is bench00021M."""

    def channel(self, key: str) -> Channel | None:
        return Channel("bench", "Twin bench", {}) if key == "bench" else None

    def find(self, video_id: str) -> tuple[Channel, Video] | None:
        match = re.fullmatch(r"(bench|prog_)(\d{5})M", "bench00021M" if video_id == "BIGFILE____" else video_id)
        if not match or not int(match[2]):
            return None
        megabytes = int(match[2])
        video = Video(
            id=video_id,
            title=f"{megabytes} MB",
            seconds=max(2, round(megabytes / MEGABYTES_PER_SECOND)),
            published=NEWEST,
            views=megabytes,
            special="progressive" if match[1] == "prog_" else "",
            grade="heavy",
            megabytes=megabytes,
        )
        return Channel("bench", "Twin bench", {"videos": [video]}), video
