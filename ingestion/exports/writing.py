"""Rows as CSV and JSON, and what a value looks like in a cell. No cell of a CSV runs as a formula."""

import csv
import io
import json
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from itertools import islice
from typing import Any

from django.utils import timezone

from people.formats import MARK
from people.sheets.formulas import escape_formula

AT_ONCE = 500
"""Rows in a chunk of the file: some 100 KB."""


def csv_chunks(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Generator[bytes, None, None]:
    """UTF-8 with the mark by which Excel knows it."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    yield (MARK + text.getvalue()).encode()
    for some in _batches(rows):
        text.seek(0)
        text.truncate()
        writer.writerows([_harmless(cell(value)) for value in row] for row in some)
        yield text.getvalue().encode()


def json_chunks(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Generator[bytes, None, None]:
    """One array with an object for each row; values as they are, for JSON runs nowhere."""
    before = "[\n"
    for some in _batches(rows):
        lines = (json.dumps(dict(zip(header, row, strict=True)), ensure_ascii=False, default=_plain) for row in some)
        yield (before + ",\n".join(lines)).encode()
        before = ",\n"
    yield b"[]\n" if before == "[\n" else b"\n]\n"


def cell(value: Any) -> str | int | float:
    """A number as it is, anything else as text; times in the site's time zone."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return value
    if isinstance(value, datetime):
        return f"{timezone.localtime(value):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {inner}" for name, inner in value.items())
    return value.isoformat() if isinstance(value, date) else str(value)


def _harmless(value: str | int | float) -> str | int | float:
    """A CSV does not tell texts from formulas, so what a spreadsheet program might run gets an apostrophe."""
    return escape_formula(value) if isinstance(value, str) else value


def _plain(value: Any) -> str:
    """For JSON, what is no text and no number."""
    return value.isoformat()


def _batches(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    rows = iter(rows)
    while some := list(islice(rows, AT_ONCE)):
        yield some
