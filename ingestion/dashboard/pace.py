"""How fast videos are stored, and how long the rest will take: as honest as a guess can be."""

from dataclasses import dataclass

from videos.text import counted

LEAST_VIDEOS = 5
"""Fewer are no pace: nothing is guessed from them."""
MINUTE, HOUR, DAY, MONTH, YEAR = 60, 3600, 86_400, 30 * 86_400, 365 * 86_400
UNITS = ((2 * YEAR, YEAR, "year"), (2 * MONTH, MONTH, "month"), (2 * DAY, DAY, "day"), (2 * HOUR, HOUR, "hour"), (0, MINUTE, "minute"))


@dataclass(frozen=True)
class Pace:
    """What was stored in the last `seconds`, an hour at most."""

    videos: int
    bytes: int
    seconds: float

    @property
    def is_known(self) -> bool:
        return self.videos >= LEAST_VIDEOS

    @property
    def videos_per_hour(self) -> float:
        return self.videos / max(self.seconds, 1) * HOUR

    def in_words(self) -> str:
        if self.is_known:
            return f"about {counted(round(self.videos_per_hour), 'video')} an hour"
        return f"{counted(self.videos, 'video')} in the last hour" if self.videos else "none in the last hour"


def time_left(waiting: int, pace: Pace, *, is_held: bool, runs: bool) -> str:
    """Until `waiting` videos are stored, if it goes on as in the last hour. Where nothing runs, all that waits is held back, or
    waits for a later time."""
    if not waiting:
        return "nothing waits"
    if is_held or not runs:
        return "unknown while nothing is begun"
    if not pace.is_known:
        return "unknown: too few were stored in the last hour"
    return about(waiting / pace.videos_per_hour * HOUR)


def about(seconds: float) -> str:
    """`about 1 minute`, `about 3 hours`, `about 5 days`: in one unit, and never less than a minute."""
    _, unit, noun = next(row for row in UNITS if seconds >= row[0])
    return f"about {counted(max(round(seconds / unit), 1), noun)}"
