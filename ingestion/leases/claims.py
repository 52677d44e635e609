"""Taking the next due video, within all limits, and keeping it by renewing its lease."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
from django.conf import settings
from django.db import connection, transaction

from ingestion import budget, schedule, turns
from ingestion.models import Attempt, Limits

LOCK_LIMITS = "SELECT FROM ingestion_limits WHERE id = 1 FOR UPDATE"
ASSETS_SHARE = 0.5
"""Of the hour's requests to YouTube. Once so many are used, assets of stored videos ask nothing while videos are due."""

LOOK_AT_LIMITS = f"""
SELECT l.*, EXISTS (SELECT FROM ingestion_downloadwindow) AS has_windows, {turns.IN_INDEX_ORDER},
       clock_timestamp() AS now, coalesce(b.refusals > 0, false) AS is_probing,
       coalesce(b.open_until > clock_timestamp() OR {budget.USED} >= {budget.PER_HOUR}
                OR (b.refusals > 0 AND b.probing_until > clock_timestamp()), false) AS may_not_ask,
       coalesce({budget.USED} >= {ASSETS_SHARE} * {budget.PER_HOUR}, false) AS is_scarce
FROM ingestion_limits l LEFT JOIN ingestion_budget b ON b.identity = %(identity)s
WHERE l.id = 1
"""

# The lines (ingestion.turns) that may be served at this moment, each with its room: how many more of its videos may run.
# A channel that had its turn is not served while another waits: what runs of it ends, and the other takes its place.
# A channel's own bound takes the place of the system's; a session's can only be narrower. Where more runs than a bound that
# was lowered lets run, nothing is begun.
OPEN_TURNS = """
running AS MATERIALIZED (SELECT channel_id, coalesce(session_id, 0) AS session FROM videos_video WHERE status = 'downloading'),
busy AS (SELECT channel_id, count(*) AS videos FROM running GROUP BY channel_id),
of_session AS (SELECT session, count(*) AS videos, count(DISTINCT channel_id) AS channels FROM running GROUP BY session),
of_line AS (SELECT channel_id, session, count(*) AS videos FROM running GROUP BY channel_id, session),
full_session AS (
    SELECT o.session FROM of_session o JOIN ingestion_downloadsession s ON s.id = o.session
    WHERE o.videos >= (s.options ->> 'max_concurrent')::numeric::int
       OR o.channels >= (s.options ->> 'max_concurrent_channels')::numeric::int
),
near AS (
    SELECT t.*, true AS is_active FROM ingestion_turn t
    WHERE t.has_due AND t.channel_id IN (SELECT channel_id FROM busy) AND NOT (
        t.began_at < %(now)s::timestamptz - %(turn)s AND EXISTS (
            SELECT FROM ingestion_turn o WHERE o.has_due AND o.priority >= t.priority
              AND o.channel_id NOT IN (SELECT channel_id FROM busy) AND o.session NOT IN (SELECT session FROM full_session)
        )
    )
    UNION ALL (
        SELECT t.*, false FROM ingestion_turn t
        WHERE t.has_due AND (SELECT count(*) FROM busy) < %(channels)s
          AND t.channel_id NOT IN (SELECT channel_id FROM busy) AND t.session NOT IN (SELECT session FROM full_session)
        ORDER BY t.priority DESC, t.served_at NULLS FIRST, t.channel_id, t.session LIMIT %(idle)s
    )
),
told AS (
    SELECT id, (options ->> 'max_concurrent')::numeric::int AS videos, (options ->> 'max_concurrent_channels')::numeric::int AS channels,
           (options ->> 'max_concurrent_per_channel')::numeric::int AS per_channel
    FROM ingestion_downloadsession WHERE state NOT IN ('paused', 'cancelled') AND id IN (SELECT session FROM near)
),
line AS (
    SELECT t.id, t.channel_id, t.session, t.priority, t.served_at, t.is_active,
           least(
               coalesce(c.max_concurrent_videos, %(per_channel)s) - coalesce(b.videos, 0),
               s.per_channel - coalesce(l.videos, 0)
           ) AS channel_room,
           s.videos - coalesce(o.videos, 0) AS session_room,
           s.channels - coalesce(o.channels, 0) + (l.videos IS NOT NULL)::int AS session_channels
    FROM near t JOIN people_channel c ON c.id = t.channel_id
    LEFT JOIN told s ON s.id = t.session
    LEFT JOIN busy b ON b.channel_id = t.channel_id
    LEFT JOIN of_session o ON o.session = t.session
    LEFT JOIN of_line l ON l.channel_id = t.channel_id AND l.session = t.session
    WHERE c.state <> 'paused' AND (t.session = 0 OR s.id IS NOT NULL)
      AND (SELECT count(*) FROM busy) - t.is_active::int < %(channels)s
),
open_turn AS (
    SELECT * FROM line WHERE channel_room > 0 AND coalesce(session_room, 1) > 0 AND coalesce(session_channels, 1) > 0
)
"""
ORDER = "priority DESC, is_active DESC, served_at NULLS FIRST, channel_id, session"
TURN = timedelta(minutes=10)
"""How long a channel is served while others wait, before it is their turn."""
MOST_IDLE = 64
"""Idle lines that are looked at, the first in order; those of paused channels and sessions have no `has_due` once the turns
are refreshed, which a claim that finds nothing sees to."""
DUE = f"{turns.LINE} AND v.next_attempt_at <= %(now)s"

