"""The refused rows as a sheet: as they stand in their file, with number and reasons, to be mended and imported again."""

import csv
import io
import json

import pytest

from people.formats import write_refused_rows
from people.models import Channel
from people.sheets import read_sheet
from people.sheets.originals import read_originals
from tests.factories import make_channel, make_person
from tests.people.importing import CONFIRM, confirmation, part, upload
from tests.people.workbooks import make_workbook

NO_CHANNEL = "There is no channel in this row. Add its address or remove the row."
NO_EMAIL = "This is not an e-mail address. Correct it or leave the cell blank."
NO_ADDRESS = "This is not the address of anything on YouTube. Give a channel, playlist or video, such as https://www.youtube.com/@name."


def table(data: bytes) -> list[list[str]]:
    assert data.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def refused(data: bytes, name: str) -> list[list[str]]:
    """The sheet of the rows that the reading refuses."""
    sheet = read_sheet(data, name)
    refusals: dict[int, list[str]] = {}
    for problem in sheet.problems:
        if problem.row is not None and not problem.is_note:
            refusals.setdefault(problem.row, []).append(problem.message)
    return table(write_refused_rows(refusals, read_originals(data, sheet.format, refusals)))


CASES = {
    "csv": (
        b'Full name;Shoe size;Channel;E-mail\nAnn;38;@ann;a@x.org\nBob;44;nope;wrong\n\nCy;;"@cy, \n nope";\n',
        [
            ["refused row", "refused because", "Full name", "Shoe size", "Channel", "E-mail"],
            ["3", NO_EMAIL, "Bob", "44", "nope", "wrong"],
            ["5", NO_ADDRESS, "Cy", "", "'@cy, \n nope", ""],
        ],
    ),
    "too wide": (
        b"name,channel\nAnn,@ann\nLee, Bob,@bob\n",
        [
            ["refused row", "refused because", "name", "channel"],
            [
                "3",
                "The row has 3 cells where the header has 2. Put quotation marks around a cell that holds a comma.",
                "Lee",
                "Bob",
                "'@bob",
            ],
        ],
    ),
    "no header": (
        b"Ann,@ann,a@x.org\nBob,nope,b@x.org\n",
        [["refused row", "refused because", "name", "channel", "email"], ["2", NO_ADDRESS, "Bob", "nope", "b@x.org"]],
    ),
    "unclosed": (
        b'name,channel\nAnn,@ann\nBob,"nope\nEve,@eve\n',
        [
            ["refused row", "refused because", "name", "channel"],
            [
                "3",
                "A quotation mark in this row is not closed where the cell ends, or a cell is over-long:"
                " this row and all below it were not read. Close or double the quotation mark.",
                "",
                "",
            ],
        ],
    ),
    "json": (
        json.dumps([{"name": "Ann", "size": 38, "channel": ["nope", "@ann"]}, "@bob", 7, {"name": ["x"], "tags": {"a": 1}}]).encode(),
        [
            ["refused row", "refused because", "name", "size", "channel", "tags"],
            ["1", NO_ADDRESS, "Ann", "38", "nope\n@ann", ""],
            ["3", 'This is neither an address nor an object such as {"name": "Ann", "channel": "@ann"}.', "", "", "7", ""],
            ["4", "The value of “name” is not text.", "x", "", "", '{"a": 1}'],
        ],
    ),
    "envelope": (
        b'{"channels": ["nope"], "settings": {}}',
        [["refused row", "refused because", "channel"], ["1", NO_ADDRESS, "nope"]],
    ),
    "text": (b"@ann\nsomeone # a friend\n", [["refused row", "refused because", "channel"], ["2", NO_ADDRESS, "someone"]]),
    "xlsx": (
        make_workbook([["name", None, "channel"], ["Ann", 1, "@ann"], ["Bob", 2.0, None]]),
        [["refused row", "refused because", "name", "", "channel"], ["3", NO_CHANNEL, "Bob", "2", ""]],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_refused_row_stands_there_as_in_its_file(case):
    data, expected = CASES[case]
    assert refused(data, "a") == expected


def test_no_cell_runs_as_a_formula():
    data = b"name,channel,=1+1\n=cmd|' /C calc'!A0,nope,+1\n\t-2,nope,@x\n"
    for row in refused(data, "a.csv"):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)


def test_half_characters_and_nuls_of_a_file_can_be_written():
    assert refused(b'[{"name": "a\\ud800\\u0000b", "channel": "nope"}]', "a.json")[1][2:] == ["a\ufffdb", "nope"]


@pytest.mark.django_db
def test_the_sheet_is_mended_and_imported_again(admin_client):
    make_channel(person=make_person(name="Owner"), canonical_url="https://www.youtube.com/@taken")
    preview = upload(
        admin_client, "name,email,channel,size\nAnn,ann@x.org,@ann,38\nÖz,wrong,nope,44\nEve,,@taken,40\n".encode(), "Leute ü.csv"
    )
    address = f"{preview.request['PATH_INFO']}refused.csv"
    assert address in part(preview, "import-refused")
    response = admin_client.get(address)
    assert "filename*=utf-8''Leute%20%C3%BC%20refused.csv" in response["Content-Disposition"]
    header, first, second = table(response.content)
    assert header == ["refused row", "refused because", "name", "email", "channel", "size"]
    assert (first[0], first[2:]) == ("3", ["Öz", "wrong", "nope", "44"])
    assert (second[0], second[1].startswith("This channel belongs to Owner")) == ("4", True)

    mended = response.content.replace(b"wrong,nope", b"oz@x.org,@oz")
    again = upload(admin_client, mended, "mended.csv")
    assert "1 new, 0 changed, 0 unchanged, 1 not imported" in again.content.decode()
    assert [problem.message for problem in again.context["report"].file_problems] == [
        "The column “size” is not known and was not read. Known columns: name, email, type, channel, row_id, link, notes."
    ]
    twice = table(admin_client.get(f"{again.request['PATH_INFO']}refused.csv").content)
    assert twice == [header, ["3", second[1], "Eve", "", "'@taken", "40"]]


@pytest.mark.django_db
def test_the_sheet_is_there_after_the_good_rows_were_imported(admin_client):
    preview = upload(admin_client, b"name,channel\nAnn,@ann\nBob,nope\n")
    done = admin_client.post(CONFIRM, confirmation(preview), follow=True)
    address = f"{preview.request['PATH_INFO']}refused.csv"
    assert f'href="{address}"' in done.content.decode()
    assert table(admin_client.get(address).content)[1:] == [["3", NO_ADDRESS, "Bob", "nope"]]
    assert Channel.objects.count() == 1


@pytest.mark.django_db
def test_without_refused_rows_there_is_no_sheet_of_them_after_the_import(admin_client):
    preview = upload(admin_client, b"name,channel\nAnn,@ann\n")
    admin_client.post(CONFIRM, confirmation(preview))
    assert admin_client.get(f"{preview.request['PATH_INFO']}refused.csv").status_code == 302
