"""The check `usual`: the numbers of a build beside those of the builds and days before it, kept in `ops.metrics`.

Judged are a table's rows (of a partitioned one those of each day, a missing day as 0), the shares of rejected rows and of
nulls, the seconds until the audit, and the project's own metrics. What is built and older than the newest days is
history: a backfill alarms nobody, and changes no verdict of before.
"""

from __future__ import annotations

import datetime as dtm
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ibis.expr.types as ir

from assay.errors import WiringError
from assay.health.detector import ALPHA, NEEDED, Judged, Kind, Series, Value
from assay.sql import quoted
from assay.tables.results import CheckResult

if TYPE_CHECKING:
    from assay.tables.nodes import MetricDef, TableDef
    from assay.tables.run import Run
    from assay.warehouse.builds import Build
    from assay.warehouse.parts import Parts
    from assay.warehouse.protocol import Staging
    from assay.warehouse.session import Session

NEWEST = dtm.timedelta(days=7)
"""Days that are judged when they are built; older ones are history."""
REMEMBERED = dtm.timedelta(days=140)
"""Days that are looked at: twenty of each weekday, some of which may be flagged."""
BUILDS = 200
"""Builds that are looked at."""
NAMED = 3
"""So many flagged values are named in the check's sentence."""


@dataclass(frozen=True)
class Metric:
    """The values of one number in one build: of days, oldest first, or one of the build itself."""

    name: str
    kind: Kind
    values: Sequence[Value]
    daily: bool = False


@dataclass(frozen=True)
class Noted:
    """A value as `ops.metrics` keeps it; `known` where it has the same one of the same day."""

    metric: str
    kind: Kind
    judged: Judged
    daily: bool
    known: bool = False


@dataclass(frozen=True)
class Judgement:
    """The check `usual` of a build, and what is to be kept where it is published."""

    check: CheckResult
    noted: Sequence[Noted]


def judge(session: Session, build: Build, rows: Staging) -> Judgement:
    """What is thought of the staged rows, and of the table as it would be with them."""
    table, parts, now, staged = build.table, build.parts, build.run.now, rows.staged
    today = now.date()
    metrics = [*_of_rows(build, rows)]
    if staged.staged:
        metrics.append(Metric("rejected", "share", [Value(today, staged.rejected / staged.staged, staged.staged)]))
    if not session.dry and not table.appends:  # of a dry run's seconds nobody learns
        metrics.append(Metric(_seconds(parts), "time", [Value(today, time.perf_counter() - build.started)]))
    metrics += [
        Metric(each.name, each.kind, [Value(today, _number(session, each, rows.whole))]) for each in build.metrics
    ]
    noted = _judged(metrics, _past(session, table.name), _newest(parts) or today)
    return Judgement(_check(table, noted), noted)


def keep(session: Session, table: str, noted: Sequence[Noted], run: Run) -> None:
    """Write down what was judged, in the transaction that publishes; a day that is as it was known is not repeated."""
    rows = [each for each in noted if not each.known]
    if not rows:
        return
    judged = [each.judged for each in rows]
    columns: list[tuple[str, list[Any]]] = [
        ("DATE", [each.value.day for each in judged]),
        ("VARCHAR", [each.metric for each in rows]),
        ("DOUBLE", [each.value.value for each in judged]),
        ("DOUBLE", [each.expected for each in judged]),
        ("DOUBLE", [each.low for each in judged]),
        ("DOUBLE", [each.high for each in judged]),
        ("VARCHAR", [each.verdict for each in judged]),
    ]
    listed = ", ".join(f"unnest(${place}::{kind}[])" for place, (kind, _) in enumerate(columns, start=3))
    books = f"{quoted(session.catalog)}.ops"
    session.connection.execute(
        f"INSERT INTO {books}.metrics SELECT (SELECT max(id) FROM {books}.publications), $1, $2, {listed}",
        [run.id, table, *(values for _, values in columns)],
    )


