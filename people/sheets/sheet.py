"""What a sheet is once it has been read."""

import unicodedata
from dataclasses import dataclass, field
from typing import Any, Literal

from people.channel_urls import ChannelUrl

Format = Literal["csv", "json", "text", "xlsx"]

MAX_BYTES = 20 * 1024 * 1024
MAX_ROWS = 100_000
SHOWN_VALUE = 200


class SheetError(ValueError):
    """Nothing of the file can be used; the message is a sentence for staff."""


@dataclass(frozen=True)
class Problem:
    """Something in a sheet that was not taken over. `row` is None when it concerns the whole file or a column.

    A note (`is_note`) is worth reading, but no channel was left out for it.
    """

    row: int | None
    value: str
    message: str
    is_note: bool = False

    def as_dict(self, source: str) -> dict[str, Any]:
        """The problem as a session keeps it; `source` is the name of the file."""
        return {"source": source, "row": self.row, "value": self.value, "message": self.message, "is_note": self.is_note}


@dataclass(frozen=True)
class SheetRow:
    """One channel of one person. `number` is the row as people see it in their file.

    `name` is never blank: without one in the sheet it is the e-mail or the channel's handle, and `name_is_given` is False.
    """

    number: int
    name: str
    email: str
    type: str
    channel: ChannelUrl
    url: str
    row_id: str
    link: str
    notes: str
    name_is_given: bool = True


@dataclass(frozen=True)
class Sheet:
    """A file as it was read. `settings` come from the JSON envelope and are not checked here."""

    name: str
    format: Format
    rows: list[SheetRow]
    problems: list[Problem]
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """One row before it is checked: its number and the text of each known column that is not blank."""

    number: int
    values: dict[str, str]


def make_problem(row: int | None, value: str, message: str, *, is_note: bool = False) -> Problem:
    """A problem whose value is short and can be stored, whatever the file held."""
    shown = clean_line(value[: SHOWN_VALUE + 1])
    return Problem(row, shown if len(shown) <= SHOWN_VALUE else f"{shown[:SHOWN_VALUE]}…", message, is_note)


def clean_line(text: str) -> str:
    """Text for one line: no line breaks, no control characters, no half characters, no blanks around."""
    if text.isprintable():
        return text.strip()
    return "".join(_storable(character) for character in text.replace("\0", "")).strip()


def clean_text(text: str) -> str:
    """Text that may run over several lines, which end in \\n whatever they ended in before."""
    if text.isprintable():
        return text.strip()
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    return "".join(character if character in "\n\t" else _storable(character) for character in text).strip()


def _storable(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cs":  # half a surrogate pair: no database takes it
        return "\ufffd"
    return " " if category in ("Cc", "Zl", "Zp") else character
