"""An HTTP proxy before an S3 server that counts bytes step by step, and lets one step fail on demand.

`bench.chaos.gateway` breaks connections whatever they are for; this one knows what each request is about.
"""

import contextlib
import http.client
import select
import socket
import struct
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, urlsplit

BLOCK = 1 << 16
KEPT_BACK = ("connection", "expect", "transfer-encoding")


@dataclass
class S3Fault:
    """What happens to requests of a `step` ("" for all), `times` times (None: always); of the parts only to `part`, if given.

    refuse  the server's place is taken by an answer with `status` and S3's error `code`
    reset   half of the body is taken, then the connection is reset; nothing reaches the server
    lost    the server does what was asked, and the connection is reset where its answer would come
    slow    the same, and the client waits until it gives up
    hold    half of the body is taken, and nothing more happens until the client goes away
    cut     the server does what was asked, and the connection is reset after half of the body of its answer
    """

    step: str
    kind: str
    status: int = 0
    code: str = ""
    part: int | None = None
    times: int | None = None


@dataclass
class Seen:
    """A request: its step and path, the part's number, the bytes of its body that arrived, the status of the answer (0: none),
    and what was done to it."""

    step: str
    path: str
    part: int | None
    taken: int = 0
    status: int = 0
    fault: str = ""


def step_of(method: str, target: str) -> tuple[str, int | None]:
    """check, create, part, complete, abort, parts (their list), put, get, head, delete; and the part's number."""
    query = parse_qs(urlsplit(target).query, keep_blank_values=True)
    if "partNumber" in query:
        return "part", int(query["partNumber"][0])
    if "uploadId" in query:
        return {"POST": "complete", "DELETE": "abort", "GET": "parts"}[method], None
    if "uploads" in query and method == "POST":
        return "create", None
    if "list-type" in query:
        return "check", None
    return method.lower(), None


class S3Proxy:
    """A context; clients use `url`. May be turned and looked at by any thread."""

    def __init__(self, upstream_url: str):
        parts = urlsplit(upstream_url)
        self.upstream = (parts.hostname, parts.port)
        self._lock = threading.Lock()
        self._faults: list[S3Fault] = []
        self._seen: list[Seen] = []
        self._server = _Server(("127.0.0.1", 0), type("ProxyHandler", (_Handler,), {"proxy": self}))
        self.closing = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="s3-proxy", daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def faults(self, *faults: S3Fault) -> None:
        """Put these in the place of the old ones."""
        with self._lock:
            self._faults = list(faults)

    def seen(self, step: str = "") -> list[Seen]:
        with self._lock:
            return [seen for seen in self._seen if step in ("", seen.step)]

    def forget(self) -> None:
        with self._lock:
            self._seen.clear()

    def bytes_sent(self) -> int:
        """Of bodies of parts of videos, whatever became of them."""
        return sum(seen.taken for seen in self.seen("part") if "/massdl-probe-" not in seen.path)

    def begin(self, method: str, target: str) -> tuple[Seen, S3Fault | None]:
        """Note a request; the fault that strikes it, one use of it spent."""
        step, part = step_of(method, target)
        with self._lock:
            seen = Seen(step, urlsplit(target).path, part)
            self._seen.append(seen)
            for fault in self._faults:
                if fault.step in ("", step) and fault.part in (None, part) and fault.times != 0:
                    fault.times = None if fault.times is None else fault.times - 1
                    seen.fault = fault.kind
                    return seen, fault
            return seen, None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients are killed here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: S3Proxy

    def log_message(self, *arguments: object) -> None:
        pass

    def handle_request(self) -> None:
        seen, fault = self.proxy.begin(self.command, self.path)
        size = int(self.headers.get("Content-Length") or 0)
        if fault and fault.kind in ("reset", "hold"):
            self._take(size // 2, seen)
            self._hang_up(after_client=fault.kind == "hold")
            return
        body = self._take(size, seen)
        if fault and fault.kind == "refuse":
            seen.status = fault.status
            self._refuse(fault)
            return
        self._pass_on(body, seen, fault)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_request

    def _take(self, size: int, seen: Seen) -> bytes:
        body = bytearray()
        while len(body) < size and (block := self.rfile.read1(min(BLOCK, size - len(body)))):
            body += block
            seen.taken += len(block)
        if len(body) < size:
            raise ConnectionError("the client went away")
        return bytes(body)

    def _pass_on(self, body: bytes, seen: Seen, fault: S3Fault | None) -> None:
        with contextlib.closing(http.client.HTTPConnection(*self.proxy.upstream)) as there:
            there.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in KEPT_BACK:
                    there.putheader(name, value)
            there.endheaders(body or None)
            answer = there.getresponse()
            if fault and fault.kind == "cut":
                self._answer(answer, most=(answer.length or 0) // 2)
                self._hang_up(after_client=False)
                return
            if fault:
                answer.read()
                self._hang_up(after_client=fault.kind == "slow")
                return
            seen.status = answer.status
            self._answer(answer)

    def _answer(self, answer: http.client.HTTPResponse, *, most: int | None = None) -> None:
        """Pass it on; no more than `most` bytes of its body, of an answer that says how long it is."""
        whole = answer.read() if answer.getheader("Content-Length") is None else None
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in KEPT_BACK:
                self.send_header(name, value)
        if whole is not None and answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(whole)))
        self.end_headers()
        if whole is not None:
            self.wfile.write(whole)
            return
        while block := answer.read(BLOCK if most is None else min(BLOCK, most)):
            self.wfile.write(block)
            most = None if most is None else most - len(block)

    def _refuse(self, fault: S3Fault) -> None:
        body = f"<?xml version='1.0'?><Error><Code>{fault.code}</Code><Message>On demand.</Message></Error>".encode()
        self.send_response(fault.status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _hang_up(self, *, after_client: bool) -> None:
        while after_client and not self.proxy.closing.is_set():
            if select.select([self.connection], [], [], 0.1)[0] and not self.connection.recv(BLOCK):
                break
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
