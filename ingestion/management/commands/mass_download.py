import json
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ingestion import api, checks, console
from ingestion.models import DownloadSession
from ingestion.options import QUALITIES
from ingestion.progress import Progress

ALL_STORED, SOME_NOT, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
LATEST = "latest"


class Command(BaseCommand):
    help = (
        "Archive the channels of sheets: list every video, stream each one into the storage, keep the record. "
        "Exit codes: 0 all stored, 1 some not, 2 bad input or set-up, 130 interrupted."
    )

    def add_arguments(self, parser):
        parser.add_argument("--input", action="append", default=[], metavar="FILE", help="a sheet: CSV, JSON, text or XLSX; - is stdin")
        parser.add_argument("--channel", action="append", default=[], metavar="URL", help="a channel, playlist or video")
        parser.add_argument("--quality", choices=QUALITIES, help="the best height up to this one (default: 720p)")
        parser.add_argument("--max-concurrent", type=_count, metavar="N", help="videos of this session at the same time")
        parser.add_argument("--limit", type=_count, metavar="N", help="at most N videos per channel, the newest first")
        parser.add_argument("--resume", nargs="?", const=LATEST, metavar="SESSION", help="go on with a session (default: the latest)")
        parser.add_argument("--retry-failed", action="store_true", help="try failed and unavailable videos again")
        parser.add_argument("--dry-run", action="store_true", help="show what would happen; write nothing")
        either = parser.add_mutually_exclusive_group()
        either.add_argument("--continue-on-error", action="store_true", help="go on after failures (default)")
        either.add_argument("--fail-fast", action="store_true", help="pause the session at the first failure")
        parser.add_argument("--detach", action="store_true", help="leave the work to running workers and return at once")
        parser.add_argument("--progress-interval", type=_seconds, default=10.0, metavar="S", help="seconds between lines (default: 10)")
        parser.add_argument("--report-file", metavar="FILE", help="write the report as JSON")
        parser.add_argument("--check", action="store_true", help="test the set-up and say what to mend")

    def handle(self, *args, **options):
        if options["check"]:
            raise SystemExit(self._check())
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        self._refuse_broken_setup(before_writing=not options["dry_run"])
        try:
            code = self._run(options)
        except KeyboardInterrupt:
            code = INTERRUPTED
        raise SystemExit(code)

    def _run(self, options: dict[str, Any]) -> int:
        if options["resume"] or (options["retry_failed"] and not options["input"] and not options["channel"]):
            return self._follow(self._resumed(options), options, refused=False)
        inputs = self._inputs(options)
        refused = any(problem["row"] is not None or problem["value"] for problem in inputs.problems)
        chosen = inputs.options(
            quality=options["quality"],
            max_concurrent=options["max_concurrent"],
            limit=options["limit"],
            retry_failed=options["retry_failed"] or None,
            continue_on_error=False if options["fail_fast"] else True if options["continue_on_error"] else None,
        )
        if options["dry_run"]:
            return self._dry_run(inputs, chosen, refused)
        session = api.start_session(inputs, options=chosen)
        self.stdout.write(f"Session {session.pk}: {session.scans.count()} channels from {session.source}; {chosen.in_words()}.")
        self._tell_refused(session, inputs)
        return self._follow(session, options, refused=bool(refused or len(session.problems) > len(inputs.problems)))

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
            raise CommandError(f"There is no session {wanted}: see the numbers in the admin under Sessions.", returncode=BAD_INPUT)
        due = api.resume(session, retry_failed=options["retry_failed"])
        self.stdout.write(f"Session {session.pk} goes on: {due} videos are due.")
        return session

    def _dry_run(self, inputs: api.Inputs, options: Any, refused: bool) -> int:
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
            self.stdout.write(f"Left to the workers. Watch it in the admin, or with `mass_download --resume {session.pk}`.")
            return ALL_STORED
        interval = timedelta(seconds=options["progress_interval"])
        try:
            with api.borrowed_workers(max_concurrent=options["max_concurrent"]), console.display(self.stdout, interval=interval) as shown:
                for progress in api.watch(session, every=min(interval, timedelta(seconds=1))):
                    shown.show(progress)
        except KeyboardInterrupt:
            api.pause(session, "Interrupted on the command line.")
            self.stdout.write(f"\nInterrupted; unfinished videos were handed back. Go on with: mass_download --resume {session.pk}")
            self._close(session, options)
            return INTERRUPTED
        progress = self._close(session, options)
        return ALL_STORED if progress.all_stored and not refused else SOME_NOT

    def _close(self, session: DownloadSession, options: dict[str, Any]) -> Progress:
        report = self._write_report(session, options)
        progress = api.session_progress(session)
        for line in console.summary(report, progress):
            self.stdout.write(line)
        return progress

    def _write_report(self, session: DownloadSession, options: dict[str, Any]) -> dict[str, Any]:
        report = api.session_report(session)
        if name := options["report_file"]:
            try:
                Path(name).write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            except OSError as exc:
                self.stderr.write(f"The report could not be written to {name}: {exc.strerror}.")
        return report

    # --- the set-up

    def _check(self) -> int:
        findings = checks.check_all()
        for line in console.finding_lines(findings):
            self.stdout.write(line)
        return ALL_STORED if all(finding.good for finding in findings) else BAD_INPUT

    def _refuse_broken_setup(self, *, before_writing: bool) -> None:
        findings = [checks.database(), checks.migrations()]
        if before_writing and all(finding.good for finding in findings):
            findings += [checks.storage(), checks.ffmpeg()]
        bad = [finding for finding in findings if not finding.good]
        if bad:
            raise CommandError("\n".join(console.finding_lines(bad)), returncode=BAD_INPUT)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError(text)
    return number


_count.__name__, _seconds.__name__ = "whole number above 0", "number of seconds"
