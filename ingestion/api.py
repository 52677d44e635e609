"""The archive from Python: read sheets, start a session, watch it, take its report. `mass_download` is built on this.

    inputs = read_inputs([("people.csv", Path("people.csv").read_bytes())])
    session = start_session(inputs, options=Options(quality="1080p"))
    with borrowed_workers() as workers:
        for progress in watch(session, workers):
            print(progress.videos)
    report = session_report(session)

Work is done by workers (`manage.py workers`, or `borrowed_workers()` for a while); nothing here talks to YouTube.
"""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from ingestion import dispatch, steering
from ingestion.borrowed import Workers, WorkersFailed, borrowed_workers
from ingestion.models import DownloadSession, Scan
from ingestion.options import Options, read_options
from ingestion.progress import Progress, session_progress
from ingestion.recovery import recovery_plan, retry_kinds
from ingestion.reports import session_report
from people.channel_urls import ChannelUrlError, parse_channel_url
from people.enrolment import Enrolment, RowOutcome, enrol
from people.models import Channel
from people.sheets import Problem, SheetError, SheetRow, read_sheet
from people.sheets.rows import repeated
from videos.models import Video

__all__ = [
    "Inputs",
    "Workers",
    "WorkersFailed",
    "borrowed_workers",
    "cancel",
    "has_refusals",
    "is_settled",
    "look_again",
    "pause",
    "preview",
    "read_inputs",
    "recovery_plan",
    "resume",
    "retry_kinds",
    "session_progress",
    "session_report",
    "start_after_import",
    "start_session",
    "watch",
]

PATIENCE = timedelta(minutes=1)
BY_URL = "--channel"
ASKED_AGAIN = "Another look for new videos"
HELD = [DownloadSession.State.PAUSED, DownloadSession.State.CANCELLED]
UNFINISHED = [Scan.State.PENDING, Scan.State.RUNNING]


@dataclass
class Inputs:
    """What the sheets and URLs of one request say: good rows, problems, and settings for the options.

    `places` tells for each channel (by its canonical address) the sheet and row that named it first.
    """

    source: str
    rows: list[SheetRow] = field(default_factory=list)
    problems: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    places: dict[str, tuple[str, SheetRow]] = field(default_factory=dict)

    @property
    def left_out(self) -> bool:
        """Whether something that was asked for cannot be worked; notes do not count."""
        return has_refusals(self.problems)

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
    return inputs


def has_refusals(problems: Iterable[Mapping[str, Any]]) -> bool:
    """Whether one of a session's problems is more than a note."""
    return any(not problem.get("is_note") for problem in problems)


def _problem(source: str, row: int | None, value: str, message: str, *, is_note: bool = False) -> dict[str, Any]:
    return Problem(row, value, message, is_note).as_dict(source)


def _read_file(inputs: Inputs, name: str, content: bytes) -> None:
    try:
        sheet = read_sheet(content, name)
    except SheetError as exc:
        inputs.problems.append(_problem(name, None, "", str(exc)))
        return
    inputs.problems += [problem.as_dict(name) for problem in sheet.problems]
    _take_rows(inputs, name, sheet.rows)
    usable, sentences = read_options(sheet.settings)
    inputs.settings |= usable
    inputs.problems += [_problem(name, None, "", sentence, is_note=True) for sentence in sentences]


def _read_url(inputs: Inputs, url: str) -> None:
    try:
        parse_channel_url(url)
    except ChannelUrlError as exc:
        inputs.problems.append(_problem(BY_URL, None, url, str(exc)))
        return
    _take_rows(inputs, BY_URL, read_sheet(url.encode(), "url.txt").rows)


def _take_rows(inputs: Inputs, source: str, rows: Iterable[SheetRow]) -> None:
    """A channel that stands in two sheets is worked once, and told; read_sheet looks at one sheet at a time."""
    for row in rows:
        first_source, first = inputs.places.setdefault(row.channel.canonical, (source, row))
        if first is row:
            inputs.rows.append(row)
            continue
        place = f"given with {BY_URL}" if first_source == BY_URL else f"in row {first.number} of {first_source}"
        problem = repeated(row, first, place)
        inputs.problems.append((replace(problem, row=None) if source == BY_URL else problem).as_dict(source))


def preview(inputs: Inputs) -> Enrolment:
    """What `start_session` would do to people and channels; writes nothing. Raises EnrolmentError as it does."""
    return enrol(inputs.rows, dry_run=True)


def start_session(inputs: Inputs, *, options: Options, user: Any = None) -> DownloadSession:
    """Write people and channels, make a session with a scan for each channel, and wake the workers, all or nothing.

    Rows that the database refuses (a channel of somebody else) join the session's problems. Raises EnrolmentError when
    others kept writing the same people or channels meanwhile, ValueError for options that cannot be used.
    """
    _, wrong = read_options(options.as_json())
    if wrong:
        raise ValueError(" ".join(wrong))
    with transaction.atomic():
        enrolment = enrol(inputs.rows)
        refused = [_refusal(inputs, outcome) for outcome in enrolment.outcomes if outcome.outcome == "refused"]
        return _start([channel.pk for channel in enrolment.channels], inputs.source, [*inputs.problems, *refused], options, user)


