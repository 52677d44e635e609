"""docs/input-formats.md says what the code does."""

import re
from pathlib import Path

import pytest

from people.channel_urls import ChannelUrlError, parse_channel_url
from people.sheets import MAX_BYTES, MAX_ROWS, Sheet, read_sheet
from people.sheets.columns import NAMES, column_of
from people.sheets.rows import LIMITS
from people.sheets.workbooks import MAX_COLUMNS, MAX_UNPACKED_BYTES
from tests.people.workbooks import make_workbook

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "input-formats.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(r"```(\w+)\n(.*?)```\n(.*?)(?=\n```|\n## |\Z)", re.DOTALL)
EXAMPLES = EXAMPLE.findall(PAGE)


def table(text: str, *headers: str) -> list[list[str]]:
    """The cells of the table with these headers; no rows when there is no such table."""
    lines = iter(text.splitlines())
    if not any(cells(line) == list(headers) for line in lines if line.startswith("|")):
        return []
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append(cells(line))
    return rows


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def read(language: str, example: str) -> Sheet:
    if language != "xlsx":
        return read_sheet(example.encode(), "example")
    return read_sheet(make_workbook([[cell.strip() for cell in line.split("|")] for line in example.splitlines()]), "example")


@pytest.mark.parametrize(("language", "example", "after"), EXAMPLES, ids=[f"{i}-{e[0]}" for i, e in enumerate(EXAMPLES)])
def test_every_example_is_read_as_the_page_says(language, example, after):
    sheet = read(language, example)
    assert sheet.format == language
    rows = [[str(row.number), row.name, row.email, row.channel.canonical] for row in sheet.rows]
    assert rows == table(after, "row", "name", "e-mail", "channel")
    problems = [[str(problem.row or "file"), problem.message] for problem in sheet.problems]
    assert problems == table(after, "row", "what is wrong")


def test_the_page_has_examples_of_every_format():
    assert {language for language, *_ in EXAMPLES} == {"csv", "json", "text", "xlsx"}


def test_settings_are_carried_as_they_stand():
    envelope = next(example for language, example, _ in EXAMPLES if "settings" in example)
    assert read("json", envelope).settings == {"quality": "720p"}


@pytest.mark.parametrize(("written", "meant"), table(PAGE, "written", "means"))
def test_every_address_means_what_the_page_says(written, meant):
    assert parse_channel_url(written.strip("`")).canonical == meant.strip("`")


@pytest.mark.parametrize(("written", "reason"), table(PAGE, "written", "why"))
def test_every_refused_address_is_refused_for_that_reason(written, reason):
    with pytest.raises(ChannelUrlError, match=reason):
        parse_channel_url(written.strip("`"))


def test_the_page_names_every_column_with_its_limit_and_its_other_names():
    rows = table(PAGE, "column", "holds", "at most", "other names it goes by")
    assert [row[0].strip("`") for row in rows] == list(NAMES)
    for column, _, limit, others in ((row[0].strip("`"), *row[1:]) for row in rows):
        assert limit.startswith(f"{LIMITS.get(column, 500):,} characters")
        told = [re.sub(r"\W", "", name) for name in others.split(",")]
        assert {column_of(name) for name in told} == {column}
        assert {*told, column.replace("_", "")} == set(NAMES[column].split())


def test_the_page_tells_the_limits():
    limits = f"{MAX_BYTES // 1024**2} MB and {MAX_ROWS:,} rows; a workbook unpacks to at most {MAX_UNPACKED_BYTES // 1024**2} MB"
    assert limits in PAGE
    assert f"{MAX_COLUMNS}th column" in PAGE
