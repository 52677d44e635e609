"""Which of the offered formats are taken. Pure: yt-dlp's list in, one or two of it out.

The height asked for comes first, then what is plain to store: an https address (ranges can be read) before fragments,
and up to 1080p H.264 with AAC before other codecs (plain MP4), as long as no tenth of the height is lost by it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ingestion.extraction import MediaFormat

Raw = Mapping[str, Any]

ANY_CODEC_ABOVE = 1080  # asked for more than this, the best picture wins whatever its codec
NEAR = 0.9  # heights from this share of the best one on count as equal


def choose(offered: Sequence[Raw], quality: str) -> tuple[Raw, ...]:
    """One format (both in one, or sound alone) or two (picture, sound) of yt-dlp's list, which goes from worst to best.

    `quality` is one of QUALITIES. A quality that is not offered gives the best below it, else the smallest above.
    An empty tuple when nothing can be used.
    """
    formats = [raw for raw in offered if is_usable(raw)]
    return _choose_sound(formats) if quality == "audio" else _choose_picture(formats, quality)


def is_usable(raw: Raw) -> bool:
    """Whether it has picture or sound; yt-dlp also lists the sheets of small pictures of the seek bar."""
    return bool(raw.get("url")) and raw.get("has_drm") is not True and (_has_picture(raw) or _has_sound(raw))


def is_streamable(raw: Raw) -> bool:
    """Whether its bytes can be read in ranges from one address."""
    return raw.get("protocol") in ("https", "http")


def media_format(raw: Raw) -> MediaFormat:
    """Our plain row of one of yt-dlp's formats."""
    return MediaFormat(
        format_id=str(raw["format_id"]),
        url=raw["url"],
        protocol=raw.get("protocol") or "",
        ext=raw.get("ext") or "",
        size=raw.get("filesize"),
        vcodec=_codec(raw, "vcodec"),
        acodec=_codec(raw, "acodec"),
        width=raw.get("width"),
        height=raw.get("height"),
        fps=raw.get("fps"),
        headers=dict(raw.get("http_headers") or {}),
    )


def _choose_sound(formats: Sequence[Raw]) -> tuple[Raw, ...]:
    sounds = [raw for raw in formats if _has_sound(raw) and not _has_picture(raw)]
    if sounds:
        return (_best_sound(sounds, plain=True),)
    both = [raw for raw in formats if _has_sound(raw)]
    return (min(both, key=lambda raw: (not is_streamable(raw), _side(raw))),) if both else ()


def _choose_picture(formats: Sequence[Raw], quality: str) -> tuple[Raw, ...]:
    cap = float("inf") if quality == "best" else int(quality.removesuffix("p"))
    plain = cap <= ANY_CODEC_ABOVE
    near = _of_that_height(list(_pairs(formats)), cap)
    if not near:
        return _choose_sound(formats)
    best = max(range(len(near)), key=lambda i: (_rank(near[i], plain=plain), i))
    return near[best]


def _pairs(formats: Sequence[Raw]) -> Iterable[tuple[Raw, ...]]:
    """Every picture with the sound that goes with it, from worst to best."""
    sounds = [raw for raw in formats if _has_sound(raw) and not _has_picture(raw)]
    whole = any(_has_picture(raw) and _has_sound(raw) for raw in formats)
    for raw in formats:
        if not _has_picture(raw):
            continue
        if _has_sound(raw):
            yield (raw,)
        elif sounds:
            yield (raw, _best_sound(sounds, plain=_is_h264(raw)))
        elif not whole:
            yield (raw,)  # a silent film


def _of_that_height(pairs: Sequence[tuple[Raw, ...]], cap: float) -> list[tuple[Raw, ...]]:
    """Those within the cap and near the best of them; when all are above it, the smallest ones."""
    sides = [_side(pair[0]) for pair in pairs]
    if not sides:
        return []
    within = [side for side in sides if side <= cap]
    top = max(within) if within else min(sides)
    return [pair for pair, side in zip(pairs, sides, strict=True) if NEAR * top <= side <= top]


def _rank(pair: tuple[Raw, ...], *, plain: bool) -> tuple:
    """What is compared among pairs of about one height; yt-dlp's own order decides what is equal here."""
    picture, sound = pair[0], pair[-1]
    return (
        not _is_upscaled(picture),
        sound.get("language_preference") or -1,
        all(is_streamable(raw) for raw in pair),
        plain and _is_h264(picture),
        _side(picture),
        len(pair),  # apart they are better: picture and sound each in their best
    )


def _best_sound(sounds: Sequence[Raw], *, plain: bool) -> Raw:
    """The original language before dubs, ranges before fragments, AAC where it is wanted, then yt-dlp's order."""

    def rank(i: int) -> tuple:
        raw = sounds[i]
        compressed = str(raw["format_id"]).endswith("-drc")
        return (raw.get("language_preference") or -1, not compressed, is_streamable(raw), plain and _is_aac(raw), i)

    return sounds[max(range(len(sounds)), key=rank)]


def _has_picture(raw: Raw) -> bool:
    return raw.get("vcodec") != "none"


def _has_sound(raw: Raw) -> bool:
    return raw.get("acodec") != "none"


def _is_h264(raw: Raw) -> bool:
    return (raw.get("vcodec") or "").startswith(("avc", "h264"))


def _is_aac(raw: Raw) -> bool:
    return (raw.get("acodec") or "").startswith(("mp4a", "aac"))


def _is_upscaled(raw: Raw) -> bool:
    """Made larger by YouTube's machines (_video.py: `sr`): the film as it was uploaded is wanted."""
    return str(raw["format_id"]).endswith("-sr")


def _side(raw: Raw) -> int:
    """What YouTube calls the height: the shorter side, so that an upright 1080x1920 is 1080p. 0 when unknown."""
    sides = [side for side in (raw.get("width"), raw.get("height")) if side]
    return min(sides, default=0)


def _codec(raw: Raw, name: str) -> str | None:
    codec = raw.get(name)
    return None if codec == "none" else codec or "unknown"
