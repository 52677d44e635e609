"""A PostgreSQL as distributions package it, which has the index for words of titles that the embedded one lacks."""

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from bench._pending import Server, migrate

PLACES = "/usr/lib/postgresql"
SYSTEM_USER = "postgres"  # root may not run it
PATIENCE = 30  # seconds


def find_packaged() -> Path | None:
    """The folder with the programs of the newest one on this machine; None where there is none with pg_trgm."""
    if at_hand := shutil.which("initdb"):
        return Path(at_hand).resolve().parent
    found = sorted(Path(PLACES).glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def start_packaged(programs: Path) -> Server:
    """As `start_postgres`: in a temporary folder, with the packager's defaults, until this process ends."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="massdl-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    data, user = folder / "postgres", _user_for(folder)
    made = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]
    subprocess.run([programs / "initdb", "-D", data, *made], check=True, stdout=subprocess.DEVNULL, cwd=folder, user=user)
    with (folder / "log").open("w") as log:
        command = [programs / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses="]
        running = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, user=user)
    atexit.register(_stop, running)
    server = Server(folder, f"postgresql://postgres@/postgres?host={folder}")
    _await(server, running)
    migrate(server)
    return server


def _user_for(folder: Path) -> int | None:
    """Whom the server runs as, to whom the folder is given; None for whoever runs this."""
    if os.geteuid():
        return None
    user = pwd.getpwnam(SYSTEM_USER)
    os.chown(folder, user.pw_uid, user.pw_gid)
    return user.pw_uid


def _await(server: Server, running: subprocess.Popen) -> None:
    latest = time.monotonic() + PATIENCE
    while running.poll() is None and time.monotonic() < latest:
        try:
            psycopg.connect(server.url).close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"PostgreSQL did not start:\n{(server.folder / 'log').read_text()}")


def _stop(running: subprocess.Popen) -> None:
    running.send_signal(signal.SIGINT)  # "fast": whoever is connected is sent away
    running.wait()
