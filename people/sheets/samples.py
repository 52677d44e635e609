"""Sheets to begin with: the same three people in each format, to be filled with one's own."""

import csv
import io
import json

import openpyxl

HEADER = ["name", "email", "type", "channel", "row_id", "link", "notes"]
ROWS = [
    ["Ann Example", "ann@example.org", "teacher", "https://www.youtube.com/@example-ann", "1", "https://example.org/ann", "All of it"],
    ["Bob Example", "bob@example.org", "pupil", "https://www.youtube.com/@example-bob", "2", "", ""],
    ["Bob Example", "bob@example.org", "pupil", "https://www.youtube.com/@example-bob-plays", "2", "", "His second channel"],
]
ADDRESS = HEADER.index("channel")
SETTINGS = {"quality": "720p", "assets": ["thumbnail", "subtitles"], "subtitle_languages": ["en"]}


def _csv() -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([HEADER, *ROWS])
    return text.getvalue().encode("utf-8-sig")


def _json() -> bytes:
    channels = [{column: cell for column, cell in zip(HEADER, row, strict=True) if cell} for row in ROWS]
    return json.dumps({"channels": channels, "settings": SETTINGS}, indent=2).encode()


def _text() -> bytes:
    return "\n".join(["# One address a line", *(row[ADDRESS] for row in ROWS), ""]).encode()


def _workbook() -> bytes:
    workbook = openpyxl.Workbook()
    for row in [HEADER, *ROWS]:
        workbook.active.append(row)
    packed = io.BytesIO()
    workbook.save(packed)
    return packed.getvalue()


SAMPLES = {
    "people.csv": ("text/csv", _csv),
    "people.xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", _workbook),
    "people.json": ("application/json", _json),
    "channels.txt": ("text/plain; charset=utf-8", _text),
}
"""File name to content type and the function that makes the file."""
