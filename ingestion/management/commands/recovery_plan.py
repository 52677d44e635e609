import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.core.management.base import CommandError

from ingestion.arguments import count
from ingestion.management.tables import BAD_INPUT, TablesCommand
from ingestion.models import DownloadSession
from ingestion.recovery import WAITING, Retried, Step, UnknownKind, recovery_plan, retry_kinds
from people.sheets.formulas import escape_formula
from videos.text import counted

NOT_STORED = 1
NOTHING_TO_RETRY = (
    "What waits is not retried: it goes on by itself while workers run (`manage.py workers`), and what staff hold back "
    "when it is resumed; `manage.py recovery_plan --kind waiting` says with which command."
)
LATEST = 10


class Command(TablesCommand):
    help = (
        "Say what is not stored, by kind: what it means, whether it goes on by itself, what retries it. "
        "Exit codes: 0 nothing is left (or --apply did it), 1 something is not stored, 2 bad input."
    )

    def add_arguments(self, parser):
        parser.add_argument("--session", type=count, metavar="N", help="of this session only (default: of all)")
        parser.add_argument("--kind", action="append", metavar="KIND", help="of this kind only; may be given again")
        parser.add_argument("--format", choices=FORMATS, default="text")
        parser.add_argument(
            "--apply",
            action="store_true",
            help="retry it; what YouTube will not give and what staff cancelled or skipped only where --kind names it",
        )

    def handle(self, *args, session, kind, format, apply, **options):
        chosen = self._session(session)
        if apply and WAITING in (kind or ()):
            raise CommandError(NOTHING_TO_RETRY, returncode=BAD_INPUT)
        try:
            if apply:
                done = retry_kinds(chosen, kind)
                self.stdout.write(json.dumps(vars(done)) if format == "json" else retried_line(done))
                return
            steps = recovery_plan(chosen, kind)
        except UnknownKind as exc:
            raise CommandError(str(exc), returncode=BAD_INPUT) from exc
        self.stdout.write(FORMATS[format](steps), ending="")
        if steps:
            raise SystemExit(NOT_STORED)

    def _session(self, number: int | None) -> DownloadSession | None:
        session = DownloadSession.objects.filter(pk=number).first()
        if number and not session:
            latest = DownloadSession.objects.order_by("-pk").values_list("pk", flat=True)[:LATEST]
            there = f"the latest are {', '.join(map(str, latest))}" if latest else "there is none yet"
            raise CommandError(f"There is no session {number}; {there}.", returncode=BAD_INPUT)
        return session


def as_text(steps: Sequence[Step]) -> str:
    if not steps:
        return "Nothing is left to do.\n"
    return "".join(f"{step.kind}: {step.meaning} {step.advice}\n    {step.outlook}\n" for step in steps)


def as_json(steps: Sequence[Step]) -> str:
    return json.dumps([step.as_data() for step in steps], indent=1) + "\n"


def as_csv(steps: Sequence[Step]) -> str:
    """Safe to open in a spreadsheet program."""
    file = io.StringIO()
    writer = csv.DictWriter(file, CSV_COLUMNS)
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in step.as_data().items()} for step in steps)
    return file.getvalue()


CSV_COLUMNS = tuple(Step("", "", "", "").as_data())
FORMATS = {"text": as_text, "json": as_json, "csv": as_csv}


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        value = [f"{name} {count}" for name, count in value.items()]
    return escape_formula("; ".join(value) if isinstance(value, list) else value) if isinstance(value, str | list) else value


def retried_line(done: Retried) -> str:
    assets = f", {counted(done.assets, 'asset')}" if done.assets else ""
    said = f"{counted(done.videos, 'video')}{assets} and {counted(done.channels, 'channel')} will be tried again"
    if done.reopened:
        said += f", {counted(done.reopened, 'ended session')} {'runs' if done.reopened == 1 else 'run'} on"
    return f"{said}.{_of_paused(done.paused)}"


def _of_paused(sessions: Iterable[int]) -> str:
    named = " ".join(f"--session {session}" for session in sessions)
    return f" What belongs to paused sessions waits for: manage.py resume {named}." if named else ""
