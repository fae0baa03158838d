"""Drivers in processes of their own, which publish versions of tables, and die where they are told: `python -m tests.spark.driver`."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

import ibis.expr.datatypes as dt
import pandera.ibis as pa

from assay.build import build
from assay.contract.classification import public
from assay.sources.base import Sources
from assay.spark.lake import Lake
from assay.spark.lake_tables import LakeTables
from assay.spark.session import LITTLE, opened
from assay.spark.staging import LakeStaging
from assay.spark.warehouse import SparkWarehouse
from assay.tables.graph import Graph
from assay.tables.nodes import KeepFirst, RejectBudget, TableDef
from assay.tables.partitions import PartitionRange, daily
from assay.tables.run import Run
from assay.warehouse import ops
from assay.warehouse.session import Session
from tests.warehouse.house import Given, given

ROWS = 2000
FIRST_HALF = "2026-01-01..2026-01-05"


class Row(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(unique=True, metadata=public)
    v: dt.Int64 = pa.Field(ge=0, metadata=public)
    day: dt.Date = pa.Field(metadata=public)

    class Config:
        strict = True


def version(number: int, *, first: int = 0, repeats: int = 1) -> str:
    """`ROWS` rows of a version with its number, from the key `first` on; then one that is broken, and some that repeat a key."""
    kinds = f"CASE WHEN range = {ROWS} THEN -1 WHEN range > {ROWS} THEN 0 ELSE {number} END"
    day = "DATE '2026-01-01' + (range % 10)::INTEGER AS day"
    return f"SELECT {first} + range % {ROWS + 1} AS k, CAST({kinds} AS BIGINT) AS v, {day} FROM range({ROWS + 1 + repeats})"


def a_table(name: str, number: int) -> TableDef:
    """A version of a table, of a kind that the first letter of its name tells: `w`hole, by `d`ays, or `m`ore rows with each."""
    days, more = name.startswith("d"), name.startswith("m")
    source = Given(version(number, first=number * 10_000 if more else 0, repeats=int(days)), incremental=more)
    source.offsets = {0: number} if more else None
    partitions = daily("day", start="2026-01-01", end="2026-01-10") if days else None
    keep, budget = KeepFirst(("-v",)) if days else None, RejectBudget(rows=9)
    return given(name, Row, source, keep=keep, max_rejects=budget, partitions=partitions)


def graph(number: int, names: Iterable[str]) -> Graph:
    """That version of the tables."""
    return Graph.of([a_table(name, number) for name in names])


def run_of(number: int) -> Run:
    """Of the tables by days it builds the first half."""
    return Run.start(id=f"run {number}", partition=PartitionRange.parse(FIRST_HALF) if number > 1 else None)


def built(
    warehouse: SparkWarehouse, number: int, names: Iterable[str] = ("w",), *, days: str | None = None
) -> list[str]:
    """Build a version of the tables; what went wrong."""
    tables, run = graph(number, names), run_of(number)
    if days is not None:
        run = Run.start(id=f"run {number}", partition=PartitionRange.parse(days))
    with warehouse.session() as session:
        result = build(tables, [*tables.nodes], session, run, Sources({"given": "."}))
        return [str(error) for error in result.errors.values()]


@dataclass(frozen=True)
class Moment:
    """Before or after the how manieth call of what a build does."""

    owner: Any
    method: str
    call: int = 1
    before: bool = False


MOMENTS = {
    "nothing is landed": Moment(Given, "land", before=True),
    "rows are landed": Moment(Given, "land"),
    "rows are handed over": Moment(LakeTables, "_handed"),
    "rows are staged": Moment(Lake, "replace"),
    "repeats are staged": Moment(Lake, "replace", 2),
    "the broken rows are here": Moment(LakeStaging, "split"),
    "checks are made": Moment(LakeStaging, "swap", before=True),
    "rejects are written": Moment(LakeTables, "settle", before=True),
    "the quarantine is kept": Moment(LakeTables, "settle"),
    "the books are written": Moment(ops, "record"),
    "the commit is next": Moment(LakeStaging, "commit", before=True),
    "the commit is made": Moment(LakeStaging, "commit"),
    "the books are kept": Moment(LakeStaging, "drop", before=True),
    "nothing is staged any more": Moment(LakeTables, "forget"),
}
"""The moments at which nothing is asked of Spark."""
FILES = {
    "the staging table begins": ("", "__staging_"),
    "a file of rows is written": ("data", r"[^.].*\.parquet$"),
    "a manifest is written": ("metadata", r"[^.].*-m0\.avro$"),
    "the manifest list is written": ("metadata", r"snap-"),
    "the metadata is written": ("metadata", r"[0-9a-f]{8}-.*\.metadata\.json$"),
    "the version is there": ("metadata", r"v\d+\.metadata\.json$"),
}
"""Moments in the midst of what Spark does: a file appears in a folder of the table, or beside it."""
_here = threading.local()


def stop_at(moment: Moment) -> None:
    """Have threads whose `moment` it is stop there for good, with what they hold."""
    real = getattr(moment.owner, moment.method)

    @wraps(real)
    def watched(*arguments: Any, **options: Any) -> Any:
        place = (moment.owner, moment.method)
        own: Moment | None = getattr(_here, "moment", None)
        if own is None or (own.owner, own.method) != place:
            return real(*arguments, **options)
        _here.calls += 1
        if own.before and _here.calls == own.call:
            _stop()
        found = real(*arguments, **options)
        if _here.calls == own.call:
            _stop()
        return found

    if not hasattr(real, "__wrapped__"):
        setattr(moment.owner, moment.method, watched)


def _stop() -> NoReturn:
    _here.reached.set()
    while True:
        threading.Event().wait()


def die_when(folder: Path, appears: str) -> None:
    """Have this process and its Java end without a word as soon as there is a new file whose name begins so."""
    libc = ctypes.CDLL(None)
    watch = libc.inotify_init()
    assert libc.inotify_add_watch(watch, str(folder).encode(), 0x100 | 0x80) > 0  # created, or moved there

    def wait() -> None:
        while True:
            told = os.read(watch, 1 << 16)
            while told:
                length = int.from_bytes(told[12:16], "little")
                name, told = told[16 : 16 + length].rstrip(b"\0").decode(), told[16 + length :]
                if re.match(appears, name):
                    os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def build_and_die(warehouse: SparkWarehouse, number: int, moments: dict[str, str]) -> None:
    """Build a version of each table to its moment, as a run does that builds several at once; the last ones end it.

    Args:
        moments: table -> where it is stopped; those that Spark is busy with begin together when all others stand still.
    """
    tables, run = graph(number, moments), run_of(number)

    def work(name: str, session: Session, reached: threading.Event) -> None:
        _here.moment, _here.calls, _here.reached = MOMENTS.get(moments[name]), 0, reached
        try:
            result = build(tables, [name], session, run, Sources({"given": "."}))
            print(f"{name} was built past '{moments[name]}': {result.errors}")
        finally:
            reached.set()

    with warehouse.session() as session:
        busy = []
        for name, moment in moments.items():
            reached = threading.Event()
            thread = threading.Thread(target=work, args=(name, session.beside(), reached), daemon=True)
            if moment in FILES:
                folder, appears = FILES[moment]
                die_when(Path(warehouse.folder, "warehouse", name if folder else "", folder), appears)
                busy.append(thread)
                continue
            stop_at(MOMENTS[moment])
            thread.start()
            reached.wait()
        print("all stand still", flush=True)
        for thread in busy:
            thread.start()
        for thread in busy:
            thread.join()


def main() -> None:
    """Arguments: Spark's address, the folder, the version's number, then a range of days, or moments by table as JSON."""
    address, folder, number, how = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    days = None if how.startswith("{") else how
    with opened(address, scratch=folder, options=LITTLE | {"spark.cores.max": "1"}) as cluster:
        books = folder / f"{days or 'w'}.duckdb"
        warehouse = SparkWarehouse(books, address, str(folder / "lake"), output=folder, scratch=folder, cluster=cluster)
        if days is None:
            build_and_die(warehouse, number, json.loads(how))
        else:
            print(json.dumps(built(warehouse, number, ("d",), days=days)))


if __name__ == "__main__":
    main()
