"""The port, its threads, and `Twin`: the whole stand-in behind one object."""

import contextlib
import json
import socket
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import Any, Self

from demo.youtube_twin.certificate import make_certificate, make_context
from demo.youtube_twin.faults import FaultList
from demo.youtube_twin.journal import Journal
from demo.youtube_twin.media import Library
from demo.youtube_twin.messages import Response
from demo.youtube_twin.proxy import Connection
from demo.youtube_twin.settings import Settings
from demo.youtube_twin.site import Site


class Twin:
    """A running stand-in for YouTube: `with Twin(folder) as twin:`.

    `state` keeps the certificate and the media between runs, and may be shared. `scale` makes videos heavier.
    `player_js` is a recorded base.js, without which n_challenge and sig_cipher videos have no usable formats.
    Other keywords are settings. The methods log, clear_log, counters, faults, configure and reset are those of TwinControl.
    """

    def __init__(self, state: Path | str, port: int = 0, *, scale: float = 1.0, player_js: Path | None = None, **settings: Any):
        state = Path(state)
        state.mkdir(parents=True, exist_ok=True)
        certificate = make_certificate(state)
        self.ca_file = (certificate / "ca.pem").resolve()
        self._context = make_context(certificate)
        self._start_settings = settings
        self.settings = Settings()
        self.settings.change(**settings)
        self.journal = Journal()
        self.faults_in_force = FaultList()
        self.site = Site(Library(state / "media", scale=scale), self.settings, player_js=player_js)
        self._closing = threading.Event()
        self._server = _Server(port, self)
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="twin", daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Closes the port and every connection."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()

    @property
    def proxy_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ytdlp_options(self) -> dict[str, Any]:
        """What makes a YoutubeDL speak to the twin and to nothing else."""
        return {"proxy": self.proxy_url, "nocheckcertificate": True}

    # --- what a test turns, breaks and looks at -----------------------------------------------------------------------

    def log(self) -> list[dict[str, Any]]:
        return self.journal.entries()

    def clear_log(self) -> None:
        self.journal.clear()

    def counters(self) -> dict[str, int]:
        return self.journal.counts()

    def faults(self, rules: Sequence[dict[str, Any]]) -> None:
        self.faults_in_force.replace(rules)

    def configure(self, **settings: Any) -> dict[str, Any]:
        self.settings.change(**settings)
        return asdict(self.settings)

    def reset(self) -> None:
        self.clear_log()
        self.faults([])
        self.settings.reset()
        self.settings.change(**self._start_settings)

    def control(self, method: str, name: str, raw: bytes) -> Response:
        """The same for other processes: an answer to /__twin__/<name>."""
        actions = {
            ("GET", "log"): self.log,
            ("DELETE", "log"): self.clear_log,
            ("GET", "counters"): self.counters,
            ("GET", "faults"): self.faults_in_force.rules,
            ("POST", "faults"): lambda: self.faults(json.loads(raw)),
            ("GET", "settings"): lambda: self.configure(),
            ("POST", "settings"): lambda: self.configure(**json.loads(raw)),
            ("POST", "reset"): self.reset,
        }
        action = actions.get((method, name))
        if action is None:
            return Response.text("no such control", 404)
        try:
            return Response.json(action())
        except ValueError as error:
            return Response.text(str(error), 400)

    # --- for connections ----------------------------------------------------------------------------------------------

    @property
    def is_closing(self) -> bool:
        return self._closing.is_set()

    def wait(self, seconds: float) -> None:
        """Sleep, but not past the end of the twin."""
        if seconds > 0:
            self._closing.wait(seconds)

    def secure(self, connection: socket.socket) -> socket.socket:
        secured = self._context.wrap_socket(connection, server_side=True)
        self._server.remember(secured)
        return secured

    def forget(self, connection: socket.socket) -> None:
        self._server.forget(connection)


class _Server(ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, twin: Twin):
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), type("TwinConnection", (Connection,), {"twin": twin}))

    def process_request(self, request: Any, client_address: Any) -> None:
        self.remember(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.forget(request)
        super().shutdown_request(request)

    def remember(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)

    def forget(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)

    def hang_up(self) -> None:
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up when they like; anything else is a bug of the twin and shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)
