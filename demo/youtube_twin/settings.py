"""What a test may turn while the twin runs."""

from dataclasses import dataclass, fields
from typing import Any

SHAPES = ("lockup", "renderer")
# What the whole twin can be made to refuse with; "rate_limited" is HTTP 429, the others are words in the answer.
FLEET_REFUSALS = ("bot_check", "captcha", "session_limited", "rate_limited")


@dataclass
class Settings:
    """
    ttl               seconds until a media address expires
    shape             of listed videos: "lockup" as today, "renderer" as until 2025
    pad               bytes of filler per listed video (real pages carry about 9000)
    bytes_per_second  of one connection to a media host, 0 = as fast as it goes
    latency           seconds before each answer
    refuse            one of FLEET_REFUSALS for every watch and player request, None = as catalogued
    refuse_times      how many extractions (watch pages) are refused so before it stops, None = without end
    """

    ttl: int = 6 * 3600
    shape: str = "lockup"
    pad: int = 0
    bytes_per_second: int = 0
    latency: float = 0
    refuse: str | None = None
    refuse_times: int | None = None

    def change(self, **values: Any) -> None:
        """Set some. Raises ValueError for an unknown name or value, and then changes nothing."""
        names = [field.name for field in fields(self)]
        if unknown := set(values) - set(names):
            raise ValueError(f"no such setting: {', '.join(sorted(unknown))}; there are: {', '.join(names)}")
        if values.get("shape", "lockup") not in SHAPES:
            raise ValueError(f"shape is one of {', '.join(SHAPES)}")
        if values.get("refuse") is not None and values["refuse"] not in FLEET_REFUSALS:
            raise ValueError(f"refuse is None or one of {', '.join(FLEET_REFUSALS)}")
        for name, value in values.items():
            setattr(self, name, value)

    def reset(self) -> None:
        self.change(**{field.name: field.default for field in fields(self)})
