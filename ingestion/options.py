"""What a session may be told: the same names on the command line, in a sheet's settings and in the admin."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

QUALITIES = ("best", "2160p", "1440p", "1080p", "720p", "480p", "360p", "audio")


@dataclass(frozen=True)
class Options:
    """None is no bound of the session's own: the limits of the system and of the channel hold in any case.

    `max_concurrent` counts all videos of the session that run at the same time, `max_concurrent_per_channel` those of
    one channel; `limit` is the most videos taken of a channel.
    """

    quality: str = "720p"
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
        return cls(**{name: value for name, value in raw.items() if name in known})

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def in_words(self) -> str:
        words = [f"quality {self.quality}"]
        words += [f"at most {self.limit} video{'' if self.limit == 1 else 's'} per channel"] if self.limit else []
        words += [f"{self.max_concurrent} at the same time"] if self.max_concurrent else []
        words += [f"from {self.max_concurrent_channels} channels"] if self.max_concurrent_channels else []
        words += [f"{self.max_concurrent_per_channel} of one channel"] if self.max_concurrent_per_channel else []
        words += [f"{self.max_attempts} attempt{'' if self.max_attempts == 1 else 's'}"] if self.max_attempts else []
        words += [] if self.skip_existing else ["stored ones again"]
        words += ["failed ones again"] if self.retry_failed else []
        words += [] if self.continue_on_error else ["stop at the first failure"]
        return ", ".join(words)


def read_options(raw: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The usable settings of a sheet, and a sentence for each one that is unknown or has a value that cannot be used."""
    usable, sentences = {}, []
    for name, value in raw.items():
        allowed = _ALLOWED.get(name)
        if allowed is None:
            sentences.append(f"Setting {name!r} is unknown and was passed over; known: {', '.join(_ALLOWED)}.")
        elif not allowed.accepts(value):
            sentences.append(f"Setting {name!r} is {value!r} and was passed over; allowed: {allowed.words}.")
        else:
            usable[name] = value
    return usable, sentences


class _Flag:
    words = "true or false"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, bool)


class _Count:
    words = "a whole number, 1 or more, or null for no bound"

    def accepts(self, value: Any) -> bool:
        return value is None or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1_000_000)


class _Quality:
    words = "one of " + ", ".join(QUALITIES)

    def accepts(self, value: Any) -> bool:
        return value in QUALITIES


_ALLOWED = {
    "quality": _Quality(),
    "skip_existing": _Flag(),
    "max_concurrent": _Count(),
    "max_concurrent_channels": _Count(),
    "max_concurrent_per_channel": _Count(),
    "max_attempts": _Count(),
    "limit": _Count(),
    "retry_failed": _Flag(),
    "continue_on_error": _Flag(),
}
