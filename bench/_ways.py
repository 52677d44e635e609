"""One measurement of `bench.streaming`, in this process: the ways, and what a video by one of them costs.

What a worker does once is not counted, in any way: imports, the S3 client, yt-dlp's session, the look for ffmpeg.
"""

import io
import json
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MB = 1_000_000
SAMPLE_SECONDS = 0.05
PAGE = resource.getpagesize()

Run = Callable[[], int]
"""Moves the video; returns the bytes that came out."""


def prepare_stream(options: Mapping[str, Any], video: str, number: int) -> Run:
    """Ours. `number` tells apart what runs at the same time."""
    from ingestion.options import Choice
    from ingestion.store import Store
    from ingestion.streams import transfer
    from ingestion.youtube import YouTube

    store, source = Store.default(), YouTube(options)

    def run() -> int:
        extraction = source.extract(video, Choice("best"))
        key = f"stream/{video}-{number}"
        moved = transfer(extraction, source=source, store=store, key_stem=key, progress=lambda *_: None, metadata={})
        return moved.stored.size

    return run


def prepare_classic(options: Mapping[str, Any], video: str, number: int) -> Run:
    """yt-dlp to disk, the same formats, ffmpeg merges, boto3 uploads, with a CRC-32 as is its own default."""
    from yt_dlp import YoutubeDL

    from ingestion.streams import ffmpeg_path
    from ingestion.youtube.client import full_options

    (client, bucket), folder = _plain_client(), Path(tempfile.mkdtemp())
    own = {
        "format": "bestvideo+bestaudio/best",
        "paths": {"home": str(folder)},
        "ffmpeg_location": ffmpeg_path(),
        "outtmpl": "video.%(ext)s",
    }
    ydl = YoutubeDL({**full_options(options), "noprogress": True, **own})

    def run() -> int:
        ydl.extract_info(f"https://www.youtube.com/watch?v={video}")
        (path,) = folder.iterdir()
        client.upload_file(str(path), bucket, f"classic/{number}/{path.name}")
        size = path.stat().st_size
        shutil.rmtree(folder)
        return size

    return run


def prepare_pipe(options: Mapping[str, Any], video: str, number: int) -> Run:
    """The least there is to do: our readers, ffmpeg behind them, and nothing behind that."""
    from ingestion.options import Choice
    from ingestion.store import Store
    from ingestion.streams.feeding import Mux
    from ingestion.streams.inputs import PICTURE_WINDOW, SOUND_WINDOW
    from ingestion.streams.job import Job
    from ingestion.streams.ranges import Meter
    from ingestion.youtube import YouTube

    store, source = Store.default(), YouTube(options)

    def run() -> int:
        meter = Meter()
        extraction = source.extract(video, Choice("best"))
        job = Job(extraction, source, store, f"pipe/{video}-{number}", lambda *_: None, {}, 1)
        tracks = [job.track(media, meter) for media in extraction.formats]
        kept = [word for position in range(len(tracks)) for word in ("-map", str(position))]
        windows = (PICTURE_WINDOW, SOUND_WINDOW)
        with Mux(list(zip(tracks, windows, strict=False)), [*kept, "-c", "copy", "-f", "null", "-"], cancel=job.cancel) as process:
            while not process.ended(wait=1):
                continue
            process.judge()
        return meter.fetched

    return run


def prepare_upload(options: Mapping[str, Any], video: str, number: int) -> Run:
    """The other half of the least there is to do: boto3 sends as many bytes from memory, and nothing is fetched."""
    from ingestion.options import Choice
    from ingestion.youtube import YouTube

    client, bucket = _plain_client()
    content = os.urandom(sum(media.size for media in YouTube(options).extract(video, Choice("best")).formats))

    def run() -> int:
        client.upload_fileobj(io.BytesIO(content), bucket, f"upload/{number}")
        return len(content)

    return run


def _plain_client() -> tuple[Any, str]:
    """boto3's own, and the name of the bucket. Payload signing is what it does on http only; S3 is spoken to by https."""
    import boto3
    from botocore.config import Config
    from django.core.files.storage import storages

    bucket = storages["videos"].bucket
    config = Config(s3={"addressing_style": "path", "payload_signing_enabled": False}, signature_version="s3v4")
    return boto3.client("s3", endpoint_url=bucket.meta.client.meta.endpoint_url, config=config), bucket.name


WAYS: dict[str, Callable[[Mapping[str, Any], str, int], Run]] = {
    "stream": prepare_stream,
    "classic": prepare_classic,
    "pipe": prepare_pipe,
    "upload": prepare_upload,
}


def measure(way: str, video: str, *, proxy: str, at_once: int) -> dict[str, float]:
    """So many times one video by one way, all at the same time."""
    import django
    import yt_dlp  # noqa: F401

    django.setup()
    import ingestion.youtube  # noqa: F401
    from ingestion.streams import ffmpeg

    ffmpeg.ffmpeg_path()
    ffmpeg.launcher()
    runs = [WAYS[way]({"proxy": proxy, "nocheckcertificate": True}, video, number) for number in range(at_once)]
    with ThreadPoolExecutor(at_once) as threads, _peak_memory() as peak:
        before, started = _spent(), time.monotonic()
        first, *others = runs  # the first in the main thread, as in a worker: the allocator treats that one otherwise
        sizes = threads.map(lambda run: run(), others)
        size = first() + sum(sizes)
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
    """Without psutil, which looks at every process of the machine for the children of one: CPU time that would be counted.

    A child that has not yet become another program has our memory, not one of its own.
    """
    total, ours = 0, Path("/proc/self/cmdline").read_bytes()
    for process in ("self", *_children()):
        try:
            if process != "self" and Path(f"/proc/{process}/cmdline").read_bytes() == ours:
                continue
            total += int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE
        except OSError:
            continue
    return total


def _children() -> Iterator[str]:
    for task in os.listdir("/proc/self/task"):
        try:
            yield from Path(f"/proc/self/task/{task}/children").read_text().split()
        except OSError:
            continue


def _memory_files() -> int:
    total = 0
    for handle in os.listdir("/proc/self/fd"):
        try:
            if "memfd:" in os.readlink(f"/proc/self/fd/{handle}"):
                total += os.stat(f"/proc/self/fd/{handle}").st_blocks * 512
        except OSError:
            continue
    return total


if __name__ == "__main__":
    _, way, video, proxy, at_once = sys.argv
    print(json.dumps(measure(way, video, proxy=proxy, at_once=int(at_once))))
