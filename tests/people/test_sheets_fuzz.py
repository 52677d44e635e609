"""No bytes make the reading of a sheet fail in any way but the one that is meant."""

import json
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from people.channel_urls import parse_channel_url
from people.sheets import Sheet, SheetError, read_sheet
from people.sheets.rows import LIMITS
from tests.people.workbooks import make_workbook

NAMES = st.sampled_from(["a.csv", "a.json", "a.txt", "a.xlsx", "a.xls", "", "a", "\ud800.CSV"])
CELLS = st.sampled_from(
    ["name", "channel", "email", "@ann", "youtube.com/@b", '"', "'", ",", ";", "\t", "\n", "\r", " ", "#", "\0", "[", "{", "é"]
)
FRAGMENTS = st.lists(st.one_of(CELLS, st.text(max_size=5)), max_size=40).map("".join)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=10), st.just("@ann")),
    lambda part: st.one_of(
        st.lists(part, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(["channels", "settings", "channel", "name", "email", "id"]), st.text(max_size=5)), part),
    ),
    max_leaves=15,
)


def read(data: bytes, name: str) -> Sheet | None:
    """The sheet, None when it was refused in words; whatever it holds can be stored."""
    try:
        sheet = read_sheet(data, name)
    except SheetError as refusal:
        assert str(refusal).endswith((".", "}"))
        return None
    for row in sheet.rows:
        assert row.name
        assert all(len(getattr(row, column)) <= limit for column, limit in LIMITS.items())
        assert parse_channel_url(row.channel.canonical) == row.channel
    stored = json.dumps([problem.as_dict(sheet.name) for problem in sheet.problems] + [sheet.settings], ensure_ascii=False)
    assert "\\u0000" not in stored.replace("\\\\", "")
    "".join([stored, *(row.name + row.notes + row.url for row in sheet.rows)]).encode()
    return sheet


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), NAMES)
def test_any_bytes(data, name):
    read(data, name)


@settings(max_examples=200, deadline=None)
@given(FRAGMENTS, NAMES, st.sampled_from(["utf-8", "utf-16", "utf-16-le", "cp1252"]))
def test_any_table(text, name, encoding):
    read(text.encode(encoding, "replace"), name)


@settings(max_examples=200, deadline=None)
@given(FRAGMENTS)
def test_any_table_below_a_header(text):
    read(f"name,email,channel\n{text}".encode("utf-8", "replace"), "a.csv")


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_any_json(document):
    read(json.dumps(document).encode(), "a.json")


@cache
def workbook() -> bytes:
    return make_workbook([["name", "channel"], ["Ann", "@ann"], ["Bob", "@bob"]])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_damage_to_a_workbook(data):
    damaged = bytearray(workbook())
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    read(bytes(damaged[: data.draw(st.integers(4, len(damaged)))]), "a.xlsx")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.lists(st.one_of(st.none(), st.booleans(), st.floats(allow_nan=False), st.sampled_from(["@ann", "channel", "Ann"])), max_size=4)
    )
)
def test_any_workbook(table):
    read(make_workbook([["name", "channel"], *table]), "a.xlsx")
