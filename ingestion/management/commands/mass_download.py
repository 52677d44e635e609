import signal
import sys
from argparse import BooleanOptionalAction
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.template.defaultfilters import pluralize

from ingestion import api, checks, console
from ingestion.arguments import assets, bitrate, count, languages, seconds
from ingestion.models import DownloadSession
from ingestion.options import ASSETS, CODECS, CONTAINERS, CONVERSIONS, QUALITIES, Options, conflicts
from ingestion.progress import Progress
from ingestion.reports import report_chunks, report_parts
from ingestion.roster import live_supervisors
from people.enrolment import EnrolmentError

ALL_STORED, SOME_NOT, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
LATEST = "latest"
WHAT_IS_STORED = (
    *("quality", "codec", "hdr", "audio_bitrate", "container", "convert"),
    *("assets", "subtitle_languages", "automatic_subtitles"),
)
OF_A_NEW_SESSION = ("input", "channel", *WHAT_IS_STORED, "limit", "fail_fast", "continue_on_error")


class Command(BaseCommand):
    help = (
        "Archive the channels of sheets: list every video, stream each one into the storage, keep the record. "
        "Exit codes: 0 all stored, 1 some not, 2 bad input or set-up, 130 interrupted."
    )

    def add_arguments(self, parser):
        parser.add_argument("--input", action="append", default=[], metavar="FILE", help="a sheet: CSV, JSON, text or XLSX; - is stdin")
        parser.add_argument("--channel", action="append", default=[], metavar="URL", help="a channel, playlist or video")
        _add_what_is_stored(parser)
        parser.add_argument("--max-concurrent", type=count, metavar="N", help="videos of this session at the same time")
        parser.add_argument(
            "--limit",
            type=count,
            metavar="N",
            help="at most N videos per channel, in the order of its tabs: videos, shorts, streams; in each the newest first",
        )
        parser.add_argument("--resume", nargs="?", const=LATEST, metavar="SESSION", help="go on with a session (default: the latest)")
        parser.add_argument("--retry-failed", action="store_true", help="try again videos, and assets, that failed or were not available")
        parser.add_argument("--dry-run", action="store_true", help="show what would happen; write nothing")
        either = parser.add_mutually_exclusive_group()
        either.add_argument("--continue-on-error", action="store_true", help="go on after failures (default)")
        either.add_argument("--fail-fast", action="store_true", help="pause the session at the first failure")
        parser.add_argument("--detach", action="store_true", help="leave the work to running workers and return at once")
        parser.add_argument("--progress-interval", type=seconds, default=10.0, metavar="S", help="seconds between lines (default: 10)")
        parser.add_argument("--report-file", metavar="FILE", help="write the report as JSON")
        parser.add_argument("--check", action="store_true", help="test the set-up and say what to mend")

    def handle(self, *args, **options):
        if options["check"]:
            raise SystemExit(self._check())
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        self._refuse_contradictions(options)
        self._refuse_broken_setup(before_writing=not options["dry_run"])
        try:
            code = self._run(options)
        except KeyboardInterrupt:
            code = INTERRUPTED
        except EnrolmentError as exc:
            raise CommandError(str(exc), returncode=BAD_INPUT) from exc
        raise SystemExit(code)

    def _run(self, options: dict[str, Any]) -> int:
        if _goes_on(options):
            return self._follow(self._resumed(options), options, refused=False)
        inputs = self._inputs(options)
        chosen = inputs.options(
            **{name: options[name] for name in WHAT_IS_STORED},
            max_concurrent=options["max_concurrent"],
            limit=options["limit"],
            retry_failed=options["retry_failed"] or None,
            continue_on_error=False if options["fail_fast"] else True if options["continue_on_error"] else None,
        )
        if excluded := " ".join(map(str, conflicts(chosen))):
            raise CommandError(excluded, returncode=BAD_INPUT)
        if options["dry_run"]:
            return self._dry_run(inputs, chosen)
        session = api.start_session(inputs, options=chosen)
        self.stdout.write(f"Session {session.pk}: {_channels(session)} from {session.source}; {chosen.in_words()}.")
        self._tell_refused(session, inputs)
        return self._follow(session, options, refused=api.has_refusals(session.problems))

    # --- input

    def _inputs(self, options: dict[str, Any]) -> api.Inputs:
        if not options["input"] and not options["channel"]:
            raise CommandError("Nothing to do: name a sheet with --input or a channel with --channel.", returncode=BAD_INPUT)
        inputs = api.read_inputs([self._read(name) for name in options["input"]], options["channel"])
        for problem in inputs.problems:
            self.stderr.write(console.problem_line(problem))
        if not inputs.rows:
            raise CommandError("No channel is left to download: mend the rows named above.", returncode=BAD_INPUT)
        return inputs

    def _read(self, name: str) -> tuple[str, bytes]:
        try:
            return ("stdin", sys.stdin.buffer.read()) if name == "-" else (name, Path(name).read_bytes())
        except OSError as exc:
            raise CommandError(f"{name} cannot be read: {exc.strerror}. Check the path.", returncode=BAD_INPUT) from exc

    def _tell_refused(self, session: DownloadSession, inputs: api.Inputs) -> None:
        for problem in session.problems[len(inputs.problems) :]:
            self.stderr.write(console.problem_line(problem))

    def _resumed(self, options: dict[str, Any]) -> DownloadSession:
        wanted = options["resume"] or LATEST
        sessions = DownloadSession.objects.order_by("-pk")
        if wanted != LATEST:
            sessions = sessions.filter(pk=int(wanted)) if wanted.isdigit() else sessions.none()
        if not (session := sessions.first()):
            which = "session yet" if wanted == LATEST else f"session {wanted}"
            raise CommandError(f"There is no {which}: see the numbers in the admin under Sessions.", returncode=BAD_INPUT)
        due = api.resume(session, retry_failed=options["retry_failed"])
        self.stdout.write(f"Session {session.pk} goes on" + (f": {due} video{pluralize(due)} due." if due else "."))
        return session

    def _dry_run(self, inputs: api.Inputs, options: Options) -> int:
        refused = inputs.left_out
        for outcome in api.preview(inputs).outcomes:
            refused = refused or outcome.outcome == "refused"
            what = outcome.message if outcome.outcome == "refused" else outcome.row.channel.canonical
            self.stdout.write(f"row {outcome.row.number}: {outcome.outcome}: {outcome.row.name}: {what}")
        self.stdout.write(f"Would scan these channels with {options.in_words()}. Nothing was written.")
        return SOME_NOT if refused else ALL_STORED

    # --- the run

    def _follow(self, session: DownloadSession, options: dict[str, Any], *, refused: bool) -> int:
        if options["detach"]:
            self._write_report(session, options)
            self._leave(session)
            return SOME_NOT if refused else ALL_STORED
        try:
            self._watch(session, options)
        except KeyboardInterrupt:
            api.pause(session, "Interrupted on the command line.")
            self.stdout.write(f"\nInterrupted; unfinished videos were handed back. Go on with: mass_download --resume {session.pk}")
            self._close(session, options)
            return INTERRUPTED
        except api.WorkersFailed as exc:
            self._close(session, options)
            raise CommandError(str(exc), returncode=BAD_INPUT) from exc
        progress = self._close(session, options)
        return ALL_STORED if progress.all_stored and not refused else SOME_NOT

    def _leave(self, session: DownloadSession) -> None:
        self.stdout.write(f"Left to the workers. Watch it in the admin, or with `mass_download --resume {session.pk}`.")
        if not live_supervisors().exists():
            self.stderr.write("No workers run at present: nothing is downloaded before somebody starts `manage.py workers`.")

    def _watch(self, session: DownloadSession, options: dict[str, Any]) -> None:
        interval = timedelta(seconds=options["progress_interval"])
        max_concurrent = options["max_concurrent"] or Options.of(session.options).max_concurrent
        with api.borrowed_workers(max_concurrent=max_concurrent) as workers, console.display(self.stdout, interval=interval) as shown:
            for progress in api.watch(session, workers, every=min(interval, timedelta(seconds=1))):
                shown.show(progress)

    def _close(self, session: DownloadSession, options: dict[str, Any]) -> Progress:
        report = self._write_report(session, options)
        progress = api.session_progress(session)
        for line in console.summary(report, progress):
            self.stdout.write(line)
        return progress

    def _write_report(self, session: DownloadSession, options: dict[str, Any]) -> dict[str, Any]:
        """Write what is asked for, however many videos there are; returns the report, its videos unread."""
        report = report_parts(session)
        if name := options["report_file"]:
            try:
                with Path(name).open("wb") as file:
                    file.writelines(report_chunks(report))
            except OSError as exc:
                self.stderr.write(f"The report could not be written to {name}: {exc.strerror}.")
        return report

    # --- the set-up

    def _check(self) -> int:
        findings = checks.check_all()
        for line in console.finding_lines(findings):
            self.stdout.write(line)
        return ALL_STORED if all(finding.good for finding in findings) else BAD_INPUT

    def _refuse_contradictions(self, options: dict[str, Any]) -> None:
        """What would be silently passed over, or found out after hours, is refused before anything is done."""
        if _goes_on(options):
            if options["dry_run"]:
                raise CommandError("--dry-run shows what a sheet would do; a session goes on in earnest only.", returncode=BAD_INPUT)
            if idle := [_flag(name, options[name]) for name in OF_A_NEW_SESSION if _is_said(name, options[name])]:
                raise CommandError(
                    f"A session goes on with the channels and options it was begun with: leave out {', '.join(idle)}.", returncode=BAD_INPUT
                )
        if options["report_file"] and not options["dry_run"]:
            self._refuse_unwritable(Path(options["report_file"]))

    def _refuse_unwritable(self, path: Path) -> None:
        """Nothing is left behind: there is no report before there is something to report."""
        is_new = not path.exists()
        try:
            path.open("a").close()
            if is_new:
                path.unlink()
        except OSError as exc:
            raise CommandError(f"The report cannot be written to {path}: {exc.strerror}. Check the path.", returncode=BAD_INPUT) from exc

    def _refuse_broken_setup(self, *, before_writing: bool) -> None:
        findings = [checks.database(), checks.migrations()]
        if before_writing and all(finding.good for finding in findings):
            findings += [checks.storage(), checks.ffmpeg(), checks.youtube()]
        bad = [finding for finding in findings if not finding.good]
        if bad:
            raise CommandError("\n".join(console.finding_lines(bad)), returncode=BAD_INPUT)


