"""Listing a channel into video rows: batch after batch, in constant memory, while the first downloads already run."""

import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol
from uuid import uuid4

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Greatest, Now
from django.utils import timezone

from ingestion import budget
from ingestion.errors import ArchiveError, FleetError, PermanentError, error
from ingestion.leases import lease_length
from ingestion.models import Scan
from ingestion.options import Options
from ingestion.retries import next_attempt, spends_attempt
from people.identity import settle_identity
from people.models import Channel
from videos.models import Video

logger = logging.getLogger(__name__)

PAGE, BATCH = 30, 500  # the first batch is small: its downloads start while the listing goes on
KNOWN_IN_A_ROW = 50


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


class ChannelSource(Protocol):
    """YouTube, as far as a scan needs it; `list_channel` and its iteration raise ArchiveError."""

    def list_channel(self, url: str, kind: str) -> Any: ...


class ScanLost(Exception):
    """The scan's lease went to somebody else: stop and write nothing."""


class ScanLease:
    """Keeps a claimed scan ours while its worker waits for YouTube: `keep` is called often and renews now and then."""

    def __init__(self, scan: Scan):
        self._scan = scan
        self._renewed_at = time.monotonic()

    def keep(self) -> None:
        """Raises ScanLost when the scan is somebody else's by now."""
        if time.monotonic() - self._renewed_at < lease_length().total_seconds() / 3:
            return
        if not Scan.objects.filter(pk=self._scan.pk, claim_id=self._scan.claim_id).update(lease_expires_at=Now() + lease_length()):
            raise ScanLost
        self._renewed_at = time.monotonic()


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


def claim_scan(owner: str) -> Scan | None:
    """Take the next scan that is due, or whose worker went silent; None when there is none or YouTube must not be asked."""
    if budget.closed_until():
        return None
    waits = Q(state=Scan.State.PENDING, next_attempt_at__lte=Now())
    abandoned = Q(state=Scan.State.RUNNING, lease_expires_at__lt=Now())
    with transaction.atomic():
        scan = (
            Scan.objects.filter(waits | abandoned)
            .exclude(session__state__in=["paused", "cancelled"])
            .exclude(channel__state=Channel.State.PAUSED)
            .select_for_update(skip_locked=True, of=["self"])
            .select_related("channel__person", "session")
            .order_by("next_attempt_at", "id")
            .first()
        )
        if scan is None:
            return None
        scan.claim_id = uuid4()
        Scan.objects.filter(pk=scan.pk).update(
            state=Scan.State.RUNNING,
            claim_id=scan.claim_id,
            lease_owner=owner,
            lease_expires_at=Now() + lease_length(),
            attempts=F("attempts") + 1,
            started_at=Now(),
        )
    scan.attempts += 1
    return scan


def scan_channel(scan: Scan, *, source: ChannelSource, found: Callable[[int], None], check: Callable[[], None]) -> None:
    """List the channel of a claimed scan into video rows and record the outcome, whatever it is.

    `found(n)` is called after each batch that made n videos due; `check()` before each entry, and may raise to stop.
    """
    tally = Tally(new=scan.new)  # a scan that is taken up again finds its own rows: they are counted already
    try:
        listing = source.list_channel(scan.channel.canonical_url, scan.channel.kind)
        _list(scan, listing, tally, found, check)
        _done(scan, listing, tally)
    except ScanLost:
        logger.warning("scan %d went on elsewhere", scan.pk)
    except ArchiveError as failure:
        _failed(scan, failure, tally)


def _list(scan: Scan, listing: Any, tally: Tally, found: Callable[[int], None], check: Callable[[], None]) -> None:
    options = Options.of(scan.session.options)
    delta = bool(scan.channel.listed_whole_at)
    known = _Known(listing, delta=delta)
    entries = itertools.islice(_checked(listing, check), options.limit)
    for batch in _batches(entries, PAGE if delta else BATCH):
        _know_channel(scan, listing)
        found(_save(scan, batch, options, tally, known))


def _checked(listing: Any, check: Callable[[], None]) -> Iterator[Entry]:
    for entry in listing:
        check()
        yield entry


def _batches(entries: Iterator[Entry], size: int) -> Iterator[list[Entry]]:
    """A first batch of PAGE, then batches of `size`; what was listed before a failure comes out before it is raised."""
    batch: list[Entry] = []
    room = PAGE
    try:
        for entry in entries:
            batch.append(entry)
            if len(batch) == room:
                yield batch
                batch, room = [], size
    except ArchiveError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


class _Known:
    """Ends a tab of a delta scan after KNOWN_IN_A_ROW known videos: the newest come first, the rest was listed before."""

    def __init__(self, listing: Any, *, delta: bool):
        self._listing, self._delta, self._in_a_row, self._tab = listing, delta, 0, ""

    def note(self, entry: Entry, *, is_new: bool) -> None:
        same_tab = entry.tab == self._tab
        self._in_a_row = 0 if is_new else (self._in_a_row if same_tab else 0) + 1
        self._tab = entry.tab
        if self._delta and self._in_a_row == KNOWN_IN_A_ROW:
            self._listing.leave_tab()


