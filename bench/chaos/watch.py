"""What the database says while the run goes on; it may be away at any moment."""

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg

from bench.chaos.evidence import Interval, LimitChange
from bench.chaos.stage import Stage

LOOK_SECONDS = 0.4
COUNT_SECONDS = 2.0

COUNT = """
SELECT count(*) FILTER (WHERE status = 'stored'), count(*) FILTER (WHERE status IN ('failed', 'unavailable', 'skipped')),
       count(*) FILTER (WHERE status = 'pending'), count(*) FILTER (WHERE status = 'downloading'), count(*)
FROM videos_video
"""
LOOK = """
SELECT coalesce(bool_or(open_until > clock_timestamp()), false), coalesce(bool_or(refusals > 0), false) FROM ingestion_budget
"""
SET_LIMITS = "UPDATE ingestion_limits SET max_concurrent_channels = %s, max_concurrent_videos_per_channel = %s"


@dataclass
class Counts:
    stored: int = 0
    ended: int = 0  # without being stored
    pending: int = 0
    running: int = 0
    total: int = 0
    open_scans: int = 0


@dataclass
class Watch:
    """Looks again and again, and keeps what no row keeps: when the breaker was open, who held which scan, whose workers are whose."""

    stage: Stage
    counts: Counts = field(default_factory=Counts)
    refused: list[Interval] = field(default_factory=list)  # the breaker was open
    probing: list[Interval] = field(default_factory=list)  # open, or half open: one request at a time finds out
    limits: list[LimitChange] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)  # of a supervisor's process -> the supervisor's name
    taken_scans: dict[tuple[int, str], float] = field(default_factory=dict)  # (scan, claim that was cut) -> when it went on
    _cut_scans: set[tuple[int, str]] = field(default_factory=set)
    _connection: psycopg.Connection | None = None
    _looked_at: float = 0
    _counted_at: float = 0

    def ask(self, query: str, *values: Any) -> list[tuple] | None:
        """The rows, or None when the database does not answer."""
        try:
            if self._connection is None:
                self._connection = self.stage.connect()
            cursor = self._connection.execute(query, values)
            return cursor.fetchall() if cursor.description else []
        except psycopg.OperationalError:
            self.close()
            return None

    def close(self) -> None:
        if self._connection:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def look(self) -> None:
        """Called often; asks now and then."""
        now = time.time()
        if now - self._looked_at >= LOOK_SECONDS:
            self._look(now)
            self._looked_at = time.time()
        if now - self._counted_at >= COUNT_SECONDS:
            self.count()
            self._counted_at = time.time()

    def _look(self, now: float) -> None:
        rows = self.ask(LOOK)
        since = max(self._looked_at, now - 2 * LOOK_SECONDS)
        for happens, intervals in zip(rows[0] if rows else (), (self.refused, self.probing), strict=False):
            if happens:
                intervals.append((since, time.time()))
        self._learn_tokens()
        if self._cut_scans:
            rows = self.ask("SELECT id, claim_id::text FROM ingestion_scan WHERE id = ANY(%s)", [scan for scan, _ in self._cut_scans])
            holders = dict(rows or [])
            for cut in [cut for cut in self._cut_scans if rows is not None and holders.get(cut[0]) != cut[1]]:
                self._cut_scans.discard(cut)
                self.taken_scans[cut] = time.time()

    def _learn_tokens(self) -> None:
        for (name,) in self.ask("SELECT name FROM ingestion_worker") or []:
            _, token, pid = name.rsplit(":", 2)
            for supervisor in self.stage.supervisors:
                if int(pid) in supervisor.pids:
                    self.tokens.setdefault(token, supervisor.name)

    def count(self) -> bool:
        """False when the database did not answer; then the counts are the old ones."""
        videos = self.ask(COUNT)
        scans = self.ask("SELECT count(*) FROM ingestion_scan WHERE state IN ('pending', 'running')")
        if videos and scans:
            self.counts = Counts(*videos[0], scans[0][0])
        return bool(videos and scans)

    # --- who holds what -----------------------------------------------------------------------------------------------

    def holders(self, table: str) -> list[int]:
        """Process numbers that hold a video or a scan, in order."""
        condition = {"videos_video": "status = 'downloading'", "ingestion_scan": "state = 'running'"}[table]
        rows = self.ask(f"SELECT DISTINCT lease_owner FROM {table} WHERE {condition}") or []
        return sorted(int(owner.rpartition(":")[2]) for (owner,) in rows)

    def scans_of(self, pids: set[int]) -> list[tuple[int, str]]:
        """(scan, claim) of these processes; from now on it is watched when each goes on."""
        rows = self.ask("SELECT id, claim_id::text, lease_owner FROM ingestion_scan WHERE state = 'running'") or []
        held = [(scan, claim) for scan, claim, owner in rows if int(owner.rpartition(":")[2]) in pids]
        self._cut_scans.update(held)
        return held

    # --- limits -------------------------------------------------------------------------------------------------------

    def set_limits(self, channels: int, videos: int) -> bool:
        """False when the database did not answer: try again."""
        before = time.time()
        done = self.ask(SET_LIMITS, channels, videos) is not None
        if done:
            self.limits.append(LimitChange(before, time.time(), channels, videos))
        return done