def days(session: Session, parts: Parts, names: Sequence[str], whole: str) -> dict[dtm.date, tuple[int, ...]]:
    """Rows, and values that are not null of some columns, of each day that is built, by DuckDB; `whole` stands in a FROM."""
    counts = {f"c{place}": f"count({name})" for place, name in enumerate(["*", *map(quoted, names)])}
    # The days of an hour's build are those that are over, with all of their hours.
    within = "" if parts.partitions.unit == "hour" else f"WHERE {parts.rows}"
    summed, sums = parts.summed(f"{whole} {within}", **counts), ", ".join(f"sum({name})" for name in counts)
    found = session.connection.execute(
        f"SELECT CAST(left(__part, 10) AS DATE), {sums} FROM ({summed}) GROUP BY 1"
    ).fetchall()
    return {row[0]: row[1:] for row in found}


def _of_rows(build: Build, asked: Staging) -> Iterable[Metric]:
    """Rows and nulls, from one scan."""
    table, contract, parts, today, staged = build.table, build.contract, build.parts, build.run.now.date(), asked.staged
    nullable = [column.name for column in contract.columns if column.nullable]
    daily = parts is not None and parts.partitions.unit != "static"
    counted: Mapping[dtm.date, tuple[int, ...]]
    if daily and parts is not None:
        days = _days(parts)
        if not days:
            return
        counted = asked.days(nullable)
    else:
        days, counted = [today], {today: asked.present(nullable) if nullable else (staged.published,)}
    if daily or (not table.appends and parts is None):
        rows = [float(counted.get(day, [0])[0]) for day in days] if staged.after is None else [float(staged.after)]
        yield Metric("rows", "count", [Value(day, count) for day, count in zip(days, rows, strict=True)], daily)
    for place, name in enumerate(nullable, start=1):
        shares = [
            Value(day, (row[0] - row[place]) / row[0], row[0]) for day in days if (row := counted.get(day)) and row[0]
        ]
        yield Metric(f"nulls of {name}", "share", shares, daily)


def _days(parts: Parts) -> list[dtm.date]:
    """The days of the partitions that are built, those of hours only where the day is over; of coarser ones the first."""
    days = sorted({dtm.date.fromisoformat(key[:10]) for key in parts.keys})
    whole = parts.partitions.whole(parts.now)
    if parts.partitions.unit == "hour" and whole is not None:
        days = [day for day in days if day < whole.stop.date()]
    return days


def _newest(parts: Parts | None) -> dtm.date | None:
    """The first of the days that are judged; None where the table has none."""
    newest = parts.partitions.newest(parts.now) if parts is not None else None
    if newest is None or newest.names:
        return None
    return min(newest.stop - NEWEST, newest.start).date()


def _seconds(parts: Parts | None) -> str:
    """A build of one day and one of all of them are not compared."""
    if parts is None or parts.asked is None:
        return "seconds"
    return f"seconds of {len(parts.keys)} {parts.partitions.noun}{'' if len(parts.keys) == 1 else 's'}"


def _number(session: Session, metric: MetricDef, whole: str) -> float | None:
    """The metric of the table as it would be; None where it is NULL or no finite number."""
    rows = session.query(whole)
    said = metric.function(**{metric.table: rows})
    if isinstance(said, ir.Scalar):
        said = said.as_table()
    if not isinstance(said, ir.Table) or len(said.columns) != 1:
        raise WiringError(
            f"'{metric.name}' returned {type(said).__name__}, not one number",
            where=str(metric.file),
            fix=f"Return an expression such as {metric.table}.amount.mean().",
        )
    found = session.ask(f"SELECT CAST({quoted(said.columns[0])} AS DOUBLE) FROM ({session.sql(said)})")
    value = found[0][0] if len(found) == 1 else None
    return value if value is not None and abs(value) < float("inf") else None


def _past(session: Session, table: str) -> list[tuple[str, dtm.date, float | None, int]]:
    """Metric, day, value and publication of what is known, oldest first; of a day that was built again the newest."""
    found: list[tuple[str, dtm.date, float | None, int]] = []
    for catalog in session.catalogs_with("ops.metrics"):
        found += session.connection.execute(
            f"""SELECT metric, day, value, publication FROM {quoted(catalog)}.ops.metrics WHERE table_name = ?
                QUALIFY day >= max(day) OVER (PARTITION BY metric) - {REMEMBERED.days}
                ORDER BY day, publication""",
            [table],
        ).fetchall()
    return found


