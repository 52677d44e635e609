"""Who is who among the processes of one supervisor."""

from dataclasses import dataclass

import psutil

QUEUES = ("control", "download")


@dataclass(frozen=True)
class Cluster:
    """One queue's processes: its main process, the sentinel below, and what that one started."""

    queue: str
    main: psutil.Process
    sentinel: psutil.Process | None
    crew: tuple[psutil.Process, ...]

    @property
    def everybody(self) -> list[psutil.Process]:
        return [self.main, *([self.sentinel] if self.sentinel else []), *self.crew]


def clusters_of(supervisor: int) -> dict[str, Cluster]:
    """By queue; those that run at this moment. Empty when the supervisor does not."""
    found = {}
    try:
        for main in psutil.Process(supervisor).children():
            words = main.cmdline()
            if words[-2:-1] == ["--cluster"] and words[-1] in QUEUES:
                found[words[-1]] = _cluster(words[-1], main)
    except psutil.Error:
        pass  # it ended meanwhile
    return found


def _cluster(queue: str, main: psutil.Process) -> Cluster:
    sentinels = [child for child in main.children() if child.cmdline() == main.cmdline()]  # not multiprocessing's own servants
    sentinel = min(sentinels, key=psutil.Process.create_time, default=None)
    return Cluster(queue, main, sentinel, tuple(sentinel.children()) if sentinel else ())


def pids_below(process: psutil.Process) -> set[int]:
    """Its own number and those of all that it started, directly or not."""
    try:
        return {process.pid, *(child.pid for child in process.children(recursive=True))}
    except psutil.Error:
        return {process.pid}
