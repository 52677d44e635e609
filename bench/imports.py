"""A sheet of 10,000 people through the admin, from the upload to the started session, and the same people through
django-import-export's plain resource.

Each measurement is a process of its own with a database of its own, and the two ways take turns. Ours is the whole request:
the sheet read, the preview rendered, channels enrolled, history written, the session made. The peer's is its resource alone,
over people only: no page, no channel.
"""

import argparse
import csv
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bench._machine import in_turns, machine, median, show_machine, show_targets
from bench._pending import ROOT, Server, start_postgres

ROWS = 10_000
ROUNDS = 3
MOST_SECONDS = 4
MOST_QUERIES = 100
MOST_BYTES = 200_000
COLUMNS = ("row_id", "name", "email", "type", "notes", "channel")
STEPS = ("preview", "confirm")
SHEETS = ("new", "known")
"""Ten thousand people nobody knows; then the same sheet again, in which one in two has another type."""


def main() -> dict[str, Any]:
    """Measure, print a table, and return all numbers."""
    server = start_postgres()
    rounds = [{way: _measure(server, way, f"{way}-{number}") for way in in_turns(WAYS, number)} for number in range(ROUNDS)]
    ways = {way: {sheet: _medians([done[way][sheet] for done in rounds]) for sheet in SHEETS} for way in WAYS}
    result = {
        "machine": machine("Django", "django-import-export", "psycopg"),
        "rows": ROWS,
        "ways": ways,
        "targets": _targets(ways["ours"]),
    }
    _show(result)
    return result


def look(arguments: Sequence[str]) -> None:
    """A quick look at ours alone: the peer takes a quarter of an hour."""
    parser = argparse.ArgumentParser(prog="python -m bench imports", description="Nothing is written to bench/results/.")
    parser.add_argument("--ours", action="store_true", required=True, help="leave out django-import-export's plain resource")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="default: 1")
    rounds = parser.parse_args(arguments).rounds
    server = start_postgres()
    done = [_measure(server, "ours", f"ours-{number}") for number in range(rounds)]
    ours = {sheet: _medians([one[sheet] for one in done]) for sheet in SHEETS}
    _show({"machine": machine("Django", "psycopg"), "ways": {"ours": ours}, "targets": _targets(ours)})


def import_ours(sheet: bytes) -> Iterator[tuple[str, Callable[[], int]]]:
    """The steps as staff take them; each returns the bytes of the page it ends on."""
    from django.contrib.auth.models import User
    from django.core.files.uploadedfile import SimpleUploadedFile
    from django.test import Client
    from django.urls import reverse

    from ingestion.admin.sheet_settings import SheetSettingsForm

    user, _ = User.objects.get_or_create(username="staff", is_staff=True, is_superuser=True)
    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    shown = []

    def preview() -> int:
        file = SimpleUploadedFile("people.csv", sheet)
        shown.append(client.post(reverse("admin:people_person_import"), {"import_file": file}, follow=True))
        return len(shown[-1].content)

    def confirm() -> int:
        form = SheetSettingsForm(said={})
        values = {form.add_prefix(name): form.get_initial_for_field(field, name) for name, field in form.fields.items()}
        sent = {name: value for name, value in values.items() if value not in (None, False)}
        upload = shown[-1].request["PATH_INFO"].rstrip("/").rpartition("/")[2]
        done = client.post(reverse("admin:people_person_process_import"), {"upload": upload, **sent})
        if "downloadsession" not in done.headers.get("Location", ""):
            raise SystemExit(f"the import was not confirmed: {done.status_code}")
        return len(done.content)

    yield from (("preview", preview), ("confirm", confirm))


