"""The columns of a sheet and the many names people give them."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from people.channel_urls import ChannelUrlError, parse_channel_url
from people.sheets.sheet import Problem, SheetError, clean_line, make_problem

NAMES = {
    "name": "name fullname displayname person personname creator owner author",
    "email": "email mail emailaddress mailaddress",
    "type": "type persontype category role group",
    "channel": "channel channels channelurl channelurls channellink channellinks channelid channelhandle handle"
    " url urls youtube youtubeurl youtubelink youtubechannel youtubechannelurl youtubehandle ytchannel playlist video",
    "row_id": "rowid id personid identifier",
    "link": "link sourcelink source sourceurl website homepage",
    "notes": "notes note comment comments remark remarks",
}
COLUMN_BY_NAME = {name: column for column, names in NAMES.items() for name in names.split()}
KNOWN = ", ".join(NAMES)
REFUSED_ROW, REFUSED_BECAUSE = "refused row", "refused because"  # what the sheet of refused rows has beside the columns of the file


@dataclass(frozen=True)
class Layout:
    """Which column stands at which place; None at a place means: not read. `nameless` places have a blank header."""

    columns: tuple[str | None, ...]
    nameless: frozenset[int] = frozenset()
    problems: tuple[Problem, ...] = ()
    has_header: bool = True


def column_of(name: str) -> str | None:
    """The column a header means, None when it is not known. Case, blanks and punctuation do not matter."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return COLUMN_BY_NAME.get("".join(character for character in folded if character.isalnum()))


def is_ours(name: str) -> bool:
    """Whether it is a column that the sheet of refused rows has added: passed over without a word when that is imported."""
    return clean_line(name).casefold() in (REFUSED_ROW, REFUSED_BECAUSE)


def is_header(cells: Sequence[str]) -> bool:
    """Whether the cells are a header row: one names the channel, or at least two are known."""
    found = {column_of(cell) for cell in cells} - {None}
    return "channel" in found or len(found) >= 2


def read_layout(cells: Sequence[str]) -> Layout:
    """The layout a sheet's first row tells: as its header, or guessed from the row when it is data already.

    Raises `SheetError` when there is neither.
    """
    if is_header(cells):
        return _layout_by_header(cells)
    if not any(names_channel(cell) for cell in cells):
        raise SheetError(f"The first row is not a header. Begin the file with a row of column names: {KNOWN}.")
    return _layout_by_content(cells)


def unknown_column(name: str) -> Problem:
    message = f"The column “{clean_line(name)[:60]}” is not known and was not read. Known columns: {KNOWN}."
    return make_problem(None, name, message, is_note=True)


def repeated_column(name: str, column: str) -> Problem:
    """A note, unless the column holds channels: those were left out."""
    message = f"The column “{clean_line(name)[:60]}” was not read, because another one already gives the {column}. Keep one of them."
    return make_problem(None, name, message, is_note=column != "channel")


def names_channel(text: str) -> bool:
    """Whether the text reads as the address of a channel, playlist or video."""
    try:
        parse_channel_url(text)
    except ChannelUrlError:
        return False
    return True


def _layout_by_header(cells: Sequence[str]) -> Layout:
    columns: list[str | None] = []
    problems = []
    for cell in cells:
        column = column_of(cell)
        if column and column in columns:
            problems.append(repeated_column(cell, column))
            column = None
        elif cell.strip() and not column and not is_ours(cell):
            problems.append(unknown_column(cell))
        columns.append(column)
    if "channel" not in columns:
        raise SheetError('There is no column for the channel. Name the column with the addresses "channel".')
    nameless = frozenset(place for place, cell in enumerate(cells) if not cell.strip())
    return Layout(tuple(columns), nameless, tuple(problems))


def _layout_by_content(cells: Sequence[str]) -> Layout:
    columns: list[str | None] = [_column_by_content(cell) for cell in cells]
    rest = [place for place, (cell, column) in enumerate(zip(cells, columns, strict=True)) if cell.strip() and not column]
    if len(rest) > 1 or columns.count("channel") > 1 or columns.count("email") > 1:
        raise SheetError(f"There is no header row and the columns cannot be guessed. Begin the file with column names: {KNOWN}.")
    for place in rest:
        columns[place] = "name"
    read_as = ", ".join(column for column in columns if column)
    message = f"There is no header row; the columns were read as {read_as}. Begin the file with column names to be sure."
    return Layout(tuple(columns), problems=(make_problem(None, "", message, is_note=True),), has_header=False)


def _column_by_content(cell: str) -> str | None:
    if names_channel(cell):
        return "channel"
    return "email" if "@" in cell.strip()[1:] and " " not in cell.strip() else None
