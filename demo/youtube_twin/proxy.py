"""One connection: CONNECT, TLS, then requests one after the other; ranges, faults and pacing happen here."""

import contextlib
import re
import select
import socket
import struct
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from demo.youtube_twin.faults import JUNK, Fault
from demo.youtube_twin.media import CHUNK, MediaFile
from demo.youtube_twin.messages import Request, Response, parse_json

if TYPE_CHECKING:
    from demo.youtube_twin.server import Twin

HOSTS = re.compile(r"(?:[\w-]+\.)*(?:youtube\.com|googlevideo\.com|ytimg\.com|ggpht\.com|googleapis\.com)\Z")
NO_FAULT = Fault(match="")


class Connection(BaseHTTPRequestHandler):
    """`host` is None until a CONNECT named one."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 300
    twin: "Twin"
    host: str | None = None

    def log_message(self, *args: Any) -> None:
        """The journal has it."""

    # --- the proxy ----------------------------------------------------------------------------------------------------

    def do_CONNECT(self) -> None:
        host = self.path.rpartition(":")[0]
        if not HOSTS.match(host):
            self.twin.journal.record(Request("CONNECT", host, ""), status=502, size=0)
            self.send_error(502, "the twin does not play this host")
            return
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.twin.journal.count("connections")
        self.connection = self.request = self.twin.secure(self.connection)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 1 << 16)
        self.host, self.close_connection = host, False

    def finish(self) -> None:
        for stream in (self.wfile, self.rfile):
            with contextlib.suppress(OSError):  # of a client that did not wait for the rest
                stream.close()
        self.twin.forget(self.connection)
        self.connection.close()

    # --- requests -----------------------------------------------------------------------------------------------------

    def handle_request(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.host is None:
            self._send(self._control(raw))
            return
        request = Request(self.command, self.host, self.path, self.headers.get("Range"), parse_json(raw))
        fault = self.twin.faults_in_force.strike(request.line, request.client) or NO_FAULT
        self.twin.wait(self.twin.settings.latency + fault.delay)
        self._send(self._spoil(fault) or self.twin.site.answer(request), fault, request)

    do_GET = do_POST = do_HEAD = do_DELETE = do_PUT = handle_request

    def _spoil(self, fault: Fault) -> Response | None:
        """What a fault puts in the place of the answer."""
        if fault.status is not None:
            return Response.html(fault.body.encode(), fault.status)
        return Response.json(JUNK[fault.junk]) if fault.junk else None

    def _control(self, raw: bytes) -> Response:
        parts = urlsplit(self.path)
        if parts.netloc or not parts.path.startswith("/__twin__/"):
            return Response.text("the twin takes CONNECT and /__twin__/ only", 502)
        return self.twin.control(self.command, parts.path.removeprefix("/__twin__/"), raw)

    # --- answers ------------------------------------------------------------------------------------------------------

    def _send(self, response: Response, fault: Fault = NO_FAULT, request: Request | None = None) -> None:
        """Answer, and record it when it is an answer to a request for YouTube."""
        part = cut_part(response, self.headers.get("Range"))
        end = part.start if self.command == "HEAD" else part.end
        if fault.sent_bytes is not None:
            end = min(end, part.start + fault.sent_bytes)
        entry = self.twin.journal.record(request, status=part.status, size=end - part.start, refused=response.refused) if request else {}
        self._send_headers(response, part, fault)
        if isinstance(response.body, bytes):
            self.wfile.write(response.body[part.start : end])
            self.wfile.flush()
        else:
            self.wfile.flush()
            self._send_file(response.body, part.start, end, entry)
        if fault.sent_bytes is not None:
            self._break_off(fault)

    def _send_headers(self, response: Response, part: "Part", fault: Fault) -> None:
        self.send_response(part.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(part.end - part.start))
        if isinstance(response.body, MediaFile):
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", fault.etag or response.body.etag)
            self.send_header("Last-Modified", response.body.modified)
        if part.status == 206:
            self.send_header("Content-Range", f"bytes {part.start}-{part.end - 1}/{part.of}")
        if part.status == 416:
            self.send_header("Content-Range", f"bytes */{part.of}")
        self.end_headers()

    def _send_file(self, file: MediaFile, start: int, end: int, entry: dict[str, Any]) -> None:
        """At the pace of the settings if it is a video's. `entry` is corrected when the client goes away before the end."""
        rate = self.twin.settings.bytes_per_second if entry.get("kind") == "media" else 0
        began, sent = time.monotonic(), 0
        try:
            for chunk in file.chunks(start, end, size=min(CHUNK, max(rate // 20, 4096)) if rate else CHUNK):
                self.connection.sendall(chunk)
                sent += len(chunk)
                if rate:
                    self.twin.wait(began + sent / rate - time.monotonic())
        except OSError:
            self.twin.journal.correct(entry, sent=sent)
            raise

    # --- breaking off -------------------------------------------------------------------------------------------------

    def _break_off(self, fault: Fault) -> None:
        self.wfile.flush()
        if fault.stall is not None:
            self._stall()
        self.close_connection = True
        self.twin.forget(self.connection)
        bare = socket.socket(fileno=self.connection.detach())  # no TLS farewell
        if fault.reset is not None:
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        bare.close()
        self.rfile, self.wfile = BytesIO(), BytesIO()

    def _stall(self) -> None:
        """Until the client hangs up or the twin closes."""
        while not self.twin.is_closing:
            readable, _, _ = select.select([self.connection], [], [], 0.1)
            if readable:
                return


@dataclass(frozen=True)
class Part:
    """Which bytes go out, from start up to end, of how many there are."""

    status: int
    start: int
    end: int
    of: int


def cut_part(response: Response, range_header: str | None) -> Part:
    """The whole body, unless it is a file and the header asks for a range that can be understood."""
    is_file = isinstance(response.body, MediaFile)
    size = response.body.size if is_file else len(response.body)
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", range_header or "")
    if not is_file or not match or match[0] == "bytes=-":
        return Part(response.status, 0, size, size)
    if not match[1]:
        return Part(206, max(0, size - int(match[2])), size, size)
    start = int(match[1])
    if start >= size:
        return Part(416, 0, 0, size)
    return Part(206, start, min(size, int(match[2]) + 1 if match[2] else size), size)
