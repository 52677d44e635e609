"""Cells that spreadsheet programs would run as formulas, made harmless in exports and read back unchanged."""

import re

_DANGEROUS = re.compile(r"'*[=+\-@\uff1d\uff0b\uff0d\uff20\t\r\n]")
_ESCAPED = re.compile(r"'+[=+\-@\uff1d\uff0b\uff0d\uff20\t\r\n]")


def escape_formula(text: str) -> str:
    """The text with an apostrophe before it when a spreadsheet program might run it."""
    return f"'{text}" if _DANGEROUS.match(text) else text


def unescape_formula(text: str) -> str:
    """The text as it was before `escape_formula`."""
    return text[1:] if _ESCAPED.match(text) else text
