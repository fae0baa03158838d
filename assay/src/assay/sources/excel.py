"""A sheet of an Excel workbook as rows, for `Rows`; read by openpyxl, which the extra `excel` brings."""

from __future__ import annotations

import datetime as dtm
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import SourceError

if TYPE_CHECKING:
    from assay.sources.fetched import FetchContext


@dataclass(frozen=True)
class Sheet:
    """A fetching function: `Rows(Sheet("budget.xlsx", "2026"), "shop_files", "budget")`.

    A row without a value is none. A cell that shows a day without a time is a date, and one that shows an error, such as
    `#N/A`, makes its row a malformed one. Merged cells are refused, and formulas, whose value nobody has checked.

    Args:
        path: the workbook under the location, a folder.
        sheet: its sheet; not needed if it has only one.
        header: the number of the row that names the columns; what stands above it is skipped.
        formulas: `"refuse"`, or `"last"` for the values that formulas had when the workbook was saved.
    """

    path: str
    sheet: str | None = None
    header: int = 1
    formulas: str = "refuse"

    def __call__(self, context: FetchContext) -> Iterator[dict[str, Any]]:
        file = Path(context.address) / self.path
        sheet, values = self._opened(file)
        where = f"{file}, sheet '{sheet.title}'"
        for merged in sheet.merged_cells.ranges:
            if merged.max_row >= self.header:
                fix = "Ask the owner for a plain sheet: a merged cell belongs to no row alone."
                raise SourceError(f"the cells {merged.coord} are merged", where=where, fix=fix)
        rows = zip(sheet.iter_rows(min_row=self.header), values.iter_rows(min_row=self.header), strict=True)
        names = self._names(next(iter(rows), ((), ()))[0], where)
        for cells, shown in rows:
            found = [self._value(cell, value, where) for cell, value in zip(cells, shown, strict=True)]
            if any(value is not None for value in found[len(names) :]):
                raise SourceError(f"row {cells[0].row} has a value outside the columns", where=where, fix=_OWNER)
            if any(value is not None for value in found):
                yield dict(zip(names, found, strict=False))

    def _opened(self, file: Path) -> tuple[Any, Any]:
        """The sheet with its formulas, and with the values that they had."""
        import openpyxl
        from openpyxl.utils.exceptions import InvalidFileException

        try:
            books = [openpyxl.load_workbook(file, data_only=data_only) for data_only in (False, True)]
        except FileNotFoundError:
            raise SourceError("the file does not exist", where=str(file), fix="Check the location.") from None
        except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
            told = f"is no Excel workbook that can be read ({type(error).__name__})"
            raise SourceError(told, where=str(file), fix="Save it as .xlsx, without a password.") from None
        names = books[0].sheetnames
        if self.sheet is None and len(names) != 1:
            raise SourceError(f"has the sheets {', '.join(names)}", where=str(file), fix="Name one.")
        name = names[0] if self.sheet is None else self.sheet
        if name not in names:
            raise SourceError(f"has no sheet '{name}'", where=str(file), fix=f"It has {', '.join(names)}.")
        return books[0][name], books[1][name]

    def _names(self, cells: Any, where: str) -> list[str]:
        names = ["" if cell.value is None else str(cell.value).strip() for cell in cells]
        while names and not names[-1]:
            names.pop()
        if not names or not all(names):
            raise SourceError(f"row {self.header} does not name every column", where=where, fix="Check `header`.")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise SourceError(f"row {self.header} names '{twice[0]}' more than once", where=where, fix=_OWNER)
        return names

    def _value(self, cell: Any, shown: Any, where: str) -> Any:
        if cell.data_type == "f":
            if self.formulas != "last":
                fix = 'Ask the owner for values, or say formulas="last" for those it had when it was saved.'
                raise SourceError(f"the cell {cell.coordinate} is a formula", where=where, fix=fix)
            if shown.value is None:
                fix = "Open it in the program it is made for, and save it."
                raise SourceError(f"the formula {cell.coordinate} was never computed", where=where, fix=fix)
        if shown.data_type == "e":
            return CellError(shown.value)
        value, form = shown.value, str(shown.number_format).lower()
        if isinstance(value, dtm.datetime) and value.time() == dtm.time() and "h" not in form:
            return value.date()
        return value


class CellError(Exception):
    """What a cell shows instead of a value: no value of a row."""


_OWNER = "Ask the workbook's owner, or check `header`."
