"""What a session may be told: the same names on the command line, in a sheet's settings and in the admin."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

QUALITIES = ("best", "2160p", "1440p", "1080p", "720p", "480p", "360p", "audio")
CODECS = ("auto", "h264", "vp9", "av1")
CONTAINERS = ("mp4", "mkv", "webm")
WEBM_CODECS = ("vp8", "vp08", "vp9", "vp09", "av01", "av1", "opus", "vorbis")
"""How the names of those begin that a WebM takes, by YouTube and by yt-dlp."""
CONVERSIONS = ("none", "m4a", "mp3", "opus", "h264", "hevc")
SOUND_CONVERSIONS = ("m4a", "mp3", "opus")
PICTURE_CONVERSIONS = ("h264", "hevc")
ASSETS = ("info", "thumbnail", "subtitles", "transcript", "nfo")
ALL, NO = "all", "none"
AUDIO_BITRATES = (16, 1000)
SHOWN_VALUE = 100
SUBTAGS = {2: str.upper, 4: lambda part: "orig" if part.lower() == "orig" else part.title()}
"""How parts of a code are written, by their length: regions and scripts; `orig` is yt-dlp's mark of what was spoken."""
LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{1,8})*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Choice:
    """Which of the formats that YouTube offers are taken: the best within `quality`, then by these preferences.

    A preference that cannot be met costs nothing: the next best is taken. `audio_bitrate` is the most, in kbit/s, None
    for the best sound there is. `container` is the file it is meant for: one of CONTAINERS, or of SOUND_CONVERSIONS.
    """

    quality: str = "720p"
    codec: str = "auto"
    hdr: bool = False
    audio_bitrate: int | None = None
    container: str = "mp4"


