"""The shared allowance of requests to YouTube, and the breaker: what keeps YouTube's patience on all hosts together.

Each request reserves the next free slot in one UPDATE and sleeps until it comes (GCRA: the caller sleeps the answer, so
nobody polls and nobody starves). A refusal opens the breaker for everybody; when its time is over one worker at a time
may probe (`leases.claim` sees to that) until YouTube answers again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from ingestion.errors import STORAGE_KINDS, ArchiveError, DeferredError, FleetError, PermanentError, error
from ingestion.models import Budget, Limits

LONGEST_OPENING = timedelta(days=1)
PROBE = timedelta(seconds=30)
"""How long nothing else is begun while somebody finds out; then that one died, or takes its time, and another may try."""
SLEEP_SLICE_SECONDS = 0.5

# Minutes since the newest one that is counted, and the counts as they stand at this minute
MINUTE, NEWEST = "date_trunc('minute', statement_timestamp())", "date_trunc('minute', b.minute_at)"
PASSED = f"least(61, greatest(0, (extract(epoch FROM {MINUTE} - {NEWEST}) / 60)::int))"
RECENT = f"(array_fill(0, ARRAY[{PASSED}]) || b.minutes)[1:61]"
USED = f"(SELECT coalesce(sum(n), 0) FROM unnest({RECENT}) n)"
# The allowance in force: what staff say, else this host's environment
PER_SECOND = "coalesce(l.requests_per_second, %(per_second)s)"
PER_HOUR = "coalesce(l.requests_per_hour, %(per_hour)s)"

RESERVE = f"""
UPDATE ingestion_budget b SET
    next_slot_at = greatest(b.next_slot_at, clock_timestamp()) + interval '1 second' / {PER_SECOND},
    minutes = (coalesce(({RECENT})[1], 0) + 1) || ({RECENT})[2:61],
    minute_at = greatest({NEWEST}, {MINUTE})
FROM ingestion_limits l
WHERE l.id = 1 AND b.identity = %(identity)s
  AND (b.open_until IS NULL OR b.open_until <= clock_timestamp())
  AND {USED} < {PER_HOUR}
RETURNING extract(epoch FROM b.next_slot_at - interval '1 second' / {PER_SECOND} - clock_timestamp())
"""


def identity() -> str:
    """Who we are to YouTube: `guest`, or the name of the cookies file, which is the same on every host."""
    return Path(settings.YTDLP_COOKIES_FILE).name[:100] if settings.YTDLP_COOKIES_FILE else "guest"


def spend(*, check: Callable[[], None] = lambda: None, sleep: Callable[[float], None] = time.sleep) -> None:
    """Take one request out of the budget and wait for its slot; `check` is called while waiting and may raise.

    Outside a transaction, so that nobody waits for our commit. Raises the breaker's FleetError while it is open, and
    DeferredError until the hour is over when its allowance is spent.
    """
    wait = _reserve(check, sleep)
    has_slept = wait > SLEEP_SLICE_SECONDS
    while wait > 0:
        check()
        sleep(min(wait, SLEEP_SLICE_SECONDS))
        wait -= SLEEP_SLICE_SECONDS
    if has_slept:
        _raise_if_refused()  # somebody may have been, meanwhile


def environment() -> dict[str, Any]:
    """Parameters of the SQL above: who asks, and the allowance where staff gave none."""
    return {"identity": identity(), "per_second": settings.REQUESTS_PER_SECOND, "per_hour": settings.REQUESTS_PER_HOUR}


def _reserve(check: Callable[[], None], sleep: Callable[[float], None]) -> float:
    """Seconds until the slot that is ours now."""
    while True:
        with connection.cursor() as cursor:
            cursor.execute(RESERVE, environment())
            if row := cursor.fetchone():
                return float(row[0])
        if _make_row():
            continue
        _raise_if_unaskable()
        check()
        sleep(SLEEP_SLICE_SECONDS)  # what was shut a moment ago is open by now


def _make_row() -> bool:
    """False when it was there."""
    Limits.row()
    return Budget.objects.get_or_create(identity=identity())[1]


def _raise_if_unaskable() -> None:
    """Returns when requests may leave again by now."""
    _raise_if_refused()
    if closed := open_until():
        until, kind = closed
        raise error(kind, "This hour's requests are used up.", not_before=until)


def _raise_if_refused() -> None:
    if kind := _refusals().values_list("open_reason", flat=True).first():
        raise BreakerOpen(kind, "Stopped before asking: the breaker is open: nothing is asked.")


def _refusals():
    return Budget.objects.filter(identity=identity(), open_until__gt=Now())


class BreakerOpen(FleetError):
    """No request left us: another one had been refused before."""


def is_refusal(failure: ArchiveError) -> bool:
    """YouTube itself said so, not our own open breaker."""
    return isinstance(failure, FleetError) and not isinstance(failure, BreakerOpen)


def refused(kind: str) -> datetime:
    """Open the breaker after YouTube refused with `kind`; returns until when. Refusals of requests that were already
    on their way change nothing."""
    Budget.objects.get_or_create(identity=identity())
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE ingestion_budget SET
                open_until = CASE WHEN open_until > clock_timestamp() THEN open_until
                               ELSE clock_timestamp() + least(%(base)s * power(2, least(refusals, 20)), %(longest)s) END,
                refusals = CASE WHEN open_until > clock_timestamp() THEN refusals ELSE refusals + 1 END,
                open_reason = %(kind)s, probing_until = NULL
            WHERE identity = %(identity)s RETURNING open_until
            """,
            {
                "base": Limits.row().breaker_time,
                "longest": LONGEST_OPENING,
                "kind": kind,
                "identity": identity(),
            },
        )
        return cursor.fetchone()[0]


