"""Who holds which video, and until when: claim, heartbeat, finish, reap.

A claim is one short transaction of two statements. The first locks the one row of limits, the mutex of all claims; it
must be a statement of its own, so that the second one sees what the last claim committed. An attempt's id is the
fencing token: every later write says `where claim_id = token`, and 0 rows mean that the video is no longer ours.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Case, F, QuerySet, Value, When
from django.db.models.functions import Greatest, Now
from django.utils import timezone

from ingestion import budget
from ingestion.errors import ArchiveError, DeferredError, FleetError, PermanentError, SetupError, error
from ingestion.models import Attempt, DownloadSession, Limits, LiveProgress, Scan
from ingestion.retries import next_attempt, spends_attempt
from videos.models import Video
from videos.text import storable

logger = logging.getLogger(__name__)

ANSWERS_COUNT_FOR = timedelta(minutes=2)

LOCK_LIMITS = """
SELECT clock_timestamp(), coalesce(b.refusals > 0, false), l.paused OR coalesce(b.open_until > clock_timestamp(), false)
           OR coalesce(b.used_this_hour >= %(per_hour)s AND b.hour_started_at > clock_timestamp() - interval '1 hour', false),
       CASE WHEN b.refusals > 0 THEN 1 ELSE l.max_concurrent_channels END,
       CASE WHEN b.refusals > 0 THEN 1 ELSE l.max_concurrent_videos_per_channel END
FROM ingestion_limits l LEFT JOIN ingestion_budget b ON b.identity = %(identity)s
WHERE l.id = 1 FOR UPDATE OF l
"""

TAKE_ONE = """
WITH running AS MATERIALIZED (SELECT channel_id, session_id FROM videos_video WHERE status = 'downloading'),
busy AS (SELECT channel_id, count(*) AS videos FROM running GROUP BY channel_id),
full_sessions AS (
    SELECT s.id FROM running r JOIN ingestion_downloadsession s ON s.id = r.session_id
    GROUP BY s.id HAVING count(*) >= (s.options ->> 'max_concurrent')::int
),
candidate AS (
    SELECT v.id FROM people_channel c LEFT JOIN busy b ON b.channel_id = c.id
    CROSS JOIN LATERAL (
        SELECT v.id, v.priority, v.next_attempt_at
        FROM videos_video v LEFT JOIN ingestion_downloadsession s ON s.id = v.session_id
        WHERE v.channel_id = c.id AND v.status = 'pending' AND v.next_attempt_at <= %(now)s AND v.wanted = 'run'
          AND (s.id IS NULL OR (s.state NOT IN ('paused', 'cancelled') AND s.id NOT IN (SELECT id FROM full_sessions)))
        ORDER BY v.priority DESC, v.next_attempt_at, v.id LIMIT 1
    ) v
    WHERE c.state <> 'paused' AND coalesce(b.videos, 0) < %(per_channel)s
      AND (b.videos IS NOT NULL OR (SELECT count(*) FROM busy) < %(channels)s)
    ORDER BY v.priority DESC, b.videos IS NULL, v.next_attempt_at, c.id LIMIT 1
),
locked AS (
    SELECT id, session_id, attempts FROM videos_video
    WHERE id = (SELECT id FROM candidate) AND status = 'pending' FOR UPDATE SKIP LOCKED
),
attempt AS (
    INSERT INTO ingestion_attempt (video_id, session_id, number, worker, started_at)
    SELECT id, session_id, attempts + 1, %(owner)s, %(now)s FROM locked RETURNING id, video_id
)
UPDATE videos_video v SET status = 'downloading', claim_id = attempt.id, lease_owner = %(owner)s,
    lease_expires_at = %(now)s::timestamptz + %(lease)s, attempts = v.attempts + 1
FROM attempt WHERE v.id = attempt.video_id
RETURNING v.id, attempt.id, v.session_id, v.attempts
"""


@dataclass(frozen=True)
class Claim:
    """A video that is ours for the length of the lease. `attempts` counts this one."""

    video_id: int
    attempt_id: int
    session_id: int | None
    attempts: int


def lease_length() -> timedelta:
    return timedelta(seconds=settings.LEASE_SECONDS)


def claim(owner: str) -> Claim | None:
    """Take the next due video within all limits, or None when there is none for now.

    None also comes back when the one candidate's row is locked by somebody's edit: the next wake-up finds it.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        room = lock_limits()
        if room.is_held_back or (room.is_probing and Scan.objects.filter(state=Scan.State.RUNNING).exists()):
            return None
        values = {
            "now": room.now,
            "channels": room.channels,
            "per_channel": room.videos_per_channel,
            "owner": owner,
            "lease": lease_length(),
        }
        cursor.execute(TAKE_ONE, values)
        row = cursor.fetchone()
    return Claim(*row) if row else None


@dataclass(frozen=True)
class Room:
    """What may be claimed at this moment. `is_probing`: YouTube had refused; one request at a time finds out."""

    now: datetime
    is_probing: bool
    is_held_back: bool
    channels: int
    videos_per_channel: int