@dataclass(frozen=True)
class Options:
    """None is no bound of the session's own: the limits of the system and of the channel hold in any case.

    `convert` to a kind of sound fetches no picture. `subtitle_languages` are codes such as `en` or `pt-BR`, or `all` alone;
    they and `automatic_subtitles` (what YouTube heard, where nobody wrote subtitles) tell nothing without such an asset.

    `max_concurrent` counts all videos of the session that run at the same time, `max_concurrent_per_channel` those of
    one channel; `limit` is the most videos taken of a channel.
    """

    quality: str = "720p"
    codec: str = "auto"
    hdr: bool = False
    audio_bitrate: int | None = None
    container: str = "mp4"
    convert: str = "none"
    assets: tuple[str, ...] = ()
    subtitle_languages: tuple[str, ...] = ("en",)
    automatic_subtitles: bool = True
    skip_existing: bool = True
    max_concurrent: int | None = None
    max_concurrent_channels: int | None = None
    max_concurrent_per_channel: int | None = None
    max_attempts: int | None = None
    limit: int | None = None
    retry_failed: bool = False
    continue_on_error: bool = True

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> "Options":
        """From a session's JSON; keys of another release are passed over."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in raw.items() if name in known})

    @property
    def choice(self) -> Choice:
        """H.264 that is offered need not be made of something else."""
        is_sound = self.convert in SOUND_CONVERSIONS
        return Choice(
            quality="audio" if is_sound else self.quality,
            codec="h264" if self.convert == "h264" and self.codec == "auto" else self.codec,
            hdr=self.hdr,
            audio_bitrate=self.audio_bitrate,
            container=self.convert if is_sound else self.container,
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def in_words(self) -> str:
        words = [f"quality {self.quality}", *self._formats_in_words(), *self._assets_in_words()]
        words += [f"at most {self.limit} video{'' if self.limit == 1 else 's'} per channel"] if self.limit else []
        words += [f"{self.max_concurrent} at the same time"] if self.max_concurrent else []
        words += [f"from {self.max_concurrent_channels} channels"] if self.max_concurrent_channels else []
        words += [f"{self.max_concurrent_per_channel} of one channel"] if self.max_concurrent_per_channel else []
        words += [f"{self.max_attempts} attempt{'' if self.max_attempts == 1 else 's'}"] if self.max_attempts else []
        words += [] if self.skip_existing else ["stored ones again"]
        words += ["failed ones again"] if self.retry_failed else []
        words += [] if self.continue_on_error else ["stop at the first failure"]
        return ", ".join(words)

    def _formats_in_words(self) -> Iterator[str]:
        """What differs from the default."""
        if self.codec != "auto":
            yield f"{self.codec} where it is offered"
        if self.hdr:
            yield "HDR where it is offered"
        if self.audio_bitrate:
            yield f"sound of at most {self.audio_bitrate} kbit/s"
        if self.container != "mp4":
            yield f"in {self.container} files"
        if self.convert != "none":
            yield f"converted to {self.convert}"

    def _assets_in_words(self) -> Iterator[str]:
        if not self.assets:
            return
        yield "with " + " and ".join(self.assets)
        if not {"subtitles", "transcript"}.isdisjoint(self.assets):
            yield "in all languages" if self.subtitle_languages == (ALL,) else "in " + " and ".join(self.subtitle_languages)
            yield from () if self.automatic_subtitles else ("no automatic subtitles",)


@dataclass(frozen=True)
class Conflict:
    """Two wishes that exclude each other: the `names` of both, why, and what to do where options have these names."""

    names: tuple[str, str]
    why: str
    remedy: str

    def __str__(self):
        return f"{self.why}: {self.remedy}."


def conflicts(options: Options, words: Mapping[str, str] | None = None) -> Iterator[Conflict]:
    """`words` are those for values that somebody reads under other names, such as H.264 for h264."""
    words = words or {}
    convert, codec = (words.get(value, value) for value in (options.convert, options.codec))
    kind_or_not = "take the container mp4 or mkv, or do not convert"
    if options.convert in SOUND_CONVERSIONS and options.container != "mp4":
        why = f"Converting to {convert} makes a file of its own kind"
        yield Conflict(("convert", "container"), why, f"leave out the container {options.container}")
    if options.convert in PICTURE_CONVERSIONS and options.container == "webm":
        yield Conflict(("convert", "container"), f"A webm file cannot hold {convert}", kind_or_not)
    if options.codec == "h264" and options.container == "webm":
        yield Conflict(("codec", "container"), f"A webm file cannot hold {codec}", "take the container mp4 or mkv, or another codec")
    if options.convert in PICTURE_CONVERSIONS and options.quality == "audio":
        why = f"With sound only there is no picture that could be converted to {convert}"
        yield Conflict(("convert", "quality"), why, "take another quality than audio, or do not convert")
    if options.convert == "h264" and options.hdr:
        yield Conflict(("convert", "hdr"), f"HDR is lost in {convert}", "leave out hdr, or convert to hevc")


def asset_names(said: str | Sequence[str]) -> tuple[str, ...]:
    """The names in a comma-separated text or a list, in the order of ASSETS; () for `none`. Raises ValueError for others."""
    names = _words(said)
    if ALL in names:
        return ASSETS
    names = [] if names == [NO] else names
    if unknown := [name for name in names if name not in ASSETS]:
        raise ValueError(f"{', '.join(unknown)}: not known; known: {', '.join(ASSETS)}, or {ALL}, or {NO}")
    return tuple(name for name in ASSETS if name in names)


def language_codes(said: str | Sequence[str]) -> tuple[str, ...]:
    """The codes in a comma-separated text or a list, each once and as YouTube writes it; `all` swallows the others. Raises
    ValueError when there is none, or for what is no code."""
    words = _words(said)
    if not words:
        raise ValueError("name a language such as en or pt-BR, or all")
    if ALL in (word.lower() for word in words):
        return (ALL,)
    if wrong := [word for word in words if not LANGUAGE.fullmatch(word)]:
        raise ValueError(f"{', '.join(wrong)}: not a language; give codes such as en or pt-BR, or all")
    return tuple(dict.fromkeys(_language_code(word) for word in words))


def _language_code(word: str) -> str:
    """`EN` is en, `pt-br` pt-BR, `zh-hans` zh-Hans, `ES-419` es-419. What is no region or script stays as it is: YouTube tells
    two subtitles of one language apart by a name of its own after the code."""
    language, *rest = word.split("-")
    return "-".join([language.lower(), *(SUBTAGS.get(len(part), str)(part) if part.isalpha() else part for part in rest)])


def _words(said: str | Sequence[str]) -> list[str]:
    parts = said.split(",") if isinstance(said, str) else said
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise ValueError("not a list of words")
    return [word for part in parts if (word := part.strip())]


def read_options(raw: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The usable settings of a sheet, and a sentence for each one that is unknown, has a value that cannot be used, or
    excludes another one."""
    usable, sentences = {}, []
    for name, value in raw.items():
        allowed = _ALLOWED.get(name)
        if allowed is None:
            sentences.append(f"Setting {_shown(name)} is unknown and was passed over; known: {', '.join(_ALLOWED)}.")
            continue
        try:
            usable[name] = allowed.read(value)
        except ValueError:
            sentences.append(f"Setting {name!r} is {_shown(value)} and was passed over; allowed: {allowed.words}.")
    for conflict in list(conflicts(Options(**usable))):
        first, second = conflict.names
        sentences.append(f"{conflict} Settings {first!r} and {second!r} were passed over.")
        usable = {name: value for name, value in usable.items() if name not in conflict.names}
    return usable, sentences


