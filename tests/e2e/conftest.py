import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.conf import settings

from demo.world import World, open_world


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
