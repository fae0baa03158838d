"""The conformance table: expressions of Ibis, each with what becomes of it on Spark.

`same` needs nothing, `close` is the same but for the last digit of a floating-point number, `rewritten` is other SQL
than Ibis writes (which gives something else, or fails), `refused` is said when code loads. A new line here is how an operation becomes known.
"""

from __future__ import annotations

import datetime as dtm
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import ibis
import ibis.expr.datatypes as dt

Verdict = Literal["same", "close", "rewritten", "refused"]

ROWS = r"""SELECT * FROM (VALUES
    (1, 'vest', 1.005::DOUBLE, 7::BIGINT, -3::BIGINT, TIMESTAMP '2017-03-12 06:30:00.123456', DATE '2017-01-01', 1.25::DECIMAL(12,2), '12'),
    (2, ' beef ', 2.675, 7, 2, TIMESTAMP '2017-11-05 05:30:00', DATE '2016-12-31', 2.50, '-3'),
    (3, E'\tÄpfel\n', 'nan', -7, 2, TIMESTAMP '2017-12-31 23:59:59.999999', DATE '2017-12-31', -1.25, ' 7 '),
    (4, NULL, NULL, NULL, 5, NULL, NULL, NULL, NULL),
    (5, 'a.b', '-0.0', 9007199254740993, 1, TIMESTAMP '1969-12-31 23:59:59', DATE '2020-02-29', 0.05, '1.5'),
    (6, '', '-inf', 0, 0, TIMESTAMP '2017-01-01 00:00:00', DATE '2017-01-02', 99999.99, '0'),
    (7, 'two words', 2.5, 8, 3, TIMESTAMP '1900-01-01 00:00:00', DATE '1582-10-04', -2.50, '99'),
    (8, 'VEST', -1.5, 2, -2, TIMESTAMP '2400-02-29 12:00:00', DATE '9999-12-31', 0.00, '1e2')
) AS v(id, s, f, i, j, "at", d, m, n)"""


@dataclass(frozen=True)
class Expression:
    """An expression of a table, the name that tells it, and what becomes of it on Spark."""

    name: str
    build: Callable[[Any], Any]
    verdict: Verdict = "same"


_ = ibis._
lit = ibis.literal


def _day(text: str) -> Any:
    return lit(dtm.date.fromisoformat(text))


@ibis.udf.scalar.python  # type: ignore[untyped-decorator]
def _twice(value: int) -> int:
    return value * 2


@ibis.udf.scalar.builtin(name="ord")  # type: ignore[untyped-decorator]
def _ordinal(text: str) -> int:  # type: ignore[empty-body]  # DuckDB's
    ...


@ibis.udf.scalar.builtin(name="timezone")  # type: ignore[untyped-decorator]
def _wall_clock(zone: str, at: dt.Timestamp(timezone="UTC", scale=6)) -> dt.Timestamp(scale=6):
    """What a clock on the wall shows there."""


@ibis.udf.scalar.builtin(name="timezone")  # type: ignore[untyped-decorator]
def _instant(zone: str, shown: dt.Timestamp(scale=6)) -> dt.Timestamp(timezone="UTC", scale=6):
    """When a clock on the wall shows it there."""


def _recent(t: Any) -> Any:
    """Before zones were agreed on, engines take other offsets."""
    return (t.id != 7).ifelse(t["at"], None).cast(dt.Timestamp(scale=6))


def _instants(t: Any) -> Any:
    return _recent(t).cast(dt.Timestamp(timezone="UTC", scale=6))


