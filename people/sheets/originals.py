"""The rows of a file as they stand in it, by their numbers: for the sheet of those that were refused."""

import json
from collections.abc import Collection, Iterable
from itertools import chain
from typing import Any

from people.sheets import delimited, workbooks
from people.sheets.columns import is_ours, read_layout
from people.sheets.encodings import decode
from people.sheets.envelopes import excerpt
from people.sheets.lines import read_lines
from people.sheets.sheet import Format, clean_line, clean_text

Originals = tuple[list[str], dict[int, list[str]]]
Record = tuple[int, list[str]]


def read_originals(data: bytes, form: Format, numbers: Collection[int]) -> Originals:
    """The column names and, of the rows with these numbers, the cells; `data` is a file that `read_sheet` has read.

    Columns that an earlier sheet of refused rows has added are left out. A row may have more cells than there are columns.
    """
    header, rows = _READERS[form](data, frozenset(numbers))
    kept = [place for place, name in enumerate(header) if not is_ours(name)]
    return (
        [clean_line(header[place]) for place in kept],
        {number: _tidy([cells[place] for place in kept if place < len(cells)] + cells[len(header) :]) for number, cells in rows.items()},
    )


def _tidy(cells: list[str]) -> list[str]:
    return [clean_text(cell) for cell in cells]


def _read_workbook(data: bytes, numbers: Collection[int]) -> Originals:
    return _of_records(workbooks.read_records(data), numbers)


def _read_delimited(data: bytes, numbers: Collection[int]) -> Originals:
    return _of_records(delimited.read_records(decode(data), []), numbers)


def _of_records(records: Iterable[Record], numbers: Collection[int]) -> Originals:
    records = iter(records)
    first = next(records)
    layout = read_layout(first[1])
    if not layout.has_header:
        records = chain([first], records)
    header = first[1] if layout.has_header else [column or "" for column in layout.columns]
    return header, {number: cells for number, cells in records if number in numbers}


def _read_json(data: bytes, numbers: Collection[int]) -> Originals:
    document = json.loads(decode(data))
    channels = document if isinstance(document, list) else document["channels"]
    items = {number: _item(value) for number, value in enumerate(channels, start=1) if number in numbers}
    header = list(dict.fromkeys(chain.from_iterable(items.values())))
    return header, {number: [item.get(name, "") for name in header] for number, item in items.items()}


def _item(value: Any) -> dict[str, str]:
    return {key: _cell(part) for key, part in value.items()} if isinstance(value, dict) else {"channel": _cell(value)}


def _cell(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "\n".join(value)
    return excerpt(value)


def _read_text(data: bytes, numbers: Collection[int]) -> Originals:
    return ["channel"], {entry.number: [entry.values["channel"]] for entry in read_lines(decode(data)) if entry.number in numbers}


_READERS = {"csv": _read_delimited, "json": _read_json, "text": _read_text, "xlsx": _read_workbook}
