"""Types of command-line arguments; argparse refuses what they raise ValueError for, in the words of their names."""

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


count.__name__, seconds.__name__, age.__name__ = "whole number above 0", "number of seconds", "number of seconds"
