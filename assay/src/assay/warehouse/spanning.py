"""The checks of a table as a whole: its contract's table-level rules, and invariants."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from assay.contract.classification import is_masked
from assay.contract.contract import Contract
from assay.tables.lineage import column_lineage
from assay.tables.results import CheckResult
from assay.warehouse import verdicts
from assay.warehouse.session import Session

if TYPE_CHECKING:
    import ibis

    from assay.tables.nodes import InvariantDef, TableDef
    from assay.warehouse.parts import Parts


def spanning(
    session: Session,
    table: TableDef,
    contract: Contract,
    invariants: tuple[InvariantDef, ...],
    upstream: Mapping[str, TableDef],
    whole: str,
    parts: Parts | None,
    *,
    target: str,
) -> list[CheckResult]:
    """Table rules on the whole table; invariants on the partitions that are built.

    Args:
        whole: SQL of the table as it would be after publishing.
        parts: what is built of a partitioned table.
        target: its name then, for the SQL that a person runs.
    """
    if not contract.table_rules and not invariants:
        return []
    name = f"__whole_{table.name}"
    with session.view(name, whole) as rows:
        checks = verdicts.table_rules(session, contract, rows, may_be_empty=table.may_be_empty)
        for declared in invariants:
            built = None if declared.across_partitions else parts
            own = rows if built is None else session.query(session.quoted(name), built.rows)
            inputs = {
                each: own if each == table.name else _read(session, upstream[each], built) for each in declared.inputs
            }
            checks.append(_invariant(session, declared, inputs))
    return [
        dataclasses.replace(check, sample_sql=_after_publishing(session, check.sample_sql, name, target))
        for check in checks
    ]


def _read(session: Session, table: TableDef, built: Parts | None) -> ibis.Table:
    """The published rows; where both tables have partitions, those of the time that is built."""
    if built is None or built.built is None or table.partitions is None:
        return session.read(table)
    touched = table.partitions.clip(built.built, built.now)
    within = table.partitions.within(touched) if touched is not None else "false"
    return session.query(session.relation(table), within)


def _invariant(session: Session, declared: InvariantDef, inputs: Mapping[str, ibis.Table]) -> CheckResult:
    contradicting = declared.function(**inputs)
    classes = {
        (name, column.name): column.classification
        for name, model in declared.inputs.items()
        for column in Contract.of(model).columns
    }

    def hidden(shown: ibis.Table) -> set[str]:
        sources = column_lineage(shown, inputs)
        return {column for column, pairs in sources.items() if any(is_masked(classes.get(pair)) for pair in pairs)}

    return verdicts.invariant(session, declared, contradicting, hidden)


def _after_publishing(session: Session, sql: str | None, view: str, target: str) -> str | None:
    """The SQL that a person can run later: the published table in place of the one that is being audited."""
    if sql is None:
        return None
    return re.sub(rf'(["`]?)\b{re.escape(view)}\b\1', lambda _: target, session.spelled(sql))