def _judged(
    metrics: Iterable[Metric], past: Iterable[tuple[str, dtm.date, float | None, int]], newest: dtm.date
) -> list[Noted]:
    known: dict[str, list[Value]] = {}
    for name, day, value, _ in past:
        known.setdefault(name, []).append(Value(day, value))
    metrics = list(metrics)
    # What is blamed on chance is shared by all; seconds are left out, so that a plan, which has none, says the same.
    shared = [each for each in metrics if each.kind != "time"]
    count = max(sum(value.day >= newest or not each.daily for each in shared for value in each.values), 1)
    noted = []
    for metric in metrics:
        before, series = known.get(metric.name, []), Series(metric.kind)
        share = next((value.of for value in metric.values), None)
        before = [Value(value.day, value.value, share) for value in before]
        if not metric.daily:
            series.follow(sorted(before[-BUILDS:], key=lambda value: value.day))
            noted += [
                Noted(metric.name, metric.kind, series.judge(value, ALPHA / count), False) for value in metric.values
            ]
            continue
        built = {value.day: value for value in metric.values}
        stood = {value.day: value.value for value in before}
        days = {value.day: value for value in before} | built
        # Days before the first row are before the table's time.
        first = min((day for day, value in days.items() if value.value), default=None)
        oldest = max(days, default=newest) - REMEMBERED
        for day in sorted(day for day in days if first is not None and day >= max(first, oldest)):
            judged = series.judge(days[day], ALPHA / count)
            series.learn(judged)
            if day in built:
                seen = judged if day >= newest else Judged(days[day], "history")
                noted.append(Noted(metric.name, metric.kind, seen, True, stood.get(day) == days[day].value))
    return noted


def _check(table: TableDef, noted: Sequence[Noted]) -> CheckResult:
    judged = [each for each in noted if each.judged.verdict != "history"]
    flagged = [each for each in judged if each.judged.verdict == "unusual"]
    unknown = [each for each in judged if each.judged.verdict == "unknown"]
    usual = [each for each in judged if each.judged.verdict == "usual"]
    if flagged or unknown:
        said = [_told(each) for each in flagged] + [f"{each.metric} cannot be told: it is NULL" for each in unknown]
        more = f"; and {len(said) - NAMED} more" if len(said) > NAMED else ""
        # A slow build is told and published all the same.
        blocking = [each for each in flagged if each.kind != "time"]
        return CheckResult(
            "usual",
            False,
            table.usual if blocking else "warn",
            "; ".join(said[:NAMED]) + more,
            failing=len(said),
            sample=tuple(_row(each) for each in [*flagged, *unknown][:10]),
        )
    if not usual:
        known = max((each.judged.known for each in judged), default=0)
        day = f"{judged[-1].judged.value.day:%A}s" if judged else "builds"
        return CheckResult(
            "usual",
            True,
            "warn",
            f"learning what is usual: {known} of the {NEEDED} {day} it takes are known",
            learning=True,
        )
    # Of seconds nothing is said: a plan's and a golden's text must not vary by them.
    shown = [each for each in usual if each.metric == "rows"] or [each for each in usual if each.kind != "time"]
    said = [_told(each) for each in shown[-1:]]
    others = len(usual) - len(said)
    return CheckResult(
        "usual", True, "warn", "as usual: " + ", ".join([*said, *([f"{others} more numbers"] if others > 1 else [])])
    )


def _told(noted: Noted) -> str:
    judged, value = noted.judged, noted.judged.value
    show = formats(noted.kind)
    band = f"below {show(judged.high)}" if judged.low is None else f"{show(judged.low)} to {show(judged.high)}"
    if noted.daily:
        return f"{value.day} ({value.day:%A}): {noted.metric} {show(value.value)}, usually {band}"
    return f"{noted.metric} {show(value.value)}, usually {band} on a {value.day:%A}"


def _row(noted: Noted) -> dict[str, Any]:
    judged, show = noted.judged, formats(noted.kind)
    return {
        "metric": noted.metric,
        "day": str(judged.value.day),
        "value": show(judged.value.value),
        "expected": show(judged.expected),
        "low": show(judged.low),
        "high": show(judged.high),
    }


def formats(kind: Kind) -> Callable[[float | None], str]:
    """How a number of this kind is written."""

    def show(value: float | None) -> str:
        if value is None:
            return ""
        if kind == "count":
            return f"{value:,.0f}"
        if kind == "share":
            return f"{100 * value:.3g}%"
        return f"{value:,.1f}" if kind == "time" else f"{value:,.4g}"

    return show
