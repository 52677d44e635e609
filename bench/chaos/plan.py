"""Which fault strikes when: drawn from a seed alone, so that a run can be asked for again."""

import random
from dataclasses import dataclass

FIRST_SECOND = 6  # the workers have begun by then
SPREAD = 0.4  # of the time between two faults, either way

# How often each kind is drawn, compared with the others.
WEIGHTS = {
    "kill_download_worker": 8,
    "kill_scan_worker": 3,
    "kill_idle_process": 3,
    "kill_sentinel": 3,
    "kill_cluster": 3,
    "kill_supervisor": 2,
    "freeze_worker": 2,
    "stop_supervisor": 1,
    "restart_postgres_immediate": 1,
    "restart_postgres_fast": 1,
    "kill_s3": 2,
    "s3_errors": 3,
    "s3_lost_answers": 2,
    "youtube_429": 1,
    "media_reset": 3,
    "media_stall": 2,
    "media_cut": 3,
}


@dataclass(frozen=True)
class Planned:
    """A fault to come: `at` in seconds from the start, `draw` (0 to 1) chooses its victim, `size` (0 to 1) its measure."""

    at: float
    kind: str
    draw: float
    size: float


def draw_plan(seed: int, seconds: float, *, every: float) -> list[Planned]:
    """A fault every so many seconds, more or less: each kind once before any comes again, then by WEIGHTS."""
    dice = random.Random(seed)
    first = dice.sample(sorted(WEIGHTS), len(WEIGHTS))
    plan: list[Planned] = []
    at = float(FIRST_SECOND)
    while at < seconds:
        kind = first.pop() if first else dice.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        plan.append(Planned(round(at, 1), kind, dice.random(), dice.random()))
        at += every * dice.uniform(1 - SPREAD, 1 + SPREAD)
    return plan
