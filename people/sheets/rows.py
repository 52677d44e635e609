"""Entries to rows: checks each value, reads each address, finds the channel that stands twice."""

import re
from collections.abc import Iterable, Iterator

from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator, URLValidator

from people.channel_urls import ChannelUrl, ChannelUrlError, parse_channel_url
from people.sheets.sheet import MAX_ROWS, Entry, Problem, SheetError, SheetRow, clean_line, clean_text, make_problem

LIMITS = {"name": 200, "email": 254, "type": 100, "row_id": 100, "link": 500, "notes": 10_000}
_SEPARATORS = re.compile(r"[\s,;|]+")
_ADDRESS_LIKE = re.compile(r"[@/]|youtu|^UC", re.IGNORECASE)
_check_email = EmailValidator()
_check_link = URLValidator()


def read_rows(entries: Iterable[Entry], problems: list[Problem]) -> list[SheetRow]:
    """The good rows; adds to `problems` what the others lack. Raises `SheetError` beyond `MAX_ROWS`."""
    rows: list[SheetRow] = []
    first_by_channel: dict[str, SheetRow] = {}
    for count, entry in enumerate(entries, start=1):
        _refuse_beyond_limit(count)
        for row in _rows_of(entry, problems):
            first = first_by_channel.setdefault(row.channel.canonical, row)
            if first is not row:
                problems.append(repeated(row, first, f"in row {first.number}"))
                continue
            rows.append(row)
            _refuse_beyond_limit(len(rows))
    return rows


def _rows_of(entry: Entry, problems: list[Problem]) -> Iterator[SheetRow]:
    """A row for each address of the entry; none when one of its other values is wrong."""
    values = _clean(entry)
    faults = list(_faults(entry.number, values))
    problems.extend(faults)
    if faults:
        return
    for address in _addresses(values["channel"]):
        try:
            channel = parse_channel_url(address)
        except ChannelUrlError as exc:
            problems.append(make_problem(entry.number, address, str(exc)))
        else:
            yield _row(entry.number, values, channel, clean_line(address))


def _row(number: int, values: dict[str, str], channel: ChannelUrl, url: str) -> SheetRow:
    name = values["name"] or values["email"] or channel.label
    return SheetRow(
        number=number,
        name=name[: LIMITS["name"]],
        email=values["email"],
        type=values["type"],
        channel=channel,
        url=url,
        row_id=values["row_id"],
        link=values["link"],
        notes=values["notes"],
        name_is_given=bool(values["name"]),
    )


def _clean(entry: Entry) -> dict[str, str]:
    values = {column: clean_line(entry.values.get(column, "")) for column in LIMITS}
    values |= {column: clean_text(entry.values.get(column, "")) for column in ("channel", "notes")}
    values["email"] = re.sub(r"^mailto:", "", values["email"].strip("<> "), flags=re.IGNORECASE)
    if values["link"] and "://" not in values["link"]:
        values["link"] = f"https://{values['link']}"
    return values


def _faults(number: int, values: dict[str, str]) -> Iterator[Problem]:
    if not values["channel"]:
        yield make_problem(number, "", "There is no channel in this row. Add its address or remove the row.")
    for column, limit in LIMITS.items():
        if len(values[column]) > limit:
            message = f"The {column} has {len(values[column])} characters; the limit is {limit}. Shorten it."
            yield make_problem(number, values[column], message)
    if values["email"] and not _passes(_check_email, values["email"]):
        yield make_problem(number, values["email"], "This is not an e-mail address. Correct it or leave the cell blank.")
    if values["link"] and not _passes(_check_link, values["link"]):
        yield make_problem(number, values["link"], "The link is not a web address. Correct it or leave the cell blank.")


def _passes(check: EmailValidator | URLValidator, value: str) -> bool:
    try:
        check(value)
    except ValidationError:
        return False
    return True


def _addresses(cell: str) -> list[str]:
    """The addresses in a cell, apart by blanks, commas or semicolons; words that are none stay together as one."""
    parts = [part for part in _SEPARATORS.split(cell) if part]
    return parts if any(_ADDRESS_LIKE.search(part) for part in parts) else [cell]


def repeated(row: SheetRow, first: SheetRow, place: str) -> Problem:
    """The channel of `row` stands in `first` already; `place` says where that is: a note when both mean the same person."""
    if _is_same_person(row, first):
        return make_problem(row.number, row.url, f"This channel is already {place}.", is_note=True)
    return make_problem(
        row.number, row.url, f"This channel is already {place}, for another person ({first.name}). Keep one of the two rows."
    )


def _is_same_person(row: SheetRow, other: SheetRow) -> bool:
    for mine, theirs in ((row.row_id, other.row_id), (row.email.lower(), other.email.lower())):
        if mine and theirs:
            return mine == theirs
    return not (row.name_is_given and other.name_is_given) or row.name.lower() == other.name.lower()


def _refuse_beyond_limit(count: int) -> None:
    if count > MAX_ROWS:
        raise SheetError(f"The file has more than {MAX_ROWS:,} rows. Split it.")
