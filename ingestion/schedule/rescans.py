"""Looking at channels again, every so many hours, for what is new."""

import json
import logging
import time
from dataclasses import replace
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from ingestion.models import Attempt, DownloadSession, Limits, Scan
from ingestion.options import Options
from people.models import Channel
from videos.models import Video

logger = logging.getLogger(__name__)

SOURCE = "Re-scan by schedule"
MOST_CHANNELS = 500
MOST_FORGOTTEN = 100
FORGOTTEN_AFTER = timedelta(days=1)
LOOK_EVERY_SECONDS = 60
GOES_ON = [DownloadSession.State.RUNNING, DownloadSession.State.FINISHED]
SHARED_FOR = timedelta(hours=1)  # channels come due one after the other; a session for each would hide the others
LOOKING = 0x72657363  # an advisory lock: of many supervisors one is enough

# The first condition leaves out, without a look at their scans, the channels that were listed lately
DUE = """
SELECT c.id, past.options
FROM people_channel c
CROSS JOIN LATERAL (
    SELECT coalesce(max(n.finished_at), max(n.created_at)) AS ended_at,
           bool_or(n.state IN ('pending', 'running') AND s.state NOT IN ('paused', 'cancelled')) AS is_open,
           (array_agg(s.state ORDER BY s.id DESC))[1] AS newest_state,
           (array_agg(s.state ORDER BY s.id DESC) FILTER (WHERE NOT s.is_rescan))[1] AS asked_state,
           (array_agg(n.error_kind ORDER BY s.id DESC) FILTER (WHERE NOT s.is_rescan))[1] AS asked_error,
           (array_agg(s.options ORDER BY s.id DESC) FILTER (WHERE NOT s.is_rescan))[1] AS options
    FROM ingestion_scan n JOIN ingestion_downloadsession s ON s.id = n.session_id WHERE n.channel_id = c.id
) past
WHERE coalesce(c.last_scanned_at, '-infinity') <= statement_timestamp() - coalesce(c.rescan_every_hours, %(hours)s) * interval '1 hour'
  AND c.state = 'active' AND c.kind IN ('channel', 'playlist')
  AND past.ended_at <= statement_timestamp() - coalesce(c.rescan_every_hours, %(hours)s) * interval '1 hour'
  AND NOT past.is_open
  AND past.newest_state <> 'paused' AND past.asked_state <> 'paused'
  AND (c.last_scanned_at IS NOT NULL OR past.asked_error <> 'cancelled')
ORDER BY greatest(c.last_scanned_at, past.ended_at), c.id
LIMIT %(most)s
"""

_looked_at = -float("inf")


def rescan_due(limits: Limits) -> int:
    """Make scans of the channels that are due for another look, and clear away the old looks that found nothing. Returns
    how many channels; 0 while everything is paused.

    Looks once in LOOK_EVERY_SECONDS in each process, and on one host at a time; other calls cost nothing. Those that waited
    longest go first, and no more than MOST_CHANNELS re-scans are open at any time.

    A channel or playlist is due when all of this is so:
    - it is active, and an interval stands in its own row or in the limits;
    - staff once asked for it in a session; the newest such session is not paused, and neither is that of its newest scan.
      A cancelled one holds nothing: the schedule goes on at the next interval. Only a channel that was never listed, and
      whose newest scan that staff asked for was cancelled, waits until it is asked for again;
    - its last scan ended longer than the interval ago, whether it succeeded or failed: what fails is not tried faster;
    - no scan of it is open, except in sessions that are paused or cancelled.

    A re-scan has the options of that newest session, `limit` included, but asks for nothing stored or failed again. Channels
    with the same options that come due within an hour share one session.
    """
    global _looked_at
    if time.monotonic() < _looked_at + LOOK_EVERY_SECONDS:
        return 0
    with transaction.atomic():
        is_ours = _lock()
        _looked_at = time.monotonic()
        if not is_ours:
            return 0
        forget_empty_rescans()
        due = {} if limits.paused else _due(limits)
        for options, channels in due.items():
            _begin(options, channels)
    channels = sum(map(len, due.values()))
    if channels:
        logger.info("%d channels are looked at again", channels, extra={"channels": channels, "sessions": len(due)})
    return channels


def forget_empty_rescans() -> int:
    """Remove finished re-scans that are a day old and found nothing: no video, no attempt, no channel that failed.

    Returns how many; MOST_FORGOTTEN at most, the oldest first.
    """
    old = DownloadSession.objects.filter(
        ~Exists(Video.objects.filter(session=OuterRef("pk"))),
        ~Exists(Attempt.objects.filter(session=OuterRef("pk"))),
        ~Exists(Scan.objects.filter(session=OuterRef("pk"), state=Scan.State.FAILED)),
        is_rescan=True,
        state=DownloadSession.State.FINISHED,
        finished_at__lt=Now() - FORGOTTEN_AFTER,
    )
    empty = list(old.order_by("pk").values_list("pk", flat=True)[:MOST_FORGOTTEN])
    if empty:
        DownloadSession.objects.filter(pk__in=empty).delete()
    return len(empty)


def _lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOOKING])
        return cursor.fetchone()[0]


def _due(limits: Limits) -> dict[Options, list[int]]:
    """Channels by the options of their re-scan, each list in the order of `DUE`."""
    with connection.cursor() as cursor:
        cursor.execute(DUE, {"hours": limits.rescan_every_hours, "most": max(MOST_CHANNELS - _open_rescans(), 0)})
        rows = cursor.fetchall()
    due: dict[Options, list[int]] = {}
    for channel, raw in rows:
        options = replace(Options.of(json.loads(raw)), skip_existing=True, retry_failed=False)
        due.setdefault(options, []).append(channel)
    return due


def _open_rescans() -> int:
    """Those that staff do not hold back."""
    waiting = Scan.objects.filter(state__in=[Scan.State.PENDING, Scan.State.RUNNING], channel__state=Channel.State.ACTIVE)
    return waiting.filter(session__is_rescan=True, session__state__in=GOES_ON).count()


def _begin(options: Options, channels: list[int]) -> None:
    """Make the scans, in the newest session of their kind or in a new one."""
    told = {"source": SOURCE, "options": options.as_json(), "is_rescan": True}
    shared = DownloadSession.objects.filter(**told, state__in=GOES_ON, created_at__gt=Now() - SHARED_FOR)
    shared = shared.exclude(scans__channel__in=channels).order_by("-pk")
    session = shared.first() or DownloadSession.objects.create(**told)
    Scan.objects.bulk_create([Scan(session=session, channel_id=pk) for pk in channels])
    DownloadSession.objects.filter(pk=session.pk, state=DownloadSession.State.FINISHED).update(
        state=DownloadSession.State.RUNNING, finished_at=None
    )
