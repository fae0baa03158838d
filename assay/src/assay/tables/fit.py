"""Whether what a table declares fits its contract and its upstream's. Checked when code loads, without a query."""

from __future__ import annotations

import datetime as dtm
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from assay.contract.classification import is_masked
from assay.contract.columns import same_type
from assay.contract.contract import Contract
from assay.errors import WiringError
from assay.tables.loads import CLOCKS, NUMBERS, History, Incremental
from assay.tables.nodes import ExportDef, InvariantDef, Reference, TableDef

RESERVED_STAGES = ("ops", "quarantine", "real", "temp", "system", "information_schema", "pg_catalog")
"""Schemas and catalogs of the warehouse that are not for tables."""
RESERVED_COLUMNS = ("_source_file", "_source_line", "rowid")
FIXED_CHECKS = ("schema", "rows_valid", "unique_key", "reconciles", "usual")


def check_table(table: TableDef, tables: Mapping[str, TableDef], invariants: Iterable[InvariantDef]) -> None:
    """Raise WiringError, naming the table's file and what to write, at the first thing that does not fit."""
    for what, fix in _problems(table, tables, invariants):
        raise WiringError(what, where=f"{table.file}: {table.name}", fix=fix)


def check_exports(exports: Iterable[ExportDef]) -> None:
    """Raise WiringError if two exports write the same file."""
    seen: dict[str, ExportDef] = {}
    for export in exports:
        other = seen.setdefault(export.path, export)
        if other is not export:
            raise WiringError(
                f"'{other.name}' ({other.file}) writes '{export.path}' as well",
                where=f"{export.file}: {export.name}",
                fix="Give one of them another path.",
            )


def _problems(
    table: TableDef, tables: Mapping[str, TableDef], invariants: Iterable[InvariantDef]
) -> Iterator[tuple[str, str]]:
    contract = Contract.of(table.model)
    if table.stage in RESERVED_STAGES:
        yield f"the warehouse uses the schema '{table.stage}' itself", "Rename the stage's folder."
    if table.name.startswith("__"):
        yield "names beginning with __ are the framework's", "Rename the function."
    if table.name in table.inputs:
        yield "the table reads itself", "Read its upstream; what was published before is not an input."
    of_source = table.source.columns if table.source is not None else None
    for name in dict.fromkeys([*(column.name for column in contract.columns), *(of_source or ())]):
        if name.lower() in RESERVED_COLUMNS or name.startswith("__"):
            yield f"a column cannot be named '{name}': the framework uses it", "Rename the column."
    if (extra := getattr(table.source, "extra", "stop")) not in ("stop", "ignore", "add"):
        yield f"its source has extra={extra!r}", "Write stop, ignore or add."
    if table.takes_more and contract.strict:
        yield 'extra="add" takes columns that a strict contract refuses', "Take strict = True out of its Config."
    yield from _partition_problems(table, contract)
    yield from _newest_problems(table, contract)
    yield from _keep_problems(table, contract)
    yield from _load_problems(table, contract)
    for reference in table.references:
        yield from _reference_problems(reference, contract, Contract.of(tables[reference.to].model))
    names = Counter([*FIXED_CHECKS, *(reference.name for reference in table.references)])
    names.update(rule.code for rule in contract.table_rules)
    names.update(invariant.name for invariant in invariants)
    for name, count in names.items():
        if count > 1:
            yield f"two of its checks are named '{name}'", "Rename one of them."
    yield from _known_problems(table, invariants)


def _known_problems(table: TableDef, invariants: Iterable[InvariantDef]) -> Iterator[tuple[str, str]]:
    may_warn = ["rows_valid", *(each.name for each in table.references if each.severity == "warn")]
    may_warn += [each.name for each in invariants if each.severity == "warn"]
    for name, count in Counter(known.check for known in table.known).items():
        if name not in may_warn:
            yield (
                f"known= names '{name}', which is none of its checks that only warn",
                f"They are: {', '.join(may_warn)}.",
            )
        elif count > 1:
            yield f"known= names '{name}' twice", "Leave one of them."


def _partition_problems(table: TableDef, contract: Contract) -> Iterator[tuple[str, str]]:
    if table.partitions is None:
        return
    if table.appends:
        # Its events are read once, and those of other partitions would not be read again.
        yield "an event log's table cannot be partitioned", "Partition the table that reads it."
    name, wanted = table.partitions.column, table.partitions.sql_type
    column = next((column for column in contract.columns if column.name == name), None)
    if column is None:
        yield f"its partition column '{name}' is no column of {contract.name}", f"Name a {wanted} column."
    elif column.sql_type != wanted or column.nullable:
        kind = f"nullable {column.sql_type}" if column.nullable else column.sql_type
        yield (
            f"its partition column '{name}' is {kind}",
            f"Make it a {wanted} that is not null: a row without one belongs to no {table.partitions.noun}.",
        )


def _newest_problems(table: TableDef, contract: Contract) -> Iterator[tuple[str, str]]:
    if table.newest is None:
        return
    column = next((each for each in contract.columns if each.name == table.newest[0]), None)
    if column is None or not column.sql_type.startswith(("DATE", "TIMESTAMP")):
        yield (
            f"newest= names '{table.newest[0]}', which is no day or moment of {contract.name}",
            "Name a column of its contract with a DATE or TIMESTAMP.",
        )
    elif is_masked(column.classification):
        yield f"newest= names '{column.name}', which is hidden", "Name a column that is public or internal."


