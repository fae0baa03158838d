"""What a plan says about every kind of change, and that it says nothing when there is none."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from assay.errors import PlanError, WarehouseError, WarehouseLocked, WiringError
from assay.plan.model import NodePlan, Plan
from assay.plan.planner import bytes_of, make_plan
from assay.plan.text import render
from assay.tables.partitions import PartitionRange
from tests import warm
from tests.plan.sample import HEAD, ROWS, Sample

ORDERS, SALES, RAW, COUNTS = "transform/orders.py", "load/sales.py", "extract/raw_orders.py", "load/counts.py"


def plan(sample: Sample, *names: str, partition: str | None = None, **options: float) -> Plan:
    days = PartitionRange.parse(partition) if partition else None
    return make_plan(sample.project(), names, partition=days, **options)


def node(plan: Plan, name: str) -> NodePlan:
    return next(node for node in plan.nodes if node.name == name)


def why(plan: Plan) -> dict[str, list[str]]:
    return {node.name: [reason.kind for reason in node.reasons] for node in plan.nodes if node.reasons}


def test_without_a_warehouse_everything_is_created(sample: Sample) -> None:
    made = plan(sample)
    assert {node.action for node in made.nodes} == {"create"}
    assert all(kinds == ["new"] for kinds in why(made).values())
    assert node(made, "orders").rows_before is None
    assert node(made, "orders").rows_after == 4
    assert made.exit_code == 2
    assert "absent" in made.proof
    assert not sample.warehouse.exists()
    assert not (sample.root / "data" / "report.txt").exists()


def test_after_a_run_nothing_changes_and_nothing_is_built(built: Sample) -> None:
    made = plan(built)
    assert {node.action for node in made.nodes} == {"none"}
    assert why(made) == {}
    assert made.exit_code == 0
    assert made.footer == "Plan: 0 tables change, 5 unchanged"
    assert made.proof.startswith("Proof: nothing written.")


def test_a_changed_mart_is_built_alone(built: Sample) -> None:
    built.edit(SALES, "_.amount.sum()", "(_.amount.sum() + 1)")
    made = plan(built)
    assert why(made) == {"sales": ["code"], "report": ["upstream"]}
    sales = node(made, "sales")
    assert sales.reasons[0].detail == "sales in load/sales.py"
    assert (sales.action, sales.rows_before, sales.rows_after) == ("replace", 3, 3)
    assert sales.difference is not None
    assert (sales.difference.added, sales.difference.removed, sales.difference.changed) == (0, 0, 3)
    assert sales.difference.columns == {"total": 3}
    assert sales.difference.changes[0].cells[0].delta == "+1"
    assert [(shift.metric, shift.before, shift.after) for shift in sales.shifts] == [
        ("sum", "100.00", "103.00"),
        ("min", "30", "31"),
        ("max", "40", "41"),
    ]
    assert node(made, "report").changes
    assert made.exit_code == 2


@pytest.mark.slow
def test_a_column_that_the_source_has_more_is_shown_and_turns_no_other_table_red(built: Sample) -> None:
    built.edit(RAW, '"orders.csv"', '"orders.csv", extra="add"')
    built.edit(RAW, "        strict = True\n", "")
    assert built.run().ok
    with (built.root / "shop" / "orders.csv").open("w") as file:
        file.write("note,order_id,customer,amount,day\n")
        file.writelines(f"a word,{','.join(map(str, row))}\n" for row in ROWS)
    made = plan(built)
    raw = node(made, "raw_orders")
    assert raw.difference is not None
    assert [(change.kind, change.column, change.actual) for change in raw.difference.schema] == [
        ("added", "note", "VARCHAR")
    ]
    assert "schema  + note VARCHAR" in render(made)
    assert "a word" not in render(made)
    assert node(made, "orders").action in ("none", "replace")
    assert not node(made, "orders").changes
    assert built.run().ok
    built.rows(ROWS)
    gone = plan(built)
    assert [each.detail for each in node(gone, "raw_orders").destructive] == ["drops column note VARCHAR"]


def test_changed_code_with_the_same_result_stops_there(built: Sample) -> None:
    built.edit(ORDERS, "_.amount * 1", "_.amount + 0")
    made = plan(built)
    assert why(made) == {"orders": ["code"]}
    assert node(made, "orders").action == "replace"
    assert not node(made, "orders").changes
    assert made.exit_code == 0


def test_code_of_which_nothing_was_written_down_is_only_called_changed(built: Sample) -> None:
    """As in a warehouse of an older version."""
    import duckdb

    with duckdb.connect(str(built.warehouse)) as connection:
        connection.execute("DROP TABLE ops.code")
    built.edit(ORDERS, "_.amount * 1", "_.amount + 0")
    assert node(plan(built), "orders").reasons[0].detail == "changed since it was built"


def test_a_comment_is_no_change(built: Sample) -> None:
    built.edit(ORDERS, "    return", "    # Cents.\n    return")
    assert why(plan(built)) == {}


def test_a_changed_source_runs_what_follows_from_it(built: Sample) -> None:
    built.rows([*ROWS, (5, "eve", 50, "2024-01-03")])
    made = plan(built)
    assert why(made) == {
        "raw_orders": ["source"],
        "orders": ["upstream"],
        "sales": ["upstream"],
        "counts": ["upstream"],
        "report": ["upstream"],
    }
    orders = node(made, "orders")
    assert orders.difference is not None
    assert orders.difference.added == 1
    assert orders.difference.only_actual[0].values["amount"] == "50"
    assert orders.difference.only_actual[0].values["customer"] != "eve"
    assert "eve" not in str(made.as_dict())


def test_upstream_that_was_published_meanwhile_is_a_reason(built: Sample) -> None:
    built.rows([*ROWS, (5, "eve", 50, "2024-01-03")])
    built.run("raw_orders", "orders")
    made = plan(built)
    assert why(made) == {"sales": ["upstream"], "counts": ["upstream"], "report": ["upstream"]}
    assert node(made, "sales").reasons[0].detail == "orders changed"


def test_asked_for_tables_alone_are_built_on_todays_real_tables(built: Sample) -> None:
    built.rows([*ROWS, (5, "eve", 50, "2024-01-03")])
    made = plan(built, "sales")
    assert why(made) == {"sales": ["requested"]}
    assert not node(made, "sales").changes
    assert made.targets == ("sales",)
    built.edit(ORDERS, "_.amount * 1", "_.amount * 2")
    made = plan(built, "orders")
    assert why(made) == {"orders": ["code"]}
    assert node(made, "orders").rows_after == 4
    assert made.not_in_plan == ("counts", "sales", "report")


def test_a_partition_plan_touches_its_own_days(built: Sample) -> None:
    built.rows([(1, "ann", 11, "2024-01-01"), *ROWS[1:3], (4, "dan", 44, "2024-01-03")])
    built.run("raw_orders")
    made = plan(built, "orders", partition="2024-01-03")
    orders = node(made, "orders")
    assert [reason.kind for reason in orders.reasons] == ["upstream", "partition"]
    assert orders.action == "partition"
    assert orders.partition == "2024-01-03"
    assert orders.difference is not None
    assert (orders.difference.changed, orders.difference.same) == (1, 3)
    assert orders.difference.changes[0].key == {"order_id": "4"}


def test_days_built_by_older_code_are_told(built: Sample) -> None:
    built.edit(ORDERS, "_.amount * 1", "_.amount * 2")
    assert built.run("orders", partition="2024-01-01").ok
    made = plan(built, "orders")
    assert "some partitions were made by code" in node(made, "orders").reasons[0].detail
    assert node(made, "orders").difference.changed == 2  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("old", "new", "kind", "detail"),
    [
        ("raw_orders.mutate(amount=_.amount * 1)", "raw_orders.filter(_.order_id < 0)", "emptied", "4 rows -> 0"),
        (
            "raw_orders.mutate(amount=_.amount * 1)",
            "raw_orders.filter(_.order_id > 2)",
            "rows_removed",
            "2 of 4 rows (50.0%)",
        ),
    ],
)
def test_lost_rows_are_destructive(built: Sample, old: str, new: str, kind: str, detail: str) -> None:
    built.edit(ORDERS, 'preserves="raw_orders", ', "may_be_empty=True, ")
    built.edit(ORDERS, old, new)
    made = plan(built)
    assert [(found.kind, detail in found.detail) for found in node(made, "orders").destructive] == [(kind, True)]
    assert "destructive)" in made.footer
    # What is made of no rows would be emptied as well, and was not said to be allowed to.
    assert made.exit_code == (3 if kind == "emptied" else 2)


def test_a_few_lost_rows_are_not_destructive(built: Sample) -> None:
    built.edit(ORDERS, 'preserves="raw_orders", ', "may_shrink=0.5, may_be_empty=True, ")
    built.edit(ORDERS, "raw_orders.mutate(amount=_.amount * 1)", "raw_orders.filter(_.order_id > 2)")
    assert node(plan(built, removed_limit=0.5), "orders").destructive == ()
    assert node(plan(built, removed_limit=0.2), "orders").destructive != ()


def test_a_dropped_and_a_narrowed_column_are_destructive(built: Sample) -> None:
    built.edit(COUNTS, "orders: dt.Int64", "orders: dt.Int32")
    built.edit(COUNTS, "_.count()", '_.count().cast("int32")')
    built.edit(ORDERS, "    customer: dt.String = pa.Field(metadata=personal)\n", "")
    built.edit(ORDERS, "raw_orders.mutate(amount=_.amount * 1)", 'raw_orders.drop("customer")')
    made = plan(built)
    assert [found.detail for found in node(made, "orders").destructive] == ["drops column customer VARCHAR"]
    assert [found.detail for found in node(made, "counts").destructive] == ["narrows orders from BIGINT to INTEGER"]
    assert not node(made, "sales").destructive


def test_an_added_column_and_a_changed_key_are_compared(built: Sample) -> None:
    built.edit(SALES, "    class Config", "    orders: dt.Int64 = pa.Field(metadata=public)\n\n    class Config")
    built.edit(SALES, '.cast("int64"))', '.cast("int64"), orders=_.count())')
    built.edit(SALES, 'unique = ["day"]', 'unique = ["day", "orders"]')
    sales = node(plan(built), "sales")
    assert sales.difference is not None
    assert [change.kind for change in sales.difference.schema] == ["added"]
    assert sales.difference.same == 3


def test_a_check_that_would_fail_blocks_and_what_follows_is_skipped(built: Sample) -> None:
    built.rows([*ROWS, (5, "eve", -1, "2024-01-04"), (6, "fay", -2, "2024-01-04")])
    made = plan(built)
    orders = node(made, "orders")
    assert orders.action == "fail"
    assert [(check.name, check.before, check.after) for check in orders.checks] == [("rows_valid", "passed", "failed")]
    assert node(made, "raw_orders").changes
    assert {node.name for node in made.nodes if node.action == "skip"} == {"counts", "sales", "report"}
    assert made.exit_code == 3
    assert made.footer == "Plan: 1 table changes, 0 unchanged, 1 check would fail, 3 skipped"


def test_rejects_inside_the_budget_warn(built: Sample) -> None:
    built.rows([*ROWS, (5, "eve", -1, "2024-01-04")])
    made = plan(built)
    orders = node(made, "orders")
    assert orders.built
    assert (orders.rejects_before, orders.rejects_after) == (0, 1)
    assert [(check.name, check.severity, check.after) for check in orders.checks] == [("rows_valid", "warn", "failed")]
    assert made.exit_code == 2
    assert built.run().ok
    built.rows(ROWS)
    assert [(check.name, check.after) for check in node(plan(built), "orders").checks] == [("rows_valid", "passed")]


def test_a_missing_source_is_an_error_of_its_table(built: Sample) -> None:
    (built.root / "shop" / "orders.csv").unlink()
    made = plan(built)
    assert node(made, "raw_orders").action == "fail"
    file = built.root / "shop" / "orders.csv"
    told = f"{file}: the file does not exist. Check the location in the settings."
    assert node(made, "raw_orders").error == told, "the plan's line names the table already"
    assert made.exit_code == 1


def test_a_table_that_no_code_makes_is_told(built: Sample) -> None:
    built.path("load/counts.py").unlink()
    assert plan(built).orphans == ("load.counts",)


def test_an_unknown_table(sample: Sample) -> None:
    with pytest.raises(WiringError, match="Did you mean sales"):
        plan(sample, "sale")


def test_a_plan_leaves_the_files_alone(built: Sample) -> None:
    def files() -> dict[str, tuple[bytes, int]]:
        folder = built.root / "data"
        return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}

    before = files()
    built.rows([*ROWS, (9, "zoe", 1, "2024-01-09")])
    assert plan(built).changed
    assert files() == before


def test_the_scratch_database_is_bounded(built: Sample) -> None:
    built.environ["PIPELINE_SCRATCH_LIMIT"] = "1KB"
    with pytest.raises(PlanError, match="PIPELINE_SCRATCH_LIMIT"):
        plan(built)
    assert bytes_of("1.5GiB") == 1_610_612_736
    assert bytes_of("4 GB") == 4_000_000_000


def test_the_scratch_database_is_kept_on_request(built: Sample) -> None:
    built.environ["PIPELINE_KEEP_SCRATCH"] = "true"
    made = plan(built)
    assert made.scratch is not None
    assert (Path(made.scratch) / "scratch.duckdb").exists()


def test_a_table_whose_python_writes_the_real_file_breaks_the_proof(built: Sample) -> None:
    built.edit(
        SALES,
        "    return",
        f"    with open({str(built.warehouse)!r}, 'ab') as file:\n        file.write(b'x')\n    return",
    )
    with pytest.raises(WarehouseError, match="PROOF FAILED"):
        plan(built)


def test_a_table_that_opens_the_real_file_itself_cannot_write_it(built: Sample) -> None:
    before = built.warehouse.read_bytes()
    built.edit(SALES, "    return", f"    __import__('duckdb').connect({str(built.warehouse)!r})\n    return")
    errors = [node.error for node in plan(built).nodes if node.error]
    assert any(re.search(r"lock|already attached", error) for error in errors), errors
    assert built.warehouse.read_bytes() == before


def test_a_locked_warehouse_is_waited_for_and_named(built: Sample) -> None:
    script = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(built.warehouse)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(WarehouseLocked, match=str(writer.pid)):
            plan(built)
        writer.communicate(b"")
    assert plan(built).exit_code == 0


def test_a_real_warehouse_behind_a_symlink_is_read_and_left_alone(built: Sample) -> None:
    target = built.root / "elsewhere.duckdb"
    built.warehouse.rename(target)
    built.warehouse.symlink_to(target)
    before = target.read_bytes()
    built.edit(SALES, "_.amount.sum()", "(_.amount.sum() + 1)")
    made = plan(built)
    assert node(made, "sales").changes
    assert "elsewhere.duckdb" in made.proof
    assert target.read_bytes() == before


INVARIANT = '''
from plan_sample.load.sales import Sales


@invariant()
def days_sell_little(sales: Table[Sales]) -> ibis.Table:
    """No day sells more than the limit."""
    return sales.filter(_.total > 1000)
'''


def test_an_invariant_is_code_of_the_table_it_guards(built: Sample) -> None:
    built.write("checks/days_sell_little.py", HEAD.format(grain="day") + INVARIANT)
    assert why(plan(built)) == {"sales": ["code"]}
    assert built.run("sales").ok
    assert why(plan(built)) == {}
    built.edit("checks/days_sell_little.py", "1000", "35")
    made = plan(built)
    assert why(made) == {"sales": ["code"]}
    assert [(check.name, check.before, check.after) for check in node(made, "sales").checks] == [
        ("days_sell_little", "passed", "failed")
    ]
    (check,) = node(made, "sales").checks
    assert re.fullmatch(r"such as day=2024-01-\d\d, total=\d+", check.rows[0])
    assert f"  {check.rows[0]}\n" in render(made)
    assert made.exit_code == 3


@pytest.mark.slow
def test_a_crash_in_the_middle_leaves_the_real_warehouse_alone(built: Sample) -> None:
    before = built.warehouse.read_bytes()
    built.edit(SALES, "    return", "    import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)\n    return")
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from tests.plan.sample import Sample\n"
        "from assay.plan.planner import make_plan\n"
        "sample = Sample.__new__(Sample)\n"
        "sample.root, sample.package, sample.environ = Path(sys.argv[1]), 'plan_sample', {}\n"
        "make_plan(sample.project())\n"
    )
    done = warm.run(["-c", script, str(built.root)], cwd=built.root, env=os.environ)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert built.warehouse.read_bytes() == before
    assert len(list((built.root / "data" / "scratch").glob("dry_run_*"))) == 1
    built.edit(SALES, "    import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)\n", "")
    assert plan(built).exit_code == 0
    assert list((built.root / "data" / "scratch").glob("dry_run_*")) == []
