"""Tasks of one transfer in threads, a few at a time; whatever one of them raises is raised in the calling thread."""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

PULSE_SECONDS = 0.2


class Crew:
    """A context: leaving it joins every thread, after `stop` has been called if it is left by an exception.

    `pulse` is called by the calling thread whenever it waits, at least every PULSE_SECONDS, and may raise.
    """

    def __init__(self, size: int, *, pulse: Callable[[], None], stop: Callable[[], None]):
        self._size = size
        self._pulse = pulse
        self._stop = stop
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="part")
        self._flying: set[Future] = set()

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, exc_type, exc, traceback) -> None:
        if exc is not None:
            self._stop()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def submit(self, task: Callable[..., Any], *arguments: Any) -> None:
        """Give a task to a thread; waits while all are busy."""
        while len(self._flying) >= self._size:
            self._land(PULSE_SECONDS)
        self._flying.add(self._threads.submit(task, *arguments))

    def look(self) -> None:
        """Raise what a task raised; does not wait."""
        self._land(0)

    def drain(self) -> None:
        """Wait until every task is done."""
        while self._flying:
            self._land(PULSE_SECONDS)
        self._pulse()

    def _land(self, seconds: float) -> None:
        landed, self._flying = wait(self._flying, seconds, FIRST_COMPLETED)
        for future in landed:
            future.result()
        self._pulse()
