"""For random small pipelines and random changes, the plan is the difference that a real run then makes."""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from assay.plan.model import NodePlan
from assay.plan.planner import make_plan
from tests.plan.sample import HEAD, Sample, forget

Row = tuple[object, ...]
Table = tuple[list[str], list[Row]]

MIDDLE = '''
from {package}.extract.raw_orders import RawOrders


class Middle(pa.DataFrameModel):
    order_id: dt.Int64 = pa.Field(metadata=public)
    amount: dt.{kind} = pa.Field(ge=0, metadata=public)
    day: dt.Date = pa.Field(metadata=public)
    {extra_field}

    class Config:
        strict = True
        {key}


@table(max_rejects=RejectBudget(rows={budget}))
def middle(raw_orders: Table[RawOrders]) -> Table[Middle]:
    """Orders, somehow."""
    rows = raw_orders.filter(_.amount < {limit})
    return rows.select("order_id", "day", amount=(_.amount * {factor} + {shift}).cast("{cast}"){extra})
'''

LAST = '''
from {package}.transform.middle import Middle


class Last(pa.DataFrameModel):
    day: dt.Date = pa.Field(metadata=public)
    most: dt.{kind} = pa.Field(metadata=public)

    class Config:
        strict = True
        {last_key}


@table()
def last(middle: Table[Middle]) -> Table[Last]:
    """By day."""
    return middle.group_by("day").agg(most=_.amount.{aggregate}())
'''


@dataclass(frozen=True)
class Shape:
    """What a random pipeline looks like."""

    rows: tuple[Row, ...]
    factor: int = 1
    shift: int = 0
    limit: int = 100
    budget: int = 0
    keyed: bool = True
    last_keyed: bool = True
    extra: bool = False
    wide: bool = True
    aggregate: str = "max"

    def write(self, sample: Sample) -> None:
        """The pipeline as files."""
        kind, cast = ("Int64", "int64") if self.wide else ("Int32", "int32")
        values = {
            "package": sample.package,
            "kind": kind,
            "cast": cast,
            "key": 'unique = ["order_id"]' if self.keyed else "",
            "last_key": 'unique = ["day"]' if self.last_keyed else "",
            "extra_field": "note: dt.String = pa.Field(metadata=public)" if self.extra else "",
            "extra": ', note=ibis.literal("n")' if self.extra else "",
            **{name: getattr(self, name) for name in ("factor", "shift", "limit", "budget", "aggregate")},
        }
        for name in ("transform/orders.py", "load/sales.py", "load/counts.py", "load/report.py"):
            sample.path(name).unlink(missing_ok=True)
        sample.rows(list(self.rows))
        sample.write("transform/middle.py", HEAD.format(grain="order") + MIDDLE.format(**values))
        sample.write("load/last.py", HEAD.format(grain="day") + LAST.format(**values))


days = st.sampled_from(["2024-01-01", "2024-01-02", "2024-01-03"])
orders = st.builds(lambda amount, day: (amount, day), st.integers(0, 60), days)
tables = st.dictionaries(st.integers(1, 9), orders, min_size=1, max_size=7).map(
    lambda found: tuple((key, f"c{key}", amount, day) for key, (amount, day) in sorted(found.items()))
)
shapes = st.builds(
    Shape,
    rows=tables,
    keyed=st.booleans(),
    last_keyed=st.booleans(),
    extra=st.booleans(),
    budget=st.sampled_from([0, 5]),
)
changes = st.fixed_dictionaries(
    {},
    optional={
        "rows": tables,
        "factor": st.integers(1, 2),
        "shift": st.integers(-20, 3),
        "limit": st.sampled_from([10, 30, 100]),
        "extra": st.booleans(),
        "wide": st.booleans(),
        "keyed": st.booleans(),
        "aggregate": st.sampled_from(["max", "min"]),
    },
)
numbers = itertools.count()


@pytest.mark.slow
# Without shrinking: an example takes a second, and is small as it is.
@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
@given(before=shapes, change=changes)
def test_the_plan_is_the_difference_that_is_then_observed(
    tmp_path_factory: pytest.TempPathFactory, before: Shape, change: dict[str, object]
) -> None:
    root = tmp_path_factory.mktemp("property")
    sample = Sample(root, f"property_sample_{next(numbers)}")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        patch.setattr(sys, "dont_write_bytecode", True)
        try:
            before.write(sample)
            sample.run()
            replace(before, **change).write(sample)  # type: ignore[arg-type]
            compare_plan_with_run(sample)
        finally:
            forget(sample.package)


def compare_plan_with_run(sample: Sample) -> None:
    old = published(sample.warehouse)
    planned = {node.name: node for node in make_plan(sample.project()).nodes}
    assert published(sample.warehouse) == old
    done = sample.run()
    new = published(sample.warehouse)
    assert {name for name, node in planned.items() if node.action in ("fail", "skip")} == {
        *done.errors,
        *done.skipped,
    }
    for name, node in planned.items():
        if node.built:
            assert node.data_version == done.publications[name].data_version
            assert node.rejects_after == done.publications[name].rejected
        assert_same(node, old.get(name), new.get(name))


def published(warehouse: Path) -> dict[str, Table]:
    """Every table of the stages, read without the framework."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        names = connection.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE schema_name IN ('extract', 'transform', 'load')"
        ).fetchall()
        found = {}
        for stage, name in names:
            relation = connection.sql(f"SELECT * FROM {stage}.{name} ORDER BY ALL")
            types = [f"{column} {type_}" for column, type_ in zip(relation.columns, relation.types, strict=True)]
            found[name] = (types, relation.fetchall())
    return found


def assert_same(node: NodePlan, old: Table | None, new: Table | None) -> None:
    """The plan for one table against its rows before and after."""
    if not node.changes:
        assert old == new
        return
    assert new is not None
    assert node.rows_after == len(new[1])
    if old is None:
        assert node.action == "create"
        return
    assert node.rows_before == len(old[1])
    if node.difference is None:
        raise AssertionError(f"{node.name} changes, and the plan does not say how")
    found = node.difference
    old_names, new_names = ([column.split()[0] for column in side[0]] for side in (old, new))
    assert {change.column for change in found.schema if change.kind == "removed"} == {*old_names} - {*new_names}
    assert {change.column for change in found.schema if change.kind == "added"} == {*new_names} - {*old_names}
    common = [name for name in old_names if name in new_names]
    left = [tuple(row[old_names.index(name)] for name in common) for row in old[1]]
    right = [tuple(row[new_names.index(name)] for name in common) for row in new[1]]
    if not found.key:
        gone, come = Counter(left) - Counter(right), Counter(right) - Counter(left)
        # Where a column's type changed, rows equal in all others are paired and counted as changed.
        assert found.removed is not None
        assert found.added is not None
        assert found.changed is not None
        assert (found.removed + found.changed, found.added + found.changed) == (gone.total(), come.total())
        return
    places = [common.index(name) for name in found.key]
    before = {tuple(row[place] for place in places): row for row in left}
    after = {tuple(row[place] for place in places): row for row in right}
    both = before.keys() & after.keys()
    changed = {key for key in both if before[key] != after[key]}
    assert (found.added, found.removed) == (len(after.keys() - both), len(before.keys() - both))
    assert (found.changed, found.same) == (len(changed), len(both - changed))
    columns = Counter(
        name for key in changed for name, a, b in zip(common, before[key], after[key], strict=True) if a != b
    )
    assert dict(found.columns) == dict(columns)
