"""Whatever staff upload and confirm: no page fails, and every row of the file comes up in the preview."""

import csv
import io
import json
from collections.abc import Sequence

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from people.import_report import SheetReport
from people.models import Channel, SheetUpload
from people.sheets.originals import read_originals
from tests.factories import make_channel, make_person
from tests.people.importing import CONFIRM, confirmation, upload
from tests.people.test_sheets_fuzz import FRAGMENTS, JSON
from tests.people.workbooks import make_workbook

pytestmark = pytest.mark.django_db

NAMES = st.sampled_from(["a.csv", "a.json", "a.txt", "a.xlsx", "a.tsv", "a", "ä\u202e'\"<b>.csv", "x" * 300 + ".csv", "\x01"])
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1", "cp437"])
HEADERS = st.lists(
    st.sampled_from(
        ["name", "Name ", "email", "channel", "Channel URL", "row_id", "type", "link", "notes", "", "size", "=1+1", "refused row"]
    ),
    min_size=1,
    max_size=8,
)
ADDRESSES = st.sampled_from(
    [
        "@ann",
        "@Ann/videos",
        "@bob",
        "youtube.com/@new",
        "@ann, @new",
        "UC" + "a" * 22,
        "youtu.be/dQw4w9WgXcQ",
        "nope",
        "https://x.org/@a",
        "@ß",
    ]
)
VALUES = st.sampled_from(
    [
        *(
            "",
            " ",
            "Ann",
            "ANN",
            "Bob",
            "ann@x.org",
            "ANN@X.ORG",
            "bob@x.org",
            "1",
            "1.0",
            "007",
            "true",
            "https://x.org",
            "x.org",
            "\u017f",
            "İ",
        ),
        *(
            '=HYPERLINK("http://x.org")',
            "@SUM(1)",
            "+1",
            "-1",
            "'=1",
            "\t=1",
            "a\0b",
            "\ud800",
            "a\nb",
            '"',
            "''",
            ",;|\t",
            "\u2028",
            "é" * 250,
        ),
        *("x" * 40_000, "y" * 140_000),
    ]
)
CELLS = st.one_of(ADDRESSES, VALUES, st.text(max_size=8))
TABLES = st.lists(st.lists(CELLS, max_size=8), max_size=8)


def fuzzed(examples: int):
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@pytest.fixture(autouse=True)
def known():
    """People and channels that the sheets may mean, change or quarrel about."""
    make_channel(person=make_person(name="Ann", email="ann@x.org", row_id="1"), canonical_url="https://www.youtube.com/@ann")
    make_channel(person=make_person(name="Bob", email=""), canonical_url="https://www.youtube.com/@bob")
    make_person(name="bob", email="bob@x.org")
    make_person(name="BOB", email="bob2@x.org")


def import_whatever(client, data: bytes, name: str) -> SheetReport | None:
    """Upload, look, download what is refused, confirm; all as it was afterwards. None when the file was refused in words."""
    with transaction.atomic():
        try:
            return _import(client, data, name)
        finally:
            transaction.set_rollback(True)


def _import(client, data: bytes, name: str) -> SheetReport | None:
    preview = upload(client, data, name)
    assert preview.status_code == 200
    if "report" not in preview.context:
        (sentence,) = preview.context["form"].errors["import_file"]
        assert sentence.endswith((".", "}"))
        return None
    report = preview.context["report"]
    everything_comes_up(report, bytes(SheetUpload.objects.get().data))
    if report.counts["refused"]:
        assert client.get(f"{preview.request['PATH_INFO']}refused.csv").status_code == 200
    if data := confirmation(preview):
        confirmed_as_shown(client, preview, data, report)
    return report


def everything_comes_up(report: SheetReport, data: bytes) -> None:
    """Each row of the file has a line, each line stands in one group, and the numbers of each group rise."""
    shown = [line.number for lines in report.groups.values() for line in lines]
    assert len(shown) == sum(report.counts.values()) == len(report.lines)
    for lines in report.groups.values():
        assert [line.number for line in lines] == sorted(line.number for line in lines)
    _, rows = read_originals(data, report.sheet.format, range(1000))
    unread = {problem.row for problem in report.problems if "all below it were not read" in problem.message}
    assert set(shown) == rows.keys() | unread
    assert all(line.remarks for line in report.groups["refused"])


def confirmed_as_shown(client, preview, data: dict[str, str], report: SheetReport) -> None:
    before = Channel.objects.count()
    done = client.post(CONFIRM, data)
    assert done.status_code == 302
    assert "/admin/ingestion/downloadsession/" in done["Location"]
    assert Channel.objects.count() - before == report.counts["new"]


@fuzzed(70)
@given(st.binary(max_size=300), NAMES)
def test_any_bytes(admin_client, data, name):
    import_whatever(admin_client, data, name)


@fuzzed(70)
@given(FRAGMENTS, NAMES, ENCODINGS)
def test_any_text(admin_client, text, name, encoding):
    import_whatever(admin_client, text.encode(encoding, "replace"), name)


@fuzzed(120)
@given(HEADERS, TABLES, st.sampled_from(",;\t|"), ENCODINGS)
def test_any_csv(admin_client, header, table, delimiter, encoding):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows([header, *table])
    import_whatever(admin_client, text.getvalue().encode(encoding, "replace"), "a.csv")


@fuzzed(100)
@given(
    st.one_of(JSON, st.lists(st.one_of(CELLS, st.dictionaries(HEADERS.map("".join), CELLS), JSON))), st.sampled_from([0, 1, 30, 300, 990])
)
def test_any_json(admin_client, document, depth):
    text = json.dumps(document)
    import_whatever(admin_client, f'["@new", {"[" * depth}{text}{"]" * depth}, {text}]'.encode(), "a.json")


@fuzzed(40)
@given(st.dictionaries(st.one_of(st.sampled_from(["quality", "limit", "assets", "subtitle_languages", "hdr"]), st.text(max_size=5)), JSON))
def test_any_settings(admin_client, said):
    import_whatever(admin_client, json.dumps({"channels": ["@new"], "settings": said}).encode(), "a.json")


@fuzzed(60)
@given(
    HEADERS, st.lists(st.lists(st.one_of(st.none(), st.booleans(), st.floats(allow_nan=False), st.dates(), CELLS), max_size=8), max_size=6)
)
def test_any_workbook(admin_client, header, table):
    import_whatever(admin_client, make_workbook([storable(header), *map(storable, table)]), "a.xlsx")


def storable(cells: Sequence) -> list:
    """Without what openpyxl refuses to write."""
    return [cell if not isinstance(cell, str) else "".join(c for c in cell if c.isprintable() and c.isascii())[:30_000] for cell in cells]


ONE_CHANNEL_A_ROW = st.lists(
    st.tuples(st.sampled_from(["@a", "@b", "@c", "@ann", "@bob", "nope"]), st.sampled_from(["Ann", "Bob", "Eve", ""]), st.integers(0, 2)),
    max_size=12,
)


@fuzzed(40)
@given(ONE_CHANNEL_A_ROW)
def test_of_rows_with_one_channel_each_every_one_is_counted_once(admin_client, rows):
    """The oracle is the test's own: blank lines between the rows are no rows, but they have numbers."""
    lines, numbers = ["channel,name"], []
    for channel, name, blanks in rows:
        lines += [""] * blanks + [f"{channel},{name}"]
        numbers.append(len(lines))
    report = import_whatever(admin_client, "\n".join(lines).encode(), "a.csv")
    assert [line.number for line in report.lines] == numbers
    assert sum(report.counts.values()) == len(rows)
