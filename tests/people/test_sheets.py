import io
import json
import random
import zipfile
from datetime import date, datetime

import openpyxl
import pytest

from people.sheets import SheetError, read_sheet
from people.sheets.formulas import escape_formula, unescape_formula
from tests.people.workbooks import make_workbook

COLUMNS = ("number", "name", "email", "type", "row_id", "link", "notes")


def rows(sheet):
    return [(row.number, row.name, row.email, row.channel.label) for row in sheet.rows]


def problems(sheet):
    return [(problem.row, problem.message.split(".")[0]) for problem in sheet.problems]


ANN = (2, "Ann", "ann@x.org", "@ann")

GOOD_CSV = {
    "comma": b"name,email,channel\nAnn,ann@x.org,@ann\n",
    "semicolon": b"name;email;channel\nAnn;ann@x.org;@ann\n",
    "tab": b"name\temail\tchannel\nAnn\tann@x.org\t@ann\n",
    "any order": b"channel,name,email\n@ann,Ann,ann@x.org\n",
    "forgiving names": b"Full Name,E-Mail,YouTube URL\nAnn,ann@x.org,@ann\n",
    "german spelling of blanks": b"NAME , e mail,Channel_URL\nAnn,ann@x.org,@ann\n",
    "utf-8 mark": b"\xef\xbb\xbfname,email,channel\nAnn,ann@x.org,@ann\n",
    "utf-16 little endian": b"\xff\xfe" + "name,email,channel\nAnn,ann@x.org,@ann\n".encode("utf-16-le"),
    "utf-16 big endian": b"\xfe\xff" + "name,email,channel\nAnn,ann@x.org,@ann\n".encode("utf-16-be"),
    "utf-16 without mark": "name,email,channel\nAnn,ann@x.org,@ann\n".encode("utf-16-le"),
    "windows line ends": b"name,email,channel\r\nAnn,ann@x.org,@ann\r\n",
    "old mac line ends": b"name,email,channel\rAnn,ann@x.org,@ann\r",
    "NULs": b"name,email,channel\nAn\0n,ann@x.org,\0@ann\n",
    "excel's separator line": b"sep=;\nname;email;channel\nAnn;ann@x.org;@ann\n",
    "trailing commas": b"name,email,channel,,\nAnn,ann@x.org,@ann,,,\n",
    "quoted": b'"name","email","channel"\n"Ann","ann@x.org","@ann"\n',
    "escaped formula": b"name,email,channel\nAnn,ann@x.org,'@ann\n",
    "mailto": b"name,email,channel\nAnn,mailto:ann@x.org,@ann\n",
}


@pytest.mark.parametrize("data", GOOD_CSV.values(), ids=GOOD_CSV)
@pytest.mark.parametrize("name", ["people.csv", "people", "people.txt"])
def test_csv_is_read_however_it_was_saved(data, name):
    sheet = read_sheet(data, name)
    expected = (3, *ANN[1:]) if data.startswith(b"sep") else ANN
    assert (sheet.format, rows(sheet), sheet.problems) == ("csv", [expected], [])


def test_all_columns_are_carried():
    data = b'row_id,name,email,type,channel,link,notes\n7,Ann,ann@x.org,teacher,@ann,x.org/ann,"a\nb"\n'
    row = read_sheet(data, "a.csv").rows[0]
    assert [getattr(row, column) for column in COLUMNS] == [2, "Ann", "ann@x.org", "teacher", "7", "https://x.org/ann", "a\nb"]
    assert (row.url, row.channel.canonical, row.name_is_given) == ("@ann", "https://www.youtube.com/@ann", True)


def test_windows_1252_is_the_last_resort():
    assert read_sheet("name,channel\nJosé €,@jose\n".encode("cp1252"), "a.csv").rows[0].name == "José €"


def test_row_numbers_are_the_lines_of_the_file():
    data = b'name,channel\n\n"Ann\nB",@ann\n\n,,\nCy,@cy\n'
    assert [(row.number, row.name) for row in read_sheet(data, "a.csv").rows] == [(3, "Ann B"), (7, "Cy")]


def test_a_missing_name_is_the_email_else_the_handle():
    sheet = read_sheet(b"name,email,channel\n,ann@x.org,@ann\n,,youtube.com/bob\n", "a.csv")
    assert [(row.name, row.name_is_given) for row in sheet.rows] == [("ann@x.org", False), ("c/bob", False)]


@pytest.mark.parametrize("cell", ["@a @b", "@a;@b", "@a, @b", '"@a\n@b"', "@a and"])
def test_several_addresses_in_a_cell_are_several_rows_of_one_number(cell):
    sheet = read_sheet(f"name\tchannel\nAnn\t{cell}\n".encode(), "a.csv")
    seen = [(row.number, row.name, row.channel.label) for row in sheet.rows]
    if cell.endswith("and"):
        assert (seen, problems(sheet)) == ([(2, "Ann", "@a")], [(2, "This is not the address of anything on YouTube")])
    else:
        assert seen == [(2, "Ann", "@a"), (2, "Ann", "@b")]


