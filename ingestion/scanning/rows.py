"""Listed videos as rows: made, completed, taken over and counted, batch after batch."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import uuid4

from django.db import connection, transaction
from django.db.models import Count, QuerySet

from ingestion import turns
from ingestion.assets import ask_for_channel, ask_for_videos
from ingestion.models import Scan
from ingestion.options import Options
from ingestion.scanning.claims import ScanLost, lock_scan
from videos.models import Video
from videos.querysets import AFRESH
from videos.text import storable


class Entry(Protocol):
    """One video as a listing shows it; whatever the listing does not tell is None or blank."""

    external_id: str
    title: str
    duration: float | None
    upload_date: Any
    view_count: int | None
    live_status: str
    availability: str
    tab: str


UPSERT = """
INSERT INTO videos_video AS v (uuid, external_id, person_id, channel_id, session_id, title, duration, upload_date,
                               view_count, live_status, availability, next_attempt_at)
SELECT e.uuid, e.id, %(person)s, %(channel)s, %(session)s, e.title, e.duration, e.upload_date,
       e.view_count, e.live_status, e.availability, statement_timestamp() + e.position * interval '1 microsecond'
FROM unnest(%(uuids)s::uuid[], %(ids)s::text[], %(titles)s::text[], %(durations)s::int[], %(dates)s::date[],
            %(views)s::bigint[], %(lives)s::text[], %(availabilities)s::text[])
     WITH ORDINALITY AS e (uuid, id, title, duration, upload_date, view_count, live_status, availability, position)
ORDER BY e.id
ON CONFLICT (extractor, external_id) DO UPDATE SET
    person_id = CASE WHEN v.channel_id = excluded.channel_id THEN excluded.person_id ELSE v.person_id END,
    title = coalesce(nullif(excluded.title, ''), v.title),
    duration = coalesce(excluded.duration, v.duration),
    upload_date = CASE WHEN v.upload_date_is_exact THEN v.upload_date ELSE coalesce(excluded.upload_date, v.upload_date) END,
    view_count = coalesce(excluded.view_count, v.view_count),
    live_status = coalesce(nullif(excluded.live_status, ''), v.live_status),
    availability = coalesce(nullif(excluded.availability, ''), v.availability)
