"""Everything that is known of a project's tables: by its code, by its golden cases, and by the warehouse's books.

Nothing of it is a row: a column's values are looked at nowhere, so no personal value can come along.
"""

from __future__ import annotations

import dataclasses
import datetime as dtm
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from assay.contract.contract import Contract
from assay.errors import WarehouseError
from assay.golden.coverage import GOLDEN, Coverage, Demand, demands
from assay.plan.published import read_books
from assay.report.expressions import Expression, expressions
from assay.sql import quoted
from assay.tables.audited import FIXED, check_names, describe
from assay.tables.code_version import source_location
from assay.tables.fresh import span
from assay.tables.nodes import Asset, ExportDef, TableDef
from assay.tables.results import Verdict
from assay.warehouse.connection import reading
from assay.warehouse.ops import Record
from assay.warehouse.staging import REPEAT

if TYPE_CHECKING:
    import duckdb

    from assay.contract.columns import Column
    from assay.project import Project
    from assay.settings import BaseSettings
    from assay.sources.base import Source
    from assay.tables.graph import Graph


WIDE = 80
"""So many characters of a source's option are told."""


@dataclass(frozen=True)
class Statement:
    """A rule or check, and what shows that it can fail.

    Attributes:
        name: a rule's code or a check's name.
        says: it in words.
        shown: by which cases, or why by none; None where nobody asks, or no case was run.
        verdict: of the newest build; None where there is none.
    """

    name: str
    says: str
    shown: Demand | None = None
    verdict: Verdict | None = None


@dataclass(frozen=True)
class ColumnFacts:
    """A column of a contract, its rules, and the (table, column) pairs its values come from."""

    column: Column
    rules: tuple[Statement, ...]
    origins: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class NodeFacts:
    """A table or export.

    Attributes:
        facts: name -> text, what `@table` was told.
        readers: who reads it, or is checked against it.
        computed: how columns come about, where no expression tells: a sentence.
        rules: of rows, over several columns.
        compared: the cases that compare its rows; None where no case was run.
        last: its newest publication; None where it was never published, or the warehouse could not be read.
        outdated: what has changed since then, as sentences.
        failed: when a newer build of it failed.
        code, sql: its function, and what DuckDB is asked.
    """

    node: Asset
    place: str
    facts: Mapping[str, str]
    upstream: tuple[str, ...]
    checked_against: tuple[str, ...]
    readers: tuple[str, ...]
    code: str
    sql: str = ""
    computed: str = ""
    columns: tuple[ColumnFacts, ...] = ()
    rules: tuple[Statement, ...] = ()
    checks: tuple[Statement, ...] = ()
    compared: tuple[str, ...] | None = None
    last: Record | None = None
    outdated: tuple[str, ...] = ()
    failed: dtm.datetime | None = None


@dataclass(frozen=True)
class Catalog:
    """All nodes, upstream first.

    Attributes:
        numbers: where the numbers come from, or why there are none: a sentence.
        proofs: what the golden cases say: a sentence.
    """

    package: str
    stages: tuple[str, ...]
    nodes: tuple[NodeFacts, ...]
    numbers: str
    proofs: str
    made: dtm.datetime


@dataclass(frozen=True)
class _Books:
    told: str
    published: Mapping[str, Record] = field(default_factory=dict)
    failed: Mapping[str, dtm.datetime] = field(default_factory=dict)


def catalog(project: Project, shown: Coverage | None, *, made: dtm.datetime | None = None) -> Catalog:
    """What is known of `project`.

    Args:
        shown: what a run of the golden cases shows; None where none was made.

    Raises:
        SettingsError: the environment says something that cannot be.
    """
    graph, settings = project.graph, project.settings()
    books = _books(settings, project)
    proven = {(demand.table, demand.name): demand for demand in shown.demands} if shown else {}
    readers: dict[str, list[str]] = {}
    for node in graph:
        for name in graph.upstream_of(node.name):
            readers.setdefault(name, []).append(node.name)
    told = expressions(graph, type(settings))
    nodes = tuple(
        _node(
            project,
            settings,
            node,
            books,
            None if shown is None else proven,
            readers.get(node.name, ()),
            told.get(node.name),
        )
        for node in graph
    )
    stages = tuple(stage for stage in project.stages if any(node.stage == stage for node in graph))
    moment = (made or dtm.datetime.now(dtm.UTC)).astimezone(dtm.UTC)
    return Catalog(project.package, stages, nodes, books.told, _proofs(shown), moment)


