from __future__ import annotations

import decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.errors import SourceError
from assay.sources.parquet import Parquet

COLUMNS = {"id": "BIGINT", "price": "DOUBLE", "sold_at": "TIMESTAMP"}
ROW = "7::BIGINT AS id, 1.5::DOUBLE AS price, TIMESTAMP '2017-01-01 10:00:00' AS sold_at"


@pytest.fixture
def write(tmp_path):
    def run(select: str, name: str = "f.parquet"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        duckdb.execute(f"COPY ({select}) TO '{tmp_path / name}' (FORMAT parquet)")
        return tmp_path / name

    return run


def test_rows_are_read_in_place(land, write, tmp_path, connection):
    file = write(f"SELECT {ROW}")
    found = land(Parquet("shop", "f.parquet"), tmp_path, COLUMNS)
    assert [row[:2] for row in found.rows] == [(7, 1.5)]
    assert found.landed.malformed is None
    assert found.landed.bytes == file.stat().st_size
    assert connection.execute("SELECT count(*) FROM duckdb_tables()").fetchone() == (0,)


def test_reordered_columns_are_matched_by_name(land, write, tmp_path):
    write("SELECT TIMESTAMP '2017-01-01' AS sold_at, 1.5::DOUBLE AS price, 7::BIGINT AS id")
    assert land(Parquet("shop", "f.parquet"), tmp_path, COLUMNS).rows[0][:2] == (7, 1.5)


@pytest.mark.parametrize(
    ("select", "message"),
    [
        ("SELECT 7::BIGINT AS id, 1.5::DOUBLE AS price", "missing column 'sold_at'"),
        (f"SELECT {ROW}, 1 AS colour", "unexpected column 'colour'"),
        (f"SELECT * RENAME (price AS unit_price) FROM (SELECT {ROW})", "expected column 'price', found 'unit_price'"),
        (f"SELECT * REPLACE (price::FLOAT AS price) FROM (SELECT {ROW})", "column 'price' is FLOAT, expected DOUBLE"),
        (
            f"SELECT * REPLACE (sold_at::TIMESTAMPTZ AS sold_at) FROM (SELECT {ROW})",
            "column 'sold_at' is TIMESTAMP WITH TIME ZONE, expected TIMESTAMP",
        ),
    ],
)
def test_a_changed_file_is_refused_before_any_row_is_read(land, write, tmp_path, select, message):
    write(select)
    with pytest.raises(SourceError) as error:
        land(Parquet("shop", "f.parquet"), tmp_path, COLUMNS)
    assert message in str(error.value)
    assert str(error.value).startswith(f"sold: {tmp_path / 'f.parquet'}: ")


@pytest.mark.parametrize("content", [b"id,price\n1,2\n", b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_a_file_that_is_no_parquet(land, tmp_path, content):
    (tmp_path / "f.parquet").write_bytes(content)
    with pytest.raises(SourceError, match=r"f\.parquet: is no readable Parquet file"):
        land(Parquet("shop", "f.parquet"), tmp_path, COLUMNS)


def test_a_truncated_file(land, write, tmp_path):
    file = write(f"SELECT {ROW} FROM range(1000)")
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(SourceError, match="is no readable Parquet file"):
        land(Parquet("shop", "f.parquet"), tmp_path, COLUMNS)


def test_several_files_each_checked(land, write, tmp_path):
    write(f"SELECT {ROW}", "day/1.parquet")
    write("SELECT TIMESTAMP '2017-01-01' AS sold_at, 8::BIGINT AS id, 2.5::DOUBLE AS price", "day/2.parquet")
    assert [row[:2] for row in land(Parquet("shop", "day/*.parquet"), tmp_path, COLUMNS).rows] == [(7, 1.5), (8, 2.5)]
    write("SELECT 8::BIGINT AS id", "day/3.parquet")
    with pytest.raises(SourceError, match=r"3\.parquet: missing column"):
        land(Parquet("shop", "day/*.parquet"), tmp_path, COLUMNS)


def test_folder_names_are_not_columns(land, write, tmp_path):
    write(f"SELECT {ROW}", "day=1/f.parquet")
    assert len(land(Parquet("shop", "day=1/f.parquet"), tmp_path, COLUMNS).rows) == 1


def test_a_path_with_quotes_and_brackets(land, write, tmp_path):
    duckdb.execute(f"COPY (SELECT {ROW}) TO '{tmp_path / 'f.parquet'}' (FORMAT parquet)")
    odd = tmp_path / "it's [new] *"
    odd.mkdir()
    (tmp_path / "f.parquet").rename(odd / "f.parquet")
    assert len(land(Parquet("shop", "f.parquet"), odd, COLUMNS).rows) == 1


def test_no_rows_are_no_error(land, write, tmp_path):
    write(f"SELECT {ROW} WHERE false")
    assert land(Parquet("shop", "f.parquet"), tmp_path, COLUMNS).rows == []


@pytest.mark.parametrize("rows", [1, 122_879, 122_880, 122_881, 300_000])
@pytest.mark.parametrize("threads", [2, 3])
def test_one_long_row_group_is_read_in_stretches_and_whole(
    land, write, tmp_path, connection, monkeypatch, rows, threads
):
    monkeypatch.setattr("assay.sources.parquet.WORTH_SPLITTING", 1)
    connection.execute(f"SET threads = {threads}")
    file = tmp_path / "f.parquet"
    duckdb.execute(f"COPY (SELECT range AS id FROM range({rows})) TO '{file}' (FORMAT parquet, ROW_GROUP_SIZE 400000)")
    found = land(Parquet("shop", "f.parquet"), tmp_path, {"id": "BIGINT"})
    assert "file_index" in found.landed.sql
    assert sorted(row[0] for row in found.rows) == list(range(rows))


def test_a_file_with_a_column_called_like_the_row_number_is_read_as_it_is(
    land, write, tmp_path, connection, monkeypatch
):
    monkeypatch.setattr("assay.sources.parquet.WORTH_SPLITTING", 1)
    connection.execute("SET threads = 2")
    write("SELECT range::BIGINT AS id, 5::BIGINT AS file_row_number FROM range(10)")
    found = land(Parquet("shop", "f.parquet"), tmp_path, {"id": "BIGINT", "file_row_number": "BIGINT"})
    assert "file_index" not in found.landed.sql
    assert len(found.rows) == 10


def test_a_decimal_that_duckdb_would_round_is_refused(land, tmp_path):
    column = pa.array([decimal.Decimal("1" * 40)], pa.decimal256(40, 0))
    pq.write_table(pa.table({"a": column}), tmp_path / "f.parquet")
    with pytest.raises(SourceError, match="column 'a' is a decimal of 40 digits, which DuckDB reads as a DOUBLE"):
        land(Parquet("shop", "f.parquet"), tmp_path, {"a": "DOUBLE"})


def test_damage_that_shows_while_rows_are_read_is_told_when_asked(land, write, tmp_path):
    file = write("SELECT i AS id FROM range(10000) t(i)")
    found = land(Parquet("shop", "f.parquet"), tmp_path, {"id": "BIGINT"})
    found.landed.recheck()
    content = bytearray(file.read_bytes())
    content[100:2000] = bytes(1900)
    file.write_bytes(content)
    with pytest.raises(SourceError, match=r"sold: .*f\.parquet: is no readable Parquet file \("):
        found.landed.recheck()


@pytest.mark.parametrize("names", [["id", "id"], ["id", "ID"]])
def test_columns_that_the_engine_cannot_tell_apart_are_refused(land, tmp_path, names):
    """It would call the second one id_1, whichever that is."""
    pq.write_table(pa.table([[1], [2]], names=names), tmp_path / "f.parquet")
    with pytest.raises(SourceError, match=f"which DuckDB renames to {names[1]}_1"):
        land(Parquet("shop", "f.parquet"), tmp_path, {"id": "BIGINT", f"{names[1]}_1": "BIGINT"})
