"""XLSX while its rows are read: nothing of a sheet stays in memory or on a disk.

A workbook is a ZIP file, which Python writes without ever going back. The sheets come first, row by row; openpyxl makes what
stands around them, once it is known how many they are.
"""

import io
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile

from openpyxl import Workbook
from openpyxl.utils import get_column_letter

from ingestion.exports.writing import cell

MOST_ROWS = 1_048_576
"""Of a sheet, its heading included: spreadsheet programs read no more."""
MOST_BYTES = 2_000_000_000
"""Of a sheet: a larger part of a ZIP file is written in a way that not every Excel reads."""
MOST_CHARACTERS = 32_767
"""Of a cell."""
COMPRESSION = 1
CHUNK = 1 << 16
UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Characters that no XML may hold."""
KEPT = {"\r": "&#13;"}
"""Or whoever reads the XML takes it for a line's end."""
HEAD = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetViews><sheetView workbookViewId="0">'
    '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData>'
)
TAIL = "</sheetData></worksheet>"

Row = Sequence[Any]


@dataclass(frozen=True)
class Table:
    """Rows under a heading. More of them than a sheet takes go on in `title 2`, `title 3`..., each with the heading."""

    title: str
    header: Sequence[str]
    rows: Iterable[Row]


def workbook_chunks(tables: Iterable[Table]) -> Generator[bytes, None, None]:
    """The file, a sheet for each table."""
    sink, names = _Sink(), []
    with ZipFile(sink, "w", ZIP_DEFLATED, compresslevel=COMPRESSION) as archive:
        for table in tables:
            yield from _sheets(archive, sink, table, names)
        for name, content in _frame(names):
            archive.writestr(name, content)
    yield sink.take()


class _Sink:
    """What the ZIP file is written to: it cannot go back, and is emptied again and again."""

    def __init__(self):
        self._written: list[bytes] = []
        self.size = 0

    def write(self, data: Any) -> int:
        self._written.append(bytes(data))
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """All that is written is there."""

    def take(self) -> bytes:
        data = b"".join(self._written)
        self._written.clear()
        self.size = 0
        return data


def _sheets(archive: ZipFile, sink: _Sink, table: Table, names: list[str]) -> Iterator[bytes]:
    """As many as the rows need, one at least; their titles are put to the names."""
    rows, number = iter(table.rows), 1
    row = next(rows, None)
    while row is not None or number == 1:
        names.append(table.title if number == 1 else f"{table.title} {number}")
        with archive.open(f"xl/worksheets/sheet{len(names)}.xml", "w") as file:
            row = yield from _fill(file, sink, table.header, row, rows)
        number += 1


def _fill(file: IO[bytes], sink: _Sink, header: Row, row: Row | None, rows: Iterator[Row]) -> Iterator[bytes]:
    """Write `row` and those after it until the sheet is full; returns the first one that it does not take, None at the end."""
    size = _write(file, HEAD + _row(1, header))
    number = 2
    while row is not None:
        text = _row(number, row)
        if number > MOST_ROWS or (number > 2 and size + len(text) * 4 > MOST_BYTES):  # each sheet takes one, however large
            break
        size += _write(file, text)
        if sink.size >= CHUNK:
            yield sink.take()
        row, number = next(rows, None), number + 1
    _write(file, TAIL)
    return row


def _write(file: IO[bytes], text: str) -> int:
    return file.write(text.encode())


def _row(number: int, values: Row) -> str:
    """As XML; blank cells are left out."""
    return f'<row r="{number}">' + "".join(_cell(f"{_letters(at)}{number}", cell(value)) for at, value in enumerate(values)) + "</row>"


def _cell(place: str, value: str | int | float) -> str:
    """A text is marked as one, so that nothing runs it, whatever it begins with."""
    if not isinstance(value, str):
        return f'<c r="{place}"><v>{value}</v></c>'
    if not value:
        return ""
    text = value if len(value) <= MOST_CHARACTERS else f"{value[: MOST_CHARACTERS - 1]}…"
    return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{escape(UNREADABLE.sub("", text), KEPT)}</t></is></c>'


def _letters(at: int) -> str:
    return get_column_letter(at + 1)


def _frame(names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """The other parts of a workbook with these sheets."""
    book, made = Workbook(), io.BytesIO()
    book.remove(book.active)
    for name in names:
        book.create_sheet(name)
    book.save(made)
    with ZipFile(made) as archive:
        for name in archive.namelist():
            if not name.startswith("xl/worksheets/"):
                yield name, archive.read(name)
