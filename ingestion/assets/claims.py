"""Taking the assets of one video that are due, keeping them, and what each ends in. All endings are fenced by the claim."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Greatest, Now
from django.utils import timezone

from ingestion import budget, turns
from ingestion.errors import ArchiveError, SetupError, error
from ingestion.leases import MOST_LOSSES, NO_LEASE, Claim, attempts_allowed, lease_length, lock_limits, pause_sessions
from ingestion.leases.claims import look_at_limits
from ingestion.models import DownloadSession, Limits
from ingestion.retries import next_attempt, spends_attempt
from ingestion.store import Stored
from people.models import Channel
from videos.models import Asset
from videos.querysets import AssetQuerySet
from videos.text import storable

logger = logging.getLogger(__name__)

AT_ONCE = 500
GIVEN_BACK = Greatest(F("attempts") - 1, 0)
LAST_AFTER = UUID(int=2**63 - 1)
"""The last claim that goes with an attempt; the random ones of `claim_assets` lie beyond."""
HELD = [DownloadSession.State.PAUSED, DownloadSession.State.CANCELLED]


@dataclass(frozen=True)
class AssetClaim:
    """Assets of one video that are ours for the length of the lease: those with this `claim_id`."""

    id: UUID
    video_id: int

    @classmethod
    def after(cls, claim: Claim) -> "AssetClaim":
        """That of the worker which stored the video with this claim."""
        return cls(UUID(int=claim.attempt_id), claim.video_id)


def claim_assets(owner: str) -> AssetClaim | None:
    """Take all that is due of the video that waits longest; None when nothing is due or YouTube must not be asked.

    As a scan, it may run outside the windows of the downloads, and one at a time finds out whether YouTube answers again.
    """
    with transaction.atomic():
        room = lock_limits()  # reads in the order of the index from here on, whatever the statistics say
        if room.is_closed:
            return None
        due = _claimable().select_for_update(skip_locked=True, of=("self",))
        video = due.order_by("next_attempt_at", "id").values_list("video_id", flat=True).first()
        if video is None:
            return None
        claim = AssetClaim(uuid4(), video)
        Asset.objects.filter(pk__in=list(due.filter(video=video).values_list("pk", flat=True))).update(
            claim_id=claim.id,
            lease_owner=owner,
            lease_expires_at=Now() + lease_length(),
            attempts=F("attempts") + 1,
            tries=F("tries") + 1,
        )
        room.note_claim()
    return claim


def due_assets(most: int) -> int:
    """Of how many videos `claim_assets` would give assets at this moment, `most` at most; a hint that locks nothing."""
    room = look_at_limits()
    if room.is_closed:
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT {turns.IN_INDEX_ORDER}")
        due = set(_claimable().order_by("next_attempt_at", "id").values_list("video_id", flat=True)[:AT_ONCE])
    return min(len(due), 1 if room.is_probing else most)


def _claimable() -> AssetQuerySet:
    """A video that is being stored anew keeps its old object meanwhile, and its assets may be made."""
    due = Asset.objects.filter(status=Asset.Status.PENDING, claim_id=None, next_attempt_at__lte=Now(), video__storage_key__gt="")
    return due.exclude(session__state__in=HELD).exclude(video__channel__state=Channel.State.PAUSED)


def in_work(owner_prefix: str, *, after_download: bool | None = None) -> AssetQuerySet:
    """What workers of ours have at this moment; of those that stored the video (`AssetClaim.after`), or of those that came for
    the assets, None for both."""
    ours = Asset.objects.in_work().filter(lease_owner__startswith=owner_prefix, lease_expires_at__gte=Now())
    if after_download is None:
        return ours
    return ours.filter(claim_id__lte=LAST_AFTER) if after_download else ours.filter(claim_id__gt=LAST_AFTER)


def renew(claim: AssetClaim) -> str | None:
    """Lengthen the lease; None when nothing of it is ours any more."""
    return "" if _ours(claim).update(lease_expires_at=Now() + lease_length()) else None


def hand_back(claim: AssetClaim) -> int:
    """Give back what is not done: due at once, the attempt not counted."""
    return _ours(claim).update(next_attempt_at=Now(), attempts=GIVEN_BACK, **NO_LEASE)


def record_stored(asset: Asset, stored: Stored, *, ext: str, is_automatic: bool) -> bool:
    """False, and nothing written, when the asset is somebody else's by now. True again when it is called again."""
    changes = {
        "storage_key": stored.key,
        "file_size": stored.size,
        "checksum": stored.checksum,
        "crc32": stored.crc32,
        "part_size": stored.part_size,
        "stored_at": Now(),
        "ext": ext,
        "is_automatic": is_automatic,
    }
    return end(asset, Asset.Status.STORED, **changes) or Asset.objects.filter(pk=asset.pk, storage_key=stored.key).exists()


