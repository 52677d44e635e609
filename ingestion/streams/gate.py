"""The last look before a file becomes an object: does its own head say what YouTube said of the video?

Bytes that are all there can still be the wrong ones: a placeholder of another length, a smaller picture, a track that was
cut off before its length was announced. Facts that are unknown on either side are not compared.
"""

import re
import subprocess
from dataclasses import dataclass

from ingestion.errors import TransientError
from ingestion.extraction import Extraction
from ingestion.streams.boxes import Box, Bytes, boxes_in, clock, find, number
from ingestion.streams.ffmpeg import ffmpeg_path

SECONDS_OFF, SHARE_OFF = 2.0, 0.02  # YouTube's durations are whole seconds
HEIGHT_OFF = 0.1
HEAD_FOR_FFMPEG = 1 << 20
ANSWER_SECONDS = 30
DURATION = re.compile(r"Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)")
PICTURE = re.compile(r"Stream #.*: Video: .*?, \d+x(\d+)[ ,]")


@dataclass(frozen=True)
class Heading:
    """What the head of a file tells, None where it does not. Durations in seconds, of all and of the picture alone."""

    duration: float | None = None
    picture_duration: float | None = None
    height: int | None = None


def check_head(head: Bytes, extraction: Extraction, *, has_picture: bool | None = None) -> None:
    """Raises TransientError (`incomplete`) when the first bytes of a file tell of another film than `extraction`.

    An MP4 is read as far as the bytes go. Of other kinds ffmpeg tells, from the first MiB; that takes 0.1 s.
    """
    heading = read_heading(head) if bytes(head[4:8]) == b"ftyp" else ask_ffmpeg(bytes(head[:HEAD_FOR_FFMPEG]))
    check_duration(heading.duration, extraction, "file")
    check_duration(heading.picture_duration, extraction, "picture")
    if has_picture if has_picture is not None else bool(extraction.formats[0].vcodec):
        _check_height(heading.height, extraction.formats[0].height)


def check_duration(seconds: float | None, extraction: Extraction, what: str) -> None:
    expected = extraction.duration
    if seconds and expected and abs(seconds - expected) > max(SECONDS_OFF, SHARE_OFF * expected):
        raise TransientError("incomplete", f"the {what} lasts {seconds:.1f} s; YouTube announced {expected:.1f} s")


def _check_height(height: int | None, expected: int | None) -> None:
    if height and expected and abs(height - expected) > HEIGHT_OFF * expected:
        raise TransientError("incomplete", f"the picture is {height} lines high; YouTube announced {expected}")


def read_heading(head: Bytes) -> Heading:
    """Of an MP4: movie (mvhd, mehd), picture track (tkhd), and the sidx behind them where there is one."""
    moov = find(head, "moov")
    movie = moov and find(head, "mvhd", moov.body, moov.end)
    if not movie or movie.end - movie.body < 28:
        return Heading()
    place, wide = clock(head, movie)
    timescale, whole = number(head, place, 4), number(head, place + 4, wide)
    picture = _picture_track(head, moov)
    height = number(head, picture.end - 4, 4) >> 16 if picture else None  # 16.16 (8.3.2)
    if find(head, "mvex", moov.body, moov.end):
        indexed = _indexed_duration(head)
        return Heading(_announced_duration(head, moov, timescale) or indexed, indexed if picture else None, height)
    place, wide = (picture.body + 28, 8) if picture and head[picture.body] else (picture and picture.body + 20, 4)
    shown = number(head, place, wide) if picture else 0
    return Heading(_seconds(whole, timescale), _seconds(shown, timescale), height)


def _seconds(duration: int, timescale: int) -> float | None:
    """None also for all bits set, which is how a head says that it does not know (8.2.2)."""
    return duration / timescale if timescale and duration and duration not in (2**32 - 1, 2**64 - 1) else None


def _picture_track(head: Bytes, moov: Box) -> Box | None:
    """The tkhd of the first track that has a height."""
    for trak in (box for box in boxes_in(head, moov.body, moov.end) if box.kind == b"trak"):
        header = find(head, "tkhd", trak.body, trak.end)
        if header and header.end - header.body >= 84 and number(head, header.end - 4, 4):
            return header
    return None


def _announced_duration(head: Bytes, moov: Box, timescale: int) -> float | None:
    """What the mehd of a fragmented film says (8.8.2)."""
    box = find(head, "mvex/mehd", moov.body, moov.end)
    return _seconds(number(head, box.body + 4, 8 if head[box.body] else 4), timescale) if box else None


def _indexed_duration(head: Bytes) -> float | None:
    """The sum of what the first sidx lists (8.16.3): that of the picture where there is one. None when it is cut off."""
    box = find(head, "sidx")
    if not box or box.end - box.body < 32:
        return None
    first = box.body + (32 if head[box.body] else 24)
    end = first + 12 * number(head, first - 2, 2)
    durations = (number(head, place + 4, 4) for place in range(first, end, 12))
    return _seconds(sum(durations), number(head, box.body + 8, 4)) if end <= box.end else None


def ask_ffmpeg(head: bytes) -> Heading:
    """What ffmpeg sees in the first bytes of a file of any kind; nothing when it makes nothing of them."""
    command = [ffmpeg_path(), "-hide_banner", "-protocol_whitelist", "pipe", "-i", "pipe:0"]
    try:
        done = subprocess.run(command, input=head, capture_output=True, timeout=ANSWER_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Heading()
    said = done.stderr.decode(errors="replace")
    lasts, picture = DURATION.search(said), PICTURE.search(said)
    seconds = lasts and int(lasts[1]) * 3600 + int(lasts[2]) * 60 + float(lasts[3])
    return Heading(seconds or None, None, int(picture[1]) if picture else None)
