"""A film of two hours, cheaply: a minute over and over, as two fragmented tracks like YouTube's, and massdl's own way of
making one file of them."""

import fcntl
import mmap
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from ingestion.store import Store
from ingestion.streams import Transferred, recipes, transfer
from tests.ingestion.media import origin as media_origin
from tests.ingestion.media.clips import FRAGMENTED, run
from tests.ingestion.media.origin import HttpSource, Origin, serve
from tests.ingestion.test_streams.transfers import make_extraction, make_format, silent

DURATION = 7200  # seconds
WIDTH = 192
MINUTE = 60
PICTURE = ("-f", "lavfi", "-i", f"testsrc2=size={WIDTH}x108:rate=30", "-pix_fmt", "yuv420p", "-b:v", "280k")
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "60")  # frames out of order, a keyframe each 2 s
SOUND = ("-f", "lavfi", "-i", "sine=440", "-c:a", "aac", "-b:a", "64k")
TRACKS = ("picture.mp4", "sound.m4a")


def make_tracks(folder: Path) -> list[Path]:
    """The picture and the sound of the film."""
    return [_repeat(folder / TRACKS[0], *PICTURE, *H264), _repeat(folder / TRACKS[1], *SOUND)]


def _repeat(track: Path, *minute: str) -> Path:
    short = track.with_stem("minute")
    run(*minute, "-t", str(MINUTE), *FRAGMENTED, str(short))
    repeated = ("-stream_loop", str(DURATION // MINUTE - 1), "-i", str(short), "-c", "copy", "-t", str(DURATION))
    run(*repeated, *FRAGMENTED, str(track))
    short.unlink()
    return track


def archive(tracks: Sequence[Path], store: Store, *, index_memory_limit: int = recipes.INDEX_MEMORY_LIMIT) -> Transferred:
    """Move the tracks into a store the way that massdl moves a video of two tracks; the limit decides on the kind of MP4."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(recipes, "INDEX_MEMORY_LIMIT", index_memory_limit)
        monkeypatch.setattr(media_origin, "READ_TIMEOUT_SECONDS", 60)
        origin = stack.enter_context(serve(Origin({path.name: stack.enter_context(_mapped(path)) for path in tracks})))
        extraction = make_extraction(*(make_format(origin, path.name) for path in tracks), duration=DURATION)
        return transfer(extraction, source=HttpSource(), store=store, key_stem="film", progress=silent, metadata={})


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    """A file's content that is not read into memory."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield content


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
