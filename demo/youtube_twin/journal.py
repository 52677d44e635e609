"""What was asked of the twin: the last requests one by one, and counts of all."""

import threading
import time
from collections import Counter, deque
from typing import Any

from demo.youtube_twin.requests import Request

LONGEST_LOG = 100_000


class Journal:
    """For all threads. A request is in the log from the moment it is answered; bytes follow when they are out."""

    def __init__(self):
        self._lock = threading.Lock()
        self._entries: deque[dict[str, Any]] = deque(maxlen=LONGEST_LOG)
        self._counts: Counter[str] = Counter()

    def open(self, request: Request, status: int) -> dict[str, Any]:
        """A new entry, counted."""
        entry = {
            "t": round(time.time(), 3),
            "method": request.method,
            "host": request.host,
            "path": request.target[:300],
            "kind": request.kind,
            "status": status,
            "client": request.client,
            "range": request.range,
            "bytes": 0,
            **{name: request.body[name] for name in ("videoId", "browseId", "continuation", "url") if name in request.body},
        }
        with self._lock:
            self._entries.append(entry)
            self._counts.update(("requests", request.kind))
        return entry

    def close(self, entry: dict[str, Any], *, status: int, sent: int) -> None:
        entry["status"], entry["bytes"] = status, sent
        with self._lock:
            self._counts["bytes"] += sent
            self._counts[f"status_{status}"] += 1
            if entry["kind"] == "media":
                self._counts["media_bytes"] += sent

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
