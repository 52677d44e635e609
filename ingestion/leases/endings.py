"""What a claim ends in: stored, failed in some way, or handed back. Each ending is fenced by the attempt's id."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from itertools import takewhile
from typing import Any

from django.db import transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Greatest, Now
from django.utils import timezone

from ingestion import budget, schedule
from ingestion.errors import ArchiveError, DeferredError, FleetError, PermanentError, SetupError, error
from ingestion.leases.claims import Claim
from ingestion.models import Attempt, DownloadSession, Limits
from ingestion.options import Options
from ingestion.retries import next_attempt, spends_attempt
from videos.models import Video
from videos.text import storable

ANSWERS_COUNT_FOR = timedelta(minutes=2)
OUTAGES = ("storage_throttled", "storage_unreachable")
OUTAGES_LOOKED_AT = 20
LONGEST_WAIT = timedelta(hours=1)
"""For a storage that answers and does not store: it must not use up our requests to YouTube."""

NO_LEASE: dict[str, Any] = {"claim_id": None, "lease_owner": "", "lease_expires_at": None}
GIVEN_BACK = Greatest(F("attempts") - 1, 0)


def finish_stored(claim: Claim, *, way: str, **fields: Any) -> bool:
    """Record the stored object and whatever else was learnt; False, and nothing written, when the claim was lost.

    Called again after a database restart that swallowed the answer, it finds its own record and says True.
    """
    cleared = {"error_kind": "", "error_message": "", "wanted": Video.Wanted.RUN, "losses": 0}
    changes = {**fields, **cleared, "status": Video.Status.STORED, "stored_at": Now()}
    return _finish(claim, Attempt.Outcome.STORED, changes, way=way, bytes_stored=fields["file_size"])


def finish_failed(claim: Claim, failure: ArchiveError, *, begun: bool = True) -> bool:
    """Record a failure and what follows from it; False, and nothing written, when the claim was lost.

    `begun`: the storage was looked at and was well, so that what it did wrong afterwards may be about this video.
    """
    if begun and failure.kind in OUTAGES and (outages := _outages_in_a_row(claim)):
        if _is_about_this_video(claim, failure, outages):
            failure = error("storage", f"Again and again, and not for other videos: {failure.message}")
        else:
            failure = _later(failure, outages)
    outcome, changes = _verdict(claim, failure, begun=begun)
    changes["losses"] = 0
    if not spends_attempt(failure):
        changes["attempts"] = GIVEN_BACK
    done = _finish(claim, outcome, changes, error_kind=failure.kind, error_message=storable(failure.message, 2000))
    if done and isinstance(failure, SetupError):
        pause_sessions([claim.session_id], failure.message)
    elif done and changes["status"] != Video.Status.PENDING:
        pause_fail_fast([claim.session_id], failure)
    return done


def hand_back(claim: Claim) -> bool:
    """Give the video back as it was: due at once, the attempt not counted. One that staff cancelled is left alone."""
    changes = {"status": Video.Status.PENDING, "attempts": GIVEN_BACK, "next_attempt_at": Now()}
    return _finish(claim, Attempt.Outcome.HANDED_BACK, changes)


def pause_sessions(ids: Collection[int | None], reason: str, **only: Any) -> None:
    """Stop sessions that are not stopped already, and write down why."""
    live = DownloadSession.objects.filter(pk__in=[pk for pk in ids if pk], **only)
    live.exclude(state__in=[DownloadSession.State.PAUSED, DownloadSession.State.CANCELLED]).update(
        state=DownloadSession.State.PAUSED, state_reason=storable(reason, 2000)
    )


def pause_fail_fast(ids: Collection[int | None], failure: ArchiveError) -> None:
    """Stop those of the sessions that asked to be stopped at the first failure."""
    pause_sessions(ids, f"Stopped at the first failure: {failure}", options__continue_on_error=False)


def attempts_allowed(session_id: int | None, limits: Limits) -> int:
    """A session may say its own number."""
    raw = DownloadSession.objects.filter(pk=session_id).values_list("options", flat=True).first()
    return Options.of(raw or {}).max_attempts or limits.max_attempts


def _verdict(claim: Claim, failure: ArchiveError, *, begun: bool) -> tuple[str, dict[str, Any]]:
    """The attempt's outcome and the video's new columns."""
    said = {"error_kind": failure.kind, "error_message": storable(failure.message, 2000)}
    if isinstance(failure, PermanentError):
        return Attempt.Outcome.UNAVAILABLE, {**said, "status": ended(Video.Status.UNAVAILABLE)}
    now, limits = timezone.now(), Limits.row()
    allowed = attempts_allowed(claim.session_id, limits)
    again = next_attempt(failure, claim.attempts, now, max_attempts=allowed, base=limits.backoff_base, cap=limits.backoff_cap)
    if again is None or (budget.is_refusal(failure) and refuses_this_video_only(claim, failure.kind, allowed)):
        return Attempt.Outcome.FAILED, {**said, "status": ended(Video.Status.FAILED)}
    outcome = Attempt.Outcome.HANDED_BACK if failure.kind in OUTAGES and not begun else _outcome_of(failure)
    return outcome, {**said, "status": Video.Status.PENDING, "next_attempt_at": Now() + (again - now)}


def ended(status: str) -> Case:
    """The status at the end of all attempts; a video that was only to be stored anew is still stored as before."""
    return Case(When(storage_key__gt="", then=Value(Video.Status.STORED)), default=Value(status))


def _outcome_of(failure: ArchiveError) -> str:
    if isinstance(failure, DeferredError):
        return Attempt.Outcome.DEFERRED
    if isinstance(failure, budget.BreakerOpen | SetupError):
        return Attempt.Outcome.HANDED_BACK
    return Attempt.Outcome.REFUSED if isinstance(failure, FleetError) else Attempt.Outcome.RETRY


def _outages_in_a_row(claim: Claim) -> list[tuple[int, str]]:
    """The attempts right before this one that met an outage of the storage, which was well as they began, with the kind of it;
    the latest first."""
    tries = Attempt.objects.filter(video_id=claim.video_id, pk__lt=claim.attempt_id).exclude(outcome=Attempt.Outcome.HANDED_BACK)
    rows = tries.order_by("-pk").values_list("pk", "outcome", "error_kind")[:OUTAGES_LOOKED_AT]
    in_a_row = takewhile(lambda row: row[1] in (Attempt.Outcome.DEFERRED, Attempt.Outcome.RETRY) and row[2] in (*OUTAGES, "storage"), rows)
    return [(pk, kind) for pk, _, kind in in_a_row]


def _is_about_this_video(claim: Claim, failure: ArchiveError, outages: list[tuple[int, str]]) -> bool:
    """Whether the storage took other videos meanwhile, after as many outages as there are attempts: one that can never be
    stored must not be tried for ever. Being asked to slow down is never about one video."""
    counted = [pk for pk, kind in outages if kind != "storage_throttled"]
    if failure.kind == "storage_throttled" or len(counted) + 1 < attempts_allowed(claim.session_id, Limits.row()):
        return False
    since = Attempt.objects.filter(pk__gt=min(counted, default=claim.attempt_id)).exclude(video_id=claim.video_id).order_by("-pk")
    return Attempt.Outcome.STORED in since.values_list("outcome", flat=True)[:50]


def _later(failure: ArchiveError, outages: Sequence[object]) -> ArchiveError:
    """The same, to be tried again after twice the time for each outage before: every try costs a look at YouTube."""
    now = timezone.now()
    wait = (failure.not_before or now) - now
    return error(failure.kind, failure.message, not_before=now + min(wait * 2 ** len(outages), max(wait, LONGEST_WAIT)))


def refuses_this_video_only(claim: Claim, kind: str, allowed: int | None = None) -> bool:
    """Whether YouTube, refusing this video again, answers for others at this very time: then it is the video, not us.

    Also after `allowed` refusals since the video last ended (None: as many as attempts). Being asked to slow down is never
    about one video.
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
    rows = lately.annotate(is_recent=Q(finished_at__gt=Now() - ANSWERS_COUNT_FOR)).values_list("outcome", "is_recent")[:50]
    allowed = allowed or attempts_allowed(claim.session_id, Limits.row())
    return refusals.count() + 1 >= allowed or any(outcome in ends[:2] and is_recent for outcome, is_recent in rows)


def _finish(claim: Claim, outcome: str, changes: dict[str, Any], **of_attempt: Any) -> bool:
    with transaction.atomic():
        video = Video.objects.filter(pk=claim.video_id)
        ours = video.filter(claim_id=claim.attempt_id).update(**changes, **NO_LEASE)
        attempt = Attempt.objects.filter(pk=claim.attempt_id)
        if not ours:
            return attempt.filter(outcome=outcome).exists()
        if changes["status"] == Video.Status.PENDING:
            video.filter(wanted=Video.Wanted.CANCEL).cancel()
        elif changes["status"] == Video.Status.STORED:
            schedule.count_stored(changes["file_size"])
        attempt.update(outcome=outcome, finished_at=Now(), **of_attempt)
    return True
