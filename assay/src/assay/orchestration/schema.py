"""What Dagster's pages show of a table before any run: its relation, its contract's columns, and where its code stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from assay.contract.contract import Contract
from assay.tables.code_version import source_location
from assay.tables.nodes import Asset, TableDef
from assay.words import sentence

ORIGINS = 4
"""So many columns that a column comes from are named."""

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
