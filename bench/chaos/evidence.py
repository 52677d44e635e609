"""What a run leaves behind, as plain data: attempts and videos from the database, strikes and outages from the run itself."""

from dataclasses import dataclass, field

Interval = tuple[float, float]  # seconds since 1970


@dataclass(frozen=True)
class Attempt:
    """`end` is None while it runs."""

    id: int
    video: int
    channel: int
    worker: str
    start: float
    end: float | None
    outcome: str

    @property
    def pid(self) -> int:
        return int(self.worker.rpartition(":")[2])

    @property
    def token(self) -> str:
        """Of the supervisor whose process this was."""
        return self.worker.rsplit(":", 2)[1]

    def runs_at(self, moment: float) -> bool:
        return self.start <= moment and (self.end is None or moment < self.end)


@dataclass(frozen=True)
class Video:
    id: int
    external_id: str
    status: str
    kind: str


@dataclass(frozen=True)
class LimitChange:
    """Limits that came into force at some moment between `before` and `after`."""

    before: float
    after: float
    channels: int
    videos: int

    def __str__(self):
        return f"{self.channels} channels x {self.videos}"


@dataclass
class Strike:
    """A fault as it was dealt. `end` is when the part was whole again, `start` itself for a kill.

    `supervisor` is whose part was struck; `queue` which of its clusters, None for both. `scans` are (scan, claim) held then.
    """

    kind: str
    start: float
    end: float
    victim: str
    supervisor: str | None = None
    queue: str | None = None
    pids: set[int] = field(default_factory=set)
    scans: list[tuple[int, str]] = field(default_factory=list)


@dataclass
class Evidence:
    """`retried_at`: when the faults' work was drained and what had failed was asked for again. `ended` are the videos just before.

    `expected` are the ids that must be stored; `complaints` are the words of the product's own audit and commands, `orphans`
    the objects that no row points to, `uploads` the unfinished ones.
    """

    attempts: list[Attempt]
    videos: list[Video]
    ended: list[Video]
    expected: set[str]
    limits: list[LimitChange]
    strikes: list[Strike]
    refused: list[Interval]
    probing: list[Interval]
    downtimes: list[Interval]
    tokens: dict[str, str]
    taken_scans: dict[tuple[int, str], float]
    retried_at: float
    is_drained: bool
    complaints: list[str]
    objects_wrong: list[str]
    orphans: list[str]
    uploads: list[str]


READ_ATTEMPTS = """
SELECT a.id, a.video_id, v.channel_id, a.worker, extract(epoch FROM a.started_at)::float8,
       extract(epoch FROM a.finished_at)::float8, a.outcome
FROM ingestion_attempt a JOIN videos_video v ON v.id = a.video_id ORDER BY a.id
"""
READ_VIDEOS = "SELECT id, external_id, status, error_kind FROM videos_video ORDER BY id"


def read_attempts(rows: list[tuple]) -> list[Attempt]:
    return [Attempt(*row) for row in rows]


def read_videos(rows: list[tuple]) -> list[Video]:
    return [Video(*row) for row in rows]
