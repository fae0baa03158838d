"""New output waits for a decision; accepting refuses what moved, what is broken and what was tampered with."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from assay.compare.model import SqlColumn
from assay.errors import GoldenError
from assay.golden import store
from assay.golden.pending import Moved, PendingStore
from assay.golden.store import Schema
from tests.golden.tree import FIVE_ORDERS, Tree
from tests.shop.project import ORDERS, shop_project

SCHEMA = Schema((SqlColumn("id", "BIGINT", nullable=False),), ("id",))
MOVED = Moved("inputs", "code", "golden")


@pytest.fixture(scope="module")
def changed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A golden folder with an accepted case whose input changed since, so that new output waits."""
    tree = Tree(shop_project(tmp_path_factory.mktemp("changed")))
    tree.accepted()
    tree.write("five/inputs/shop_files/orders.csv", ORDERS.replace("7.25", "7.26"))
    assert tree.run().exit_code == 1
    return tree.golden


@pytest.fixture
def changed(tree: Tree, changed_once: Path) -> Tree:
    """A copy of it."""
    shutil.copytree(changed_once, tree.golden, dirs_exist_ok=True)
    return tree


def test_accepting_makes_the_new_output_golden(changed: Tree) -> None:
    said = changed.cli("accept", "five/orders")
    assert said.output == "accepted  five/orders\n"
    assert '"7.26"' in (changed.golden / "five/expected/orders.ndjson").read_text()
    assert changed.store.names() == [("five", "daily_sales")]
    assert changed.cli("accept").exit_code == 0
    assert changed.run().exit_code == 0


def test_accepting_keeps_tolerance_and_volatile_columns(tree: Tree) -> None:
    folder = tree.accepted()
    path = folder / "expected/orders.schema.yml"
    path.write_text(path.read_text().replace("masked: [email]", "volatile: [ordered_on]\nmasked: [email]"))
    tree.write("five/inputs/shop_files/orders.csv", ORDERS.replace("7.25", "7.26").replace("03-02", "03-03"))
    (orders, _) = tree.run().tables
    assert orders.comparisons[0].difference is not None
    assert orders.comparisons[0].difference.columns == {"amount": 1}
    tree.cli("accept")
    assert "volatile: [ordered_on]" in path.read_text()


def test_an_equal_run_takes_back_older_output(changed: Tree) -> None:
    changed.write("five/inputs/shop_files/orders.csv", ORDERS)
    assert changed.run().exit_code == 0
    assert changed.store.names() == []


@pytest.mark.parametrize(
    ("path", "content", "moved"),
    [
        ("five/inputs/shop_files/orders.csv", ORDERS.replace("7.25", "8.00"), "the case's inputs"),
        ("five/case.yml", "description: Other\ntables: [orders, daily_sales]\n", "the case's inputs"),
        ("five/expected/orders.ndjson", "", "the golden"),
    ],
)
def test_accepting_refuses_when_something_moved(changed: Tree, path: str, content: str, moved: str) -> None:
    before = (changed.golden / "five/expected/orders.schema.yml").read_text()
    changed.write(path, content)
    said = changed.cli("accept", "five/orders")
    assert said.exit_code == 2
    assert said.stderr.startswith(f"error: five/orders: {moved} changed since the run that made the new output")
    assert (changed.golden / "five/expected/orders.schema.yml").read_text() == before
    assert ("five", "orders") in changed.store.names()


def test_accepting_refuses_when_code_moved(changed: Tree) -> None:

    def orders(raw_orders: Any) -> Any:
        return raw_orders.filter(raw_orders.amount != 5)

    said = changed.with_code(orders=orders).cli("accept", "five/daily_sales")
    assert said.exit_code == 2
    assert "five/daily_sales: the code changed since the run" in said.stderr


def test_accepting_refuses_output_that_breaks_its_contract(tree: Tree) -> None:
    tree.accepted()
    tree.write("five/inputs/shop_files/orders.csv", ORDERS.replace("10.00", "-10.00"))
    assert tree.run().exit_code == 1
    said = tree.cli("accept", "five/orders")
    assert said.exit_code == 2
    assert "the new output breaks its contract: rows_valid: 2 of 5 rows rejected" in said.stderr
    assert "cannot be accepted" in tree.cli("pending").output


