import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from demo.world import SHEETS, World, exports, forget, open_world

USER = "admin"
INTERRUPTED = 130  # as shells say it
STOP_SECONDS = 30
WATCHABLE_SPEED = 700_000  # bytes per second and connection: all of it would be over in 20 seconds


class Command(BaseCommand):
    help = (
        "Try massdl on this machine: a database, an S3 server, a local stand-in for YouTube (not YouTube itself), workers and "
        "the admin at 127.0.0.1:8000, with an example sheet downloading. With --once: the sheet to its end, without the admin."
    )
    requires_system_checks = ()
    _is_told_alone = False

    def add_arguments(self, parser):
        parser.add_argument("--once", action="store_true", help="run the sheet to its end and exit with the code of mass_download")
        parser.add_argument("--input", action="append", metavar="FILE", help="a sheet of your own (default: demo/sheets/people.csv)")
        parser.add_argument("--report-file", metavar="FILE", help="with --once: write the report as JSON")
        parser.add_argument("--limit", metavar="N", help="at most N videos per channel")
        parser.add_argument("--quality", metavar="Q", help="the best height up to this one, as in mass_download")
        parser.add_argument("--port", type=int, default=8000, help="port of the admin (default: 8000)")
        parser.add_argument("--fresh", action="store_true", help="begin with an empty archive")
        parser.add_argument("--empty", action="store_true", help="import nothing: see how it begins, and import a sheet yourself")
        parser.add_argument("--keep", action="store_true", help="look at a finished demo again instead of beginning anew")

    def handle(self, *args, once, input, report_file, limit, quality, port, fresh, empty, keep, **options):
        signal.signal(signal.SIGTERM, self._end)
        folder = settings.VAR_DIR / "demo"
        finished = folder / "finished"
        held = _hold(folder)
        if fresh or (finished.exists() and not keep and not once):
            self.stdout.write("Beginning with an empty archive.")
            forget(folder)
        finished.unlink(missing_ok=True)
        sheets = [] if empty else input or [SHEETS / "people.csv"]
        words = [word for sheet in sheets for word in ("--input", str(sheet))]
        if sheets:
            words += [word for name, value in (("--limit", limit), ("--quality", quality)) if value for word in (name, value)]
        self.stdout.write("Starting PostgreSQL, an S3 server and a local stand-in for YouTube...")
        try:
            with open_world(folder, dict(os.environ)) as world:
                raise SystemExit(self._run(world, words, once=once, report_file=report_file, port=port))
        except KeyboardInterrupt:
            self.stderr.write("Stopped before it was up.")
            raise SystemExit(INTERRUPTED) from None
        finally:
            (folder / "environment").unlink(missing_ok=True)
            held.close()

    def _run(self, world: World, words: list[str], *, once: bool, report_file: str | None, port: int) -> int:
        if world.run("migrate", "--verbosity", "0"):
            raise CommandError("The demo's tables could not be made; see above.")
        (world.folder / "environment").write_text(exports(world, dict(os.environ)))
        return self._once(world, words, report_file) if once else self._serve(world, words, port)

    def _once(self, world: World, words: list[str], report_file: str | None) -> int:
        report = ["--report-file", report_file] if report_file else []
        code = self._patiently(world.manage("mass_download", *words, *report, "--progress-interval", "5"))
        (world.folder / "finished").touch()
        return code

    def _end(self, number: int, frame: object) -> None:
        """SIGTERM comes to us alone, Ctrl-C in a terminal to all children as well."""
        self._is_told_alone = True
        raise KeyboardInterrupt

    def _patiently(self, process: subprocess.Popen) -> int:
        """Wait for a child; when we are to end, so is it, but it hands its work back first."""
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                if self._is_told_alone:
                    process.terminate()

    def _serve(self, world: World, words: list[str], port: int) -> int:
        _refuse_taken(port)
        world.twin.configure(bytes_per_second=WATCHABLE_SPEED)
        password = self._login(world)
        if words:
            self._import(world, words)
        gunicorn = [sys.executable, "-m", "gunicorn", "--config", "deploy/gunicorn.conf.py", "--bind", f"127.0.0.1:{port}"]
        gunicorn += ["--workers", "2", "--log-level", "warning", "massdl_site.wsgi"]
        web = subprocess.Popen(gunicorn, env=world.environment, cwd=settings.BASE_DIR)
        workers = world.manage("workers", "--stop-with-parent")
        self.stdout.write(self.style.SUCCESS(f"\nThe admin: http://127.0.0.1:{port}/admin/   user: {USER}   password: {password}"))
        self.stdout.write("YouTube is a local stand-in here; nothing leaves this machine. Stop with Ctrl-C.")
        self.stdout.write(f"Other commands find this world in a second terminal after: source {world.folder / 'environment'}\n")
        try:
            progress = world.manage("mass_download", "--resume", "--progress-interval", "5") if words else None
            return self._watch(world, web, workers, progress)
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # an impatient second Ctrl-C must not cut this short
            for process in (web, workers):
                process.terminate()
            for process in (web, workers):
                with suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_SECONDS)
                process.kill()

    def _import(self, world: World, words: list[str]) -> None:
        imported = world.manage("mass_download", *words, "--detach", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said, _ = imported.communicate()
        if imported.returncode not in (0, 1):
            raise CommandError(f"The sheet could not be imported. {said}")

    def _watch(self, world: World, web: subprocess.Popen, workers: subprocess.Popen, progress: subprocess.Popen | None) -> int:
        """Until Ctrl-C, while the newest session's progress is shown; 1 when the web server or the workers ended by themselves."""
        told = progress is None
        try:
            while web.poll() is None and workers.poll() is None:
                if not told and progress.poll() is not None:
                    told = True
                    self.stdout.write("There is nothing more to wait for. The admin and the workers stay; stop with Ctrl-C.")
                time.sleep(0.5)
            self._is_told_alone = True
        except KeyboardInterrupt:
            return 0
        finally:
            if progress and self._is_told_alone:
                progress.terminate()
            if progress and self._patiently(progress) in (0, 1):
                (world.folder / "finished").touch()
        self.stderr.write("The web server or the workers ended by themselves; see above.")
        return 1

    def _login(self, world: World) -> str:
        """Make the admin's user once; its password is kept beside the data."""
        file = world.folder / "postgres" / "demo-password"
        if not file.exists():
            password = secrets.token_urlsafe(9)
            environment = {**world.environment, "DJANGO_SUPERUSER_PASSWORD": password}
            World(world.folder, environment, world.twin).run(
                "createsuperuser", "--noinput", "--username", USER, "--email", "admin@example.org", stdout=subprocess.DEVNULL
            )
            file.write_text(password)
        return file.read_text()


def _hold(folder: Path) -> IO[str]:
    """This folder's demo is ours as long as the file is open. Raises CommandError while it is somebody else's."""
    folder.mkdir(parents=True, exist_ok=True)
    held = (folder / "lock").open("a")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        held.close()
        raise CommandError(f"A demo runs in {folder} already: stop that one first, or set another MASSDL_VAR_DIR.") from exc
    return held


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as exc:
            raise CommandError(f"Port {port} is in use on this machine: choose another, for example --port 8001.") from exc
