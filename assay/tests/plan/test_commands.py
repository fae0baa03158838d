"""`pipeline plan` and `pipeline apply` as a person calls them: output, files, exit codes, refusals."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result

from assay.build import Progress
from assay.commands.plan_commands import apply, plan
from assay.errors import Interrupted
from assay.orchestration.execute import RunSummary
from assay.project import Project
from assay.testing.browser import assert_is_read_by_everybody, needs_browser
from tests.plan.sample import ROWS, Sample, forget

SALES, ORDERS = "load/sales.py", "transform/orders.py"


def call(sample: Sample, command: str, *arguments: object) -> Result:
    result = CliRunner().invoke(
        {"plan": plan, "apply": apply}[command], [str(argument) for argument in arguments], obj=sample.project()
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def kept(built: Sample) -> Path:
    """A kept plan of a changed mart."""
    built.edit(SALES, "_.amount.sum()", "(_.amount.sum() + 1)")
    path = built.root / "plan.json"
    assert call(built, "plan", "--out", path).exit_code == 2
    return path


@pytest.fixture
def without_dagster(built: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run what is applied by `build` alone: Dagster's part has a test of its own."""

    def execute(
        project: Project, names: list[str], *, partition: object, full: bool, on_progress: Callable[[Progress], None]
    ) -> RunSummary:
        assert not full
        result = built.run(*names, partition=str(partition) if partition else None)
        return RunSummary("run", 0.1, result.publications, result.errors)

    monkeypatch.setattr("assay.orchestration.applying.execute", execute)


def test_nothing_to_do(built: Sample) -> None:
    result = call(built, "plan")
    assert result.exit_code == 0
    assert result.output.splitlines()[-1] == "Plan: 0 tables change, 5 unchanged"
    assert "Proof: nothing written." in result.output


def test_a_change_reads_well(built: Sample) -> None:
    built.edit(SALES, "_.amount.sum()", "(_.amount.sum() + 1)")
    result = call(built, "plan")
    assert result.exit_code == 2
    text = result.output
    assert (
        """
~ load.sales  is replaced
    why     code: sales in load/sales.py
            -    return orders.group_by('day').agg(total=_.amount.sum().cast('int64'))
            +    return orders.group_by('day').agg(total=(_.amount.sum() + 1).cast('int64'))
    rows    3 -> 3   +0 added  -0 removed  ~3 changed  0 same
      day=2024-01-01  total  30 -> 31  (+1)
      day=2024-01-02  total  30 -> 31  (+1)
      day=2024-01-03  total  40 -> 41  (+1)
"""
        in text
    )
    assert "metrics" not in text
    text = call(built, "plan", "--details").output
    assert "    metrics total: sum 100.00 -> 103.00, min 30 -> 31, max 40 -> 41\n" in text
    assert "    cost " in text


def test_many_changes_are_a_line_each_then_three_rows_each(built: Sample) -> None:
    built.rows([(*row[:2], row[2] + 1, row[3]) for row in ROWS])
    text = call(built, "plan").output
    overview, _, rest = text.partition("\n\n")[2].partition("\n\n")
    lines = overview.splitlines()
    assert len(lines) > 1
    assert all((line[:2] in ("~ ", "! ") and " rows" in line) or ".html" in line or "load." in line for line in lines)
    assert any("4 -> 4 rows  ~4  source" in line for line in lines), overview
    assert "… 1 more changed" in rest
    assert "metrics" not in text
    assert "sum" not in [word for line in call(built, "plan", "--details").output.splitlines() if "order_id" in line
                         for word in line.split()]  # fmt: skip


def test_what_is_destroyed_comes_first(built: Sample) -> None:
    built.edit(ORDERS, "    customer: dt.String = pa.Field(metadata=personal)\n", "")
    built.edit(ORDERS, "raw_orders.mutate(amount=_.amount * 1)", 'raw_orders.drop("customer")')
    lines = call(built, "plan").output.splitlines()
    assert lines[2:4] == [
        "!!! DESTRUCTIVE: published data would be lost",
        "!!! transform.orders  drops column customer VARCHAR",
    ]
    assert any(line.startswith("! transform.orders") for line in lines)


def test_a_plan_still_prints_when_a_check_would_fail(built: Sample) -> None:
    built.rows([*ROWS, (5, "eve", -1, "2024-01-04"), (6, "fay", -2, "2024-01-04")])
    result = call(built, "plan")
    assert result.exit_code == 3
    assert "x transform.orders  would FAIL" in result.output
    assert "check   rows_valid: passed -> failed" in result.output
    assert ". load.sales  is skipped" in result.output


