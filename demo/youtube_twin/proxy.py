"""One connection: CONNECT, TLS, then requests one after the other; ranges, faults and pacing happen here."""

import re
import select
import socket
import struct
import time
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from demo.youtube_twin.faults import Fault
from demo.youtube_twin.media import CHUNK, MediaFile
from demo.youtube_twin.requests import Request, Response, parse_json

if TYPE_CHECKING:
    from demo.youtube_twin.server import Twin

HOSTS = re.compile(r"(?:[\w-]+\.)*(?:youtube\.com|googlevideo\.com|ytimg\.com|ggpht\.com|googleapis\.com)\Z")
NO_FAULT = Fault(match="")
JUNK = {
    "incomplete": {"responseContext": {"visitorData": ""}},
    "empty": {"onResponseReceivedActions": [{"appendContinuationItemsAction": {"continuationItems": []}}]},
}


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
            refused = self.twin.journal.open(Request("CONNECT", host, ""), 502)
            self.twin.journal.close(refused, status=502, sent=0)
            self.send_error(502, "the twin does not play this host")
            return
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.twin.journal.count("connections")
        self.connection = self.request = self.twin.secure(self.connection)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 1 << 16)
        self.host, self.close_connection = host, False

    def finish(self) -> None:
        super().finish()
        self.twin.forget(self.connection)
        self.connection.close()

    # --- requests -----------------------------------------------------------------------------------------------------

    def handle_request(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.host is None:
            self._send(self._control(raw), NO_FAULT, None)
            return
        request = Request(self.command, self.host, self.path, self.headers.get("Range"), parse_json(raw))
        fault = self.twin.faults_in_force.strike(request.line, request.client) or NO_FAULT
        self.twin.wait(self.twin.settings.latency + fault.delay)
        response = self._spoil(fault) or self.twin.site.answer(request)
        entry = self.twin.journal.open(request, response.status)
        status, sent = self._send(response, fault, request)
        self.twin.journal.close(entry, status=status, sent=sent)

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

    def _send(self, response: Response, fault: Fault, request: Request | None) -> tuple[int, int]:
        """The status sent and the bytes of body."""
        body = response.body
        size = body.size if isinstance(body, MediaFile) else len(body)
        status, start, end = response.status, 0, size
        if isinstance(body, MediaFile) and (asked := read_range(self.headers.get("Range"), size)):
            status, start, end = asked
        self._send_headers(response, status, start, end, size)
        if self.command == "HEAD":
            return status, 0
        if fault.sent_bytes is not None:
            end = min(end, start + fault.sent_bytes)
        self._send_body(body, start, end, is_media=request is not None and request.kind == "media")
        if fault.sent_bytes is not None:
            self._break_off(fault)
        return status, end - start

    def _send_headers(self, response: Response, status: int, start: int, end: int, size: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(end - start))
        if isinstance(response.body, MediaFile):
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", response.body.etag)
            self.send_header("Last-Modified", response.body.modified)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        if status == 416:
            self.send_header("Content-Range", f"bytes */{size}")
        self.end_headers()

    def _send_body(self, body: bytes | MediaFile, start: int, end: int, *, is_media: bool) -> None:
        rate = self.twin.settings.bytes_per_second if is_media else 0
        if isinstance(body, bytes):
            self.wfile.write(body[start:end])
            self.wfile.flush()
            return
        self.wfile.flush()
        began, sent = time.monotonic(), 0
        for chunk in body.chunks(start, end, size=min(CHUNK, max(rate // 20, 4096)) if rate else CHUNK):
            self.connection.sendall(chunk)
            sent += len(chunk)
            if rate:
                self.twin.wait(began + sent / rate - time.monotonic())

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


def read_range(header: str | None, size: int) -> tuple[int, int, int] | None:
    """Status, start and end for a Range header; None when there is none that is understood."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header or "")
    if not match or match[0] == "bytes=-":
        return None
    if not match[1]:
        return 206, max(0, size - int(match[2])), size
    start = int(match[1])
    if start >= size:
        return 416, 0, 0
    return 206, start, min(size, int(match[2]) + 1 if match[2] else size)
