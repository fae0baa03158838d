"""What Dagster's pages show of a build: schema, lineage, counts, profile and the checks' evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import dagster as dg

from assay.compare.text import visible
from assay.contract.contract import Contract
from assay.orchestration.schema import column_schema
from assay.orchestration.state import LEARNING, NEWEST, OFFSETS
from assay.sources.events import EventLog
from assay.tables.nodes import Asset, ExportDef, TableDef
from assay.tables.results import CheckResult, Publication
from assay.words import harmless

PARTITION_ROWS = "dagster/partition_row_count"
WIDE = 28
"""So many characters of a value stand in a profile."""


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
