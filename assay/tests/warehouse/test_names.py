"""Whatever a user's columns are called: no name that the framework puts beside them in SQL gets in their way."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

import assay
from assay.compare.engine import compare
from assay.contract.classification import personal, public
from assay.contract.contract import Contract
from assay.golden.rows import CaseRows, load
from assay.sources.base import Landing
from assay.sources.rows import TextRows
from assay.sql import quoted
from assay.tables.graph import Graph
from assay.tables.nodes import KeepFirst, Reference, RejectBudget
from assay.tables.run import Run
from assay.warehouse import ops
from assay.warehouse.quarantine import keep as quarantine
from assay.warehouse.quarantine.replay import replay
from tests.little import Little
from tests.warehouse.house import Given, House, check, given

PACKAGE = Path(assay.__file__).parent
ALIAS = re.compile(
    r'\bAS "?([A-Za-z_][A-Za-z_0-9]*)|(\b[a-z_]+) := |\b([a-z_]+) (?:VARCHAR|BIGINT|BOOLEAN|TIMESTAMPTZ)\b'
)
FOLDERS = ("contract", "warehouse", "compare", "golden", "plan", "sources")


def names_in_sql() -> list[str]:
    """Every name that the package's SQL gives a column or a table, and the keys beside rows in samples and payloads."""
    found = {"reasons", "source", "rows", "arrived", "code", "value", "v", "c0", "c1", "v0", "v1", "f0", "f1", "_error"}
    found |= {"_line", "_item", "_event", "_cells", "_reason", "_payload", "_broken_0", "_hash_0", "row_id", "x"}
    found |= {
        "hashed",
        "place",
        "previous",
        "file_index",
        "file_row_number",
        "filename",
        "payload",
        "kept",
        "rows_after",
        "column0",
    }
    for folder in FOLDERS:
        for file in PACKAGE.joinpath(folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found |= {name for match in ALIAS.findall(node.value) for name in match if name}
    for name, columns in ops.TABLES.items():
        if name.startswith("quarantine."):
            found |= {column.split()[0] for column in re.sub(r"\[\]", "", columns).split(",")}
    types = {"VARCHAR", "BIGINT", "BOOLEAN", "DATE", "DOUBLE", "TEMP", "NOT", "rowid", "SELECT"}
    return sorted(
        {name.lower() for name in found if name not in types and not name.startswith("__")}
        - {"_source_file", "_source_line"}
    )


NAMES = names_in_sql()


def contract_of(names: list[str], unique: list[str], **checks: Any) -> Any:
    """A contract of one BIGINT column per name; `checks` of every column."""
    fields: dict[str, Any] = {"__annotations__": {}}
    for place, name in enumerate(names):
        fields["__annotations__"][f"c_{place}"] = dt.Int64
        fields[f"c_{place}"] = pa.Field(alias=name, metadata=public, **checks)
    fields["Config"] = type("Config", (), {"unique": unique, "strict": True})
    return type("Model", (pa.DataFrameModel,), fields)


def rows_of(names: list[str], *rows: list[int]) -> str:
    return " UNION ALL ".join(
        "SELECT " + ", ".join(f"{value}::BIGINT AS {quoted(name)}" for name, value in zip(names, row, strict=True))
        for row in rows
    )


def test_the_sweep_finds_the_names() -> None:
    assert len(NAMES) > 60
    assert {"code", "rows", "reject_id", "status", "error", "stored", "e", "a", "q"} <= set(NAMES)


@pytest.mark.slow
def test_a_table_with_all_of_them_is_published_rejected_and_replayed(house: House) -> None:
    """Row i has i, i + 1, ... in its columns; every value tells its column."""
    rows = [[100 * row + place for place in range(len(NAMES))] for row in (1, 2, 3)]
    worst = [-value for value in rows[2]]
    source = Given(rows_of(NAMES, rows[0], rows[1], worst))
    strict, loose = contract_of(NAMES, NAMES, ge=0), contract_of(NAMES, NAMES)
    options: dict[str, Any] = {"max_rejects": RejectBudget(rows=9), "references": [Reference(tuple(NAMES), "up")]}
    up = given("up", loose, Given(rows_of(NAMES, rows[0], rows[1], worst)))
    a = given("a", strict, source, **options)
    result = house.build(up, a)
    assert [list(row) for row in house.table(a)] == rows[:2]
    assert result.publications["a"].rejected == 1
    found = check(result, "a", "rows_valid")
    assert dict(found.reasons) == {f"{name}.ge_0": 1 for name in NAMES}
    (sample,) = found.sample
    assert {name: sample[name] for name in NAMES} == {name: str(v) for name, v in zip(NAMES, worst, strict=True)}
    assert sample["__reasons"].startswith(f"{NAMES[0]}.ge_0")
    ((reject_id, payload, reasons),) = house.rejects("reject_id, payload, reason_codes")
    assert json.loads(payload) == {name: str(v) for name, v in zip(NAMES, worst, strict=True)}
    assert reasons == [f"{name}.ge_0" for name in NAMES]
    b = given("a", loose, source, **options)
    replayed = replay(house.session, Graph.of([up, b]), b, Run.start(), [reject_id])
    assert (replayed.action, replayed.rows) == ("replay", 3)
    assert [list(row) for row in house.table(b)] == [worst, *rows[:2]]
    assert replay(house.session, Graph.of([up, b]), b, Run.start()).action == "none"
    assert house.rejects("status") == [("replayed",)]


@pytest.mark.parametrize("keep", [False, True])
def test_a_key_may_have_such_a_name(house: House, keep: bool) -> None:
    """1, 1, 2 is a repeat, found and shown, or set aside; 1, 2 is none."""
    for name in ("rows", "code", "reject_id", "payload", "error", "whole"):
        model = contract_of([name], [name])
        source = Given(rows_of([name], [1], [1], [2]))
        kept = KeepFirst(order_by=(name,)) if keep else None
        a = given("a", model, source, keep=kept, max_rejects=RejectBudget(rows=1))
        result = house.build(a)
        if keep:
            assert check(result, "a", "rows_valid").reasons == {"unique_key.repeat": 1}, name
            assert house.table(a) == [(1,), (2,)], name
        else:
            found = check(result, "a", "unique_key")
            assert (found.passed, found.summary) == (False, f"1 row repeats ({name})"), name
            assert dict(found.sample[0]) == {name: 1, "__rows" if name == "rows" else "rows": 2}
        house.rows("DELETE FROM quarantine.rejected")
        house.session.connection.execute(f"DROP TABLE IF EXISTS {house.session.catalog}.{a.stage}.a")


@pytest.mark.slow
def test_repeats_are_found_by_their_hashes_too(house: House) -> None:
    model = contract_of(NAMES, NAMES[:1])
    contract, connection = Contract.of(model), duckdb.connect()
    connection.execute(f"CREATE TABLE t AS {rows_of(NAMES, *([[row % 5] * len(NAMES) for row in range(6)]))}")
    for name in NAMES:
        found = contract.key_problems(connection, "t", key=(name,))
        assert (found.repeated, found.excess, found.sample[0][name]) == (1, 1, 0), name


def test_personal_values_do_not_get_into_the_reasons(house: House) -> None:
    class Person(pa.DataFrameModel):
        code: dt.String = pa.Field(metadata=personal)
        v: dt.Int64 = pa.Field(ge=0, metadata=public)

    a = given("a", Person, Given("SELECT 'ann' AS code, -1::BIGINT AS v"), max_rejects=RejectBudget(rows=1))
    found = check(house.build(a), "a", "rows_valid")
    assert house.rejects("reason_codes") == [(["v.ge_0"],)]
    assert "ann" not in str(found)


@pytest.mark.parametrize("key", [NAMES, NAMES[:1], None])
def test_tables_with_all_of_them_are_compared(key: list[str] | None) -> None:
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE l AS {rows_of(NAMES, *([row] * len(NAMES) for row in range(1, 5)))}")
    connection.execute(f"CREATE TABLE r AS {rows_of(NAMES, *([row] * len(NAMES) for row in range(2, 6)))}")
    for exact in (0, 100):
        found = compare(connection, "FROM l", "FROM r", key=key, exact_rows=exact)
        assert (found.added, found.removed, found.same) == (1, 1, 3)
        assert found.only_actual[0].values == dict.fromkeys(NAMES, "5")
        assert compare(connection, "FROM l", "FROM l", key=key, exact_rows=exact).equal
    if key and len(key) == 1:
        connection.execute(f"UPDATE r SET {', '.join(f'{quoted(name)} = 9' for name in NAMES[1:])}")
        changed = compare(connection, "FROM l", "FROM r", key=key)
        assert (changed.changed, set(changed.columns)) == (3, set(NAMES[1:]))


def test_tables_with_all_of_them_are_profiled() -> None:
    contract, connection = Contract.of(contract_of(NAMES, NAMES)), duckdb.connect()
    connection.execute(f"CREATE TABLE t AS {rows_of(NAMES, *([row] * len(NAMES) for row in range(1, 5)))}")
    for rows in (4, None):
        found = contract.profile(connection, "t", rows=rows)
        assert {(each.distinct, each.minimum, each.maximum) for each in found.columns} == {(4, "1", "4")}


def test_sources_with_all_of_them_keep_their_values_and_their_malformed_rows(tmp_path: Path) -> None:
    connection = duckdb.connect()
    landing = Landing("t", str(tmp_path), dict.fromkeys(NAMES, "BIGINT"), connection, tmp_path, {})
    rows = TextRows(landing, "csv")
    rows.add([str(place) for place in range(len(NAMES))], "f", 1)
    rows.add([f"x{place}" for place in range(len(NAMES))], "f", 2)
    landed = rows.landed("")
    assert connection.execute(landed.sql).fetchall() == [(*range(len(NAMES)), "f", 1)]
    ((reason, file, line, payload),) = connection.execute(str(landed.malformed)).fetchall()
    assert (reason, file, line) == ("csv.cast", "f", 2)
    held = json.loads(payload)
    assert held.pop("__error").startswith(f"{NAMES[0]} is no BIGINT")
    assert held == {name: f"x{place}" for place, name in enumerate(NAMES)}


def test_what_is_wrong_with_a_row_that_has_a_column_called_error_is_told_beside_it() -> None:
    class Secret(pa.DataFrameModel):
        k: dt.Int64 = pa.Field(metadata=public)

    shown = quarantine.shown(
        '{"k": "x", "_error": "ann@example.org", "__error": "k is no BIGINT"}',
        Contract.of(Secret),
        reasons=["csv.cast"],
    )
    assert shown == {"k": "x", "_error": "***", "__error": "k is no BIGINT"}


@pytest.mark.parametrize("key", [(), tuple(NAMES[:1])])
def test_a_golden_with_all_of_them_is_read_as_it_was_written(key: tuple[str, ...]) -> None:
    connection = duckdb.connect()
    rows = (tuple(str(place) for place in range(len(NAMES))),)
    relation = load(connection, CaseRows(Path("x"), tuple(NAMES), rows, (1,)), dict.fromkeys(NAMES, "BIGINT"), "__x")
    assert connection.execute(f"FROM {relation}").fetchall() == [tuple(range(len(NAMES)))]
    assert compare(connection, f"FROM {relation}", f"FROM {relation}", key=key).equal


TABLES = '''"""All of them."""
import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import RejectBudget, public, table
from assay.sources import Csv
{imports}

class {model}(pa.DataFrameModel):
{fields}

    class Config:
        strict = True
        unique = ["c_0"]


@table({options}max_rejects=RejectBudget(rows=2))
def {name}({parameter}) -> Table[{model}]:
    """A row per row."""
    return {returned}
'''


@pytest.mark.slow
def test_every_command_takes_a_table_with_all_of_them(tmp_path: Path) -> None:
    """Run, golden, plan, quarantine and replay of a CSV file whose columns have every name, and of a table made of it."""
    little = Little(tmp_path)

    def given(*rows: list[int]) -> None:
        lines: list[Sequence[object]] = [NAMES, *rows]
        text = "".join(",".join(map(str, line)) + "\n" for line in lines)
        inputs = tmp_path / "golden" / "one" / "inputs" / "files" / "data"
        for folder in (tmp_path / "data", inputs):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "f.csv").write_text(text)
        (inputs.parents[2] / "case.yml").write_text("description: one\ntables: [whole, copied]\n")

    def table(name: str, lowest: int, *, upstream: str = "") -> None:
        fields = [
            f"    c_{place}: dt.Int64 = pa.Field(alias={other!r}, ge={lowest}, metadata=public)"
            for place, other in enumerate(NAMES)
        ]
        parts = {
            "imports": f"from little.extract.{upstream} import {upstream.title()}" if upstream else "",
            "model": name.title(),
            "fields": "\n".join(fields),
            "options": "" if upstream else "source=Csv('files', 'data/f.csv'), ",
            "name": name,
            "parameter": f"{upstream}: Table[{upstream.title()}]" if upstream else "source: ibis.Table",
            "returned": upstream or "source",
        }
        text = TABLES.format(**parts).replace('unique = ["c_0"]', f"unique = [{NAMES[0]!r}]")
        (tmp_path / "little" / "extract" / f"{name}.py").write_text(text)

    rows = [[100 * row + place for place in range(len(NAMES))] for row in (1, 2, 3)]
    given(*rows, [-1] * len(NAMES))
    table("whole", 0)
    table("copied", 101, upstream="whole")
    first = little.many(["run"], ["golden"], ["golden", "accept"], ["golden"], ["plan"], environment={"CI": ""})
    assert [code for code, _, _ in first] == [0, 3, 0, 0, 0], first
    assert first[0][1].count("1 rejected") == 2
    given(rows[0], [number + 1 for number in rows[1]], [-1] * len(NAMES))
    table("copied", -1, upstream="whole")
    then = little.many(
        ["plan", "--json"], ["golden"], ["quarantine", "list", "--json"], ["quarantine", "replay", "--table", "copied"],
        ["golden", "determinism"], environment={"CI": ""},
    )  # fmt: skip
    plan, listed = json.loads(then[0][1]), json.loads(then[2][1])
    assert [code for code, _, _ in then] == [2, 1, 0, 0, 0], then
    assert plan["nodes"][0]["difference"]["removed"] == 2
    assert set(listed[0]["row"]) == set(NAMES)
    assert "copied: 1 of 1 row" in then[3][1], then[3]
