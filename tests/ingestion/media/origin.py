"""A media server on this machine that answers ranges and misbehaves when told, and a source that reads from it."""

import http.client
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from ingestion.errors import error
from ingestion.extraction import Extraction, MediaFormat, Progress

READ_TIMEOUT_SECONDS = 0.3


@dataclass
class Fault:
    """What happens to requests for `name` that begin at byte `at` or later, `times` times.

    `kind`: reset, short (after half of the body); stall (before it); refused (403); changed (another ETag); grown (another total);
    untold (no total).
    """

    name: str
    kind: str
    at: int = 0
    times: int = 1_000_000


@dataclass
class Origin:
    """`files` by name; `asked` is every range that was asked for; `expired` are addresses that are refused."""

    files: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    asked: list[tuple[str, int, int]] = field(default_factory=list)
    expired: set[str] = field(default_factory=set)
    release: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    def take_fault(self, name: str, first: int) -> str:
        with self.lock:
            for fault in self.faults:
                if fault.name == name and first >= fault.at and fault.times:
                    fault.times -= 1
                    return fault.kind
        return ""

    def bytes_asked(self, name: str) -> int:
        return sum(last + 1 - first for asked, first, last in self.asked if asked == name)


@contextmanager
def serve(origin: Origin) -> Iterator[Origin]:
    class Handler(_Handler):
        pass

    Handler.origin = origin
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    origin.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield origin
    finally:
        origin.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    origin: Origin

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        name = urlsplit(self.path).path.lstrip("/")
        content = self.origin.files[name]
        first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"]).groups())
        last = min(last, len(content) - 1)
        self.origin.asked.append((name, first, last))
        fault = self.origin.take_fault(name, first)
        if fault == "refused" or self.origin.url(self.path.lstrip("/")) in self.origin.expired:
            self.send_error(403)
            return
        self.send_response(206)
        total = {"grown": len(content) + 1, "untold": "*"}.get(fault, len(content))
        self.send_header("Content-Range", f"bytes {first}-{last}/{total}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.send_header("ETag", '"another"' if fault == "changed" else f'"{name}"')
        self.end_headers()
        self._send(content[first : last + 1], fault)

    def _send(self, body: bytes, fault: str) -> None:
        if fault == "stall":
            self.origin.release.wait()
            return
        self.wfile.write(body[: len(body) // 2] if fault in ("reset", "short") else body)
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()


class HttpSource:
    """A MediaSource over http.client. `spooled` is the file its downloader makes: name and content."""

    def __init__(self, spooled: tuple[str, bytes] | None = None):
        self.spooled = spooled
        self.spooled_to: Path | None = None

    def open_range(self, media: MediaFormat, first: int, last: int) -> "_Answer":
        return _Answer(media, first, last)

    def download_to(self, extraction: Extraction, folder: Path, progress: Progress) -> Path:
        name, content = self.spooled
        self.spooled_to = folder
        progress(0, len(content))
        (folder / name).write_bytes(content)
        progress(len(content), len(content))
        return folder / name


class _Answer:
    def __init__(self, media: MediaFormat, first: int, last: int):
        address = urlsplit(media.url)
        self._connection = http.client.HTTPConnection(address.netloc, timeout=READ_TIMEOUT_SECONDS)
        try:
            with _network():
                self._connection.request(
                    "GET", f"{address.path}?{address.query}".rstrip("?"), headers={"Range": f"bytes={first}-{last}", **media.headers}
                )
                self._response = self._connection.getresponse()
                if self._response.status != 206:
                    self._response.close()
                    raise error("forbidden", f"HTTP {self._response.status}")
        except BaseException:
            self._connection.close()
            raise
        described = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", self._response.headers["Content-Range"])
        self.first, self.last = int(described[1]), int(described[2])
        self.total = None if described[3] == "*" else int(described[3])
        self.validator = self._response.headers["ETag"]

    def readinto(self, buffer: memoryview) -> int:
        with _network():
            return self._response.readinto(buffer)

    def close(self) -> None:
        self._response.close()
        self._connection.close()


@contextmanager
def _network() -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException) as exc:
        raise error("network", repr(exc)) from exc
