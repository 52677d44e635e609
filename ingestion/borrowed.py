"""Workers for the length of one run: those that run anywhere, else some of our own, for as long as nobody else's are there."""

import contextlib
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from ingestion.models import Limits
from ingestion.roster import live_supervisors

logger = logging.getLogger(__name__)

QUICK_SECONDS = 60
MOST_QUICK_DEATHS = 3
START_SECONDS = 5


class WorkersFailed(Exception):
    """Our own workers ended again and again as soon as they had started; the message is a sentence for staff."""


class Workers:
    """Somebody who works: any live supervisor, else a `manage.py workers` of our own. `keep` is called again and again.

    Other people's workers may go at any time, and ours may die; both are noticed by the next `keep`.
    """

    def __init__(self, *, max_concurrent: int | None = None, clock: Callable[[], float] = time.monotonic):
        self._max_concurrent = max_concurrent
        self._clock = clock
        self._process: subprocess.Popen | None = None
        self._started_at = self._not_before = clock()
        self._quick_deaths = 0

    @property
    def are_ours(self) -> bool:
        return self._process is not None

    def keep(self) -> None:
        """Start our own when nobody works. Raises WorkersFailed after MOST_QUICK_DEATHS of ours in a row."""
        if self._process and self._process.poll() is None:
            return
        if self._process:
            self._note_death(self._process.returncode)
            self._process = None
        if self._clock() >= self._not_before and not live_supervisors().exists():
            self._process, self._started_at = self._start(), self._clock()

    def stop(self) -> None:
        """Let our own hand unfinished videos back and end; other people's go on.

        SIGINT would find a process that is still starting without a handler, and leave a traceback on the screen;
        SIGTERM ends it silently, and the work it cannot have begun needs no handing back.
        """
        if not self._process:
            return
        is_young = self._clock() - self._started_at < START_SECONDS
        self._process.send_signal(signal.SIGTERM if is_young else signal.SIGINT)
        with contextlib.suppress(KeyboardInterrupt):
            self._process.wait()

    def _start(self) -> subprocess.Popen:
        command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "workers", "--stop-with-parent"]
        command += ["--max-concurrent", str(_useful(self._max_concurrent))] if self._max_concurrent else []
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def _note_death(self, code: int) -> None:
        is_quick = self._clock() - self._started_at < QUICK_SECONDS
        self._quick_deaths = self._quick_deaths + 1 if is_quick else 1
        if self._quick_deaths >= MOST_QUICK_DEATHS:
            raise WorkersFailed(
                f"The workers ended {MOST_QUICK_DEATHS} times soon after their start (exit code {code}). Their own words stand above; "
                "`manage.py workers` shows them again, and `mass_download --check` says what to mend."
            )
        self._not_before = self._clock() + 2**self._quick_deaths
        logger.warning("the workers ended (exit code %s): they are started again", code)


def _useful(max_concurrent: int) -> int:
    """No more than the limits let work at once: a sheet may say any number."""
    limits = Limits.row()
    return max(1, min(max_concurrent, limits.max_concurrent_channels * limits.max_concurrent_videos_per_channel))


@contextmanager
def borrowed_workers(*, max_concurrent: int | None = None) -> Iterator[Workers]:
    """Workers for the length of the block: those that run already, else some of our own, at most `max_concurrent` videos
    at the same time. `watch(session, workers)` keeps them; at the end our own hand unfinished videos back and stop."""
    workers = Workers(max_concurrent=max_concurrent)
    try:
        workers.keep()
        yield workers
    finally:
        workers.stop()
