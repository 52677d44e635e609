"""A whole world on this machine: PostgreSQL, an S3 server and a stand-in for YouTube, under one folder."""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.object_store import serve_s3
from demo.youtube_twin import Twin
from massdl_site.embedded import postgres_url

ROOT = Path(__file__).resolve().parent.parent
SHEETS = Path(__file__).resolve().parent / "sheets"


@dataclass(frozen=True)
class World:
    """A running world; `environment` makes any process of massdl live in it."""

    folder: Path
    environment: dict[str, str]
    twin: Twin

    def manage(self, *words: str, **kwargs) -> subprocess.Popen:
        """Start a `manage.py` command in this world."""
        return subprocess.Popen([sys.executable, str(ROOT / "manage.py"), *words], env=self.environment, **kwargs)

    def run(self, *words: str, **kwargs) -> int:
        """Run a `manage.py` command in this world to its end; returns its exit code."""
        return self.manage(*words, **kwargs).wait()


@contextmanager
def open_world(folder: Path, environment: dict[str, str]) -> Iterator[World]:
    """Start the servers of a world whose data live in `folder`, and stop them at the end; the data stay.

    `environment` is the caller's own (as `os.environ`); what it says of requests and the breaker is respected, what it
    says of databases, buckets and YouTube is replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    postgres_url(folder / "postgres")
    with serve_s3(folder / "s3") as storage, Twin(folder / "twin", scale=2) as twin:
        patient = {
            "MASSDL_REQUESTS_PER_SECOND": "50",
            "MASSDL_REQUESTS_PER_HOUR": "1000000",
            "MASSDL_BREAKER_SECONDS": "2",
        }
        ours = {
            "MASSDL_VAR_DIR": str(folder),
            "MASSDL_DEMO": "true",
            "MASSDL_YTDLP_OPTIONS": json.dumps(twin.ytdlp_options()),
            **storage.environment,
        }
        theirs = {name: value for name, value in environment.items() if name != "DATABASE_URL"}
        yield World(folder, {**patient, **theirs, **ours}, twin)


def exports(world: World, environment: dict[str, str]) -> str:
    """Shell lines that bring a process with this environment into the world."""
    ours = {name: value for name, value in world.environment.items() if environment.get(name) != value}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(ours.items())]
    return "\n".join(["unset DATABASE_URL", *lines, ""])


def forget(folder: Path) -> None:
    """Remove the database and the objects of a world that is not running; the stand-in's media stay."""
    for part in ("postgres", "s3"):
        shutil.rmtree(folder / part, ignore_errors=True)
