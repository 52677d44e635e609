"""Pause, resume and cancel as verbs, for whatever `ingestion.steering` has a scope for."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, Model, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from ingestion import steering
from ingestion.models import DownloadSession, Scan
from ingestion.operations.verb import HOLD, VIDEOS, Asker, Check, Filter, Hold, Result, Verb, Work
from ingestion.steering import Channels, Scope, Sessions, Steered, Videos
from people.models import Channel
from videos.models import Asset, Video
from videos.querysets import VideoQuerySet

State, Status, Wanted = DownloadSession.State, Video.Status, Video.Wanted
OPEN_SCANS = (Scan.State.PENDING, Scan.State.RUNNING)
LATER = Q(next_attempt_at__gt=Now())

SCOPES: Mapping[type[Model], Callable[[QuerySet[Any]], Scope]] = {Video: Videos, Channel: Channels, DownloadSession: Sessions}


BATCH = 2000
"""Videos of a channel or session that are changed in one transaction: claims wait for no more than that."""


def _pause(*, now: bool) -> Work:
    def work(rows: QuerySet[Any], asker: Asker, check: Check) -> Result:
        scope = SCOPES[rows.model](rows)
        done = steering.pause(scope, now=now, reason=_by("Paused", asker))
        counts = Counter(changed=done.changed, stopped=done.stopped)
        return Result(counts if now or not done.changed else counts + running(scope))

    return work


def _cancel(*, now: bool) -> Work:
    def work(rows: QuerySet[Any], asker: Asker, check: Check) -> Result:
        scope, counts = SCOPES[rows.model](rows), Counter(changed=rows.count())
        if rows.model is not Video:
            pending = scope.videos().filter(status=Status.PENDING)
            counts["given_up_videos"] = in_batches(pending, lambda videos: videos.cancel(), check)
        done = steering.cancel(scope, now=now, reason=_by("Cancelled", asker))
        counts += Counter(stopped=done.stopped) + given_up(done)
        if rows.model is Video:
            del counts["given_up_videos"]
        return Result(counts if now else counts + running(scope))

    return work


def _resume(rows: QuerySet[Any], asker: Asker, check: Check) -> Result:
    scope, counts = SCOPES[rows.model](rows), Counter(changed=rows.count())
    if rows.model is DownloadSession:
        given_up = Video.objects.cancelled().filter(session__in=rows.filter(state=State.CANCELLED).values("pk"))
        in_batches(given_up, lambda videos: videos.retry(), check)
    done = steering.resume(scope)
    if rows.model is Video:
        return Result(Counter(changed=done.videos, woken_assets=done.assets))
    return Result(counts + Counter(woken_videos=done.videos, woken_assets=done.assets))


def _hold(*, now: bool) -> Hold:
    """Nothing more of a session is begun while it is being cancelled."""
    return lambda rows, asker: steering.pause(SCOPES[rows.model](rows), now=now, reason=_by("Being cancelled", asker))


def in_batches(rows: QuerySet[Any], change: Callable[[QuerySet[Any]], int], check: Check) -> int:
    """Change all rows of a filter that the change takes them out of. Returns how many."""
    changed = 0
    while pks := list(rows.order_by().values_list("pk", flat=True)[:BATCH]):
        check()
        changed += (step := change(rows.model._default_manager.filter(pk__in=pks)))
        if not step:  # somebody else was quicker
            break
    return changed


def _by(what: str, asker: Asker) -> str:
    return f"{what} by {asker}." if asker else f"{what}."


def given_up(done: Steered) -> Counter[str]:
    return Counter(given_up_videos=done.videos, given_up_scans=done.scans, given_up_assets=done.assets)


def running(scope: Scope) -> Counter[str]:
    """What runs of it, and may finish."""
    return Counter(
        running_downloads=scope.videos().filter(status=Status.DOWNLOADING).count(),
        running_scans=scope.scans().filter(state=Scan.State.RUNNING).count(),
        running_assets=steering.assets_in_work(scope),
    )


def _named(name: str, *, now: bool) -> dict[str, str]:
    button = name.capitalize()
    if now:
        return {"name": f"{name}_now", "button": f"{button} now", "hint": "stop running ones", "question": f"{button} {{rows}} at once?"}
    return {"name": name, "button": button, "hint": "let running ones finish", "question": f"{button} {{rows}}?"}


@dataclass(frozen=True)
class Steering:
    """How the five verbs of `steering` read for one model: the rows that each fits, and the reasons for those it does not."""

    pausable: Filter
    stoppable: Filter
    resumable: Filter
    cancellable: Filter
    not_paused: tuple[str, str]
    not_resumed: tuple[str, str]
    not_cancelled: tuple[str, str]
    gives_up: str
    comes_back: str
    resumed: str = "will go on"
    paused_columns: tuple[str, ...] = ("state",)
    resumed_columns: tuple[str, ...] = ()
    cancelled_columns: tuple[str, ...] = ()
    cancels: str = VIDEOS
    cancel_undo: str = ""
    in_steps: bool = False
    holds: bool = False

    def verbs(self) -> list[Verb]:
        return [*map(self._pause, (False, True)), self._resume(), *map(self._cancel, (False, True))]

    def _pause(self, now: bool) -> Verb:
        runs = "What runs is stopped within seconds, and begun again when it goes on." if now else "What runs may finish."
        return Verb(
            **_named("pause", now=now),
            warning=f"Nothing more of them is begun until somebody resumes it. {runs}",
            done="paused",
            left=self.not_paused,
            fits=self.stoppable if now else self.pausable,
            work=_pause(now=now),
            restored=self.paused_columns,
            steers=True,
        )

    def _resume(self) -> Verb:
        return Verb(
            "resume",
            "Resume",
            "go on at once",
            "Resume {rows}?",
            "What was held back goes on, and what waited for a later time is tried at once where it can be.",
            self.resumed,
            self.not_resumed,
            self.resumable,
            _resume,
            restored=self.resumed_columns,
            steers=True,
            in_steps=self.in_steps,
        )

    def _cancel(self, now: bool) -> Verb:
        runs = "What runs is stopped within seconds." if now else "What runs may finish."
        return Verb(
            **_named("cancel", now=now),
            warning=f"{self.gives_up} {self.comes_back} {runs}",
            done="cancelled",
            left=self.not_cancelled,
            fits=self.cancellable,
            work=_cancel(now=now),
            permission=self.cancels,
            restored=self.cancelled_columns,
            undo_words=self.cancel_undo,
            steers=True,
            is_grave=True,
            in_steps=self.in_steps,
            hold=_hold(now=now) if self.holds else None,
        )


WAITING_ASSETS = Asset.objects.filter(video=OuterRef("pk"), status=Asset.Status.PENDING)


def _resumable(videos: VideoQuerySet) -> QuerySet[Video]:
    """Held back themselves, or with something beside them that waits for later."""
    later = WAITING_ASSETS.filter(LATER)
    held = Q(pk__in=videos.waiting().order_by().values("pk"))
    return videos.filter(held | Q(status=Status.DOWNLOADING, wanted=Wanted.PAUSE) | Exists(later))


def _cancellable(videos: VideoQuerySet) -> QuerySet[Video]:
    going = Q(status__in=[Status.PENDING, Status.DOWNLOADING]) & ~Q(wanted=Wanted.CANCEL)
    return videos.filter(going | Exists(WAITING_ASSETS))


_videos, _scans = Video.objects.filter(channel=OuterRef("pk")), Scan.objects.filter(channel=OuterRef("pk"))
_open_scans = _scans.filter(state__in=OPEN_SCANS)
_assets = Asset.objects.filter(video__channel=OuterRef("pk"), status=Asset.Status.PENDING)
CHANNEL_RUNS = (
    Exists(_videos.filter(status=Status.DOWNLOADING)) | Exists(_scans.filter(state=Scan.State.RUNNING)) | Exists(_assets.in_work())
)
_pending = _videos.filter(status=Status.PENDING)
# each by the index that serves it: of those held back, of the order of claims, of assets that are due
CHANNEL_WAITS = (
    Exists(_pending.exclude(wanted=Wanted.RUN))
    | Exists(_pending.filter(LATER, wanted=Wanted.RUN))
    | Exists(_open_scans.filter(LATER))
    | Exists(_assets.filter(LATER, claim_id=None))
)
"""Something of it waits for later."""
CHANNEL_OWES = Exists(_videos.unfinished()) | Exists(_open_scans) | Exists(_assets)
"""Something of it is to be done."""
CHANNEL_IS_LISTED = Exists(_open_scans.exclude(session__state__in=[State.PAUSED, State.CANCELLED]))


def _sessions_that_wait(sessions: QuerySet[DownloadSession]) -> QuerySet[DownloadSession]:
    videos = Video.objects.filter(session=OuterRef("pk")).waiting()
    scans = Scan.objects.filter(session=OuterRef("pk"), state=Scan.State.PENDING).filter(LATER)
    assets = Asset.objects.filter(session=OuterRef("pk"), status=Asset.Status.PENDING).filter(LATER)
    waits = Q(state=State.RUNNING) & (Exists(videos) | Exists(scans) | Exists(assets))
    return sessions.filter(Q(state__in=[State.PAUSED, State.CANCELLED]) | waits)


STEERED_VIDEOS = Steering(
    pausable=lambda videos: videos.unfinished().filter(wanted=Wanted.RUN),
    stoppable=lambda videos: videos.unfinished().exclude(wanted=Wanted.CANCEL),
    resumable=_resumable,
    cancellable=_cancellable,
    not_paused=("it is paused or over already", "they are paused or over already"),
    not_resumed=("it was not held back itself; its session may be", "they were not held back themselves; their sessions may be"),
    not_cancelled=("it was over already", "they were over already"),
    gives_up="What is still to be downloaded is given up, with the assets that wait.",
    comes_back="A retry brings it back.",
    cancel_undo="It can be undone for a week, but for what runs at this moment and for the assets.",
    resumed="will go on at once",
    paused_columns=("wanted",),
    resumed_columns=("status", "wanted", "next_attempt_at"),
    cancelled_columns=("status", "wanted", "error_kind", "error_message"),
    cancels=HOLD,
)
STEERED_CHANNELS = Steering(
    pausable=lambda channels: channels.exclude(state=Channel.State.PAUSED),
    stoppable=lambda channels: channels.filter(~Q(state=Channel.State.PAUSED) | CHANNEL_RUNS),
    resumable=lambda channels: channels.filter(Q(state=Channel.State.PAUSED) | CHANNEL_WAITS),
    cancellable=lambda channels: channels.filter(CHANNEL_OWES),
    not_paused=("it is paused already", "they are paused already"),
    not_resumed=("it was not paused", "they were not paused"),
    not_cancelled=("nothing of it was to be done", "nothing of them was to be done"),
    gives_up="All that is still owed is given up and not downloaded: videos, scans and assets.",
    comes_back="A retry in the list of videos brings the videos back; to look for new ones lists the channel again.",
    in_steps=True,
)
STEERED_SESSIONS = Steering(
    pausable=lambda sessions: sessions.filter(state=State.RUNNING),
    stoppable=lambda sessions: sessions.filter(state__in=[State.RUNNING, State.PAUSED]),
    resumable=_sessions_that_wait,
    cancellable=lambda sessions: sessions.filter(state__in=[State.RUNNING, State.PAUSED]),
    not_paused=("it was not running", "they were not running"),
    not_resumed=("it was neither paused nor cancelled", "they were neither paused nor cancelled"),
    not_cancelled=("it was over already", "they were over already"),
    gives_up="All that is still owed is given up and not downloaded: videos, scans and assets.",
    comes_back="Resume brings all of it back.",
    in_steps=True,
    holds=True,
    paused_columns=("state", "state_reason"),
)