def _node(
    project: Project,
    settings: BaseSettings,
    node: Asset,
    books: _Books,
    proven: Mapping[tuple[str, str], Demand] | None,
    readers: Sequence[str],
    expression: Expression | None,
) -> NodeFacts:
    graph = project.graph
    file, line = source_location(node)
    last = books.published.get(node.name)
    whole = NodeFacts(
        node=node,
        place=f"{file.relative_to(project.root) if file.is_relative_to(project.root) else node.module}:{line}",
        facts={name: text for name, text in _declared(node) if text},
        upstream=tuple(node.inputs),
        checked_against=tuple(name for name in graph.upstream_of(node.name) if name not in node.inputs),
        readers=tuple(readers),
        code=_source(node.function),
        last=last,
        outdated=tuple(_outdated(node, graph, settings, last, books)),
        failed=books.failed.get(node.name),
    )
    if isinstance(node, ExportDef):
        return whole
    contract = Contract.of(node.model)
    asked = {demand.name: demand for demand in demands(graph, node)}
    found = {} if proven is None else {name: proven.get((node.name, name)) for name in asked}
    rules: dict[str | None, list[Statement]] = {}
    for rule in contract.row_rules:
        text = rule.description.removeprefix(f"{rule.column} ") if rule.column else rule.description
        rules.setdefault(rule.column, []).append(Statement(rule.code, text, shown=found.get(rule.code)))
    computed = ""
    if node.engine == "python":
        computed = f"Computed in Python, from any column of {', '.join(node.inputs) or 'its source'}."
    elif expression is None:
        computed = "What its columns come from cannot be told: its function needs rows to run."
    return dataclasses.replace(
        whole,
        sql=expression.sql if expression else "",
        computed=computed,
        columns=tuple(
            ColumnFacts(
                each, tuple(rules.get(each.name, ())), tuple(expression.lineage[each.name] if expression else ())
            )
            for each in contract.columns
        ),
        rules=tuple(rules.get(None, ())),
        checks=tuple(_checks(node, graph, contract, found, last)),
        compared=None if proven is None or not (golden := found.get(GOLDEN)) else golden.cases,
    )


def _checks(
    table: TableDef,
    graph: Graph,
    contract: Contract,
    found: Mapping[str, Demand | None],
    last: Record | None,
) -> Iterator[Statement]:
    for name in check_names(table, graph):
        says = describe(name, table, graph)
        if name == "unique_key":
            keys = "; ".join(", ".join(key) for key in contract.keys)
            says = f"Never null and never repeated: {keys}."
        elif name == "rows_valid":
            says = f"{FIXED[name]} Budget: {table.max_rejects}."
        elif name == "reconciles" and table.preserves:
            says = f"No row of {table.preserves} is lost or multiplied on the way."
        shown = found.get(name) or (found.get(REPEAT) if name == "unique_key" else None)
        yield Statement(name, says, shown, last.verdicts.get(name) if last else None)