def _shown(value: Any) -> str:
    """Enough of it for staff to find it in their sheet."""
    text = repr(value)
    return text if len(text) <= SHOWN_VALUE else f"{text[:SHOWN_VALUE]}…"


class _Setting:
    """`words` say what is allowed; `read` gives the value to use, and raises ValueError."""

    words: str

    def read(self, value: Any) -> Any:
        if not self.accepts(value):
            raise ValueError(value)
        return value

    def accepts(self, value: Any) -> bool:
        raise NotImplementedError


class _Flag(_Setting):
    words = "true or false"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, bool)


class _Count(_Setting):
    def __init__(self, least: int = 1, most: int = 1_000_000, words: str = "a whole number, 1 or more, or null for no bound"):
        self.least, self.most, self.words = least, most, words

    def accepts(self, value: Any) -> bool:
        return value is None or (isinstance(value, int) and not isinstance(value, bool) and self.least <= value <= self.most)


class _OneOf(_Setting):
    def __init__(self, *choices: str):
        self.choices, self.words = choices, "one of " + ", ".join(choices)

    def accepts(self, value: Any) -> bool:
        return value in self.choices


class _Assets(_Setting):
    words = f"a list of {', '.join(ASSETS)}, or {ALL}, or {NO}"
    read = staticmethod(asset_names)


class _Languages(_Setting):
    words = f"a list of codes such as en or pt-BR, or {ALL}"
    read = staticmethod(language_codes)


_ALLOWED: dict[str, _Setting] = {
    "quality": _OneOf(*QUALITIES),
    "codec": _OneOf(*CODECS),
    "hdr": _Flag(),
    "audio_bitrate": _Count(*AUDIO_BITRATES, "a whole number of kbit/s from {} to {}, or null for no bound".format(*AUDIO_BITRATES)),
    "container": _OneOf(*CONTAINERS),
    "convert": _OneOf(*CONVERSIONS),
    "assets": _Assets(),
    "subtitle_languages": _Languages(),
    "automatic_subtitles": _Flag(),
    "skip_existing": _Flag(),
    "max_concurrent": _Count(),
    "max_concurrent_channels": _Count(),
    "max_concurrent_per_channel": _Count(),
    "max_attempts": _Count(),
    "limit": _Count(),
    "retry_failed": _Flag(),
    "continue_on_error": _Flag(),
}
