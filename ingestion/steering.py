"""Pause, resume and cancel: of everything, of sessions, of channels, of videos.

A scope says what is meant; `pause` and `cancel` let running downloads end (drain), or stop them at once (`now`): then
each worker hears it with its next heartbeat, within seconds, and gives its attempt back. Scans and assets in work are taken
from their workers, who hear it as soon. All of it stands in rows, so it
survives restarts, and all of it is done under the mutex of the claims, so no claim slips through.

    pause(Everything(), now=True)
    cancel(Sessions(DownloadSession.objects.filter(pk=3)))
    resume(Channels(Channel.objects.filter(title="Kitchen")))
"""

from dataclasses import dataclass
from typing import Protocol

from django.db import transaction
from django.db.models import Case, F, QuerySet, Value, When
from django.db.models.functions import Greatest, Now

from ingestion import dispatch, leases
from ingestion.assets import take_back
from ingestion.errors import KINDS, DeferredError
from ingestion.models import Attempt, DownloadSession, Limits, Scan
from people.models import Channel
from videos.models import Asset, Video
from videos.querysets import AssetQuerySet, VideoQuerySet

State = DownloadSession.State
CANCELLED = KINDS["cancelled"]
NOT_SOONER = [kind.slug for kind in KINDS.values() if issubclass(kind.type, DeferredError) and kind.slug != "storage_unreachable"]
"""What waits for a time that nobody can bring forward; a storage that was away is what staff mend."""


class Scope(Protocol):
    """What is to be steered. `hold`, `release` and `end` return how many rows they changed."""

    def settled(self) -> "Scope":
        """The same rows, whatever becomes of them: a choice may be a filter on what changes."""

    def videos(self) -> VideoQuerySet: ...

    def scans(self) -> QuerySet[Scan]: ...

    def assets(self) -> AssetQuerySet:
        """Those of its videos, the same ones whatever becomes of the videos afterwards."""

    def hold(self, reason: str) -> int:
        """Begin nothing more of it."""

    def release(self) -> int:
        """The opposite."""

    def end(self, reason: str) -> int:
        """Note that it is over; its videos, scans and assets are cancelled by the caller."""


@dataclass(frozen=True)
class Steered:
    """What was done: rows of the scope that changed, running downloads, scans and work on assets that were told to stop at
    once; videos, scans, and assets of stored videos, that were cancelled or go on."""

    changed: int
    stopped: int = 0
    videos: int = 0
    scans: int = 0
    assets: int = 0


@dataclass(frozen=True)
class Everything:
    """The whole system, on all hosts."""

    def settled(self) -> "Everything":
        return self

    def videos(self) -> VideoQuerySet:
        return Video.objects.all()

    def scans(self) -> QuerySet[Scan]:
        return Scan.objects.all()

    def assets(self) -> AssetQuerySet:
        return Asset.objects.all()

    def hold(self, reason: str) -> int:
        return Limits.objects.filter(paused=False).update(paused=True, paused_reason=reason)

    def release(self) -> int:
        return Limits.objects.filter(paused=True).update(paused=False, paused_reason="")

    def end(self, reason: str) -> int:
        return Sessions(DownloadSession.objects.all()).end(reason)


@dataclass(frozen=True)
class Sessions:
    chosen: QuerySet[DownloadSession]

    def settled(self) -> "Sessions":
        return Sessions(DownloadSession.objects.filter(pk__in=list(self.chosen.order_by().values_list("pk", flat=True))))

    def videos(self) -> VideoQuerySet:
        return Video.objects.filter(session__in=self.chosen.order_by().values("pk"))

    def scans(self) -> QuerySet[Scan]:
        return Scan.objects.filter(session__in=self.chosen.order_by().values("pk"))

    def assets(self) -> AssetQuerySet:
        return Asset.objects.filter(session__in=self.chosen.order_by().values("pk"))

    def hold(self, reason: str) -> int:
        return self.chosen.filter(state=State.RUNNING).update(state=State.PAUSED, state_reason=reason)

    def release(self) -> int:
        """A cancelled session gets back what was cancelled with it."""
        again = Sessions(self.chosen.filter(state=State.CANCELLED)).settled()
        _let_run(again)
        again.videos().cancelled().retry()
        again.scans().filter(state=Scan.State.FAILED, error_kind=CANCELLED.slug).update(**AFRESH)
        held = self.chosen.filter(state__in=[State.PAUSED, State.CANCELLED])
        released = held.update(state=State.RUNNING, state_reason="", finished_at=None)
        again.assets().filter(status=Asset.Status.FAILED, error_kind=CANCELLED.slug).retry()
        return released

    def end(self, reason: str) -> int:
        going = self.chosen.filter(state__in=[State.RUNNING, State.PAUSED])
        return going.update(state=State.CANCELLED, state_reason=reason, finished_at=Now())


