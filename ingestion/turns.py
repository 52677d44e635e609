"""Whose turn it is: which channels of which sessions have due videos, so that a claim need not look at all of them.

A line is what one channel owes one session. `ingestion.models.Turn` holds one row for each line; it is a hint, made
fresh by every tick and by a claim that found nothing, and any row of it may be stale at any time.
"""

from django.db import connection, transaction

from ingestion.models import Turn

LINE = "v.status = 'pending' AND v.wanted = 'run'"
"""The condition of the index video_by_turn, which all queries here and the claims read."""

# The index is walked from line to line, not from video to video
REFRESH = f"""
WITH RECURSIVE line AS (
    (SELECT v.channel_id, coalesce(v.session_id, 0) AS session FROM videos_video v WHERE {LINE}
     ORDER BY v.channel_id, coalesce(v.session_id, 0) LIMIT 1)
    UNION ALL
    SELECT next.channel_id, next.session FROM line l CROSS JOIN LATERAL (
        SELECT v.channel_id, coalesce(v.session_id, 0) AS session FROM videos_video v
        WHERE {LINE} AND (v.channel_id, coalesce(v.session_id, 0)) > (l.channel_id, l.session)
        ORDER BY v.channel_id, coalesce(v.session_id, 0) LIMIT 1
    ) next
),
gone AS (
    DELETE FROM ingestion_turn t WHERE NOT EXISTS (SELECT FROM line l WHERE l.channel_id = t.channel_id AND l.session = t.session)
)
INSERT INTO ingestion_turn AS t (channel_id, session, priority, has_due)
SELECT l.channel_id, l.session, coalesce(first.priority, 0), first.priority IS NOT NULL
FROM line l JOIN people_channel c ON c.id = l.channel_id LEFT JOIN ingestion_downloadsession s ON s.id = l.session
LEFT JOIN LATERAL (
    SELECT v.priority FROM videos_video v
    WHERE {LINE} AND v.channel_id = l.channel_id AND coalesce(v.session_id, 0) = l.session
      AND v.next_attempt_at <= statement_timestamp()
      AND c.state <> 'paused' AND coalesce(s.state NOT IN ('paused', 'cancelled'), true)
    ORDER BY v.priority DESC, v.next_attempt_at, v.id LIMIT 1
) first ON true
ON CONFLICT (channel_id, session) DO UPDATE SET priority = excluded.priority, has_due = excluded.has_due
WHERE (t.priority, t.has_due) IS DISTINCT FROM (excluded.priority, excluded.has_due)
"""

NOTE = """
INSERT INTO ingestion_turn AS t (channel_id, session) VALUES (%(channel)s, coalesce(%(session)s, 0))
ON CONFLICT (channel_id, session) DO UPDATE SET has_due = true WHERE NOT t.has_due
"""

# Each line must be read in the order of the index, whatever the statistics say of its channel: of 100,000 videos that wait
# one is wanted; and no plan that was made for a small table may be kept for a large one. For the transaction only. A plan
# that was forbidden much must not look so dear that it is compiled.
IN_INDEX_ORDER = ", ".join(
    f"set_config('{name}', '{value}', true) AS {name}"
    for name, value in (("enable_sort", "off"), ("enable_seqscan", "off"), ("jit", "off"), ("plan_cache_mode", "force_generic_plan"))
)

REFRESHING = 0x7475726E  # an advisory lock: one at a time is enough, on all hosts


def refresh() -> bool:
    """Make the turns anew from the videos; False, and nothing done, while somebody else does it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_try_advisory_xact_lock(%s), {IN_INDEX_ORDER}", [REFRESHING])
        if not cursor.fetchone()[0]:
            return False
        cursor.execute(REFRESH)
    return True


def are_due() -> bool:
    """Whether some video is due, as far as the turns know."""
    return Turn.objects.filter(has_due=True).exists()


def note(channel_id: int, session_id: int | None) -> None:
    """Videos of this channel and session became due; inside the transaction that made them so."""
    with connection.cursor() as cursor:
        cursor.execute(NOTE, {"channel": channel_id, "session": session_id})
