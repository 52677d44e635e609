import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from django.conf import settings

from demo.world import World, open_world
from massdl_site.embedded import postgres_url


@dataclass(frozen=True)
class Outcome:
    """How a command ended; `said` is what it wrote to both outputs."""

    code: int
    said: str


@contextmanager
def start(world: World, *words: str, env: dict[str, str] | None = None, stdin: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen]:
    """A manage.py command of a world, running; both its outputs come from `stdout`. It is killed if it outlives the block."""
    world = World(world.folder, {**world.environment, **(env or {})}, world.twin)
    with world.manage(*words, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def run(world: World, *words: str, env: dict[str, str] | None = None, said: str = "") -> Outcome:
    """Run a manage.py command of a world to its end, with `said` on its standard input."""
    with start(world, *words, env=env, stdin=subprocess.PIPE) as process:
        answer, _ = process.communicate(said, timeout=300)
        return Outcome(process.returncode, answer)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world of its own for one test module: empty database and bucket; the stand-in's media are kept between runs."""
    folder: Path = tmp_path_factory.mktemp("world")
    media = settings.VAR_DIR / "twin"
    media.mkdir(parents=True, exist_ok=True)
    (folder / "twin").symlink_to(media)
    with open_world(folder, dict(os.environ)) as world:
        assert run(world, "migrate", "--verbosity", "0").code == 0
        yield world


@pytest.fixture
def ask(world):
    """Ask the world's database: the rows of a query."""
    with psycopg.connect(postgres_url(world.folder / "postgres"), autocommit=True) as connection:
        yield lambda query, *values: connection.execute(query, values).fetchall()


@pytest.fixture
def count(ask):
    """How many videos of a channel are in a state."""

    def count(channel: str, status: str) -> int:
        query = """SELECT count(*) FROM videos_video v JOIN people_channel c ON c.id = v.channel_id
                   WHERE c.canonical_url LIKE '%%@' || %s AND v.status = %s"""
        return ask(query, channel, status)[0][0]

    return count


def until(fact: Callable[[], bool], wanted: str, seconds: float = 30) -> None:
    """Wait for a fact; fails with what was wanted when it does not come."""
    end = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > end:
            pytest.fail(f"{wanted}: not within {seconds} s")
        time.sleep(0.1)


def enlist(world, channel: str) -> None:
    """Leave a channel to whatever workers there are."""
    outcome = run(world, "mass_download", "--channel", f"@{channel}", "--detach")
    assert outcome.code == 0, outcome.said