def lock_limits() -> Room:
    """Take the mutex of all claims until the transaction around ends; the next statement sees what others committed."""
    values = {"identity": budget.identity(), "per_hour": settings.REQUESTS_PER_HOUR}
    with connection.cursor() as cursor:
        cursor.execute(LOCK_LIMITS, values)
        if not (row := cursor.fetchone()):
            Limits.row()
            cursor.execute(LOCK_LIMITS, values)
            row = cursor.fetchone()
    return Room(*row)


def renew(claim: Claim) -> str | None:
    """Lengthen the lease; returns what is wanted of the video (run, pause, cancel), None when the claim is lost.

    A pause or a cancellation of its session or channel counts like one of the video itself.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE videos_video v SET lease_expires_at = clock_timestamp() + %(lease)s
            FROM people_channel c WHERE c.id = v.channel_id AND v.id = %(video)s AND v.claim_id = %(attempt)s
            RETURNING CASE WHEN v.wanted <> 'run' THEN v.wanted WHEN c.state = 'paused' THEN 'pause'
                ELSE (SELECT CASE s.state WHEN 'paused' THEN 'pause' WHEN 'cancelled' THEN 'cancel' END
                      FROM ingestion_downloadsession s WHERE s.id = v.session_id) END
            """,
            {"lease": lease_length(), "video": claim.video_id, "attempt": claim.attempt_id},
        )
        row = cursor.fetchone()
    return (row[0] or "run") if row else None


NO_LEASE: dict[str, Any] = {"claim_id": None, "lease_owner": "", "lease_expires_at": None}


def finish_stored(claim: Claim, *, way: str, **fields: Any) -> bool:
    """Record the stored object and whatever else was learnt; False, and nothing written, when the claim was lost.

    Called again after a database restart that swallowed the answer, it finds its own record and says True.
    """
    changes = {**fields, "status": Video.Status.STORED, "stored_at": Now(), "error_kind": "", "error_message": ""}
    return _finish(claim, Attempt.Outcome.STORED, changes, way=way, bytes_stored=fields["file_size"])


def finish_failed(claim: Claim, failure: ArchiveError, *, way: str = "") -> bool:
    """Record a failure and what follows from it; False, and nothing written, when the claim was lost."""
    outcome, changes = _verdict(claim, failure)
    if not spends_attempt(failure):
        changes["attempts"] = Greatest(F("attempts") - 1, 0)
    done = _finish(claim, outcome, changes, way=way, error_kind=failure.kind, error_message=storable(failure.message, 2000))
    if done and isinstance(failure, SetupError):
        pause_sessions([claim.session_id], failure.message)
    elif done and changes["status"] != Video.Status.PENDING:
        pause_fail_fast([claim.session_id], failure)
    return done


def pause_sessions(ids: Collection[int | None], reason: str, **only: Any) -> None:
    """Stop sessions that are not stopped already, and write down why."""
    live = DownloadSession.objects.filter(pk__in=[pk for pk in ids if pk], **only)
    live.exclude(state__in=[DownloadSession.State.PAUSED, DownloadSession.State.CANCELLED]).update(
        state=DownloadSession.State.PAUSED, state_reason=storable(reason, 2000)
    )


def pause_fail_fast(ids: Collection[int | None], failure: ArchiveError) -> None:
    """Stop those of the sessions that asked to be stopped at the first failure."""
    pause_sessions(ids, f"Stopped at the first failure: {failure}", options__continue_on_error=False)


def hand_back(claim: Claim) -> bool:
    """Give the video back as it was: due at once, the attempt not counted."""
    changes = {"status": Video.Status.PENDING, "attempts": Greatest(F("attempts") - 1, 0), "next_attempt_at": Now()}
    return _finish(claim, Attempt.Outcome.HANDED_BACK, changes)


def _verdict(claim: Claim, failure: ArchiveError) -> tuple[str, dict[str, Any]]:
    """The attempt's outcome and the video's new columns."""
    said = {"error_kind": failure.kind, "error_message": storable(failure.message, 2000)}
    if isinstance(failure, PermanentError):
        return Attempt.Outcome.UNAVAILABLE, {**said, "status": _ended(Video.Status.UNAVAILABLE)}
    now = timezone.now()
    again = next_attempt(
        failure,
        claim.attempts,
        now,
        max_attempts=settings.MAX_ATTEMPTS,
        base=timedelta(seconds=settings.BACKOFF_BASE_SECONDS),
    )
    if again is None or (_is_refusal(failure) and refuses_this_video_only(claim, failure.kind)):
        return Attempt.Outcome.FAILED, {**said, "status": _ended(Video.Status.FAILED)}
    return _outcome_of(failure), {**said, "status": Video.Status.PENDING, "next_attempt_at": Now() + (again - now)}


def _ended(status: str) -> Case:
    """The status at the end of all attempts; a video that was only to be stored anew is still stored as before."""
    return Case(When(storage_key__gt="", then=Value(Video.Status.STORED)), default=Value(status))