def _keep_problems(table: TableDef, contract: Contract) -> Iterator[tuple[str, str]]:
    if table.keep is None:
        return
    if not contract.key:
        yield f"keep= needs a key, and {contract.name} has none", "Declare unique = [...] in the contract's Config."
    known = {column.name for column in contract.columns}
    for name in table.keep.order_by:
        if name.removeprefix("-") not in known:
            yield f"keep= orders by '{name}', which is no column of {contract.name}", "Name columns of the contract."


def _load_problems(table: TableDef, contract: Contract) -> Iterator[tuple[str, str]]:
    if isinstance(table.load, Incremental):
        yield from _incremental_problems(table, table.load, contract)
    elif table.load is not None:
        yield from _history_problems(table, table.load, contract)


def _incremental_problems(table: TableDef, load: Incremental, contract: Contract) -> Iterator[tuple[str, str]]:
    column = {each.name: each for each in contract.columns}.get(load.cursor)
    if table.partitions is not None:
        yield "partitions= and load= do not go together", "Keep one: a partition's build replaces its own rows."
    if table.appends:
        own = getattr(table.source, "cursor", None)
        by = f", by '{own}', and the table goes on by '{load.cursor}'" if own is not None else ""
        fix = f"Take load= off, or the source's cursor={' or name the same column' if own is not None else ''}."
        yield f"its source is incremental by itself{by}", fix
    if column is None:
        yield f"its cursor '{load.cursor}' is no column of {contract.name}", "Name a time or number of the contract."
    elif column.nullable or column.sql_type not in (*CLOCKS, *NUMBERS):
        kind = f"nullable {column.sql_type}" if column.nullable else column.sql_type
        yield f"its cursor '{load.cursor}' is {kind}", "Take a time or whole number that is never null."
    elif load.lookback is not None and isinstance(load.lookback, dtm.timedelta) != (column.sql_type in CLOCKS):
        kind = "a timedelta" if column.sql_type in CLOCKS else "a whole number"
        yield f"lookback= of the {column.sql_type} '{load.cursor}' is {load.lookback!r}", f"Give {kind}."
    if load.merge and not contract.key:
        yield f"merging needs a key, and {contract.name} has none", "Declare unique = [...] in its Config."
    if any(contract.column(name).nullable for name in (contract.key if load.merge else ())):
        yield f"the key ({', '.join(contract.key)}) may be null, and null equals nothing", "Make it not nullable."
    if load.keys is not None and load.keys not in table.inputs:
        known = ", ".join(table.inputs) or "none"
        yield f"keys='{load.keys}' is none of its inputs ({known})", "Name the parameter whose rows have all keys."
    elif load.keys is not None:
        types = Contract.of(table.inputs[load.keys]).duckdb_columns
        for name in contract.key:
            if types.get(name) != contract.duckdb_columns[name]:
                yield f"'{load.keys}' has no {contract.duckdb_columns[name]} '{name}'", "Give it the key's columns."


def _history_problems(table: TableDef, load: History, contract: Contract) -> Iterator[tuple[str, str]]:
    start, end = (contract.duckdb_columns.get(name) for name in (load.valid_from, load.valid_to))
    if table.partitions is not None or table.appends:
        yield "a history is neither partitioned nor read from an event log", "Let a table of its own keep the history."
    if start is None or start != end or not start.startswith("TIMESTAMP"):
        told = f"'{load.valid_from}' ({start or 'missing'}) and '{load.valid_to}' ({end or 'missing'})"
        yield f"its times are {told}", "Declare both as the same kind of timestamp, the second nullable."
    elif not contract.column(load.valid_to).nullable or contract.column(load.valid_from).nullable:
        yield f"a version that holds has no '{load.valid_to}'", f"Make it nullable, and '{load.valid_from}' not."
    if load.valid_from not in contract.key or not load.names(contract.key):
        yield "its key does not tell the versions of a row apart", f"Declare unique = [..., '{load.valid_from}']."
    for name in (*load.compare, *load.names(contract.key)):
        if name not in contract.duckdb_columns or (name in load.compare and name in contract.key):
            yield f"compare= names '{name}', which is no column beside the key", "Name columns of the contract."
        elif name in contract.key and contract.column(name).nullable:
            yield f"its key column '{name}' may be null, and null equals nothing", "Make it not nullable."
    if table.keep is not None:
        yield "keep= and a history do not go together", "Let the function return each key once."


def _reference_problems(reference: Reference, contract: Contract, target: Contract) -> Iterator[tuple[str, str]]:
    others = reference.to_columns or reference.columns
    own = {column.name: column for column in contract.columns}
    there = {column.name: column for column in target.columns}
    for name, other in zip(reference.columns, others, strict=True):
        if name not in own:
            yield f"it refers to {reference.to} by '{name}', which is no column of {contract.name}", "Name its columns."
        elif other not in there:
            yield (
                f"it refers to '{other}' of {reference.to}, which is no column of {target.name}",
                "Name the target's columns with to_columns=(...).",
            )
        elif not same_type(own[name].dtype, there[other].dtype):
            yield (
                f"'{name}' is {own[name].sql_type}, but '{other}' of {reference.to} is {there[other].sql_type}",
                "Give both the same type.",
            )
