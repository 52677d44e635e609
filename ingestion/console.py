"""What the command line shows: bars on a terminal, plain lines elsewhere, and a closing summary."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol, TextIO

from django.template.defaultfilters import pluralize
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column

from ingestion import budget
from ingestion.budget import HALF_OPEN
from ingestion.checks import Finding
from ingestion.progress import CHANNEL_PAUSED, LIMITS_PAUSED, VIDEO_PAUSED, Progress
from videos.text import counted, counted_bytes

TITLE_WIDTH = 32  # with the bar and the amount it fits 80 columns

# Why videos are held back: in words of one, of several, and what staff may do
HELD_BACK = {
    LIMITS_PAUSED: ("everything is paused", "everything is paused", "Go on with `manage.py resume --all`, or under Limits in the admin."),
    CHANNEL_PAUSED: (
        "its channel is paused",
        "their channel is paused",
        "Go on with `manage.py resume --channel URL`, or under Channels in the admin.",
    ),
    VIDEO_PAUSED: ("staff paused it", "staff paused them", "Go on with `manage.py resume --video ID`, or under Videos in the admin."),
}


class Display(Protocol):
    def show(self, progress: Progress) -> None: ...


@contextmanager
def display(out: TextIO, *, interval: timedelta) -> Iterator[Display]:
    """Bars when `out` is a terminal, else one line every `interval`."""
    if not out.isatty():
        yield Lines(out, interval)
        return
    columns = (TextColumn("{task.description}", table_column=Column(no_wrap=True)), BarColumn(20), TextColumn("{task.fields[amount]}"))
    with Bars(*columns, console=Console(file=out), transient=True) as bars:
        yield BarsDisplay(bars)


class Lines:
    """A line when `interval` is over, and at the first change from nothing."""

    def __init__(self, out: TextIO, interval: timedelta):
        self._out, self._interval, self._last = out, interval.total_seconds(), None

    def show(self, progress: Progress) -> None:
        now = time.monotonic()
        if self._last is not None and now - self._last < self._interval:
            return
        self._last = now
        self._out.write(f"{timezone.localtime():%H:%M:%S} {headline(progress)}\n")
        self._out.flush()


class BarsDisplay:
    """One bar for the session, one for each running download."""

    def __init__(self, bars: Bars):
        self._bars = bars
        self._all = bars.add_task("Session", total=None, amount="")
        self._tasks: dict[int, Any] = {}

    def show(self, progress: Progress) -> None:
        done = progress.total - progress.unfinished
        amount = f"{done} of {counted(progress.total, 'video')}"
        listed = f"{progress.scans.total() - progress.scans_open} of {progress.scans.total()} channels listed"
        self._bars.update(self._all, description=listed, completed=done, total=progress.total or None, amount=amount)
        running = {run.video_id: run for run in progress.running}
        for video_id in set(self._tasks) - set(running):
            self._bars.remove_task(self._tasks.pop(video_id))
        for video_id, run in running.items():
            if video_id not in self._tasks:
                self._tasks[video_id] = self._bars.add_task("  " + run.title[:TITLE_WIDTH], total=None, amount="")
            amount = counted_bytes(run.bytes_done) + (f" of {counted_bytes(run.bytes_total)}" if run.bytes_total else "")
            self._bars.update(self._tasks[video_id], completed=run.bytes_done, total=run.bytes_total, amount=amount)


def headline(progress: Progress) -> str:
    """One line that says how far a session is."""
    listed = progress.scans.total() - progress.scans_open
    parts = [f"channels {listed}/{progress.scans.total()}", f"videos {progress.videos['stored']}/{progress.total} stored"]
    held = progress.held_videos.total()
    counts = {status: progress.videos[status] for status in ("failed", "unavailable")}
    counts |= {"running": progress.videos["downloading"], "waiting": progress.videos["pending"] - held, "held back": held}
    parts += [f"{count} {word}" for word, count in counts.items() if count]
    parts += [f"{counted(progress.assets['pending'], 'asset')} waiting"] if progress.assets["pending"] else []
    parts += [counted_bytes(progress.bytes_stored)] if progress.bytes_stored else []
    return ", ".join([*parts, *_holds(progress)])


def _holds(progress: Progress) -> Iterator[str]:
    """What everybody waits for, and what was asked of YouTube."""
    if progress.hold and progress.videos["pending"]:
        yield progress.hold.in_words().rstrip(".")
    if not (requests := progress.requests):
        return
    if requests.closed_until:
        yield f"YouTube: {requests.kind} until {timezone.localtime(requests.closed_until):%H:%M:%S}"
    elif requests.breaker == HALF_OPEN:
        yield f"YouTube: {requests.kind}, one request finds out whether it is over"
    yield f"{requests.used_this_hour} of {requests.per_hour} requests this hour"


def summary(report: dict[str, Any], progress: Progress) -> Iterator[str]:
    """The closing lines: what is stored, what is not and why, grouped by kind, each with its advice."""
    totals, number = report["totals"], report["session"]["id"]
    if totals["videos"]:
        stored = f"{totals['stored']} of {counted(totals['videos'], 'video')} stored, {counted_bytes(totals['bytes_stored'])}"
        yield f"Session {number}: {stored}."
    else:
        yield f"Session {number}: nothing new."
    if totals["already_stored"]:
        yield f"In the archive before: {counted(totals['already_stored'], 'video')}."
    yield from _assets(totals)
    if progress.state in ("paused", "cancelled"):
        yield f"The session {'is paused' if progress.state == 'paused' else 'was cancelled'}. {progress.state_reason}".rstrip()
    if totals["waiting"] > totals["held_back"]:
        yield _waiting(report, progress)
    if progress.hold and totals["waiting"]:
        yield progress.hold.in_words()
    yield from _held_back(progress)
    if progress.requests:
        yield _requests(progress.requests)
    if report["failures"]:
        yield "Not stored, by kind:"
        for row in report["failures"]:
            yield from _failure(row, report["channels"])
    if totals["assets_failed"]:
        yield f"Assets that failed are tried again, as failed videos are, by `mass_download --resume {number} --retry-failed`."


def _assets(totals: dict[str, int]) -> Iterator[str]:
    """Only where some were asked for."""
    counts = {word: totals[f"assets_{word}"] for word in ("stored", "failed", "absent", "waiting")}
    if any(counts.values()):
        words = {"absent": "not offered by YouTube"}
        others = [f", {count:,} {words.get(word, word)}" for word, count in counts.items() if count and word != "stored"]
        yield f"Beside them: {counted(counts['stored'], 'asset')} stored{''.join(others)}."


def _waiting(report: dict[str, Any], progress: Progress) -> str:
    line = f"Still waiting: {counted(report['totals']['waiting'] - report['totals']['held_back'], 'video')}"
    if progress.next_due_at and progress.next_due_at > timezone.now():
        line += f", the first until {timezone.localtime(progress.next_due_at):%Y-%m-%d %H:%M:%S}"
    resume = f"`mass_download --resume {report['session']['id']}`"
    return (
        f"{line}. Go on with {resume}." if progress.state == "paused" else f"{line}. Running workers go on by themselves; so does {resume}."
    )


def _requests(requests: budget.State) -> str:
    asked = f"Requests to YouTube this hour: {requests.used_this_hour:,} of {requests.per_hour:,}"
    return f"{asked}; the breaker is {requests.breaker}" + (f" ({requests.kind})." if requests.kind else ".")


def _held_back(progress: Progress) -> Iterator[str]:
    for reason, count in progress.held_videos.most_common():
        one, several, remedy = HELD_BACK[reason]
        yield f"{counted(count, 'video')} {pluralize(count, 'is,are')} held back: {one if count == 1 else several}. {remedy}"
    for reason, count in progress.held_scans.most_common():
        cause = pluralize(count, "it is,they are") + " paused" if reason == CHANNEL_PAUSED else HELD_BACK[reason][0]
        yield f"{count} channel{pluralize(count, ' is,s are')} not listed: {cause}. {HELD_BACK[reason][2]}"


def _failure(row: dict[str, Any], channels: list[dict[str, Any]]) -> Iterator[str]:
    counts = [counted(row["videos"], "video")] if row["videos"] else []
    counts += [f"{counted(row['known_before'], 'video')} known before"] if row["known_before"] else []
    counts += [counted(row["channels"], "channel")] if row["channels"] else []
    counts += [f"{counted(row['assets'], 'asset')} beside stored videos"] if row["assets"] else []
    yield f"  {row['kind']} ({', '.join(counts)}): {row['meaning']} {row['advice']}"
    for channel in channels:
        if channel["error_kind"] == row["kind"]:
            yield f"    {channel['url']} ({channel['person']})"


def problem_line(problem: dict[str, Any]) -> str:
    """One refused row, or a note, as a sentence: where, the value, what to do."""
    where = f"{problem['source']}, row {problem['row']}" if problem["row"] is not None else problem["source"]
    value = f" [{problem['value']}]" if problem["value"] else ""
    return f"{'Note: ' if problem.get('is_note') else ''}{where}:{value} {problem['message']}"


def finding_lines(findings: Iterable[Finding]) -> Iterator[str]:
    for finding in findings:
        yield f"{'ok  ' if finding.good else 'FIX '} {finding.name}: {finding.seen}"
        if not finding.good:
            yield f"     {finding.fix}"