def _is_refusal(failure: ArchiveError) -> bool:
    """YouTube itself said so, not our own open breaker."""
    return isinstance(failure, FleetError) and not isinstance(failure, budget.BreakerOpen)


def _outcome_of(failure: ArchiveError) -> str:
    if isinstance(failure, DeferredError):
        return Attempt.Outcome.DEFERRED
    if isinstance(failure, budget.BreakerOpen | SetupError):
        return Attempt.Outcome.HANDED_BACK
    return Attempt.Outcome.REFUSED if isinstance(failure, FleetError) else Attempt.Outcome.RETRY


def refuses_this_video_only(claim: Claim, kind: str) -> bool:
    """Whether YouTube, refusing this video again, answers for others at this very time: then it is the video, not us.

    Also after MAX_ATTEMPTS refusals since the video last ended. Being asked to slow down is never about one video.
    """
    if kind == "rate_limited":
        return False
    tries = Attempt.objects.filter(video_id=claim.video_id, pk__lt=claim.attempt_id)
    ends = [Attempt.Outcome.STORED, Attempt.Outcome.UNAVAILABLE, Attempt.Outcome.FAILED]
    last_end = tries.filter(outcome__in=ends).order_by("-pk").values_list("pk", flat=True).first() or 0
    refusals = tries.filter(outcome=Attempt.Outcome.REFUSED, pk__gt=last_end)
    last = refusals.order_by("-pk").values_list("pk", flat=True).first()
    if last is None:
        return False
    lately = Attempt.objects.filter(pk__gt=last).exclude(video_id=claim.video_id).order_by("-pk")
    rows = lately.values_list("outcome", "finished_at")[:50]
    since = timezone.now() - ANSWERS_COUNT_FOR
    return refusals.count() + 1 >= settings.MAX_ATTEMPTS or any(outcome in ends[:2] and at > since for outcome, at in rows)


def _finish(claim: Claim, outcome: str, changes: dict[str, Any], **of_attempt: Any) -> bool:
    with transaction.atomic():
        ours = Video.objects.filter(pk=claim.video_id, claim_id=claim.attempt_id).update(**changes, **NO_LEASE)
        attempt = Attempt.objects.filter(pk=claim.attempt_id)
        if not ours:
            return attempt.filter(outcome=outcome).exists()
        attempt.update(outcome=outcome, finished_at=Now(), **of_attempt)
        LiveProgress.objects.filter(attempt_id=claim.attempt_id).delete()
    return True


def reap() -> int:
    """Take abandoned videos back: pending with backoff, or failed when their attempts are spent. Returns how many."""
    lost = error("lost")
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT FROM ingestion_limits WHERE id = 1 FOR UPDATE")
        abandoned = Video.objects.abandoned().select_for_update(skip_locked=True, of=["self"])
        found = list(abandoned.values_list("pk", "claim_id", "session_id", "attempts")[:500])
        rows = {pk: claim_id for pk, claim_id, _, _ in found}
        Attempt.objects.filter(pk__in=rows.values(), outcome="").update(
            outcome=Attempt.Outcome.LOST, finished_at=Now(), error_kind=lost.kind, error_message=lost.message
        )
        LiveProgress.objects.filter(attempt_id__in=rows.values()).delete()
        spent = When(attempts__gte=settings.MAX_ATTEMPTS, then=_ended(Video.Status.FAILED))
        Video.objects.filter(pk__in=rows).update(
            status=Case(spent, default=Value(Video.Status.PENDING)),
            next_attempt_at=Now() + timedelta(seconds=settings.BACKOFF_BASE_SECONDS),
            error_kind=lost.kind,
            error_message=lost.message,
            **NO_LEASE,
        )
        pause_fail_fast({session for _, _, session, attempts in found if attempts >= settings.MAX_ATTEMPTS}, lost)
    if rows:
        logger.warning("%d videos came back from dead workers", len(rows), extra={"videos": list(rows)})
    return len(rows)


def expire(owner_prefix: str, is_alive: Callable[[int], bool]) -> int:
    """End at once the leases of our own processes that are dead, on videos and scans, without waiting for the clock.

    `is_alive(pid)` answers for the processes of this host; `owner_prefix` must be this supervisor's alone. Returns how
    many ended.
    """
    videos = Video.objects.filter(status=Video.Status.DOWNLOADING, lease_owner__startswith=owner_prefix)
    scans = Scan.objects.filter(state=Scan.State.RUNNING, lease_owner__startswith=owner_prefix)
    return sum(_expire_dead(held, is_alive) for held in (videos, scans))


def _expire_dead(held: QuerySet, is_alive: Callable[[int], bool]) -> int:
    dead = [pk for pk, owner in held.values_list("pk", "lease_owner") if not is_alive(int(owner.rpartition(":")[2]))]
    return held.filter(pk__in=dead).update(lease_expires_at=Now() - timedelta(seconds=1)) if dead else 0
