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
from ingestion.assets.wanted import ASKS_NOTHING
from ingestion.errors import ArchiveError, SetupError, error
from ingestion.leases import MOST_LOSSES, NO_LEASE, Claim, Room, attempts_allowed, lease_length, lock_limits, pause_sessions
from ingestion.leases.claims import look_at_limits
from ingestion.leases.endings import ended
from ingestion.models import Limits
from ingestion.retries import next_attempt, spends_attempt
from ingestion.store import Stored
from videos.models import Asset
from videos.querysets import AssetQuerySet
from videos.text import storable

logger = logging.getLogger(__name__)

AT_ONCE = 500
GIVEN_BACK = Greatest(F("attempts") - 1, 0)
LAST_AFTER = UUID(int=2**63 - 1)
"""The last claim that goes with an attempt; the random ones of `claim_assets` lie beyond."""
LOOKED_AT = 64
"""Due assets of each session, the first in order, among whose videos a claim finds one that nobody was faster at."""

# What waits of one session `s` (0: of none) and one kind of work `k` (0: asks YouTube nothing), the first in order. One row
# after the other from the index, each with a look by key at its video's channel, whatever the statistics say: this cannot
# become another join.
WAITING = """
    SELECT a.video_id, a.next_attempt_at, a.id FROM videos_asset a
    WHERE a.status = 'pending' AND a.claim_id IS NULL AND coalesce(a.session_id, 0) = s.id
      AND (CASE WHEN a.kind = 'nfo' THEN 0 ELSE 1 END) = k.asks AND a.next_attempt_at <= %(until)s
      AND (SELECT v.storage_key > '' AND v.channel_id NOT IN (SELECT c.id FROM people_channel c WHERE c.state = 'paused')
           FROM videos_video v WHERE v.id = a.video_id)
    ORDER BY a.next_attempt_at, a.id LIMIT %(most)s
"""
# A session that is held is not looked at, however much of it waits; of a channel that is, each row
DUE = f"""
SELECT due.video_id FROM (SELECT id FROM ingestion_downloadsession WHERE state = 'running' UNION ALL SELECT 0) s
CROSS JOIN unnest(%(asks)s::int[]) AS k (asks) CROSS JOIN LATERAL ({WAITING}) due
"""
IN_ORDER = "ORDER BY due.next_attempt_at, due.id"
NEXT = f"""
SELECT min(due.next_attempt_at) FROM (SELECT %(session)s::bigint AS id) s
CROSS JOIN unnest(%(asks)s::int[]) AS k (asks) CROSS JOIN LATERAL ({WAITING}) due
"""

# All of the video's assets are locked, found by its key, the video and the session looked up by theirs: nothing can be read
# in another way, whatever the statistics say
TAKE = """
WITH free AS MATERIALIZED (SELECT a.* FROM videos_asset a WHERE a.video_id = %(video)s FOR UPDATE SKIP LOCKED)
UPDATE videos_asset a SET claim_id = %(claim)s, lease_owner = %(owner)s, lease_expires_at = clock_timestamp() + %(lease)s,
    attempts = a.attempts + 1
WHERE a.id = ANY(ARRAY(
    SELECT f.id FROM free f
    WHERE f.status = 'pending' AND f.claim_id IS NULL AND f.next_attempt_at <= %(now)s
      AND (CASE WHEN f.kind = 'nfo' THEN 0 ELSE 1 END) = ANY(%(asks)s::int[])
      AND (f.session_id IS NULL OR (SELECT s.state FROM ingestion_downloadsession s WHERE s.id = f.session_id) = 'running')
      AND (SELECT v.storage_key > '' AND (SELECT c.state FROM people_channel c WHERE c.id = v.channel_id) <> 'paused'
           FROM videos_video v WHERE v.id = %(video)s)
))
RETURNING a.kind
"""

