"""When a failed video is tried again: a pure decision."""

import random
from datetime import datetime, timedelta

from ingestion.errors import ArchiveError, DeferredError, FleetError, PermanentError, SetupError, StaffError

MOST_DOUBLINGS = 20
DEFERRED_LOOK = timedelta(hours=1)
SETUP_LOOK = timedelta(minutes=1)  # its session is paused as well; nobody must spin meanwhile


def next_attempt(
    error: ArchiveError,
    attempts: int,
    now: datetime,
    *,
    max_attempts: int = 3,
    base: timedelta = timedelta(seconds=1),
    cap: timedelta = timedelta(minutes=10),
    jitter: float | None = None,
) -> datetime | None:
    """When to try again after `attempts` spent attempts (this one included), or None for never.

    Transient errors wait base, 2 base, 4 base... up to `cap`, lengthened by up to a fifth; `jitter` from 0 to 1
    says how much, None draws it.
    """
    if isinstance(error, PermanentError | StaffError):
        return None
    if isinstance(error, DeferredError):
        return max(error.not_before or now + DEFERRED_LOOK, now)
    if isinstance(error, FleetError):
        return now
    if isinstance(error, SetupError):
        return now + SETUP_LOOK
    if attempts >= max_attempts:
        return None
    spread = random.random() if jitter is None else jitter
    return now + min(base * 2 ** min(attempts - 1, MOST_DOUBLINGS), cap) * (1 + spread / 5)


def spends_attempt(error: ArchiveError) -> bool:
    """Whether the attempt counts against the video: not when the reason was the clock, YouTube's patience or ourselves."""
    return not isinstance(error, DeferredError | FleetError | SetupError | StaffError)
