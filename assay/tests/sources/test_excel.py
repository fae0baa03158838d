"""Sheets of workbooks: values as they are, formulas, merged cells and errors told."""

from __future__ import annotations

import datetime as dtm
import re
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from assay.errors import SourceError
from assay.sources import Rows, Sheet

COLUMNS = {"product": "VARCHAR", "day": "DATE", "at": "TIMESTAMP", "price": "DECIMAL(9,2)", "sold": "BIGINT"}
DAY, AT = dtm.date(2026, 3, 1), dtm.datetime(2026, 3, 1, 12, 30)


@pytest.fixture
def book(tmp_path: Path) -> Callable[..., Path]:
    def write(*rows: list[Any], above: int = 0, change: Callable[[Any], object] = lambda _: None) -> Path:
        workbook = openpyxl.Workbook()
        sheet = workbook.active
        sheet.title = "2026"
        for _ in range(above):
            sheet.append(["Budget"])
        for row in (list(COLUMNS), *rows):
            sheet.append(row)
        change(sheet)
        workbook.save(tmp_path / "budget.xlsx")
        return tmp_path

    return write


def rows(**more: Any) -> Rows:
    return Rows(Sheet("budget.xlsx", **more), "files", "budget")


def test_values_land_as_the_cells_have_them(land, book):
    found = land(rows(), book(["tea", DAY, AT, 2.5, 3], [None] * 5, ["", DAY, None, 3, 4]), COLUMNS)
    assert found.rows == [("tea", DAY, AT, Decimal("2.50"), 3), (None, DAY, None, Decimal("3.00"), 4)]


def test_what_is_no_value_is_set_aside(land, book):
    found = land(rows(), book(["tea", DAY, AT, 2.555, 3], ["#N/A", DAY, AT, 1, 1], [5, DAY, AT, 1, 1]), COLUMNS)
    assert found.reasons == [("rows.cast", 1), ("rows.cast", 2), ("rows.cast", 3)]
    assert "a CellError is no value" in found.malformed[1][3]


def test_a_header_further_down_and_a_sheet_by_name(land, book):
    folder = book(["tea", DAY, AT, 1, 1], above=2, change=lambda sheet: sheet.merge_cells("A1:C2"))
    assert len(land(rows(header=3, sheet="2026"), folder, COLUMNS).rows) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda sheet: sheet.merge_cells("A2:A3"), "sheet '2026': the cells A2:A3 are merged"),
        (lambda sheet: sheet.__setitem__("D2", "=1+1"), 'the cell D2 is a formula.*formulas="last"'),
        (lambda sheet: sheet.__setitem__("G2", "note"), "row 2 has a value outside the columns"),
        (lambda sheet: sheet.__setitem__("B1", None), "row 1 does not name every column"),
        (lambda sheet: sheet.__setitem__("B1", "product"), "row 1 names 'product' more than once"),
        (lambda sheet: sheet.parent.create_sheet("2027"), "has the sheets 2026, 2027. Name one"),
    ],
)
def test_what_cannot_be_told_apart_is_refused(land, book, change, message):
    with pytest.raises(SourceError, match=message):
        land(rows(), book(["tea", DAY, AT, 1, 1], change=change), COLUMNS)


def test_a_formula_that_was_never_computed_has_no_last_value(land, book):
    folder = book(["tea", DAY, AT, 1, 1], change=lambda sheet: sheet.__setitem__("D2", "=1+1"))
    with pytest.raises(SourceError, match="the formula D2 was never computed"):
        land(rows(formulas="last"), folder, COLUMNS)
    file = folder / "budget.xlsx"
    with zipfile.ZipFile(file) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(file, "w") as new:  # as a program that computes would have saved it
        for name, content in parts.items():
            new.writestr(name, re.sub(rb"<f>1\+1</f><v ?/?>(</v>)?", b"<f>1+1</f><v>2</v>", content))
    assert land(rows(formulas="last"), folder, COLUMNS).rows[0][3] == Decimal("2.00")


def test_what_is_no_workbook_is_told(land, tmp_path):
    with pytest.raises(SourceError, match=r"budget.xlsx: the file does not exist"):
        land(rows(), tmp_path, COLUMNS)
    (tmp_path / "budget.xlsx").write_text("id\n1\n")
    with pytest.raises(SourceError, match=r"is no Excel workbook that can be read \(BadZipFile\)"):
        land(rows(), tmp_path, COLUMNS)
    (tmp_path / "budget.xlsx").unlink()
    openpyxl.Workbook().save(tmp_path / "budget.xlsx")
    with pytest.raises(SourceError, match=r"has no sheet '2026'. It has Sheet"):
        land(rows(sheet="2026"), tmp_path, COLUMNS)
