"""Wake-ups: telling workers that there is work. A message says nothing more, so one too many or too few harms nothing."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now
from django_q.brokers import get_broker
from django_q.tasks import async_task

from ingestion import budget, leases
from ingestion.models import Budget, DownloadSession, Limits, Scan
from people.models import Channel
from videos.models import Video

SCANS, DOWNLOADS = "control", "download"
TASKS = {SCANS: "ingestion.tasks.scan_due", DOWNLOADS: "ingestion.tasks.download_due"}
MOST_WAKE_UPS = 64

# What leases.TAKE_ONE would find if it were called again and again: the same conditions, without locks. Each channel is
# probed for as many rows as it has room for; of the channels where nothing runs, as many count as may be begun.
COUNT_DUE = """
WITH running AS MATERIALIZED (SELECT channel_id, session_id FROM videos_video WHERE status = 'downloading'),
busy AS (SELECT channel_id, count(*) AS videos FROM running GROUP BY channel_id),
at_work AS (SELECT session_id, count(*) AS videos FROM running GROUP BY session_id),
due AS MATERIALIZED (
    SELECT c.id AS channel_id, b.videos IS NULL AS is_idle, v.*
    FROM people_channel c LEFT JOIN busy b ON b.channel_id = c.id
    CROSS JOIN LATERAL (
        SELECT v.session_id, v.priority, v.next_attempt_at, (s.options ->> 'max_concurrent')::int - coalesce(a.videos, 0) AS room
        FROM videos_video v LEFT JOIN ingestion_downloadsession s ON s.id = v.session_id
        LEFT JOIN at_work a ON a.session_id = s.id
        WHERE v.channel_id = c.id AND v.status = 'pending' AND v.next_attempt_at <= statement_timestamp() AND v.wanted = 'run'
          AND (s.id IS NULL OR (s.state NOT IN ('paused', 'cancelled')
               AND coalesce((s.options ->> 'max_concurrent')::int > coalesce(a.videos, 0), true)))
        ORDER BY v.priority DESC, v.next_attempt_at, v.id
        LIMIT least(greatest(%(per_channel)s - coalesce(b.videos, 0), 0), %(most)s)
    ) v
    WHERE c.state <> 'paused' AND (b.videos IS NOT NULL OR (SELECT count(*) FROM busy) < %(channels)s)
),
begun AS (
    SELECT channel_id FROM due WHERE is_idle GROUP BY channel_id
    ORDER BY max(priority) DESC, min(next_attempt_at), channel_id LIMIT greatest(%(channels)s - (SELECT count(*) FROM busy), 0)
),
fitting AS (
    SELECT count(*) AS videos, min(room) AS room FROM due
    WHERE NOT is_idle OR channel_id IN (SELECT channel_id FROM begun) GROUP BY session_id
)
SELECT least(coalesce(sum(least(videos, room)), 0), %(most)s)::int FROM fitting
"""


def ring(queue: str, times: int = 1) -> None:
    """Send wake-ups to the workers of a queue; with the PostgreSQL broker they leave with the transaction around."""
    for _ in range(times):
        async_task(TASKS[queue], cluster=queue)


def tick() -> None:
    """What every supervisor does every few seconds: reap, finish sessions, wake up workers for what is due."""
    if Video.objects.abandoned().exists():
        leases.reap()
    finish_sessions()
    reopen_sessions()
    top_up(DOWNLOADS, due_videos())
    top_up(SCANS, due_scans())


def due_videos() -> int:
    """How many videos claims would give at this moment, MOST_WAKE_UPS at most; 0 when a claim would come back empty.

    A hint and no promise: it locks nothing, and says too few where a full session's videos stand before others.
    """
    room = _room()
    if room is None or (room.is_probing and _running_scans().exists()) or not _something_waits_in_an_open_session():
        return 0
    with connection.cursor() as cursor:
        cursor.execute(COUNT_DUE, {"channels": room.channels, "per_channel": room.videos_per_channel, "most": MOST_WAKE_UPS})
        return cursor.fetchone()[0]


def due_scans() -> int:
    """How many scans `claim_scan` would give at this moment, MOST_WAKE_UPS at most."""
    room = _room()
    if room is None:
        return 0
    if room.is_probing and (_live_scans().exists() or Video.objects.filter(status=Video.Status.DOWNLOADING).exists()):
        return 0
    return _claimable_scans()[: 1 if room.is_probing else MOST_WAKE_UPS].count()


def next_scan() -> tuple[int, datetime] | None:
    """The scan that is first in line and when it became due; as long as nobody takes one it stays the same."""
    return _claimable_scans().order_by("next_attempt_at", "id").values_list("pk", "next_attempt_at").first()


@dataclass(frozen=True)
class _Room:
    """The limits in force; see `leases.Room`, which holds the lock that this one does without."""

    is_probing: bool
    channels: int
    videos_per_channel: int


def _room() -> _Room | None:
    """None while nothing may be claimed at all."""
    limits = Limits.row()
    if limits.paused or budget.open_until():
        return None
    if Budget.objects.filter(identity=budget.identity(), refusals__gt=0).exists():
        return _Room(True, 1, 1)
    return _Room(False, limits.max_concurrent_channels, limits.max_concurrent_videos_per_channel)


def _something_waits_in_an_open_session() -> bool:
    """Cheap even where a paused session holds a million videos, each of which COUNT_DUE would have to pass over."""
    waiting = Video.objects.filter(status=Video.Status.PENDING)
    held = [DownloadSession.State.PAUSED, DownloadSession.State.CANCELLED]
    is_open = DownloadSession.objects.exclude(state__in=held).filter(Exists(waiting.filter(session=OuterRef("pk"))))
    return is_open.exists() or waiting.filter(session=None).exists()


def _running_scans() -> QuerySet[Scan]:
    return Scan.objects.filter(state=Scan.State.RUNNING)


def _live_scans() -> QuerySet[Scan]:
    return _running_scans().filter(lease_expires_at__gte=Now())


def _claimable_scans() -> QuerySet[Scan]:
    waiting = Scan.objects.filter(state=Scan.State.PENDING, next_attempt_at__lte=Now())
    abandoned = _running_scans().filter(lease_expires_at__lt=Now())
    held = {"session__state__in": ["paused", "cancelled"]}
    return (waiting | abandoned).exclude(**held).exclude(channel__state=Channel.State.PAUSED)


def top_up(queue: str, due: int) -> None:
    """Send as many wake-ups as work is due and not yet rung for. A broker is asked anew: it caches its size."""
    if due:
        ring(queue, max(due - get_broker(queue).queue_size(), 0))


def finish_sessions() -> int:
    """Close running sessions that have no scan and no video left to do. Returns how many."""
    scans = Scan.objects.filter(session=OuterRef("pk"), state__in=[Scan.State.PENDING, Scan.State.RUNNING])
    videos = Video.objects.unfinished().filter(session=OuterRef("pk"))
    running = DownloadSession.objects.filter(~Exists(scans), ~Exists(videos), state=DownloadSession.State.RUNNING)
    return running.update(state=DownloadSession.State.FINISHED, finished_at=Now())


def reopen_sessions() -> int:
    """Run finished sessions on whose videos staff want tried again. Returns how many."""
    videos = Video.objects.unfinished().filter(session=OuterRef("pk"))
    finished = DownloadSession.objects.filter(Exists(videos), state=DownloadSession.State.FINISHED)
    return finished.update(state=DownloadSession.State.RUNNING, finished_at=None)
