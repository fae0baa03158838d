"""A program that publishes in children of its own, kills them or takes their disk, and tells what a reader then sees.

Run as `python -m tests.warehouse.victim full|SCENARIO... FOLDER`; prints a JSON object a line.
Children are forked, so that Ibis and Pandera are imported once, and find everything warm. DuckDB runs on one
thread: only then has the parent no others when it forks.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ibis.expr.datatypes as dt
import pandera.ibis as pa

from assay.contract.classification import public
from assay.contract.contract import Contract
from assay.tables.loads import Incremental
from assay.tables.nodes import KeepFirst, RejectBudget, TableDef
from assay.tables.partitions import daily
from assay.warehouse import carried
from tests.warehouse.house import Given, House, given, values

WRITES = ("BEGIN", "COMMIT", "CREATE", "INSERT", "DELETE", "ALTER", "DROP", "UPDATE", "MERGE")
TEMPORARY = ("CREATE OR REPLACE TEMP", "INSERT INTO __", "DROP TABLE __", "DROP TABLE IF EXISTS temp.")
"""How statements begin that do not touch the database's file."""
COMMIT_DELAYS = (0.0002, 0.003)


class Row(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)
    v: dt.Int64 = pa.Field(ge=0, metadata=public)
    d: dt.Date = pa.Field(metadata=public)
    t: dt.String = pa.Field(nullable=True, metadata=public)

    class Config:
        unique = ["k"]


COLUMNS = "k BIGINT, v BIGINT, d DATE, t VARCHAR"
OLD = values(COLUMNS, "1, 1, '2026-01-01', 'old'", "2, 2, '2026-01-02', 'old'", "3, -3, '2026-01-02', 'old'")
NEW = values(COLUMNS, "2, 20, '2026-01-02', 'new'", "2, 30, '2026-01-02', 'new'", "9, -9, '2026-01-02', 'new'")
EVENTS = values(COLUMNS, "4, 4, '2026-01-04', 'new'", "2, 2, '2026-01-02', 'again'", "5, -5, '2026-01-04', 'new'")
LARGE = "SELECT range + 10 AS k, range AS v, DATE '2026-01-02' AS d, md5(range::VARCHAR) AS t FROM range(60000)"


def scenario(name: str, sql: str, *, old: bool) -> tuple[TableDef, str | None]:
    """The table of a scenario and the partition to build of it."""
    source = Given(sql, incremental=name == "append", offsets={0: 3 if old else 6} if name == "append" else None)
    partitions = daily("d", start="2026-01-01") if name == "partition" else None
    load = Incremental("v") if name == "merge" else None
    table = given(
        "a", Row, source, partitions=partitions, load=load, keep=KeepFirst(("v",)), max_rejects=RejectBudget(rows=9)
    )
    return table, "2026-01-02" if name == "partition" and not old else None


def publish(house: House, name: str, sql: str, *, old: bool = False) -> str:
    """Build the scenario's table; returns its error, if any."""
    table, partition = scenario(name, sql, old=old)
    return str(house.build(table, partition=partition).errors.get("a", ""))


def state(house: House) -> dict[str, Any]:
    """What a reader sees: rows, offsets, books, rejects, and whether the version in the books is that of the rows."""
    place = house.rows("SELECT schema_name FROM duckdb_tables() WHERE table_name = 'a'")
    rows = house.rows(f'SELECT count(*), sum(k), sum(v), max(t) FROM w."{place[0][0]}".a') if place else []
    version = house.rows("SELECT max_by(data_version, id) FROM ops.publications")[0][0]
    stands = place and Contract.of(Row).profile(house.session.connection, f'w."{place[0][0]}".a').content_hash
    return {
        "exact": version == stands,
        "tables": sorted(name for (name,) in house.rows("SELECT table_name FROM duckdb_tables()")),
        "rows": [list(map(str, row)) for row in rows],
        "offsets": [list(row) for row in house.rows("SELECT partition, next_offset FROM ops.offsets")],
        "watermarks": [list(row) for row in house.rows("SELECT table_name, watermark FROM ops.watermarks")],
        "published": [list(row) for row in house.rows("SELECT id, row_count FROM ops.publications ORDER BY id")],
        "rejects": sorted([json.loads(payload)["k"], status] for payload, status in house.rejects("payload, status")),
    }