def test_words_that_are_no_address_are_one_problem():
    sheet = read_sheet(b"name,channel\nAnn,my own channel\n", "a.csv")
    assert [(problem.row, problem.value) for problem in sheet.problems] == [(2, "my own channel")]


ONE_PROBLEM = {
    "bad e-mail": (b"name,email,channel\nAnn,ann(at)x.org,@ann\n", (2, "This is not an e-mail address")),
    "two e-mails": (b"name,email,channel\nAnn,a@x.org b@x.org,@ann\n", (2, "This is not an e-mail address")),
    "bad link": (b"name,link,channel\nAnn,javascript:alert(1),@ann\n", (2, "The link is not a web address")),
    "no channel": (b"name,channel\nAnn,\n", (2, "There is no channel in this row")),
    "over-long name": (b"name,channel\n" + b"x" * 201 + b",@ann\n", (2, "The name has 201 characters; the limit is 200")),
    "over-long e-mail": (b"email,channel\n" + b"x" * 250 + b"@x.org,@ann\n", (2, "The email has 256 characters; the limit is 254")),
    "a comma without quotation marks": (b"name,channel\nAnn, Ms,@ann\n", (2, "The row has 3 cells where the header has 2")),
    "never closed": (b'name,channel\nAnn,"@ann\nBob,@bob\nCy,@cy', (2, "A quotation mark in this row is not closed where the cell ends")),
    "unknown column": (b"name,shoe,channel\n,4,\n", (None, "The column “shoe” is not known and was not read")),
    "two columns for one": (b"url,name,channel\n@a,A,@b\n", (None, "The column “channel” was not read, because another one already")),
    "nameless column": (b"name,,channel\nAnn,4,@ann\n", (None, "Column 2 has no name and was not read")),
    "no rows": (b"name,channel\n", (None, "The file names no channel")),
    "already here": (b"name,channel\nAnn,@ann\nann,@ANN/videos\n", (3, "This channel is already in row 2")),
    "already here, unnamed": (b"name,channel\nAnn,@ann\n,@ann\n", (3, "This channel is already in row 2")),
    "for another": (b"name,channel\nAnn,@ann\nBob,@ann\n", (3, "This channel is already in row 2, for another person (Ann)")),
    "for another row_id": (b"id,name,channel\n1,Ann,@ann\n2,Ann,@ann\n", (3, "This channel is already in row 2, for another person")),
}


@pytest.mark.parametrize(("data", "expected"), ONE_PROBLEM.values(), ids=ONE_PROBLEM)
def test_what_is_wrong_is_said_with_its_row(data, expected):
    row, message = problems(read_sheet(data, "a.csv"))[0]
    assert row == expected[0]
    assert message.startswith(expected[1])


def test_a_bad_row_leaves_the_good_ones():
    sheet = read_sheet(b"name,email,channel\nAnn,ann@x.org,@ann\nBob,nope,@bob\nCy,,@cy\n", "a.csv")
    assert ([row.name for row in sheet.rows], problems(sheet)) == (["Ann", "Cy"], [(3, "This is not an e-mail address")])


def test_a_quotation_mark_that_swallows_rows_is_noticed():
    sheet = read_sheet(b'name,notes,channel\nAnn,"hm,@ann\nBob,ok,youtube.com/@bob\nCy,"",@cy\nDa,,@da\n', "a.csv")
    assert sheet.rows == []
    assert sheet.problems[0].row == 2


def test_notes_with_line_breaks_and_addresses_are_no_swallowed_rows():
    sheet = read_sheet(b'name,notes,channel\nAnn,"see\nyoutube.com/@x, too",@ann\nBob,,@bob\n', "a.csv")
    assert ([row.name for row in sheet.rows], sheet.problems) == (["Ann", "Bob"], [])


def test_a_sheet_without_header_is_understood_when_it_can_mean_one_thing():
    sheet = read_sheet(b"Ann,ann@x.org,https://youtube.com/@ann\nBob,,@bob\n", "a.csv")
    assert rows(sheet) == [(1, *ANN[1:]), (2, "Bob", "", "@bob")]
    assert problems(sheet) == [(None, "There is no header row; the columns were read as name, email, channel")]


