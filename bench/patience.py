"""Two hosts of four workers: the rate at which they ask YouTube, against the budget; and how soon a pause is heard.

The local YouTube's log is the witness for the requests, the attempts' times for the pauses.
"""

import atexit
import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from bench._machine import machine
from demo.world import World, open_world
from ingestion.youtube.client import is_site
from massdl_site.embedded import postgres_url

RATE = 5.0
SECONDS = 60
ROUNDS = 5
CHANNELS = ("tiny400", "tiny401", "tiny402", "tiny403")
MOST_OFF = 0.05
LONGEST_PAUSE_SECONDS = 10
SLOW = 4_000


def main() -> dict[str, Any]:
    """Measure, print, and return all numbers."""
    folder = Path(tempfile.mkdtemp(prefix="massdl-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # before the database registers its own end: runs after it
    with open_world(folder, {**os.environ, **ENVIRONMENT}) as world:
        for words in (["migrate", "--verbosity", "0"], *(["mass_download", "--channel", f"@{name}", "--detach"] for name in CHANNELS)):
            if world.run(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
                raise SystemExit(f"manage.py {' '.join(words)} failed")
        with psycopg.connect(postgres_url(world.folder / "postgres"), autocommit=True) as connection, _two_hosts(world):
            ask = _asker(connection)
            ask("UPDATE ingestion_limits SET max_concurrent_channels = 4 RETURNING id")
            rate = _measure_rate(world, ask)
            ask("UPDATE ingestion_limits SET requests_per_second = 50 RETURNING id")
            pauses = [_measure_pause(world, ask) for _ in range(ROUNDS)]
    result = {"machine": machine("yt-dlp", "django-q2"), "rate": rate, "pauses": pauses}
    result["targets"] = {
        f"requests within {MOST_OFF:.0%} of the budget": abs(rate["per_second"] / RATE - 1) <= MOST_OFF,
        f"a pause stops all bytes within {LONGEST_PAUSE_SECONDS} s": max(one["stopped_after"] for one in pauses) <= LONGEST_PAUSE_SECONDS,
    }
    _show(result)
    return result


ENVIRONMENT = {"MASSDL_REQUESTS_PER_SECOND": str(RATE), "MASSDL_DOWNLOAD_WORKERS": "4", "MASSDL_LOG_LEVEL": "ERROR"}
Ask = Callable[..., list[tuple]]


@contextmanager
def _two_hosts(world: World) -> Iterator[None]:
    with ExitStack() as stack:
        hosts = [stack.enter_context(world.manage("workers")) for _ in range(2)]
        try:
            yield
        finally:
            for host in hosts:
                host.send_signal(signal.SIGINT)
            for host in hosts:
                host.wait()


def _measure_rate(world: World, ask: Ask) -> dict[str, Any]:
    """Site requests in SECONDS, once all eight workers are at it."""
    _until(lambda: ask("SELECT count(*) FROM videos_video WHERE status = 'downloading'")[0][0] >= 6)
    _until(lambda: ask("SELECT count(*) FROM ingestion_scan WHERE state <> 'done'")[0][0] == 0)
    began = time.time()
    time.sleep(SECONDS)
    moments = sorted(entry["t"] for entry in world.twin.log() if is_site(f"https://{entry['host']}/") and entry["t"] > began)
    workers = ask("SELECT count(DISTINCT worker) FROM ingestion_attempt WHERE started_at > to_timestamp(%s)", began)[0][0]
    per_second = [sum(second <= t - began < second + 1 for t in moments) for second in range(SECONDS)]
    return {
        "budget": RATE,
        "requests": len(moments),
        "per_second": round((len(moments) - 1) / (moments[-1] - moments[0]), 3),
        "most_in_a_second": max(per_second),
        "processes": workers,
    }


def _measure_pause(world: World, ask: Ask) -> dict[str, float]:
    """Seconds from the command's start until the last transfer is torn down, and from the resume to the first new attempt."""
    world.twin.configure(bytes_per_second=SLOW)
    _until(lambda: ask("SELECT count(*) FROM ingestion_liveprogress WHERE bytes_done > 0")[0][0] >= 4)
    asked = time.time()
    _run(world, "pause", "--all", "--now")
    _until(lambda: ask("SELECT count(*) FROM videos_video WHERE status = 'downloading'")[0][0] == 0)
    query = """SELECT extract(epoch FROM max(finished_at))::float, count(*) FROM ingestion_attempt
               WHERE stop = 'pause' AND finished_at > to_timestamp(%s)"""
    [(stopped, count)] = ask(query, asked)
    resumed = time.time()
    _run(world, "resume", "--all")
    query = "SELECT extract(epoch FROM min(started_at))::float FROM ingestion_attempt WHERE started_at > to_timestamp(%s)"
    _until(lambda: ask(query, resumed)[0][0])
    return {"stopped": count, "stopped_after": round(stopped - asked, 2), "resumed_after": round(ask(query, resumed)[0][0] - resumed, 2)}


def _run(world: World, *words: str) -> None:
    if world.run(*words, stdout=subprocess.DEVNULL):
        raise SystemExit(f"manage.py {' '.join(words)} failed")


def _asker(connection: psycopg.Connection) -> Ask:
    return lambda query, *values: connection.execute(query, values).fetchall()


def _until(fact: Callable[[], Any], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > end:
            raise SystemExit(f"not within {seconds} s")
        time.sleep(0.05)


def _show(result: dict[str, Any]) -> None:
    print(" ".join(f"{name} {value}" for name, value in result["machine"].items()))
    rate = result["rate"]
    print(f"{rate['requests']} requests of {rate['processes']} processes: {rate['per_second']}/s of {rate['budget']}/s")
    stopped = [one["stopped_after"] for one in result["pauses"]]
    resumed = [one["resumed_after"] for one in result["pauses"]]
    print(f"pause --now heard after {statistics.median(stopped)} s (slowest {max(stopped)}), resume after {statistics.median(resumed)} s")
    for target, reached in result["targets"].items():
        print(f"{'reached' if reached else 'MISSED '}  {target}")


if __name__ == "__main__":
    main()