class Deadly:
    """A connection that kills its process before the `number`-th writing statement, or soon after one has begun."""

    def __init__(self, inner: Any, number: int, delay: float = 0.0) -> None:
        self.inner, self.left, self.delay = inner, number, delay
        self.seen: list[str] = []

    def execute(self, query: Any, *arguments: Any) -> Any:
        text = str(query).lstrip()
        if text.startswith(WRITES) and not text.startswith(TEMPORARY):
            self.seen.append(text.split()[0])
            self.left -= 1
            if self.left == 0 and not self.delay:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.left == 0:
                signal.setitimer(signal.ITIMER_REAL, self.delay)
        return self.inner.execute(query, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def forked(work: Callable[[], Any]) -> tuple[int, Any]:
    """Run `work` in a child; returns how the child ended and what `work` returned."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            answer = json.dumps(work()).encode()
        except Exception as error:  # noqa: BLE001  the parent reports it
            answer = json.dumps({"raised": repr(error)}).encode()
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(answer)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read()
    return os.waitpid(pid, 0)[1], json.loads(text) if text else None


def fresh(folder: Path, pristine: Path) -> House:
    """A warehouse that holds the old version."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(pristine, folder)
    return House(folder, threads=1)


def look(folder: Path, name: str, sql: str, *, repeat: bool) -> dict[str, Any]:
    """What the next session sees, and if `repeat` what it sees after building the new version again."""
    house = House(folder, threads=1)
    answer: dict[str, Any] = {"seen": state(house)}
    if repeat:
        answer["error"] = publish(house, name, sql)
        answer["then"] = state(house)
    house.leave()
    return answer


def attack(folder: Path, pristine: Path, name: str, number: int, delay: float = 0.0) -> dict[str, Any]:
    """Publish the new version in a child that dies at its `number`-th writing statement."""
    house = fresh(folder, pristine)
    sql = EVENTS if name == "append" else NEW

    def work() -> dict[str, Any]:
        deadly = Deadly(house.session.connection, number, delay)
        house.session.connection = deadly  # type: ignore[assignment]
        error = publish(house, name, sql)
        if number > len(deadly.seen):
            # After the commit, before the file is closed.
            os.kill(os.getpid(), signal.SIGKILL)
        signal.setitimer(signal.ITIMER_REAL, 0)
        answer = {"error": error, "statements": deadly.seen}
        house.leave()
        return answer

    ended, said = forked(work)
    after = look(folder, name, sql, repeat=number % 8 == 0 or bool(delay))
    return {"number": number, "delay": delay, "died": os.WIFSIGNALED(ended), "said": said, **after}


def kill(base: Path, scenarios: list[str]) -> None:
    for name in scenarios:
        pristine, folder = base / f"{name}_old", base / name
        say(scenario=name, old=prepared(name, pristine))
        alive = attack(folder, pristine, name, 0)
        say(scenario=name, **alive)
        statements = alive["said"]["statements"]
        begins = [place for place, word in enumerate(statements, start=1) if word == "BEGIN"]
        last_commit = max(place for place, word in enumerate(statements, start=1) if word == "COMMIT")
        # Staging is the same for all of them; the transaction that publishes is not.
        for number in range(1 if name == "append" else begins[-1], len(statements) + 2):
            say(scenario=name, **attack(folder, pristine, name, number))
        for delay in COMMIT_DELAYS:
            say(scenario=name, **attack(folder, pristine, name, last_commit, delay))


def say(**found: Any) -> None:
    print(json.dumps(found), flush=True)


def prepared(name: str, folder: Path) -> dict[str, Any]:
    """Build the old version."""
    folder.mkdir(parents=True)
    house = House(folder, threads=1)
    error = publish(house, name, OLD, old=True)
    assert not error, error
    found = state(house)
    house.leave()
    return found


def full(base: Path) -> None:
    pristine, folder = base / "old", base / "full"
    _, old = forked(lambda: prepared("replace", pristine))
    print(json.dumps({"old": old}))
    size = (pristine / "w.duckdb").stat().st_size
    for more in (0, 1 << 18, 1 << 25):
        house = fresh(folder, pristine)

        def work(house: House = house, limit: int = size + more) -> dict[str, Any]:
            # A write beyond the limit fails with EFBIG, as one on a full disk fails with ENOSPC.
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            error = publish(house, "replace", LARGE)
            house.leave()
            return {"error": error}

        ended, said = forked(work)
        after = look(folder, "replace", LARGE, repeat=True)
        say(more=more, died=os.WIFSIGNALED(ended), said=said, **after)


if __name__ == "__main__":
    carried.LARGE = 1
    *what, place = sys.argv[1:]
    if what == ["full"]:
        full(Path(place))
    else:
        kill(Path(place), what)