def _know_channel(scan: Scan, listing: Any) -> None:
    """Write down YouTube's id and title as soon as they are told; two rows of one channel become one."""
    if listing.external_id == scan.channel.external_id and listing.title == scan.channel.title:
        return
    with transaction.atomic():
        channel = settle_identity(scan.channel, external_id=listing.external_id or "", title=listing.title or "")
        if channel.pk == scan.channel_id:
            return
        old, scan.channel = scan.channel, channel
        if Scan.objects.filter(session_id=scan.session_id, channel=channel).exists():
            Scan.objects.filter(pk=scan.pk).delete()
            old.delete()
            raise ScanLost
        Scan.objects.filter(channel=old).update(channel=channel)
        old.delete()


def _save(scan: Scan, batch: Sequence[Entry], options: Options, tally: Tally, known: _Known) -> int:
    """Write one batch, renew the scan's lease, and return how many of it are due now."""
    with transaction.atomic():
        rows = _upsert(scan, list({entry.external_id: entry for entry in batch}.values()))
        due = _take_over(scan, rows.values(), options)
        for entry in batch:
            known.note(entry, is_new=rows[entry.external_id].is_new)
        tally.seen += len(batch)
        tally.new += due
        _count_known(scan, tally, rows.values(), options)
        _write_tally(scan, tally, lease_expires_at=Now() + lease_length())
    return due


def _upsert(scan: Scan, batch: Sequence[Entry]) -> dict[str, Row]:
    values = {
        "person": scan.channel.person_id,
        "channel": scan.channel_id,
        "session": scan.session_id,
        "uuids": [uuid4() for _ in batch],
        "ids": [entry.external_id for entry in batch],
        "titles": [(entry.title or "")[:300] for entry in batch],
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
    others = [row for row in rows if row.session_id != scan.session_id]
    waiting = [row.id for row in others if row.status == "pending"]
    again = [row.id for row in others if _is_wanted_again(row, options)]
    if waiting:
        Video.objects.filter(pk__in=waiting, status="pending").update(session=scan.session_id)
    if again:
        Video.objects.filter(pk__in=again).update(
            session=scan.session_id, status="pending", attempts=0, next_attempt_at=Now(), error_kind="", error_message=""
        )
    return sum(row.is_new for row in rows) + len(waiting) + len(again)


def _is_wanted_again(row: Row, options: Options) -> bool:
    if row.status == "stored":
        return not options.skip_existing
    return options.retry_failed and row.status in ("failed", "unavailable", "skipped")


def _count_known(scan: Scan, tally: Tally, rows: Collection[Row], options: Options) -> None:
    """Count what was known before and is not this session's work."""
    for row in rows:
        if row.session_id == scan.session_id or row.status in ("pending", "downloading") or _is_wanted_again(row, options):
            continue
        if row.status == "stored":
            tally.already_stored += 1
        else:
            tally.left_alone[row.error_kind or row.status] += 1


def _write_tally(scan: Scan, tally: Tally, **also: Any) -> None:
    """Guarded by the claim: raises ScanLost when the scan is somebody else's by now."""
    ours = Scan.objects.filter(pk=scan.pk, claim_id=scan.claim_id).update(
        seen=tally.seen, new=tally.new, already_stored=tally.already_stored, left_alone=dict(tally.left_alone), **also
    )
    if not ours:
        raise ScanLost


NO_LEASE: dict[str, Any] = {"claim_id": None, "lease_owner": "", "lease_expires_at": None}


def _done(scan: Scan, listing: Any, tally: Tally) -> None:
    _know_channel(scan, listing)
    budget.accepted()
    nothing = error("empty")
    verdict = {} if tally.seen else {"error_kind": nothing.kind, "error_message": nothing.message}
    whole = {"listed_whole_at": Now(), "seen": tally.seen, "expected": listing.expected} if listing.complete else {}
    with transaction.atomic():
        _write_tally(scan, tally, state=Scan.State.DONE, expected=listing.expected, finished_at=Now(), **verdict, **NO_LEASE)
        Channel.objects.filter(pk=scan.channel_id).update(last_scanned_at=Now(), **whole)


def _failed(scan: Scan, failure: ArchiveError, tally: Tally) -> None:
    logger.info("a channel was not listed: %s", failure, extra={"scan": scan.pk})
    if isinstance(failure, FleetError) and not isinstance(failure, budget.BreakerClosed):
        budget.refused(failure.kind)
    now = timezone.now()
    base = timedelta(seconds=settings.BACKOFF_BASE_SECONDS)
    again = next_attempt(failure, scan.attempts, now, max_attempts=settings.MAX_ATTEMPTS, base=base)
    verdict: dict[str, Any] = {"error_kind": failure.kind, "error_message": failure.message[:2000], **NO_LEASE}
    if again is None:
        verdict |= {"state": Scan.State.FAILED, "finished_at": Now()}
    else:
        verdict |= {"state": Scan.State.PENDING, "next_attempt_at": Now() + (again - now)}
        verdict |= {} if spends_attempt(failure) else {"attempts": Greatest(F("attempts") - 1, 0)}
    ours = Scan.objects.filter(pk=scan.pk, claim_id=scan.claim_id).update(**verdict)
    if ours and isinstance(failure, PermanentError) and failure.kind in ("channel_missing", "terminated"):
        Channel.objects.filter(pk=scan.channel_id).update(state=Channel.State.GONE, last_scanned_at=Now())


def hand_back_scan(scan: Scan) -> None:
    """Give an unfinished scan back: due at once, the attempt not counted."""
    Scan.objects.filter(pk=scan.pk, claim_id=scan.claim_id).update(
        state=Scan.State.PENDING, next_attempt_at=Now(), attempts=Greatest(F("attempts") - 1, 0), **NO_LEASE
    )
