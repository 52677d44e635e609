"""Hours in which downloads may begin, by the clocks on the wall.

A window opens at the first moment at which the local clock shows its time, and closes at the first one at which it shows
the other. Where a clock is put forward over that time, the moment of the change counts; where it is put back, the first
of the two. So a window may last an hour more or less than its times say, or not open at all on the one night that skips it.
Moments come out in UTC: Python compares and subtracts two times of one zone by their clocks.
"""

from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
TWO_WEEKS = 14  # one more than a week: a window that the change of the clocks swallowed opens again a week later


class Window(Protocol):
    """As `ingestion.models.DownloadWindow`: weekdays (Monday is 0) and two local times; the same time twice is 24 hours."""

    days: Collection[int]
    opens_at: time
    closes_at: time


def next_opening(windows: Collection[Window], zone: ZoneInfo, now: datetime) -> datetime | None:
    """When the next window opens, in UTC; None while one is open, and always when there are none."""
    if not windows:
        return None
    today = now.astimezone(zone).date()
    spells = [spell for window in windows for spell in _spells(window, zone, today)]
    if any(opens <= now < closes for opens, closes in spells):
        return None
    return min(opens for opens, closes in spells if now < opens < closes)


def day_ends(zone: ZoneInfo, now: datetime) -> datetime:
    """The next local midnight, in UTC."""
    return _first_shown(now.astimezone(zone).date() + DAY, time(0), zone)


def _spells(window: Window, zone: ZoneInfo, today: date) -> Iterator[tuple[datetime, datetime]]:
    """From when to when it is open, for each of its days from yesterday on (which may reach into today)."""
    for day in (today + DAY * ahead for ahead in range(-1, TWO_WEEKS + 1)):
        if day.weekday() in window.days:
            last_day = day if window.opens_at < window.closes_at else day + DAY
            yield _first_shown(day, window.opens_at, zone), _first_shown(last_day, window.closes_at, zone)


def _first_shown(day: date, clock: time, zone: ZoneInfo) -> datetime:
    """The first moment at which a local clock shows this time of this day or a later one."""
    shown = datetime.combine(day, clock, zone)
    while not _exists(shown):
        shown = (shown + timedelta(minutes=1)).replace(second=0, microsecond=0)
    return shown.astimezone(UTC)


def _exists(shown: datetime) -> bool:
    """False for a time that the local clocks skip when they are put forward."""
    return shown.astimezone(UTC).astimezone(shown.tzinfo).replace(tzinfo=None) == shown.replace(tzinfo=None)
