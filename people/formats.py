"""Formats of import-export: one that reads any sheet, three that write one."""

import tablib
from import_export.formats import base_formats

from people.sheets import Sheet, read_sheet
from people.sheets.formulas import escape_formula


class SheetDataset:
    """The bytes of a sheet, read once its file name is known."""

    def __init__(self, data: bytes):
        self._data = data

    def read(self, name: str) -> Sheet:
        """Raises `SheetError`."""
        return read_sheet(self._data, name)


class AnySheet(base_formats.Format):
    """CSV, JSON, text or XLSX, told by the content, so that staff need not choose."""

    def __init__(self, encoding: str | None = None):
        pass

    def get_title(self) -> str:
        return "CSV, JSON, text or XLSX, told by its content"

    def create_dataset(self, in_stream: bytes) -> SheetDataset:
        return SheetDataset(in_stream)

    def can_import(self) -> bool:
        return True


class SafeCSV(base_formats.CSV):
    """CSV that Excel reads as UTF-8 and in which nothing runs as a formula."""

    def export_data(self, dataset: tablib.Dataset, **kwargs) -> str:
        return "\ufeff" + super().export_data(_without_formulas(dataset), **kwargs)


class SafeXLSX(base_formats.XLSX):
    """XLSX in which nothing runs as a formula."""

    def export_data(self, dataset: tablib.Dataset, **kwargs) -> bytes:
        return super().export_data(_without_formulas(dataset), **kwargs)


def _without_formulas(dataset: tablib.Dataset) -> tablib.Dataset:
    safe = tablib.Dataset(headers=dataset.headers, title=dataset.title)
    for row in dataset:
        safe.append([escape_formula(cell) for cell in row])
    return safe
