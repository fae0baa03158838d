"""A started table loads at once, says what its author has to decide, and touches nothing else."""

from __future__ import annotations

import ast
import datetime as dtm
import keyword
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import openpyxl
import pyarrow
import pyarrow.parquet as pq
import pytest

from assay.commands.new_commands import new_source, new_table
from assay.contract.contract import Contract
from assay.errors import PipelineError
from assay.scaffold.columns import python_string
from assay.scaffold.unsaid import EDIT, problems
from assay.sources import Parquet
from tests.scaffold.started import Loaded, call, contents, table


def test_adding_a_table_touches_one_file_and_one_golden_case(load: Loaded, tmp_path: Path) -> None:
    before = contents(tmp_path)
    assert call(load(), new_table, "big_orders", "--stage", "transform", "--from", "orders").exit_code == 0
    after = contents(tmp_path)
    assert {name: text for name, text in after.items() if name in before} == before
    added = after.keys() - before.keys()
    case = {name for name in added if name.startswith("golden/big_orders/")}
    assert added - case == {f"{load().package}/transform/big_orders.py"}
    assert "golden/big_orders/case.yml" in case


def test_columns_are_taken_over_with_their_meaning_and_class(load: Loaded) -> None:
    arguments = ("--stage", "transform", "--from", "orders", "--from", "customers")
    assert call(load(), new_table, "sales", *arguments).exit_code == 0
    made = table(load(), "sales")
    columns = {column.name: column for column in Contract.of(made.model).columns}
    assert list(columns) == ["order_id", "customer_id", "amount", "email"]
    assert (columns["email"].description, columns["email"].classification) == ("Where to write to", "personal")
    assert columns["email"].nullable, "an order may have no customer row"
    assert not columns["amount"].nullable
    assert Contract.of(made.model).key == ("order_id",)
    assert made.preserves == "orders"


def test_a_contract_is_inferred_from_an_expression(load: Loaded) -> None:
    code = 'orders.group_by("customer_id").agg(total=_.amount.sum(), first=_.order_id.min())'
    done = call(load(), new_table, "totals", "--stage", "transform", "--from", "orders", "--expression", code)
    assert done.exit_code == 0
    made = table(load(), "totals")
    contract = Contract.of(made.model)
    assert contract.duckdb_columns == {"customer_id": "BIGINT", "total": "DECIMAL(38,2)", "first": "BIGINT"}
    assert contract.key == ("customer_id",)
    assert contract.column("total").classification == "internal", "the strictest class of what it is made of"
    built = made.function(orders=Contract.of(table(load(), "orders").model).rows)
    assert built.schema() == contract.schema


@pytest.mark.parametrize(
    ("expression", "kept"), [("orders", True), ('orders.group_by("amount").agg(n=_.count())', False)]
)
def test_partitions_are_taken_over_with_their_column(load: Loaded, tmp_path: Path, expression: str, kept: bool) -> None:
    file = tmp_path / load().package / "extract" / "orders.py"
    written = 'weekly("ordered_on", start="2026-03-02", end="2026-03-16", timezone="Asia/Tokyo")'
    text = file.read_text().replace("(internal,", "(weekly, internal,")
    text = text.replace("    amount:", "    ordered_on: dt.Date = pa.Field(metadata=public)\n    amount:")
    file.write_text(text.replace('"orders.csv")', f'"orders.csv"), partitions={written}'))
    done = call(load(), new_table, "later", "--stage", "transform", "--from", "orders", "--expression", expression)
    assert done.exit_code == 0, done.exception
    own, above = (table(load(), name).partitions for name in ("later", "orders"))
    assert own == (above if kept else None)
    started = (tmp_path / load().package / "transform" / "later.py").read_text()
    assert (written in started) is kept


def test_what_is_left_to_decide_is_marked_and_told(load: Loaded, tmp_path: Path) -> None:
    done = call(load(), new_table, "big_orders", "--stage", "transform", "--from", "orders")
    file = tmp_path / load().package / "transform" / "big_orders.py"
    marked = [number for number, line in enumerate(file.read_text().splitlines(), start=1) if EDIT in line]
    assert len(marked) == 3
    for number in marked:
        assert f"transform/big_orders.py:{number}: still to be edited" in done.output
    assert "transform/big_orders.py: no golden case expects 'big_orders'" in done.output
    assert "golden/big_orders/case.yml:1: still to be edited: say in the description" in done.output

    decided = [line for line in file.read_text().splitlines() if EDIT not in line]
    file.write_text("\n".join(decided) + "\n")
    case, expected = tmp_path / "golden" / "big_orders" / "case.yml", tmp_path / "golden" / "big_orders" / "expected"
    case.write_text(case.read_text().replace("TODO say what this case teaches", "Every order is taken over."))
    expected.mkdir()
    (expected / "big_orders.ndjson").touch()
    assert [line for line in problems(load()) if "big_orders" in line] == []


