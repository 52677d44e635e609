"""Types of command-line arguments; argparse refuses what they raise ValueError for, in the words of their names."""

from argparse import ArgumentTypeError

from ingestion.options import AUDIO_BITRATES, asset_names, language_codes

LONGEST_AGE = 1e9
"""Seconds, about thirty years: datetimes do not reach back for ever."""


def count(text: str) -> int:
    """A whole number of 1 or more."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def seconds(text: str) -> float:
    """A length of time above 0."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError(text)
    return number


def age(text: str) -> float:
    """A length of time, 0 too, in seconds."""
    number = 0.0 if float(text) == 0 else seconds(text)
    if number > LONGEST_AGE:
        raise ValueError(text)
    return number


def bitrate(text: str) -> int:
    """Of sound, in kbit/s."""
    number, (least, most) = int(text), AUDIO_BITRATES
    if not least <= number <= most:
        raise ValueError(text)
    return number


def assets(text: str) -> tuple[str, ...]:
    """What is stored beside a video: names with commas between them."""
    try:
        return asset_names(text)
    except ValueError as exc:
        raise ArgumentTypeError(str(exc)) from exc


def languages(text: str) -> tuple[str, ...]:
    """Codes of languages with commas between them."""
    try:
        return language_codes(text)
    except ValueError as exc:
        raise ArgumentTypeError(str(exc)) from exc


bitrate.__name__ = "number of kbit/s from {} to {}".format(*AUDIO_BITRATES)
count.__name__, seconds.__name__, age.__name__ = "whole number above 0", "number of seconds", "number of seconds"
