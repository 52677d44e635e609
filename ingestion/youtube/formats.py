"""Which of the offered formats are taken. Pure: yt-dlp's list in, one or two of it out.

The height asked for comes first, then what was asked for besides (HDR or not, a codec, a container), then what is plain to
store: an https address (ranges can be read) before fragments, and up to 1080p H.264 with AAC before other codecs (plain
MP4). For none of these a tenth of the height is lost.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from ingestion.extraction import MediaFormat
from ingestion.options import WEBM_CODECS, Choice

Raw = Mapping[str, Any]
T = TypeVar("T")

ANY_CODEC_ABOVE = 1080  # asked for more than this, the best picture wins whatever its codec
NEAR = 0.9  # heights from this share of the best one on count as equal
NEAR_RATE = 0.75  # the same of bit rates of sound: what AAC needs for what Opus does with less
RATE_SLACK = 1.05  # what is called 128 kbit/s measures 129.5

PICTURE_CODECS = {"h264": ("avc", "h264"), "vp9": ("vp9", "vp09"), "av1": ("av01", "av1")}
SOUND_CODECS = {"aac": ("mp4a", "aac"), "opus": ("opus",)}
LONE_SOUND = {"webm": "opus", "opus": "opus", "mp3": ""}  # its codec by what it is to become; AAC for all else


def choose(offered: Sequence[Raw], choice: Choice) -> tuple[Raw, ...]:
    """One format (both in one, or sound alone) or two (picture, sound) of yt-dlp's list, which goes from worst to best.

    A quality that is not offered gives the best below it, else the smallest above; any other wish is met where it can be.
    An empty tuple when nothing can be used.
    """
    formats = _as_recorded([raw for raw in offered if is_usable(raw)])
    return _choose_sound(formats, choice) if choice.quality == "audio" else _choose_picture(formats, choice)


def is_usable(raw: Raw) -> bool:
    """Whether it has picture or sound; yt-dlp also lists the sheets of small pictures of the seek bar."""
    return bool(raw.get("url")) and raw.get("has_drm") is not True and (has_picture(raw) or has_sound(raw))


def is_streamable(raw: Raw) -> bool:
    """Whether its bytes can be read in ranges from one address."""
    return raw.get("protocol") in ("https", "http")


def has_picture(raw: Raw) -> bool:
    return raw.get("vcodec") != "none"


def has_sound(raw: Raw) -> bool:
    return raw.get("acodec") != "none"


def short_side(raw: Raw) -> int:
    """What YouTube calls the height: the shorter side, so that an upright 1080x1920 is 1080p. 0 when unknown."""
    sides = [side for side in (raw.get("width"), raw.get("height")) if side]
    return min(sides, default=0)


def height_cap(choice: Choice) -> float:
    """The height asked for, infinite for the best; not for `audio`."""
    return float("inf") if choice.quality == "best" else int(choice.quality.removesuffix("p"))


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
        dynamic_range=raw.get("dynamic_range") or "",
        abr=raw.get("abr"),
        tbr=raw.get("tbr"),
    )


def _as_recorded(formats: Sequence[Raw]) -> Sequence[Raw]:
    """Without the pictures that YouTube's machines made larger (_video.py: `sr`), where there is another one."""
    recorded = [raw for raw in formats if not str(raw["format_id"]).endswith("-sr")]
    return recorded if any(has_picture(raw) for raw in recorded) else formats


def _choose_sound(formats: Sequence[Raw], choice: Choice) -> tuple[Raw, ...]:
    sounds = [raw for raw in formats if has_sound(raw) and not has_picture(raw)]
    if sounds:
        return (_best_sound(sounds, choice, wanted=LONE_SOUND.get(choice.container, "aac")),)
    both = [raw for raw in formats if has_sound(raw)]
    return (min(both, key=lambda raw: (not is_streamable(raw), short_side(raw))),) if both else ()


def _choose_picture(formats: Sequence[Raw], choice: Choice) -> tuple[Raw, ...]:
    near = _of_that_height(list(_pairs(formats, choice)), height_cap(choice))
    return _last_best(near, lambda pair: _rank(pair, choice)) if near else _choose_sound(formats, choice)


