"""CSV: text to records of cells, with the line where each begins."""

import csv
import io
import re
from collections.abc import Iterator

from people.sheets.columns import column_of, is_header, names_channel
from people.sheets.formulas import unescape_formula
from people.sheets.sheet import Problem, make_problem

DELIMITERS = ",;\t|"
SAMPLE_LINES = 20
_SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)

Record = tuple[int, list[str]]


def read_records(text: str, problems: list[Problem]) -> Iterator[Record]:
    """The records that are not blank. A quotation mark that is never closed ends the reading, and `problems` says so."""
    text, first_line, delimiter = _opening(text)
    lines = _Lines(text)
    reader = csv.reader(lines, delimiter=delimiter)
    width = 0
    while True:
        number = first_line + reader.line_num
        lines.taken.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            problems.append(_unclosed_quote(number))
            return
        if len(lines.taken) > 1 and _is_unclosed(lines.taken, delimiter, width):
            problems.append(_unclosed_quote(number))
            return
        width = width or len(cells)
        if any(cell and not cell.isspace() for cell in cells):
            yield number, [unescape_formula(cell) for cell in cells]


def has_table(text: str) -> bool:
    """Whether the text begins with a header row, or with a row of several cells of which one is an address."""
    text, _, delimiter = _opening(text)
    cells = next((cells for cells in _sample(text, delimiter) if any(cells)), [])
    filled = [cell for cell in cells if cell.strip()]
    if is_header(cells) or not filled or filled[0].lstrip().startswith("#"):
        return is_header(cells)
    return 0 < sum(names_channel(cell) for cell in filled) < len(filled)


class _Lines:
    """Lines with their ends as they are, remembering those the current record has taken."""

    def __init__(self, text: str):
        self._lines = io.StringIO(text, newline="")
        self.taken: list[str] = []

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.taken.append(line)
        return line


def _opening(text: str) -> tuple[str, int, str]:
    """The text after Excel's own line sep=..., the number of its first line, and its delimiter."""
    if separator := _SEPARATOR_LINE.match(text):
        return text[separator.end() :], 2, separator[1]
    return text, 1, _sniff(text)


def _sniff(text: str) -> str:
    """The delimiter under which the first lines look most like a table; a comma when none does."""
    return max(DELIMITERS, key=lambda delimiter: _table_likeness(_sample(text, delimiter)))


def _sample(text: str, delimiter: str) -> list[list[str]]:
    lines = io.StringIO(text[:50_000].lstrip(), newline="")
    reader = csv.reader((line for line, _ in zip(lines, range(SAMPLE_LINES), strict=False)), delimiter=delimiter)
    try:
        return [cells for cells in reader if any(cells)]
    except csv.Error:
        return []


def _table_likeness(records: list[list[str]]) -> tuple[int, int, bool, int]:
    if not records:
        return (0, 0, False, 0)
    width = len(records[0])
    known = sum(1 for cell in records[0] if column_of(cell))
    addresses = sum(1 for cell in records[0] if names_channel(cell))
    return (known, int(addresses == 1), width > 1 and all(len(cells) == width for cells in records), width)


def _is_unclosed(lines: list[str], delimiter: str, width: int) -> bool:
    """Whether the quotation mark in these lines is closed by that of a later row, or not at all."""
    try:
        cells = next(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        return True
    return width > 1 and any(_swallowed_row(cell, delimiter, width) for cell in cells if "\n" in cell)


def _swallowed_row(cell: str, delimiter: str, width: int) -> bool:
    """Whether a line in the cell is a whole row of its own."""
    rows = [line.split(delimiter) for line in cell.splitlines()[1:] if "youtu" in line]
    return any(len(row) == width and any(names_channel(part) for part in row) for row in rows)


def _unclosed_quote(number: int) -> Problem:
    return make_problem(
        number,
        "",
        "A quotation mark in this row is not closed where the cell ends, or a cell is over-long:"
        " this row and all below it were not read. Close or double the quotation mark.",
    )
