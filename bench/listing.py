"""Listing 1,000 and 10,000 videos: our listing against bare yt-dlp with the same options, CPU time and peak memory.

Each measurement is a process of its own, the two ways take turns, and the local YouTube runs in another process.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench._machine import in_turns, local_youtube, machine, median, show_machine, show_targets

SIZES = (1_000, 10_000)
ROUNDS = 3
MOST_CPU_RATIO = 1.15
MOST_GROWTH = 1.05  # peak memory of the larger channel over that of the smaller


def main() -> dict[str, Any]:
    """Measure, print a table, and return all numbers."""
    with tempfile.TemporaryDirectory() as folder, local_youtube(Path(folder)) as twin:
        _measure("ours", twin["proxy"], 100)  # caches and byte code
        sizes = {str(size): _compare(twin["proxy"], size) for size in SIZES}
    small, large = (sizes[str(size)]["ours"]["peak_mib"] for size in SIZES)
    result = {
        "machine": machine("yt-dlp"),
        "sizes": sizes,
        "memory_growth": round(large / small, 3),
        "targets": _targets(sizes, large / small),
    }
    _show(result)
    return result


def list_ours(proxy: str, url: str) -> Iterator[Any]:
    from ingestion.youtube.source import YouTube

    return iter(YouTube({"proxy": proxy, "nocheckcertificate": True}).list_channel(url))


def list_bare(proxy: str, url: str) -> Iterator[Any]:
    """yt-dlp alone, in a plain loop, with the options that ours gives it."""
    from yt_dlp import YoutubeDL

    from ingestion.youtube.client import full_options

    ydl = YoutubeDL(full_options({"proxy": proxy, "nocheckcertificate": True}))
    return ydl.extract_info(url, download=False, process=False)["entries"]


WAYS: dict[str, Callable[[str, str], Iterator[Any]]] = {"ours": list_ours, "bare": list_bare}


def measure_here(way: str, proxy: str, size: int) -> dict[str, float]:
    """List one channel in this process; imports are not counted as CPU time."""
    import yt_dlp  # noqa: F401

    import ingestion.youtube.source  # noqa: F401

    started, before = time.monotonic(), time.process_time()
    count = sum(1 for _ in WAYS[way](proxy, f"https://www.youtube.com/@big{size}"))
    if count != size:
        raise SystemExit(f"{way} listed {count} of {size}")
    return {
        "cpu_seconds": time.process_time() - before,
        "wall_seconds": time.monotonic() - started,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _compare(proxy: str, size: int) -> dict[str, Any]:
    rounds = [{way: _measure(way, proxy, size) for way in in_turns(WAYS, i)} for i in range(ROUNDS)]
    ratios = [done["ours"]["cpu_seconds"] / done["bare"]["cpu_seconds"] for done in rounds]
    medians = {way: {name: median(done[way][name] for done in rounds) for name in rounds[0][way]} for way in WAYS}
    return {**medians, "cpu_ratio": median(ratios), "cpu_ratios": [round(ratio, 3) for ratio in ratios]}


def _measure(way: str, proxy: str, size: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.listing", way, proxy, str(size)]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "massdl_site.settings"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def _targets(sizes: dict[str, Any], growth: float) -> dict[str, bool]:
    return {
        f"CPU at most {MOST_CPU_RATIO} of bare yt-dlp": all(done["cpu_ratio"] <= MOST_CPU_RATIO for done in sizes.values()),
        f"memory at most {MOST_GROWTH} of that for the smaller channel": growth <= MOST_GROWTH,
    }


def _show(result: dict[str, Any]) -> None:
    show_machine(result)
    print(f"{'videos':>8} {'way':>5} {'CPU s':>8} {'wall s':>8} {'peak MiB':>9} {'ratio':>6}")
    for size, done in result["sizes"].items():
        for way in WAYS:
            ratio = f"{done['cpu_ratio']:.3f}" if way == "ours" else ""
            seconds = f"{done[way]['cpu_seconds']:8.2f} {done[way]['wall_seconds']:8.2f}"
            print(f"{size:>8} {way:>5} {seconds} {done[way]['peak_mib']:9.1f} {ratio:>6}")
    show_targets(result)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        print(json.dumps(measure_here(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
    else:
        main()
