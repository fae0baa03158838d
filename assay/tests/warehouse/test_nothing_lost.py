"""Whatever happens in whatever order: every row of the source is published once, or in the quarantine."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field

import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay.contract.classification import public
from assay.tables.graph import Graph
from assay.tables.nodes import RejectBudget, TableDef
from assay.tables.partitions import daily
from assay.tables.run import Run
from assay.warehouse.quarantine.replay import replay
from tests.warehouse.house import Given, House, given, values

STEPS = 14


class Strict(pa.DataFrameModel):
    k: dt.Int64 = pa.Field(metadata=public)
    v: dt.Int64 = pa.Field(ge=0, metadata=public)
    d: dt.Date = pa.Field(metadata=public)


class Loose(Strict):
    v: dt.Int64 = pa.Field(ge=-2, metadata=public)


Row = tuple[int, int, int]


@dataclass
class World:
    """A table without a key, so that a row published twice is seen, beside what it should hold.

    Attributes:
        held: rows of the source that are published, or set aside by a published build.
    """

    house: House
    dice: random.Random
    kind: str
    held: Counter[Row] = field(default_factory=Counter)
    waiting: list[Row] = field(default_factory=list)
    offset: int = 0

    def rows(self) -> list[Row]:
        # Few different values: equal rows happen all the time.
        count = self.dice.randrange(7)
        return [(self.dice.randrange(3), self.dice.randrange(-4, 2), self.dice.randrange(1, 4)) for _ in range(count)]

    def table(self, source: Given) -> TableDef:
        return given(
            "a",
            self.dice.choice([Strict, Loose]),
            source,
            max_rejects=RejectBudget(rows=self.dice.choice([0, 2, 99, 99, 99])),
            partitions=daily("d", start="2026-01-01") if self.kind == "partition" else None,
        )

    def build(self) -> None:
        if self.kind == "append":
            self.waiting += self.rows()
        else:
            self.waiting = self.rows()
        offset = self.offset
        listed = [
            f"{k}, {v}, '2026-01-0{d}', 'log/0', {offset + place}" for place, (k, v, d) in enumerate(self.waiting)
        ]
        sql = values("k BIGINT, v BIGINT, d DATE, _source_file VARCHAR, _source_line BIGINT", *listed)
        source = Given(sql, incremental=self.kind == "append", offsets={0: offset + len(self.waiting)})
        day = self.dice.choice([None, 1, 2, 3]) if self.kind == "partition" else None
        result = self.house.build(self.table(source), partition=f"2026-01-0{day}" if day else None)
        if not result.ok:
            return
        if self.kind == "append":
            self.held.update(self.waiting)
            self.offset += len(self.waiting)
            self.waiting = []
        elif day is None:
            self.held = Counter(self.waiting)
        else:
            others = {row: count for row, count in self.held.items() if row[2] != day}
            self.held = Counter(others) + Counter(row for row in self.waiting if row[2] == day)

    def replay(self) -> None:
        table = self.table(Given())
        if self.house.session.exists(table):
            replay(self.house.session, Graph.of([table]), table, Run.start())

    def check(self) -> None:
        session = self.house.session
        table = self.table(Given())
        published: Counter[Row] = Counter()
        if session.exists(table):
            published.update((k, v, d.day) for k, v, d in self.house.table(table))
        aside: Counter[Row] = Counter()
        for (payload,) in self.house.rows("SELECT payload FROM quarantine.rejects WHERE status = 'open' AND set_aside"):
            row = json.loads(payload)
            aside[int(row["k"]), int(row["v"]), int(row["d"][-2:])] += 1
        assert published + aside == self.held


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["replace", "partition", "append"])
def test_every_row_is_published_once_or_set_aside(house: House, kind: str, seed: int) -> None:
    world = World(house, random.Random(seed), kind)
    for _ in range(STEPS):
        world.dice.choice([world.build, world.build, world.replay])()
        world.check()
    assert house.rows("SELECT count(*) FROM quarantine.rejects")[0][0] > 0