def _add_what_is_stored(parser: CommandParser) -> None:
    """Flags of the session's options that say which formats are taken, and what is made of them. None is: not said."""
    parser.add_argument("--quality", choices=QUALITIES, help="the best height up to this one (default: 720p)")
    parser.add_argument(
        "--codec", choices=CODECS, help="preferred among formats of about one height (default: auto, H.264 up to 1080p, else the best)"
    )
    parser.add_argument("--hdr", action=BooleanOptionalAction, help="prefer HDR among formats of about one height (default: SDR)")
    parser.add_argument("--audio-bitrate", type=bitrate, metavar="K", help="the best sound up to K kbit/s (default: the best)")
    parser.add_argument("--container", choices=CONTAINERS, help="the kind of file (default: mp4); webm takes VP9 or AV1, and Opus")
    parser.add_argument(
        "--convert",
        choices=CONVERSIONS,
        help="m4a, mp3, opus: fetch and store the sound alone; h264, hevc: make another picture, which costs many times the "
        "computing time of a plain download (default: none)",
    )
    parser.add_argument(
        "--assets", type=assets, metavar="LIST", help=f"store beside each video: {','.join(ASSETS)}, or all, or none (default)"
    )
    parser.add_argument("--subtitle-languages", type=languages, metavar="LIST", help="such as en,pt-BR, or all (default: en)")
    parser.add_argument(
        "--automatic-subtitles",
        action=BooleanOptionalAction,
        help="take what YouTube heard where nobody wrote subtitles (default: yes)",
    )


def _is_said(name: str, value: Any) -> bool:
    return value is not None and (bool(value) or name in WHAT_IS_STORED)


def _flag(name: str, value: Any) -> str:
    return ("--no-" if value is False else "--") + name.replace("_", "-")


def _goes_on(options: dict[str, Any]) -> bool:
    """Whether an older session is meant: named by --resume, or by --retry-failed without channels."""
    return bool(options["resume"] or (options["retry_failed"] and not options["input"] and not options["channel"]))


def _channels(session: DownloadSession) -> str:
    count = session.scans.count()
    return f"{count} channel{pluralize(count)}"
