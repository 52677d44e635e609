"""What every worker host runs: starts a cluster for each queue, ticks, watches, and starts anew what died or hangs."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from django.conf import settings

from ingestion import assets, dispatch, leases, roster
from ingestion.cluster import (
    GRACE_SECONDS,
    PARENT_VARIABLE,
    STOP_SECONDS,
    STOP_SIGNALS,
    SUPERVISOR_VARIABLE,
    signals_held_back,
    supervisor_prefix,
)
from ingestion.outages import DATABASE_AWAY, close_connection
from ingestion.scanning import live_scans
from massdl_site.apps import NO_PAGES_VARIABLE
from videos.models import Video

logger = logging.getLogger(__name__)

TICK_SECONDS = 2
IDLE_SECONDS = 30
IDLE_STOP_SECONDS = 8  # a cluster without work that has not stopped by then hangs

LONGEST_WAIT_SECONDS = 30  # before a cluster that died is started again: 1, 2, 4 ...
STEADY_SECONDS = 60  # a cluster that lived so long starts again without a history
QUICK_SECONDS = 10
MOST_QUICK_DEATHS = 5


class ClustersKeepDying(Exception):
    """A cluster died MOST_QUICK_DEATHS times in a row soon after its start: a further start would help nobody."""


class _Cluster:
    """One queue's cluster and all its processes, in a session (process group) of their own; started anew when it ends."""

    def __init__(self, queue: str, environment: Mapping[str, str]):
        self.queue = queue
        self._environment = {**environment, "Q_CLUSTER_NAME": queue}
        self._process: subprocess.Popen | None = None
        self._started_at = self._start_at = self._busy_since = time.monotonic()
        self._deaths = self._quick_deaths = 0

    def keep_running(self, *, may_start: bool = True) -> None:
        """Start it when its time has come and it may start. Raises ClustersKeepDying when it died too often."""
        if self._process and self._process.poll() is not None:
            self._note_death(self._process.returncode)
        if not self._process and may_start and time.monotonic() >= self._start_at:
            self._start()

    def replace(self) -> None:
        self.kill()
        self._start()

    def note_work(self, *, is_idle: bool) -> bool:
        """Note whether it lets due work lie; True when it has done so for IDLE_SECONDS, or since it started."""
        if not is_idle or not self._process:
            self._busy_since = time.monotonic()
        return time.monotonic() - self._busy_since > IDLE_SECONDS

    def signal(self, number: int) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(number)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End whatever is left of it; once only, for its number may be somebody else's by then."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _start(self) -> None:
        command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "workers", "--skip-checks", "--cluster", self.queue]
        environment = {**self._environment, PARENT_VARIABLE: str(os.getpid())}
        with signals_held_back():  # the new process inherits this, and lets them in when it has handlers for them
            self._process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
        self._started_at = self._busy_since = time.monotonic()

    def _note_death(self, code: int) -> None:
        self.kill()
        lived = time.monotonic() - self._started_at
        self._deaths = 1 if lived >= STEADY_SECONDS else self._deaths + 1
        self._quick_deaths = self._quick_deaths + 1 if lived < QUICK_SECONDS else 0
        if self._quick_deaths >= MOST_QUICK_DEATHS:
            raise ClustersKeepDying(
                f"the {self.queue} cluster ended {MOST_QUICK_DEATHS} times in a row within {QUICK_SECONDS} s of its start, "
                f"the last time with exit code {code}"
            )
        wait = min(2 ** (self._deaths - 1), LONGEST_WAIT_SECONDS)
        logger.error("the %s cluster ended (exit code %s): starting a fresh one in %d s", self.queue, code, wait)
        self._start_at = time.monotonic() + wait


