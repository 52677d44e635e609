"""The archive from Python: read sheets, start a session, watch it, take its report. `mass_download` is built on this.

    sheets = read_inputs([Path("people.csv")])
    session = start_session(sheets, options=Options(quality="1080p"))
    for progress in watch(session):
        print(progress.videos)
    report = session_report(session)

Work is done by workers (`manage.py workers`, or `borrowed_workers()` for a while); nothing here talks to YouTube.
"""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from ingestion import dispatch
from ingestion.models import DownloadSession, Scan
from ingestion.options import Options, read_options
from ingestion.progress import Progress, session_progress
from ingestion.reports import session_report
from ingestion.supervisor import live_supervisors
from people.channel_urls import ChannelUrlError, parse_channel_url
from people.enrolment import Enrolment, enrol
from people.models import Channel
from people.sheets import SheetError, SheetRow, read_sheet
from videos.models import Video

__all__ = [
    "Inputs",
    "borrowed_workers",
    "is_settled",
    "pause",
    "preview",
    "read_inputs",
    "resume",
    "session_progress",
    "session_report",
    "start_after_import",
    "start_session",
    "watch",
]

PATIENCE = timedelta(minutes=1)


@dataclass
class Inputs:
    """What the sheets and URLs of one request say: good rows, refused ones, and settings for the options."""

    source: str
    rows: list[SheetRow] = field(default_factory=list)
    problems: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    def options(self, **said: Any) -> Options:
        """Defaults, overruled by the sheets' settings, overruled by what was said elsewhere (None: not said)."""
        return replace(Options(), **{**self.settings, **{name: value for name, value in said.items() if value is not None}})


def read_inputs(files: Iterable[tuple[str, bytes]] = (), urls: Iterable[str] = ()) -> Inputs:
    """Read sheets, given as (name, content), and single channel URLs. A file that cannot be used at all is a problem
    too, with row None; nothing is raised for bad input."""
    files, urls = list(files), list(urls)
    inputs = Inputs(source=", ".join([*(Path(name).name for name, _ in files), *urls])[:300] or "nothing")
    for name, content in files:
        _read_file(inputs, name, content)
    for url in urls:
        _read_url(inputs, url)
    _refuse_repeats(inputs)
    return inputs


def _read_file(inputs: Inputs, name: str, content: bytes) -> None:
    try:
        sheet = read_sheet(content, name)
    except SheetError as exc:
        inputs.problems.append({"source": name, "row": None, "value": "", "message": str(exc)})
        return
    inputs.rows += sheet.rows
    inputs.problems += [problem.as_dict(name) for problem in sheet.problems]
    usable, sentences = read_options(sheet.settings)
    inputs.settings |= usable
    inputs.problems += [{"source": name, "row": None, "value": "", "message": sentence} for sentence in sentences]


def _read_url(inputs: Inputs, url: str) -> None:
    try:
        parse_channel_url(url)
    except ChannelUrlError as exc:
        inputs.problems.append({"source": "--channel", "row": None, "value": url, "message": str(exc)})
        return
    inputs.rows += read_sheet(url.encode(), "--channel.txt").rows


def _refuse_repeats(inputs: Inputs) -> None:
    """A channel that stands in two sheets is worked once; read_sheet looks at one sheet at a time."""
    first = {row.channel.canonical: row for row in reversed(inputs.rows)}
    inputs.rows = [row for row in inputs.rows if first[row.channel.canonical] is row]


def preview(inputs: Inputs) -> Enrolment:
    """What `start_session` would do to people and channels; writes nothing."""
    return enrol(inputs.rows, dry_run=True)


def start_session(inputs: Inputs, *, options: Options, user: Any = None) -> DownloadSession:
    """Write people and channels, make a session with a scan for each channel, and wake the workers, all or nothing.

    Rows that the database refuses (a channel of somebody else) join the session's problems.
    """
    with transaction.atomic():
        enrolment = enrol(inputs.rows)
        refused = [
            {"source": inputs.source, "row": outcome.row.number, "value": outcome.row.url, "message": outcome.message}
            for outcome in enrolment.outcomes
            if outcome.outcome == "refused"
        ]
        return _start(enrolment.channels, inputs.source, [*inputs.problems, *refused], options, user)