def import_by_peer(sheet: bytes) -> Iterator[tuple[str, Callable[[], int]]]:
    import tablib
    from import_export.resources import ModelResource

    from people.models import Person

    class Plain(ModelResource):
        class Meta:
            model = Person
            fields = COLUMNS[:-1]
            import_id_fields = ("row_id",)

    def run(*, dry_run: bool) -> int:
        result = Plain().import_data(tablib.Dataset().load(sheet.decode(), format="csv"), dry_run=dry_run)
        if result.has_errors() or result.has_validation_errors() or result.total_rows != sheet.count(b"\n") - 1:
            raise SystemExit("the peer did not import the sheet")
        return 0

    yield from (("preview", lambda: run(dry_run=True)), ("confirm", lambda: run(dry_run=False)))


WAYS = {"ours": import_ours, "peer": import_by_peer}


def make_sheet(rows: int, *, is_changed: bool = False) -> bytes:
    """People with a channel each; when changed, one in two has another type."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number in range(rows):
        kind = "pupil" if is_changed and number % 2 else "teacher"
        writer.writerow(
            [number, f"Person {number}", f"person{number}@example.org", kind, f"Found in list {number % 7}", f"@person{number}"]
        )
    return text.getvalue().encode()


def measure_here(way: str) -> dict[str, dict[str, float]]:
    """Both sheets, one after the other, in this process and its database."""
    import django

    django.setup()
    for _, step in WAYS[way](make_sheet(10)):  # templates, byte code
        step()
    return {sheet: _measure_sheet(way, make_sheet(ROWS, is_changed=sheet == "known")) for sheet in SHEETS}


def _measure_sheet(way: str, sheet: bytes) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, step in WAYS[way](sheet):
        with _counted() as queries:
            started = time.monotonic()
            size = step()
            found |= {f"{name}_seconds": time.monotonic() - started, f"{name}_queries": queries[0]}
        if name == "preview":
            found["preview_bytes"] = size
    return found


@contextmanager
def _counted() -> Iterator[list[int]]:
    """The number of queries so far, in a list of one."""
    from django.db import connection

    count = [0]

    def wrapper(execute, sql, params, many, context):
        count[0] += 1
        return execute(sql, params, many, context)

    with connection.execute_wrapper(wrapper):
        yield count


def _measure(server: Server, way: str, name: str) -> dict[str, dict[str, float]]:
    database = server.create(name, like="migrated")
    database.settle()
    done = subprocess.run([sys.executable, "-m", "bench.imports", way], capture_output=True, text=True, env=database.environment, cwd=ROOT)
    if done.returncode:
        raise SystemExit(done.stderr)
    server.drop(database)
    return json.loads(done.stdout)


def _medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: median(done[name] for done in rounds) for name in rounds[0]}


def _targets(ours: dict[str, dict[str, float]]) -> dict[str, bool]:
    done = [(found[f"{step}_seconds"], found[f"{step}_queries"]) for found in ours.values() for step in STEPS]
    return {
        f"{ROWS:,} rows: preview and confirmation within {MOST_SECONDS} s each": all(seconds <= MOST_SECONDS for seconds, _ in done),
        f"with at most {MOST_QUERIES} queries each": all(queries <= MOST_QUERIES for _, queries in done),
        f"and a preview below {MOST_BYTES // 1000} KB": all(found["preview_bytes"] < MOST_BYTES for found in ours.values()),
    }


def _show(result: dict[str, Any]) -> None:
    show_machine(result)
    ways = result["ways"]
    columns = (*(f"{way} s" for way in ways), *(f"{way} queries" for way in ways))
    print(f"{'sheet':>8} {'step':>8} " + " ".join(f"{column:>13}" for column in columns) + f" {'page KB':>8}")
    for sheet in SHEETS:
        for step in STEPS:
            seconds = " ".join(f"{found[sheet][f'{step}_seconds']:13.2f}" for found in ways.values())
            queries = " ".join(f"{found[sheet][f'{step}_queries']:13,.0f}" for found in ways.values())
            page = f"{ways['ours'][sheet]['preview_bytes'] / 1000:8.0f}" if step == "preview" else ""
            print(f"{sheet:>8} {step:>8} {seconds} {queries} {page}")
    show_targets(result)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        print(json.dumps(measure_here(sys.argv[1])))
    else:
        main()
