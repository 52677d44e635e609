"""Does the head of a file say what YouTube said of the video? Every track is asked before ffmpeg gets it, and the file that
is made of them before it becomes an object.

Bytes that are all there can still be the wrong ones: a placeholder of another length, a smaller picture, a track that was
cut off before its length was announced. Facts that are unknown on either side are not compared; when a track ends has to
be known.
"""

import re
import subprocess
from dataclasses import dataclass

from ingestion.errors import TransientError
from ingestion.extraction import Extraction, MediaFormat
from ingestion.streams.boxes import Box, Bytes, boxes_in, clock, find, number
from ingestion.streams.ffmpeg import ffmpeg_path

SECONDS_OFF, SHARE_OFF = 2.0, 0.02  # YouTube's durations are whole seconds
SHORTEST_SOUND = 0.5  # yt-dlp, too, takes a track of less for damaged
HEIGHT_OFF = 0.1
HEAD_FOR_FFMPEG = 1 << 20
ANSWER_SECONDS = 30
DURATION = re.compile(r"Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)")
PICTURE = re.compile(r"Stream #.*: Video: .*?, \d+x(\d+)[ ,]")
SEGMENT = bytes.fromhex("18538067")  # the element of Matroska that holds all the others but for its head
REFERENCE_SIZE = 0x7FFFFFFF  # of the first field of a row of a sidx; the bit above says that the row is about another sidx


@dataclass(frozen=True)
class Heading:
    """What the head of a file tells, None where it does not. Durations in seconds, of all and of the picture alone.

    `lists_until` is the byte behind the last one that the duration was worked out from. None says that the duration may be
    anybody's word.
    """

    duration: float | None = None
    picture_duration: float | None = None
    height: int | None = None
    lists_until: int | None = None


def check_head(head: Bytes, extraction: Extraction, *, has_picture: bool | None = None, what: str = "file") -> Heading:
    """Raises TransientError (`incomplete`) when the first bytes of a file tell of another film than `extraction`.

    An MP4 is read as far as the bytes go. Of other kinds ffmpeg tells, from the first MiB; that takes 0.1 s.
    """
    if has_picture is None:
        has_picture = bool(extraction.formats[0].vcodec)
    heading = read_heading(head) if bytes(head[4:8]) == b"ftyp" else ask_ffmpeg(bytes(head[:HEAD_FOR_FFMPEG]))
    check_duration(heading.duration, extraction, what)
    check_duration(heading.picture_duration, extraction, "picture")
    if has_picture:
        _check_height(heading.height, extraction.formats[0].height)
    return heading


def check_track(head: Bytes, media: MediaFormat, extraction: Extraction) -> bool:
    """As `check_head`, of one of the formats of `extraction`. Returns whether its head tells when it ends, and tells that of the
    bytes that there are: never of two tracks in one, of which the longer hides where the other ends."""
    if media.vcodec and media.acodec:
        check_head(head, extraction)
        return False
    what = "picture" if media.vcodec else "sound"
    heading = check_head(head, extraction, has_picture=bool(media.vcodec), what=what)
    is_bound = heading.lists_until is not None and heading.lists_until <= (media.size or 0)
    return heading.duration is not None and is_bound


def check_duration(seconds: float | None, extraction: Extraction, what: str) -> None:
    """Raises TransientError (`incomplete`). The `sound` of some films ends long before their picture."""
    expected = extraction.duration
    if not seconds or not expected:
        return
    off = max(SECONDS_OFF, SHARE_OFF * expected)
    accompanies = what == "sound" and any(media.vcodec for media in extraction.formats)
    least = min(SHORTEST_SOUND * expected, expected - off) if accompanies else expected - off
    if not least <= seconds <= expected + off:
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
        indexed, lists_until = _segment_index(head)
        announced = _announced_duration(head, moov, timescale)
        return Heading((picture and announced) or indexed or announced, indexed if picture else None, height, lists_until)
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


def _segment_index(head: Bytes) -> tuple[float | None, int | None]:
    """The sum of what the first sidx lists (8.16.3), that of the picture where there is one, and the byte behind the last one
    that it lists. None when there is none, or only the beginning of one."""
    box = find(head, "sidx")
    if not box or box.end - box.body < 32:
        return None, None
    wide = 8 if head[box.body] else 4
    first = box.body + 16 + 2 * wide
    end = first + 12 * number(head, first - 2, 2)
    if end > box.end:
        return None, None
    gap = number(head, first - 4 - wide, wide)
    rows = [(number(head, place, 4), number(head, place + 4, 4)) for place in range(first, end, 12)]
    if any(size > REFERENCE_SIZE for size, _ in rows):
        return None, None
    seconds = _seconds(sum(duration for _, duration in rows), number(head, box.body + 8, 4))
    return seconds, box.end + gap + sum(size for size, _ in rows)


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
    return Heading(seconds or None, None, int(picture[1]) if picture else None, _segment_end(head))


def _segment_end(head: bytes) -> int | None:
    """Where a Matroska or webm file says that it ends; ffmpeg complains when it ends before. None when it does not say."""
    place = head.find(SEGMENT) + len(SEGMENT)
    if place < len(SEGMENT) or place >= len(head) or not head[place]:
        return None
    wide = 9 - head[place].bit_length()  # the leading zeros tell how many bytes follow (RFC 8794, 4)
    size = number(head, place, wide) & ((1 << 7 * wide) - 1)
    return None if size == (1 << 7 * wide) - 1 else place + wide + size