UNUSABLE = {
    "empty": (b"", "a.csv", "The file is empty"),
    "blank": (b"\xef\xbb\xbf \n \n", "a.csv", "The file is empty"),
    "no channel column": (b"name,email\nAnn,ann@x.org\n", "a.csv", "There is no column for the channel"),
    "no header, ambiguous": (b"Ann,teacher,@ann\n", "a.csv", "There is no header row"),
    "no header at all": (b"Ann,teacher\n", "a.csv", "The first row is not a header"),
    "too big": (b" " * (20 * 1024**2 + 1), "a.csv", "The file has 20.0 MB; the limit is 20 MB"),
    "too many rows": (b"channel\n" + b"@a\n" * 100_001, "a.csv", "The file has more than 100,000 rows"),
    "too many addresses": (b'["' + b" ".join(b"@a%d" % i for i in range(100_001)) + b'"]', "a.json", "more than 100,000 rows"),
    "json syntax": (b'{"channels": [\n"@a",\n]}', "a", "not valid JSON: .* at line 3, column 1"),
    "json by name": (b"hello", "a.json", "not valid JSON: .* at line 1, column 1"),
    "json without channels": (b'{"people": []}', "a.json", 'The list "channels" is missing'),
    "json of another kind": (b"5", "a.json", "neither a list nor an object"),
    "json NaN": (b'[{"row_id": NaN}]', "a.json", "NaN is no number"),
    "json nested": (b"[" * 100_000, "a.json", "nested too deeply"),
    "json long number": (b"[" + b"9" * 5000 + b"]", "a.json", "too long to be read"),
    "json key twice": (b'{"channels": [], "channels": []}', "a.json", "stands twice"),
    "json settings": (b'{"channels": [], "settings": [1]}', "a.json", '"settings" is not an object'),
    "json settings nested": (b'{"channels": [], "settings": {"a": %s1%s}}' % (b"[" * 30, b"]" * 30), "a.json", "nested too deeply"),
    "json settings infinite": (b'{"channels": [], "settings": {"a": 1e400}}', "a.json", "too large"),
    "old excel": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "a.xls", "old Excel file"),
    "encrypted": (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
        "a.xlsx",
        "protected by a password",
    ),
    "another zip": (b"PK\x03\x04nonsense", "a.xlsx", "not an Excel workbook"),
    "pdf": (b"%PDF-1.7", "a.csv", "The file is a PDF"),
    "web page": (b"<!DOCTYPE html><html>", "a.csv", "web page"),
}


@pytest.mark.parametrize(("data", "name", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_file_of_which_nothing_can_be_used_is_refused_in_words(data, name, message):
    with pytest.raises(SheetError, match=message):
        read_sheet(data, name)


def test_json_with_an_envelope():
    document = {
        "channels": [
            "https://www.youtube.com/@ann",
            {"name": "Bob", "E-Mail": "bob@x.org", "url": ["@bob", "@bob2"], "id": 5, "type": None},
            {"name": "Cy", "row_id": 5.0, "channel": "@cy"},
        ],
        "settings": {"limit": 3, "note": "a\0b"},
    }
    sheet = read_sheet(json.dumps(document).encode(), "a.json")
    assert rows(sheet) == [(1, "@ann", "", "@ann"), (2, "Bob", "bob@x.org", "@bob"), (2, "Bob", "bob@x.org", "@bob2"), (3, "Cy", "", "@cy")]
    assert [row.row_id for row in sheet.rows] == ["", "5", "5", "5"]
    assert (sheet.format, sheet.settings, sheet.problems) == ("json", {"limit": 3, "note": "ab"}, [])


def test_json_as_a_bare_list_says_what_it_could_not_use():
    sheet = read_sheet(b'[7, {"channel": "@a", "shoe": 4}, {"channel": "@b", "shoe": 4}, {"channel": {}}, "nope", "", {"x": 1}]', "a")
    assert [row.number for row in sheet.rows] == [2, 3]
    assert [problem.row for problem in sheet.problems] == [None, None, 1, 4, 5, 6, 7]


def test_json_reports_unknown_keys_of_the_envelope():
    sheet = read_sheet(b'{"channels": ["@a"], "options": {}}', "a.json")
    assert problems(sheet) == [(None, "The key “options” is not known and was not read")]


def test_json_text_no_database_would_take_is_cleaned():
    assert read_sheet(rb'[{"name": "A\u0000n\ud800n", "channel": "@ann"}]', "a.json").rows[0].name == "An\ufffdn"


def test_text_has_an_address_a_line_and_comments():
    data = b"# teachers\nhttps://www.youtube.com/@ann # our Ann\n\n  @bob\nhttps://www.youtube.com/@cy#top\n@dee @eve\nnope\n"
    sheet = read_sheet(data, "list.txt")
    assert (sheet.format, [(row.number, row.name) for row in sheet.rows]) == (
        "text",
        [(2, "@ann"), (4, "@bob"), (5, "@cy"), (6, "@dee"), (6, "@eve")],
    )
    assert problems(sheet) == [(7, "This is not the address of anything on YouTube")]


def test_a_comment_with_a_comma_makes_no_table_of_a_text():
    sheet = read_sheet(b"# see, youtube.com/@us\n@ann\n", "list")
    assert (sheet.format, [row.name for row in sheet.rows], sheet.problems) == ("text", ["@ann"], [])


@pytest.mark.parametrize("name", ["a", "a.txt", "a.csv", "a.json.bak"])
def test_a_list_of_addresses_is_text_whatever_its_name(name):
    assert read_sheet(b"https://www.youtube.com/@ann\n@bob\n", name).format == "text"


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        (b'["@a"]', "a.csv", "json"),
        (b'["@a"]', "a.txt", "json"),
        (b"name,channel\nA,@a", "a.json", "csv"),
        (make_workbook([["channel"], ["@a"]]), "a.csv", "xlsx"),
        (b"channel\n@a", "a.txt", "csv"),
    ],
    ids=["json as csv", "json as text", "csv as json", "xlsx as csv", "csv as text"],  # a workbook's bytes hold its time
)
def test_content_decides_the_format_before_the_name_does(data, name, expected):
    assert read_sheet(data, name).format == expected


