"""What Dagster's pages show of a table: schema, lineage, counts, profile and the checks' evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import dagster as dg

from assay.contract import Contract
from assay.tables.code_version import source_location
from assay.tables.nodes import ExportDef, TableDef
from assay.tables.results import CheckResult, Publication

PARTITION_ROWS = "dagster/partition_row_count"


def definition_metadata(node: TableDef | ExportDef) -> dict[str, Any]:
    """What is known before any run: relation, contract, and where the code stands."""
    _, line = source_location(node)
    # Dagster's own code references are beta and hold a machine's absolute path; this text travels.
    found: dict[str, Any] = {"code": f"{node.module}, line {line}"}
    if isinstance(node, TableDef):
        found["dagster/table_name"] = f"{node.stage}.{node.name}"
        found["dagster/column_schema"] = column_schema(Contract.of(node.model))
        found["dagster/storage_kind"] = "duckdb"
    return found


def column_schema(contract: Contract) -> dg.TableSchema:
    """The contract as Dagster's column schema."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=column.sql_type,
                description=column.description,
                constraints=dg.TableColumnConstraints(
                    nullable=column.nullable, unique=column.unique, other=list(column.constraints)
                ),
                tags={"classification": column.classification or "unclassified"},
            )
            for column in contract.columns
        ]
    )


def publication_metadata(node: TableDef | ExportDef, publication: Publication) -> dict[str, Any]:
    """What one build did."""
    found: dict[str, Any] = {
        "action": publication.action,
        "seconds": round(publication.seconds, 3),
        "code_version": publication.code_version,
    }
    if isinstance(node, ExportDef):
        found["path"] = dg.MetadataValue.path(publication.path or "")
        found["bytes"] = publication.bytes
        return found
    found["dagster/row_count"] = publication.rows
    if publication.partition is not None:
        found[PARTITION_ROWS] = publication.staged - publication.rejected
    found["staged"] = publication.staged
    found["rejected"] = publication.rejected
    found["profile"] = _profile(publication)
    found["dagster/column_lineage"] = dg.TableColumnLineage(
        {
            column: [
                dg.TableColumnDep(asset_key=dg.AssetKey(name), column_name=other)
                for name, other in pairs
                if name != "source"
            ]
            for column, pairs in publication.lineage.items()
        }
    )
    if publication.source_version:
        found["source_version"] = publication.source_version
    if publication.bytes is not None:
        found["source_bytes"] = publication.bytes
    return found


def check_results(node: TableDef | ExportDef, checks: Iterable[CheckResult]) -> Iterator[dg.AssetCheckResult]:
    """The checks as Dagster records them, with what a person needs to act."""
    for check in checks:
        yield dg.AssetCheckResult(
            asset_key=dg.AssetKey(node.name),
            check_name=check.name,
            passed=check.passed,
            severity=dg.AssetCheckSeverity.ERROR if check.severity == "error" else dg.AssetCheckSeverity.WARN,
            description=check.summary,
            metadata=_evidence(check),
        )


def _evidence(check: CheckResult) -> dict[str, Any]:
    found: dict[str, Any] = {"summary": check.summary, "failing": check.failing}
    if check.reasons:
        found["reasons"] = _table([{"reason": code, "rows": count} for code, count in check.reasons.items()])
    if check.sample:
        found["sample"] = _table([{name: _text(value) for name, value in row.items()} for row in check.sample])
    if check.sample_sql:
        found["find_all"] = check.sample_sql
    return found


def _profile(publication: Publication) -> dg.TableMetadataValue:
    return _table(
        [
            {
                "column": column.name,
                "nulls": column.nulls,
                "distinct": _text(column.distinct),
                "min": _text(column.minimum),
                "max": _text(column.maximum),
                "mean": _text(column.mean),
            }
            for column in publication.profile
        ]
    )


def _table(rows: list[dict[str, Any]]) -> dg.TableMetadataValue:
    """Rows as Dagster shows them; a field that a row lacks is empty there, for Dagster wants the same ones in all."""
    types = {str: "string", int: "int", float: "float"}
    first = {name: value for row in reversed(rows) for name, value in row.items()}
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = [dg.TableColumn(name, types.get(type(first[name]), "string")) for name in names]
    records = [dg.TableRecord({name: row.get(name, "") for name in names}) for row in rows]
    return dg.TableMetadataValue(records, dg.TableSchema(columns))


def _text(value: Any) -> str:
    return "NULL" if value is None else str(value)
