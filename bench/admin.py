"""The pages of the admin over an archive of 1,000,000 videos: ours, and Django's own admin written the obvious way.

Both look at one database, each in a process of its own: ours in three rounds, the naive one, which takes most of the time, once
amid them. A page is asked for a few times before it is measured, through Django's test client, to the last byte of its HTML; a
slow one is asked for once. The naive dashboard renders nothing: its time is that of its numbers alone. The PostgreSQL is the
machine's own where there is one, as that has the index for words of titles.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench import _admin_report, _archive
from bench._machine import load, machine, median, show_machine, show_targets
from bench._packaged import find_packaged, start_packaged
from bench._pages import PAGES, Page, rows
from bench._pending import Database, start_postgres
from bench._results import keep

VIDEOS = 1_000_000
ROUNDS = 3
WARM, TIMES = 3, 10
SLOW_MS = 2000
MOST_QUERIES = 10
TOOK_TOO_LONG = 503
"""How the site answers where a statement was ended."""
WAYS = {"ours": "massdl_site.settings", "naive": "bench._naive_settings"}

publish = _admin_report.publish


def main(videos: int = VIDEOS, rounds: int = ROUNDS, ways: Sequence[str] = tuple(WAYS)) -> dict[str, Any]:
    """Measure, print a table, and return all numbers."""
    programs = find_packaged()
    database = (start_packaged(programs) if programs else start_postgres()).create("archive", like="migrated")
    began, load_before = time.monotonic(), load()
    _archive.fill(database, videos)
    print(f"filled in {time.monotonic() - began:.0f} s", flush=True)
    counted = _play(database, "ours", "count")
    done = [{way: _play(database, way, "look") for way in (ways if number == rounds // 2 else ways[:1])} for number in range(rounds)]
    result = {
        "machine": {**machine("Django", "django-unfold", "psycopg"), "PostgreSQL": _version(database), "load_before": load_before},
        "videos": videos,
        **counted,
        "pages": {page.key: {way: _summary(done, way, page) for way in ways if getattr(page, way)} for page in PAGES},
    }
    result["targets"] = {_target(page, videos): _is_reached(page, result) for page in PAGES}
    _show(result, ways)
    return result


def _summary(rounds: Sequence[Mapping[str, Any]], way: str, page: Page) -> dict[str, Any]:
    measured = [one[way][page.key] for one in rounds if way in one]
    times = [one["ms"] for one in measured]
    return {**measured[0], "ms": median(times), "is_over": any(one["is_over"] for one in measured), "rounds": times}


def _version(database: Database) -> str:
    with database.connect() as connection:
        return connection.execute("SHOW server_version").fetchone()[0].split()[0]


def _play(database: Database, way: str, role: str) -> dict[str, Any]:
    environment = {**database.environment, "DJANGO_SETTINGS_MODULE": WAYS[way]}
    if way == "naive":
        environment["WORKERS_NO_PAGES"] = "1"  # our own pages stay out of it
    command = [sys.executable, "-m", "bench.admin", "--role", way, role]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"a process of the bench ended with exit code {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def count_here() -> dict[str, Any]:
    """Make the tallies of what was filled in behind the triggers' back, and look at their size."""
    from videos import tallies
    from videos.models import VideoTally

    began = time.perf_counter()
    tallies.mend()
    mended = time.perf_counter() - began
    began = time.perf_counter()
    tallies.fold()
    return {"mend_seconds": round(mended, 2), "fold_seconds": round(time.perf_counter() - began, 3), "tallies": VideoTally.objects.count()}


def look_here(way: str) -> dict[str, Any]:
    from django.contrib.auth.models import User
    from django.test import Client

    from massdl_site.patience import bound_statements

    if way == "ours":
        bound_statements()  # as massdl_site.wsgi does
    staff = User.objects.filter(username="bench").first() or User.objects.create_superuser("bench")
    client, values = Client(HTTP_HOST="localhost"), rows()
    client.force_login(staff, backend="django.contrib.auth.backends.ModelBackend")
    found = {}
    for page in PAGES:
        if address := getattr(page, way):
            found[page.key] = _measure(client, address.format(**values))
    return found


class _Over(Exception):
    """The database was given up: a statement took longer than anybody waits."""


def _measure(client: Any, address: str) -> dict[str, Any]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from bench._naive_settings import MOST_SECONDS

    def ask() -> Any:
        answer = client.get(address)
        if answer.status_code == TOOK_TOO_LONG:
            raise _Over
        if answer.status_code != 200:
            raise SystemExit(f"{address} answered {answer.status_code}")
        return answer

    try:
        with CaptureQueriesContext(connection) as captured:
            began = time.perf_counter()
            kilobytes = round(len(ask().content) / 1000, 1)
            took, queries = [(time.perf_counter() - began) * 1000], len(captured)
        if took[0] <= SLOW_MS:
            took = [_milliseconds(ask) for _ in range(WARM + TIMES)][WARM:]
            with CaptureQueriesContext(connection) as captured:
                ask()
                queries = len(captured)
    except _Over:
        return {"ms": MOST_SECONDS * 1000.0, "queries": None, "kb": None, "is_over": True}
    return {"ms": median(took), "queries": queries, "kb": kilobytes, "is_over": False}


def _milliseconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def _target(page: Page, videos: int) -> str:
    return f"{page.key}: at most {MOST_QUERIES} queries and {page.most_ms(videos)} ms"


def _is_reached(page: Page, result: Mapping[str, Any]) -> bool:
    ours = result["pages"][page.key].get("ours")
    return not ours or (not ours["is_over"] and ours["queries"] <= MOST_QUERIES and ours["ms"] <= page.most_ms(result["videos"]))


def _show(result: dict[str, Any], ways: Sequence[str]) -> None:
    show_machine(result)
    print(f"{result['videos']:,} videos, {result['tallies']:,} tallies, made anew in {result['mend_seconds']} s")
    print(f"{'page':58}" + "".join(f"{way + ' ms':>10} {'queries':>7} {'KB':>7}" for way in ways))
    for name, found in result["pages"].items():
        print(f"{name:58}" + "".join(_cells(found.get(way)) for way in ways))
    show_targets(result)


def _cells(found: Mapping[str, Any] | None) -> str:
    if found is None or found["is_over"]:
        return f"{'over' if found else '':>10} {'':7} {'':7}"
    return f"{found['ms']:10.1f} {found['queries']:7} {found['kb'] or '':>7}"


def _arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench admin", description="A try of any size.")
    parser.add_argument("--videos", type=int, default=200_000, metavar="N", help="size of the archive (default: 200,000)")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="how often everything is measured (default: once)")
    parser.add_argument("--ours", action="store_true", help="leave out Django's own admin")
    parser.add_argument("--keep", metavar="NAME", help="write bench/results/NAME.json, such as admin-10m; without it nothing is written")
    parser.add_argument("--role", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def look(arguments: list[str]) -> None:
    said = _arguments(arguments)
    measured = main(said.videos, said.rounds, ["ours"] if said.ours else list(WAYS))
    if said.keep:
        keep(said.keep, measured)


if __name__ == "__main__":
    options = _arguments()
    if options.role:
        import django

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", WAYS[options.role[0]])
        django.setup()
        print(json.dumps(count_here() if options.role[1] == "count" else look_here(options.role[0])))
    else:
        look(sys.argv[1:])
