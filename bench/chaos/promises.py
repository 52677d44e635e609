"""What must hold after a run: each function answers with one sentence for each breach, and with nothing when the promise was kept."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from bench.chaos.evidence import Attempt, Evidence, LimitChange, Video

FINAL = {"stored", "failed", "unavailable", "skipped"}


def clock(moment: float | None) -> str:
    """A moment as the logs write it."""
    return "now" if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S.%f")


def breaches(evidence: Evidence) -> dict[str, list[str]]:
    """Sentences by promise."""
    return {
        "lost": [*not_stored(evidence.videos, evidence.expected), *evidence.complaints],
        "not final": [*not_final(evidence.ended), *not_drained(evidence), *left_running(evidence.attempts)],
        "stored twice": [*stored_twice(evidence.attempts)],
        "overlapping": [*overlapping(evidence.attempts)],
        "limit violations": [*limits_exceeded(evidence.attempts, evidence.limits)],
        "objects wrong": evidence.objects_wrong,
        "orphan objects": evidence.orphans,
        "orphan uploads": evidence.uploads,
    }


def not_stored(videos: Iterable[Video], expected: set[str]) -> Iterator[str]:
    there = {video.external_id: video for video in videos}
    for name in sorted(expected):
        video = there.get(name)
        if video is None:
            yield f"{name} was never listed"
        elif video.status != "stored":
            yield f"{name} (video {video.id}) is {video.status} {video.kind} at the end"


def not_final(videos: Iterable[Video]) -> Iterator[str]:
    for video in videos:
        if video.status not in FINAL:
            yield f"{video.external_id} (video {video.id}) was still {video.status} when no work was due any more"
        elif video.status in ("failed", "unavailable") and not video.kind:
            yield f"{video.external_id} (video {video.id}) is {video.status} without a kind"


def not_drained(evidence: Evidence) -> Iterator[str]:
    if not evidence.is_drained:
        yield f"the work was not done by {clock(evidence.retried_at)}, long after the last fault"


def left_running(attempts: Iterable[Attempt]) -> Iterator[str]:
    for attempt in attempts:
        if attempt.end is None:
            yield f"attempt {attempt.id} at video {attempt.video} by {attempt.worker}, begun {clock(attempt.start)}, has no end"


def stored_twice(attempts: Iterable[Attempt]) -> Iterator[str]:
    for video, times in Counter(attempt.video for attempt in attempts if attempt.outcome == "stored").items():
        if times > 1:
            yield f"video {video} was stored {times} times"


def overlapping(attempts: Iterable[Attempt]) -> Iterator[str]:
    by_video = defaultdict(list)
    for attempt in attempts:
        by_video[attempt.video].append(attempt)
    for video, tries in by_video.items():
        tries.sort(key=lambda attempt: attempt.start)
        for earlier, later in pairwise(tries):
            if earlier.end is None or later.start < earlier.end:
                yield (
                    f"video {video}: attempt {later.id} ({later.worker}) began {clock(later.start)}, "
                    f"before attempt {earlier.id} ({earlier.worker}, {earlier.outcome}) ended {clock(earlier.end)}"
                )


def limits_exceeded(attempts: Iterable[Attempt], changes: Sequence[LimitChange]) -> Iterator[str]:
    """At the start of every attempt: how many ran then, in its channel and in how many channels, against the limits of that moment.

    What runs already when limits are lowered may go on; nothing may begin above them.
    """
    running: list[Attempt] = []
    for attempt in sorted(attempts, key=lambda attempt: attempt.start):
        running = [other for other in running if other.runs_at(attempt.start)]
        running.append(attempt)
        in_channel = [other for other in running if other.channel == attempt.channel]
        channels = {other.channel for other in running}
        limit = limits_at(attempt.start, changes)
        begun = f"attempt {attempt.id} in channel {attempt.channel} began {clock(attempt.start)} under {limit}"
        if len(in_channel) > limit.videos:
            yield f"{begun} as number {len(in_channel)} of its channel, beside {_ids(in_channel, attempt)}"
        if len(channels) > limit.channels:
            yield f"{begun} while {len(channels)} channels were at work, beside {_ids(running, attempt)}"


def limits_at(moment: float, changes: Sequence[LimitChange]) -> LimitChange:
    """Those in force; while a change is being written, the more generous of both."""
    known = [change for change in changes if change.before <= moment] or [changes[0]]
    current = known[-1]
    if moment <= current.after and len(known) > 1:
        before = known[-2]
        return LimitChange(before.before, current.after, max(before.channels, current.channels), max(before.videos, current.videos))
    return current


def _ids(attempts: Iterable[Attempt], but: Attempt) -> str:
    return ", ".join(f"{other.id} ({clock(other.start)} to {clock(other.end)})" for other in attempts if other is not but)
