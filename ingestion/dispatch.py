"""Wake-ups: telling workers that there is work. A message says nothing more, so one too many or too few harms nothing."""

import logging
from functools import partial

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now
from django_q.brokers import get_broker
from django_q.tasks import async_task

from ingestion import assets, chores, leases, orphans, schedule, turns
from ingestion.brokers import BrokerAway
from ingestion.leases.claims import DUE, OPEN_TURNS, ORDER, look_at_limits
from ingestion.models import DownloadSession, Limits, Operation, Scan
from people.models import Channel
from videos.models import Asset, Video

logger = logging.getLogger(__name__)

SCANS, DOWNLOADS = "control", "download"
TASKS = {SCANS: "ingestion.tasks.scan_due", DOWNLOADS: "ingestion.tasks.download_due"}
MOST_WAKE_UPS = 64

# What leases.claims.TAKE_ONE would find if it were called again and again, without locks: each line is probed for as many
# videos as it has room for; of the channels where nothing runs, as many count as may be begun.
COUNT_DUE = f"""
WITH {OPEN_TURNS},
probed AS (SELECT * FROM open_turn ORDER BY {ORDER} LIMIT %(most)s),
due AS MATERIALIZED (
    SELECT t.* FROM probed t CROSS JOIN LATERAL (
        SELECT FROM videos_video v WHERE v.channel_id = t.channel_id AND coalesce(v.session_id, 0) = t.session AND {DUE}
        ORDER BY v.priority DESC, v.next_attempt_at, v.id LIMIT least(t.channel_room, t.session_room, %(most)s)
    ) v
),
begun AS (
    SELECT channel_id FROM due WHERE NOT is_active GROUP BY channel_id
    ORDER BY max(priority) DESC, min(served_at) NULLS FIRST, channel_id
    LIMIT greatest(%(channels)s - (SELECT count(*) FROM busy), 0)
),
fitting AS (
    SELECT count(*) AS videos, min(session_room) AS room FROM due
    WHERE is_active OR channel_id IN (SELECT channel_id FROM begun) GROUP BY session
)
SELECT least(coalesce(sum(least(videos, room)), 0), %(most)s)::int FROM fitting
"""


def ring(queue: str, times: int = 1) -> None:
    """Send wake-ups to the workers of a queue, to arrive when the transaction around is committed, and not before.

    In PostgreSQL they are part of it. Another broker that is away stops nobody: the rows say what is due, and tick rings
    for it again.
    """
    if settings.BROKER == "postgres":
        send(queue, times)
    else:
        transaction.on_commit(partial(_send_if_possible, queue, times))


def send(queue: str, times: int = 1) -> None:
    """Send wake-ups now. Raises BrokerAway at the first that does not go."""
    broker = get_broker(queue)
    for _ in range(times):
        async_task(TASKS[queue], cluster=queue, broker=broker)


def _send_if_possible(queue: str, times: int) -> None:
    try:
        send(queue, times)
    except BrokerAway as exc:
        logger.warning("no wake-up could be sent to the queue %s: %s", queue, exc)


def tick() -> None:
    """What every supervisor does every few seconds: reap, finish sessions, start what the schedule says, wake up workers."""
    if Video.objects.abandoned().exists():
        leases.reap()
    if Asset.objects.abandoned().exists():
        assets.reap()
    finish_sessions()
    reopen_sessions()
    schedule.rescan_due(Limits.row())
    turns.refresh()
    top_up(DOWNLOADS, due_videos())
    top_up(SCANS, min(due_scans() + due_assets(), MOST_WAKE_UPS) or is_tidying_due())


def is_tidying_due() -> bool:
    """Whether there is anything for workers beside videos, scans and assets."""
    return Operation.objects.due().exists() or orphans.are_remembered() or chores.are_due()


def due_videos() -> int:
    """How many videos claims would give at this moment, by the turns as they stand; MOST_WAKE_UPS at most.

    A hint and no promise: it locks nothing, and looks at the first lines only.
    """
    room = look_at_limits()
    if room.is_closed or room.hold:
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT {turns.IN_INDEX_ORDER}")
        cursor.execute(COUNT_DUE, {**room.parameters(), "most": 1 if room.is_probing else MOST_WAKE_UPS})
        return cursor.fetchone()[0]


def due_scans() -> int:
    """How many scans `claim_scan` would give at this moment, MOST_WAKE_UPS at most."""
    room = look_at_limits()
    if room.is_closed:
        return 0
    return _claimable_scans()[: 1 if room.is_probing else MOST_WAKE_UPS].count()


def due_assets() -> int:
    """How many videos there are whose assets `claim_assets` would give at this moment, MOST_WAKE_UPS at most."""
    return assets.due_assets(MOST_WAKE_UPS)


def is_work_due() -> bool:
    """Whether there is something to claim, of any kind."""
    turns.refresh()
    return bool(due_videos() or due_scans() or due_assets())


def _claimable_scans() -> QuerySet[Scan]:
    waiting = Scan.objects.filter(state=Scan.State.PENDING, next_attempt_at__lte=Now())
    abandoned = Scan.objects.filter(state=Scan.State.RUNNING, lease_expires_at__lt=Now())
    held = {"session__state__in": ["paused", "cancelled"]}
    return (waiting | abandoned).exclude(**held).exclude(channel__state=Channel.State.PAUSED)


def top_up(queue: str, due: int) -> None:
    """Send as many wake-ups as work is due and not yet rung for; none while the broker is away."""
    if not due:
        return
    try:
        ring(queue, max(due - get_broker(queue).queue_size(), 0))
    except BrokerAway as exc:
        logger.warning("the queue %s could not be asked for its size: %s", queue, exc)


def finish_sessions() -> int:
    """Close running sessions that have no scan, no video and no asset left to do. Returns how many."""
    scans = Scan.objects.filter(session=OuterRef("pk"), state__in=[Scan.State.PENDING, Scan.State.RUNNING])
    videos = Video.objects.unfinished().filter(session=OuterRef("pk"))
    running = DownloadSession.objects.filter(~Exists(scans), ~Exists(videos), ~Exists(_owed_assets()), state=DownloadSession.State.RUNNING)
    return running.update(state=DownloadSession.State.FINISHED, finished_at=Now())


def reopen_sessions() -> int:
    """Run ended sessions on whose videos or assets staff want tried again. Returns how many."""
    videos = Video.objects.filter(session=OuterRef("pk"), status=Video.Status.PENDING)
    ended = DownloadSession.objects.filter(state__in=[DownloadSession.State.FINISHED, DownloadSession.State.CANCELLED])
    again = ended.filter(Exists(videos) | Exists(_owed_assets()))
    return again.update(state=DownloadSession.State.RUNNING, state_reason="", finished_at=None)


def _owed_assets() -> QuerySet[Asset]:
    """What a session still owes beside its videos."""
    return Asset.objects.filter(session=OuterRef("pk"), status=Asset.Status.PENDING)