@dataclass(frozen=True)
class Channels:
    chosen: QuerySet[Channel]

    def settled(self) -> "Channels":
        return Channels(Channel.objects.filter(pk__in=list(self.chosen.order_by().values_list("pk", flat=True))))

    def videos(self) -> VideoQuerySet:
        return Video.objects.filter(channel__in=self.chosen.order_by().values("pk"))

    def scans(self) -> QuerySet[Scan]:
        return Scan.objects.filter(channel__in=self.chosen.order_by().values("pk"))

    def assets(self) -> AssetQuerySet:
        return Asset.objects.filter(video__channel__in=self.chosen.order_by().values("pk"))

    def hold(self, reason: str) -> int:
        return self.chosen.exclude(state=Channel.State.PAUSED).update(state=Channel.State.PAUSED)

    def release(self) -> int:
        return self.chosen.filter(state=Channel.State.PAUSED).update(state=Channel.State.ACTIVE)

    def end(self, reason: str) -> int:
        """What a channel owes is cancelled; the channel itself stays as it is, for what it publishes later."""
        return self.chosen.count()


@dataclass(frozen=True)
class Videos:
    """There may be millions: they stay a filter, and each is changed by the first statement that fits it."""

    chosen: VideoQuerySet

    def settled(self) -> "Videos":
        return self

    def videos(self) -> VideoQuerySet:
        return self.chosen

    def scans(self) -> QuerySet[Scan]:
        return Scan.objects.none()

    def assets(self) -> AssetQuerySet:
        """Of those videos that lack some at this moment: they alone are remembered, by their ids."""
        owed = Asset.objects.filter(video__in=self.chosen.order_by().values("pk"), status=Asset.Status.PENDING)
        return Asset.objects.filter(video__in=list(owed.order_by().values_list("video", flat=True).distinct()))

    def hold(self, reason: str) -> int:
        return self.chosen.pause()

    def release(self) -> int:
        return 0  # `resume` makes the videos of every scope go on

    def end(self, reason: str) -> int:
        return 0


AFRESH = {
    "state": Scan.State.PENDING,
    "attempts": 0,
    "losses": 0,
    "next_attempt_at": Now(),
    "error_kind": "",
    "error_message": "",
    "finished_at": None,
}


def pause(scope: Scope, *, now: bool = False, reason: str = "") -> Steered:
    """Begin nothing more of it until `resume`; with `now`, stop what runs, which pays no attempt for it."""
    with transaction.atomic():
        leases.lock_limits()
        scope = scope.settled()
        stopped = _take_scans_back(scope) + _stop(scope, Attempt.Stop.PAUSE) if now else 0
        changed = scope.hold(reason)
        stopped += take_back(_held_assets(scope)) if now else 0
    return Steered(changed, stopped=stopped)


def resume(scope: Scope) -> Steered:
    """Go on: nothing of it is held back any more. What waited for a later attempt is due at once, unless everything is
    meant: that is resumed as it was."""
    with transaction.atomic():
        leases.lock_limits()
        scope = scope.settled()
        changed = scope.release()
        videos, scans, assets = (0, 0, 0) if isinstance(scope, Everything) else _wake(scope)
        dispatch.ring(dispatch.SCANS)
    return Steered(changed or videos or assets, videos=videos, scans=scans, assets=assets)


def assets_in_work(scope: Scope) -> int:
    """Of how many videos workers make assets at this moment that a pause of the scope holds back."""
    return _claims(_held_assets(scope))


def _claims(assets: AssetQuerySet) -> int:
    return assets.in_work().order_by().values("claim_id").distinct().count()


