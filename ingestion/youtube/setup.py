"""yt-dlp's options from the settings, and the versions of what it needs."""

import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from django.conf import settings


def settings_options() -> dict[str, Any]:
    """Options for `YouTube`: cookies, proxy, JavaScript runtime, ffmpeg; MASSDL_YTDLP_OPTIONS overrules all but `client.OURS`."""
    options: dict[str, Any] = {"cachedir": str(settings.VAR_DIR / "yt-dlp"), "ffmpeg_location": settings.FFMPEG or _bundled_ffmpeg()}
    if settings.YTDLP_COOKIES_FILE:
        options["cookiefile"] = settings.YTDLP_COOKIES_FILE
    if settings.YTDLP_PROXY:
        options["proxy"] = settings.YTDLP_PROXY
    if path := deno_path():
        options["js_runtimes"] = {"deno": {"path": path}}
    return options | settings.YTDLP_OPTIONS


def deno_path() -> str:
    """The JavaScript runtime installed with the project, else one on PATH; "" when there is none."""
    beside = Path(sys.executable).parent / "deno"
    return str(beside) if beside.is_file() else shutil.which("deno") or ""


@cache
def versions() -> dict[str, str]:
    """What is installed: yt-dlp, its challenge solver, the HTTP libraries and deno; a missing one is left out."""
    found = {name: version(name) for name in ("yt-dlp", "yt-dlp-ejs", "requests", "pycurl")}
    if deno := _deno_version():
        found["deno"] = deno
    return found


def _deno_version() -> str:
    if not (path := deno_path()):
        return ""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.split()[1]


def _bundled_ffmpeg() -> str:
    import imageio_ffmpeg

    return imageio_ffmpeg.get_ffmpeg_exe()
