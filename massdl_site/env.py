"""Strict reading of environment variables.

Every variable the project knows is read through one of these functions, which also describe it: `VARIABLES` is what
docs/configuration.md and .env.example are checked against. A value that cannot be used raises `ImproperlyConfigured`
with the variable's name, the value (never that of a secret) and what is allowed.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured


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


def text(name: str, default: str | None = None, *, meaning: str, shown: str = "", secret: bool = False) -> str | None:
    """The variable as it stands, or `default` when it is unset or blank."""
    return _read(name, default, str, "any text", meaning, shown=shown, secret=secret)


def flag(name: str, default: bool, *, meaning: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}

    def parse(value: str) -> bool:
        return words[value.lower()]

    return _read(name, default, parse, "true or false", meaning, shown="true" if default else "false")


def whole(name: str, default: int, *, at_least: int = 0, meaning: str) -> int:
    """A whole number, `at_least` or more."""

    def parse(value: str) -> int:
        number = int(value)
        if number < at_least:
            raise ValueError(value)
        return number

    return _read(name, default, parse, f"a whole number, {at_least} or more", meaning)


def number(name: str, default: float, *, above: float = 0, meaning: str) -> float:
    """A decimal number greater than `above`."""

    def parse(value: str) -> float:
        result = float(value)
        if not above < result < float("inf"):
            raise ValueError(value)
        return result

    return _read(name, default, parse, f"a number above {above:g}", meaning)


def choice(name: str, default: str, options: tuple[str, ...], *, meaning: str) -> str:
    def parse(value: str) -> str:
        if value not in options:
            raise ValueError(value)
        return value

    return _read(name, default, parse, "one of " + ", ".join(o or "(blank)" for o in options), meaning)


def listing(name: str, default: tuple[str, ...] = (), *, meaning: str) -> list[str]:
    """Comma-separated words; blanks around them do not matter."""

    def parse(value: str) -> list[str]:
        return [word.strip() for word in value.split(",") if word.strip()]

    return _read(name, list(default), parse, "words separated by commas", meaning, shown=",".join(default))


def json_object(name: str, *, meaning: str) -> dict[str, Any]:
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
    text_default = shown if shown else "" if default is None else str(default)
    VARIABLES[name] = Variable(name, _group, text_default, allowed, meaning, secret)
    value = os.environ.get(name, "").strip()
    if not value:
        return default
    try:
        return parse(value)
    except (ValueError, KeyError) as exc:
        said = "a value that is not shown here" if secret else repr(value)
        raise ImproperlyConfigured(f"{name} is {said}; allowed: {allowed}.") from exc
