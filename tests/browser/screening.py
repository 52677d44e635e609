"""A web server with a page that plays one film, over a line of limited bandwidth, and what it had sent at which moment."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CHUNK_SIZE = 16 << 10
SEND_BUFFER_SIZE = 64 << 10  # bytes that count as sent while they wait in the kernel
PAGE = Path(__file__).with_name("screening.html").read_bytes()


@dataclass(frozen=True)
class Sent:
    """Requests for the film, and bytes of it that went out, up to a moment."""

    requests: int
    size: int

    def __sub__(self, other: "Sent") -> "Sent":
        return Sent(self.requests - other.requests, self.size - other.size)


class Line:
    """So many bytes per second for all connections together; nothing is saved up while it is idle."""

    def __init__(self, bytes_per_second: int):
        self._bytes_per_second = bytes_per_second
        self._lock = threading.Lock()
        self._free_at = 0.0

    def wait(self, size: int) -> None:
        """Returns when `size` more bytes have had their time."""
        with self._lock:
            now = time.monotonic()
            self._free_at = max(now, self._free_at) + size / self._bytes_per_second
            free_at = self._free_at
        time.sleep(free_at - now)


@dataclass
class Screening:
    """`marks` holds what had been sent when the page called a moment by that name."""

    film: Path
    content_type: str
    line: Line
    url: str = ""
    sent: Sent = Sent(0, 0)
    marks: dict[str, Sent] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, *, requests: int = 0, size: int = 0) -> None:
        with self.lock:
            self.sent = Sent(self.sent.requests + requests, self.sent.size + size)

    def mark(self, name: str) -> None:
        with self.lock:
            self.marks[name] = self.sent


@contextmanager
def show(film: Path, *, bytes_per_second: int, content_type: str = "video/mp4") -> Iterator[Screening]:
    """Serve a film; the connections have to be closed by the other side before the context is left."""
    screening = Screening(film, content_type, Line(bytes_per_second))
    handler = type("Handler", (_Handler,), {"screening": screening})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = False
    screening.url = f"http://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield screening
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    screening: Screening

    def log_message(self, *arguments):
        pass

    def setup(self):
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_SIZE)
        super().setup()

    def handle(self):
        with suppress(ConnectionError):  # how a browser ends a request that it wants no more of
            super().handle()

    def do_GET(self):
        if self.path == "/film":
            self._send_film()
        else:
            self._send(PAGE if self.path == "/" else b"", "text/html")

    def do_POST(self):
        self.screening.mark(self.path.lstrip("/"))
        self._send(b"", "text/plain")

    def _send(self, body: bytes, content_type: str) -> None:
        self.send_response(200 if body else 204)
        self.send_header("Content-Type", content_type)
        if body:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_film(self) -> None:
        """A range as object stores answer it; the film is only ever asked for in ranges."""
        self.screening.count(requests=1)
        size = self.screening.film.stat().st_size
        begin, end = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"]).groups()
        first, last = int(begin), min(int(end or size), size - 1)
        self.send_response(206)
        self.send_header("Content-Type", self.screening.content_type)
        self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{size}"')
        self.end_headers()
        with self.screening.film.open("rb") as film:
            film.seek(first)
            left = last + 1 - first
            while left and (chunk := film.read(min(left, CHUNK_SIZE))):
                self.screening.line.wait(len(chunk))
                self.wfile.write(chunk)
                self.screening.count(size=len(chunk))
                left -= len(chunk)