EXPRESSIONS = [
    Expression("strip", lambda t: t.s.strip(), "rewritten"),
    Expression("lstrip", lambda t: t.s.lstrip(), "rewritten"),
    Expression("rstrip", lambda t: t.s.rstrip(), "rewritten"),
    Expression("upper", lambda t: t.s.upper()),
    Expression("lower", lambda t: t.s.lower()),
    Expression("capitalize", lambda t: t.s.capitalize()),
    Expression("length", lambda t: t.s.length()),
    Expression("contains", lambda t: t.s.contains(".")),
    Expression("startswith", lambda t: t.s.startswith("v")),
    Expression("endswith", lambda t: t.s.endswith("t")),
    Expression("find", lambda t: t.s.find("e")),
    Expression("like", lambda t: t.s.like("%e%")),
    Expression("ilike", lambda t: t.s.ilike("V%")),
    Expression("re_search", lambda t: t.n.re_search(r"^\d+$")),
    Expression("re_replace", lambda t: t.s.re_replace(r"[aeiou]", "_")),
    Expression("re_extract", lambda t: t.s.re_extract(r"([a-z])\.([a-z])", 2)),
    Expression("split by a point", lambda t: t.s.split("."), "rewritten"),
    Expression("replace", lambda t: t.s.replace("e", "E")),
    Expression("substr", lambda t: t.s.substr(1, 2)),
    Expression("left", lambda t: t.s.left(2)),
    Expression("right", lambda t: t.s.right(2)),
    Expression("reverse", lambda t: t.s.reverse()),
    Expression("concat", lambda t: t.s + "x"),
    Expression("lpad", lambda t: t.n.lpad(4, "0")),
    Expression("text < text", lambda t: t.s < "b"),
    Expression("isin", lambda t: t.s.isin(["vest", "a.b"])),
    Expression("notin", lambda t: t.s.notin(["vest"])),
    Expression("nullif", lambda t: t.s.nullif("")),
    Expression("fill_null", lambda t: t.s.fill_null("?")),
    Expression("coalesce", lambda t: ibis.coalesce(t.s, lit("?"))),
    Expression("hash", lambda t: t.s.hash(), "refused"),
    Expression("hexdigest", lambda t: t.s.hexdigest("md5")),
    Expression("i + j", lambda t: t.i + t.j),
    Expression("i * 3", lambda t: t.j * 3),
    Expression("i / j", lambda t: t.i / t.j, "rewritten"),
    Expression("i / 3", lambda t: t.i / 3),
    Expression("f / j", lambda t: t.f / t.j, "rewritten"),
    Expression("decimal / 3", lambda t: t.m / 3, "rewritten"),
    Expression("decimal / decimal", lambda t: t.m / t.m, "rewritten"),
    Expression("decimal * decimal", lambda t: t.m * t.m),
    Expression("decimal + integer", lambda t: t.m + t.j),
    Expression("decimal * float", lambda t: t.filter(t.id.isin([1, 2, 7, 8])).mutate(x=_.m * _.f).select("id", "x")),
    Expression("i // j", lambda t: t.filter(t.j != 0).mutate(x=_.j // 2).x),
    Expression("i % j", lambda t: t.i % t.j, "rewritten"),
    Expression("decimal % 1", lambda t: t.m % 1),
    Expression("negate", lambda t: -t.j),
    Expression("abs", lambda t: t.m.abs()),
    Expression("sign", lambda t: t.j.sign()),
    Expression("ceil", lambda t: t.m.ceil()),
    Expression("floor", lambda t: t.m.floor()),
    Expression("sqrt", lambda t: t.j.abs().sqrt()),
    Expression("power", lambda t: t.j**2),
    Expression("exp", lambda t: t.j.abs().exp(), "close"),
    Expression("ln", lambda t: t.i.nullif(0).abs().ln(), "close"),
    Expression("log2", lambda t: t.i.nullif(0).abs().log2(), "close"),
    Expression("log10", lambda t: t.i.nullif(0).abs().log10(), "close"),
    Expression("power of a float", lambda t: t.i.nullif(0).abs() ** 0.3, "close"),
    Expression("round a float", lambda t: t.f.round(2), "rewritten"),
    Expression("round a float to an integer", lambda t: t.filter(t.id.isin([1, 2, 7, 8])).f.round()),
    Expression("round a decimal", lambda t: t.m.round(1)),
    Expression("float to decimal", lambda t: t.filter(t.id.isin([1, 2, 7, 8])).f.cast("decimal(12,2)"), "rewritten"),
    Expression("float to a long decimal", lambda t: t.filter(t.id.isin([1, 2])).f.cast("decimal(30,2)"), "refused"),
    Expression("decimal to decimal", lambda t: t.m.cast("decimal(12,1)")),
    Expression("decimal to integer", lambda t: t.m.cast("int64"), "rewritten"),
    Expression("decimal to float", lambda t: t.m.cast("float64")),
    Expression("float to integer", lambda t: t.filter(t.id.isin([1, 2, 7, 8])).f.cast("int64"), "rewritten"),
    Expression("integer to float", lambda t: t.i.cast("float64")),
    Expression("integer to decimal", lambda t: t.j.cast("decimal(12,2)")),
    Expression("integer to a smaller one", lambda t: t.j.cast("int16")),
    Expression("integer to unsigned", lambda t: t.j.abs().cast("uint64"), "rewritten"),
    Expression("text to integer", lambda t: t.filter(t.id < 4).n.cast("int64")),
    Expression("text to integer, tried", lambda t: t.n.try_cast("int64"), "rewritten"),
    Expression("text to float, tried", lambda t: t.n.try_cast("float64")),
    Expression("text to decimal, tried", lambda t: t.n.try_cast("decimal(12,6)")),
    Expression("text to date, tried", lambda t: t.n.try_cast("date")),
    Expression("text to boolean, tried", lambda t: t.n.try_cast("boolean")),
    Expression("text to timestamp, tried", lambda t: t.n.try_cast("timestamp")),
    Expression(
        "texts to date, tried",
        lambda t: _texts("2017", "2017-1-2", " 2017-01-02 ", "2017-01-02 03:04", "20170102", "x").x.try_cast("date"),
        "rewritten",
    ),
    Expression(
        "texts to timestamp, tried",
        lambda t: _texts(
            "2017",
            "2017-1-2",
            " 2017-01-02 ",
            "2017-01-02T03:04:05.1234567",
            "2017-01-02 25:00:00",
            "x",
            "2017-01-02 03:04:05+02",
        ).x.try_cast("timestamp"),
        "rewritten",
    ),
    Expression(
        "texts to integer, tried",
        lambda t: _texts("1.5", "-2.5", "1e2", "1.", ".5", "9223372036854775808", "1f", "").x.try_cast("int64"),
        "rewritten",
    ),
    Expression(
        "texts to float, tried",
        lambda t: _texts("1f", "1.5d", "inf", "NaN", "1e400", ".5", "").x.try_cast("float64"),
        "rewritten",
    ),
    Expression(
        "texts to boolean, tried",
        lambda t: _texts("true", "T", "yes", "n", "on", "0", " 1 ", "").x.try_cast("boolean"),
        "rewritten",
    ),
    Expression("float to text", lambda t: t.f.cast("string"), "refused"),
    Expression("decimal to text", lambda t: t.m.cast("string")),
    Expression("integer to text", lambda t: t.i.cast("string")),
    Expression("boolean to text", lambda t: (t.i > 0).cast("string")),
    Expression("date to text", lambda t: t.d.cast("string")),
    Expression("timestamp to text", lambda t: t["at"].cast("string")),
    Expression("boolean to integer", lambda t: (t.i > 0).cast("int64")),
    Expression("date to timestamp", lambda t: t.d.cast("timestamp")),
    Expression("timestamp to date", lambda t: t["at"].cast("date")),
    Expression("timestamp to zoned", lambda t: t["at"].cast("timestamp('UTC')")),
    Expression("f > 0", lambda t: t.f > 0),
    Expression("f == f", lambda t: t.f == t.f),
    Expression("f > 0.1", lambda t: t.f > 0.1),
    Expression("isnan", lambda t: t.f.isnan(), "rewritten"),
    Expression("isinf", lambda t: t.f.isinf(), "rewritten"),
    Expression("isnull of a float", lambda t: t.f.isnull(), "rewritten"),
    Expression("notnull of a float", lambda t: t.f.notnull(), "rewritten"),
    Expression("fill_null of a float", lambda t: t.f.fill_null(0.1)),
    Expression("greatest", lambda t: ibis.greatest(t.i, t.j)),
    Expression("least", lambda t: ibis.least(t.i, t.j)),
    Expression("clip", lambda t: t.j.clip(0, 2)),
    Expression("between", lambda t: t.d.between(dtm.date(2017, 1, 1), dtm.date(2017, 6, 1))),
    Expression("ifelse", lambda t: (t.i > 0).ifelse("a", "b")),
    Expression("cases", lambda t: ibis.cases((t.i > 0, "p"), (t.i < 0, "n"), else_="z")),
    Expression("and, or, not", lambda t: ((t.i > 0) & (t.j > 0)) | ~(t.j < 2)),
    Expression("xor", lambda t: (t.i > 0) ^ (t.j > 0)),
    Expression("identical_to", lambda t: t.i.identical_to(t.j)),
    Expression("bitwise and", lambda t: t.i & 3),
    Expression("bitwise or", lambda t: t.i | 4),
    Expression("shift left", lambda t: t.j.abs() << 2),
    Expression("date", lambda t: t["at"].date()),
    Expression("truncate to a week", lambda t: t["at"].truncate("W")),
    Expression("truncate a date to a week", lambda t: t.d.truncate("W")),
    Expression("truncate a date to a month", lambda t: t.d.truncate("M")),
    Expression("year", lambda t: t.d.year()),
    Expression("month", lambda t: t.d.month()),
    Expression("day", lambda t: t.d.day()),
    Expression("quarter", lambda t: t.d.quarter()),
    Expression("week_of_year", lambda t: t.d.week_of_year()),
    Expression("day_of_year", lambda t: t.d.day_of_year()),
    Expression("day_of_week.index", lambda t: t.d.day_of_week.index()),
    Expression("day_of_week.full_name", lambda t: t.d.day_of_week.full_name()),
    Expression("hour", lambda t: t["at"].hour()),
    Expression("minute", lambda t: t["at"].minute()),
    Expression("second", lambda t: t["at"].second(), "rewritten"),
    Expression("millisecond", lambda t: t["at"].millisecond()),
    Expression("microsecond", lambda t: t["at"].microsecond(), "rewritten"),
    Expression(
        "epoch_seconds", lambda t: t.filter(t.id.isin([1, 2, 5, 6])).mutate(x=_["at"].epoch_seconds()).select("id", "x")
    ),
    Expression("strftime", lambda t: t.d.strftime("%Y-%m")),
    Expression("date + days", lambda t: t.d.nullif(dtm.date(9999, 12, 31)) + ibis.interval(days=1)),
    Expression("date - months", lambda t: t.d - ibis.interval(months=1)),
    Expression("timestamp + hours", lambda t: t["at"] + ibis.interval(hours=1)),
    Expression("date - date", lambda t: t.d - _day("2016-12-26"), "refused"),
    Expression("delta in days", lambda t: t.d.delta(_day("2016-12-26"), unit="day")),
    Expression("delta in weeks", lambda t: t.d.delta(_day("2016-12-26"), unit="week")),
    Expression("delta in months", lambda t: t.d.delta(_day("2016-12-26"), unit="month"), "rewritten"),
    Expression("delta in seconds", lambda t: t["at"].delta(t["at"].truncate("D"), unit="second")),
    Expression("timestamp < literal", lambda t: t["at"] < lit(dtm.datetime(2017, 11, 5, 5, 30))),
    Expression("instant < literal", lambda t: _instants(t) < lit(dtm.datetime(2017, 11, 5, 5, 30, tzinfo=dtm.UTC))),
    Expression("wall clock of an instant", lambda t: _wall_clock("America/New_York", _instants(t)), "rewritten"),
    Expression("instant of a wall clock", lambda t: _instant("Europe/Berlin", _recent(t)), "rewritten"),
    Expression("date < timestamp", lambda t: t.d.cast("timestamp") < t["at"]),
    Expression("count", lambda t: t.count()),
    Expression("count where", lambda t: t.count(where=t.i > 0)),
    Expression("count of an empty one where", lambda t: t.filter(t.id < 0).count(where=_.i > 0), "rewritten"),
    Expression("count of a column", lambda t: t.s.count()),
    Expression("nunique", lambda t: t.s.nunique()),
    Expression("nunique of a float", lambda t: t.f.nunique()),
    Expression("any", lambda t: (t.i > 5).any()),
    Expression("all", lambda t: (t.i > 5).all()),
    Expression("sum of integers", lambda t: t.j.sum()),
    Expression("sum where", lambda t: t.j.sum(where=t.j > 0)),
    Expression("sum of booleans", lambda t: (t.i > 5).sum()),
    Expression("sum of decimals", lambda t: t.m.sum()),
    Expression("mean of integers", lambda t: t.j.mean()),
    Expression("mean of decimals", lambda t: t.m.mean()),
    Expression("mean of booleans", lambda t: (t.i > 5).mean()),
    Expression("min of floats", lambda t: t.f.min()),
    Expression("max of floats", lambda t: t.f.max()),
    Expression("min of texts", lambda t: t.s.min()),
    Expression("max of booleans", lambda t: (t.i > 5).max()),
    Expression("argmax", lambda t: t.s.argmax(t.id)),
    Expression("argmin of nulls", lambda t: t.s.argmin(t.d)),
    Expression("first", lambda t: t.s.first(), "refused"),
    Expression("first in order", lambda t: t.s.first(order_by=t.id), "refused"),
    Expression("last in order", lambda t: t.s.last(order_by=t.id), "refused"),
    Expression("arbitrary", lambda t: t.s.arbitrary()),
    Expression("median", lambda t: t.j.median()),
    Expression("quantile of floats", lambda t: t.filter(t.id.isin([1, 2, 7, 8])).f.quantile(0.25)),
    Expression("quantiles", lambda t: t.filter(t.id.isin([1, 2, 7, 8])).f.quantile([0.1, 0.5, 0.9])),
    Expression("quantile of decimals", lambda t: t.m.quantile(0.25), "refused"),
    Expression("std", lambda t: t.j.std()),
    Expression("var", lambda t: t.j.var()),
    Expression("mode", lambda t: t.j.mode(), "refused"),
    Expression("collect", lambda t: t.n.collect(), "refused"),
    Expression("collect in order", lambda t: t.s.collect(order_by=t.id), "refused"),
    Expression("group_concat", lambda t: t.n.group_concat(","), "refused"),
    Expression("group_concat in order", lambda t: t.n.group_concat(",", order_by=t.id), "refused"),
    Expression("approx_nunique", lambda t: t.s.approx_nunique(), "refused"),
    Expression("approx_median", lambda t: t.j.approx_median(), "refused"),
    Expression("row_number", lambda t: ibis.row_number().over(order_by=[t.s, t.id])),
    Expression("rank", lambda t: ibis.rank().over(order_by=ibis.desc(t.i))),
    Expression("dense_rank", lambda t: ibis.dense_rank().over(order_by=t.j)),
    Expression("lag", lambda t: t.i.lag().over(order_by=t.id)),
    Expression("lead with a default", lambda t: t.j.lead(1, 0).over(order_by=t.id)),
    Expression("first_value", lambda t: t.j.first().over(group_by=t.i, order_by=t.id), "refused"),
    Expression("cumulative sum", lambda t: t.m.sum().over(ibis.cumulative_window(order_by=t.id))),
    Expression("sum of the last three", lambda t: t.j.sum().over(ibis.window(preceding=2, following=0, order_by=t.id))),
    Expression("share of a group", lambda t: t.m / t.m.sum().over(group_by=t.j), "rewritten"),
    Expression("ntile", lambda t: ibis.ntile(3).over(order_by=t.id)),
    Expression("array", lambda t: ibis.array([t.i, t.j])),
    Expression("array.length", lambda t: ibis.array([t.i, t.j]).length()),
    Expression("array[0]", lambda t: ibis.array([t.i, t.j])[0]),
    Expression("array.contains", lambda t: ibis.array([t.i, t.j]).contains(2)),
    Expression("array.unique", lambda t: ibis.array([t.j, t.j]).unique()),
    Expression("array.filter", lambda t: ibis.array([t.i, t.j]).filter(lambda each: each > 1)),
    Expression("array.map", lambda t: ibis.array([t.i, t.j]).map(lambda each: each + 1)),
    Expression("array.sort", lambda t: ibis.array([t.j, lit(1)]).sort()),
    Expression("array.join", lambda t: ibis.array([t.s, t.n]).join("-"), "refused"),
    Expression("struct", lambda t: ibis.struct({"a": t.i, "b": t.s})),
    Expression("struct.field", lambda t: ibis.struct({"a": t.i, "b": t.s})["b"]),
    Expression("unnest", lambda t: t.select("id", x=ibis.array([t.j, t.i]).unnest())),
    Expression("json", lambda t: lit('{"a": 1}').cast("json")["a"]),
    Expression("random", lambda t: ibis.random() >= 0, "refused"),
    Expression("uuid", lambda t: ibis.uuid(), "refused"),
    Expression("now", lambda t: ibis.now(), "refused"),
    Expression("filter", lambda t: t.filter(t.j > 0, t.s.notnull()).select("id")),
    Expression("inner join", lambda t: t.join(t.view(), [("i", "j")]).select("id", "s")),
    Expression("left join on nulls", lambda t: t.left_join(t.select(i="i", k="id"), "i").select("id", "k")),
    Expression("outer join", lambda t: _outer(t)),
    Expression("cross join", lambda t: t.select("id").cross_join(t.select(k="id").limit(1)).count()),
    Expression("semi join", lambda t: t.semi_join(t.filter(t.id < 3).select("id"), "id").select("id")),
    Expression("anti join", lambda t: t.anti_join(t.filter(t.id < 3).select("id"), "id").select("id")),
    Expression("asof join", lambda t: _asof(t, lambda e: t.d >= e.e), "rewritten"),
    Expression("asof join, strictly before", lambda t: _asof(t, lambda e: t.d > e.e), "rewritten"),
    Expression("asof join, ahead", lambda t: _asof(t, lambda e: t.d < e.e), "rewritten"),
    Expression("asof join, turned round", lambda t: _asof(t, lambda e: e.e <= t.d), "rewritten"),
    Expression("asof join by a key", lambda t: _asof(t, lambda e: t.d >= e.e, "i"), "rewritten"),
    Expression("distinct", lambda t: t.select("j").distinct()),
    Expression("distinct on", lambda t: t.distinct(on="j", keep="first")[["j"]], "refused"),
    Expression("union", lambda t: t.select("id").union(t.select("id"))),
    Expression("intersect", lambda t: t.select("j").intersect(t.filter(t.id < 4).select("j"))),
    Expression("difference", lambda t: t.select("j").difference(t.filter(t.id < 4).select("j"))),
    Expression("limit", lambda t: t.order_by("id").limit(2, offset=1).select("id")),
    Expression("group by", lambda t: t.group_by("j").agg(n=_.count(), m=_.m.sum())),
    Expression("having", lambda t: t.group_by("j").agg(n=_.count()).filter(_.n > 1)),
    Expression("isin of a table", lambda t: t.i.isin(t.j), "refused"),
    Expression("pivot_longer", lambda t: t.select("id", "i", "j").pivot_longer(["i", "j"])),
    Expression("drop", lambda t: t.select("id", "s", "j").drop("s")),
    Expression("value of another query", lambda t: t.m - t.filter(t.id < 3).m.max().as_scalar()),
    Expression("value of a scalar query", lambda t: t.m - t.m.max()),
    Expression("python udf", lambda t: _twice(t.j), "refused"),
    Expression("engine function by name", lambda t: _ordinal(t.s), "refused"),
    Expression("sql text", lambda t: t.sql("SELECT id FROM t") if hasattr(t, "sql") else t, "refused"),
]


def _texts(*texts: str) -> Any:
    return ibis.memtable({"x": list(texts)})


def _outer(t: Any) -> Any:
    few = t.filter(t.id < 3).select(k="id")
    return t.outer_join(few, t.id == few.k).select("id", "k")


def _asof(t: Any, on: Callable[[Any], Any], by: Any = ()) -> Any:
    earlier = t.filter(t.id != 2).select(e="d", k="id", i="i")
    return t.asof_join(earlier, on(earlier), by).select("id", "k")


def as_table(built: Any, rows: Any) -> Any:
    """An expression as a table: a column of `rows` beside the row's id."""
    if isinstance(built, ibis.Table):
        return built
    if is_column(built, rows):
        return rows.select("id", x=built)
    return built.name("x").as_table()


def is_column(built: Any, rows: Any) -> bool:
    """Whether it has a value for every row of `rows`."""
    return not isinstance(built, ibis.Table) and built.op().shape.is_columnar() and built.op().relations == {rows.op()}


def is_value(built: Any, rows: Any) -> bool:
    """Whether it is one value of all of `rows`."""
    return not isinstance(built, ibis.Table) and built.op().shape.is_scalar() and built.op().relations == {rows.op()}
