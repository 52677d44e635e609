"""Excel workbooks for tests."""

import io
import warnings
from collections.abc import Sequence
from typing import Any

import openpyxl


def make_workbook(table: Sequence[Sequence[Any]], *, second: Sequence[Sequence[Any]] = ()) -> bytes:
    """An .xlsx with `table` on its first sheet and `second` on another."""
    workbook = openpyxl.Workbook()
    for row in table:
        workbook.active.append(row)
    for row in second:
        (workbook["second"] if "second" in workbook.sheetnames else workbook.create_sheet("second")).append(row)
    packed = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        workbook.save(packed)
    return packed.getvalue()
