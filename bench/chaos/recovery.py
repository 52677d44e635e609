"""How long each fault was felt.

Of a kill three things are measured, and the longest counts:

- each video the victim held: until its attempt was ended and somebody took the next video from the line (the video stands
  in it again, and how long it stands there is the line's length, which is no part of it);
- each scan the victim held: until somebody else had it, or it was over;
- the struck part itself: until workers of the same supervisor took a video again. Without this a cluster that hangs would
  not be noticed as long as the other supervisor works.

What the workers cannot help does not count: time in which PostgreSQL was down or the breaker open; for the struck part also
time in which fewer videos may run than there are workers (by the limits, or while one request at a time finds out whether
YouTube answers again), for then it need not take any.

Apart from any fault: `standstills`, times in which nobody took a video.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.chaos.evidence import Attempt, Evidence, Interval, Strike
from bench.chaos.promises import clock

MOST_SECONDS = 60
KILLS = {
    *("kill_download_worker", "kill_scan_worker", "kill_idle_process", "kill_sentinel", "kill_cluster", "kill_supervisor"),
    *("freeze_worker", "stop_supervisor", "restart_postgres_immediate", "restart_postgres_fast", "kill_s3"),
}


@dataclass(frozen=True)
class Recovery:
    """`seconds` is the longest of what was measured, None when nothing could be; `by` says what it was."""

    strike: Strike
    seconds: float | None
    by: str = ""
    held: int = 0


def recoveries(evidence: Evidence, *, workers: int) -> list[Recovery]:
    return [_Clock(evidence, workers).measure(strike) for strike in evidence.strikes if strike.kind in KILLS]


def standstills(evidence: Evidence) -> list[tuple[float, float, float]]:
    """(seconds, from, until) without any claim, from the first one to the end of the faults' work; the longest first."""
    starts = sorted(attempt.start for attempt in evidence.attempts if attempt.start < evidence.retried_at)
    excused = merged([*evidence.downtimes, *evidence.refused])
    return sorted(((length_without(start, end, excused), start, end) for start, end in pairwise(starts)), reverse=True)


def too_slow(found: Iterable[Recovery]) -> list[str]:
    return [
        f"{one.strike.kind} of {one.strike.victim} at {clock(one.strike.start)} was felt for {one.seconds:.1f} s: {one.by}"
        for one in found
        if one.seconds is not None and one.seconds > MOST_SECONDS
    ]


def too_long(found: Iterable[tuple[float, float, float]]) -> list[str]:
    return [
        f"nobody took a video for {seconds:.1f} s, from {clock(start)} to {clock(end)}"
        for seconds, start, end in found
        if seconds > MOST_SECONDS
    ]


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    """The same time without overlaps, in order."""
    found: list[Interval] = []
    for start, end in sorted(intervals):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def length_without(start: float, end: float, excused: Sequence[Interval]) -> float:
    """Seconds from start to end, those of the (merged) intervals left out."""
    left_out = sum(max(0.0, min(end, until) - max(start, since)) for since, until in excused)
    return max(end - start - left_out, 0.0)


class _Clock:
    def __init__(self, evidence: Evidence, workers: int):
        self._evidence = evidence
        self._attempts = [attempt for attempt in evidence.attempts if attempt.start < evidence.retried_at]
        self._starts = sorted(attempt.start for attempt in self._attempts)
        self._excused = merged([*evidence.downtimes, *evidence.refused])
        self._excused_part = merged([*self._excused, *evidence.probing, *_narrow_times(evidence, workers)])

    def measure(self, strike: Strike) -> Recovery:
        felt = [*self._of_videos(strike), *self._of_scans(strike), *self._of_part(strike), *self._of_servers(strike)]
        seconds, by = max(felt, default=(None, "nothing was due any more"))
        return Recovery(strike, seconds, by, len(self._held(strike)) + len(strike.scans))

    def _held(self, strike: Strike) -> list[Attempt]:
        """None by one that was asked to stop: it finishes them or hands them back."""
        if strike.kind == "stop_supervisor":
            return []
        return [attempt for attempt in self._attempts if attempt.pid in strike.pids and attempt.runs_at(strike.start)]

    def _of_videos(self, strike: Strike) -> Iterable[tuple[float, str]]:
        for attempt in self._held(strike):
            freed = attempt.end or self._evidence.retried_at
            moved = self._next_start(freed) or freed
            yield (
                length_without(strike.start, moved, self._excused),
                f"attempt {attempt.id} at video {attempt.video} ended as {attempt.outcome or 'still running'} at {clock(freed)}, "
                f"the next video was taken at {clock(moved)}",
            )

    def _of_scans(self, strike: Strike) -> Iterable[tuple[float, str]]:
        for scan, claim in strike.scans:
            taken = self._evidence.taken_scans.get((scan, claim), self._evidence.retried_at)
            yield length_without(strike.start, taken, self._excused), f"scan {scan} went on at {clock(taken)}"

    def _of_part(self, strike: Strike) -> Iterable[tuple[float, str]]:
        """Nothing when the same supervisor was struck again before, or when no work was left."""
        if strike.supervisor is None or strike.queue == "control" or strike.kind == "freeze_worker":
            return
        again = min((other.start for other in self._strikes_at(strike.supervisor) if other.start > strike.start), default=float("inf"))
        later = (a for a in self._attempts if a.start > strike.start and a.pid not in strike.pids)
        taken = min((a.start for a in later if self._evidence.tokens.get(a.token) == strike.supervisor), default=None)
        end = min(again, self._evidence.retried_at if taken is None else taken)
        seconds = length_without(strike.start, end, self._excused_part)
        if end == taken or seconds > MOST_SECONDS:
            yield seconds, f"workers of supervisor {strike.supervisor} took {'a video' if end == taken else 'none'} until {clock(end)}"

    def _strikes_at(self, supervisor: str) -> list[Strike]:
        return [other for other in self._evidence.strikes if other.supervisor == supervisor]

    def _of_servers(self, strike: Strike) -> Iterable[tuple[float, str]]:
        """PostgreSQL: until a video is taken; S3: until one is stored."""
        if strike.kind == "kill_s3":
            stored = (a.end for a in self._attempts if a.outcome == "stored" and a.end > strike.end)
            if first := min(stored, default=None):
                yield length_without(strike.end, first, self._excused), f"the next video was stored at {clock(first)}"
        elif strike.kind.startswith("restart_postgres") and (first := self._next_start(strike.end)):
            yield length_without(strike.end, first, self._excused), f"the next video was taken at {clock(first)}"

    def _next_start(self, moment: float) -> float | None:
        at = bisect_right(self._starts, moment)
        return self._starts[at] if at < len(self._starts) else None


def _narrow_times(evidence: Evidence, workers: int) -> list[Interval]:
    """When the limits allowed fewer videos than there are workers."""
    ends = [change.before for change in evidence.limits[1:]] + [float("inf")]
    return [(change.before, end) for change, end in zip(evidence.limits, ends, strict=True) if change.channels * change.videos < workers]
