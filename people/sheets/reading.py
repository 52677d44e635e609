"""`read_sheet`: which format a file is, by its content first and its name second, and its reading."""

import json
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from people.sheets import delimited, workbooks
from people.sheets.columns import names_channel
from people.sheets.encodings import decode
from people.sheets.envelopes import read_envelope
from people.sheets.lines import read_lines
from people.sheets.rows import read_rows
from people.sheets.sheet import MAX_BYTES, Entry, Format, Problem, Sheet, SheetError, clean_line, make_problem
from people.sheets.tables import read_table

OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
FOREIGN = (
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x1f\x8b", "a compressed archive"),
    (b"7z\xbc\xaf", "a compressed archive"),
    (b"Rar!", "a compressed archive"),
    (b"{\\rtf", "a text document with formatting"),
)
SAMPLE = 20_000  # characters
MOST_CONTROLS = 0.05
ACCEPTED = "Give CSV, JSON, plain text or an Excel workbook (.xlsx)."


def read_sheet(data: bytes, name: str) -> Sheet:
    """Read a file of any of the formats; `name` is its file name. Raises `SheetError` when nothing of it can be used."""
    _refuse_unreadable(data)
    if data.startswith(b"PK\x03\x04"):
        return _sheet(name, "xlsx", *_read_workbook(data))
    text = decode(data)
    if not text.strip():
        raise SheetError("The file is empty.")
    if _is_binary(text):
        raise SheetError(f"The file is no text. {ACCEPTED}")
    if text.lstrip()[:9].lower().startswith(("<!doctype", "<html", "<?xml")):
        raise SheetError(f"The file is a web page or XML. {ACCEPTED}")
    form = _format_of(text, PurePosixPath(name).suffix.lower())
    return _sheet(name, form, *_READERS[form](text))


def _refuse_unreadable(data: bytes) -> None:
    if len(data) > MAX_BYTES:
        raise SheetError(f"The file has {len(data) / 1024**2:.1f} MB; the limit is {MAX_BYTES // 1024**2} MB. Split it.")
    if data.startswith(OLD_EXCEL):
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise SheetError("The workbook is protected by a password. Save it without one.")
        raise SheetError("This is an old Excel file (.xls). Save it as .xlsx or as CSV.")
    for mark, what in FOREIGN:
        if data.startswith(mark):
            raise SheetError(f"The file is {what}. {ACCEPTED}")


def _is_binary(text: str) -> bool:
    """Control characters all over: a picture, a film or a program. A few are borne: exports of old programs have them."""
    sample = text[:SAMPLE]
    controls = sum(unicodedata.category(character) == "Cc" and character not in "\t\r\n" for character in sample)
    return controls > MOST_CONTROLS * len(sample)


def _format_of(text: str, suffix: str) -> Format:
    if text.lstrip()[0] in "{[" and (suffix not in (".csv", ".tsv", ".txt") or _is_json(text)):
        return "json"
    if delimited.has_table(text):
        return "csv"
    if suffix == ".json":
        return "json"
    first = next(iter(read_lines(text)), None)
    return "csv" if suffix in (".csv", ".tsv") and not (first and names_channel(first.values["channel"])) else "text"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


Reading = tuple[Iterable[Entry], list[Problem], dict[str, Any]]


def _read_workbook(data: bytes) -> Reading:
    problems: list[Problem] = []
    return read_table(workbooks.read_records(data), problems, strict_width=False), problems, {}


def _read_delimited(text: str) -> Reading:
    problems: list[Problem] = []
    return read_table(delimited.read_records(text, problems), problems, strict_width=True), problems, {}


def _read_json(text: str) -> Reading:
    problems: list[Problem] = []
    entries, settings = read_envelope(text, problems)
    return entries, problems, settings


def _read_text(text: str) -> Reading:
    return read_lines(text), [], {}


_READERS = {"csv": _read_delimited, "json": _read_json, "text": _read_text}


def _sheet(name: str, form: Format, entries: Iterable[Entry], problems: list[Problem], settings: dict[str, Any]) -> Sheet:
    """Runs the reading; problems stand in the order of the rows, those of the whole file first."""
    rows = read_rows(entries, problems)
    if not rows and not problems:
        problems.append(make_problem(None, "", "The file names no channel."))
    problems.sort(key=lambda problem: (problem.row is not None, problem.row or 0))
    return Sheet(clean_line(name), form, rows, problems, settings)