@pytest.mark.parametrize("kind", ["csv", "ndjson", "parquet", "page", "api", "events", "rows", "excel", "dlt"])
def test_a_source_is_started_from_a_sample(load: Loaded, tmp_path: Path, kind: str) -> None:
    ending = ".xlsx" if kind == "excel" else ""
    sample = tmp_path / f"sample{ending or '.' + kind}"
    if kind == "csv":
        sample.write_text("id,name,priceInEuro,day\n1,tea,2.50,2026-01-01\n")
    elif kind == "parquet":
        duckdb.sql("SELECT 1::BIGINT AS id, 'tea' AS name").write_parquet(str(sample))
    elif kind == "excel":
        book = openpyxl.Workbook()
        for row in (["id", "name", "day"], [1, "tea", dtm.date(2026, 1, 1)], [2, "milk", None]):
            book.active.append(row)
        book.save(sample)
    elif kind == "page":
        sample.write_text("<table><tr><th>id</th><th>name</th></tr><tr><td>1</td><td>tea</td></tr></table>")
    elif kind == "api":
        sample.write_text('{"rows": [{"id": 1, "name": "tea"}], "next": null}')
    else:
        sample.write_text('{"id": 1, "name": "tea"}\n{"id": 2, "name": "milk"}\n')
    arguments = ("--kind", kind, "--location", "shop_files", "--path", f"teas{ending}", "--items", "rows")
    done = call(load(), new_source, "raw_teas", *arguments, "--sample", str(sample), "--key", "id")
    assert done.exit_code == 0, done.output + repr(done.exception)
    contract = Contract.of(table(load(), "raw_teas").model)
    assert [column.name for column in contract.columns][:2] == ["id", "name"]
    assert contract.key == ("id",)
    assert {column.classification for column in contract.columns} == {"personal"}, "until somebody decides"
    assert contract.column("id").sql_type == ("VARCHAR" if kind == "page" else "BIGINT")
    assert table(load(), "raw_teas").source is not None
    if kind in ("rows", "dlt"):
        text = (load().root / load().package / "extract" / "raw_teas.py").read_text()
        assert text.index("def fetch(context: FetchContext)") < text.index("@table(")
        assert [line for line in problems(load()) if "extract/raw_teas.py" in line and "fetch" in line] == []
        assert any("ask for the rows" in line or "name the resource" in line for line in problems(load()))
        assert (tmp_path / "golden" / "raw_teas" / "inputs" / "shop_files" / "teas.ndjson").exists()
    if kind == "excel":
        assert contract.column("day").sql_type == "DATE"
        assert (
            'Rows(Sheet("teas.xlsx"), "shop_files", "teas")'
            in (load().root / load().package / "extract" / "raw_teas.py").read_text()
        )


def test_each_column_is_named_once_in_what_is_left(load: Loaded, tmp_path: Path) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_text("tea,price\nassam,2.5\n")
    done = call(load(), new_source, "raw_teas", *sourced("teas.csv"), "--sample", str(sample), "--key", "tea")
    left = [line for line in done.output.splitlines() if "raw_teas.py:" in line]
    assert [sum(name in line for line in left) for name in (" tea ", " price ")] == [1, 1], left
    assert not [line for line in left if "has no description" in line]

    file = tmp_path / load().package / "extract" / "raw_teas.py"
    file.write_text("".join(line for line in file.read_text().splitlines(True) if EDIT not in line))
    assert "extract/raw_teas.py: RawTeas.tea has no description" in problems(load())


def test_no_row_of_a_sample_is_kept(load: Loaded, tmp_path: Path) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_text("id,email\n1,ada@example.org\n")
    call(load(), new_source, "raw_people", *sourced("people.csv"), "--sample", str(sample))
    sample.unlink()
    assert not [name for name, text in contents(tmp_path).items() if b"ada@" in text]


