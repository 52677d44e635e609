"""What the benches share: a word on the machine, medians, ways that take turns, a local YouTube in a process of its own."""

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any


def machine(*packages: str) -> dict[str, Any]:
    """The machine and its load at this moment; `packages` are named with their versions."""
    return {
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{package.removesuffix("-bin"): version(package) for package in packages},
        "load": load(),
    }


def load() -> float:
    return round(os.getloadavg()[0], 2)


def median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 3)


def in_turns(ways: Iterable[str], number: int) -> list[str]:
    """The order of one round: each begins with the way that came second in the one before."""
    order = list(ways)
    first = number % len(order)
    return order[first:] + order[:first]


def show_machine(result: dict[str, Any]) -> None:
    print(" ".join(f"{name} {value}" for name, value in result["machine"].items()))


def show_targets(result: dict[str, Any]) -> None:
    for target, reached in result["targets"].items():
        print(f"{'reached' if reached else 'MISSED '}  {target}")


@contextmanager
def local_youtube(folder: Path) -> Iterator[dict[str, Any]]:
    """A local YouTube in a process of its own; gives its proxy's address and its port."""
    command = [sys.executable, "-m", "demo.youtube_twin", "--state", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as twin:
        try:
            said = json.loads(twin.stdout.readline())
            yield {**said, "port": int(said["proxy"].rpartition(":")[2])}
        finally:
            twin.terminate()