@pytest.mark.parametrize("damage", ["edit", "truncate", "garbage", "other"])
def test_accepting_refuses_a_pending_file_that_is_not_whole(changed: Tree, damage: str) -> None:
    path = changed.store.path("five", "orders")
    text = path.read_text()
    damaged = {
        "edit": text.replace("7.26", "9999.00"),
        "truncate": text[: len(text) // 2],
        "garbage": "\x00\x01",
        "other": text.replace('"case": "five"', '"case": "six"'),
    }
    path.write_text(damaged[damage])
    said = changed.cli("accept", "five/orders")
    assert said.exit_code == 2
    assert "orders.ndjson.new: is no whole pending file. Run `pipeline golden five` again." in said.stderr


def test_of_a_case_all_is_accepted_or_nothing(tree: Tree) -> None:
    """The rejected rows are sound output, but they come of a table that broke its contract."""
    folder = tree.accepted()
    before = (folder / "expected/orders.rejects.ndjson").read_text()
    tree.write("five/inputs/shop_files/orders.csv", ORDERS.replace("10.00", "-10.00"))
    tree.run()
    waiting = tree.store.names()
    assert waiting == [("five", "orders"), ("five", "orders.rejects")]
    for selection in ((), ("five",), ("five/orders",)):
        said = tree.cli("accept", *selection)
        assert (said.exit_code, said.stdout) == (2, "")
        assert said.stderr == (
            "error: five/orders: the new output breaks its contract: rows_valid: 2 of 5 rows rejected, "
            "above the budget of 1 row: amount.ge_0 2; nothing of five was accepted. "
            "Fix the table or its contract; or, if the case is about that, name the checks under expects_checks.\n"
        )
        assert (folder / "expected/orders.rejects.ndjson").read_text() == before
        assert tree.store.names() == waiting


def test_one_case_that_is_refused_does_not_keep_others_from_being_accepted(changed: Tree) -> None:
    changed.case("six", FIVE_ORDERS)
    changed.run("six")
    changed.write("five/expected/orders.ndjson", "")
    said = changed.cli("accept")
    assert said.exit_code == 2
    assert said.stdout.splitlines() == [f"accepted  six/{name}" for name in ("daily_sales", "orders", "orders.rejects")]
    assert changed.store.names() == [("five", "daily_sales"), ("five", "orders")]


def test_accepting_what_is_not_pending(tree: Tree) -> None:
    tree.accepted()
    assert tree.cli("accept", "five/orders").stderr == (
        "error: nothing is pending for five/orders. Run `pipeline golden five` first.\n"
    )
    assert tree.cli("accept", "fiv").stderr == "error: no case named 'fiv'. Did you mean five?\n"
    assert tree.cli("reject", "zebra").exit_code == 2
    assert tree.cli("accept").exit_code == 0


def test_a_table_no_longer_under_test(changed: Tree) -> None:
    changed.write("five/case.yml", "description: x\ntables: [orders]\n")
    assert "five/daily_sales: 'daily_sales' is no longer under test" in changed.cli("accept", "five/daily_sales").stderr
    assert changed.cli("reject", "five/daily_sales").exit_code == 0


def test_rejecting_leaves_the_golden(changed: Tree) -> None:
    before = (changed.golden / "five/expected/orders.ndjson").read_text()
    assert changed.cli("reject", "five/orders").output == "rejected  five/orders\n"
    assert (changed.golden / "five/expected/orders.ndjson").read_text() == before
    assert changed.cli("pending").exit_code == 3


def test_pending_as_json(changed: Tree) -> None:
    said = changed.cli("pending", "--json")
    assert said.exit_code == 3
    assert json.loads(said.output)[0] == {
        "case": "five",
        "table": "daily_sales",
        "name": "daily_sales",
        "rows": 3,
        "refused": None,
        "path": "golden/.pending/five/daily_sales.ndjson.new",
    }


def test_review_walks_through_what_is_pending(changed: Tree) -> None:
    said = changed.cli("review", input="s\na\n")
    assert "[1/2] five/daily_sales" in said.output
    assert "amount  7.25 -> 7.26  (+0.01)" in said.output
    assert said.output.endswith("1 left\n")
    assert changed.store.names() == [("five", "daily_sales")]
    assert changed.cli("review", input="r\n").output.endswith("nothing left\n")
    assert '"7.25"' in (changed.golden / "five/expected/daily_sales.ndjson").read_text()


def test_review_shows_new_and_refused_output_and_can_stop(tree: Tree) -> None:
    tree.case("five", FIVE_ORDERS)
    tree.run()
    said = tree.cli("review", input="q\n")
    assert "+ ordered_on=2026-03-01  order_count=2  amount=30.50" in said.output
    assert said.output.endswith("3 left\n")
    tree.write("five/inputs/shop_files/orders.csv", ORDERS.replace("10.00", "-10.00"))
    tree.run()
    said = tree.cli("review", "five/orders", input="a\ns\n")
    assert "cannot be accepted, it breaks its contract" in said.output
    assert said.exit_code == 2


def test_nothing_is_written_in_ci(changed: Tree) -> None:
    changed.store.drop("five", "orders")
    changed.store.drop("five", "daily_sales")
    before = sorted(path for path in changed.golden.rglob("*"))
    assert changed.cli(env={"CI": "true"}).exit_code == 1
    assert sorted(path for path in changed.golden.rglob("*")) == before
    for command in ("accept", "reject", "review", "prune"):
        said = changed.cli(command, env={"CI": "true"})
        assert (said.exit_code, "in CI no golden is written" in said.stderr) == (2, True)


def test_a_missing_golden_fails_in_ci(tree: Tree) -> None:
    tree.case("five", FIVE_ORDERS)
    assert tree.cli(env={"CI": "true"}).exit_code == 3
    assert not (tree.golden / ".pending").exists()


def test_ci_may_say_where_new_output_goes(tree: Tree, tmp_path: Path) -> None:
    tree.case("five", FIVE_ORDERS)
    assert tree.cli("--pending-dir", str(tmp_path / "kept"), env={"CI": "true"}).exit_code == 3
    assert len(list((tmp_path / "kept").rglob("*.ndjson.new"))) == 3
    assert not (tree.golden / ".pending").exists()


def test_two_runs_at_once_lose_no_pending_file(tmp_path: Path) -> None:
    folder = PendingStore(tmp_path / "pending")
    start = threading.Barrier(4)

    def run(number: int) -> None:
        start.wait()
        for turn in range(25):
            folder.keep("own", f"t{number}", MOVED, SCHEMA, [(str(turn),)])
            folder.keep("shared", "t", MOVED, SCHEMA, [(str(number),)] * (turn + 1))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert folder.names() == [*(("own", f"t{number}") for number in range(4)), ("shared", "t")]
    for case, name in folder.names():
        assert folder.read(case, name).rows
    assert [path for path in folder.folder.rglob("*") if path.is_file() and path.suffix != ".new"] == []


def test_a_tree_that_cannot_be_written_is_one_line_and_the_difference_still_shows(tree: Tree) -> None:
    tree.case("five", FIVE_ORDERS)
    (tree.golden / ".pending").write_text("a file where the folder should be")
    said = tree.cli()
    assert said.exit_code == 2
    assert "GOLDEN NEW  case=five  table=orders" in said.output
    assert "new output cannot be kept" in said.output


def test_a_golden_that_cannot_be_written(tree: Tree) -> None:
    tree.case("five", FIVE_ORDERS)
    tree.run()
    (tree.golden / "five/expected").write_text("a file where the folder should be")
    with pytest.raises(GoldenError, match="golden/five/expected: cannot be written"):
        store.write_golden(tree.golden / "five/expected", "orders", SCHEMA, [])


def test_orphans_are_found_in_the_tree_and_pruned(tree: Tree) -> None:
    tree.accepted()
    tree.write("five/case.yml", "description: x\ntables: [orders]\n")
    tree.write("five/expected/notes.txt", "")
    tree.store.keep("gone", "orders", MOVED, SCHEMA, [])
    result = tree.run()
    assert result.exit_code == 3
    assert result.orphans == (
        "golden/five/expected/daily_sales.ndjson",
        "golden/five/expected/daily_sales.schema.yml",
        "golden/five/expected/notes.txt",
        "golden/.pending/gone/orders.ndjson.new",
    )
    assert tree.run("five/orders").orphans == ()
    assert tree.cli(env={"CI": "1"}).exit_code == 3
    assert tree.cli("prune", "--dry-run").output.count("would delete") == 4
    assert tree.cli("prune").output.count("deleted") == 4
    assert tree.run().exit_code == 0
    assert (tree.golden / "five/expected/orders.ndjson").exists()
