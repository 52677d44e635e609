"""One video, real workers that are killed over it, and an exact count of what YouTube and the bucket saw of that."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import psycopg

from bench._s3_proxy import S3Proxy
from demo.world import ROOT, World, open_world
from massdl_site.embedded import postgres_url

MIB = 1 << 20
PART = 8 * MIB
LEASE_SECONDS = 4
MOST_SECONDS = 600

# What the bucket holds, and whether it is what the row says: read by a process of its own, as an audit would.
LOOK = """
import json
from ingestion.store import Store
from videos.models import Video
store, video = Store.default(), Video.objects.get()
seen = store.examine(video.storage_key, video.part_size)
print(json.dumps({
    "size": seen.size, "checksum": seen.checksum, "crc32": seen.crc32,
    "as recorded": (seen.size, seen.checksum, seen.crc32) == (video.file_size, video.checksum, video.crc32),
    "objects": sum(str(video.uuid) in held.key for held in store.objects()),
    "uploads": sum(str(video.uuid) in held.key for held in store.uploads()),
}))
"""
# The least that finds, downloads and takes back what others lost: a host's supervisor, queue and clusters left out.
LONE_WORKER = """
import time
from ingestion import leases, tasks
while True:
    leases.reap()
    tasks.scan_due()
    tasks.download_due()
    time.sleep(0.2)
"""


@dataclass(frozen=True)
class Served:
    """One answer of the local YouTube: bytes `first` to `last` of a format were asked for, `sent` of them went out."""

    itag: int
    first: int
    last: int
    sent: int

    @property
    def end(self) -> int:
        return self.first + self.sent


def served(log: Iterable[Mapping[str, Any]]) -> list[Served]:
    """The media in a log of the local YouTube, oldest first."""
    return [_served(entry) for entry in log if entry["kind"] == "media" and entry["status"] == 206]


def _served(entry: Mapping[str, Any]) -> Served:
    first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", entry["range"]).groups())
    return Served(int(re.search(r"[?&]itag=(\d+)", entry["path"])[1]), first, last, entry["bytes"])


def fetched_again(answers: Iterable[Served]) -> int:
    """Bytes that went out more than once."""
    by_format = defaultdict(list)
    for answer in answers:
        by_format[answer.itag].append((answer.first, answer.end))
    return sum(sum(end - first for first, end in spans) - _covered(spans) for spans in by_format.values())


def _covered(spans: Iterable[tuple[int, int]]) -> int:
    covered, reached = 0, 0
    for first, end in sorted(spans):
        covered += max(0, end - max(first, reached))
        reached = max(reached, end)
    return covered


class Host:
    """Workers in a group of processes of their own."""

    def __init__(self, process: subprocess.Popen):
        self._process = process

    def kill(self) -> None:
        """kill -9 of all its processes. Returns when nothing of it runs any more."""
        main = psutil.Process(self._process.pid)
        everybody = [main, *main.children(recursive=True)]
        for process in everybody:
            if process.is_running():
                process.kill()
        self._process.wait()
        if left := psutil.wait_procs(everybody, timeout=30)[1]:
            raise RuntimeError(f"still there after kill -9: {left}")

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)


@dataclass(frozen=True)
class Scene:
    """A world whose bucket is behind a counting proxy. It is about one video at a time."""

    world: World
    proxy: S3Proxy
    database: psycopg.Connection
    log: Path
    whole_hosts: bool = False

    @property
    def twin(self):
        return self.world.twin

    @contextmanager
    def host(self) -> Iterator[Host]:
        """A host at work, one download at a time; it is killed if it outlives the block."""
        command = [sys.executable, "manage.py", *(["workers"] if self.whole_hosts else ["shell", "-v", "0", "-c", LONE_WORKER])]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=self.world.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        host = Host(process)
        try:
            yield host
        finally:
            if process.poll() is None:
                host.kill()

    def ask_for(self, video: str) -> None:
        """As staff do, by its address; the log of the local YouTube and the counts of the proxy begin here."""
        address = f"https://www.youtube.com/watch?v={video}"
        self.twin.clear_log()
        self.proxy.forget()
        self.run("mass_download", "--channel", address, "--detach")

    def run(self, *words: str) -> str:
        """What a manage.py command said. Raises RuntimeError when it failed."""
        with self.world.manage(*words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            said, _ = process.communicate(timeout=MOST_SECONDS)
        if process.returncode:
            raise RuntimeError(f"{words[0]}: {said}")
        return said

    def rows(self, query: str) -> list[tuple]:
        return self.database.execute(query).fetchall()

    def status(self) -> str:
        """Of the video; '' while it is not known."""
        return next((status for (status,) in self.rows("SELECT status FROM videos_video")), "")

    def uploads(self) -> dict[str, dict[str, Any]]:
        """What the last attempt remembers of its uploads, by their role, '' for the only one of a COPY."""
        [(state,)] = self.rows("SELECT upload FROM ingestion_attempt ORDER BY id DESC LIMIT 1") or [(None,)]
        state = state or {}
        return state.get("uploads", {"": state} if state else {})

    def parts(self, role: str = "") -> int:
        """How many parts of an upload are stored and remembered; a finished object counts with its size."""
        upload = self.uploads().get(role, {})
        return len(upload.get("parts", {})) or -(-upload.get("stored", {}).get("size", 0) // PART)

    def stalled(self) -> bool:
        """The local YouTube holds an answer back: the fault was met."""
        return any(fault["stall"] is not None and fault["times"] == 0 for fault in self.twin.faults_in_force.rules())

    def look(self) -> dict[str, Any]:
        """The stored object, read again, and how many objects and unfinished uploads there are."""
        return json.loads(self.run("shell", "-v", "0", "-c", LOOK).splitlines()[-1])

    def clear(self) -> None:
        """Forget the video; its object stays."""
        self.database.execute("TRUNCATE videos_video CASCADE")

    def uninterrupted(self, video: str) -> dict[str, Any]:
        """What a run is like in which nothing happens; the video is forgotten afterwards."""
        self.ask_for(video)
        until(lambda: self.status() == "stored", f"{video} is stored")
        seen = self.look()
        self.clear()
        return seen


@contextmanager
def open_scene(folder: Path, *, media: Path, whole_hosts: bool = False) -> Iterator[Scene]:
    """Empty but for the media of the local YouTube, which are kept in `media`. `whole_hosts`: with all processes of
    `manage.py workers`, instead of one worker alone."""
    folder.mkdir(parents=True, exist_ok=True)
    media.mkdir(parents=True, exist_ok=True)
    (folder / "twin").symlink_to(media.resolve())
    with ExitStack() as cleanup:
        world = cleanup.enter_context(open_world(folder, dict(os.environ)))
        proxy = cleanup.enter_context(S3Proxy(world.environment["AWS_S3_ENDPOINT_URL"]))
        ours = {
            "AWS_S3_ENDPOINT_URL": proxy.url,
            "MASSDL_LEASE_SECONDS": str(LEASE_SECONDS),
            "MASSDL_DOWNLOAD_WORKERS": "1",
        }
        database = cleanup.enter_context(psycopg.connect(postgres_url(folder / "postgres"), autocommit=True))
        scene = Scene(replace(world, environment={**world.environment, **ours}), proxy, database, folder / "workers.log", whole_hosts)
        scene.run("migrate", "--verbosity", "0")
        yield scene


def until(fact: Callable[[], bool], wanted: str, seconds: float = MOST_SECONDS) -> None:
    """Wait for a fact. Raises TimeoutError with what was wanted."""
    end = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > end:
            raise TimeoutError(f"{wanted}: not within {seconds:g} s")
        time.sleep(0.05)
