"""Attacks on the guarded connection: every way to write that DuckDB offers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import duckdb
import ibis
import pyarrow as pa
import pytest

from assay.errors import WarehouseError
from assay.warehouse.dry.guard import GuardedConnection, guarded


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a real warehouse, in which nothing may change or appear, whatever the tests attempt."""
    folder = tmp_path_factory.mktemp("guard")
    with duckdb.connect(str(folder / "real.duckdb")) as connection:
        connection.execute("CREATE SCHEMA load; CREATE TABLE load.t AS SELECT 1 AS a; CREATE TABLE t AS SELECT 1 AS a")
        connection.execute("CREATE SEQUENCE s; CREATE VIEW v AS SELECT 1 AS a")
    (folder / "x.csv").write_text("a\n1\n")
    before = _contents(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder
    assert _contents(folder) == before


@pytest.fixture(scope="module")
def connection(folder: Path) -> Iterator[GuardedConnection]:
    """A scratch database in front of the real one, as a dry run opens it; no attack changes it."""
    inner = duckdb.connect()
    inner.execute(f"ATTACH '{folder / 'real.duckdb'}' AS real (READ_ONLY)")
    inner.execute("CREATE TABLE mine AS SELECT 1 AS a; CREATE TABLE other AS SELECT 1 AS a")
    with guarded(inner) as connection:
        yield connection


@pytest.fixture
def own(connection: GuardedConnection) -> Iterator[GuardedConnection]:
    """The same, for tests that change the scratch database: rolled back afterwards."""
    connection.execute("BEGIN TRANSACTION")
    yield connection
    connection.execute("ROLLBACK")


def _contents(folder: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


ATTACKS = """
INSERT INTO real.load.t VALUES (2)
INSERT OR REPLACE INTO real.t VALUES (2)
INSERT INTO "real".t VALUES (2)
INSERT INTO REAL . load . t VALUES (2)
INSERT /* x */ INTO /* y */ real/* z */.t SELECT 2
WITH x AS (SELECT 2) INSERT INTO real.t SELECT * FROM x
UPDATE real.t SET a = 2
DELETE FROM real.t
TRUNCATE real.t
MERGE INTO real.t USING mine ON real.t.a = mine.a WHEN MATCHED THEN DELETE
CREATE TABLE real.x AS SELECT 1 AS a
CREATE OR REPLACE TABLE real.t AS SELECT 1 AS a
CREATE TABLE IF NOT EXISTS real.x (a INT)
CREATE SCHEMA real.x
CREATE VIEW real.w AS SELECT 1
CREATE MACRO real.m(a) AS a
CREATE SEQUENCE real.s2
CREATE TYPE real.e AS ENUM ('a')
CREATE INDEX i ON real.t (a)
ALTER TABLE real.t ADD COLUMN b INT
ALTER TABLE real.t RENAME TO u
COMMENT ON TABLE real.t IS 'x'
COMMENT ON COLUMN real.t.a IS 'x'
DROP TABLE real.t
DROP TABLE IF EXISTS real.t
DROP SCHEMA real.load CASCADE
DROP VIEW real.v
COPY real.t FROM 'x.csv'
COPY mine TO 'x.csv'
COPY mine TO 'real.duckdb'
COPY (SELECT 1 AS a) TO 'x.parquet' (FORMAT parquet)
COPY (FROM mine) TO 'real.duckdb.wal'
COPY FROM DATABASE scratch TO real
COPY FROM DATABASE real TO scratch
EXPORT DATABASE 'exported'
IMPORT DATABASE 'exported'
ATTACH 'real.duckdb' AS x
ATTACH IF NOT EXISTS 'real.duckdb' AS x
ATTACH 'other.duckdb'
ATTACH ':memory:' AS x
DETACH real
DETACH DATABASE IF EXISTS real
USE real
USE real.load
SET schema = 'real'
SET search_path = 'real'
SET enable_external_access = true
SET lock_configuration = false
SET allow_unsigned_extensions = true
SET threads = 1
SET temp_directory = 'elsewhere'
SET GLOBAL temp_directory = 'elsewhere'
RESET threads
PRAGMA threads = 1
PRAGMA enable_checkpoint_on_shutdown
PRAGMA enable_profiling = 'json'
PRAGMA profiling_output = 'x.json'
INSTALL json
FORCE INSTALL json
LOAD json
UPDATE EXTENSIONS
CALL checkpoint('real')
CALL enable_logging('QueryLog', storage = 'file', storage_path = 'logs')
CALL duckdb_tables()
CHECKPOINT
CHECKPOINT real
FORCE CHECKPOINT real
VACUUM
VACUUM ANALYZE real.t
ANALYZE
PREPARE p AS INSERT INTO real.t VALUES (2)
PREPARE p AS SELECT 1
EXECUTE p
DEALLOCATE p
EXPLAIN ANALYZE INSERT INTO real.t VALUES (2)
EXPLAIN (ANALYZE, FORMAT json) INSERT INTO real.t VALUES (2)
EXPLAIN ANALYZE COPY mine TO 'x.csv'
EXPLAIN DETACH real
CREATE SECRET x (TYPE s3)
CREATE PERSISTENT SECRET x (TYPE s3)
CREATE OR REPLACE PERSISTENT SECRET x (TYPE s3)
DROP SECRET x
SELECT * FROM checkpoint('real')
SELECT * FROM "checkpoint"('real')
SELECT * FROM force_checkpoint('real')
SELECT * FROM enable_logging('QueryLog', storage = 'file', storage_path = 'logs')
SELECT * FROM enable_profiling(save_location = 'p.json')
SELECT * FROM query('SELECT * FROM enable_logging()')
CREATE VIEW w AS SELECT * FROM enable_logging()
SELECT write_log('x')
SELECT 1; DETACH real
CREATE TABLE x AS SELECT 1; INSERT INTO real.t VALUES (2)
SELECT 1; ; DETACH real; ATTACH 'real.duckdb' AS x; INSERT INTO x.t VALUES (2)
SELECT 1 -- harmless; DETACH other
""".strip().splitlines()[:-1]


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_statement_that_could_write_elsewhere_is_refused(connection: GuardedConnection, attack: str) -> None:
    for method in ("execute", "sql", "query", "from_query", "executemany"):
        with pytest.raises((WarehouseError, duckdb.Error)) as caught:
            getattr(connection, method)(attack)
        # The guard refuses it itself; only what cannot be parsed is left to DuckDB's parser.
        assert isinstance(caught.value, WarehouseError | duckdb.ParserException), attack
    with pytest.raises((WarehouseError, duckdb.ParserException)):
        connection.cursor().execute(attack)


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_before_a_statement_hides_it(connection: GuardedConnection, attack: str) -> None:
    for hidden in (f";;;;;; /* ; */ {attack}", f"SELECT 1; {attack}"):
        with pytest.raises((WarehouseError, duckdb.ParserException)):
            connection.execute(hidden)


@pytest.mark.parametrize(
    "attack", [attack for attack in ATTACKS if attack.startswith(("INSERT INTO", "DELETE", "DROP TABLE"))]
)
def test_the_engine_refuses_too(folder: Path, attack: str) -> None:
    """What changes the real catalog fails even without the guard: the catalog is read-only."""
    with duckdb.connect() as inner:
        inner.execute(f"ATTACH '{folder / 'real.duckdb'}' AS real (READ_ONLY)")
        with pytest.raises(duckdb.Error, match="read-only"):
            inner.execute(attack)


def test_nextval_of_a_real_sequence_is_refused_by_the_engine(connection: GuardedConnection) -> None:
    with pytest.raises(duckdb.InvalidInputException, match="read-only"):
        connection.execute("SELECT nextval('real.s')")


ALLOWED = """
SELECT * FROM real.load.t
FROM real.t
WITH x AS (SELECT 1 AS a) SELECT * FROM x
VALUES (1)
DESCRIBE SELECT 1
SUMMARIZE mine
SHOW TABLES
PIVOT mine ON a USING count(*)
EXPLAIN SELECT * FROM real.load.t
EXPLAIN ANALYZE SELECT * FROM real.t
EXPLAIN (SELECT 1)
CREATE SCHEMA load
CREATE OR REPLACE TABLE copied AS SELECT * FROM real.load.t JOIN real.t USING (a)
CREATE TEMP TABLE temporary AS FROM real.t
CREATE OR REPLACE TEMP VIEW seen AS SELECT * FROM real.t
INSERT INTO mine SELECT * FROM real.t WHERE real.t.a = 1
UPDATE mine SET a = (SELECT max(a) FROM real.t)
DELETE FROM mine USING real.t WHERE mine.a = real.t.a
ALTER TABLE mine RENAME TO yours
DROP TABLE other
SET VARIABLE x = 'DETACH real'
SELECT 'DETACH real; COPY mine TO ''x.csv''' AS text -- DETACH real
SELECT 1 AS checkpoint, 2 AS load, 3 AS query
""".strip().splitlines()


@pytest.mark.parametrize("statement", ALLOWED)
def test_reading_and_changing_its_own_database_is_allowed(own: GuardedConnection, statement: str) -> None:
    assert own.execute(statement) is own


def test_every_statement_kind_of_this_duckdb_is_decided() -> None:
    """A DuckDB with a new kind of statement must be looked at (until then the kind is refused)."""
    known = """INVALID SELECT INSERT UPDATE CREATE DELETE PREPARE EXECUTE ALTER TRANSACTION COPY ANALYZE VARIABLE_SET
    CREATE_FUNC EXPLAIN DROP EXPORT PRAGMA VACUUM CALL SET LOAD RELATION EXTENSION LOGICAL_PLAN ATTACH DETACH MULTI
    COPY_DATABASE MERGE_INTO"""
    assert set(duckdb.StatementType.__members__) <= set(known.split())


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("to_csv", ["x.csv"]),
        ("write_csv", ["x.csv"]),
        ("to_parquet", ["x.parquet"]),
        ("write_parquet", ["x.parquet"]),
        ("create", ["real.load.x"]),
        ("to_table", ["real.load.x"]),
        ("insert_into", ["real.load.t"]),
        ("create_view", ["real.load.w"]),
        ("to_view", ["real.w"]),
        ("insert", [[1]]),
        ("update", [{"a": 2}]),
        ("query", ["x", "COPY x TO 'x.csv'"]),
        ("query", ["x", "DETACH real"]),
    ],
)
def test_a_relation_cannot_write_elsewhere(connection: GuardedConnection, method: str, arguments: list[object]) -> None:
    for relation in (
        connection.sql("SELECT 2 AS a"),
        connection.table("real.load.t"),
        connection.from_arrow(pa.table({"a": [1]})).filter("a > 0"),
        connection.sql("FROM mine").limit(1),
    ):
        with pytest.raises((WarehouseError, duckdb.Error)) as caught:
            getattr(relation, method)(*arguments)
        assert isinstance(caught.value, WarehouseError)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("append", ["real.load.t", None]),
        ("load_extension", ["json"]),
        ("install_extension", ["json"]),
        ("register_filesystem", [None]),
        ("unregister_filesystem", ["x"]),
        ("checkpoint", []),
        ("enable_profiling", []),
        ("table_function", ["checkpoint"]),
        ("not_yet_invented", []),
    ],
)
def test_a_method_that_is_not_known_to_be_harmless_is_refused(
    connection: GuardedConnection, method: str, arguments: list[object]
) -> None:
    with pytest.raises((WarehouseError, AttributeError)):
        getattr(connection, method)(*arguments)


