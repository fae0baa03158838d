"""What Dagster's pages show of a table: schema, lineage, counts, profile and the checks' evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import dagster as dg

from assay.compare.text import visible
from assay.contract.contract import Contract
from assay.orchestration.state import LEARNING, NEWEST, OFFSETS
from assay.sources.events import EventLog
from assay.tables.code_version import source_location
from assay.tables.nodes import Asset, ExportDef, TableDef
from assay.tables.results import CheckResult, Publication
from assay.words import harmless, sentence

PARTITION_ROWS = "dagster/partition_row_count"
ORIGINS = 4
"""So many columns that a column comes from are named."""
WIDE = 28
"""So many characters of a value stand in a profile."""

Lineage = Mapping[str, Iterable[tuple[str, str]]]


def definition_metadata(node: Asset) -> dict[str, Any]:
    """What is known before any run: relation, contract, and where the code stands."""
    _, line = source_location(node)
    # Beside `code_references`, which lead into an editor or a repository: this text travels.
    found: dict[str, Any] = {"code": f"{node.module}, line {line}"}
    if isinstance(node, TableDef):
        found["dagster/table_name"] = f"{node.stage}.{node.name}"
        found["dagster/column_schema"] = column_schema(Contract.of(node.model))
        found["dagster/storage_kind"] = "duckdb"
    return found


def column_schema(contract: Contract, lineage: Lineage | None = None) -> dg.TableSchema:
    """The contract as Dagster's column schema, with where each column's values come from, if that is known."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=column.sql_type,
                description=sentence(column.description) if column.description else None,
                constraints=dg.TableColumnConstraints(
                    nullable=column.nullable,
                    unique=column.unique,
                    # Dagster shows these two by itself.
                    other=[
                        *(each for each in column.constraints if each not in ("not null", "unique")),
                        # Of a build's schema Dagster shows the constraints only: descriptions are the definition's.
                        *_origins(column.name, (lineage or {}).get(column.name, ())),
                    ],
                ),
                tags={"classification": column.classification or "unclassified"},
            )
            for column in contract.columns
        ]
    )


def _origins(column: str, pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Where a column comes from, each in few characters, for Dagster cuts at 30: the name only where it is another."""
    found = [f"from {name}" if other == column else f"from {name}.{other}" for name, other in pairs]
    return [*found[:ORIGINS], *([f"and from {len(found) - ORIGINS} more"] if len(found) > ORIGINS else [])]


def publication_metadata(node: Asset, publication: Publication) -> dict[str, Any]:
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
    found |= publication.changes
    found["staged"] = publication.staged
    found["rejected"] = publication.rejected
    found["profile"] = _profile(node, publication)
    contract = Contract.of(node.model).taking(column.name for column in publication.profile)
    found["dagster/column_schema"] = column_schema(contract, publication.lineage)
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
    if node.newest is not None:
        column = next((each for each in publication.profile if each.name == node.newest[0]), None)
        if column is not None and column.maximum is not None:
            found[NEWEST] = f"{column.name} {column.maximum}"
    if publication.offsets and isinstance(node.source, EventLog):  # a watermark of rows may be a value of theirs
        found[OFFSETS] = {
            str(partition): [int(at), getattr(at, "place", "")] for partition, at in publication.offsets.items()
        }
    if publication.source_version:
        found["source_version"] = publication.source_version
    if publication.bytes is not None:
        found["source_bytes"] = publication.bytes
    return found


def check_results(node: Asset, checks: Iterable[CheckResult]) -> Iterator[dg.AssetCheckResult]:
    """The checks as Dagster records them, with what a person needs to act."""
    for check in checks:
        yield dg.AssetCheckResult(
            asset_key=dg.AssetKey(node.name),
            check_name=check.name,
            # Dagster knows no third state, and what is yellow every day is overlooked: what is known is said, in words.
            passed=check.passed or check.known is not None,
            severity=dg.AssetCheckSeverity.ERROR if check.severity == "error" else dg.AssetCheckSeverity.WARN,
            description=harmless(check.summary),
            metadata=_evidence(check),
        )


def _evidence(check: CheckResult) -> dict[str, Any]:
    found: dict[str, Any] = {"summary": harmless(check.summary), "failing": check.failing}
    if check.known:
        found["known"] = check.known
    if check.learning:
        found[LEARNING] = True
    if check.reasons:
        found["reasons"] = text_table([{"reason": code, "rows": count} for code, count in check.reasons.items()])
    if check.sample:
        found["sample"] = text_table([{name: _text(value) for name, value in row.items()} for row in check.sample])
    if check.sample_sql:
        found["find_all"] = check.sample_sql
    return found


def _profile(node: TableDef, publication: Publication) -> dg.TableMetadataValue:
    """The profile; of what identifies things a mean would say nothing."""
    ids = Contract.of(node.model).identifiers(node)
    rows = [
        {
            "column": column.name,
            "nulls": f"{column.nulls:,}",
            "distinct": "" if column.distinct is None else f"{column.distinct:,}",
            "min": _short(column.minimum),
            "max": _short(column.maximum),
            "mean": "" if column.mean is None or column.name in ids else f"{column.mean:,.5g}",
        }
        for column in publication.profile
    ]
    if not any(row["mean"] for row in rows):
        rows = [{name: value for name, value in row.items() if name != "mean"} for row in rows]
    return text_table(rows)


def _short(text: str | None) -> str:
    if text is None:
        return ""
    return harmless(text if len(text) <= WIDE else f"{text[: WIDE - 1]}…", keep="")


def text_table(rows: list[dict[str, Any]]) -> dg.TableMetadataValue:
    """Rows as Dagster shows them; a field that a row lacks is empty there, for Dagster wants the same ones in all."""
    types = {str: "string", int: "int", float: "float"}
    first = {name: value for row in reversed(rows) for name, value in row.items()}
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = [dg.TableColumn(name, types.get(type(first[name]), "string")) for name in names]
    records = [dg.TableRecord({name: row.get(name, "") for name in names}) for row in rows]
    return dg.TableMetadataValue(records, dg.TableSchema(columns))


def _text(value: Any) -> str:
    return visible(None if value is None else str(value))
