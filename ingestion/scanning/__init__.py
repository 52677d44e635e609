"""Listing a channel into video rows: batch after batch, in constant memory, while the first downloads already run.

claims   who holds which scan, and until when; what its end leads to
rows     listed videos as rows: made, completed, taken over and counted
"""

import itertools
import logging
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from django.db import transaction
from django.db.models.functions import Now

from ingestion import budget
from ingestion.errors import ArchiveError, error
from ingestion.heartbeat import Stopped
from ingestion.models import DownloadSession, Limits, Scan
from ingestion.options import Options
from ingestion.outages import DATABASE_AWAY
from ingestion.scanning.claims import NO_LEASE, ScanLost, claim_scan, fail_scan, hand_back_scan, live_scans, renew_scan
from ingestion.scanning.rows import Entry, Tally, count_channel, save_batch, take_over_channel, write_tally
from people.identity import settle_identity
from people.models import Channel
from videos.text import storable

__all__ = ["claim_scan", "hand_back_scan", "live_scans", "renew_scan", "scan_channel"]

logger = logging.getLogger(__name__)

PAGE = 30  # the first batch is small: its downloads start while the listing goes on
KNOWN_IN_A_ROW = 50


class ChannelSource(Protocol):
    """YouTube, as far as a scan needs it; `list_channel` and its iteration raise ArchiveError."""

    def list_channel(self, url: str, kind: str) -> Any: ...


def scan_channel(scan: Scan, *, source: ChannelSource, found: Callable[[int], None], check: Callable[[], None]) -> None:
    """List the channel of a claimed scan into video rows and record the outcome, whatever it is.

    `found(n)` is called after each batch that made n videos due; `check()` before each entry, and may raise Stopped.
    That, and a database that is away, come out: the scan is then for the caller to hand back.
    """
    tally = Tally(new=scan.new)  # a scan that is taken up again finds its own rows: they are counted already
    try:
        listing = source.list_channel(_address(scan.channel), scan.channel.kind)
        _list(scan, listing, tally, found, check)
        _done(scan, listing, tally)
    except (Stopped, *DATABASE_AWAY):
        raise
    except ScanLost:
        logger.warning("scan %d went on elsewhere", scan.pk)
    except ArchiveError as failure:
        fail_scan(scan, failure)
    except Exception as exc:  # the outcome must be recorded whatever broke: a scan is otherwise taken up for ever
        logger.exception("an unforeseen error in a scan", extra={"scan": scan.pk})
        fail_scan(scan, error("unknown", f"{type(exc).__name__}: {exc}"))


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
        found(take_over_channel(scan, options, tally))
    entries = itertools.islice(_checked(listing, check), options.limit)
    for batch in _batches(entries, PAGE if delta else Limits.row().scan_batch_size):
        budget.accepted()  # YouTube answers: who waits for that need not wait for the end of the listing
        _know_channel(scan, listing)
        due, rows = save_batch(scan, batch, options, tally)
        for entry in batch:
            known.note(entry, is_new=rows[entry.external_id].is_new)
        found(due)
    if delta:
        count_channel(scan, tally)


def _is_delta(scan: Scan, options: Options) -> bool:
    """Only what is new needs to be looked for: the whole channel was listed before, and no limit asks for its newest."""
    return bool(scan.channel.listed_whole_at) and options.limit is None


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


def _done(scan: Scan, listing: Any, tally: Tally) -> None:
    _know_channel(scan, listing)
    budget.accepted()
    nothing = error("empty")
    verdict = {"error_kind": "", "error_message": ""} if tally.seen else {"error_kind": nothing.kind, "error_message": nothing.message}
    whole = {"listed_whole_at": Now(), "seen": tally.seen, "expected": listing.expected} if listing.complete else {}
    with transaction.atomic():
        write_tally(scan, tally, state=Scan.State.DONE, expected=listing.expected, finished_at=Now(), **verdict, **NO_LEASE)
        channel = Channel.objects.filter(pk=scan.channel_id)
        channel.update(last_scanned_at=Now(), **whole)
        if tally.seen:
            channel.filter(state=Channel.State.GONE).update(state=Channel.State.ACTIVE)