RETURNING v.external_id, v.id, v.session_id, v.status, v.error_kind, (xmax = 0)
"""


@dataclass(frozen=True)
class Row:
    """A listed video as the database has it now; `is_new` when this listing made it."""

    id: int
    session_id: int | None
    status: str
    error_kind: str
    is_new: bool


@dataclass
class Tally:
    """What one scan found so far."""

    seen: int = 0
    new: int = 0
    already_stored: int = 0
    left_alone: Counter = field(default_factory=Counter)


def save_batch(scan: Scan, batch: Sequence[Entry], options: Options, tally: Tally) -> tuple[int, dict[str, Row]]:
    """Write one batch; returns how many of it are due now, and the rows by YouTube's id.

    Raises ScanLost when the scan is somebody else's by now.
    """
    with transaction.atomic():
        lock_scan(scan)
        rows = _upsert(scan, list({entry.external_id: entry for entry in batch}.values()))
        due = _take_over(scan, rows.values(), options)
        tally.seen += len(batch)
        tally.new += due
        _count_known(scan, tally, rows.values(), options)
        if not scan.session.is_rescan:
            ask_for_videos(scan.session, _kept(rows.values(), options), options)
        write_tally(scan, tally)
        if due:
            turns.note(scan.channel_id, scan.session_id)
    return due, rows


def take_over_channel(scan: Scan, options: Options, tally: Tally) -> int:
    """What a delta scan may not come across again: make this session responsible for all that the channel still owes, and
    ask for the assets that its stored videos lack.

    A re-scan by the schedule asks for nothing but what is new. Raises ScanLost as `save_batch` does.
    """
    if scan.session.is_rescan:
        return 0
    others = Video.objects.filter(channel_id=scan.channel_id).exclude(session_id=scan.session_id)
    with transaction.atomic():
        lock_scan(scan)
        owed = others.filter(status=Video.Status.PENDING).update(session_id=scan.session_id)
        owed += sum(_retry(others.filter(status__in=statuses), scan) for statuses in _wanted_again(options))
        if owed:
            turns.note(scan.channel_id, scan.session_id)
    ask_for_channel(scan.session, scan.channel_id, options)
    tally.new += owed
    return owed


def count_channel(scan: Scan, tally: Tally) -> None:
    """Count what was known before from the rows, since a delta scan did not see it all."""
    known = Video.objects.filter(channel_id=scan.channel_id).exclude(session_id=scan.session_id)
    counts = known.order_by().values_list("status", "error_kind").annotate(Count("id"))
    tally.already_stored, tally.left_alone = 0, Counter()
    for status, kind, count in counts:
        if status == Video.Status.STORED:
            tally.already_stored += count
        elif status not in (Video.Status.PENDING, Video.Status.DOWNLOADING):
            tally.left_alone[kind or status] += count


def _upsert(scan: Scan, batch: Sequence[Entry]) -> dict[str, Row]:
    values = {
        "person": scan.channel.person_id,
        "channel": scan.channel_id,
        "session": scan.session_id,
        "uuids": [uuid4() for _ in batch],
        "ids": [entry.external_id for entry in batch],
        "titles": [storable(entry.title, 300) for entry in batch],
        "durations": [round(entry.duration) if entry.duration else None for entry in batch],
        "dates": [entry.upload_date for entry in batch],
        "views": [entry.view_count for entry in batch],
        "lives": [(entry.live_status or "")[:20] for entry in batch],
        "availabilities": [(entry.availability or "")[:20] for entry in batch],
    }
    with connection.cursor() as cursor:
        cursor.execute(UPSERT, values)
        return {external_id: Row(*rest) for external_id, *rest in cursor.fetchall()}


def _take_over(scan: Scan, rows: Collection[Row], options: Options) -> int:
    """Make this session responsible for what it asked for and is not stored yet; returns how many that made due."""
    others = [] if scan.session.is_rescan else [row for row in rows if row.session_id != scan.session_id]
    waiting = Video.objects.filter(pk__in=[row.id for row in others if row.status == "pending"], status="pending")
    owed = waiting.update(session_id=scan.session_id)
    owed += _retry(Video.objects.filter(pk__in=[row.id for row in others if _is_wanted_again(row, options)]), scan)
    return sum(row.is_new for row in rows) + owed


def _retry(videos: QuerySet, scan: Scan) -> int:
    return videos.update(session_id=scan.session_id, **AFRESH)


def _kept(rows: Collection[Row], options: Options) -> list[int]:
    """Stored ones that are not downloaded again."""
    return [row.id for row in rows if row.status == "stored" and not _is_wanted_again(row, options)]


def _wanted_again(options: Options) -> list[list[str]]:
    """Statuses of known videos that this session wants worked again. What staff skipped stays skipped."""
    return [["stored"]] * (not options.skip_existing) + [["failed", "unavailable"]] * options.retry_failed


def _is_wanted_again(row: Row, options: Options) -> bool:
    return any(row.status in statuses for statuses in _wanted_again(options))


def _count_known(scan: Scan, tally: Tally, rows: Collection[Row], options: Options) -> None:
    """Count what was known before and is not this session's work."""
    for row in rows:
        if row.session_id == scan.session_id or row.status in ("pending", "downloading") or _is_wanted_again(row, options):
            continue
        if row.status == "stored":
            tally.already_stored += 1
        else:
            tally.left_alone[row.error_kind or row.status] += 1


def write_tally(scan: Scan, tally: Tally, **also: Any) -> None:
    """Guarded by the claim: raises ScanLost when the scan is somebody else's by now."""
    ours = Scan.objects.filter(pk=scan.pk, claim_id=scan.claim_id).update(
        seen=tally.seen, new=tally.new, already_stored=tally.already_stored, left_alone=dict(tally.left_alone), **also
    )
    if not ours:
        raise ScanLost
