"""Types of command-line arguments; argparse refuses what they raise ValueError for, in the words of their names."""


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


count.__name__, seconds.__name__ = "whole number above 0", "number of seconds"
