"""Strict reading of environment variables.

Every variable the project knows is read through one of these functions, which also describe it: `VARIABLES` is what
docs/configuration.md and .env.example are made from. Unset and blank mean the same: the default. A value that cannot be
used raises `ImproperlyConfigured` with the variable's name, the value (never that of a secret) and what is allowed.
"""

import difflib
import json
import os
import re
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

PREFIX = "MASSDL_"
ANY = "any text"


@dataclass(frozen=True)
class Variable:
    """One documented environment variable; `default` is the text a reader of the docs sees."""

    name: str
    group: str
    default: str
    allowed: str
    meaning: str
    secret: bool


VARIABLES: dict[str, Variable] = {}
_group = "General"


def group(title: str) -> None:
    """Put the variables read from here on under `title` in the docs."""
    global _group
    _group = title


def unknown_variables() -> dict[str, str]:
    """Names set in the environment that begin like ours and are not ours, each with the nearest name of ours, or "".

    Probably typing errors, which would otherwise leave the default in force without a word.
    """
    names = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in VARIABLES)
    return {name: next(iter(difflib.get_close_matches(name, VARIABLES, n=1, cutoff=0.75)), "") for name in names}


def text(name: str, default: str | None = None, *, meaning: str, shown: str = "", secret: bool = False) -> str | None:
    """The variable as it stands, or `default` when it is unset or blank."""
    return _read(name, default, str, ANY, meaning, shown=shown or default or "", secret=secret)


def flag(name: str, default: bool, *, meaning: str, shown: str = "") -> bool:
    """A yes or no, in any of the usual words; `shown` tells a default that depends on the machine."""
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}

    def parse(value: str) -> bool:
        return words[value.lower()]

    return _read(name, default, parse, "true or false", meaning, shown=shown or str(default).lower())


def whole(name: str, default: int, *, at_least: int = 0, meaning: str) -> int:
    """A whole number, `at_least` or more, in plain digits."""

    def parse(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", value) or int(value) < at_least:
            raise ValueError(value)
        return int(value)

    return _read(name, default, parse, f"a whole number, {at_least} or more", meaning)


def number(name: str, default: float, *, or_zero: bool = False, meaning: str) -> float:
    """A decimal number greater than 0, or 0 too where that means something, in plain digits."""

    def parse(value: str) -> float:
        if not re.fullmatch(r"[0-9]{1,18}(\.[0-9]+)?", value) or not (float(value) or or_zero):
            raise ValueError(value)
        return float(value)

    return _read(name, default, parse, "a number, 0 or more" if or_zero else "a number above 0", meaning)


def choice(name: str, default: str, options: tuple[str, ...], *, meaning: str) -> str:
    """One of `options`, letter for letter."""

    def parse(value: str) -> str:
        if value not in options:
            raise ValueError(value)
        return value

    return _read(name, default, parse, "one of " + ", ".join(o or "(blank)" for o in options), meaning)


def listing(name: str, default: tuple[str, ...] = (), *, meaning: str) -> list[str]:
    """Comma-separated words; blanks around them do not matter."""

    def parse(value: str) -> list[str]:
        words = [word.strip() for word in value.split(",") if word.strip()]
        if not words or any(re.search(r"\s", word) for word in words):
            raise ValueError(value)
        return words

    return _read(name, list(default), parse, "words separated by commas", meaning, shown=",".join(default))


def address(
    name: str, default: str | None = None, *, schemes: tuple[str, ...], meaning: str, shown: str = "", secret: bool = False
) -> str | None:
    """A URL with one of `schemes` and a host, as it stands."""

    def parse(value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in schemes or not parts.hostname or parts.port == 0:  # .port raises ValueError for words
            raise ValueError(value)
        return value

    allowed = " or ".join(f"{scheme}://HOST" for scheme in schemes)
    return _read(name, default, parse, f"an address: {allowed}", meaning, shown=shown or default or "", secret=secret)


def time_zone(name: str, default: str, *, meaning: str) -> str:
    """A time zone of the IANA list."""

    def parse(value: str) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (zoneinfo.ZoneInfoNotFoundError, OSError) as exc:  # OSError: the name of a folder, or far too long
            raise ValueError(value) from exc
        return value

    return _read(name, default, parse, "a name of the IANA list such as Europe/Berlin", meaning)


def json_object(name: str, *, meaning: str) -> dict[str, Any]:
    """A JSON object; counts as a secret, because proxies and passwords go through it."""

    def parse(value: str) -> dict[str, Any]:
        result = json.loads(value)
        if not isinstance(result, dict):
            raise ValueError(value)
        return result

    return _read(name, {}, parse, 'a JSON object such as {"proxy": "http://127.0.0.1:8899"}', meaning, shown="{}", secret=True)


def _read(
    name: str,
    default: Any,
    parse: Callable[[str], Any],
    allowed: str,
    meaning: str,
    *,
    shown: str | None = None,
    secret: bool = False,
) -> Any:
    VARIABLES[name] = Variable(name, _group, str(default) if shown is None else shown, allowed, meaning, secret)
    value = os.environ.get(name, "").strip()
    if not value:
        return default
    try:
        return parse(value)
    except (ValueError, KeyError, RecursionError):
        said = "a value that is not shown here" if secret else repr(value)
    # outside the handler: a chained exception would print the secret that it choked on
    raise ImproperlyConfigured(f"{name} is {said}; allowed: {allowed}.")
