"""Resources of dlt through `Rows`, as `docs/sources.md` writes them: a database, a REST API, files; for real."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pydantic
import pytest

from assay.errors import SourceUnavailable
from assay.settings import BaseSettings
from assay.sources import Http, Rows
from tests.postgres import execute
from tests.sources.test_document import EXAMPLES

pytestmark = pytest.mark.filterwarnings("default")  # what dlt and its libraries deprecate is theirs
ORDERS = {"id": "BIGINT", "amount": "DECIMAL(9,2)", "updated_at": "TIMESTAMP"}


def documented(table: str) -> Rows:
    """The source of an example of the document."""
    (code,) = [example.code for example in EXAMPLES if example.table == table]
    module: dict[str, Any] = {"__name__": f"documented_{table}", "__file__": __file__}
    exec(compile(code.partition("@table")[0], table, "exec"), module)
    source = eval("Rows(" + code.partition("source=Rows(")[2].partition("))\n")[0] + ")", module)
    assert isinstance(source, Rows)
    return source


def in_sqlite(url: str, *statements: str) -> None:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Callable[..., None]]:
    """A database's URL, and what executes statements in it, with three orders."""
    url: str = f"sqlite:///{tmp_path}/shop.db" if request.param == "sqlite" else request.getfixturevalue("postgres")
    ask = in_sqlite if request.param == "sqlite" else execute
    ask(
        url,
        "DROP TABLE IF EXISTS orders",
        "CREATE TABLE orders (id BIGINT, amount NUMERIC(9,2), updated_at TIMESTAMP)",
        "INSERT INTO orders VALUES (1, 1.50, '2026-03-01 12:00:00'), (2, 2.50, '2026-03-01 12:05:00.500000'), "
        "(3, 3, '2026-03-01 12:05:00.500000')",
    )
    return url, lambda *statements: ask(url, *statements)


def test_a_table_of_a_database_by_its_watermark(land, database):
    url, execute = database
    source = documented("raw_orders")
    first = land(source, url, ORDERS)
    assert [row[:2] for row in first.rows] == [(1, Decimal("1.50")), (2, Decimal("2.50")), (3, Decimal("3.00"))]
    execute(
        "INSERT INTO orders VALUES (4, 4, '2026-03-01 12:05:00.500000')",
        "UPDATE orders SET amount = 9, updated_at = '2026-03-02' WHERE id = 1",
        "DELETE FROM orders WHERE id = 2",
    )
    second = land(source, url, ORDERS, offsets=first.landed.offsets)
    assert sorted(row[:2] for row in second.rows) == [(1, Decimal("9.00")), (4, Decimal("4.00"))]
    assert land(source, url, ORDERS, offsets=second.landed.offsets).rows == []


@pytest.mark.slow
def test_a_database_that_goes_away_in_the_middle_is_told_and_nothing_lands(land, postgres):
    execute(
        postgres,
        "DROP TABLE IF EXISTS orders",
        "CREATE TABLE orders AS SELECT n AS id, 1::numeric(9,2) AS amount, '2026-03-01'::timestamp AS updated_at "
        "FROM generate_series(1, 300000) AS n",
    )
    source = documented("raw_orders")

    def cut(context: Any) -> Iterator[Any]:
        for number, chunk in enumerate(source.fetch(context)):
            yield chunk
            if number == 0:
                execute(
                    postgres, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                )

    with pytest.raises(SourceUnavailable, match=r"does not answer \(\w*Error; 2 attempts\)"):
        land(Rows(cut, "shop_db", "orders", cursor="id", limits=Http(attempts=2, wait=0.01)), postgres, ORDERS)
    away = Rows(source.fetch, "shop_db", "orders", limits=Http(attempts=1))
    with pytest.raises(SourceUnavailable, match="does not answer"):
        land(away, "postgresql://ann:s3cret@127.0.0.1:1/shop", ORDERS)


class Settings(BaseSettings):
    shop_token: pydantic.SecretStr | None = None


def test_a_rest_api_with_its_token_and_cursor(land, server, tmp_path):
    settings = Settings.read({"PIPELINE_SHOP_TOKEN": "t0ken"}, root=tmp_path)
    source, columns = documented("raw_tickets"), {"id": "BIGINT", "text": "VARCHAR", "updated_at": "BIGINT"}
    tickets = [{"id": n, "text": "late", "updated_at": n * 10} for n in (1, 2, 3)]
    server.serve("/tickets?since=0", json.dumps({"data": tickets[:2], "next": f"{server.url}/tickets?since=0&page=2"}))
    server.serve("/tickets?since=0&page=2", json.dumps({"data": tickets[2:], "next": None}))
    first = land(source, server.url, columns, settings=settings)
    assert [row[0] for row in first.rows] == [1, 2, 3]
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer t0ken"}
    server.serve(
        "/tickets?since=30", json.dumps({"data": [tickets[2], {**tickets[0], "updated_at": 31}], "next": None})
    )
    second = land(source, server.url, columns, settings=settings, offsets=first.landed.offsets)
    assert second.rows == [(1, "late", 31)]


def test_files_of_a_folder_by_their_pattern(land, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text('{"page": "/", "visits": 3}\n{"page": "/tea", "visits": 1}\n')
    (tmp_path / "in" / "b.jsonl").write_text('{"page": "/", "visits": "many"}\n')
    found = land(documented("raw_visits"), tmp_path / "in", {"page": "VARCHAR", "visits": "BIGINT"})
    assert sorted(found.rows) == [("/", 3), ("/tea", 1)]
    assert [reason for reason, _ in found.reasons] == ["rows.cast"]


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_nothing_of_dlt_behind(tmp_path):
    """Nothing of the resources' own state is kept: the watermark is the warehouse's alone."""
    code = """
import dlt, sys
from assay.sources.fetched import FetchContext
from tests.sources.test_dlt import documented, in_sqlite
in_sqlite("sqlite:///shop.db", "CREATE TABLE orders (id BIGINT, amount NUMERIC(9,2), updated_at TIMESTAMP)",
          "INSERT INTO orders VALUES (1, 1, '2026-03-01')")
for _ in range(2):
    assert len(list(documented("raw_orders").fetch(FetchContext(None, "sqlite:///shop.db", None)))) == 1
"""
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTHONWARNINGS": "ignore",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["shop.db"]
