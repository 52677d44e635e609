"""How far a session is, in a constant number of queries."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Count, Min, Sum
from django.utils import timezone

from ingestion import budget
from ingestion.models import Attempt, DownloadSession, Scan
from videos.models import Video

SHOWN = 12


@dataclass(frozen=True)
class Running:
    """A download under way; bytes_total is None until the formats are known."""

    video_id: int
    title: str
    bytes_done: int
    bytes_total: int | None


@dataclass
class Progress:
    """A session at one moment. `videos` counts its own by status; `already_stored` and `left_alone` (by kind) were
    known before and are not its work; `next_due_at` is when the first waiting video or scan may be tried."""

    state: str
    state_reason: str
    scans: Counter = field(default_factory=Counter)
    videos: Counter = field(default_factory=Counter)
    bytes_stored: int = 0
    already_stored: int = 0
    left_alone: Counter = field(default_factory=Counter)
    running: list[Running] = field(default_factory=list)
    next_due_at: datetime | None = None
    refused_until: datetime | None = None
    refused_kind: str = ""

    @property
    def scans_open(self) -> int:
        return self.scans["pending"] + self.scans["running"]

    @property
    def unfinished(self) -> int:
        return self.videos["pending"] + self.videos["downloading"]

    @property
    def total(self) -> int:
        return self.videos.total()

    @property
    def is_over(self) -> bool:
        """Nothing is left to do."""
        return not self.scans_open and not self.unfinished

    @property
    def all_stored(self) -> bool:
        """Every video that was asked for is in the archive."""
        asked = self.videos.total() == self.videos["stored"] and not self.left_alone.total()
        return asked and not self.scans_open and not self.scans["failed"]

    def waits_beyond(self, moment: datetime) -> bool:
        """Whether nothing runs and nothing may be tried before `moment`."""
        if self.videos["downloading"] or self.scans["running"]:
            return False
        earliest = max((when for when in (self.next_due_at, self.refused_until) if when), default=timezone.now())
        return earliest > moment


def session_progress(session: DownloadSession) -> Progress:
    session.refresh_from_db(fields=["state", "state_reason"])
    progress = Progress(session.state, session.state_reason)
    _count_scans(session, progress)
    _count_videos(session, progress)
    progress.running = _running(session)
    if closed := budget.closed_until():
        progress.refused_until, progress.refused_kind = closed
    return progress


def _count_scans(session: DownloadSession, progress: Progress) -> None:
    for state, stored, left, due_at in session.scans.values_list("state", "already_stored", "left_alone", "next_attempt_at"):
        progress.scans[state] += 1
        progress.already_stored += stored
        progress.left_alone.update(left)
        if state == Scan.State.PENDING:
            progress.next_due_at = min(progress.next_due_at or due_at, due_at)


def _count_videos(session: DownloadSession, progress: Progress) -> None:
    rows = session.videos.order_by().values("status").annotate(count=Count("id"), size=Sum("file_size"), due_at=Min("next_attempt_at"))
    for row in rows:
        progress.videos[row["status"]] = row["count"]
        if row["status"] == Video.Status.STORED:
            progress.bytes_stored = row["size"] or 0
        if row["status"] == Video.Status.PENDING:
            progress.next_due_at = min(progress.next_due_at or row["due_at"], row["due_at"])


def _running(session: DownloadSession) -> list[Running]:
    attempts = Attempt.objects.filter(session=session, outcome="", video__status=Video.Status.DOWNLOADING)
    rows = attempts.order_by("id").values_list("video_id", "video__title", "video__external_id", "live__bytes_done", "live__bytes_total")
    return [Running(video, title or name, done or 0, total) for video, title, name, done, total in rows[:SHOWN]]
