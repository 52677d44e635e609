"""One way of working a database of pending videos with two workers, from the first to the last; ours or the peer's."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench._pending import ROOT, Database, Server

WAYS = {"ours": ["workers", "--max-concurrent", "2", "--stop-with-parent"], "peer": ["qcluster"]}
MOST_SECONDS = 1800
QUIET_SECONDS = 1  # until a connection's last words stand in the log
ENQUEUE = "import django; django.setup(); from bench._work import enqueue_all; enqueue_all()"
LINE = re.compile(r"^(?P<at>\d+\.\d+) (?P<database>\S+) LOG:  (?:statement|execute [^:]*): (?P<words>.*)")
TRANSACTION = re.compile(r"BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|SET ", re.IGNORECASE)


def measure(server: Server, way: str, videos: int) -> dict[str, float]:
    """Videos per second in the steady middle of a run; the start of processes and the filling of the queue do not count."""
    database = _filled(server, f"{way}-{videos}-{time.monotonic_ns()}", videos)
    enqueued = _enqueue(database) if way == "peer" else 0.0
    with _working(way, database):
        _wait(database, videos)
    with database.connect() as connection:
        early, late = (
            connection.execute(
                "SELECT percentile_disc(%s) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at)) FROM ingestion_attempt", [at]
            ).fetchone()[0]
            for at in (0.1, 0.9)
        )
    server.drop(database)
    return {"videos_per_second": round(0.8 * videos / float(late - early), 1), "enqueue_seconds": round(enqueued, 2)}


def count_queries(server: Server, way: str, videos: int) -> dict[str, float]:
    """What PostgreSQL was told per video, by its own log: queries, and statements with those that only frame transactions.

    Everything from the queueing to the last video's end counts, the idle polling and the ticks between as well.
    """
    database = _filled(server, f"count-{way}", videos)
    with database.connect() as connection:
        connection.execute(f'ALTER DATABASE "{database.name}" SET log_statement = "all"')
    if way == "peer":
        _enqueue(database)
    queued = time.time()
    with _working(way, database):
        _wait(database, videos)
    with database.connect() as connection:
        first, last = connection.execute(
            "SELECT extract(epoch FROM min(started_at)), extract(epoch FROM max(finished_at)) FROM ingestion_attempt"
        ).fetchone()
    time.sleep(QUIET_SECONDS)
    said = [line for line in map(LINE.match, server.log.read_text().splitlines()) if line and line["database"] == database.name]
    counted = [line["words"] for line in said if float(first) <= float(line["at"]) <= float(last) or float(line["at"]) < queued]
    mine = [words for words in counted if "bench: not counted" not in words]
    server.drop(database)
    queries = [words for words in mine if not TRANSACTION.match(words)]
    return {"queries_per_video": round(len(queries) / videos, 2), "statements_per_video": round(len(mine) / videos, 2)}


def _filled(server: Server, name: str, videos: int) -> Database:
    database = server.create(name, like="migrated")
    database.fill(channels=100, each=videos // 100)
    database.settle()
    return database


def _enqueue(database: Database) -> float:
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", ENQUEUE], check=True, env=_environment("peer", database), cwd=ROOT)
    return time.monotonic() - started


@contextmanager
def _working(way: str, database: Database) -> Iterator[None]:
    command = [sys.executable, str(ROOT / "manage.py"), *WAYS[way]]
    log = database.folder / f"{way}.log"
    with log.open("ab") as file:
        process = subprocess.Popen(command, env=_environment(way, database), stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        yield
    except TimeoutError as exc:
        raise SystemExit(f"{exc}\n{log.read_text()[-3000:]}") from exc
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment(way: str, database: Database) -> dict[str, Any]:
    return {**database.environment, "DJANGO_SETTINGS_MODULE": "bench._settings", "BENCH_WAY": way}


def _wait(database: Database, videos: int) -> None:
    """Until all are stored. Raises TimeoutError."""
    deadline = time.monotonic() + MOST_SECONDS
    with database.connect() as connection:
        while (
            connection.execute("SELECT count(*) FROM videos_video WHERE status = 'stored' /* bench: not counted */").fetchone()[0] < videos
        ):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not all of {videos} videos were stored within {MOST_SECONDS} s")
            time.sleep(0.5)