# An attempt starts after this statement's look at what runs, never before: the record must not show more than was allowed
TAKE_ONE = f"""
WITH {OPEN_TURNS},
candidate AS (
    SELECT v.id, t.id AS turn_id, t.is_active FROM (SELECT * FROM open_turn ORDER BY {ORDER} OFFSET 0) t
    CROSS JOIN LATERAL (
        SELECT v.id FROM videos_video v WHERE v.channel_id = t.channel_id AND coalesce(v.session_id, 0) = t.session AND {DUE}
        ORDER BY v.priority DESC, v.next_attempt_at, v.id LIMIT 1
    ) v
    ORDER BY {ORDER} LIMIT 1
),
served AS (
    UPDATE ingestion_turn t SET served_at = %(now)s, began_at = CASE WHEN c.is_active THEN t.began_at ELSE %(now)s END
    FROM candidate c WHERE t.id = c.turn_id
),
locked AS (
    SELECT id, session_id, attempts FROM videos_video
    WHERE id = (SELECT id FROM candidate) AND status = 'pending' FOR UPDATE SKIP LOCKED
),
attempt AS (
    INSERT INTO ingestion_attempt (video_id, session_id, number, worker, started_at)
    SELECT id, session_id, attempts + 1, %(owner)s, clock_timestamp() FROM locked RETURNING id, video_id
)
UPDATE videos_video v SET status = 'downloading', claim_id = attempt.id, lease_owner = %(owner)s,
    lease_expires_at = clock_timestamp() + %(lease)s, attempts = v.attempts + 1
FROM attempt WHERE v.id = attempt.video_id
RETURNING v.id, attempt.id, v.session_id, v.attempts
"""

RENEW = """
UPDATE videos_video v SET lease_expires_at = clock_timestamp() + %(lease)s
FROM ingestion_attempt a WHERE a.id = %(attempt)s AND v.id = %(video)s AND v.claim_id = %(attempt)s
RETURNING a.stop
"""


@dataclass(frozen=True)
class Claim:
    """A video that is ours for the length of the lease. `attempts` counts this one."""

    video_id: int
    attempt_id: int
    session_id: int | None
    attempts: int


@dataclass(frozen=True)
class Room:
    """What may be begun at this moment, on all hosts. `is_closed`: nothing that asks YouTube; `hold` says why downloads
    must not begin though scans may. `is_probing`: YouTube had refused, and the next claim finds out whether it still does;
    nothing else is begun until it told, or PROBE is over. `is_scarce`: ASSETS_SHARE of the hour's requests is used."""

    now: datetime
    is_probing: bool
    is_closed: bool
    is_scarce: bool
    hold: schedule.Hold | None
    limits: Limits

    def spares_requests(self) -> bool:
        """Whether assets of stored videos may ask YouTube: what is left of a scarce hour is for videos that may begin."""
        return not self.is_scarce or bool(self.hold) or not turns.are_due()

    def parameters(self) -> dict[str, object]:
        """For OPEN_TURNS and DUE."""
        return {
            "now": self.now,
            "channels": self.limits.max_concurrent_channels,
            "per_channel": self.limits.max_concurrent_videos_per_channel,
            "idle": MOST_IDLE,
            "turn": TURN,
        }

    def note_claim(self) -> None:
        """Something that asks YouTube was claimed; inside the claim's transaction."""
        if self.is_probing:
            budget.note_probe()


def lease_length() -> timedelta:
    return timedelta(seconds=settings.LEASE_SECONDS)


def claim(owner: str) -> Claim | None:
    """Take the next due video within all limits, or None when there is none for now.

    None also comes back when the one candidate's row is locked by somebody's edit: the next wake-up finds it.
    """
    return _take(owner) or (_take(owner) if turns.refresh() else None)


def _take(owner: str) -> Claim | None:
    with transaction.atomic():
        room = lock_limits()
        if room.is_closed or room.hold:
            return None
        row, _ = _ask(TAKE_ONE, {**room.parameters(), "owner": owner, "lease": lease_length()})
        if row is None:
            return None
        room.note_claim()
    return Claim(*row)


def _ask(query: str, values: dict[str, object]) -> tuple[tuple | None, list[str]]:
    """The first row and the columns' names. The query is planned once for each connection: planning these takes longer
    than running them, and everybody waits for whoever holds the mutex."""
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(query, values, prepare=True)
        return cursor.fetchone(), [column.name for column in cursor.description or ()]


def lock_limits() -> Room:
    """Take the mutex of all claims until the transaction around ends; the next statement sees what others committed.

    Limits and clock are read once the lock is ours: the wait for it may have been long.
    """
    with connection.cursor() as cursor:
        cursor.execute(LOCK_LIMITS)
        if not cursor.rowcount:
            Limits.row()
            cursor.execute(LOCK_LIMITS)
    return look_at_limits()


def look_at_limits() -> Room:
    """The limits in force; without the mutex, for hints."""
    row, names = _ask(LOOK_AT_LIMITS, budget.environment())
    if row is None:
        Limits.row()
        return look_at_limits()
    told = dict(zip(names, row, strict=True))
    limits = Limits(**{field.attname: told[field.attname] for field in Limits._meta.concrete_fields})
    is_closed = limits.paused or told["may_not_ask"]
    may_be_held = not is_closed and (told["has_windows"] or limits.has_caps)
    hold = schedule.held_until(limits, told["now"]) if may_be_held else None
    return Room(told["now"], told["is_probing"], is_closed, told["is_scarce"], hold, limits)


def renew(claim: Claim) -> str | None:
    """Lengthen the lease; returns what staff told this attempt (`Attempt.Stop`), None when the claim is lost."""
    with connection.cursor() as cursor:
        cursor.execute(RENEW, {"lease": lease_length(), "video": claim.video_id, "attempt": claim.attempt_id})
        row = cursor.fetchone()
    return Attempt.Stop(row[0]) if row else None