def _start(channels: Sequence[Channel], source: str, problems: list[dict[str, Any]], options: Options, user: Any) -> DownloadSession:
    session = DownloadSession.objects.create(source=source, options=options.as_json(), problems=problems, created_by=user)
    ids = dict.fromkeys(channel.pk for channel in channels)
    Scan.objects.bulk_create([Scan(session=session, channel_id=pk, next_attempt_at=timezone.now()) for pk in ids], batch_size=1000)
    dispatch.ring(dispatch.SCANS, min(len(ids), dispatch.MOST_WAKE_UPS))
    return session


def start_after_import(
    *, channels: Collection[int], source: str, problems: list[dict[str, Any]], settings: Mapping[str, Any], user: Any = None
) -> str | None:
    """Called when staff confirmed a sheet in the admin: starts a session for its channels and returns the page to show,
    None when the sheet had no channel."""
    if not channels:
        return None
    usable, sentences = read_options(settings)
    problems = [*problems, *({"source": source, "row": None, "value": "", "message": sentence} for sentence in sentences)]
    with transaction.atomic():
        session = _start(list(Channel.objects.filter(pk__in=channels)), source, problems, replace(Options(), **usable), user)
    return reverse("admin:ingestion_downloadsession_change", args=[session.pk])


def pause(session: DownloadSession, reason: str = "") -> bool:
    """Stop a running session; its running downloads are handed back within a third of a lease. False if it did not run."""
    running = DownloadSession.objects.filter(pk=session.pk, state=DownloadSession.State.RUNNING)
    return bool(running.update(state=DownloadSession.State.PAUSED, state_reason=reason))


def resume(session: DownloadSession, *, retry_failed: bool = False) -> int:
    """Go on with a session: waiting videos and scans become due, with `retry_failed` the failed ones too.

    Returns how many videos are due through it.
    """
    with transaction.atomic():
        DownloadSession.objects.filter(pk=session.pk).update(state=DownloadSession.State.RUNNING, state_reason="", finished_at=None)
        if retry_failed:
            session.videos.retry()
            session.scans.filter(state=Scan.State.FAILED).update(
                state=Scan.State.PENDING, attempts=0, next_attempt_at=Now(), error_kind="", error_message="", finished_at=None
            )
        session.scans.filter(state=Scan.State.PENDING).update(next_attempt_at=Now())
        session.videos.resume()
        dispatch.ring(dispatch.SCANS)
    return session.videos.filter(status=Video.Status.PENDING).count()


def watch(session: DownloadSession, *, every: timedelta = timedelta(seconds=1)) -> Iterator[Progress]:
    """Yield the progress again and again, the last time when the session is settled."""
    while True:
        progress = session_progress(session)
        yield progress
        if is_settled(progress):
            dispatch.finish_sessions()
            return
        time.sleep(every.total_seconds())


def is_settled(progress: Progress) -> bool:
    """Nothing more will happen soon: all is done, or it was paused, or what is left must wait longer than PATIENCE."""
    if progress.state in (DownloadSession.State.PAUSED, DownloadSession.State.CANCELLED):
        return not progress.videos["downloading"] and not progress.scans["running"]
    return progress.is_over or progress.waits_beyond(timezone.now() + PATIENCE)


@contextmanager
def borrowed_workers(*, max_concurrent: int | None = None) -> Iterator[bool]:
    """Workers for the length of the block: those that run already, else some of our own. Yields True for our own.

    At the end our own hand unfinished videos back and stop.
    """
    if live_supervisors().exists():
        yield False
        return
    command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "workers", "--stop-with-parent"]
    command += ["--max-concurrent", str(max_concurrent)] if max_concurrent else []
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        yield True
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(KeyboardInterrupt):
            process.wait()
