"""How fast videos are given to workers: claims per second with the limits on, flat up to a million pending videos; and
our cluster against one django-q2 task for each video, videos per second and queries per video.

A claim here is taken and ended as stored, both with all that they write; nothing is downloaded. Two processes claim, a
third refreshes the turns as the tick of a supervisor does. Each case has a database of its own, and the cases take turns.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from statistics import quantiles
from typing import Any

from bench import _clusters
from bench._machine import in_turns, load, machine, median, show_machine, show_targets
from bench._pending import Database, Server, start_postgres

CLAIMERS = 2
ROUNDS = 3
REFRESH_SECONDS = 2.0  # as ingestion.supervisor.TICK_SECONDS
LEAST_CLAIMS_PER_SECOND = 100
LEAST_OF_SMALLEST = 0.8
PEER_ROUNDS = {1_000: 3, 10_000: 1}
COUNTED = 1_000
HINTS = ("refresh_ms", "due_videos_ms")


@dataclass(frozen=True)
class Case:
    """`each` pending videos in each channel; `paused_each` more of a paused session in the same channels; `big` more in one
    channel, which go first.

    `of` is the case whose videos it begins with; `statistics` False: PostgreSQL knows nothing of them yet.
    """

    name: str
    channels: int
    each: int
    paused_each: int = 0
    big: int = 0
    of: str = ""
    statistics: bool = True

    @property
    def pending(self) -> int:
        return self.channels * self.each + self.big


CASES = (
    Case("1,000", 1_000, 1),
    Case("10,000", 1_000, 10),
    Case("100,000", 1_000, 100),
    Case("1,000,000", 1_000, 1_000),
    Case("1,000,000 of 5,000 channels", 5_000, 200),
    Case("1,000,000 beside 1,000,000 of a paused session", 1_000, 1_000, paused_each=1_000, of="1,000,000"),
    Case("100,000 of one channel beside 5,000 single ones", 5_000, 1, big=100_000),
    Case("1,000,000 without statistics", 1_000, 1_000, of="1,000,000", statistics=False),
)
FLAT = ("1,000", "10,000", "100,000", "1,000,000")
BIGGEST = FLAT[-1]


def main(most: int = 1_000_000, claims: int = 1_000, peer_rounds: dict[int, int] = PEER_ROUNDS, counted: int = COUNTED) -> dict[str, Any]:
    """Measure, print the tables, and return all numbers. Cases of more than `most` videos are left out."""
    server = start_postgres()
    cases = _measure_cases(server, [case for case in CASES if case.pending <= most], claims)
    clusters = _compare_clusters(server, peer_rounds, counted)
    result = {"machine": machine("Django", "django-q2", "psycopg"), "cases": cases, "clusters": clusters}
    result["targets"] = _targets(cases)
    _show(result)
    return result


# --- claims -----------------------------------------------------------------------------------------------------------


def _measure_cases(server: Server, cases: list[Case], claims: int) -> dict[str, Any]:
    databases: dict[str, Database] = {}
    for case in cases:
        databases[case.name] = _prepare(server, case, databases)
    rounds: dict[str, list[dict[str, Any]]] = {case.name: [] for case in cases}
    known = {case.name: case for case in cases}
    for number in range(ROUNDS):
        for name in in_turns(rounds, number):
            if number and known[name].pending < 10 * ROUNDS * claims:
                _refill(databases[name], known[name])
            rounds[name].append(_measure_claims(databases[name], min(claims, known[name].pending)))
    for database in databases.values():
        server.drop(database)
    return {name: {**asdict(case), **_summary(rounds[name])} for name, case in known.items()}


def _prepare(server: Server, case: Case, databases: dict[str, Database]) -> Database:
    """Its database, filled; one `of` another is a copy of that, before it is worked."""
    database = server.create(f"case{len(databases)}", like=databases[case.of].name if case.of else "migrated")
    if not case.of:
        database.fill(channels=case.channels, each=case.each, big=case.big)
    if case.paused_each:
        database.fill(channels=case.channels, each=case.paused_each, state="paused")
    if case.statistics:
        database.settle()
    else:
        database.forget_statistics()
    return database


def _refill(database: Database, case: Case) -> None:
    database.empty()
    database.fill(channels=case.channels, each=case.each)
    database.settle()


def _measure_claims(database: Database, claims: int) -> dict[str, Any]:
    """One round: all processes start, say that they are ready, and begin together."""
    refresher = _start(database, "refresh")
    claimers = [_start(database, "claim", str(claims // CLAIMERS)) for _ in range(CLAIMERS)]
    for process in (refresher, *claimers):
        process.stdout.readline()
    for process in (refresher, *claimers):
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [_last_words(process) for process in (*claimers, refresher)]
    done, hints = said[:CLAIMERS], said[CLAIMERS]
    seconds = max(one["ended"] for one in done) - min(one["began"] for one in done)
    taken = [took for one in done for took in one["claim_ms"]]
    percentiles = quantiles(taken, n=100)
    return {
        "claims": len(taken),
        "claims_per_second": round(len(taken) / seconds, 1),
        "claim_ms_median": round(percentiles[49], 2),
        "claim_ms_99th": round(percentiles[98], 2),
        **hints,
        "load": load(),
    }


def _start(database: Database, *role: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "bench.dispatch", "--role", *role]
    return subprocess.Popen(command, env=database.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _last_words(process: subprocess.Popen) -> dict[str, Any]:
    said, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"a process of the bench ended with exit code {process.returncode}")
    return json.loads(said)


def claim_here(claims: int) -> dict[str, Any]:
    """Take and end so many videos, fewer when there are no more."""
    from bench._work import STORED
    from ingestion import leases

    _say_ready_and_wait()
    began, claim_ms = time.time(), []
    while len(claim_ms) < claims:
        before = time.perf_counter()
        claim = leases.claim("bench:0:0")
        if claim is None:
            break
        claim_ms.append((time.perf_counter() - before) * 1000)
        leases.finish_stored(claim, way="copy", storage_key=f"bench/{claim.attempt_id}", **STORED)
    return {"began": began, "ended": time.time(), "claim_ms": claim_ms}


def refresh_here() -> dict[str, float]:
    """What every tick does for the claims, until they end; first in peace, to see how long it takes."""
    import select

    from ingestion import dispatch, turns

    took = [(_milliseconds(turns.refresh), _milliseconds(dispatch.due_videos)) for _ in range(4)][1:]
    _say_ready_and_wait()
    while not select.select([sys.stdin], [], [], REFRESH_SECONDS)[0]:
        turns.refresh()
        dispatch.due_videos()
    return {name: median(column) for name, column in zip(HINTS, zip(*took, strict=True), strict=True)}


def _say_ready_and_wait() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


def _milliseconds(call: Any) -> float:
    before = time.perf_counter()
    call()
    return (time.perf_counter() - before) * 1000


def _summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: median(done[name] for done in rounds) for name in rounds[0] if name != "load"} | {"rounds": rounds}


# --- clusters ---------------------------------------------------------------------------------------------------------


def _compare_clusters(server: Server, rounds: dict[int, int], counted: int) -> dict[str, Any]:
    queries = {way: _clusters.count_queries(server, way, counted) for way in _clusters.WAYS}
    sizes = {str(videos): _compare_size(server, videos, number) for videos, number in rounds.items()}
    return {"queries": {"counted_videos": counted, **queries, "ratio": _ratio(queries, "queries_per_video")}, "sizes": sizes}


def _compare_size(server: Server, videos: int, number: int) -> dict[str, Any]:
    rounds = [{way: _clusters.measure(server, way, videos) for way in in_turns(_clusters.WAYS, i)} for i in range(number)]
    medians = {way: {name: median(done[way][name] for done in rounds) for name in rounds[0][way]} for way in _clusters.WAYS}
    return {**medians, "ratio": _ratio(medians, "videos_per_second"), "rounds": rounds}


def _ratio(ways: dict[str, dict[str, float]], name: str) -> float:
    """Ours over the peer's."""
    return round(ways["ours"][name] / ways["peer"][name], 2)


