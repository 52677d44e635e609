"""The thread that keeps a lease alive while its worker works, and that tells the worker when to stop."""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, Self

from django.db import DatabaseError, InterfaceError, connection
from django.db.models.functions import Now

from ingestion import leases
from ingestion.models import LiveProgress

logger = logging.getLogger(__name__)

STALL_SECONDS = 1800  # an upload of a large file from the scratch folder shows no progress of its own
ROUND_SECONDS = 1.0
BEAT_SECONDS = 5.0  # staff who say "stop now" are heard within this time


class Stopped(Exception):
    """The work must stop: `reason` is shutdown, pause, cancel or lost. What was uploaded so far is kept."""

    keep_upload = True

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


class LeaseKeeper(threading.Thread):
    """Renews a lease on a connection of its own, for the length of a block.

    `renew()` lengthens it and returns a word from staff, "" for none, None when it is lost. The worker calls `check` now
    and then; it raises Stopped once the lease is lost, staff said so, `shutting_down()` does, or the host slept for longer
    than the lease. Without a sign of life for STALL_SECONDS the process kills itself: hung work would keep its lease for
    ever. `on_beat` is called at the start and after each renewal, by a thread that has a database connection; it must not
    raise.
    """

    def __init__(self, renew: Callable[[], str | None], *, name: str, shutting_down=lambda: False, on_beat=lambda: None):
        super().__init__(name=f"heartbeat-{name}", daemon=True)
        self.stop_reason: str | None = None
        self._renew, self._shutting_down, self._on_beat = renew, shutting_down, on_beat
        self._ended = threading.Event()
        self._lease = leases.lease_length().total_seconds()
        self._last_beat = _boot_clock()
        self._last_sign = time.monotonic()

    def __enter__(self) -> Self:
        self._on_beat()
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self.join()

    def check(self) -> None:
        """Raises Stopped when the worker must not go on; a sign of life."""
        self._last_sign = time.monotonic()
        self._stop_if_told()

    def _stop_if_told(self) -> None:
        if self.stop_reason is None and _boot_clock() - self._last_beat > self._lease:
            self.stop_reason = "lost"
        if self.stop_reason is None and self._shutting_down():
            self.stop_reason = "shutdown"
        if self.stop_reason:
            raise Stopped(self.stop_reason)

    def run(self) -> None:
        between = min(self._lease / 3, BEAT_SECONDS)
        next_beat = _boot_clock() + between
        try:
            while not self._ended.wait(ROUND_SECONDS):  # also while stopped work tears down
                self._end_if_stalled()
                self._round()
                if _boot_clock() >= next_beat:
                    next_beat = _boot_clock() + (between if self._beat() else ROUND_SECONDS)
        finally:
            connection.close()

    def _round(self) -> None:
        """What is done every ROUND_SECONDS."""

    def _beat(self) -> bool:
        """Renew once; False when the database did not answer. Near the end of the lease that means it is lost."""
        before = _boot_clock()
        try:
            told = self._renew()
        except (DatabaseError, InterfaceError):
            connection.close()
            if before - self._last_beat > 0.8 * self._lease:
                self.stop_reason = "lost"
            return False
        self._last_beat = before
        if told is None or told:
            self.stop_reason = told or "lost"
        self._on_beat()
        return True

    def _end_if_stalled(self) -> None:
        if time.monotonic() - self._last_sign > STALL_SECONDS:
            logger.critical("no progress for %d s: this worker ends itself", STALL_SECONDS, extra={"work": self.name})
            os.kill(os.getpid(), signal.SIGKILL)


class Heartbeat(LeaseKeeper):
    """Keeps a claimed video, and writes how far its download is: the worker calls `progress` as bytes arrive."""

    def __init__(self, claim: leases.Claim, **behaviour: Any):
        super().__init__(lambda: leases.renew(claim), name=str(claim.attempt_id), **behaviour)
        self.claim = claim
        self._done, self._total, self._written = 0, None, -1

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        with contextlib.suppress(DatabaseError, InterfaceError):  # a row too many is no harm
            LiveProgress.objects.filter(attempt_id=self.claim.attempt_id).delete()

    def progress(self, done: int, total: int | None) -> None:
        """Note how many bytes are done; raises Stopped when the worker must not go on. Bytes that move are a sign of life."""
        if done != self._done:
            self._last_sign = time.monotonic()
        self._done, self._total = done, total
        self._stop_if_told()

    def _round(self) -> None:
        self._write_progress()

    def _write_progress(self) -> None:
        if self._done == self._written:
            return
        try:
            LiveProgress.objects.update_or_create(
                attempt_id=self.claim.attempt_id,
                defaults={"bytes_done": self._done, "bytes_total": self._total, "updated_at": Now()},
            )
            self._written = self._done
        except (DatabaseError, InterfaceError):
            connection.close()


def _boot_clock() -> float:
    """Seconds that go on while the host sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