def _declared(node: TableDef | ExportDef) -> Iterator[tuple[str, str]]:
    """What the decorator was told, name by name; nothing where that is what it is anyway."""
    yield "owner", node.owner or ""
    yield "tags", ", ".join(f"{key}={value}" if value else key for key, value in node.tags.items())
    yield "reads settings", ", ".join(node.settings)
    if isinstance(node, ExportDef):
        yield "writes", node.path
        return
    if node.source is not None:
        yield "source", source_text(node.source)
        yield "brings", "only what is new" if node.source.incremental else ""
    if node.partitions is not None:
        unit = "key" if node.partitions.unit == "static" else node.partitions.unit
        since = f", from {node.partitions.start:%Y-%m-%d}" if node.partitions.unit != "static" else ""
        until = f" to before {node.partitions.stop:%Y-%m-%d}" if node.partitions.stop else ""
        yield "partitions", f"a {unit} of {node.partitions.column}{since}{until}"
    yield "preserves", node.preserves or ""
    yield "may reject", str(node.max_rejects) if node.max_rejects.rows or node.max_rejects.ratio else ""
    yield "keeps first by", ", ".join(node.keep.order_by) if node.keep else ""
    yield "must be", str(node.fresh or "")
    if node.newest is not None:
        yield "newest row", f"at most {span(node.newest[1])} old, by {node.newest[0]}"
    yield "may be empty", "yes" if node.may_be_empty else ""
    default = next(each.default for each in dataclasses.fields(TableDef) if each.name == "may_shrink")
    yield "may shrink by", f"{node.may_shrink:.0%}" if node.may_shrink != default else ""


def source_text(source: Source) -> str:
    """The connector as its file calls it, options that have their default left out."""
    told = []
    for each in dataclasses.fields(cast("Any", source)):
        value = getattr(source, each.name)
        if not each.repr or value == each.default:
            continue
        if each.default_factory is not dataclasses.MISSING and value == each.default_factory():
            continue
        text = getattr(value, "__name__", None) or repr(value)  # a function by its name
        if len(text) > WIDE:
            text = f"{len(value)} of them" if isinstance(value, Mapping) else f"{text[: WIDE - 1]}…"
        named = each.default is not dataclasses.MISSING or each.kw_only
        told.append(f"{each.name}={text}" if named else text)
    return f"{type(source).__name__}({', '.join(told)})"


def _source(function: Callable[..., Any]) -> str:
    try:
        return textwrap.dedent(inspect.getsource(function)).rstrip()
    except (OSError, TypeError):  # the file is gone, or was none
        return ""


def _outdated(
    node: TableDef | ExportDef, graph: Graph, settings: BaseSettings, last: Record | None, books: _Books
) -> Iterator[str]:
    if last is None:
        return
    if last.code_version != graph.version_of(node, settings):
        yield "its code, or a setting that it reads, has changed" if node.settings else "its code has changed"
    for name in node.inputs:
        now = books.published.get(name)
        if now is not None and now.data_version != last.upstream_versions.get(name):
            yield f"{name} has changed"


def _books(settings: BaseSettings, project: Project) -> _Books:
    """What the warehouse says, or its copy for readers; a sentence where neither can be read now."""
    if not settings.warehouse.exists():
        return _Books(f"No numbers: there is no warehouse at {_short(project, settings.warehouse)} yet.")
    told = ""
    for file in (settings.warehouse, settings.snapshot):
        if file is None or not file.exists():
            continue
        try:
            with reading(file, lock_timeout=0) as (connection, catalog):
                return _read(connection, catalog, f"Numbers: {_short(project, file)}.")
        except WarehouseError as error:
            told = told or f"No numbers: {_short(project, file)} could not be read. {error.what}."
    return _Books(told)


def _read(connection: duckdb.DuckDBPyConnection, name: str, told: str) -> _Books:
    books = read_books(connection, name)
    failed = (
        connection.execute(
            f"""SELECT table_name, max_by(published_at, id) FROM {quoted(name)}.ops.publications
                GROUP BY ALL HAVING arg_max(action, id) = 'failed'"""
        ).fetchall()
        if ("ops", "publications") in books.tables
        else []
    )
    return _Books(told, books.published, dict(failed))


def _short(project: Project, file: Path) -> str:
    return str(file.relative_to(project.root)) if file.is_relative_to(project.root) else str(file)


def _proofs(shown: Coverage | None) -> str:
    if shown is None:
        return "The golden cases were not run: this page does not say what they show."
    asked, covered, exempt = len(shown.demands), len(shown.of("covered", "needlessly exempt")), len(shown.of("exempt"))
    told = f"Golden cases show {covered:,} of {asked:,} rules, checks and outputs"
    told += f"; {exempt:,} need none, for a written reason." if exempt else "."
    if shown.uncounted:
        told += f" Not counted, because they did not come out as expected: {', '.join(shown.uncounted)}."
    return told
