"""A team's first six sources, as the documents write them, from real servers: planned, killed in the middle of each, and whole.

Their contracts and golden cases are those of `docs/sources.md` and `docs/incremental.md`, which other tests run.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import duckdb
import openpyxl
import pytest

from tests.little import Little
from tests.postgres import execute
from tests.sources.test_document import EXAMPLES
from tests.sources.test_remote import bucket as bucket
from tests.sources.test_remote import endpoint as endpoint
from tests.sources.test_remote import put

pytestmark = pytest.mark.slow
PROJECT = """
import os, time
from pathlib import Path
import pydantic
from assay.project import Project
from assay.settings import BaseSettings
from assay.sources.base import Sources
from assay.warehouse import ops

ROOT = Path(__file__).resolve().parent.parent
record = ops.record


def held(connection, catalog, number, publication, run):
    record(connection, catalog, number, publication, run)
    if (ROOT / "hold").exists() and (ROOT / "hold").read_text() == publication.table:
        (ROOT / "began").write_text("")
        time.sleep(600)


ops.record = held


class Settings(BaseSettings):
    default_locations = dict.fromkeys(("shop_api", "shop_db", "shop_files", "finance_files", "carrier_files", "files"), "none")
    shop_token: pydantic.SecretStr | None = pydantic.Field(None, description="The shop's token.")


project = Project(
    package="little",
    stages=("extract",),
    root=ROOT,
    settings=lambda: Settings.read(os.environ, root=ROOT),
    sources=lambda settings: Sources(settings.locations),
)
"""
TABLES = {
    "current_orders": "id, amount",
    "customers": "customer_id, city, valid_to IS NULL",
    "raw_budget": "department, euros",
    "raw_changes": "order_id, amount",
    "raw_parcels": "parcel, grams",
    "raw_prices": "product, price",
}
"""In the order in which they are built, with what is looked at."""


class Api(dict[str, Any]):
    """Pages of changes, from the watermark on."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[dict[str, Any]] = [
            {"order_id": 1, "amount": 9.5, "updated_at": "2026-03-01T12:00:00+00:00"},
            {"order_id": 2, "amount": 8.5, "updated_at": "2026-03-01T12:05:00+00:00"},
        ]

    def get(self, path: str, default: Any = None) -> Any:
        asked = parse_qs(urlsplit(path).query)
        since = asked.get("since", [""])[0]
        found = [each for each in self.changes if each["updated_at"] >= since] if asked["page"] == ["1"] else []
        return [json.dumps(found)]


class Shop(Little):
    """A project with these tables, and the servers that they read."""

    def __init__(self, root: Path, api: str, database: str) -> None:
        super().__init__(root)
        (root / "little" / "project.py").write_text(PROJECT)
        codes = {example.table: example.code for example in EXAMPLES}
        incremental = (Path(__file__).resolve().parents[3] / "docs" / "incremental.md").read_text(encoding="utf-8")
        (codes["customers"],) = [
            each for each in re.findall(r"^```python\n(.*?)^```$", incremental, re.M | re.S) if "def customers(" in each
        ]
        codes["raw_changes"] = (
            codes["raw_changes"]
            .replace('cursor="updated_at")', 'cursor="updated_at", auth=Bearer("shop_token"))')
            .replace("import FetchContext", "import Bearer, FetchContext")
        )
        for name in TABLES:
            (root / "little" / "extract" / f"{name}.py").write_text(codes[name])
        self.given = {
            "PIPELINE_SOURCE_SHOP_API": api,
            "PIPELINE_SOURCE_SHOP_DB": database,
            "PIPELINE_SOURCE_SHOP_FILES": "s3://shop",
            "PIPELINE_SHOP_TOKEN": "t0k3n",
            **{f"PIPELINE_SOURCE_{name}_FILES": str(root) for name in ("FINANCE", "CARRIER")},
            "PIPELINE_SOURCE_FILES": str(root),
        }

    def good(self, *arguments: str, code: int = 0) -> str:
        found, output, errors = self.run(*arguments, environment=self.given)
        assert found == code, output + errors
        return output

    def budget(self, *rows: tuple[object, ...]) -> None:
        book = openpyxl.Workbook()
        book.active.title = "2026"
        for row in (("Budget",), ("of finance",), ("department", "month", "euros"), *rows):
            book.active.append(row)
        book.save(self.root / "budget.xlsx")

    def parcels(self, day: str, text: str) -> None:
        (self.root / "lists").mkdir(exist_ok=True)
        (self.root / "lists" / f"{day}.csv.gz").write_bytes(gzip.compress(f"parcel,grams\n{text}".encode()))

    def published(self, table: str) -> list[tuple[str, ...]]:
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            rows = connection.execute(f"SELECT {TABLES[table]} FROM extract.{table} ORDER BY ALL").fetchall()
        return [tuple(map(str, row)) for row in rows]