def _pairs(formats: Sequence[Raw], choice: Choice) -> Iterable[tuple[Raw, ...]]:
    """Every picture with the sound that goes with it, from worst to best."""
    sounds = [raw for raw in formats if has_sound(raw) and not has_picture(raw)]
    whole = any(has_picture(raw) and has_sound(raw) for raw in formats)
    for raw in formats:
        if not has_picture(raw):
            continue
        if has_sound(raw):
            yield (raw,)
        elif sounds:
            wanted = "aac" if _is_of(raw, "h264") else "opus" if choice.container == "webm" else ""
            yield (raw, _best_sound(sounds, choice, wanted=wanted))
        elif not whole:
            yield (raw,)  # a silent film


def _of_that_height(pairs: Sequence[tuple[Raw, ...]], cap: float) -> list[tuple[Raw, ...]]:
    """Those within the cap and near the best of them; when all are above it, the smallest ones."""
    sides = [short_side(pair[0]) for pair in pairs]
    if not sides:
        return []
    within = [side for side in sides if side <= cap]
    top = max(within) if within else min(sides)
    return [pair for pair, side in zip(pairs, sides, strict=True) if NEAR * top <= side <= top]


def _rank(pair: tuple[Raw, ...], choice: Choice) -> tuple:
    """What is compared among pairs of about one height; yt-dlp's own order decides what is equal here."""
    picture, sound = pair[0], pair[-1]
    plain = height_cap(choice) <= ANY_CODEC_ABOVE
    return (
        _language(sound),
        _is_hdr(picture) == choice.hdr,
        choice.codec != "auto" and _is_of(picture, choice.codec),
        choice.container == "webm" and all(_fits_webm(raw) for raw in pair),
        all(is_streamable(raw) for raw in pair),
        plain and _is_of(picture, "h264"),
        short_side(picture),
        len(pair),  # apart they are better: picture and sound each in their best
    )


def _best_sound(sounds: Sequence[Raw], choice: Choice, *, wanted: str) -> Raw:
    """The original language before dubs, as it was recorded before what was made even, then the bit rate asked for, ranges
    before fragments, the codec that is wanted, and yt-dlp's order."""
    first = max((_language(raw), not _is_altered(raw)) for raw in sounds)
    original = [raw for raw in sounds if (_language(raw), not _is_altered(raw)) == first]
    near = _of_that_rate(original, choice.audio_bitrate)
    return _last_best(near, lambda raw: (is_streamable(raw), bool(wanted) and _is_of(raw, wanted)))


def _of_that_rate(sounds: Sequence[Raw], cap: int | None) -> Sequence[Raw]:
    """Those within the cap and near the best of them; when all are above it, the smallest ones. All when no rate is known."""
    rates = [raw.get("abr") or raw.get("tbr") or 0 for raw in sounds]
    if cap is None or not any(rates):
        return sounds
    within = [rate for rate in rates if 0 < rate <= cap * RATE_SLACK]
    top = max(within) if within else min(rate for rate in rates if rate)
    return [raw for raw, rate in zip(sounds, rates, strict=True) if NEAR_RATE * top <= rate <= top]


def _last_best(ranked: Sequence[T], rank: Callable[[T], tuple]) -> T:
    """The highest; among equals the last, which yt-dlp holds for the best."""
    return ranked[max(range(len(ranked)), key=lambda i: (rank(ranked[i]), i))]


def _is_of(raw: Raw, codec: str) -> bool:
    """Whether its picture, or its sound where a codec of sound is named, is in this codec."""
    if codec in PICTURE_CODECS:
        return (raw.get("vcodec") or "").startswith(PICTURE_CODECS[codec])
    return (raw.get("acodec") or "").startswith(SOUND_CODECS[codec])


def _fits_webm(raw: Raw) -> bool:
    return all((raw.get(name) or "").startswith((*WEBM_CODECS, "none")) for name in ("vcodec", "acodec"))


def _is_hdr(raw: Raw) -> bool:
    return (raw.get("dynamic_range") or "SDR") != "SDR"


def _language(raw: Raw) -> int:
    return raw.get("language_preference") or -1


def _is_altered(raw: Raw) -> bool:
    """Its loud and soft parts made even, or its voices lifted."""
    return str(raw["format_id"]).endswith(("-drc", "-vb"))


def _codec(raw: Raw, name: str) -> str | None:
    codec = raw.get(name)
    return None if codec == "none" else codec or "unknown"
