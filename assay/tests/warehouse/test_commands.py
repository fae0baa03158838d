"""`pipeline quarantine` as a person uses it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest
from click.testing import CliRunner, Result

from assay.commands.quarantine_commands import quarantine
from assay.contract.classification import personal, public
from assay.errors import PipelineError
from assay.project import Project
from assay.settings import BaseSettings
from assay.sources.base import Sources
from assay.tables.graph import Graph
from assay.tables.nodes import Node, RejectBudget
from assay.tables.results import AuditFailed
from tests.warehouse.house import Given, House, given, made, stated, values

COLUMNS = "k BIGINT, name VARCHAR, v BIGINT"


class Strict(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)
    name: dt.String = pa.Field(metadata=personal)
    v: dt.Int64 = pa.Field(ge=0, metadata=public)

    class Config:
        unique = ["k"]


class Loose(Strict):
    v: dt.Int64 = pa.Field(ge=-5, metadata=public)

    class Config:
        unique = ["k"]


def project(house: House, *nodes: Node, env: str = "dev") -> Project:
    """A project whose graph is `nodes`."""
    variables = {"PIPELINE_WAREHOUSE": str(house.file), "PIPELINE_ENV": env, "PIPELINE_LOCK_TIMEOUT": "0"}
    found = Project(
        package="none",
        stages=(),
        root=house.folder,
        settings=lambda: BaseSettings.read(variables, root=house.folder),
        sources=lambda _: Sources({}),
    )
    found.__dict__["graph"] = Graph.of(nodes)
    return found


SOURCE = Given(
    f"SELECT *, 'p.csv' AS _source_file, k + 1 AS _source_line FROM ("
    f"{values(COLUMNS, '1, $$ann$$, 1', '2, $$bob$$, -2', '3, $$cem$$, -9', '4, NULL, 4')})"
)
TABLE = given("a", Strict, SOURCE, max_rejects=RejectBudget(rows=9))
LOOSE = given("a", Loose, SOURCE, max_rejects=RejectBudget(rows=9))
BELOW = made("b", Loose, {"a": Loose}, lambda a: a)


@pytest.fixture
def built(house: House) -> House:
    """A warehouse with one row published and three in the quarantine."""
    house.build(TABLE)
    house.leave()
    return house


def run(house: House, *arguments: str, nodes: tuple[Node, ...] = (LOOSE,), env: str = "dev") -> Result:
    house.leave()
    return CliRunner().invoke(quarantine, arguments, obj=project(house, *nodes, env=env), env={"COLUMNS": "200"})


def output(house: House, *arguments: str, nodes: tuple[Node, ...] = (LOOSE,), env: str = "dev") -> str:
    result = run(house, *arguments, nodes=nodes, env=env)
    assert result.exit_code == 0, result.exception
    return result.output


def error(house: House, *arguments: str, nodes: tuple[Node, ...] = (LOOSE,)) -> str:
    result = run(house, *arguments, nodes=nodes)
    assert isinstance(result.exception, PipelineError), result.output
    return str(result.exception)


def ids(house: House) -> dict[str, str]:
    """The id of every reject by its key."""
    return {json.loads(payload).get("k", "?"): name for payload, name in house.rejects("payload, reject_id")}


def test_list_shows_reasons_and_places_and_no_values(built: House) -> None:
    text = output(built, "list")
    assert "v.ge_0" in text
    assert "name.not_null" in text
    assert "p.csv:3" in text
    assert "        2  a  v.ge_0\n" in text
    assert "bob" not in text


def test_list_cuts_no_name_in_a_narrow_terminal(house: House) -> None:
    reasons = ", ".join(["a_long_name_of_a_rule.not_null"] * 4)
    rows = f"SELECT '{reasons}' AS reason_code, 'a/long/path/of/a/file.csv' AS source_file, 2 AS source_line, '{{}}' AS payload"
    house.build(given("a", Strict, Given(values(COLUMNS), malformed=rows), max_rejects=RejectBudget(rows=9)))
    house.leave()
    shown = CliRunner().invoke(quarantine, ["list"], obj=project(house, LOOSE), env={"COLUMNS": "40"}).output
    assert f"{reasons}  a/long/path/of/a/file.csv:2" in shown


def test_list_narrows(built: House) -> None:
    assert "v.ge_0" not in output(built, "list", "--reason", "name.not_null")
    assert output(built, "list", "--status", "discarded") == "no rejected rows that are discarded\n"
    assert "p.csv:5" in output(built, "list", "--table", "a", "--status", "all")
    assert "3 rows; the newest 1 follow" in output(built, "list", "--limit", "1")


def test_list_as_json_masks(built: House) -> None:
    found = json.loads(output(built, "list", "--json", "--reason", "v.ge_0"))
    assert len(found) == 2
    assert {row["row"]["name"] for row in found} == {"***"}
    assert {row["row"]["v"] for row in found} == {"-2", "-9"}
    assert found[0]["reasons"] == ["v.ge_0"]
    assert found[0]["source"].startswith("p.csv:")


def test_show_masks_unless_asked(built: House) -> None:
    name = ids(built)["2"]
    text = output(built, "show", name[:10])
    assert "***" in text
    assert "bob" not in text
    assert "p.csv:3" in text
    assert "bob" in output(built, "show", name, "--unmask")
    assert "NULL" in output(built, "show", ids(built)["4"])


@pytest.mark.parametrize(
    ("reason", "is_shown"), [("csv.cast", True), ("csv.columns", True), ("csv.encoding", True), ("event.json", False)]
)
def test_the_column_whose_text_is_of_no_such_type_is_named(house: House, reason: str, is_shown: bool) -> None:
    """Most errors name columns, types and counts alone; what is wrong with a document may quote its keys."""
    payload = """{"k": "one", "name": "ann", "v": "1", "_error": "k is no BIGINT"}"""
    malformed = f"SELECT '{reason}' AS reason_code, 'p.csv' AS source_file, 2 AS source_line, '{payload}' AS payload"
    house.build(given("a", Strict, Given(values(COLUMNS), malformed=malformed), max_rejects=RejectBudget(rows=9)))
    (name,) = ids(house).values()
    text = output(house, "show", name)
    assert ("k is no BIGINT" in text) is is_shown
    assert "ann" not in text
    (listed,) = json.loads(output(house, "list", "--json"))
    assert listed["row"] == {"k": "one", "name": "***", "v": "1", "_error": "k is no BIGINT" if is_shown else "***"}


def test_what_is_not_in_the_graph_any_more_is_masked(built: House) -> None:
    other = given("other", Strict, Given(values(COLUMNS)))
    found = json.loads(output(built, "list", "--json", nodes=(other,)))
    assert {value for row in found for value in row["row"].values()} == {"***", None}


def test_replay_of_a_table(built: House) -> None:
    text = output(built, "replay", "--table", "a", nodes=(LOOSE, BELOW))
    assert "a: 1 of 3 rows now pass; the others stay: name.not_null 1, v.ge_-5 1" in text
    assert "built from it: pipeline run b" in text
    assert built.rows("SELECT k FROM warehouse.a ORDER BY k") == [(1,), (2,)]
    assert "a: 0 of 2 rows now pass" in output(built, "replay", "--table", "a", nodes=(LOOSE, BELOW))


def test_replay_of_named_rows(built: House) -> None:
    chosen = ids(built)
    assert "a: 1 of 2 rows now pass" in output(built, "replay", chosen["2"], chosen["3"][:8], chosen["2"][:8])
    assert "the row is replayed, not open" in error(built, "replay", chosen["2"])


def test_replay_says_what_it_leaves_out(house: House) -> None:
    source = Given(values(COLUMNS, "1, 'a', 1"))
    source.malformed = (
        "SELECT 'csv.columns' AS reason_code, 'p.csv' AS source_file, 9::BIGINT AS source_line, '{}' AS payload"
    )
    house.build(given("a", Strict, source, max_rejects=RejectBudget(rows=1)))
    source.malformed = None
    source.sql = values(COLUMNS, "2, 'b', -2")
    [(malformed,)] = house.rejects("reject_id")
    assert not house.build(given("a", Strict, source)).ok
    assert "left out as malformed: 1 row;" in output(house, "replay", "--table", "a")
    assert "left out, of a failed build: 1 row; `pipeline run a` judges them again" in output(
        house, "replay", "--table", "a"
    )
    assert "a malformed row cannot be replayed" in error(house, "replay", malformed)
    assert "its build published nothing. Build it: pipeline run a." in error(house, "replay", ids(house)["2"])


def test_a_replay_that_breaks_the_table_is_refused(built: House) -> None:
    rule = stated("never", {"a": Loose}, lambda a: a.filter(a.v < 0))
    result = run(built, "replay", "--table", "a", nodes=(LOOSE, rule))
    assert isinstance(result.exception, AuditFailed)
    assert result.exception.exit_code == 1
    assert built.rows("SELECT k FROM warehouse.a") == [(1,)]


def test_discard(built: House) -> None:
    chosen = ids(built)
    assert output(built, "discard", chosen["2"]) == "1 row discarded\n"
    assert "the row is discarded, not open" in error(built, "discard", chosen["2"])
    assert output(built, "discard", "--table", "a", "--reason", "v.ge_0") == "1 row discarded\n"
    assert output(built, "discard", "--table", "a") == "1 row discarded\n"
    assert output(built, "list") == "no rejected rows that are open\n"


def test_a_dry_run_changes_nothing(built: House) -> None:
    before = built.rejects("reject_id, status")
    built.leave()
    content = built.file.read_bytes()
    assert "v.ge_0" in output(built, "list", env="dry_run")
    assert "1 of 3 rows now pass" in output(built, "replay", "--table", "a", env="dry_run")
    assert "(dry run: nothing real was written)" in output(built, "discard", "--table", "a", env="dry_run")
    assert built.file.read_bytes() == content
    assert built.rejects("reject_id, status") == before


def test_mistakes_are_one_line(built: House, tmp_path: Path) -> None:
    assert error(built, "show", "zzz") == (
        "zzz: no rejected row has this id. `pipeline quarantine list --json` shows whole ids."
    )
    assert "more than one id begins like this" in error(built, "show", "")
    assert "name rows by their ids, or a table" in error(built, "replay")
    assert "name rows by their ids, or a table" in error(built, "discard", "")
    assert "no table named ''" in error(built, "list", "--table", "")
    assert "name rows by their ids, or a table" in error(built, "discard", "x", "--table", "a")
    assert "name rows by their ids, or a table" in error(built, "discard", "x", "--reason", "v.ge_0")
    assert "no table named 'aa'. Did you mean a?" in error(built, "replay", "--table", "aa")
    assert "no table named 'aa'" in error(built, "list", "--table", "aa")
    assert run(built, "list", "--status", "lost").exit_code == 2


def test_without_a_warehouse_there_is_nothing_to_show(house: House) -> None:
    assert output(house, "list") == "no rejected rows that are open\n"
    assert json.loads(output(house, "list", "--json")) == []
    for arguments in (("show", "x"), ("discard", "x"), ("replay", "--table", "a")):
        assert "there is no warehouse yet" in error(house, *arguments)
    assert not house.file.exists()


def test_looking_needs_no_lock_against_other_readers(built: House) -> None:
    """Nor the right to write the file."""
    built.leave()
    script = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); print(1, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(built.file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        before = built.file.stat().st_mtime_ns
        assert "v.ge_0" in output(built, "list")
        assert output(built, "show", next(iter(ids_of(built))))
        assert built.file.stat().st_mtime_ns == before
        reader.communicate("")


def ids_of(house: House) -> list[str]:
    return [each["id"] for each in json.loads(output(house, "list", "--json"))]
