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
from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Greatest, Now
from django.utils import timezone

from ingestion import budget
from ingestion.errors import ArchiveError, FleetError, SetupError, error
from ingestion.heartbeat import Stopped
from ingestion.leases import lease_length, lock_limits, pause_fail_fast, pause_sessions
from ingestion.models import DownloadSession, Scan
from ingestion.options import Options
from ingestion.retries import next_attempt, spends_attempt
from people.identity import settle_identity
from people.models import Channel
from videos.models import Video
from videos.text import storable

logger = logging.getLogger(__name__)

PAGE, BATCH = 30, 500  # the first batch is small: its downloads start while the listing goes on
KNOWN_IN_A_ROW = 50
NO_LEASE: dict[str, Any] = {"claim_id": None, "lease_owner": "", "lease_expires_at": None}


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


def scan_lease_length() -> timedelta:
    """Longer than a video's: nobody renews it while yt-dlp waits for one answer (30 s at most, then it says so)."""
    return 4 * lease_length()


class ScanLease:
    """Keeps a claimed scan ours while its worker waits for YouTube: `keep` is called often and renews now and then."""

    def __init__(self, scan: Scan):
        self._scan = scan
        self._renewed_at = time.monotonic()

    def keep(self) -> None:
        """Raises ScanLost when the scan is somebody else's by now."""
        if time.monotonic() - self._renewed_at < scan_lease_length().total_seconds() / 3:
            return
        if not Scan.objects.filter(pk=self._scan.pk, claim_id=self._scan.claim_id).update(lease_expires_at=Now() + scan_lease_length()):
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
    """Take the next scan that is due, or whose worker went silent; None when there is none or YouTube must not be asked.

    While YouTube had refused, one scan or download at a time finds out whether it answers again.
    """
    with transaction.atomic():
        room = lock_limits()
        if room.is_held_back or (room.is_probing and _something_runs()):
            return None
        _give_up_abandoned()
        waits = Q(state=Scan.State.PENDING, next_attempt_at__lte=Now())
        scan = (
            Scan.objects.filter(waits | _abandoned())
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
        scan.attempts += 1
        Scan.objects.filter(pk=scan.pk).update(
            state=Scan.State.RUNNING,
            claim_id=scan.claim_id,
            lease_owner=owner,
            lease_expires_at=Now() + scan_lease_length(),
            attempts=scan.attempts,
            started_at=Now(),
        )
    return scan


def _abandoned() -> Q:
    return Q(state=Scan.State.RUNNING, lease_expires_at__lt=Now())


def _something_runs() -> bool:
    scans = Scan.objects.filter(state=Scan.State.RUNNING, lease_expires_at__gte=Now())
    return scans.exists() or Video.objects.filter(status=Video.Status.DOWNLOADING).exists()


def _give_up_abandoned() -> None:
    """A scan that took every one of its workers down is not given to another."""
    lost = error("lost")
    spent = Scan.objects.filter(_abandoned(), attempts__gte=settings.MAX_ATTEMPTS)
    spent.update(state=Scan.State.FAILED, error_kind=lost.kind, error_message=lost.message, finished_at=Now(), **NO_LEASE)


def scan_channel(scan: Scan, *, source: ChannelSource, found: Callable[[int], None], check: Callable[[], None]) -> None:
    """List the channel of a claimed scan into video rows and record the outcome, whatever it is.

    `found(n)` is called after each batch that made n videos due; `check()` before each entry, and may raise Stopped.
    """
    tally = Tally(new=scan.new)  # a scan that is taken up again finds its own rows: they are counted already
    try:
        listing = source.list_channel(_address(scan.channel), scan.channel.kind)
        _list(scan, listing, tally, found, check)
        _done(scan, listing, tally)
    except Stopped:
        raise
    except ScanLost:
        logger.warning("scan %d went on elsewhere", scan.pk)
    except ArchiveError as failure:
        _failed(scan, failure)
    except Exception as exc:  # the outcome must be recorded whatever broke: a scan is otherwise taken up for ever
        logger.exception("an unforeseen error in a scan", extra={"scan": scan.pk})
        _failed(scan, error("unknown", f"{type(exc).__name__}: {exc}"))


def _address(channel: Channel) -> str:
    """By YouTube's own id once it is known: handles are renamed, and given to others."""
    if channel.kind == Channel.Kind.CHANNEL and channel.external_id:
        return f"https://www.youtube.com/channel/{channel.external_id}"
    return channel.canonical_url


def _list(scan: Scan, listing: Any, tally: Tally, found: Callable[[int], None], check: Callable[[], None]) -> None:
    options = Options.of(scan.session.options)
    delta = _is_delta(scan, options)
    known = _Known(listing, delta=delta)
    if delta:
        found(_take_over_channel(scan, options, tally))
    entries = itertools.islice(_checked(listing, check), options.limit)
    for batch in _batches(entries, PAGE if delta else BATCH):
        _know_channel(scan, listing)
        found(_save(scan, batch, options, tally, known))
    if delta:
        _count_channel(scan, tally)


def _is_delta(scan: Scan, options: Options) -> bool:
    """Only what is new needs to be looked for: the whole channel was listed before, and no limit asks for its newest."""
    return bool(scan.channel.listed_whole_at) and options.limit is None


def _take_over_channel(scan: Scan, options: Options, tally: Tally) -> int:
    """What a delta scan may not come across again: make this session responsible for all that the channel still owes."""
    others = Video.objects.filter(channel_id=scan.channel_id).exclude(session_id=scan.session_id)
    owed = others.filter(status=Video.Status.PENDING).update(session_id=scan.session_id)
    owed += sum(_retry(others.filter(status__in=statuses), scan) for statuses in _wanted_again(options))
    tally.new += owed
    return owed


def _count_channel(scan: Scan, tally: Tally) -> None:
    """Count what was known before from the rows, since a delta scan did not see it all."""
    known = Video.objects.filter(channel_id=scan.channel_id).exclude(session_id=scan.session_id)
    counts = known.order_by().values_list("status", "error_kind").annotate(Count("id"))
    tally.already_stored, tally.left_alone = 0, Counter()
    for status, kind, count in counts:
        if status == Video.Status.STORED:
            tally.already_stored += count
        elif status not in (Video.Status.PENDING, Video.Status.DOWNLOADING):
            tally.left_alone[kind or status] += count


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
    """Write down YouTube's id and title as soon as they are told; two rows of one channel become one.

    Raises ScanLost when another scan of this session does that channel's work already.
    """
    if listing.external_id == scan.channel.external_id and listing.title == scan.channel.title:
        return
    with transaction.atomic():
        told = {"external_id": listing.external_id or "", "title": storable(listing.title)}
        channel = settle_identity(scan.channel, **told)
        merged = channel.pk != scan.channel_id
        goes_on = not merged or _merge(scan, channel)
    if not goes_on:
        raise ScanLost


def _merge(scan: Scan, channel: Channel) -> bool:
    """Move the scans of a second row of one channel to the first, and remove it. False when this scan went with it:
    its session has a scan of the first row too."""
    old = scan.channel
    doubles = Scan.objects.filter(channel=channel).values("session")
    Scan.objects.filter(channel=old).exclude(session__in=doubles).update(channel=channel)
    goes_on = Scan.objects.filter(pk=scan.pk, channel=channel).exists()
    if old.person_id != channel.person_id:
        _tell(scan.session_id, old, channel)
    old.delete()
    scan.channel = channel
    return goes_on


def _tell(session_id: int, old: Channel, channel: Channel) -> None:
    message = f"This is the same channel as {channel.canonical_url}, which belongs to {channel.person}: its videos are listed there."
    problem = {"source": "scan", "row": None, "value": old.url, "message": message, "is_note": False}
    session = DownloadSession.objects.select_for_update().get(pk=session_id)
    DownloadSession.objects.filter(pk=session_id).update(problems=[*session.problems, problem])


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
        _write_tally(scan, tally, lease_expires_at=Now() + scan_lease_length())
    return due


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
    others = [row for row in rows if row.session_id != scan.session_id]
    waiting = Video.objects.filter(pk__in=[row.id for row in others if row.status == "pending"], status="pending")
    owed = waiting.update(session_id=scan.session_id)
    owed += _retry(Video.objects.filter(pk__in=[row.id for row in others if _is_wanted_again(row, options)]), scan)
    return sum(row.is_new for row in rows) + owed


def _retry(videos: QuerySet, scan: Scan) -> int:
    return videos.update(
        session_id=scan.session_id, status="pending", wanted="run", attempts=0, next_attempt_at=Now(), error_kind="", error_message=""
    )


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


def _write_tally(scan: Scan, tally: Tally, **also: Any) -> None:
    """Guarded by the claim: raises ScanLost when the scan is somebody else's by now."""
    ours = Scan.objects.filter(pk=scan.pk, claim_id=scan.claim_id).update(
        seen=tally.seen, new=tally.new, already_stored=tally.already_stored, left_alone=dict(tally.left_alone), **also
    )
    if not ours:
        raise ScanLost


def _done(scan: Scan, listing: Any, tally: Tally) -> None:
    _know_channel(scan, listing)
    budget.accepted()
    nothing = error("empty")
    verdict = {} if tally.seen else {"error_kind": nothing.kind, "error_message": nothing.message}
    whole = {"listed_whole_at": Now(), "seen": tally.seen, "expected": listing.expected} if listing.complete else {}
    with transaction.atomic():
        _write_tally(scan, tally, state=Scan.State.DONE, expected=listing.expected, finished_at=Now(), **verdict, **NO_LEASE)
        channel = Channel.objects.filter(pk=scan.channel_id)
        channel.update(last_scanned_at=Now(), **whole)
        if tally.seen:
            channel.filter(state=Channel.State.GONE).update(state=Channel.State.ACTIVE)


def _failed(scan: Scan, failure: ArchiveError) -> None:
    logger.info("a channel was not listed: %s", failure, extra={"scan": scan.pk})
    is_refusal = isinstance(failure, FleetError) and not isinstance(failure, budget.BreakerClosed)
    if is_refusal:
        budget.refused(failure.kind)
    scan.refusals += is_refusal
    now = timezone.now()
    base = timedelta(seconds=settings.BACKOFF_BASE_SECONDS)
    again = next_attempt(failure, scan.attempts, now, max_attempts=settings.MAX_ATTEMPTS, base=base)
    verdict: dict[str, Any] = {"error_kind": failure.kind, "error_message": storable(failure.message, 2000), "refusals": scan.refusals}
    if again is None or scan.refusals >= settings.MAX_ATTEMPTS:
        verdict |= {"state": Scan.State.FAILED, "finished_at": Now()}
    else:
        verdict |= {"state": Scan.State.PENDING, "next_attempt_at": Now() + (again - now)}
        verdict |= {} if spends_attempt(failure) else {"attempts": Greatest(F("attempts") - 1, 0)}
    if Scan.objects.filter(pk=scan.pk, claim_id=scan.claim_id).update(**verdict, **NO_LEASE):
        _follow_up(scan, failure, is_over=verdict["state"] == Scan.State.FAILED)


def _follow_up(scan: Scan, failure: ArchiveError, *, is_over: bool) -> None:
    if isinstance(failure, SetupError):
        pause_sessions([scan.session_id], failure.message)
    elif is_over:
        pause_fail_fast([scan.session_id], failure)
    if failure.kind in ("channel_missing", "terminated"):
        Channel.objects.filter(pk=scan.channel_id).update(state=Channel.State.GONE, last_scanned_at=Now())


def hand_back_scan(scan: Scan) -> None:
    """Give an unfinished scan back: due at once, the attempt not counted."""
    Scan.objects.filter(pk=scan.pk, claim_id=scan.claim_id).update(
        state=Scan.State.PENDING, next_attempt_at=Now(), attempts=Greatest(F("attempts") - 1, 0), **NO_LEASE
    )
