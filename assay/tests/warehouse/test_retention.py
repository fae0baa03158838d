"""The books do not grow for ever, and keep what anybody still needs."""

from __future__ import annotations

import datetime as dtm
from pathlib import Path

import duckdb
import pytest

from assay.settings import BaseSettings
from assay.warehouse import ops
from assay.warehouse.quarantine import shape
from assay.warehouse.retention import Retention, retire
from assay.warehouse.warehouse import DuckDBWarehouse

NOW = dtm.datetime(2026, 11, 25, 12, tzinfo=dtm.UTC)
DAY = dtm.timedelta(days=1)


@pytest.fixture
def books() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    ops.prepare(connection, "memory")
    return connection


def reject(connection: duckdb.DuckDBPyConnection, name: str, status: str, seen: dtm.datetime) -> None:
    row = f"""(SELECT '{name}' AS reject_id, 'r' AS run_id, 't' AS table_name, NULL AS partition, NULL AS source_file,
        NULL AS source_line, ['x'] AS reason_codes, '{{}}' AS payload, '{seen}'::TIMESTAMPTZ AS first_seen,
        first_seen AS last_seen, '{status}' AS status, true AS set_aside, false AS malformed)"""
    shape.take(connection, connection.execute("SELECT current_database()").fetchall()[0][0], row)


def publish(connection: duckdb.DuckDBPyConnection, number: int, table: str, action: str = "replace") -> None:
    connection.execute(
        f"INSERT INTO ops.publications VALUES (?, 'r', ?, 's', NULL, ?, {'0, ' * 3} 0.0, 'd', 'c', '{{}}', NULL, '[]', '[]', ?)",
        [number, table, action, NOW],
    )


def test_settled_rejects_go_after_their_days_and_open_ones_stay(books: duckdb.DuckDBPyConnection) -> None:
    for status in ("open", "resolved", "replayed", "discarded"):
        reject(books, f"old {status}", status, NOW - 91 * DAY)
        reject(books, f"new {status}", status, NOW - 89 * DAY)
    retire(books, "memory", Retention(90, 365, 400), NOW)
    found = {name for (name,) in books.execute("SELECT reject_id FROM quarantine.rejects").fetchall()}
    assert found == {"old open", "new open", "new resolved", "new replayed", "new discarded"}


def test_open_rejects_have_their_own_days_and_are_not_removed_silently(
    books: duckdb.DuckDBPyConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    """They hold values of persons: a row of an event log is rejected once, and would stay for ever."""
    for days in (364, 366, 400):
        reject(books, f"{days} days", "open", NOW - days * DAY)
    reject(books, "settled", "resolved", NOW - 366 * DAY)
    retire(books, "memory", Retention(90, 365, 400), NOW)
    assert books.execute("SELECT reject_id FROM quarantine.rejects").fetchall() == [("364 days",)]
    assert capsys.readouterr().err == (
        "t: removed from the quarantine, as nobody decided on them: 2 rows rejected, open and last seen more than 365 days "
        "ago (PIPELINE_KEEP_OPEN_REJECTS)\n"
    )


def test_of_each_table_the_newest_publications_stay_and_the_last_good_one(books: duckdb.DuckDBPyConnection) -> None:
    publish(books, 1, "failing")
    for number in range(2, 30):
        publish(books, number, "failing", "failed")
    for number in range(30, 60):
        publish(books, number, "daily")
    publish(books, 60, "rare")
    retire(books, "memory", Retention(90, 365, 10), NOW)
    found = books.execute(
        "SELECT table_name, list(id ORDER BY id) FROM ops.publications GROUP BY ALL ORDER BY 1"
    ).fetchall()
    assert found == [("daily", [*range(50, 60)]), ("failing", [1, *range(20, 30)]), ("rare", [60])]


def test_a_session_that_ends_well_cleans_up(tmp_path: Path) -> None:
    settings = BaseSettings.read({"PIPELINE_KEEP_REJECTS": "30"}, root=tmp_path)
    warehouse = DuckDBWarehouse.of(settings)
    with warehouse.session() as session:
        reject(session.connection, "old", "discarded", dtm.datetime.now(dtm.UTC) - 31 * DAY)
        reject(session.connection, "new", "discarded", dtm.datetime.now(dtm.UTC) - 29 * DAY)
    with warehouse.reading() as session:
        assert session.connection.execute("SELECT reject_id FROM quarantine.rejects").fetchall() == [("new",)]