class Supervisor:
    """Runs until SIGTERM (running videos get a while to finish) or SIGINT (they are handed back at once).

    Both are heard from the moment it is made; it is made and run in the main thread.
    """

    def __init__(self, *, download_workers: int):
        self._stop_with: int | None = None
        for number in STOP_SIGNALS:
            signal.signal(number, self._ask_to_stop)
        self._token = uuid4().hex[:8]
        own = {SUPERVISOR_VARIABLE: self._token, NO_PAGES_VARIABLE: "1", "MASSDL_DOWNLOAD_WORKERS": str(download_workers)}
        environment = {**os.environ, **own}
        self._clusters = {queue: _Cluster(queue, environment) for queue in dispatch.TASKS}
        self._database_answers = True  # a cluster that starts without one dies at once, and five times are the end

    @property
    def name(self) -> str:
        return f"{self._prefix}{os.getpid()}"

    @property
    def _prefix(self) -> str:
        return supervisor_prefix(self._token)

    def run(self) -> None:
        """Returns when told to stop; raises SystemExit(1) when a cluster cannot be kept running."""
        next_tick = time.monotonic()
        try:
            while self._stop_with is None:
                for cluster in self._clusters.values():
                    cluster.keep_running(may_start=self._database_answers)
                if time.monotonic() >= next_tick:
                    self._tick()
                    next_tick = time.monotonic() + TICK_SECONDS
                time.sleep(0.1)
        except ClustersKeepDying as exc:
            logger.critical("%s: these workers stop. Its own words stand above; mend what they name, then start again", exc)
            raise SystemExit(1) from exc
        finally:
            self._stop()

    def _ask_to_stop(self, number: int, frame: object) -> None:
        self._stop_with = number

    def _tick(self) -> None:
        """One round of upkeep; a database that is away for a while is no reason to stop."""
        try:
            roster.report(self.name, self._prefix, _is_alive)
            leases.expire(self._prefix, _is_alive)
            dispatch.tick()
            self._watch(dispatch.DOWNLOADS, "video", is_idle=self._videos_lie())
            self._watch(dispatch.SCANS, "channel or an asset", is_idle=self._scans_lie())
            self._database_answers = True
        except DATABASE_AWAY as exc:
            logger.warning("the database did not answer: %s", exc)
            close_connection()
            self._database_answers = False
            for cluster in self._clusters.values():
                cluster.note_work(is_idle=False)
        except Exception:  # what is wrong with one row must not end the workers of all
            logger.exception("a round of upkeep failed; the next one begins anew")

    def _watch(self, queue: str, what: str, *, is_idle: bool) -> None:
        """A cluster whose queue is stuck looks alive: due work that nobody takes for IDLE_SECONDS tells."""
        if self._clusters[queue].note_work(is_idle=is_idle):
            logger.error("a %s is due, but no wake-up reached our workers for %d s: starting a fresh %s cluster", what, IDLE_SECONDS, queue)
            self._clusters[queue].replace()

    def _videos_lie(self) -> bool:
        """Whether videos are due, none of ours runs, and no wake-up reaches our workers; what other hosts do proves nothing."""
        if not dispatch.due_videos() or self._hears(dispatch.DOWNLOADS) or assets.in_work(self._prefix, after_download=True).exists():
            return False
        return not Video.objects.filter(status=Video.Status.DOWNLOADING, lease_owner__startswith=self._prefix).exists()

    def _scans_lie(self) -> bool:
        """The same of what the other queue is for: channels, and assets of videos."""
        if not (dispatch.due_scans() or dispatch.due_assets()) or self._hears(dispatch.SCANS):
            return False
        scans = live_scans().filter(lease_owner__startswith=self._prefix)
        return not scans.exists() and not assets.in_work(self._prefix, after_download=False).exists()

    def _hears(self, queue: str) -> bool:
        return roster.hears_wake_ups(self._prefix, queue, timedelta(seconds=2 * TICK_SECONDS))

    def _stop(self) -> None:
        number = self._stop_with or signal.SIGTERM
        for cluster in self._clusters.values():
            cluster.signal(number)
        deadline = time.monotonic() + STOP_SECONDS + (GRACE_SECONDS if number == signal.SIGTERM else 0)
        self._wait_for_clusters(deadline)
        for cluster in self._clusters.values():
            cluster.kill()
        try:
            leases.expire(self._prefix, _is_alive)
            roster.strike_off(self._prefix)
        except DATABASE_AWAY:
            close_connection()

    def _wait_for_clusters(self, deadline: float) -> None:
        """Until all have ended; those that hang and hold no work are not waited for to the end."""
        idle_end = time.monotonic() + IDLE_STOP_SECONDS
        while any(cluster.is_running for cluster in self._clusters.values()):
            time.sleep(0.1)
            if time.monotonic() > deadline or (time.monotonic() > idle_end and not self._holds_work()):
                logger.warning("the %s cluster did not stop in time", " and the ".join(self._running_queues()))
                return

    def _running_queues(self) -> list[str]:
        return [queue for queue, cluster in self._clusters.items() if cluster.is_running]

    def _holds_work(self) -> bool:
        """Whether a lease of ours is left; as long as the database does not say, there may be one."""
        try:
            videos = Video.objects.filter(status=Video.Status.DOWNLOADING, lease_owner__startswith=self._prefix)
            held = (videos, live_scans().filter(lease_owner__startswith=self._prefix), assets.in_work(self._prefix))
            return any(work.exists() for work in held)
        except DATABASE_AWAY:
            close_connection()
            return True


def _is_alive(pid: int) -> bool:
    """Whether a process of this host runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
