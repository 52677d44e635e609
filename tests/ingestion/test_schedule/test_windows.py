from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from ingestion.models import DownloadWindow
from ingestion.schedule import day_ends, next_opening

BERLIN = ZoneInfo("Europe/Berlin")
MON, TUE, WED, THU, FRI, SAT, SUN = range(7)
ALL = list(range(7))


def window(days: list[int], opens: str, closes: str) -> DownloadWindow:
    return DownloadWindow(days=days, opens_at=time.fromisoformat(opens), closes_at=time.fromisoformat(closes))


def utc(text: str) -> datetime:
    """Such as "2026-11-23 21:00"."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NIGHTS = [window(ALL, "22:00", "06:00")]
OFFICE = [window([MON, TUE, WED, THU, FRI], "09:00", "17:00")]
FRIDAY_NIGHT = [window([FRI], "22:00", "06:00")]
MONDAY = [window([MON], "00:00", "00:00")]

# In November Berlin is an hour ahead of UTC; the 23rd of November 2026 is a Monday
WINTER = [
    ("no windows", [], "2026-11-23 12:00", None),
    ("inside", OFFICE, "2026-11-23 12:00", None),
    ("at the opening", OFFICE, "2026-11-23 08:00", None),
    ("before the opening", OFFICE, "2026-11-23 07:59", "2026-11-23 08:00"),
    ("at the closing", OFFICE, "2026-11-23 16:00", "2026-11-24 08:00"),
    ("over the weekend", OFFICE, "2026-11-27 16:00", "2026-11-30 08:00"),
    ("nights before midnight", NIGHTS, "2026-11-23 22:00", None),
    ("nights after midnight", NIGHTS, "2026-11-24 03:00", None),
    ("nights by day", NIGHTS, "2026-11-23 12:00", "2026-11-23 21:00"),
    ("friday's night reaches into saturday", FRIDAY_NIGHT, "2026-11-28 04:59", None),
    ("friday's night ends", FRIDAY_NIGHT, "2026-11-28 05:00", "2026-12-04 21:00"),
    ("no thursday's night reaches into friday", FRIDAY_NIGHT, "2026-11-27 03:00", "2026-11-27 21:00"),
    ("24 hours begin", MONDAY, "2026-11-22 23:00", None),
    ("24 hours end", MONDAY, "2026-11-23 23:00", "2026-11-29 23:00"),
    ("24 hours every day", [window(ALL, "00:00", "00:00")], "2026-11-23 23:00", None),
    ("24 hours from noon", [window([SUN], "12:00", "12:00")], "2026-11-23 10:59", None),
    ("the earlier of two", [*OFFICE, window([MON], "06:00", "07:00")], "2026-11-23 04:00", "2026-11-23 05:00"),
    ("one of two is open", [*OFFICE, *NIGHTS], "2026-11-23 22:00", None),
    ("two that touch", [window([MON], "08:00", "10:00"), window([MON], "10:00", "12:00")], "2026-11-23 09:00", None),
]

# On 2026-03-29 clocks go from 02:00 to 03:00 at 01:00 UTC
MARCH = [
    ("the closing is an hour earlier in UTC", NIGHTS, "2026-03-29 04:00", "2026-03-29 20:00"),
    ("the evening before still has winter time", NIGHTS, "2026-03-28 20:59", "2026-03-28 21:00"),
    ("an opening that is skipped is at the change", [window([SUN], "02:30", "05:00")], "2026-03-29 00:59", "2026-03-29 01:00"),
    ("it is open from the change on", [window([SUN], "02:30", "05:00")], "2026-03-29 01:00", None),
    ("a closing that is skipped is at the change", [window([SUN], "00:00", "02:30")], "2026-03-29 00:59", None),
    ("it is closed from the change on", [window([SUN], "00:00", "02:30")], "2026-03-29 01:00", "2026-04-04 22:00"),
    ("a window that is skipped opens a week later", [window([SUN], "02:00", "03:00")], "2026-03-28 12:00", "2026-04-05 00:00"),
    ("24 hours that are 23 end at their time", [window([SAT], "12:00", "12:00")], "2026-03-29 10:00", "2026-04-04 10:00"),
]

# On 2026-10-25 clocks go from 03:00 back to 02:00 at 01:00 UTC
OCTOBER = [
    ("it opens in the first of the two hours", [window([SUN], "02:30", "05:00")], "2026-10-25 00:29", "2026-10-25 00:30"),
    ("and does not close in the second", [window([SUN], "02:30", "05:00")], "2026-10-25 01:10", None),
    ("it closes in the first of the two hours", [window([SUN], "00:00", "02:30")], "2026-10-25 00:29", None),
    ("and does not open in the second", [window([SUN], "00:00", "02:30")], "2026-10-25 01:10", "2026-10-31 23:00"),
    ("a window over both lasts an hour longer", [window([SUN], "01:00", "04:00")], "2026-10-25 02:59", None),
    ("and ends at its time", [window([SUN], "01:00", "04:00")], "2026-10-25 03:00", "2026-11-01 00:00"),
    ("one within the hour opens once", [window([SUN], "02:00", "03:00")], "2026-10-25 00:00", None),
    ("24 hours that are 25 are all open", [window([SUN], "00:00", "00:00")], "2026-10-25 22:59", None),
]


def cases(*tables):
    return [pytest.param(*case, id=name) for table in tables for name, *case in table]


@pytest.mark.parametrize(("windows", "now", "opening"), cases(WINTER, MARCH, OCTOBER))
def test_the_next_opening_is_by_the_clocks_of_the_place(windows, now, opening):
    assert next_opening(windows, BERLIN, utc(now)) == (utc(opening) if opening else None)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Cairo"])
@pytest.mark.parametrize("windows", [NIGHTS, OFFICE, [window([SUN], "02:30", "02:45")]], ids=["nights", "office", "a quarter of an hour"])
def test_a_window_is_open_at_its_opening_and_not_just_before_all_year_round(zone, windows):
    now = utc("2026-01-01 00:00")
    while now < utc("2027-01-01 00:00"):
        opening = next_opening(windows, ZoneInfo(zone), now)
        if opening:
            assert next_opening(windows, ZoneInfo(zone), opening) is None
            assert next_opening(windows, ZoneInfo(zone), opening - timedelta(seconds=1)) == opening
        now += timedelta(hours=7)


@pytest.mark.parametrize(
    ("zone", "now", "end"),
    [
        pytest.param("UTC", "2026-11-23 12:00", "2026-11-24 00:00", id="utc"),
        pytest.param("Europe/Berlin", "2026-11-23 22:59", "2026-11-23 23:00", id="just before"),
        pytest.param("Europe/Berlin", "2026-11-23 23:00", "2026-11-24 23:00", id="at midnight the next one"),
        pytest.param("Europe/Berlin", "2026-03-29 00:00", "2026-03-29 22:00", id="a day of 23 hours"),
        pytest.param("Europe/Berlin", "2026-10-24 22:00", "2026-10-25 23:00", id="a day of 25 hours"),
        pytest.param("Africa/Cairo", "2026-04-23 12:00", "2026-04-23 22:00", id="midnight itself is skipped"),
        pytest.param("Asia/Tokyo", "2026-12-31 16:00", "2027-01-01 15:00", id="a year ahead"),
    ],
)
def test_a_day_ends_at_local_midnight(zone, now, end):
    assert day_ends(ZoneInfo(zone), utc(now)) == utc(end)


def test_days_follow_each_other_without_a_gap():
    ends = [utc("2026-01-01 00:00")]
    while ends[-1] < utc("2027-01-01 00:00"):
        ends.append(day_ends(BERLIN, ends[-1]))
    assert {end - start for start, end in pairwise(ends[1:])} == {timedelta(hours=hours) for hours in (23, 24, 25)}
