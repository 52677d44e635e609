"""What every worker host runs: starts a cluster for each queue, ticks, watches, and starts anew what died or hangs."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.models.functions import Now

from ingestion import dispatch, leases
from ingestion.cluster import GRACE_SECONDS, STOP_SECONDS, SUPERVISOR_VARIABLE, supervisor_prefix
from ingestion.models import Attempt, Worker
from videos.models import Video

logger = logging.getLogger(__name__)

TICK_SECONDS = 2
IDLE_SECONDS = 30
ALIVE = timedelta(seconds=15)


def live_supervisors():
    """Supervisors that were heard of lately, on any host."""
    return Worker.objects.filter(heartbeat_at__gt=Now() - ALIVE)


@dataclass
class _Group:
    """A cluster and all its processes, in a session (process group) of their own."""

    queue: str
    process: subprocess.Popen

    def signal(self, number: int) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Supervisor:
    """Runs until SIGTERM (running videos get a while to finish) or SIGINT (they are handed back at once)."""

    def __init__(self, *, download_workers: int):
        self._token = uuid4().hex[:8]
        self._download_workers = download_workers
        self._stop_with: int | None = None
        self._groups: list[_Group] = []
        self._busy_since = time.monotonic()

    @property
    def name(self) -> str:
        return f"{supervisor_prefix(self._token)}{os.getpid()}"

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask_to_stop)
        self._groups = [self._start(queue) for queue in dispatch.TASKS]
        next_tick = 0.0
        try:
            while self._stop_with is None:
                self._replace_dead()
                if time.monotonic() >= next_tick:
                    self._tick()
                    next_tick = time.monotonic() + TICK_SECONDS
                time.sleep(0.1)
        finally:
            self._stop()

    def _ask_to_stop(self, number: int, frame: object) -> None:
        self._stop_with = number

    def _start(self, queue: str) -> _Group:
        environment = {
            **os.environ,
            "Q_CLUSTER_NAME": queue,
            SUPERVISOR_VARIABLE: self._token,
            "MASSDL_DOWNLOAD_WORKERS": str(self._download_workers),
        }
        command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "workers", "--cluster", queue]
        return _Group(queue, subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True))

    def _replace_dead(self) -> None:
        for position, group in enumerate(self._groups):
            if group.process.poll() is not None:
                logger.error("the %s cluster ended (exit code %s): starting a fresh one", group.queue, group.process.returncode)
                self._replace(position)

    def _replace(self, position: int) -> None:
        self._groups[position].kill()
        self._groups[position] = self._start(self._groups[position].queue)
        self._busy_since = time.monotonic()

    def _tick(self) -> None:
        """One round of upkeep; a database that is away for a while is no reason to stop."""
        try:
            Worker.objects.update_or_create(name=self.name, defaults={"queue": "all", "version": _version(), "heartbeat_at": Now()})
            leases.expire(supervisor_prefix(self._token), _is_alive)
            dispatch.tick()
            self._replace_idle()
        except (DatabaseError, InterfaceError) as exc:
            logger.warning("the database did not answer: %s", exc)
            connection.close()
            self._busy_since = time.monotonic()

    def _replace_idle(self) -> None:
        """A cluster whose queue is stuck looks alive: due work that nobody takes for IDLE_SECONDS tells."""
        mine = Video.objects.filter(status=Video.Status.DOWNLOADING, lease_owner__startswith=supervisor_prefix(self._token))
        recent = Attempt.objects.filter(started_at__gt=Now() - timedelta(seconds=IDLE_SECONDS))
        if not dispatch.due_videos() or mine.exists() or recent.exists():
            self._busy_since = time.monotonic()
        elif time.monotonic() - self._busy_since > IDLE_SECONDS:
            logger.error("videos are due, but nobody took one for %d s: starting a fresh cluster", IDLE_SECONDS)
            self._replace([group.queue for group in self._groups].index(dispatch.DOWNLOADS))

    def _stop(self) -> None:
        for group in self._groups:
            group.signal(self._stop_with or signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS + (GRACE_SECONDS if self._stop_with == signal.SIGTERM else 0)
        for group in self._groups:
            try:
                group.process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                logger.warning("the %s cluster did not stop in time", group.queue)
            group.kill()
        try:
            leases.expire(supervisor_prefix(self._token), _is_alive)
            Worker.objects.filter(name=self.name).delete()
        except (DatabaseError, InterfaceError):
            connection.close()


def _version() -> str:
    from importlib.metadata import version

    return f"yt-dlp {version('yt-dlp')}"


def _is_alive(pid: int) -> bool:
    """Whether a process of this host runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
