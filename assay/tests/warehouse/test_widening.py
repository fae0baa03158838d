"""Columns that a table takes beyond its contract: published as text, read by nobody's code, and what becomes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay.build import BuildResult
from assay.contract.classification import public
from assay.errors import WiringError
from assay.orchestration.metadata import publication_metadata
from assay.sources import Ndjson
from assay.tables.graph import Graph
from assay.tables.loads import History, Incremental
from assay.tables.nodes import Node, RejectBudget
from assay.tables.run import Run
from assay.warehouse.quarantine.replay import replay
from tests.golden.tree import with_graph
from tests.warehouse.house import House, check, given, made


class Row(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(unique=True, metadata=public)
    v: dt.Int64 = pa.Field(ge=0, metadata=public)


class Copy(Row):
    class Config:
        strict = True


class Version(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)
    v: dt.Int64 = pa.Field(metadata=public)
    valid_from: dt.Timestamp(timezone="UTC", scale=6) = pa.Field(metadata=public)
    valid_to: dt.Timestamp(timezone="UTC", scale=6) = pa.Field(nullable=True, metadata=public)

    class Config:
        unique = ["k", "valid_from"]


class Taking(House):
    """A house whose one table takes what the file of the day has."""

    def __init__(self, folder: Path, model: Any = Row, path: str = "*.x", **options: Any) -> None:
        super().__init__(folder, threads=1)
        new_only = bool(options.pop("new_only", False))
        columns = {"k": "BIGINT", "v": "BIGINT"}
        self.a = given("a", model, Ndjson("given", path, columns=columns, extra="add", new_only=new_only), **options)

    def day(self, name: str, *items: dict[str, object], nodes: tuple[Node, ...] = ()) -> BuildResult:
        (self.folder / f"{name}.x").write_text("".join(f"{json.dumps(item)}\n" for item in items))
        return self.build(self.a, *nodes)

    def columns(self) -> dict[str, str]:
        return {row[0]: row[1] for row in self.rows(f"DESCRIBE {self.session.relation(self.a)}")}


def test_a_replaced_table_has_what_its_source_has_today(tmp_path, capsys):
    house = Taking(tmp_path)
    assert house.day("a", {"k": 1, "v": 1}).ok
    assert house.columns() == {"k": "BIGINT", "v": "BIGINT"}
    result = house.day("a", {"k": 1, "v": 1, "new": 1.50})
    assert result.ok
    assert check(result, "a", "schema").passed
    assert house.columns() == {"k": "BIGINT", "v": "BIGINT", "new": "VARCHAR"}
    assert house.table(house.a) == [(1, 1, "1.5")]
    assert [column.name for column in result.publications["a"].profile] == ["k", "v", "new"]
    capsys.readouterr()
    assert house.day("a", {"k": 1, "v": 1}).ok
    assert house.columns() == {"k": "BIGINT", "v": "BIGINT"}
    assert "a: the source has no more: new, which its contract never named" in capsys.readouterr().err


def test_where_rows_stay_a_column_stays_and_is_null_where_it_was_not_told(tmp_path):
    house = Taking(tmp_path, new_only=True)
    assert house.day("1", {"k": 1, "v": 1}).ok
    assert house.day("2", {"k": 2, "v": 2, "new": "x"}).ok
    assert house.day("3", {"k": 3, "v": 3}).ok
    assert house.day("4", {"k": 4, "v": 4, "other": True}).ok
    assert house.table(house.a) == [
        (1, 1, None, None),
        (2, 2, "x", None),
        (3, 3, None, None),
        (4, 4, None, "true"),
    ]


def test_a_merge_updates_by_a_new_column_too(tmp_path):
    house = Taking(tmp_path, path="a.x", load=Incremental(cursor="v"))
    assert house.day("a", {"k": 1, "v": 1}, {"k": 2, "v": 2}).ok
    result = house.day("a", {"k": 1, "v": 3, "new": "x"}, {"k": 2, "v": 2, "new": "y"})
    assert result.ok
    assert dict(result.publications["a"].changes)["updated"] == 2
    assert house.table(house.a) == [(1, 3, "x"), (2, 2, "y")]


def test_a_history_opens_a_version_by_a_new_column(tmp_path):
    house = Taking(tmp_path, Version, path="a.x", load=History())
    assert house.day("a", {"k": 1, "v": 1}).ok
    assert house.day("a", {"k": 1, "v": 1, "new": "x"}).ok
    versions = f"SELECT k, new, valid_to IS NULL FROM {house.session.relation(house.a)} ORDER BY 3"
    assert house.rows(versions) == [(1, None, False), (1, "x", True)]


def test_tables_that_read_it_get_what_the_contract_says(tmp_path):
    """A source with a column more turns no other table red."""
    house = Taking(tmp_path)
    copy = made("copy", Copy, {"a": Row}, lambda a: a, preserves="a")
    assert house.day("a", {"k": 1, "v": 1, "new": "x"}, nodes=(copy,)).ok
    assert house.table(copy) == [(1, 1)]


def test_a_build_that_fails_publishes_none_of_its_rows(tmp_path):
    house = Taking(tmp_path, new_only=True)
    assert house.day("1", {"k": 1, "v": 1}).ok
    assert not house.day("2", {"k": 2, "v": -2, "new": "x"}).ok
    assert house.table(house.a) == [(1, 1, None)]
    (tmp_path / "2.x").unlink()
    assert house.day("3", {"k": 3, "v": 3}).ok
    assert house.table(house.a) == [(1, 1, None), (3, 3, None)]


def test_what_was_set_aside_is_replayed_with_its_new_columns(tmp_path):
    house = Taking(tmp_path, new_only=True, max_rejects=RejectBudget(rows=5))
    assert house.day("1", {"k": 1, "v": 1, "new": "x"}, {"k": 2, "v": -2, "new": "y"}).ok
    lenient = given("a", Lenient, house.a.source)
    publication = replay(house.session, Graph.of([lenient]), lenient, Run.start())
    assert publication.staged == 1
    assert house.table(house.a) == [(1, 1, "x"), (2, -2, "y")]


class Lenient(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(unique=True, metadata=public)
    v: dt.Int64 = pa.Field(metadata=public)


def test_a_column_that_the_contract_names_at_last_has_its_type(tmp_path):
    house = Taking(tmp_path)
    assert house.day("a", {"k": 1, "v": 1, "new": 7}).ok

    class Named(Row):
        new: dt.Int64 = pa.Field(nullable=True, metadata=public)

    house.a = given("a", Named, Ndjson("given", "*.x", extra="add"))
    assert house.day("a", {"k": 1, "v": 1, "new": 7}).ok
    assert house.table(house.a) == [(1, 1, 7)]


def test_a_function_that_chooses_its_columns_is_told_what_it_does_not_take(tmp_path, capsys):
    house = Taking(tmp_path, function=lambda source: source.select("k", "v"))
    assert house.day("a", {"k": 1, "v": 1, "new": 7}).ok
    assert house.table(house.a) == [(1, 1)]
    assert "these are not taken: new" in capsys.readouterr().err


def test_a_strict_contract_does_not_go_with_it():
    with pytest.raises(WiringError, match="takes columns that a strict contract refuses"):
        Graph.of([given("a", Copy, Ndjson("given", "a.x", extra="add"))])


def test_a_golden_has_what_was_taken_masked_as_nobody_classified_it(tree):
    source = Ndjson("shop_files", "a.ndjson", extra="add")
    project = with_graph(tree.project, Graph.of([given("a", Row, source)]))
    tree = type(tree)(project)
    folder = tree.accepted(
        "wide",
        {
            "case.yml": "description: A column more\ntables: [a]\n",
            "inputs/shop_files/a.ndjson": '{"k": 1, "v": 1, "new": "ann"}\n',
        },
    )
    assert "new: VARCHAR" in (folder / "expected" / "a.schema.yml").read_text()
    assert '"new": "masked:' in (folder / "expected" / "a.ndjson").read_text()
    tree.write("wide/inputs/shop_files/a.ndjson", '{"k": 1, "v": 1}\n')
    assert tree.run().exit_code == 1


def test_dagster_lists_it_among_the_columns(tmp_path):
    house = Taking(tmp_path)
    publication = house.day("a", {"k": 1, "v": 1, "new": "x"}).publications["a"]
    schema = publication_metadata(house.a, publication)["dagster/column_schema"]
    assert [(column.name, column.tags["classification"]) for column in schema.columns][-1] == ("new", "unclassified")
