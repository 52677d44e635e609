"""Records of cells (CSV, XLSX) to entries, by their header row."""

from collections.abc import Iterable, Iterator
from itertools import chain

from people.sheets.columns import Layout, read_layout
from people.sheets.sheet import Entry, Problem, SheetError, make_problem

Record = tuple[int, list[str]]


def read_table(records: Iterable[Record], problems: list[Problem], *, strict_width: bool) -> Iterator[Entry]:
    """The entries below the header; adds to `problems`. Raises `SheetError` without a usable header.

    With `strict_width` a row with more cells than the header is refused: in CSV a comma without quotation marks shifted them.
    """
    records = iter(records)
    first = next(records, None)
    if first is None:
        raise SheetError("The file is empty.")
    layout = read_layout(first[1])
    problems.extend(layout.problems)
    if not layout.has_header:
        records = chain([first], records)
    yield from _entries(records, layout, problems, strict_width)


def _entries(records: Iterable[Record], layout: Layout, problems: list[Problem], strict_width: bool) -> Iterator[Entry]:
    nameless: set[int] = set()
    for number, cells in records:
        extra = [place for place, cell in enumerate(cells) if cell.strip() and _is_nameless(place, layout)]
        if strict_width and any(place >= len(layout.columns) for place in extra):
            problems.append(_too_wide(number, cells, layout))
            continue
        for place in set(extra) - nameless:
            nameless.add(place)
            message = f"Column {place + 1} has no name and was not read. Name or empty it."
            problems.append(make_problem(None, cells[place], message, is_note=True))
        values = {column: cell for column, cell in zip(layout.columns, cells, strict=False) if column and cell.strip()}
        yield Entry(number, values)


def _is_nameless(place: int, layout: Layout) -> bool:
    return place >= len(layout.columns) or place in layout.nameless


def _too_wide(number: int, cells: list[str], layout: Layout) -> Problem:
    return make_problem(
        number,
        ", ".join(cells),
        f"The row has {len(cells)} cells where the header has {len(layout.columns)}. Put quotation marks around a cell that holds a comma.",
    )
