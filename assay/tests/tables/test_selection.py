"""Tables are chosen by name, pattern, tag, owner, stage and state, with what is above and below them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay.contract.classification import public
from assay.errors import WiringError
from assay.tables.graph import Graph
from assay.tables.selection import select
from tests.little import Little
from tests.warehouse.house import Given, House, given, made, values


class One(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)


def graph() -> Graph:
    raw = given("raw_orders", One, Given(values("k BIGINT", "1")), owner="team:shop", tags={"domain": "finance"})
    orders = made("orders", One, {"raw_orders": One}, lambda raw_orders: raw_orders, tags={"daily": ""})
    sales = made("sales", One, {"orders": One}, lambda orders: orders, tags={"daily": "", "domain": "sales"})
    return Graph.of([raw, orders, sales])


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["orders"], ["orders"]),
        (["+orders"], ["raw_orders", "orders"]),
        (["orders+"], ["orders", "sales"]),
        (["+orders+"], ["raw_orders", "orders", "sales"]),
        (["*orders"], ["raw_orders", "orders"]),
        (["tag:daily"], ["orders", "sales"]),
        (["tag:domain=finance"], ["raw_orders"]),
        (["tag:domain"], ["raw_orders", "sales"]),
        (["owner:team:shop+"], ["raw_orders", "orders", "sales"]),
        (["stage:warehouse"], ["raw_orders"]),
        (["state:failed"], ["orders"]),
        (["state:new+", "raw_orders"], ["raw_orders", "sales"]),
        ([], []),
    ],
)
def test_words_choose_tables(words: list[str], names: list[str]) -> None:
    states = {"raw_orders": "replace", "orders": "failed"}
    assert select(graph(), words, lambda: states) == names


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("order", "no table named 'order'. Did you mean"),
        ("tag:dialy", "'tag:dialy' chooses nothing. Did you mean daily?"),
        ("owner:team:x", "'owner:team:x' chooses nothing"),
        ("state:failed", "no table is failed"),
        ("state:broken", "Known: failed, new."),
    ],
)
def test_a_word_that_chooses_nothing_is_an_error(word: str, told: str) -> None:
    with pytest.raises(WiringError) as caught:
        select(graph(), [word])
    assert told in str(caught.value)


def test_the_state_is_the_newest_publication_s(tmp_path: Path) -> None:
    from assay.commands.selecting import chosen

    house, source = House(tmp_path), Given(values("k BIGINT", "NULL"))
    table = given("t", One, source)
    assert house.build(table).errors

    class Project:
        graph, root, package = Graph.of([table, given("other", One, source)]), tmp_path, "shop"

        def settings(self) -> Any:
            return type("Settings", (), {"warehouse": house.file, "lock_timeout": 0, "env": "dev"})

    house.leave()
    project: Any = Project()
    assert chosen(project, ["state:failed"], False, False) == ["t"]
    assert chosen(project, ["state:new"], False, False) == ["other"]
    source.sql = values("k BIGINT", "1")
    assert house.build(table).ok
    house.leave()
    with pytest.raises(WiringError, match="no table is failed"):
        chosen(project, ["state:failed"], False, False)
    house.file.unlink()
    duckdb.connect(str(house.file)).close()
    assert set(chosen(project, ["state:new"], False, False)) == {"t", "other"}, "of a database without books"


@pytest.mark.slow
def test_commands_take_the_words(tmp_path: Path) -> None:
    little = Little(tmp_path)
    for name, tags in (("aa", '{"domain": "finance"}'), ("bb", "{}")):
        file = little.table(name)
        file.write_text(file.read_text().replace("source=Given()", f'source=Given(), tags={tags}, owner="team:shop"'))
    once = '(ROOT / "once").touch(exist_ok=False)'  # a source that is there at the second time
    little.table("late", land=f'if not (ROOT / "once").exists(): {once}; raise SourceError("is not there yet")')
    done = little.many(("run", "late"), ("run", "state:failed"), ("run", "state:failed"))
    assert [code for code, _, _ in done] == [2, 0, 2], done
    assert ("extract.late" in done[1][1], "no table is failed" in done[2][2]) == (True, True)
    done = little.many(
        ("run", "tag:domain=finance+"), ("plan", "state:new"), ("run", "tag:finanse"), ("run", "owner:team:shop")
    )
    assert [code for code, _, _ in done] == [0, 2, 2, 0], done
    assert ("extract.aa" in done[0][1], "extract.bb" in done[0][1]) == (True, False)
    assert ("extract.aa" in done[1][1], "extract.bb" in done[1][1]) == (False, True)
    assert "'tag:finanse' chooses nothing" in done[2][2]
    assert ("extract.aa" in done[3][1], "extract.bb" in done[3][1]) == (True, True)