@pytest.mark.browser
@needs_browser
def test_the_page_is_readable_on_a_phone_and_by_a_screen_reader(built: Sample) -> None:
    built.edit(ORDERS, "    customer: dt.String = pa.Field(metadata=personal)\n", "")
    built.edit(ORDERS, "raw_orders.mutate(amount=_.amount * 1)", 'raw_orders.drop("customer")')
    built.edit(SALES, "_.amount.sum()", "(_.amount.sum() + 1)")
    file = built.root / "plan.html"
    assert call(built, "plan", "--html", file).exit_code == 2
    assert_is_read_by_everybody(file, ("drops column customer", "load.sales", "30", "31", "nothing written"))


def test_json_and_html(built: Sample) -> None:
    built.edit(SALES, "_.amount.sum()", "(_.amount.sum() + 1)")
    page = built.root / "out" / "plan.html"
    result = call(built, "plan", "--json", "--html", page)
    made = json.loads(result.output)
    assert result.exit_code == made["summary"]["exit_code"] == 2
    assert made["proof"].startswith("Proof: nothing written.")
    sales = next(node for node in made["nodes"] if node["name"] == "sales")
    assert sales["reasons"][0]["kind"] == "code"
    assert sales["difference"]["changed"] == 3
    text = page.read_text()
    assert "load.sales" in text
    assert "<script" not in text
    assert not re.search(r"(src|href)=[\"'](?!#)", text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sale"], "no table named 'sale'. Did you mean sales"),
        (["--partition", "yesterday"], "'yesterday' is no partition"),
        (["--partition", ""], "'' is no partition"),
        (["--partition", "1999-01-01"], "1999-01-01 is outside the partitions of 'orders'. Name days of 2024-01-01"),
        (["sales", "--partition", "2024-01-01"], "none of these tables is partitioned"),
        (["--html", "/proc/no/such/page.html"], "cannot be written"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_code_1(
    unmoved: tuple[Sample, Path], arguments: list[str], message: str
) -> None:
    result = call(unmoved[0], "plan", *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_malformed_setting_is_one_line(unmoved: tuple[Sample, Path]) -> None:
    built, _ = unmoved
    built.environ["PIPELINE_LOCK_TIMEOUT"] = "soon"
    result = call(built, "plan")
    assert result.exit_code == 1
    assert "PIPELINE_LOCK_TIMEOUT" in result.stderr


def test_a_damaged_warehouse_is_one_line(built: Sample) -> None:
    built.warehouse.write_bytes(b"no database at all")
    result = call(built, "plan")
    assert result.exit_code == 1
    assert "warehouse.duckdb" in result.stderr


@pytest.mark.usefixtures("without_dagster")
def test_apply_does_what_the_plan_shows_and_says_so(built: Sample, kept: Path) -> None:
    result = call(built, "apply", kept)
    assert result.exit_code == 0, result.output
    assert "as planned  load.sales  3 rows" in result.output
    assert "the result is the plan" in result.output
    assert [row[1] for row in built.read("load.sales")] == [31, 31, 41]
    again = call(built, "plan", "--out", kept)
    assert again.exit_code == 0
    assert "Nothing to apply" in call(built, "apply", kept).output


@pytest.mark.usefixtures("without_dagster")
def test_applying_that_is_interrupted_is_told_as_a_run_is(
    built: Sample, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted = Interrupted("interrupted", 15)
    summary = RunSummary("run", 0.1, interrupted=interrupted)
    monkeypatch.setattr("assay.orchestration.applying.execute", lambda *_, **__: summary)
    told = CliRunner().invoke(apply, [str(kept)], obj=built.project()).exception
    assert told is interrupted, "which ends the command with 143"


def test_apply_builds_the_plans_tables_only(built: Sample) -> None:
    built.edit(SALES, "_.amount.sum()", "(_.amount.sum() + 1)")
    built.edit(ORDERS, "_.amount * 1", "_.amount * 2")
    path = built.root / "plan.json"
    call(built, "plan", "sales", "--out", path)
    result = call(built, "apply", path)
    assert result.exit_code == 0
    assert [row[1] for row in built.read("load.sales")] == [31, 31, 41]
    assert [row[2] for row in built.read("transform.orders")] == [10, 20, 30, 40]


@pytest.mark.usefixtures("without_dagster")
def test_versions_of_a_history_begin_when_they_are_applied(built: Sample) -> None:
    """What else is in them is compared by the numbers of rows and rejects."""
    built.edit(SALES, "import datetime as dtm", "import datetime as dtm\n\nfrom assay import History")
    built.edit(SALES, "    class Config", "    valid_from: dt.Timestamp(timezone='UTC', scale=6)\n    class Config")
    built.edit(
        SALES,
        "    class Config",
        "    valid_to: dt.Timestamp(timezone='UTC', scale=6) = pa.Field(nullable=True)\n    class Config",
    )
    built.edit(SALES, 'unique = ["day"]', 'unique = ["day", "valid_from"]')
    built.edit(SALES, "@table()", "@table(load=History())")
    with duckdb.connect(str(built.warehouse)) as connection:
        connection.execute("DROP TABLE load.sales")
    path = built.root / "plan.json"
    assert call(built, "plan", "--out", path).exit_code == 2
    result = call(built, "apply", path)
    assert result.exit_code == 0, result.output
    assert "as planned  load.sales  3 rows  but for when versions begin and end" in result.output
    assert "as planned  load.report\n" in result.output
    assert "the result is the plan" in result.output


@pytest.mark.usefixtures("without_dagster")
def test_apply_keeps_to_the_plans_partition(built: Sample) -> None:
    built.rows([(1, "ann", 11, "2024-01-01"), *ROWS[1:3], (4, "dan", 44, "2024-01-03")])
    built.run("raw_orders")
    path = built.root / "plan.json"
    call(built, "plan", "orders", "--partition", "2024-01-03", "--out", path)
    assert call(built, "apply", path).exit_code == 0
    assert [row[2] for row in built.read("transform.orders")] == [10, 20, 30, 44]


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sample, str]]:
    """A project of its own with a kept plan, for tests in which applying is refused, so that nothing changes."""
    root = tmp_path_factory.mktemp("refused")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        patch.setattr(sys, "dont_write_bytecode", True)
        sample = Sample(root, "plan_refused")
        assert sample.run().ok
        sample.edit(SALES, "_.amount.sum()", "(_.amount.sum() + 1)")
        assert call(sample, "plan", "--out", root / "plan.json").exit_code == 2
        yield sample, (root / "plan.json").read_text()
    forget("plan_refused")


@pytest.fixture
def unmoved(planned: tuple[Sample, str]) -> Iterator[tuple[Sample, Path]]:
    """The project and its plan as they were when the plan was made."""
    sample, text = planned
    code = {path: path.read_text() for path in sample.path("").rglob("*.py")}
    path = sample.root / "plan.json"
    path.write_text(text)
    yield sample, path
    for file, content in code.items():
        sample.write(str(file.relative_to(sample.path(""))), content)
    sample.rows(ROWS)
    sample.environ.clear()


def refusal(built: Sample, path: Path) -> str:
    before = built.warehouse.read_bytes()
    result = call(built, "apply", path)
    assert result.exit_code == 1
    assert built.warehouse.read_bytes() == before
    return result.stderr


def test_apply_refuses_when_code_moved(unmoved: tuple[Sample, Path]) -> None:
    built, kept = unmoved
    built.edit(SALES, "+ 1)", "+ 2)")
    assert "moved since the plan was made: the code of sales (sales.py)" in refusal(built, kept)


def test_apply_refuses_when_code_that_seemed_unchanged_moved(unmoved: tuple[Sample, Path]) -> None:
    built, kept = unmoved
    built.edit(ORDERS, "_.amount * 1", "_.amount * 2")
    assert "the code of orders (orders.py)" in refusal(built, kept)


def test_apply_refuses_when_a_table_is_gone_from_the_code(unmoved: tuple[Sample, Path]) -> None:
    built, kept = unmoved
    built.path("load/counts.py").unlink()
    assert "table counts is gone from the code" in refusal(built, kept)


def test_apply_refuses_when_a_source_moved(unmoved: tuple[Sample, Path]) -> None:
    built, kept = unmoved
    built.rows([*ROWS, (5, "eve", 50, "2024-01-03")])
    assert "the source of raw_orders (shop)" in refusal(built, kept)


def test_apply_refuses_when_a_published_table_moved(built: Sample, kept: Path) -> None:
    built.run("sales")
    assert "the published sales (" in refusal(built, kept)


def test_apply_refuses_when_the_warehouse_is_another(unmoved: tuple[Sample, Path]) -> None:
    built, kept = unmoved
    built.environ["PIPELINE_WAREHOUSE"] = "other/warehouse.duckdb"
    assert "warehouse (" in refusal(built, kept)


def test_apply_refuses_in_a_dry_run_environment(unmoved: tuple[Sample, Path]) -> None:
    built, kept = unmoved
    built.environ["PIPELINE_ENV"] = "dry_run"
    assert "PIPELINE_ENV is dry_run" in refusal(built, kept)


def test_apply_refuses_a_plan_that_would_fail(built: Sample) -> None:
    built.rows([*ROWS, (5, "eve", -1, "2024-01-04"), (6, "fay", -2, "2024-01-04")])
    path = built.root / "plan.json"
    assert call(built, "plan", "--out", path).exit_code == 3
    assert "would not get through" in refusal(built, path)


def test_a_truncated_plan_is_refused_wherever_it_ends(unmoved: tuple[Sample, Path]) -> None:
    built, kept = unmoved
    whole = kept.read_text()
    for end in range(0, len(whole) - 2, max(1, len(whole) // 40)):
        kept.write_text(whole[:end])
        assert "truncated" in refusal(built, kept)


def test_an_edited_plan_is_refused(unmoved: tuple[Sample, Path]) -> None:
    built, kept = unmoved
    whole = kept.read_text()
    for old, new in (('"rows_after": 3', '"rows_after": 4'), ('"name": "sales"', '"name": "orders"'), ("31", "32")):
        assert old in whole
        kept.write_text(whole.replace(old, new, 1))
        assert "was edited" in refusal(built, kept)
    kept.write_text(re.sub(r'"checksum": "[0-9a-f]+"', '"checksum": null', whole))
    assert "was edited" in refusal(built, kept)


def test_a_reformatted_plan_is_the_same_plan(unmoved: tuple[Sample, Path]) -> None:
    _, kept = unmoved
    from assay.plan.kept import read_plan

    before = read_plan(kept)
    kept.write_text(json.dumps(json.loads(kept.read_text())))
    assert read_plan(kept) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"format": "pipeline plan", "version": 99}', "a plan of version 99, this is version 1"),
        (b'{"format": "other"}', "is no plan"),
        (b"[1]", "is no plan"),
        (b"", "truncated"),
        (b"\xff\xfe\x00", "it is not text"),
    ],
)
def test_a_file_that_is_no_plan_of_this_version(unmoved: tuple[Sample, Path], content: bytes, message: str) -> None:
    built, path = unmoved
    path.write_bytes(content)
    assert message in refusal(built, path)


def test_a_missing_plan(unmoved: tuple[Sample, Path]) -> None:
    built, _ = unmoved
    assert "cannot be read" in refusal(built, built.root / "missing.json")


def test_a_result_that_is_not_the_plan_is_told(built: Sample, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something changed between the last look and the build: the comparison afterwards finds it."""

    def execute(project: Project, names: list[str], **_: object) -> RunSummary:
        built.edit(SALES, "+ 1)", "+ 2)")
        result = built.run(*names)
        return RunSummary("run", 0.1, result.publications, result.errors)

    monkeypatch.setattr("assay.orchestration.applying.execute", execute)
    result = call(built, "apply", kept)
    assert result.exit_code == 1
    assert "not as planned  load.sales: its content is not what the plan showed" in result.output
    assert "the result is NOT the plan" in result.output


def test_a_check_that_fails_when_applied_is_exit_code_3(
    built: Sample, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def execute(project: Project, names: list[str], **_: object) -> RunSummary:
        built.edit(SALES, "total: dt.Int64 = pa.Field(", "total: dt.Int64 = pa.Field(ge=1000, ")
        result = built.run(*names)
        return RunSummary("run", 0.1, result.publications, result.errors)

    monkeypatch.setattr("assay.orchestration.applying.execute", execute)
    assert call(built, "apply", kept).exit_code == 3


def test_apply_through_dagster_records_materializations_and_a_plan_records_none(built: Sample, kept: Path) -> None:
    import dagster as dg

    home = built.root / ".dagster"
    assert not home.exists()
    result = call(built, "apply", kept)
    assert result.exit_code == 0, result.output
    with dg.DagsterInstance.from_config(str(home)) as instance:
        keys = {key.to_user_string() for key in instance.all_asset_keys()}
        assert keys == {"sales", "report"}
