import os
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ingestion.streams import ranges
from tests.ingestion.media.clips import Clips, make_clips
from tests.ingestion.media.fixtures import folder_store, gcs_server, gcs_store, google, moto_endpoint, moto_store, rclone_store, store
from tests.ingestion.media.origin import Origin, serve

__all__ = ["folder_store", "gcs_server", "gcs_store", "google", "moto_endpoint", "moto_store", "rclone_store", "store"]


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    return make_clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture
def origin(clips: Clips) -> Iterator[Origin]:
    """Serves the clips."""
    with serve(Origin({path.name: path.read_bytes() for path in clips.folder.iterdir()})) as origin:
        yield origin


@pytest.fixture(autouse=True)
def no_waiting_between_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "BACKOFF_SECONDS", 0)


@pytest.fixture(autouse=True)
def scratch(settings, tmp_path: Path) -> Path:
    settings.SCRATCH_DIR = tmp_path / "scratch"
    return settings.SCRATCH_DIR


@pytest.fixture(autouse=True)
def nothing_is_left_running() -> Iterator[None]:
    """No thread, no child and no pipe or memory file of a transfer outlives it."""
    before = _running()
    yield
    assert _running() == before


def _running() -> tuple[list[str], list[psutil.Process], list[str]]:
    """Our threads, the ffmpeg processes and the open pipes and memory files."""
    threads = [thread.name for thread in threading.enumerate() if thread.name.startswith(("part", "feed", "range", "ffmpeg"))]
    children = [child for child in psutil.Process().children(recursive=True) if "ffmpeg" in child.name() or "python" in child.name()]
    handles = []
    for handle in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{handle}")
        except FileNotFoundError:
            continue
        if "memfd:massdl" in target or target.startswith("pipe:"):
            handles.append(target)
    return threads, children, sorted(handles)
