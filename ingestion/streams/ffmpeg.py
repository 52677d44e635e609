"""The ffmpeg process: where it is, how it starts, and what its last words mean."""

import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from os import getpid
from typing import IO

from django.conf import settings

from ingestion.errors import SetupError, TransientError

LINES_KEPT = 20
MOOV_TOO_SMALL = re.compile(r"reserved_moov_size is too small, needed (\d+) additional")
UNFIT = "Could not write header"
NO_TRAILER = "Error writing trailer"  # of mkv and webm: so ends one whose index found no room
OUT_TIME = re.compile(rb"out_time_us=(\d+)")
TRACK_FACT = re.compile(r"#(tb|media_type) (\d+): (\S+)")
KINDS = {"video": "picture", "audio": "sound"}

# What becomes ffmpeg, once it has asked Linux to kill it (SIGKILL) when the thread that started it is gone. Python code of
# ours between fork and exec would be unsafe in a process with threads. Where there is no setpriv (util-linux; busybox's does
# not know the flag), a Python does the same, ten times slower.
SETPRIV_LAUNCHER = ("--pdeathsig", "KILL", "/bin/sh", "-c", '[ "$PPID" = "$0" ] || exit 1; exec "$@"')
PYTHON_LAUNCHER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class IndexTooSmallError(Exception):
    """The room kept for the index did not do; `missing` bytes more will, None when ffmpeg does not say."""

    def __init__(self, missing: int | None):
        super().__init__(missing)
        self.missing = missing


class BlamelessError(TransientError):
    """ffmpeg did not end by itself, or found no room for its index: nothing is said against the tracks it was given."""


class UnfitError(Exception):
    """ffmpeg cannot put these codecs into this kind of file."""


def ffmpeg_path() -> str:
    """The one of MASSDL_FFMPEG, else the one installed with massdl. Raises SetupError."""
    if settings.FFMPEG:
        path = shutil.which(settings.FFMPEG)
        if path is None:
            raise SetupError("misconfigured", f"There is no ffmpeg at {settings.FFMPEG}: correct MASSDL_FFMPEG.")
        return path
    import imageio_ffmpeg

    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as exc:
        raise SetupError("misconfigured", "No ffmpeg was found: set MASSDL_FFMPEG.") from exc


@cache
def launcher() -> tuple[str, ...]:
    """A command that takes the number of the process that starts it, then ffmpeg's own."""
    setpriv = shutil.which("setpriv")
    if setpriv and b"--pdeathsig" in subprocess.run([setpriv, "--help"], capture_output=True).stdout:
        return (setpriv, *SETPRIV_LAUNCHER)
    return (sys.executable, "-I", "-S", "-c", PYTHON_LAUNCHER)


def start(arguments: Sequence[str], *, pass_fds: Sequence[int] = (), stdout: int = subprocess.DEVNULL) -> subprocess.Popen:
    """Start ffmpeg, quiet but for errors on stderr, a pipe that somebody has to read."""
    common = ["-nostdin", "-hide_banner", "-v", "error"]
    return subprocess.Popen(
        [*launcher(), str(getpid()), ffmpeg_path(), *common, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        pass_fds=pass_fds,
        bufsize=0,
    )


def last_words(stderr: IO[bytes]) -> list[str]:
    """Read stderr to its end; the last lines of it."""
    with stderr:
        return list(deque((line.decode(errors="replace").strip() for line in stderr), maxlen=LINES_KEPT))


def seconds_written(report: int) -> float | None:
    """Read what ffmpeg says to `-progress` to its end; how far into the film it came, None when it did not say."""
    last = None
    with open(report, "rb") as lines:
        for line in lines:
            if found := OUT_TIME.match(line):
                last = int(found[1]) / 1_000_000
    return last


def track_ends(report: int) -> dict[str, float]:
    """Read the packets that ffmpeg lists (framecrc) to their end; the second at which `picture` and `sound` are over."""
    clocks: dict[str, Fraction] = {}
    kinds: dict[str, str] = {}
    ends: dict[str, int] = {}
    with open(report) as lines:
        for line in lines:
            if line.startswith("#"):
                if found := TRACK_FACT.match(line):
                    name, track, said = found.groups()
                    (clocks if name == "tb" else kinds)[track] = Fraction(said) if name == "tb" else KINDS.get(said, said)
            else:
                track, _, shown, lasts, _ = line.split(",", 4)
                ends[track] = max(ends.get(track, 0), int(shown) + int(lasts))
    return {kinds[track]: float(end * clocks[track]) for track, end in ends.items()}


def judge(code: int, words: Sequence[str]) -> None:
    """Raises unless ffmpeg ended well and silently: it also ends well after half a track, and only says so.

    BlamelessError when it was ended from outside: by a signal, of which it says nothing.
    """
    said = "; ".join(words)
    if found := MOOV_TOO_SMALL.search(said):
        raise IndexTooSmallError(int(found[1]))
    if NO_TRAILER in said:
        raise IndexTooSmallError(None)
    if UNFIT in said:
        raise UnfitError(said)
    if code < 0 or (code and not words):
        raise BlamelessError("media", f"ffmpeg was ended from outside ({code}). {said[-500:]}".rstrip())
    if code or words:
        raise TransientError("media", f"ffmpeg ended with {code}: {said[-500:]}")
