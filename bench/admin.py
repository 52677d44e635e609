"""The pages of the admin over an archive of 1,000,000 videos: ours, and Django's own admin written the obvious way.

Both look at one database, each in a process of its own; they take turns. A page is asked for a few times before it is
measured, through Django's test client, to the last byte of its HTML. The plain dashboard renders nothing: its time is that
of its numbers alone.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from typing import Any

from bench import _archive
from bench._machine import in_turns, machine, median, show_machine, show_targets
from bench._pending import Database, start_postgres

VIDEOS = 1_000_000
ROUNDS = 3
WARM, TIMES = 3, 10
MOST_QUERIES = 10
PAGES = {
    "dashboard": {"ours": "/admin/", "naive": "/admin/dashboard/", "most_ms": 50},
    "people": {"ours": "/admin/people/person/", "naive": "/admin/people/person/", "most_ms": 100},
    "channels": {"ours": "/admin/people/channel/", "naive": "", "most_ms": 100},
    "sessions": {"ours": "/admin/ingestion/downloadsession/", "naive": "", "most_ms": 100},
    "values of the dashboard": {"ours": "/admin/overview/", "naive": "", "most_ms": 50},
}
WAYS = {"ours": "massdl_site.settings", "naive": "bench._naive_settings"}


def main(videos: int = VIDEOS, rounds: int = ROUNDS) -> dict[str, Any]:
    """Measure, print a table, and return all numbers."""
    server = start_postgres()
    database = server.create("archive", like="migrated")
    _archive.fill(database, videos)
    counted = _play(database, "ours", "count")
    done = [{way: _play(database, way, "look") for way in in_turns(WAYS, number)} for number in range(rounds)]
    pages = {name: {way: _summary(done, way, name) for way in WAYS if PAGES[name][way]} for name in PAGES}
    result = {"machine": machine("Django", "django-unfold", "psycopg"), "videos": videos, **counted, "pages": pages}
    result["targets"] = _targets(pages)
    _show(result)
    return result


def _summary(rounds: list[dict[str, Any]], way: str, page: str) -> dict[str, Any]:
    measured = [one[way][page] for one in rounds]
    return {"ms": median(one["ms"] for one in measured), "queries": measured[0]["queries"], "kb": measured[0]["kb"], "rounds": measured}


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
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    staff = User.objects.filter(username="bench").first() or User.objects.create_superuser("bench")
    client, found = Client(HTTP_HOST="localhost"), {}
    client.force_login(staff, backend="django.contrib.auth.backends.ModelBackend")
    for name, page in PAGES.items():
        if not page[way]:
            continue
        for _ in range(WARM):
            answer = client.get(page[way])
        if answer.status_code != 200:
            raise SystemExit(f"{page[way]} answered {answer.status_code}")
        with CaptureQueriesContext(connection) as captured:
            client.get(page[way])
            queries = len(captured)
        took = [_milliseconds(lambda page=page: client.get(page[way])) for _ in range(TIMES)]
        found[name] = {"ms": median(took), "queries": queries, "kb": round(len(answer.content) / 1000, 1)}
    return found


def _milliseconds(call: Any) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def _targets(pages: dict[str, Any]) -> dict[str, bool]:
    targets = {}
    for name, ways in pages.items():
        most = PAGES[name]["most_ms"]
        targets[f"{name}: at most {MOST_QUERIES} queries and {most} ms"] = (
            ways["ours"]["queries"] <= MOST_QUERIES and ways["ours"]["ms"] <= most
        )
    return targets


def _show(result: dict[str, Any]) -> None:
    show_machine(result)
    print(f"{result['videos']:,} videos, {result['tallies']:,} tallies, made anew in {result['mend_seconds']} s")
    print(f"{'page':26} {'ours ms':>9} {'queries':>8} {'KB':>7} {'naive ms':>9} {'queries':>8} {'times':>7}")
    for name, ways in result["pages"].items():
        ours, naive = ways["ours"], ways.get("naive")
        theirs = f"{naive['ms']:9.1f} {naive['queries']:8} {naive['ms'] / ours['ms']:7.1f}" if naive else ""
        print(f"{name:26} {ours['ms']:9.1f} {ours['queries']:8} {ours['kb']:7.1f} {theirs}")
    show_targets(result)


def _arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench admin", description="A short try; nothing is written to bench/results/.")
    parser.add_argument("--videos", type=int, default=50_000, metavar="N", help="size of the archive (default: 50,000)")
    parser.add_argument("--role", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def look(arguments: list[str]) -> None:
    main(_arguments(arguments).videos, rounds=1)


if __name__ == "__main__":
    options = _arguments()
    if options.role:
        import django

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", WAYS[options.role[0]])
        django.setup()
        print(json.dumps(count_here() if options.role[1] == "count" else look_here(options.role[0])))
    else:
        look(sys.argv[1:])
