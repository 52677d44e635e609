"""Captions in WebVTT, read as the specification says (www.w3.org/TR/webvtt1), and told as SRT cues or as plain lines.

What is no cue is passed over: notes, styles, regions, and a cue whose times cannot be read. Bytes that are no UTF-8 become
U+FFFD, a bracket that is never closed is text. Mark-up is found before references such as `&lt;` are decoded, so that what
was said in brackets stays what it was.
"""

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

TIME = r"(?:([0-9]{1,9}):)?([0-5][0-9]):([0-5][0-9])\.([0-9]{3})"
TIMES = re.compile(rf"\s*{TIME}\s*-->\s*{TIME}(?![0-9])")
ARROW = "-->"
TAG = re.compile(r"<(?P<end>/?)(?P<kept>[biu])(?:[.\s][^<>]*)?>|</?(?:[a-z.][^<>]*)?>|<[0-9]+:[0-9:.]+>", re.IGNORECASE)
"""Mark-up; `kept` is what players of SRT know of it."""


class Cue(NamedTuple):
    """`start` and `end` are in milliseconds; the lines are as they were written, mark-up and all."""

    start: int
    end: int
    lines: tuple[str, ...]

    def plain_lines(self) -> list[str]:
        """The words of each line that has some, without mark-up, one space between them."""
        return [words for line in self._decoded("") if (words := " ".join(line.split()))]

    def srt_lines(self) -> list[str]:
        """The same with the mark-up that SRT knows; [] where nothing is said. SRT has no way to escape."""
        kept = [line.replace("\xa0", " ") for line in self._decoded(r"<\g<end>\g<kept>>")]
        return [line for line in kept if line.strip()] if self.plain_lines() else []

    def _decoded(self, kept: str) -> list[str]:
        """With `kept` in the place of bold and the like. No reference makes a line more: a blank one would end a cue."""
        marked = TAG.sub(lambda tag: tag.expand(kept).lower() if tag["kept"] else "", "\n".join(self.lines))
        return [re.sub(r"[\r\n]+", " ", html.unescape(line)) for line in marked.split("\n")]


def is_webvtt(content: bytes) -> bool:
    return re.match(rb"(?:\xef\xbb\xbf)?WEBVTT(?![^ \t\r\n])", content) is not None


def read_cues(content: bytes) -> Iterator[Cue]:
    """The cues that can be read, in their order; those without words too."""
    text = content.decode("utf-8-sig", errors="replace").replace("\0", "\ufffd")
    times: tuple[int, int] | None = None
    lines: list[str] = []
    for line in [*re.split(r"\r\n|\r|\n", text), ""]:
        if line and ARROW not in line:
            lines.append(line)
            continue
        if times:
            yield Cue(*times, tuple(lines))
        times, lines = _times(line), []


def srt_time(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},{rest:03}"


def _times(line: str) -> tuple[int, int] | None:
    if not (found := TIMES.match(line)):
        return None
    first, last = found.groups()[:4], found.groups()[4:]
    return _milliseconds(*first), _milliseconds(*last)


def _milliseconds(hours: str | None, minutes: str, seconds: str, rest: str) -> int:
    return ((int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + int(rest)
