"""Captions: which of those that YouTube offers are taken, and the forms they are kept in.

YouTube serves a track as VTT. ffmpeg turns it into SRT, and the SRT into plain text is a matter of its lines.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ingestion.errors import TransientError
from ingestion.streams.ffmpeg import ffmpeg_path

ORIGINAL = "-orig"
"""How yt-dlp marks the automatic captions in the language that is spoken; the others are translations of them."""
CHAT = "live_chat"
CONVERSION_SECONDS = 60
CUE = re.compile(r"^\d+\n\d\d:\d\d:\d\d,\d{3} --> .*\n", re.MULTILINE)
TAG = re.compile(r"</?[biu]>|</?font[^>]*>|\{\\an?\d+\}")


@dataclass(frozen=True)
class Track:
    """One offered track, as VTT."""

    language: str
    url: str
    is_automatic: bool


def track_in(info: Mapping[str, Any], language: str, *, automatic: bool) -> Track | None:
    """What is offered in a language, None when nothing is: what people wrote (`en`, else a kind of it such as `en-GB`) before
    what was recognised, and that before a translation of it."""
    written = [code for code in _offered(info, "subtitles") if code == language or code.startswith(f"{language}-")]
    for code in sorted(written, key=lambda code: code != language):
        if url := _address(info["subtitles"][code]):
            return Track(language, url, is_automatic=False)
    recognised = _offered(info, "automatic_captions") if automatic else []
    for code in (language + ORIGINAL, language):
        if code in recognised and (url := _address(info["automatic_captions"][code])):
            return Track(language, url, is_automatic=True)
    return None


def languages_of(info: Mapping[str, Any], *, automatic: bool) -> list[str]:
    """All that people wrote, and the language that was recognised; no translations, which are more than a hundred."""
    written = _offered(info, "subtitles")
    recognised = [code.removesuffix(ORIGINAL) for code in _offered(info, "automatic_captions") if code.endswith(ORIGINAL)]
    return list(dict.fromkeys(written + (recognised if automatic else [])))


def _offered(info: Mapping[str, Any], what: str) -> list[str]:
    return [code for code in info.get(what) or () if code != CHAT]


def _address(forms: list[Mapping[str, Any]]) -> str:
    return next((form["url"] for form in forms if form.get("ext") == "vtt" and form.get("url")), "")


def to_srt(vtt: bytes) -> bytes:
    """Raises TransientError (`media`) for what is no VTT, or has no cue."""
    command = [ffmpeg_path(), "-hide_banner", "-v", "error", "-f", "webvtt", "-i", "pipe:0", "-f", "srt", "pipe:1"]
    try:
        done = subprocess.run(command, input=vtt, capture_output=True, timeout=CONVERSION_SECONDS, check=False)
    except subprocess.TimeoutExpired as exc:
        raise TransientError("media", f"ffmpeg did not convert the captions within {CONVERSION_SECONDS} s") from exc
    if done.returncode or done.stderr or not done.stdout:
        raise TransientError("media", f"ffmpeg ended with {done.returncode}: {done.stderr.decode(errors='replace').strip()[-500:]}")
    return done.stdout


def to_text(srt: bytes, *, is_rolling: bool) -> bytes:
    """The words, a line for each line that is shown. Rolling captions, as YouTube makes them, show a line again while the
    next one comes: it is taken once."""
    lines: list[str] = []
    before: list[str] = []
    for cue in _cues(srt):
        lines += cue[_overlap(before, cue) if is_rolling else 0 :]
        before = cue
    return "".join(f"{line}\n" for line in lines).encode()


def _cues(srt: bytes) -> Iterator[list[str]]:
    """The lines of each cue, without tags and without blank ones."""
    for text in CUE.split(srt.decode(errors="replace").replace("\r\n", "\n"))[1:]:
        plain = (" ".join(TAG.sub("", line).split()) for line in text.splitlines())
        yield [line for line in plain if line]


def _overlap(before: list[str], cue: list[str]) -> int:
    """With how many lines the cue begins that the one before it ended with."""
    return next((count for count in range(min(len(before), len(cue)), 0, -1) if before[-count:] == cue[:count]), 0)