def end(asset: Asset, status: str, **changes: Any) -> bool:
    """Record that it is over, well; False, and nothing written, when the asset is somebody else's by now."""
    cleared = {"error_kind": "", "error_message": "", "losses": 0, "refusals": 0}
    return bool(_row(asset).update(**changes, **cleared, status=status, **NO_LEASE))


def fail(assets: Iterable[Asset], failure: ArchiveError) -> None:
    """Record for each why it was not made, and when it is tried again, if ever. A refusal spends no attempt, but as many
    of them as there are attempts end it: some captions are refused for ever."""
    now, limits = timezone.now(), Limits.row()
    for asset in assets:
        changes = _verdict(asset, failure, now, limits)
        if _row(asset).update(**changes, **NO_LEASE):
            logger.info("%s of video %d was not stored: %s", asset, asset.video_id, failure, extra={"video": asset.video_id})
        if isinstance(failure, SetupError):
            pause_sessions([asset.session_id], failure.message)


def fail_claim(claim: AssetClaim, failure: ArchiveError) -> None:
    """The same for all that is not done of a claim."""
    fail(list(_ours(claim)), failure)


def _verdict(asset: Asset, failure: ArchiveError, now: datetime, limits: Limits) -> dict[str, Any]:
    refusals = asset.refusals + budget.is_refusal(failure)
    said = {"error_kind": failure.kind, "error_message": storable(failure.message, 2000), "losses": 0, "refusals": refusals}
    said |= {} if spends_attempt(failure) else {"attempts": GIVEN_BACK}
    allowed = attempts_allowed(asset.session_id, limits)
    again = next_attempt(failure, asset.attempts, now, max_attempts=allowed, base=limits.backoff_base, cap=limits.backoff_cap)
    if again is None or refusals >= allowed:
        return {**said, "status": Asset.Status.FAILED}
    return {**said, "next_attempt_at": Now() + (again - now)}


def reap() -> int:
    """Take back what dead workers held: due after a while, the attempt given back, or failed after MOST_LOSSES of them in a
    row. Returns how many."""
    lost, now, limits = error("lost"), timezone.now(), Limits.row()
    with transaction.atomic():
        found = list(Asset.objects.abandoned().order_by("pk").select_for_update(skip_locked=True).only("pk", "losses")[:AT_ONCE])
        for asset in found:
            wait = next_attempt(lost, asset.losses + 1, now, max_attempts=MOST_LOSSES, base=limits.backoff_base, cap=limits.backoff_cap)
            Asset.objects.filter(pk=asset.pk).update(
                status=Asset.Status.FAILED if wait is None else Asset.Status.PENDING,
                next_attempt_at=Now() + ((wait or now) - now),
                attempts=GIVEN_BACK,
                losses=F("losses") + 1,
                error_kind=lost.kind,
                error_message=lost.message,
                **NO_LEASE,
            )
    if found:
        logger.warning("%d assets came back from dead workers", len(found))
    return len(found)


def _ours(claim: AssetClaim) -> AssetQuerySet:
    return Asset.objects.filter(claim_id=claim.id)


def _row(asset: Asset) -> AssetQuerySet:
    return Asset.objects.filter(pk=asset.pk, claim_id=asset.claim_id)
