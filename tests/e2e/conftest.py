import os
import subprocess
from collections.abc import Iterator
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


def run(world: World, *words: str, env: dict[str, str] | None = None, **kwargs) -> Outcome:
    """Run a manage.py command in a world to its end."""
    world = World(world.folder, {**world.environment, **(env or {})}, world.twin)
    process = world.manage(*words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kwargs)
    said, _ = process.communicate(timeout=300)
    return Outcome(process.returncode, said)


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
