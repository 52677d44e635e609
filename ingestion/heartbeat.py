"""The thread that keeps a claim alive while its worker downloads, and that tells the worker when to stop."""

import contextlib
import logging
import os
import signal
import threading
import time

from django.db import DatabaseError, InterfaceError, connection
from django.db.models.functions import Now

from ingestion import leases
from ingestion.models import LiveProgress

logger = logging.getLogger(__name__)

STALL_SECONDS = 1800  # an upload of a large file from the scratch folder shows no progress of its own
ROUND_SECONDS = 1.0


class Stopped(Exception):
    """The download must stop: `reason` is shutdown, pause, cancel or lost. What was uploaded so far is kept."""

    keep_upload = True

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


class Heartbeat(threading.Thread):
    """Renews the lease on a connection of its own and writes how far the download is.

    The worker calls `progress` as bytes arrive; it raises Stopped once the lease is lost, the work is not wanted any
    more, `shutting_down()` says so, or the host slept for longer than the lease. Without progress for STALL_SECONDS the
    process kills itself: a hung download would keep its lease for ever.
    """

    def __init__(self, claim: leases.Claim, *, shutting_down=lambda: False):
        super().__init__(name=f"heartbeat-{claim.attempt_id}", daemon=True)
        self.claim = claim
        self.stop_reason: str | None = None
        self._shutting_down = shutting_down
        self._ended = threading.Event()
        self._lease = leases.lease_length().total_seconds()
        self._last_beat = _boot_clock()
        self._last_progress = time.monotonic()
        self._done, self._total, self._written = 0, None, -1

    def __enter__(self) -> "Heartbeat":
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self.join()
        with contextlib.suppress(DatabaseError, InterfaceError):  # a row too many is no harm
            LiveProgress.objects.filter(attempt_id=self.claim.attempt_id).delete()

    def progress(self, done: int, total: int | None) -> None:
        """Note how many bytes are done; raises Stopped when the worker must not go on."""
        if done != self._done:
            self._last_progress = time.monotonic()
        self._done, self._total = done, total
        self._stop_if_told()

    def check(self) -> None:
        """Raises Stopped when the worker must not go on; for waits that are meant, which count as progress."""
        self._last_progress = time.monotonic()
        self._stop_if_told()

    def _stop_if_told(self) -> None:
        if self.stop_reason is None and _boot_clock() - self._last_beat > self._lease:
            self.stop_reason = "lost"
        if self.stop_reason is None and self._shutting_down():
            self.stop_reason = "shutdown"
        if self.stop_reason:
            raise Stopped(self.stop_reason)

    def run(self) -> None:
        next_beat = _boot_clock() + self._lease / 3
        try:
            while not self._ended.wait(ROUND_SECONDS):  # also while a stopped download tears down
                self._end_if_stalled()
                self._write_progress()
                if _boot_clock() >= next_beat:
                    next_beat = _boot_clock() + (self._lease / 3 if self._beat() else ROUND_SECONDS)
        finally:
            connection.close()

    def _beat(self) -> bool:
        """Renew once; False when the database did not answer. Near the end of the lease that means it is lost."""
        before = _boot_clock()
        try:
            wanted = leases.renew(self.claim)
        except (DatabaseError, InterfaceError):
            connection.close()
            if before - self._last_beat > 0.8 * self._lease:
                self.stop_reason = "lost"
            return False
        self._last_beat = before
        if wanted != "run":
            self.stop_reason = wanted or "lost"
        return True

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

    def _end_if_stalled(self) -> None:
        if time.monotonic() - self._last_progress > STALL_SECONDS:
            logger.critical("no progress for %d s: this worker ends itself", STALL_SECONDS, extra={"attempt": self.claim.attempt_id})
            os.kill(os.getpid(), signal.SIGKILL)


def _boot_clock() -> float:
    """Seconds that go on while the host sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