def test_a_key_is_never_null(load: Loaded, tmp_path: Path) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_text("shop,day,tea\n1,2026-01-01,assam\n")
    keys = ("--key", "shop", "--key", "day")
    assert call(load(), new_source, "raw_teas", *sourced("t.csv"), "--sample", str(sample), *keys).exit_code == 0
    nullable = {column.name: column.nullable for column in Contract.of(table(load(), "raw_teas").model).columns}
    assert nullable == {"shop": False, "day": False, "tea": True}

    arguments = ("--stage", "transform", "--from", "orders,customers", "--key", "email")
    assert call(load(), new_table, "sales", *arguments).exit_code == 0
    assert not Contract.of(table(load(), "sales").model).column("email").nullable, "though a join may miss it"


def test_names_that_are_no_python_names_are_mapped(load: Loaded, tmp_path: Path) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_text("Order ID,unitPrice,2nd\n1,2.5,x\n")
    done = call(load(), new_source, "raw_teas", *sourced("teas.csv"), "--sample", str(sample))
    assert done.exit_code == 0, done.output
    made = table(load(), "raw_teas")
    assert list(Contract.of(made.model).duckdb_columns) == ["order_id", "unit_price", "column_2nd"]
    assert made.source is not None
    assert made.source.columns == {"Order ID": "BIGINT", "unitPrice": "DOUBLE", "2nd": "VARCHAR"}


def sourced(path: str) -> tuple[str, ...]:
    return ("--kind", "csv", "--location", "shop_files", "--path", path)


def test_a_new_location_is_added_to_the_settings(load: Loaded, tmp_path: Path) -> None:
    arguments = ("--kind", "csv", "--location", "tea_files", "--path", "teas.csv", "--address", "./teas")
    done = call(load(), new_source, "raw_teas", *arguments)
    assert f"changed  {load().package}/settings.py" in done.output
    text = (tmp_path / load().package / "settings.py").read_text()
    assert '    default_locations: ClassVar[Mapping[str, str]] = {\n        "tea_files": "./teas",\n' in text
    ast.parse(text)