def test_every_way_to_another_connection_is_guarded(connection: GuardedConnection) -> None:
    for other in (
        connection.cursor(),
        connection.duplicate(),
        connection.execute("SELECT 1"),
        connection.begin(),
        connection.rollback(),
        connection.register("rows", pa.table({"a": [1]})),
        connection.cursor().cursor(),
    ):
        with pytest.raises(WarehouseError):
            other.execute("DETACH real")


def test_a_statement_object_is_checked_too(connection: GuardedConnection) -> None:
    (statement,) = connection.extract_statements("DETACH real")
    with pytest.raises(WarehouseError):
        connection.execute(statement)


def test_ibis_works_on_it_and_settings_stay_locked(folder: Path) -> None:
    inner = duckdb.connect()
    inner.execute(f"ATTACH '{folder / 'real.duckdb'}' AS real (READ_ONLY)")
    connection = guarded(inner)
    backend = ibis.duckdb.from_connection(connection)
    connection.lock()
    table = backend.table("t", database=("real", "load"))
    joined = table.join(ibis.memtable(pa.table({"a": [1], "b": ["x"]})), "a")
    assert backend.to_pyarrow(joined).to_pylist() == [{"a": 1, "b": "x"}]
    assert backend.to_pyarrow(table.alias("x").sql("SELECT a + 1 AS b FROM x")).to_pylist() == [{"b": 2}]
    backend.create_table("made", table)
    assert backend.table("made").count().to_pyarrow().as_py() == 1
    with pytest.raises((WarehouseError, duckdb.Error)):
        backend.create_table("made", table, database=("real", "load"))
    with pytest.raises(WarehouseError):
        backend.to_parquet(table, "x.parquet")
    with pytest.raises(WarehouseError):
        backend.attach("real.duckdb", name="x")
    with pytest.raises(WarehouseError):
        backend.detach("real")
    with pytest.raises(duckdb.InvalidInputException, match="locked"):
        inner.execute("SET threads = 1")
    inner.close()
