"""`case.yml` is read strictly: every mistake is one line with file and line number."""

from __future__ import annotations

import datetime as dtm
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from assay.errors import GoldenError
from assay.golden.case import NOW, check_case, read_case, read_cases, selected_tables
from assay.orchestration.golden_job import golden_definitions
from assay.tables.partitions import PartitionRange
from tests.golden.tree import Tree


def test_everything_a_case_can_say(tree: Tree) -> None:
    folder = tree.case(
        "full",
        {
            "case.yml": """\
description: Says everything
owner: team:shop
now: 2026-03-05T00:30:00-05:00
seed: 7
partition: 2026-03-01..2026-03-02
tables: [orders]
empty: [raw_orders]
expects_checks: {orders: [reconciles]}
expects_error: {daily_sales: no sales}
"""
        },
    )
    case = read_case(folder)
    assert case.now == dtm.datetime(2026, 3, 5, 5, 30, tzinfo=dtm.UTC)
    assert case.run().now == case.now
    assert (case.seed, case.owner, case.tables, case.empty) == (7, "team:shop", ("orders",), ("raw_orders",))
    assert case.partition == PartitionRange.parse("2026-03-01..2026-03-02")
    assert case.subjects == ("orders", "daily_sales")
    check_case(case, tree.project.graph)


def test_defaults_are_frozen(tree: Tree) -> None:
    case = read_case(tree.case("small", {"case.yml": "description: x\ntables: [orders]\n"}))
    assert (case.now, case.partition) == (NOW, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("description: x\ntabels: [orders]\n", "case.yml:2: unknown key 'tabels'. Did you mean 'tables'?"),
        ("description: x\nfoo: 1\n", "case.yml:2: unknown key 'foo'. Known: description"),
        ("tables: [orders]\n", "case.yml: 'description' is missing"),
        ("", "case.yml: 'description' is missing"),
        ("description: x\n", "case.yml: no table is under test"),
        ("description: x\ntables: orders\n", "case.yml:2: 'tables' is no list of names"),
        ("description: x\ntables: [orders, orders]\n", "case.yml:2: 'orders' stands twice in 'tables'"),
        ("description: x\ntables: [1]\n", "case.yml:2: 'tables' is no list of names"),
        ("description: x\ndescription: y\n", "case.yml:2: the key 'description' stands twice"),
        ("- a\n", "case.yml:1: holds no mapping"),
        ("description: [\n", "case.yml:2: is no YAML"),
        ("description: 1\ntables: [orders]\n", "case.yml:1: 'description' is no text"),
        ("description: x\nnow: 2018-01-01\ntables: [orders]\n", "case.yml:2: 'now' is no instant"),
        ("description: x\nnow: 2018-01-01 05:00:00\ntables: [orders]\n", "case.yml:2: 'now' is no instant"),
        ("description: x\nseed: ten\ntables: [orders]\n", "case.yml:2: 'seed' is no integer"),
        ("description: x\npartition: 2026-03\ntables: [orders]\n", "case.yml:2: '2026-03' is no partition"),
        ("description: x\npartition: 2026-03-02..2026-03-01\ntables: [orders]\n", "ends before it starts"),
        (
            "description: x\ntables: [orders]\nexpects_error:\n  orders: gone\n",
            "case.yml:4: 'orders' is under test and",
        ),
        ("description: x\ntables: [orders]\nexpects_error:\n  daily_sales: 3\n", "case.yml:4: says no text"),
        (
            "description: x\ntables: [orders]\nexpects_checks:\n  letter: [a]\n",
            "case.yml:4: 'letter' is not under test",
        ),
        (
            "description: x\ntables: [orders]\nexpects_checks:\n  orders: a\n",
            "case.yml:4: 'expects_checks.orders' is no",
        ),
        ("description: x\ntables: [orders]\nexpects_checks: [a]\n", "case.yml:3: 'expects_checks' is no mapping"),
        ("description: caf\xe9\n".encode("latin-1"), "case.yml: cannot be read"),
        ("description: x\ntables: " + "[" * 200_000, "case.yml:2: is nested deeper than 50"),
        ("description: &a\n- *a\n", "holds an alias of itself"),
        ("a: &a [x]\nb: [" + "*a, " * 101 + "]\n", "case.yml:2: has more than 100 aliases"),
        (
            "a0: &a0 [x, x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)),
            "case.yml: has more than 20,000 parts",
        ),
        (
            "description: x\ntables: [orders]\nexpects_checks: {orders: [a, a]}\n",
            "'a' stands twice in 'expects_checks.orders'",
        ),
    ],
)
def test_a_mistake_is_one_line(tree: Tree, text: str | bytes, message: str) -> None:
    folder = tree.case("wrong", {"case.yml": text})
    with pytest.raises(GoldenError) as caught:
        read_case(folder)
    assert message in str(caught.value)
    assert str(caught.value).startswith("golden/wrong/case.yml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tables: [ordesr]\n", "case.yml:2: no table named 'ordesr'. Did you mean orders"),
        ("tables:\n  - orders\n  - zebra\n", "case.yml:4: no table named 'zebra'. `pipeline tables` lists them"),
        ("partition: March\ntables: [orders]\n", "case.yml:2: 'March' is no partition"),
        ("partition: 1999-01-01\ntables: [orders]\n", "case.yml:2: 1999-01-01 is outside the partitions of 'orders'"),
        ("tables: [letter]\n", "case.yml:2: 'letter' is an exported file"),
        ("tables: [orders]\nempty: [order]\n", "case.yml:3: no table named 'order'"),
        ("tables: [orders]\nempty: [orders]\n", "case.yml:3: 'orders' is under test and given as empty"),
        ("expects_error: {zebra: x}\n", "case.yml:2: no table named 'zebra'"),
    ],
)
def test_an_unknown_table_is_one_line(tree: Tree, text: str, message: str) -> None:
    case = read_case(tree.case("wrong", {"case.yml": f"description: x\n{text}"}))
    with pytest.raises(GoldenError) as caught:
        check_case(case, tree.project.graph)
    assert message in str(caught.value)