def test_what_cannot_be_written_leaves_nothing(load: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, before = load(), contents(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("assay.scaffold.start.write_atomically", full)
    arguments = ("--kind", "csv", "--location", "tea_files", "--path", "teas.csv", "--address", "./teas")
    told = str(call(project, new_source, "raw_teas", *arguments).exception)
    assert "settings.py: cannot be written: No space left on device" in told
    assert contents(tmp_path) == before


def test_a_folder_of_the_project_counts_from_it(load: Loaded, tmp_path: Path) -> None:
    arguments = (
        "--kind",
        "csv",
        "--location",
        "tea_files",
        "--path",
        "t.csv",
        "--address",
        str(tmp_path / "data/teas"),
    )
    assert call(load(), new_source, "raw_teas", *arguments).exit_code == 0
    assert '"tea_files": "./data/teas",' in (tmp_path / load().package / "settings.py").read_text()


@pytest.mark.parametrize("address", ["/srv/teas", "~/teas", "{root}/../teas"])
def test_a_folder_of_one_machine_is_no_address(load: Loaded, tmp_path: Path, address: str) -> None:
    before, address = contents(tmp_path), address.format(root=tmp_path)
    arguments = ("--kind", "csv", "--location", "tea_files", "--path", "t.csv", "--address", address)
    assert str(call(load(), new_source, "raw_teas", *arguments).exception) == (
        f"{address}: the address is a folder of this machine alone. "
        "Give one that counts from the project, such as ./data/shop; "
        "on this machine PIPELINE_SOURCE_TEA_FILES may name another."
    )
    assert contents(tmp_path) == before


def test_the_file_is_as_the_linters_want_it(load: Loaded, tmp_path: Path) -> None:
    call(load(), new_table, "sales", "--stage", "transform", "--from", "orders,customers")
    call(load(), new_source, "raw_teas", *sourced("teas.csv"))
    for arguments in (["check", "--select", "E,F,W,UP,B"], ["format", "--check", "--line-length", "120"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, "--no-cache", str(tmp_path / load().package / "transform")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        (new_table, ("Sales", "--stage", "transform", "--from", "orders"), "'Sales' is no name for a table"),
        (new_table, ("class", "--stage", "transform", "--from", "orders"), "'class' is no name for a table"),
        (new_table, ("sales", "--stage", "marts", "--from", "orders"), "no stage 'marts'. Stages: extract, transform."),
        (
            new_table,
            ("sales", "--stage", "checks", "--from", "orders"),
            "'checks' holds invariants, not tables. Stages: extract, transform.",
        ),
        (new_table, ("sales", "--stage", "quarantine", "--from", "orders"), "no stage 'quarantine'. Stages: extract"),
        (new_table, ("orders", "--stage", "transform", "--from", "customers"), "orders.py: the table exists"),
        (
            new_table,
            ("sales", "--stage", "transform", "--from", "order"),
            "no table named 'order'. Did you mean orders",
        ),
        (new_table, ("sales", "--stage", "transform"), "reads at least one. Name it with --from"),
        (
            new_table,
            ("sales", "--stage", "transform", "--from", "orders", "--expression", "orders.nothing()"),
            "orders.nothing(): the expression fails",
        ),
        (
            new_table,
            ("sales", "--stage", "transform", "--from", "orders", "--expression", "orders.amount"),
            "not a table. End in a table",
        ),
        (
            new_table,
            ("sales", "--stage", "transform", "--from", "orders", "--key", "id"),
            "the key's 'id' is no column. Columns: order_id",
        ),
        (new_source, ("raw_teas", *sourced("t.csv"), "--sample", "no.csv"), "no.csv: the sample does not exist"),
        (
            new_source,
            ("raw_teas", "--kind", "csv", "--location", "teas", "--path", "t.csv", "--sample", "no.csv"),
            "no.csv: the sample does not exist",
        ),
        (
            new_source,
            ("raw_teas", "--kind", "csv", "--location", "teas", "--path", "t.csv"),
            "settings know no location 'teas' (known: shop_files). Give its --address",
        ),
    ],
)
def test_what_does_not_fit_is_one_clear_line_and_writes_nothing(
    load: Loaded, tmp_path: Path, command: object, arguments: tuple[str, ...], message: str
) -> None:
    before = contents(tmp_path)
    done = call(load(), command, *arguments)
    assert isinstance(done.exception, PipelineError), done.output
    assert message in str(done.exception)
    assert contents(tmp_path) == before


def test_an_upstream_of_a_later_stage_is_refused(load: Loaded) -> None:
    assert call(load(), new_table, "sales", "--stage", "transform", "--from", "orders").exit_code == 0
    done = call(load(), new_table, "early", "--stage", "extract", "--from", "sales")
    assert re.search("'sales' is in transform, after extract", str(done.exception))


def test_a_sample_of_another_kind_is_refused(load: Loaded, tmp_path: Path) -> None:
    sample = tmp_path / "sample.parquet"
    sample.write_text("no parquet")
    arguments = ("--kind", "parquet", "--location", "shop_files", "--path", "t.parquet")
    done = call(load(), new_source, "raw_teas", *arguments, "--sample", str(sample))
    assert "the sample is no parquet" in str(done.exception)


NAUGHTY = [
    *(
        '"',
        "'",
        "\\",
        '\\"',
        '"""',
        "\n",
        "a\nb",
        "\r",
        "\t",
        "{0}",
        "{__import__('os').abort()}",
        "%s",
        "\\N{DIGIT ONE}",
    ),
    *(
        '"); __import__("os").abort() #',
        '", x=__import__("os").abort(), y="',
        "# x",
        "\u2028",
        "\U0001f926",
        "é",
        "\u202e",
        "class",
    ),
    *("None", "A b", "a_b", "a-b", "²", "1", "", " "),
]


def test_whatever_a_foreign_file_is_called_and_calls_its_columns_is_text(load: Loaded, tmp_path: Path) -> None:
    names = list(dict.fromkeys(name or "x" for name in NAUGHTY))
    sample = tmp_path / 'a"b {c}.parquet'
    pq.write_table(pyarrow.table({name: ["v"] for name in names}), sample)
    path = 'p"{x}\\N.parquet'
    done = call(
        load(),
        new_source,
        "raw_odd",
        "--kind",
        "parquet",
        "--location",
        "shop_files",
        "--path",
        path,
        "--sample",
        str(sample),
    )
    assert done.exit_code == 0, done.output
    made = table(load(), "raw_odd")
    assert isinstance(made.source, Parquet)
    assert made.source.path == path
    assert list(made.source.columns or ()) == names
    columns = list(Contract.of(made.model).duckdb_columns)
    assert len(set(columns)) == len(names)
    assert all(name.isidentifier() and not keyword.iskeyword(name) for name in columns)


@pytest.mark.parametrize("text", [*NAUGHTY, "".join(map(chr, range(0x300)))])
def test_a_text_written_as_code_is_that_text(text: str) -> None:
    code = python_string(text)
    assert ast.literal_eval(code) == text
    assert code.isprintable()
