"""Why no download may begin at this moment, and until when; what a day has stored."""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from django.conf import settings
from django.db import connection

from ingestion.models import Limits
from ingestion.schedule.windows import day_ends, next_opening

OUTSIDE_WINDOW, VIDEOS_OF_THE_DAY, GIGABYTES_OF_THE_DAY = "outside_window", "videos_of_the_day", "gigabytes_of_the_day"

# What the day has stored and what is under way, which will be of this day too; an attempt announces its size once it knows it
SPENT = """
SELECT coalesce(d.videos, 0) + r.videos, coalesce(d.bytes, 0) + r.bytes
FROM (SELECT count(*) AS videos, coalesce(sum(greatest(p.bytes_total, p.bytes_done)), 0) AS bytes
      FROM videos_video v LEFT JOIN ingestion_liveprogress p ON p.attempt_id = v.claim_id WHERE v.status = 'downloading') r
LEFT JOIN ingestion_daytotal d ON d.day = %(day)s
"""

COUNT = """
INSERT INTO ingestion_daytotal AS d (day, videos, bytes)
SELECT (statement_timestamp() AT TIME ZONE coalesce(nullif(l.time_zone, ''), %(zone)s))::date, 1, %(size)s
FROM ingestion_limits l WHERE l.id = 1
ON CONFLICT (day) DO UPDATE SET videos = d.videos + 1, bytes = d.bytes + excluded.bytes
"""


@dataclass(frozen=True)
class Hold:
    """No download may begin before `until`, which staff read in `zone`. `bound` is the cap that is reached, if it is one."""

    reason: str
    until: datetime
    zone: tzinfo = UTC
    bound: float | None = None

    def in_words(self) -> str:
        until = f"{self.until.astimezone(self.zone):%a %d %b %H:%M} ({self.zone})"
        if self.reason == OUTSIDE_WINDOW:
            return f"Outside the download window until {until}."
        if self.reason == VIDEOS_OF_THE_DAY:
            spent = "1 video is" if self.bound == 1 else f"{self.bound:,} videos are"
        else:
            spent = f"{self.bound:,g} GB are"
        return f"Today's {spent} stored or under way; it goes on from {until}."


def held_until(limits: Limits, now: datetime) -> Hold | None:
    """What keeps downloads from beginning, None for nothing. One query; a second one inside the windows when a day has caps.

    Under the mutex of the claims no other download begins between this answer and the claim.
    """
    windows, zone = list(limits.windows.all()), limits.zone
    if opening := next_opening(windows, zone, now):
        return Hold(OUTSIDE_WINDOW, opening, zone)
    if limits.max_videos_per_day is None and limits.max_gigabytes_per_day is None:
        return None
    reason, bound = reached_cap(limits, *_spent(limits, now))
    if not reason:
        return None
    midnight = day_ends(zone, now)
    return Hold(reason, next_opening(windows, zone, midnight) or midnight, zone, bound)


def reached_cap(limits: Limits, videos: int, size: int) -> tuple[str, float | None]:
    """The cap that a day with so many videos and bytes has reached, and its bound; "" for none."""
    if limits.max_videos_per_day is not None and videos >= limits.max_videos_per_day:
        return VIDEOS_OF_THE_DAY, limits.max_videos_per_day
    if limits.bytes_per_day is not None and size >= limits.bytes_per_day:
        return GIGABYTES_OF_THE_DAY, limits.max_gigabytes_per_day
    return "", None


def count_stored(size: int) -> None:
    """Count a video of so many bytes to today's total; inside the transaction that marks it stored."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT, {"zone": settings.TIME_ZONE, "size": size})


def _spent(limits: Limits, now: datetime) -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(SPENT, {"day": now.astimezone(limits.zone).date()})
        return cursor.fetchone()
