"""One look at the archive and at the work: tallies, a few counts over indexes, and what runs."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.db import connection
from django.db.models import Count, F, OuterRef
from django.utils import timezone

from ingestion import budget, schedule
from ingestion.admin.tallies import Tally
from ingestion.dashboard.pace import Pace
from ingestion.models import Attempt, DownloadSession, Limits, Scan
from ingestion.roster import ALIVE, SUPERVISOR
from ingestion.schedule import Hold
from videos import tallies
from videos.models import Video
from videos.paginator import CappedCount
from videos.paginator import Count as Number

CAP = 100_000
"""People and channels that are counted."""
SAMPLE = 500
"""Videos, the newest of the last hour, from which the pace is taken."""
MOST_RUNNING = 200
MOST_SESSIONS = 5

COUNTS = """
SELECT (SELECT count(*) FROM (SELECT FROM people_person LIMIT %(cap)s + 1) p),
       (SELECT count(*) FROM (SELECT FROM people_channel LIMIT %(cap)s + 1) c),
       w.hosts, w.workers, s.videos, s.bytes, s.seconds, EXISTS (SELECT FROM ingestion_downloadwindow),
       (SELECT jsonb_object_agg(day, jsonb_build_array(videos, bytes)) FROM ingestion_daytotal WHERE day > %(since)s)
FROM (
    SELECT count(DISTINCT host) FILTER (WHERE queue = %(supervisor)s) AS hosts, count(*) FILTER (WHERE queue <> %(supervisor)s) AS workers
    FROM ingestion_worker WHERE heartbeat_at > statement_timestamp() - %(alive)s
) w, (
    SELECT count(*) AS videos, coalesce(sum(file_size), 0)::bigint AS bytes,
           extract(epoch FROM statement_timestamp() - min(stored_at))::float AS seconds
    FROM (
        SELECT file_size, stored_at FROM videos_video WHERE status = 'stored' AND stored_at > statement_timestamp() - interval '1 hour'
        ORDER BY stored_at DESC LIMIT %(sample)s
    ) newest
) s
"""


@dataclass(frozen=True)
class Running:
    """A download under way; `bytes_total` is None until the formats are known."""

    attempt_id: int
    video_id: int
    title: str
    began_at: datetime
    bytes_done: int
    bytes_total: int | None

    def bytes_per_second(self, now: datetime) -> float:
        """On average since it began."""
        return self.bytes_done / max((now - self.began_at).total_seconds(), 1)


@dataclass
class Look:
    """Everything at one moment. `hold` says why no download may begin at this time of the day; `days` are videos and bytes
    that were stored on each, those without any left out."""

    now: datetime
    archive: tallies.Archive
    people: Number
    channels: Number
    hosts: int
    workers: int
    pace: Pace
    limits: Limits
    requests: budget.State
    hold: Hold | None
    running: list[Running]
    days: dict[date, tuple[int, int]] = field(default_factory=dict)
    sessions: list[tuple[DownloadSession, Tally]] = field(default_factory=list)

    @property
    def speed(self) -> float:
        """Bytes per second that arrive at this moment."""
        return sum(one.bytes_per_second(self.now) for one in self.running)

    @property
    def is_held(self) -> bool:
        """Nothing new is begun, whatever is due. An hour's requests that are used up belong to the pace."""
        return bool(self.limits.paused or self.hold or self.requests.breaker == budget.OPEN or not self.hosts)


def look(*, people: int = 0, days: int = 0, sessions: bool = False) -> Look:
    """With so many of the `people` who take most room, so many of the last days, and with the latest sessions if they are
    asked for."""
    now, archive = timezone.now(), tallies.archive(people=people)
    persons, channels, hosts, workers, videos, size, seconds, has_windows, totals = _counts(
        now - timedelta(days=days + 1) if days else None
    )
    limits = Limits.row()
    return Look(
        now=now,
        archive=archive,
        people=_capped(persons),
        channels=_capped(channels),
        hosts=hosts,
        workers=workers,
        pace=Pace(videos, size, seconds or 0),
        limits=limits,
        requests=budget.state(limits),
        hold=schedule.held_until(limits, now) if has_windows or limits.has_caps else None,
        running=list(_running()),
        days={date.fromisoformat(day): tuple(total) for day, total in json.loads(totals or "{}").items()},
        sessions=_sessions() if sessions else [],
    )


def _counts(since: datetime | None) -> tuple:
    values = {"cap": CAP, "sample": SAMPLE, "alive": ALIVE, "supervisor": SUPERVISOR, "since": since and since.date()}
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, values)
        return cursor.fetchone()


def _capped(found: int) -> Number:
    return CappedCount(CAP) if found > CAP else Number(found)


def _running() -> Iterable[Running]:
    """The oldest first."""
    mine = Attempt.objects.filter(outcome="", video__status=Video.Status.DOWNLOADING, video__claim_id=F("pk")).order_by("pk")
    fields = ("pk", "video_id", "video__title", "video__external_id", "started_at", "live__bytes_done", "live__bytes_total")
    for pk, video, title, name, began_at, done, total in mine.values_list(*fields)[:MOST_RUNNING]:
        yield Running(pk, video, title or name, began_at, done or 0, total)


def _sessions() -> list[tuple[DownloadSession, Tally]]:
    """The latest, in two queries."""
    scans = Scan.objects.filter(session=OuterRef("pk")).order_by().values("session").annotate(number=Count("*")).values("number")
    counted = {"open_scans": scans.filter(state__in=["pending", "running"]), "failed_scans": scans.filter(state="failed")}
    latest = list(DownloadSession.objects.order_by("-id").defer("options", "problems").annotate(**counted)[:MOST_SESSIONS])
    found = tallies.of_sessions([session.pk for session in latest])
    return [(one, Tally(**vars(found[one.pk]), scans=_scans(one.open_scans, one.failed_scans))) for one in latest]


def _scans(open_ones: int | None, failed: int | None) -> Counter[str]:
    return Counter(pending=open_ones or 0, failed=failed or 0)
