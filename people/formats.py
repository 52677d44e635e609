"""Formats in which sheets are written; none of their cells runs as a formula."""

import csv
import io
from collections.abc import Mapping, Sequence

import tablib
from import_export.formats import base_formats

from people.sheets.columns import REFUSED_BECAUSE, REFUSED_ROW
from people.sheets.formulas import escape_formula
from people.sheets.originals import Originals

MARK = "\ufeff"  # by which Excel knows UTF-8


class SafeCSV(base_formats.CSV):
    """CSV that Excel reads as UTF-8 and in which nothing runs as a formula."""

    def export_data(self, dataset: tablib.Dataset, **kwargs) -> str:
        return MARK + super().export_data(_without_formulas(dataset), **kwargs)


class SafeXLSX(base_formats.XLSX):
    """XLSX in which nothing runs as a formula."""

    def export_data(self, dataset: tablib.Dataset, **kwargs) -> bytes:
        return super().export_data(_without_formulas(dataset), **kwargs)


def write_refused_rows(refusals: Mapping[int, Sequence[str]], originals: Originals) -> bytes:
    """A CSV of the refused rows as they stand in their file, each behind its number and the sentences that say why.

    It can be mended and imported again. A row that could not be read at all has no other cells.
    """
    header, rows = originals
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([REFUSED_ROW, REFUSED_BECAUSE, *map(escape_formula, header)])
    for number, sentences in refusals.items():
        cells = rows.get(number, [])
        cells = [*cells, *[""] * (len(header) - len(cells))]
        writer.writerow([number, " ".join(sentences), *map(escape_formula, cells)])
    return (MARK + text.getvalue()).encode()


def _without_formulas(dataset: tablib.Dataset) -> tablib.Dataset:
    safe = tablib.Dataset(headers=dataset.headers, title=dataset.title)
    for row in dataset:
        safe.append([escape_formula(cell) for cell in row])
    return safe
