"""Which yt-dlp, deno and ffmpeg there are on the host of these pages. Looked up once for each process."""

import re
import shutil
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from ingestion.errors import ArchiveError

MISSING = "not found"


@cache
def versions() -> dict[str, str]:
    return {"yt-dlp": _installed("yt-dlp") or MISSING, "deno": _deno() or MISSING, "ffmpeg": _ffmpeg() or MISSING}


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _deno() -> str:
    """The one installed with the project, else one on PATH."""
    path = shutil.which("deno")
    return _installed("deno") or (_said(path, "--version") if path else "")


def _ffmpeg() -> str:
    from ingestion.streams import ffmpeg_path

    try:
        return _said(ffmpeg_path(), "-version")
    except ArchiveError:
        return ""


def _said(program: str, question: str) -> str:
    """The first version number of a program's answer; "" when it gives none."""
    try:
        said = subprocess.run([program, question], capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    found = re.search(r"(?:^|\s)[nN-]?(\d+\.[\w.]+)", said)
    return found[1] if found else ""
