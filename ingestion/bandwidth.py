"""The limit on the media that one host downloads, kept by all its processes together.

What was read is entered in one account per host, a file; whoever read it waits until the time that it takes at the limit
is over, in the order of arrival. The account holds bytes, not times: a new limit counts at once for those who wait. It is
locked by the kernel, which lets go of it when a process dies, however it dies.
"""

import fcntl
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from ingestion.errors import SetupError
from ingestion.models import Limits

LOOK_SECONDS = 4.0  # shorter than the time between two beats of the heart
SLEEP_SLICE_SECONDS, SHORTEST_SLEEP_SECONDS = 0.5, 0.001
BURST_SECONDS = 0.5  # so much may come before its time: somebody who waits after each block would never reach the limit
LOCK_SECONDS = 1.0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
FORMAT = struct.Struct("<3d")


class Bandwidth:
    """One process's part in the limit of its host. `bytes_per_second` is None while there is none; then nothing is written.

    Threads may share it: each trip to the account opens the file anew, so that the lock holds between them as well.
    """

    def __init__(
        self,
        file: Path | None = None,
        *,
        clock: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
        sleep: Callable[[float], None] = time.sleep,
    ):
        self.bytes_per_second: float | None = None
        self._file = file
        self._clock, self._sleep = clock, sleep
        self._look_at = 0.0

    def refresh(self) -> None:
        """Look at the limit, unless that was done lately; it stays as it is while the database is away.

        For threads that have a connection of their own and are in no transaction.
        """
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        try:
            self.bytes_per_second = Limits.row().bytes_per_second
        except (DatabaseError, InterfaceError):
            connection.close()

    def pace(self, size: int, *, check: Callable[[], None] = lambda: None) -> None:
        """Enter `size` bytes that were read, and return when their time is over.

        `check` is called while waiting and may raise; the bytes stay entered. Raises SetupError when the account cannot
        be kept.
        """
        if not self.bytes_per_second:
            return
        place = self._enter(size)
        while (wait := self._time_left(place)) > SHORTEST_SLEEP_SECONDS:
            check()
            self._sleep(min(wait, SLEEP_SLICE_SECONDS))

    def _enter(self, size: int) -> float:
        """The place of the last of these bytes among all that this host read."""
        with self._account() as account:
            account.read += size
            return account.read

    def _time_left(self, place: float) -> float:
        """Seconds until the byte at `place` is no longer too early, at the limit of this moment."""
        with self._account() as account:
            limit = self.bytes_per_second
            return (place - account.passed) / limit - BURST_SECONDS if limit else 0.0

    @contextmanager
    def _account(self) -> Iterator["_Account"]:
        """The host's account as it stands now, for this process alone; what is changed is kept."""
        try:
            handle = self._open()
            try:
                _lock(handle)
                account = _Account(*FORMAT.unpack(os.pread(handle, FORMAT.size, 0).ljust(FORMAT.size, b"\0")))
                account.move_on(self._clock(), self.bytes_per_second or 0)
                yield account
                os.pwrite(handle, FORMAT.pack(*astuple(account)), 0)
            finally:
                os.close(handle)
        except OSError as exc:
            raise SetupError("misconfigured", f"The limit on bandwidth cannot be kept: correct MASSDL_VAR_DIR. {exc}") from exc

    def _open(self) -> int:
        if self._file is None:
            self._file = account_file()
        return os.open(self._file, os.O_RDWR | os.O_CREAT, 0o644)


@dataclass
class _Account:
    """At `at` on the clock `passed` bytes of the `read` ones have had their time; both are counted since the host's start."""

    at: float
    passed: float
    read: float

    def move_on(self, now: float, bytes_per_second: float) -> None:
        self.passed = min(self.read, self.passed + max(0.0, now - self.at) * bytes_per_second)
        self.at = now


def _lock(handle: int) -> None:
    """Wait for the lock, but not for long: a process may be frozen while it holds it. Then the limit is kept roughly."""
    end = time.monotonic() + LOCK_SECONDS
    while time.monotonic() < end:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(SHORTEST_SLEEP_SECONDS)


def account_file() -> Path:
    """A file of its own for each start of each machine: hosts that share a folder have clocks of their own, and what was
    read before a restart is nobody's concern."""
    settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
    return settings.VAR_DIR / f"bandwidth-{BOOT_ID.read_text().strip()}"
