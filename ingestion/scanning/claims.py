"""Who holds which scan, and until when; what a scan's end leads to."""

import logging
from typing import Any
from uuid import uuid4

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Greatest, Now
from django.utils import timezone

from ingestion import budget
from ingestion.errors import ArchiveError, SetupError, error
from ingestion.leases import MOST_LOSSES, NO_LEASE, attempts_allowed, lease_length, lock_limits, pause_fail_fast, pause_sessions
from ingestion.models import Limits, Scan
from ingestion.retries import next_attempt, spends_attempt
from people.models import Channel
from videos.text import storable

logger = logging.getLogger(__name__)


def lock_scan(scan: Scan) -> None:
    """Hold the scan's row until the transaction around ends: before its videos, as everybody does. Raises ScanLost."""
    if not Scan.objects.filter(pk=scan.pk, claim_id=scan.claim_id).select_for_update().values_list("pk").first():
        raise ScanLost


class ScanLost(Exception):
    """The scan's lease went to somebody else: stop and write nothing."""


def renew_scan(scan: Scan) -> str | None:
    """Lengthen the scan's lease; None when it is somebody else's, or staff took it away (`steering`)."""
    ours = Scan.objects.filter(pk=scan.pk, claim_id=scan.claim_id)
    return "" if ours.update(lease_expires_at=Now() + lease_length()) else None


def claim_scan(owner: str) -> Scan | None:
    """Take the next scan that is due, or whose worker went silent; None when there is none or YouTube must not be asked.

    While YouTube had refused, one scan or download at a time finds out whether it answers again.
    """
    with transaction.atomic():
        room = lock_limits()
        if room.is_closed:
            return None
        _give_up_abandoned()
        waits = Q(state=Scan.State.PENDING, next_attempt_at__lte=Now())
        scan = (
            Scan.objects.filter(waits | _abandoned())
            .exclude(session__state__in=["paused", "cancelled"])
            .exclude(channel__state=Channel.State.PAUSED)
            .select_for_update(skip_locked=True, of=["self"])
            .select_related("channel__person", "session")
            .order_by("session__is_rescan", "next_attempt_at", "id")
            .first()
        )
        if scan is None:
            return None
        scan.claim_id = uuid4()
        if scan.state == Scan.State.RUNNING:
            scan.losses += 1
        else:
            scan.attempts += 1
        Scan.objects.filter(pk=scan.pk).update(
            state=Scan.State.RUNNING,
            claim_id=scan.claim_id,
            lease_owner=owner,
            lease_expires_at=Now() + lease_length(),
            attempts=scan.attempts,
            losses=scan.losses,
            started_at=Now(),
        )
        room.note_claim()
    return scan


def live_scans() -> QuerySet[Scan]:
    """Scans whose worker was heard of within its lease."""
    return Scan.objects.filter(state=Scan.State.RUNNING, lease_expires_at__gte=Now())


def _abandoned() -> Q:
    return Q(state=Scan.State.RUNNING, lease_expires_at__lt=Now())


def _give_up_abandoned() -> None:
    """A scan that took every one of its workers down is not given to another."""
    lost = error("lost")
    spent = Scan.objects.filter(_abandoned(), losses__gte=MOST_LOSSES - 1)
    spent.update(state=Scan.State.FAILED, error_kind=lost.kind, error_message=lost.message, finished_at=Now(), **NO_LEASE)


def hand_back_scan(scan: Scan) -> None:
    """Give an unfinished scan back: due at once, the attempt not counted."""
    Scan.objects.filter(pk=scan.pk, claim_id=scan.claim_id).update(
        state=Scan.State.PENDING, next_attempt_at=Now(), attempts=Greatest(F("attempts") - 1, 0), **NO_LEASE
    )


def fail_scan(scan: Scan, failure: ArchiveError) -> None:
    """Record why a claimed scan ended early, and what follows from it; nothing when it is somebody else's by now."""
    logger.info("%s was not listed: %s", scan.channel.canonical_url, failure, extra={"scan": scan.pk})
    is_refusal = budget.is_refusal(failure)
    if is_refusal:
        budget.refused(failure.kind)
    else:
        budget.note_answer(failure)
    scan.refusals += is_refusal
    now, limits = timezone.now(), Limits.row()
    allowed = attempts_allowed(scan.session_id, limits)
    again = next_attempt(failure, scan.attempts, now, max_attempts=allowed, base=limits.backoff_base, cap=limits.backoff_cap)
    said = {"error_kind": failure.kind, "error_message": storable(failure.message, 2000)}
    verdict: dict[str, Any] = {**said, "refusals": scan.refusals, "losses": 0}
    if again is None or scan.refusals >= allowed:
        verdict |= {"state": Scan.State.FAILED, "finished_at": Now()}
    else:
        verdict |= {"state": Scan.State.PENDING, "next_attempt_at": Now() + (again - now)}
        verdict |= {} if spends_attempt(failure) else {"attempts": Greatest(F("attempts") - 1, 0)}
    if Scan.objects.filter(pk=scan.pk, claim_id=scan.claim_id).update(**verdict, **NO_LEASE):
        _follow_up(scan, failure, is_over=verdict["state"] == Scan.State.FAILED)


def _follow_up(scan: Scan, failure: ArchiveError, *, is_over: bool) -> None:
    if isinstance(failure, SetupError):
        pause_sessions([scan.session_id], failure.message)
    elif is_over:
        pause_fail_fast([scan.session_id], failure)
    if failure.kind in ("channel_missing", "terminated"):
        channel = Channel.objects.filter(pk=scan.channel_id)
        channel.update(last_scanned_at=Now())
        channel.filter(state=Channel.State.ACTIVE).update(state=Channel.State.GONE)  # what staff paused stays so
