"""XLSX: the first sheet of an Excel workbook to records of cells."""

import io
import warnings
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

import openpyxl

from people.sheets.formulas import unescape_formula
from people.sheets.sheet import SheetError

MAX_UNPACKED_BYTES = 150 * 1024 * 1024
MAX_COLUMNS = 100
MAX_SHEET_ROWS = 1_048_576
NOT_A_WORKBOOK = "This is not an Excel workbook (.xlsx), or it is damaged. Save it again as .xlsx or as CSV."

Record = tuple[int, list[str]]


def read_records(data: bytes) -> Iterator[Record]:
    """The rows of the first sheet that are not blank; formulas give the values Excel saved. Raises `SheetError`."""
    _refuse_bombs(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and extensions that hold no data
        try:
            yield from _records(data)
        except Exception as exc:  # a damaged workbook makes openpyxl and its parsers raise nearly anything
            raise SheetError(NOT_A_WORKBOOK) from exc


def _records(data: bytes) -> Iterator[Record]:
    workbook = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    try:
        sheet = workbook.worksheets[0]
        sheet.reset_dimensions()  # what the file says of its size may be wrong
        for number, row in enumerate(sheet.iter_rows(max_col=MAX_COLUMNS, values_only=True), start=1):
            if number > MAX_SHEET_ROWS:
                return
            if row.count(None) == len(row):
                continue
            cells = [_text(value) for value in row]
            while cells and not cells[-1]:
                cells.pop()
            if any(cell.strip() for cell in cells):
                yield number, cells
    finally:
        workbook.close()


def _refuse_bombs(data: bytes) -> None:
    """Raises `SheetError` for what is no workbook, wants a password, or would unpack to far more than it seems."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as exc:
        raise SheetError(NOT_A_WORKBOOK) from exc
    if any(member.flag_bits & 1 for member in members):
        raise SheetError("The workbook is protected by a password. Save it without one.")
    if sum(member.file_size for member in members) > MAX_UNPACKED_BYTES:
        raise SheetError(f"The workbook unpacks to more than {MAX_UNPACKED_BYTES // 1024**2} MB. Save the one sheet as CSV.")
    if "xl/workbook.xml" not in {member.filename for member in members}:
        raise SheetError(NOT_A_WORKBOOK)


def _text(value: Any) -> str:
    """A cell's value as people see it: whole numbers without .0, dates without midnight."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    if isinstance(value, date | time):
        return value.isoformat()
    return unescape_formula(str(value))
