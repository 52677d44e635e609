"""The shared allowance of requests to YouTube, and the breaker: what keeps YouTube's patience on all hosts together.

Each request reserves the next free slot in one UPDATE and sleeps until it comes (GCRA: the caller sleeps the answer, so
nobody polls and nobody starves). A refusal opens the breaker for everybody; when its time is over one worker at a time
may probe (`leases.claim` sees to that) until YouTube answers again.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from ingestion.errors import FleetError, error
from ingestion.models import Budget

LONGEST_OPENING = timedelta(days=1)
SLEEP_SLICE_SECONDS = 0.5

RESERVE = """
UPDATE ingestion_budget SET
    next_slot_at = greatest(next_slot_at, clock_timestamp()) + %(interval)s,
    used_this_hour = CASE WHEN hour_started_at <= clock_timestamp() - interval '1 hour' THEN 1 ELSE used_this_hour + 1 END,
    hour_started_at = CASE WHEN hour_started_at <= clock_timestamp() - interval '1 hour'
                           THEN clock_timestamp() ELSE hour_started_at END
WHERE identity = %(identity)s
  AND (open_until IS NULL OR open_until <= clock_timestamp())
  AND (used_this_hour < %(per_hour)s OR hour_started_at <= clock_timestamp() - interval '1 hour')
RETURNING extract(epoch FROM next_slot_at - %(interval)s - clock_timestamp())
"""


def identity() -> str:
    """Who we are to YouTube: `guest`, or the name of the cookies file, which is the same on every host."""
    return Path(settings.YTDLP_COOKIES_FILE).name[:100] if settings.YTDLP_COOKIES_FILE else "guest"


def spend(*, check: Callable[[], None] = lambda: None, sleep: Callable[[float], None] = time.sleep) -> None:
    """Take one request out of the budget and wait for its slot; `check` is called while waiting and may raise.

    Outside a transaction, so that nobody waits for our commit. Raises the breaker's FleetError while it is open, and
    DeferredError until the hour is over when its allowance is spent.
    """
    wait = _reserve()
    has_slept = wait > SLEEP_SLICE_SECONDS
    while wait > 0:
        check()
        sleep(min(wait, SLEEP_SLICE_SECONDS))
        wait -= SLEEP_SLICE_SECONDS
    if has_slept:
        _raise_if_refused()  # somebody may have been, meanwhile


def _reserve() -> float:
    """Seconds until the slot that is ours now."""
    values = {
        "identity": identity(),
        "interval": timedelta(seconds=1 / settings.REQUESTS_PER_SECOND),
        "per_hour": settings.REQUESTS_PER_HOUR,
    }
    while True:
        with connection.cursor() as cursor:
            cursor.execute(RESERVE, values)
            if row := cursor.fetchone():
                return float(row[0])
        if Budget.objects.filter(identity=identity()).exists():
            _raise_if_unaskable()
        else:
            Budget.objects.bulk_create([Budget(identity=identity())], ignore_conflicts=True)


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
                open_reason = %(kind)s
            WHERE identity = %(identity)s RETURNING open_until
            """,
            {
                "base": timedelta(seconds=settings.BREAKER_SECONDS),
                "longest": LONGEST_OPENING,
                "kind": kind,
                "identity": identity(),
            },
        )
        return cursor.fetchone()[0]


def accepted() -> bool:
    """YouTube answered: close the breaker again for everybody. True when it was not closed."""
    return bool(
        Budget.objects.filter(identity=identity(), refusals__gt=0, open_until__lte=Now()).update(
            refusals=0, open_until=None, open_reason=""
        )
    )


def open_until() -> tuple[datetime, str] | None:
    """Until when nothing may be asked, and the kind of refusal; None while requests may leave."""
    if refused := _refusals().values_list("open_until", "open_reason").first():
        return refused
    full = Budget.objects.filter(
        identity=identity(), used_this_hour__gte=settings.REQUESTS_PER_HOUR, hour_started_at__gt=Now() - timedelta(hours=1)
    ).values_list(F("hour_started_at") + timedelta(hours=1), flat=True)
    return (full[0], "budget_spent") if full else None
