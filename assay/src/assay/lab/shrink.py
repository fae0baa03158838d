"""Shrink: the fewest input rows with which a case's table still fails in the same way.

What "the same way" is: the same error or failing check; for rows that differ, the first of them. A wrong value must
come out again as wrong as it was, an unexpected row come out again, and a missing row must be missing although input
rows with its key are there. Without that, dropping input would always differ from the golden.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from assay.compare import Difference, visible
from assay.errors import GoldenError, PipelineError
from assay.golden.case import Case, check_case, read_cases
from assay.golden.records import read_records
from assay.golden.yaml_file import shown
from assay.lab.ddmin import ddmin
from assay.lab.mutation.bench import Bench, bench
from assay.sql import quoted as quote

if TYPE_CHECKING:
    from assay.project import Project

Key = Mapping[str, str | None]
_DETAILS = re.compile(r"'[^']*'|\d[\d,.]*")


@dataclass(frozen=True)
class Failure:
    """One way in which a table fails.

    Attributes:
        text: the error or checks, without numbers and quoted values.
        row: the key of the row that is wrong; all its values where the table has no key.
        column, value: the wrong cell.
    """

    kind: Literal["error", "check", "schema", "changed", "added", "removed"]
    text: str = ""
    row: tuple[tuple[str, str | None], ...] = ()
    column: str | None = None
    value: str | None = None

    def __str__(self) -> str:
        if self.kind in ("error", "check", "schema"):
            return f"{self.kind}: {self.text}"
        row = ", ".join(f"{name}={visible(value)}" for name, value in self.row)
        if self.kind == "changed":
            return f"{row}: {self.column} is {visible(self.value)}"
        return f"{row} is {'not expected' if self.kind == 'added' else 'missing'}"


@dataclass(frozen=True)
class Shrunk:
    """What is left: rows by input file, as they stand there; `before` is how many there were."""

    failure: Failure
    rows: Mapping[str, tuple[str, ...]]
    before: int
    folder: Path | None

    @property
    def after(self) -> int:
        return sum(map(len, self.rows.values()))


def shrink(project: Project, address: str, *, to: str | None = None) -> Shrunk:
    """Reduce the inputs of CASE/TABLE, which must fail.

    Args:
        to: the name of a new case for what is left; it has no expected rows yet.

    Raises:
        GoldenError: there is no such case or table, it does not fail, or no input row can be left out.
    """
    name, _, table = address.partition("/")
    case = next((each for each in read_cases(project.golden, [name]) if each.name == name), None)
    if case is None or table not in case.subjects:
        under = ", ".join(case.subjects) if case else ""
        raise GoldenError(f"'{address}' is no CASE/TABLE", fix=f"Under test: {under}." if under else None)
    check_case(case, project.graph)
    target = project.golden / to if to else None
    if target is not None and (target.exists() or not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", to or "")):
        raise GoldenError("the case exists, or this is no name for one", where=shown(target), fix="Choose another.")
    with tempfile.TemporaryDirectory(prefix="golden_") as temporary:
        copied = _copy(case, Path(temporary) / case.name, table)
        shrinker = _Shrinker(project, copied, table)
        left = shrinker.run()
        if target is not None:
            _write(copied, case, target)
        return Shrunk(shrinker.failure, left, len(shrinker.items), target)


class _Shrinker:
    def __init__(self, project: Project, case: Case, table: str) -> None:
        self.project = project
        self.case = case
        self.table = table
        paths = sorted(path for path in case.inputs.rglob("*") if path.is_file()) if case.inputs.is_dir() else []
        found = [read_records(path) for path in paths]
        self.files = [records for records in found if records is not None]
        self.items = [(place, record) for place, file in enumerate(self.files) for record in range(len(file.records))]
        self.failure = self._first_failure()
        self.anchors = {item for item in self.items if self._has_key(item)} if self.failure.kind == "removed" else set()

    def run(self) -> dict[str, tuple[str, ...]]:
        """Leave the fewest rows in the files; returns them."""
        if not self.items:
            raise GoldenError("has no rows that could be left out", where=shown(self.case.folder))
        if self.failure.kind == "removed" and not self.anchors:
            raise GoldenError(
                f"{self.failure}, and no input row has its key: there is nothing to shrink by",
                where=shown(self.case.folder),
            )
        left = ddmin(self.items, self._fails)
        self._write(left)
        return {
            file.path.relative_to(self.case.inputs).as_posix(): tuple(
                file.records[record].decode(errors="replace").rstrip("\n") for at, record in left if at == place
            )
            for place, file in enumerate(self.files)
        }

    def _first_failure(self) -> Failure:
        try:
            with bench(self.project, self.case) as opened:
                failure = self._told(opened)
        except PipelineError as error:
            return Failure("error", _plain(error.what))
        except Exception as error:  # noqa: BLE001 - a table's own code may raise anything; that is the failure
            return Failure("error", f"{type(error).__name__}: {_plain(str(error))}")
        if failure is None:
            raise GoldenError(
                "does not fail", where=f"{self.case.name}/{self.table}", fix="Shrink is for a case that differs."
            )
        return failure

    def _told(self, opened: Bench) -> Failure | None:
        """The failure that a run shows; None if it is equal."""
        result = next(each for each in opened.results if each.table == self.table)
        if result.failed:
            return Failure("error", _plain(result.problems[0]))
        if result.problems:
            return Failure("check", "; ".join(_plain(problem) for problem in result.problems))
        for comparison in result.comparisons:
            if comparison.difference is not None and not comparison.difference.equal:
                return _of_difference(comparison.difference, self._rows(opened))
        return None

    def _fails(self, items: Sequence[tuple[int, int]]) -> bool:
        if self.anchors and not self.anchors.intersection(items):
            return False
        self._write(items)
        wanted = self.failure
        try:
            with bench(self.project, self.case) as opened:
                if wanted.kind in ("error", "check", "schema"):
                    return self._told(opened) == wanted
                rows = self._rows(opened)
        except PipelineError as error:
            return wanted == Failure("error", _plain(error.what))
        except Exception as error:  # noqa: BLE001 - as above
            return wanted == Failure("error", f"{type(error).__name__}: {_plain(str(error))}")
        if rows is None:
            return False
        found = [row for row in rows if all(row.get(name) == value for name, value in wanted.row)]
        if wanted.kind == "removed":
            return not found
        return any(wanted.column is None or row.get(wanted.column) == wanted.value for row in found)

    def _rows(self, opened: Bench) -> list[dict[str, str | None]] | None:
        """The published rows as text; None where nothing was published."""
        table = self.project.graph.tables[self.table]
        if not opened.session.exists(table):
            return None
        connection = opened.session.connection
        names = [row[0] for row in connection.execute(f"DESCRIBE {opened.session.relation(table)}").fetchall()]
        texts = ", ".join(f"CAST({quote(name)} AS VARCHAR)" for name in names)
        found = connection.execute(f"SELECT {texts} FROM {opened.session.relation(table)}").fetchall()
        return [dict(zip(names, row, strict=True)) for row in found]

    def _has_key(self, item: tuple[int, int]) -> bool:
        file = self.files[item[0]]
        values = file.values(file.records[item[1]])
        shared = [(name, value) for name, value in self.failure.row if name in values]
        return bool(shared) and all(str(values[name]) == value for name, value in shared)

    def _write(self, items: Sequence[tuple[int, int]]) -> None:
        for place, file in enumerate(self.files):
            file.write([file.records[record] for at, record in items if at == place])


def _of_difference(difference: Difference, rows: list[dict[str, str | None]] | None) -> Failure:
    if difference.schema or difference.key_problems:
        return Failure("schema", ", ".join(f"{change.kind} {change.column}" for change in difference.schema) or "key")
    for change in difference.changes:
        key = tuple(change.key.items())
        found = [row for row in rows or () if all(row.get(name) == value for name, value in key)]
        column = change.cells[0].column
        return Failure("changed", row=key, column=column, value=found[0].get(column) if found else None)
    sample = (*difference.only_actual, *difference.only_expected)[0]
    key = tuple((sample.key or sample.values).items())
    return Failure("added" if difference.only_actual else "removed", row=key)


def _plain(text: str) -> str:
    return _DETAILS.sub("#", text)


def _copy(case: Case, folder: Path, table: str) -> Case:
    for part in (case.inputs, case.expected):
        if part.is_dir():
            shutil.copytree(part, folder / part.name)
    folder.mkdir(parents=True, exist_ok=True)
    expects: dict[str, Any] = {key: value for key, value in case.expects_error.items() if key == table}
    tables = tuple(name for name in case.tables if name == table)
    return dataclasses.replace(case, folder=folder, tables=tables, expects_error=expects)


def _write(copied: Case, case: Case, target: Path) -> None:
    """The new case: what is left of the inputs, and the old case.yml."""
    try:
        if copied.inputs.is_dir():
            shutil.copytree(copied.inputs, target / "inputs")
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(case.folder / "case.yml", target / "case.yml")
    except OSError as error:
        raise GoldenError(f"cannot be written: {error.strerror}", where=shown(target)) from None
