"""The files staff import: bytes in, rows and problems out. Pure; used by the admin and by the command."""

from people.sheets.reading import read_sheet
from people.sheets.sheet import MAX_BYTES, MAX_ROWS, Problem, Sheet, SheetError, SheetRow

__all__ = ["MAX_BYTES", "MAX_ROWS", "Problem", "Sheet", "SheetError", "SheetRow", "read_sheet"]