def test_a_folder_without_case_yml(tree: Tree) -> None:
    (tree.golden / "forgotten").mkdir()
    with pytest.raises(GoldenError, match=r"golden/forgotten: the case has no case.yml"):
        read_cases(tree.golden)


def test_a_folder_with_a_name_no_case_has(tree: Tree) -> None:
    tree.case("Not A Case", {"case.yml": "description: x\ntables: [orders]\n"})
    with pytest.raises(GoldenError, match="a case is named in lower case"):
        read_cases(tree.golden)


def test_hidden_folders_and_files_are_no_cases(tree: Tree) -> None:
    tree.case("one", {"case.yml": "description: x\ntables: [orders]\n"})
    (tree.golden / ".pending").mkdir()
    (tree.golden / "README.md").write_text("how to")
    assert [case.name for case in read_cases(tree.golden)] == ["one"]
    assert read_cases(Path("no/such/folder")) == []


def test_selections(tree: Tree) -> None:
    yml = "description: x\ntables: [orders, daily_sales]\n"
    for name in ("march_first", "march_last", "april"):
        tree.case(name, {"case.yml": yml})
    names = [case.name for case in read_cases(tree.golden, ["march_*", "april/orders"])]
    assert names == ["april", "march_first", "march_last"]
    april = read_case(tree.golden / "april")
    assert selected_tables(april, ["april/orders"]) == ("orders",)
    assert selected_tables(april, ["*/daily_*"]) == ("daily_sales",)
    assert selected_tables(april, ["april/orders", "april"]) == ("orders", "daily_sales")
    with pytest.raises(GoldenError, match=r"no case named 'aprl'\. Did you mean april\?"):
        read_cases(tree.golden, ["aprl"])
    with pytest.raises(GoldenError, match=r"no case named 'last'\. Did you mean march_last\?"):
        read_cases(tree.golden, ["last"])
    with pytest.raises(GoldenError, match=r"'letter' is not under test\. Under test: orders, daily_sales"):
        selected_tables(april, ["april/letter"])


def test_names_that_are_one_to_dagster_are_told_and_do_not_end_its_loading(tmp_path: Path) -> None:
    for name in ("two-words", "two_words"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "case.yml").write_text("description: x\ntables: [orders]\n")
    with pytest.raises(GoldenError, match="two_words: to Dagster this is the name of 'two-words' as well"):
        read_cases(tmp_path)
    project: Any = SimpleNamespace(golden=tmp_path, graph=SimpleNamespace(tables={"orders": None}))
    assert len(list(golden_definitions(project).asset_checks or ())) == 2, "of one case, and of the tree"