# --- what came out ----------------------------------------------------------------------------------------------------


def _targets(cases: dict[str, Any]) -> dict[str, bool]:
    per_second = {name: case["claims_per_second"] for name, case in cases.items()}
    smallest = per_second[FLAT[0]]
    targets = {
        f"{name}: at least {LEAST_CLAIMS_PER_SECOND} claims per second": rate >= LEAST_CLAIMS_PER_SECOND
        for name, rate in per_second.items()
    }
    return targets | {
        f"{name}: at least {LEAST_OF_SMALLEST} of the claims per second with {FLAT[0]}": rate >= LEAST_OF_SMALLEST * smallest
        for name, rate in per_second.items()
        if name != FLAT[0]
    }


def _show(result: dict[str, Any]) -> None:
    show_machine(result)
    print(f"{'pending videos':46} {'claims/s':>9} {'median ms':>10} {'99 % ms':>9} {'refresh ms':>11} {'due ms':>7}")
    for name, case in result["cases"].items():
        hints = f"{case['refresh_ms']:11.1f} {case['due_videos_ms']:7.1f}"
        print(f"{name:46} {case['claims_per_second']:9.1f} {case['claim_ms_median']:10.2f} {case['claim_ms_99th']:9.2f} {hints}")
    clusters = result["clusters"]
    print(f"{'two workers':30} {'ours':>8} {'peer':>8} {'ratio':>6}")
    for videos, ways in clusters["sizes"].items():
        print(_row(f"videos/s, {int(videos):,} videos", ways, "videos_per_second"))
    print(_row("queries per video", clusters["queries"], "queries_per_video"))
    show_targets(result)


def _row(name: str, ways: dict[str, Any], column: str) -> str:
    return f"{name:30} {ways['ours'][column]:8.1f} {ways['peer'][column]:8.1f} {ways['ratio']:6.2f}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.dispatch", description="A short try; nothing is written to bench/results/.")
    parser.add_argument("--most", type=int, default=10_000, metavar="N", help="leave out cases of more pending videos (default: 10,000)")
    parser.add_argument("--claims", type=int, default=200, metavar="N", help="claims of a round (default: 200)")
    parser.add_argument("--videos", type=int, default=200, metavar="N", help="videos for each of the two clusters (default: 200)")
    parser.add_argument("--role", nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args()


def _play(role: str, *numbers: str) -> dict[str, Any]:
    import django

    django.setup()
    return claim_here(int(numbers[0])) if role == "claim" else refresh_here()


if __name__ == "__main__":
    options = _arguments()
    if options.role:
        print(json.dumps(_play(*options.role)))
    else:
        main(options.most, options.claims, {options.videos: 1}, options.videos)
