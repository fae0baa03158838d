"""File and line of the source reach the rejects of a table that renames, computes, filters and orders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest
from ibis import _

from assay.build import build
from assay.contract.classification import public
from assay.sources import Csv, Sources
from assay.tables.graph import Graph
from assay.tables.nodes import RejectBudget
from assay.tables.places import SOURCE_COLUMNS, with_places
from assay.tables.run import Run
from assay.warehouse.warehouse import DuckDBWarehouse
from tests.warehouse.house import given


class Prices(pa.DataFrameModel):
    name: dt.String = pa.Field(metadata=public)
    cents: dt.Int64 = pa.Field(ge=0, metadata=public)

    class Config:
        strict = True


def places(tmp_path: Path, function: Any) -> list[tuple[Any, ...]]:
    """File and line of what is rejected of a table that `function` makes of a file."""
    (tmp_path / "p.csv").write_text("product,price\ntea,1\nale,-2\nrum,-3\n")
    source = Csv("files", "p.csv", columns={"product": "VARCHAR", "price": "BIGINT"})
    node = given(function.__name__, Prices, source, function=function, max_rejects=RejectBudget(rows=9))
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb", output=tmp_path, scratch=tmp_path / "scratch")
    with warehouse.session() as session:
        result = build(Graph.of([node]), [node.name], session, Run.start(), Sources({"files": str(tmp_path)}))
        assert result.ok, result.errors
        query = "SELECT source_file, source_line FROM w.quarantine.rejects ORDER BY ALL"
        return session.connection.execute(query).fetchall()


def renamed(source: Any) -> Any:
    return source.select(name=source.product, cents=source.price * 100)


def mutated(source: Any) -> Any:
    return source.mutate(cents=_.price * 100).filter(_.product != "rum").rename(name="product").select("name", "cents")


def ordered(source: Any) -> Any:
    return source.order_by("price").mutate(last=_.price.max()).select(name=_.product, cents=_.price * 100)


def summed(source: Any) -> Any:
    return source.group_by(name=_.product).agg(cents=_.price.sum())


def distinct(source: Any) -> Any:
    return source.select(name=_.product, cents=_.price).distinct()


@pytest.mark.parametrize(
    ("function", "found"),
    [
        (renamed, [("p.csv", 3), ("p.csv", 4)]),
        (mutated, [("p.csv", 3)]),
        (ordered, [("p.csv", 3), ("p.csv", 4)]),
        (summed, [(None, None), (None, None)]),
        (distinct, [(None, None), (None, None)]),
    ],
)
def test_rows_made_one_by_one_keep_their_places(tmp_path, function, found):
    assert places(tmp_path, function) == found


def test_what_is_no_row_of_the_source_stays_as_it_is():
    source = ibis.table({"a": "int64", "_source_file": "string", "_source_line": "int64"}, name="s")
    other = ibis.table({"a": "int64"}, name="o")
    for rows in (source.join(other, "a").select("a"), source.union(source), other.select("a"), source.limit(1)):
        assert with_places(rows, source).equals(rows)
    assert with_places(source.select("a"), source).columns == ("a", *SOURCE_COLUMNS)
    assert with_places(other.select("a"), other).columns == ("a",)