def _refusal(inputs: Inputs, outcome: RowOutcome) -> dict[str, Any]:
    source, row = inputs.places.get(outcome.row.channel.canonical, (inputs.source, outcome.row))
    return _problem(source, None if source == BY_URL else row.number, row.url, outcome.message)


def _start(channels: Iterable[int], source: str, problems: list[dict[str, Any]], options: Options, user: Any) -> DownloadSession:
    session = DownloadSession.objects.create(source=source, options=options.as_json(), problems=problems, created_by=user)
    ids = list(dict.fromkeys(channels))
    with connection.cursor() as cursor:  # a sheet may name tens of thousands: the database fills in all else
        cursor.execute("INSERT INTO ingestion_scan (session_id, channel_id) SELECT %s, unnest(%s::bigint[])", [session.pk, ids])
    dispatch.ring(dispatch.SCANS, min(len(ids), dispatch.MOST_WAKE_UPS))
    return session


def start_after_import(
    *, channels: Collection[int], source: str, problems: list[dict[str, Any]], settings: Mapping[str, Any], user: Any = None
) -> str | None:
    """Called when staff confirmed a sheet in the admin: starts a session for its channels and returns the page to show,
    None when the sheet had no channel, or when the user may not see sessions."""
    if not channels:
        return None
    usable, sentences = read_options(settings)
    problems = [*problems, *(_problem(source, None, "", sentence, is_note=True) for sentence in sentences)]
    with transaction.atomic():
        session = _start(channels, source, problems, replace(Options(), **usable), user)
    if user and not user.has_perm("ingestion.view_downloadsession"):
        return None
    return reverse("admin:ingestion_downloadsession_change", args=[session.pk])


def look_again(channels: QuerySet[Channel], *, user: Any = None) -> list[DownloadSession]:
    """Look for new videos of these channels now. Returns the sessions that were made: one for all channels that were last
    worked with the same options.

    Channels that are paused or gone, single videos, and channels that are being listed or wait for it are left out.
    """
    with transaction.atomic():
        wanted = Channel.objects.filter(pk__in=list(channels.values_list("pk", flat=True)), state=Channel.State.ACTIVE)
        # Locked before it is asked what is under way: whoever asks for the same a moment later finds our scans
        locked = list(wanted.exclude(kind=Channel.Kind.VIDEO).order_by("pk").select_for_update())
        scans = Scan.objects.filter(channel__in=locked)
        still = set(scans.filter(state__in=UNFINISHED).exclude(session__state__in=HELD).values_list("channel", flat=True))
        newest = dict(scans.order_by("channel_id", "-session_id").distinct("channel_id").values_list("channel_id", "session__options"))
        groups: dict[Options, list[Channel]] = {}
        for channel in (channel for channel in locked if channel.pk not in still):
            options = replace(Options.of(newest.get(channel.pk, {})), skip_existing=True, retry_failed=False)
            groups.setdefault(options, []).append(channel)
        return [_start([channel.pk for channel in group], ASKED_AGAIN, [], options, user) for options, group in groups.items()]


def pause(session: DownloadSession, reason: str = "") -> bool:
    """Stop a running session; its running downloads are handed back within seconds. False if it did not run.

    `ingestion.steering` pauses, resumes and cancels also channels, videos and everything.
    """
    return bool(steering.pause(_only(session), now=True, reason=reason).changed)


def cancel(session: DownloadSession, reason: str = "") -> int:
    """Give up what is not stored yet of a session; what runs is stopped within seconds. Returns how many videos."""
    return steering.cancel(_only(session), now=True, reason=reason).videos


def resume(session: DownloadSession, *, retry_failed: bool = False) -> int:
    """Go on with a session: waiting videos and scans become due, with `retry_failed` the failed and unavailable ones too;
    what staff skipped stays so. A cancelled session gets back what was cancelled with it.

    Returns how many videos are due through it.
    """
    with transaction.atomic():
        steering.resume(_only(session))
        DownloadSession.objects.filter(pk=session.pk).update(state=DownloadSession.State.RUNNING, finished_at=None)
        if retry_failed:
            session.videos.failed_or_unavailable().retry()
            session.scans.filter(state=Scan.State.FAILED).update(**steering.AFRESH)
            session.assets.retry()
    return session.videos.filter(status=Video.Status.PENDING).count()


def _only(session: DownloadSession) -> steering.Sessions:
    return steering.Sessions(DownloadSession.objects.filter(pk=session.pk))


def watch(session: DownloadSession, workers: Workers | None = None, *, every: timedelta = timedelta(seconds=1)) -> Iterator[Progress]:
    """Yield the progress again and again, the last time when the session is settled; meanwhile `workers` are kept.

    Raises WorkersFailed when workers of our own are needed and do not stay alive.
    """
    while True:
        progress = session_progress(session)
        yield progress
        if is_settled(progress):
            dispatch.finish_sessions()
            return
        if workers:
            workers.keep()
        time.sleep(every.total_seconds())


def is_settled(progress: Progress) -> bool:
    """Nothing more will happen soon: all is done, or it was paused, or what is left is held back or must wait longer than
    PATIENCE."""
    if progress.state in (DownloadSession.State.PAUSED, DownloadSession.State.CANCELLED):
        return not progress.videos["downloading"] and not progress.scans["running"]
    return progress.is_over or progress.waits_beyond(timezone.now() + PATIENCE)
