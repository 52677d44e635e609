"""How far a session is, in a constant number of queries."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Count, Min, Q
from django.db.models.functions import Now
from django.utils import timezone

from ingestion import budget
from ingestion.assets import next_due_at
from ingestion.models import Attempt, DownloadSession, Limits, Scan
from ingestion.schedule import Hold, held_until
from people.models import Channel
from videos import tallies
from videos.models import Asset, Video

SHOWN = 12

# Why work is held back: nobody may take it before staff say so, however long it waits
LIMITS_PAUSED, CHANNEL_PAUSED, VIDEO_PAUSED = "everything paused", "channel paused", "video paused"


@dataclass(frozen=True)
class Running:
    """A download under way; bytes_total is None until the formats are known."""

    video_id: int
    title: str
    bytes_done: int
    bytes_total: int | None


@dataclass
class Progress:
    """A session at one moment. `videos` counts its own by status, `kinds` by error those that are not stored; `already_stored`
    and `left_alone` (by kind) were known before and are not its work; `assets` counts, by status, what it asked for beside
    videos, and `assets_in_work` those that somebody has at this moment. `held_videos` and `held_scans` count, by reason, what
    staff hold back; they are waiting too. `next_scan_at`, `next_video_at` and `next_asset_at` are when the first of the others
    may be tried, None when there is none. `hold` says why no download may begin at this time of the day, `requests` what
    YouTube may be asked."""

    state: str
    state_reason: str
    scans: Counter = field(default_factory=Counter)
    videos: Counter = field(default_factory=Counter)
    bytes_stored: int = 0
    kinds: Counter = field(default_factory=Counter)
    already_stored: int = 0
    left_alone: Counter = field(default_factory=Counter)
    assets: Counter = field(default_factory=Counter)
    assets_in_work: int = 0
    running: list[Running] = field(default_factory=list)
    held_videos: Counter = field(default_factory=Counter)
    held_scans: Counter = field(default_factory=Counter)
    next_scan_at: datetime | None = None
    next_video_at: datetime | None = None
    next_asset_at: datetime | None = None
    hold: Hold | None = None
    requests: budget.State | None = None

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
        return not self.scans_open and not self.unfinished and not self.assets["pending"]

    @property
    def all_stored(self) -> bool:
        """Every video that was asked for is in the archive, and what YouTube has beside it."""
        asked = self.videos.total() == self.videos["stored"] and not self.left_alone.total()
        asked = asked and not self.assets["failed"] and not self.assets["pending"]
        return asked and not self.scans_open and not self.scans["failed"]

    @property
    def closed_until(self) -> datetime | None:
        """Until when YouTube must not be asked at all."""
        return self.requests and self.requests.closed_until

    @property
    def next_due_at(self) -> datetime | None:
        """When the first scan, download or work on assets may begin; None when staff hold back all that waits."""
        video = max(self.next_video_at, self.hold.until) if self.next_video_at and self.hold else self.next_video_at
        due = min(filter(None, (self.next_scan_at, video, self.next_asset_at)), default=None)
        return max(due, self.closed_until or due) if due else None

    def waits_beyond(self, moment: datetime) -> bool:
        """Whether nothing runs and nothing may be tried before `moment`."""
        if self.videos["downloading"] or self.scans["running"] or self.assets_in_work:
            return False
        return self.next_due_at is None or self.next_due_at > moment


def session_progress(session: DownloadSession) -> Progress:
    session.refresh_from_db(fields=["state", "state_reason"])
    progress = Progress(session.state, session.state_reason)
    limits = Limits.row()
    all_held = limits.paused
    _count_scans(session, progress, all_held=all_held)
    _count_videos(session, progress, all_held=all_held)
    _count_assets(session, progress, all_held=all_held)
    progress.running = _running(session)
    progress.hold = held_until(limits, timezone.now())
    progress.requests = budget.state(limits)
    return progress


def _count_scans(session: DownloadSession, progress: Progress, *, all_held: bool) -> None:
    """A scan whose worker went silent is not running: it waits to be taken up again."""
    now = timezone.now()
    fields = ("state", "already_stored", "left_alone", "next_attempt_at", "lease_expires_at", "channel__state")
    for state, stored, left, due_at, lease_expires_at, channel_state in session.scans.values_list(*fields):
        if state == Scan.State.RUNNING and lease_expires_at and lease_expires_at < now:
            state = Scan.State.PENDING
        progress.scans[state] += 1
        progress.already_stored += stored
        progress.left_alone.update(left)
        if state == Scan.State.PENDING:
            if reason := _held_back(channel_state, Video.Wanted.RUN, all_held=all_held):
                progress.held_scans[reason] += 1
            else:
                progress.next_scan_at = min(progress.next_scan_at or due_at, due_at)


def _count_videos(session: DownloadSession, progress: Progress, *, all_held: bool) -> None:
    """Only the pending ones are looked at; the rest is known as a sum."""
    tally = tallies.of_sessions([session.pk])[session.pk]
    progress.videos, progress.bytes_stored, progress.kinds = +tally.videos, tally.bytes, +tally.went_wrong
    if not progress.videos["pending"]:
        return
    rows = session.videos.filter(status=Video.Status.PENDING).order_by().values("wanted", "channel__state")
    for row in rows.annotate(count=Count("id"), due_at=Min("next_attempt_at")):
        if reason := _held_back(row["channel__state"], row["wanted"], all_held=all_held):
            progress.held_videos[reason] += row["count"]
        else:
            progress.next_video_at = min(progress.next_video_at or row["due_at"], row["due_at"])


def _count_assets(session: DownloadSession, progress: Progress, *, all_held: bool) -> None:
    """Those whose worker went silent are not in work: they wait to be taken up again."""
    progress.assets.update(dict(session.assets.order_by().values_list("status").annotate(count=Count("*"))))
    if not progress.assets[Asset.Status.PENDING]:
        return
    is_alive = Q(lease_expires_at__gte=Now())
    taken = session.assets.in_work().aggregate(alive=Count("id", filter=is_alive), due_at=Min("next_attempt_at"))
    progress.assets_in_work = taken["alive"]
    if not all_held:
        progress.next_asset_at = min(filter(None, (taken["due_at"], next_due_at(session.pk))), default=None)


def _held_back(channel_state: str, wanted: str, *, all_held: bool) -> str:
    """Why nobody may take the work for now, "" when somebody may; the same conditions as those of a claim."""
    if all_held:
        return LIMITS_PAUSED
    if channel_state == Channel.State.PAUSED:
        return CHANNEL_PAUSED
    return "" if wanted == Video.Wanted.RUN else VIDEO_PAUSED


def _running(session: DownloadSession) -> list[Running]:
    attempts = Attempt.objects.filter(session=session, outcome="", video__status=Video.Status.DOWNLOADING)
    rows = attempts.order_by("id").values_list("video_id", "video__title", "video__external_id", "live__bytes_done", "live__bytes_total")
    return [Running(video, title or name, done or 0, total) for video, title, name, done, total in rows[:SHOWN]]
