"""What was asked of the twin: the last requests one by one, and counts of all."""

import threading
import time
from collections import Counter, deque
from typing import Any

from demo.youtube_twin.messages import Request

LONGEST_LOG = 100_000


class Journal:
    """For all threads. A request is in the log before the first byte of its answer goes out, so whoever has the answer sees it."""

    def __init__(self):
        self._lock = threading.Lock()
        self._entries: deque[dict[str, Any]] = deque(maxlen=LONGEST_LOG)
        self._counts: Counter[str] = Counter()

    def record(self, request: Request, *, status: int, size: int, refused: str | None = None) -> dict[str, Any]:
        """A new entry, counted. `size` is how much of a body will be sent; see `correct`. `refused` as in the answer."""
        entry = {
            "asked": round(request.asked_at, 3),
            "t": round(time.time(), 3),
            "method": request.method,
            "host": request.host,
            "path": request.target[:300],
            "kind": request.kind,
            "status": status,
            "client": request.client,
            "range": request.range,
            "bytes": size,
            "refused": refused,
            **{name: request.body[name] for name in ("videoId", "browseId", "continuation", "url") if name in request.body},
        }
        with self._lock:
            self._entries.append(entry)
            self._counts.update(("requests", request.kind, f"status_{status}"))
            self._count_bytes(entry["kind"], size)
        return entry

    def correct(self, entry: dict[str, Any], *, sent: int) -> None:
        """The client went away after so many bytes."""
        with self._lock:
            self._count_bytes(entry["kind"], sent - entry["bytes"])
            entry["bytes"] = sent

    def _count_bytes(self, kind: str, count: int) -> None:
        self._counts["bytes"] += count
        if kind == "media":
            self._counts["media_bytes"] += count

    def count(self, name: str) -> None:
        with self._lock:
            self._counts[name] += 1

    def entries(self) -> list[dict[str, Any]]:
        with self._lock:
            return [dict(entry) for entry in self._entries]

    def counts(self) -> dict[str, int]:
        with self._lock:
            return dict(self._counts)

    def clear(self) -> None:
        """Forget the entries and start the counts again."""
        with self._lock:
            self._entries.clear()
            self._counts.clear()