def note_probe() -> None:
    """One claim is on its way to find out whether YouTube answers again; no other one is given until it told, or died."""
    Budget.objects.filter(identity=identity()).update(probing_until=Now() + PROBE)


def note_answer(failure: ArchiveError) -> None:
    """A video that YouTube says is private, or not shown yet, is an answer as good as any; what the storage says is none."""
    if isinstance(failure, PermanentError | DeferredError) and failure.kind not in ("budget_spent", *STORAGE_KINDS):
        accepted()


def accepted() -> bool:
    """YouTube answered: close the breaker again for everybody. True when it was not closed."""
    return bool(
        Budget.objects.filter(identity=identity(), refusals__gt=0, open_until__lte=Now()).update(
            refusals=0, open_until=None, open_reason="", probing_until=None
        )
    )


def probe(budgets: QuerySet[Budget]) -> int:
    """Let one request of each identity find out now whether YouTube answers again, whatever the breaker's time. Returns for
    how many, without those whose breaker is not open."""
    return budgets.filter(open_until__gt=Now()).update(open_until=Now())


def open_until() -> tuple[datetime, str] | None:
    """Until when nothing may be asked, and the kind of refusal; None while requests may leave."""
    now = state()
    return (now.closed_until, now.kind) if now.closed_until else None


@dataclass(frozen=True)
class State:
    """The allowance at one moment. `breaker` is closed (all is well), open (nothing is asked until `closed_until`) or
    half-open (one request finds out); `kind` says why nothing may be asked, or why the breaker had opened."""

    used_this_hour: int
    per_hour: int
    per_second: float
    breaker: str
    closed_until: datetime | None
    kind: str
    refusals: int

    def as_data(self) -> dict[str, Any]:
        until = self.closed_until and self.closed_until.isoformat(timespec="seconds")
        return {**vars(self), "closed_until": until}


CLOSED, OPEN, HALF_OPEN = "closed", "open", "half-open"


def state(limits: Limits | None = None) -> State:
    """The allowance of this host's identity, by the database's clock; one query where the limits are known, else two."""
    row = Budget.objects.annotate(now=Now()).filter(pk=identity()).first()
    return state_of(row or Budget(pk=identity(), minute_at=timezone.now()), limits or Limits.row(), now=row.now if row else None)


def state_of(row: Budget, limits: Limits, *, now: datetime | None = None) -> State:
    """The allowance of a row that was read just now (at `now`; None: this host's clock). No query."""
    now = now or timezone.now()
    breaker = OPEN if row.open_until and row.open_until > now else HALF_OPEN if row.refusals else CLOSED
    spent_until = row.spent_until(limits.hourly_requests, now)
    return State(
        used_this_hour=row.used_at(now),
        per_hour=limits.hourly_requests,
        per_second=limits.request_rate,
        breaker=breaker,
        closed_until=row.open_until if breaker == OPEN else spent_until,
        kind=row.open_reason if breaker == OPEN else "budget_spent" if spent_until else row.open_reason,
        refusals=row.refusals,
    )