def test_six_sources_are_read_planned_killed_and_read_on(tmp_path, server, postgres, bucket):
    api = server.answers = Api()
    shop = Shop(tmp_path, server.url, postgres)
    execute(
        postgres,
        "DROP TABLE IF EXISTS orders",
        "CREATE TABLE orders (id BIGINT, amount NUMERIC(9,2), updated_at TIMESTAMP, is_deleted BOOLEAN)",
        "INSERT INTO orders VALUES (1, 1, '2026-03-01', false), (2, 2, '2026-03-01', false)",
    )
    shop.budget(("GROCERY", "2026-01-01", 1000))
    shop.parcels("monday", "1,300\n")
    put(bucket, "prices/monday.ndjson", '{"product": "tea", "price": 2.50}\n')
    (tmp_path / "customers.csv").write_text("customer_id,city\n1,Bonn\n2,Kiel\n")
    shop.good("run")
    assert {each["Authorization"] for each in server.headers} == {"Bearer t0k3n"}
    before = {name: shop.published(name) for name in TABLES}
    assert before == {
        "current_orders": [("1", "1.00"), ("2", "2.00")],
        "customers": [("1", "Bonn", "True"), ("2", "Kiel", "True")],
        "raw_budget": [("GROCERY", "1000.00")],
        "raw_changes": [("1", "9.50"), ("2", "8.50")],
        "raw_parcels": [("1", "300")],
        "raw_prices": [("tea", "2.50")],
    }

    execute(
        postgres,
        "UPDATE orders SET amount = 5, updated_at = '2026-03-02' WHERE id = 1",
        "UPDATE orders SET is_deleted = true, updated_at = '2026-03-02' WHERE id = 2",
        "INSERT INTO orders VALUES (3, 3, '2026-03-03', false)",
    )
    shop.budget(("GROCERY", "2026-01-01", 1000), ("TOYS", "2026-01-01", 50))
    shop.parcels("tuesday", "2,500\n")
    put(bucket, "prices/tuesday.ndjson", '{"product": "ale", "price": 3}\n')
    (tmp_path / "customers.csv").write_text("customer_id,city\n1,Bonn\n2,Mainz\n")
    api.changes.append({"order_id": 1, "amount": 7, "updated_at": "2026-03-01T12:05:00+00:00"})
    after = {
        "current_orders": [("1", "5.00"), ("3", "3.00")],
        "customers": [("1", "Bonn", "True"), ("2", "Kiel", "False"), ("2", "Mainz", "True")],
        "raw_budget": [("GROCERY", "1000.00"), ("TOYS", "50.00")],
        "raw_changes": [("1", "7.00"), ("1", "9.50"), ("2", "8.50")],
        "raw_parcels": [("1", "300"), ("2", "500")],
        "raw_prices": [("ale", "3.00"), ("tea", "2.50")],
    }
    file = shop.warehouse.read_bytes()
    made = shop.run("plan", "--json", environment=shop.given)
    planned = {node["name"]: node for node in json.loads(made[1])["nodes"]}
    assert {name: node["error"] for name, node in planned.items() if node["error"]} == {}
    assert {name: node["rows_after"] for name, node in planned.items()} == {n: len(rows) for n, rows in after.items()}
    assert planned["current_orders"]["loaded"] == {"inserted": 1, "updated": 1, "deleted": 1, "unchanged": 0}
    assert shop.warehouse.read_bytes() == file

    for name in TABLES:
        (tmp_path / "began").unlink(missing_ok=True)
        (tmp_path / "hold").write_text(name)
        with shop.start("run", name, environment=shop.given) as process:
            shop.until("began", process)
            os.kill(process.pid, signal.SIGKILL)
        assert shop.published(name) == before[name], f"{name} was killed before it was committed"
    (tmp_path / "hold").unlink()
    shop.good("run")
    assert {name: shop.published(name) for name in TABLES} == after
    shop.good("run")
    assert {name: shop.published(name) for name in TABLES} == after
