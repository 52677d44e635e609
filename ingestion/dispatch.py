"""Wake-ups: telling workers that there is work. A message says nothing more, so one too many or too few harms nothing."""

from django.db.models import Exists, OuterRef
from django.db.models.functions import Now
from django_q.brokers import get_broker
from django_q.tasks import async_task

from ingestion import budget, leases
from ingestion.models import DownloadSession, Limits, Scan
from videos.models import Video

SCANS, DOWNLOADS = "control", "download"
TASKS = {SCANS: "ingestion.tasks.scan_due", DOWNLOADS: "ingestion.tasks.download_due"}
MOST_WAKE_UPS = 64


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
    """Videos that could be claimed now, as far as the limits leave room for them."""
    limits = Limits.row()
    if limits.paused or budget.closed_until():
        return 0
    running = Video.objects.filter(status=Video.Status.DOWNLOADING).count()
    room = limits.max_concurrent_channels * limits.max_concurrent_videos_per_channel - running
    claimable = Video.objects.due().exclude(channel__state="paused").exclude(session__state__in=["paused", "cancelled"])
    return claimable[: max(min(room, MOST_WAKE_UPS), 0)].count()


def due_scans() -> int:
    if budget.closed_until():
        return 0
    waiting = Scan.objects.filter(state=Scan.State.PENDING, next_attempt_at__lte=Now())
    abandoned = Scan.objects.filter(state=Scan.State.RUNNING, lease_expires_at__lt=Now())
    return (waiting | abandoned).exclude(session__state__in=["paused", "cancelled"])[:MOST_WAKE_UPS].count()


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
