"""Judging one built table of a case: its rows, its rejected rows, its checks and errors against what is expected."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from assay.build import BuildResult
from assay.compare.engine import compare
from assay.compare.model import Difference, SqlColumn
from assay.compare.schema import describe
from assay.contract.classification import is_masked
from assay.contract.contract import Contract
from assay.errors import GoldenError
from assay.golden import store
from assay.golden.inputs import build_names
from assay.golden.mask import Mask, project_mask
from assay.golden.opened import OpenedCase
from assay.golden.pending import PendingStore, fingerprints
from assay.golden.rejected import by_field
from assay.golden.result import Comparison, TableResult
from assay.golden.rows import CaseRows, load, text_sql
from assay.golden.store import REJECTS, Golden, Schema, Values
from assay.project import Project
from assay.sql import quoted as quote
from assay.tables.code_version import source_location
from assay.tables.nodes import TableDef
from assay.tables.results import AuditFailed, CheckResult, Publication
from assay.warehouse.quarantine.keep import classes_of

PREVIEW = 10
REJECTS_SCHEMA = Schema(
    (
        SqlColumn("reason_codes", "VARCHAR[]", nullable=False),
        SqlColumn("source_file", "VARCHAR", nullable=True),
        SqlColumn("source_line", "BIGINT", nullable=True),
        SqlColumn("payload", "JSON", nullable=False),
    )
)


@dataclass(frozen=True)
class Actual:
    """What a run gave for one golden: a relation of the session, and how it would be accepted."""

    name: str
    relation: str
    schema: Schema
    rows: int = 0


@dataclass(frozen=True)
class Judge:
    """Judges the tables of one case that has been built."""

    project: Project
    opened: OpenedCase
    built: BuildResult
    keep: PendingStore | None
    notes: list[str] = field(default_factory=list)

    def table(self, table: TableDef) -> TableResult:
        """The verdict on one table under test, or one that must fail."""
        file, line = source_location(table)
        root = self.project.root
        publication = self.built.publications.get(table.name)
        base = TableResult(
            case=self.opened.case.name,
            table=table.name,
            stage=table.stage,
            file=file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file),
            line=line,
            seconds=publication.seconds if publication else 0.0,
        )
        if publication is not None:
            reasons = {code: count for check in publication.checks for code, count in check.reasons.items()}
            failing = tuple(check.name for check in publication.checks if not check.passed)
            base = dataclasses.replace(base, reasons=reasons, failing=failing)
        if table.name in self.opened.case.expects_error:
            return self._must_fail(base, self.opened.case.expects_error[table.name])
        cause = self.built.skipped.get(table.name)
        if cause is not None:
            error = self.built.errors[cause]
            text = f"not built, because {cause} failed: {error}"
            return dataclasses.replace(base, problems=(text,), failed=not isinstance(error, AuditFailed), cause=cause)
        failed = self.built.errors.get(table.name)
        if failed is not None and not isinstance(failed, AuditFailed):
            return dataclasses.replace(base, problems=(str(failed),), failed=True)
        assert publication is not None
        return self._judge(base, table, publication, published=failed is None)

    def _must_fail(self, base: TableResult, text: str) -> TableResult:
        error, cause = self.built.errors.get(base.table), self.built.skipped.get(base.table)
        problems: tuple[str, ...] = ()
        if cause is not None:
            problems = (f"not built, because {cause} failed: {self.built.errors[cause]}",)
        elif error is None:
            problems = (f"was published, but must fail with: {text}",)
        elif text not in str(error):
            problems = (f"must fail with: {text}", f"failed with: {error}")
        if error is not None and not problems:
            base = dataclasses.replace(base, expected_error=str(error), stopped_by=type(error).__name__)
        return dataclasses.replace(base, problems=problems, cause=cause)

    def _judge(self, base: TableResult, table: TableDef, publication: Publication, *, published: bool) -> TableResult:
        contract = Contract.of(table.model)
        problems = self._check_problems(table.name, publication.checks)
        comparisons: list[Comparison] = []
        if published:
            comparison, more = self._rows(table, contract, publication.rows)
            comparisons.append(comparison)
            problems += more
        else:
            self._block(table, contract, publication.checks)
            if store.rows_path(self.opened.case.expected, table.name).exists() and not problems:
                problems += ("nothing was published, as expected, but there is a golden of its rows: delete it",)
        rejects = self._rejects(table, contract, publication.rejected)
        if rejects is not None:
            comparisons.append(rejects)
        return dataclasses.replace(base, comparisons=tuple(comparisons), problems=problems)

    def _check_problems(self, table: str, checks: Sequence[CheckResult]) -> tuple[str, ...]:
        expected = set(self.opened.case.expects_checks.get(table, ()))
        known = {check.name for check in checks}
        problems = []
        for check in checks:
            # Rows set aside inside the budget are compared themselves, reason by reason.
            told = check.name == "rows_valid" and not check.blocks
            if not check.passed and check.name not in expected and not told:
                # Rows that were set aside are told with their golden.
                rows = () if check.name == "rows_valid" else check.such_as()
                problems.append("\n  ".join([f"check {check.name} fails: {check.summary}", *rows]))
            if check.passed and check.name in expected:
                problems.append(f"check {check.name} must fail, but holds: {check.summary}")
        for name in sorted(expected - known):
            reached = f"reached: {', '.join(known)}" if known else "none was reached"
            problems.append(f"check {name} must fail, but was not reached ({reached})")
        return tuple(problems)

    def _rows(self, table: TableDef, contract: Contract, count: int) -> tuple[Comparison, tuple[str, ...]]:
        """The published rows against their golden."""
        classes = {column.name: column.classification for column in contract.columns}
        nullable = {column.name: column.nullable for column in contract.columns}
        relation = self.opened.session.relation(table)
        columns = tuple(
            SqlColumn(column.name, column.type, nullable.get(column.name))
            for column in describe(self.opened.session.connection, f"FROM {relation}")
        )
        masked = tuple(column.name for column in columns if is_masked(classes.get(column.name)))
        schema = Schema(columns, contract.key, masked=masked)
        golden = store.read_golden(self.opened.case.expected, table.name, schema)
        if golden is None:
            return self._compare(Actual(table.name, relation, schema, count), None), ()
        kept = {name: given for name, given in golden.schema.tolerance.items() if name in schema.names}
        volatile = tuple(name for name in golden.schema.volatile if name in schema.names)
        schema = dataclasses.replace(schema, tolerance=kept, volatile=volatile)
        problems = tuple(
            f"column {name} is classified as {classes.get(name) or 'nothing'}, but its golden holds plain values: "
            f"accept again, or classify it"
            for name in sorted(set(masked) - set(golden.schema.masked))
            if name in golden.schema.names
        )
        return self._compare(Actual(table.name, relation, schema, count), golden), problems

    def _rejects(self, table: TableDef, contract: Contract, count: int) -> Comparison | None:
        """The rows set aside against their golden; None where there are neither."""
        name = f"{table.name}{REJECTS}"
        rows = self._reject_rows(table, contract) if count else ()
        golden = store.read_golden(self.opened.case.expected, name, REJECTS_SCHEMA)
        if golden is None and not rows:
            self._drop(name)
            return None
        texts = CaseRows(Path(name), REJECTS_SCHEMA.names, tuple(rows), tuple(range(len(rows))))
        relation = load(self.opened.session.connection, texts, REJECTS_SCHEMA.stored_types, "__rejected")
        found = self._compare(Actual(name, relation, REJECTS_SCHEMA, len(rows)), golden)
        shown = by_field(found.difference, contract.key) if found.difference and not found.difference.equal else None
        return dataclasses.replace(found, difference=shown) if shown else found

    def _reject_rows(self, table: TableDef, contract: Contract) -> Sequence[Values]:
        """The table's quarantined rows as text, classified values masked."""
        found = self.opened.session.connection.execute(
            f"""SELECT reason_codes, CAST(reason_codes AS VARCHAR), source_file, CAST(source_line AS VARCHAR), payload
                FROM {quote(self.opened.session.catalog)}.quarantine.rejects WHERE table_name = ?
                ORDER BY ALL LIMIT {store.MAX_ROWS + 1}""",
            [table.name],
        ).fetchall()
        all_open = not any(is_masked(column.classification) for column in contract.columns)
        rows = []
        for reasons, codes, file, line, payload in found:
            values = json.loads(payload)
            classes = classes_of(contract, reasons, values)
            shown = {
                name: self._mask.text(value)
                if is_masked(classes.get(name)) and not (all_open and name.startswith("_"))
                else value
                for name, value in values.items()
            }
            rows.append((codes, file, line, json.dumps(shown, ensure_ascii=False, separators=(",", ":"))))
        return rows

    def _compare(self, actual: Actual, golden: Golden | None) -> Comparison:
        count = actual.rows
        if count > store.MAX_ROWS:
            raise store.too_large(f"the run gave {count:,} rows", f"{self.opened.case.name}/{actual.name}")
        if golden is None:
            rows = self._text_rows(actual)
            pending = self._keep(actual, rows)
            preview = tuple(rows[:PREVIEW])
            return Comparison(actual.name, "missing", None, count, actual.schema.names, preview, pending)
        difference = self._difference(actual, golden)
        if difference.equal and golden.pinned:
            self._drop(actual.name)
            return Comparison(actual.name, "equal", difference, count, actual.schema.names)
        status = "missing" if difference.equal else "differs"
        pending = self._keep(actual, self._text_rows(actual))
        return Comparison(actual.name, status, difference, count, actual.schema.names, (), pending)  # type: ignore[arg-type]

    def _difference(self, actual: Actual, golden: Golden) -> Difference:
        connection = self.opened.session.connection
        masked = set(actual.schema.masked) | set(golden.schema.masked)
        expected = load(connection, golden.rows, golden.schema.stored_types, "__expected")
        already = set(golden.schema.masked)
        left = _select(golden.schema, expected, self._masked(masked - already))
        return compare(
            connection,
            left,
            _select(actual.schema, actual.relation, self._masked(masked)),
            key=golden.schema.key,
            tolerances=golden.schema.tolerance,
            volatile=golden.schema.volatile,
            expected_columns=golden.schema.columns,
            actual_columns=actual.schema.columns,
            rows=(len(golden.rows.rows), actual.rows),
        )

    def _text_rows(self, actual: Actual) -> list[Values]:
        """The rows as text, sorted by the key; proven to read back as the same values."""
        connection = self.opened.session.connection
        query = _select(actual.schema, actual.relation, self._masked(actual.schema.masked))
        order = ", ".join(f"q.{quote(name)}" for name in actual.schema.key or actual.schema.names)
        texts = ", ".join(text_sql(f"q.{quote(name)}", type_) for name, type_ in actual.schema.stored_types.items())
        found = connection.execute(f"SELECT {texts} FROM ({query}) AS q ORDER BY {order}").fetchall()
        rows = [tuple(row) for row in found]
        if len(store.rows_text(actual.schema, rows).encode()) > store.MAX_BYTES:
            raise store.too_large("the run gave too much text", f"{self.opened.case.name}/{actual.name}")
        where = f"{self.opened.case.name}/{actual.name}"
        lines = tuple(range(1, len(rows) + 1))
        again = load(
            connection,
            CaseRows(Path(where), actual.schema.names, tuple(rows), lines),
            actual.schema.stored_types,
            "__written",
        )
        lost = compare(connection, f"FROM {again}", query)
        if not lost.equal:
            raise GoldenError("its values cannot be written as text and read back", where=where, fix="Cast the column.")
        return rows

    @cached_property
    def _mask(self) -> Mask:
        return project_mask(self.project)

    def _masked(self, names: Iterable[str]) -> dict[str, str]:
        return {name: self._mask.sql(name) for name in names}

    def _keep(self, actual: Actual, rows: Sequence[Values], refused: str | None = None) -> Path | None:
        if self.keep is None:
            return None
        graph = self.project.graph
        table = actual.name.removesuffix(REJECTS)
        moved = fingerprints(self.opened.case, graph, build_names(self.opened.case, graph, [table]), actual.name)
        try:
            return self.keep.keep(self.opened.case.name, actual.name, moved, actual.schema, rows, refused)
        except GoldenError as error:
            self.notes.append(str(error))
            return None

    def _block(self, table: TableDef, contract: Contract, checks: Sequence[CheckResult]) -> None:
        """Nothing was published: what `accept` would say about it is kept in the place of new output."""
        reason = "; ".join(f"{check.name}: {check.summary}" for check in checks if check.blocks)
        expected = set(self.opened.case.expects_checks.get(table.name, ()))
        if all(check.name in expected for check in checks if check.blocks):
            self._drop(table.name)
            return
        columns = tuple(SqlColumn(column.name, column.sql_type, column.nullable) for column in contract.columns)
        self._keep(Actual(table.name, "", Schema(columns, contract.key)), (), reason)

    def _drop(self, name: str) -> None:
        if self.keep is not None:
            try:
                self.keep.drop(self.opened.case.name, name)
            except GoldenError as error:
                self.notes.append(str(error))


def _select(schema: Schema, relation: str, masked: Mapping[str, str]) -> str:
    """The rows of `relation`, some columns masked by the SQL given for them."""
    columns = [f"{masked[name]} AS {quote(name)}" if name in masked else quote(name) for name in schema.names]
    return f"SELECT {', '.join(columns)} FROM {relation}"