BEGIN = """
UPDATE videos_asset a SET tries = %(tries)s FROM videos_video v
WHERE v.id = a.video_id AND a.id = %(asset)s AND a.claim_id = %(claim)s RETURNING v.storage_key
"""


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
    What is due is looked for before the mutex is taken. None also comes back when others were faster at all that was found:
    the next wake-up finds more.
    """
    videos = _due_videos(look_at_limits(), IN_ORDER, LOOKED_AT)
    if not videos:
        return None
    with transaction.atomic():
        room = lock_limits()  # reads by the indexes from here on, whatever the statistics say
        if room.is_closed:
            return None
        asks = _asking(room)
        return next(filter(None, (_take(video, room, asks, owner) for video in videos)), None)


def due_assets(most: int) -> int:
    """Of how many videos `claim_assets` would give assets at this moment, `most` at most; a hint that locks nothing."""
    room = look_at_limits()
    return min(len(_due_videos(room, "", AT_ONCE)), 1 if room.is_probing else most)


def _due_videos(room: Room, order: str, most: int) -> list[int]:
    """Those of the first assets that may be made at this moment. A video that is being stored anew keeps its old object
    meanwhile, and its assets may be made."""
    if room.is_closed:
        return []
    found = _read(f"{DUE} {order} LIMIT %(most)s", asks=_asking(room), until=room.now, most=most)
    return list(dict.fromkeys(video for (video,) in found))


def next_due_at(session_id: int) -> datetime | None:
    """When the first asset of a session may be made that nobody has; None when there is none that staff do not hold back by
    its channel. Whether its session is held is not looked at."""
    return _read(NEXT, session=session_id, asks=[0, 1], until="infinity", most=1)[0][0]


def _read(query: str, **values: Any) -> list[tuple]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT {turns.IN_INDEX_ORDER}")
        cursor.execute(query, values)
        return cursor.fetchall()


def _asking(room: Room) -> list[int]:
    """0 for assets that ask YouTube nothing, 1 for the others, as in the index."""
    return [0, 1] if room.spares_requests() else [0]


def _take(video: int, room: Room, asks: list[int], owner: str) -> AssetClaim | None:
    claim = AssetClaim(uuid4(), video)
    values = {"video": video, "claim": claim.id, "owner": owner, "lease": lease_length(), "now": room.now, "asks": asks}
    with connection.cursor() as cursor:
        cursor.execute(TAKE, values)
        kinds = {kind for (kind,) in cursor.fetchall()}
    if kinds - set(ASKS_NOTHING):
        room.note_claim()
    return claim if kinds else None


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


def take_back(assets: AssetQuerySet) -> int:
    """Take what is in work away from its workers, who hear of it with their next look at the lease: due at once, the attempt
    not counted. Returns of how many claims. To be called inside a transaction."""
    taken = dict(assets.in_work().order_by("pk").select_for_update(of=("self",), no_key=True).values_list("pk", "claim_id"))
    Asset.objects.filter(pk__in=list(taken)).update(next_attempt_at=Now(), attempts=GIVEN_BACK, **NO_LEASE)
    return len(set(taken.values()))


def is_ours(asset: Asset) -> bool:
    """Whether the claim still holds it: staff may take some assets of a claim away, those of one session, and leave others."""
    return _row(asset).exists()


def begin(asset: Asset) -> str | None:
    """Note that its object is about to be written: it is one try more, so that the key is nobody else's. Returns the key of
    its video as it is by now; None when the asset is somebody else's."""
    with connection.cursor() as cursor:
        cursor.execute(BEGIN, {"tries": asset.tries + 1, "asset": asset.pk, "claim": asset.claim_id})
        row = cursor.fetchone()
    if row:
        asset.tries += 1
    return row and row[0]


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
    """Record that it is over, well; False, and nothing written, when the asset is somebody else's by now. One that was only
    to be made anew is still stored as before."""
    cleared = {"error_kind": "", "error_message": "", "losses": 0, "refusals": 0}
    return bool(_row(asset).update(**changes, **cleared, status=ended(status), **NO_LEASE))


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
        return {**said, "status": ended(Asset.Status.FAILED)}
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
                status=ended(Asset.Status.FAILED) if wait is None else Asset.Status.PENDING,
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
