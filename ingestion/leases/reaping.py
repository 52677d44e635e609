"""Taking back what dead workers held."""

import logging
from collections.abc import Callable
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import Case, F, QuerySet, Value, When
from django.db.models.functions import Now

from ingestion.errors import error
from ingestion.leases.claims import LOCK_LIMITS
from ingestion.leases.endings import GIVEN_BACK, NO_LEASE, ended, pause_fail_fast
from ingestion.models import Attempt, Limits, LiveProgress, Scan
from videos.models import Asset, Video

logger = logging.getLogger(__name__)

MOST_LOSSES = 5
"""Workers that may die over a video, one after the other, before it is given up: hosts crash, but some videos kill."""
AT_ONCE = 500


def reap() -> int:
    """Take abandoned videos back: pending, their attempt given back, or failed after MOST_LOSSES. Returns how many."""
    lost = error("lost")
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(LOCK_LIMITS)
        abandoned = Video.objects.abandoned().select_for_update(skip_locked=True, of=["self"])
        found = list(abandoned.values_list("pk", "claim_id", "session_id", "losses")[:AT_ONCE])
        rows = {pk: claim_id for pk, claim_id, _, _ in found}
        Attempt.objects.filter(pk__in=rows.values(), outcome="").update(
            outcome=Attempt.Outcome.LOST, finished_at=Now(), error_kind=lost.kind, error_message=lost.message
        )
        LiveProgress.objects.filter(attempt_id__in=rows.values()).delete()
        videos = Video.objects.filter(pk__in=rows)
        videos.update(
            status=Case(When(losses__gte=MOST_LOSSES - 1, then=ended(Video.Status.FAILED)), default=Value(Video.Status.PENDING)),
            attempts=GIVEN_BACK,
            losses=F("losses") + 1,
            next_attempt_at=_later(Limits.row()),
            error_kind=lost.kind,
            error_message=lost.message,
            **NO_LEASE,
        )
        videos.filter(wanted=Video.Wanted.CANCEL).cancel()
        pause_fail_fast({session for _, _, session, losses in found if losses >= MOST_LOSSES - 1}, lost)
    if rows:
        logger.warning("%d videos came back from dead workers", len(rows), extra={"videos": list(rows)})
    return len(rows)


def _later(limits: Limits) -> Case:
    """Doubling with each loss: a host on which everything dies must not use up a video before others have seen it."""
    waits = [min(limits.backoff_base * 2**losses, limits.backoff_cap) for losses in range(MOST_LOSSES)]
    return Case(*(When(losses=losses, then=Now() + wait) for losses, wait in enumerate(waits)), default=Now() + waits[-1])


def expire(owner_prefix: str, is_alive: Callable[[int], bool]) -> int:
    """End at once the leases of our own processes that are dead, on videos, scans and assets, without waiting for the clock.

    `is_alive(pid)` answers for the processes of this host; `owner_prefix` must be this supervisor's alone. Returns how
    many ended.
    """
    videos = Video.objects.filter(status=Video.Status.DOWNLOADING, lease_owner__startswith=owner_prefix)
    scans = Scan.objects.filter(state=Scan.State.RUNNING, lease_owner__startswith=owner_prefix)
    assets = Asset.objects.in_work().filter(lease_owner__startswith=owner_prefix)
    return sum(_expire_dead(held, is_alive) for held in (videos, scans, assets))


def _expire_dead(held: QuerySet, is_alive: Callable[[int], bool]) -> int:
    """By claim, not by row: what a dead process held may be a living one's by now."""
    dead = [claim for claim, owner in held.values_list("claim_id", "lease_owner") if not is_alive(int(owner.rpartition(":")[2]))]
    return held.filter(claim_id__in=dead).update(lease_expires_at=Now() - timedelta(seconds=1)) if dead else 0