def test_xlsx_cells_become_text_as_people_see_them():
    table = [
        ["id", "name", "type", "notes", "channel"],
        [1.0, "Ann", date(2026, 1, 2), datetime(2026, 1, 2, 3, 4), "@ann"],  # noqa: DTZ001
        [],
        [2, 1.5, True, "'=x", "'@bob"],
    ]
    sheet = read_sheet(make_workbook(table), "a.xlsx")
    assert [(row.number, row.row_id, row.name, row.type, row.notes, row.channel.label) for row in sheet.rows] == [
        (2, "1", "Ann", "2026-01-02", "2026-01-02 03:04:00", "@ann"),
        (4, "2", "1.5", "true", "=x", "@bob"),
    ]


def test_xlsx_takes_the_first_sheet_and_saved_values_of_formulas():
    assert (
        read_sheet(make_workbook([["channel", "name"], ["@ann", "=1+1"]], second=[["channel"], ["@no"]]), "a.xlsx").rows[0].name == "@ann"
    )


def test_xlsx_that_lies_about_its_size_is_read_whole():
    data = _edit(make_workbook([["channel"], ["@a"], ["@b"]]), "xl/worksheets/sheet1.xml", b'ref="A1:A3"', b'ref="A1:A1"')
    assert len(read_sheet(data, "a.xlsx").rows) == 2


def test_xlsx_that_would_unpack_to_far_more_is_refused():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"")
        with archive.open("xl/big", "w") as member:
            for _ in range(151):
                member.write(bytes(1024**2))
    with pytest.raises(SheetError, match="unpacks to more than 150 MB"):
        read_sheet(packed.getvalue(), "a.xlsx")


def test_xlsx_with_a_row_number_beyond_all_sheets_ends():
    data = _edit(make_workbook([["channel"], ["@a"]]), "xl/worksheets/sheet1.xml", b'r="2"', b'r="99999999999"')
    assert read_sheet(data, "a.xlsx").rows == []


def test_a_password_in_the_zip_is_named():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("xl/workbook.xml", b"x")
    data = packed.getvalue().replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00")
    with pytest.raises(SheetError, match="password"):
        read_sheet(data, "a.xlsx")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "'=x", "''@x", "'tis", "Ann", "", "\tx", "\uff1dx"])
def test_escaped_formulas_read_back_as_they_were(text):
    assert unescape_formula(escape_formula(text)) == text
    assert escape_formula(text)[:1] not in ("=", "+", "-", "@", "\t", "\r")


def test_a_problem_is_kept_with_its_source():
    problem = read_sheet(b"name,channel\nAnn,nope\n", "a.csv").problems[0]
    expected = {"source": "a.csv", "row": 2, "value": "nope", "message": problem.message, "is_note": False}
    assert problem.as_dict("a.csv") == expected


def _edit(data: bytes, member: str, old: bytes, new: bytes) -> bytes:
    edited = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(edited, "w") as target:
        for info in source.infolist():
            content = source.read(info)
            target.writestr(info.filename, content.replace(old, new) if info.filename == member else content)
    return edited.getvalue()


def test_the_workbooks_of_these_tests_open():
    assert openpyxl.load_workbook(io.BytesIO(make_workbook([["channel"]]))).worksheets[0]["A1"].value == "channel"


def test_a_program_a_picture_or_noise_is_no_sheet():
    noise = random.Random(1).randbytes(5000)
    with pytest.raises(SheetError, match="no text"):
        read_sheet(noise, "junk.bin")