def _held_assets(scope: Scope) -> AssetQuerySet:
    """Those that nobody takes while the scope is paused: what a stored video lacks is held by its session, its channel, or
    everything, not by the video."""
    return Asset.objects.none() if isinstance(scope, Videos) else scope.assets()


def _wake(scope: Scope) -> tuple[int, int, int]:
    """What is not to be had before its time (a premiere) is let go on, but not asked for any sooner."""
    assets = scope.assets()
    deferred = scope.videos().filter(status=Video.Status.PENDING, error_kind__in=NOT_SOONER)
    waiting = scope.scans().filter(state=Scan.State.PENDING, next_attempt_at__gt=Now())
    let_go = deferred.filter(wanted=Video.Wanted.PAUSE).update(wanted=Video.Wanted.RUN)
    others = scope.videos().exclude(status=Video.Status.PENDING, error_kind__in=NOT_SOONER)
    owed = assets.filter(status=Asset.Status.PENDING, next_attempt_at__gt=Now()).exclude(error_kind__in=NOT_SOONER)
    return let_go + others.resume(), waiting.update(next_attempt_at=Now()), owed.update(next_attempt_at=Now())


def cancel(scope: Scope, *, now: bool = False, reason: str = "") -> Steered:
    """Give up what is not stored yet: its videos are skipped until a retry, its listings end, and so do the assets that its
    stored videos lack. With `now`, also what runs; else that ends by itself, and is not tried again should it fail."""
    with transaction.atomic():
        leases.lock_limits()
        scope = scope.settled()
        scans = _cancel_scans(scope)
        stopped = _stop(scope, Attempt.Stop.CANCEL) if now else 0
        assets = scope.assets()
        videos = scope.videos().cancel()
        changed = scope.end(reason)
        stopped += _claims(assets) if now else 0
        given_up = _give_up(assets)  # after the sessions: who asks for assets holds theirs until it is done
    return Steered(changed or videos or given_up, stopped=stopped, videos=videos, scans=scans, assets=given_up)


def _stop(scope: Scope, how: str) -> int:
    return Attempt.objects.filter(pk__in=_lock_running(scope)).update(stop=how)


def _let_run(scope: Scope) -> None:
    """What still runs of it, though it was cancelled, is not given up."""
    Attempt.objects.filter(pk__in=_lock_running(scope)).update(stop=Attempt.Stop.NONE)
    scope.videos().filter(status=Video.Status.DOWNLOADING, wanted=Video.Wanted.CANCEL).update(wanted=Video.Wanted.RUN)


def _lock_running(scope: Scope) -> list[int]:
    """The attempts under way, with their videos held: a worker that ends one locks the video first, too."""
    running = scope.videos().filter(status=Video.Status.DOWNLOADING).order_by("pk").select_for_update(of=("self",), no_key=True)
    return list(running.values_list("claim_id", flat=True))


def _take_scans_back(scope: Scope) -> int:
    """A scan that is taken away ends with its worker's next look at its lease."""
    running = scope.scans().filter(state=Scan.State.RUNNING)
    return running.update(state=Scan.State.PENDING, next_attempt_at=Now(), attempts=Greatest(F("attempts") - 1, 0), **leases.NO_LEASE)


def _give_up(assets: AssetQuerySet) -> int:
    """A worker that has one hears of it with its next look at its lease. One that was only to be made anew is still stored."""
    over = Case(When(storage_key__gt="", then=Value(Asset.Status.STORED)), default=Value(Asset.Status.FAILED))
    kind, words = (Case(When(storage_key__gt="", then=Value("")), default=Value(said)) for said in (CANCELLED.slug, CANCELLED.meaning))
    owed = assets.filter(status=Asset.Status.PENDING)
    return owed.update(status=over, error_kind=kind, error_message=words, **leases.NO_LEASE)


def _cancel_scans(scope: Scope) -> int:
    unfinished = scope.scans().filter(state__in=[Scan.State.PENDING, Scan.State.RUNNING])
    said = {"error_kind": CANCELLED.slug, "error_message": CANCELLED.meaning}
    return unfinished.update(state=Scan.State.FAILED, finished_at=Now(), **said, **leases.NO_LEASE)
