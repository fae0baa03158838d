# ruff: noqa: N802  the names of a compiler's methods are Ibis's
"""Ibis's expressions as Spark's SQL, such that Spark computes what DuckDB computes.

Where Spark, or what Ibis 12 writes for it, gives another value without a word, the SQL is another one here; where
nothing was found that is the same, the expression is refused. `tests/spark/test_conformance.py` tries every line of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import ibis
import ibis.backends.sql.compilers as compilers
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import sqlglot as sg
import sqlglot.expressions as sge
from ibis.backends.sql.datatypes import PySparkType

from assay.spark.asof import without_asof
from assay.spark.known import Refused, refusal

NULL = sge.Null()
STAR = sge.Star()
_BLANK = r"[ \t\n\r\x0B\f]+"
NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
DAY = r"\d{4}-\d{1,2}-\d{1,2}"
ODD_DAY = r"(?i)^\s*(-\d+-\d|\d{5,}-\d|\d+[/ \\]\d+[/ \\]\d|[+-]?inf|epoch)"


class SparkType(PySparkType):  # type: ignore[misc]  # Ibis ships no types
    """Ibis's types as Spark has them, which knows no unsigned numbers, UUIDs, times of day or nanoseconds."""

    @classmethod
    def from_ibis(cls, dtype: dt.DataType) -> sge.DataType:
        if dtype.is_timestamp():  # Ibis writes both kinds as TIMESTAMP: ibis #11062, #11137
            if dtype.scale is not None and dtype.scale > 6:
                raise Refused("it has a timestamp of nanoseconds, and Spark keeps microseconds; take scale=6")
            kind = sge.DataType.Type.TIMESTAMPLTZ if dtype.timezone else sge.DataType.Type.TIMESTAMPNTZ
            return sge.DataType(this=kind)
        if dtype.is_time() or dtype.is_interval():
            raise Refused(f"it has a column of type {dtype}, which Spark has not; keep a number of seconds")
        if dtype.is_unsigned_integer():
            wide = {1: dt.int16, 2: dt.int32, 4: dt.int64, 8: dt.Decimal(20, 0)}[dtype.nbytes]
            return super().from_ibis(wide)
        if dtype.is_json() or dtype.is_uuid() or dtype.is_inet() or dtype.is_macaddr():
            return super().from_ibis(dt.string)
        return super().from_ibis(dtype)


_TEXTS = {
    "integer": (rf"^\s*{NUMBER}\s*$", r"\d_\d|^\s*[+-]?0[xXbB]"),
    "floating": (rf"^\s*({NUMBER}|[+-]?(?i:inf|infinity|nan))\s*$", r"\d_\d"),
    "decimal": (rf"^\s*{NUMBER}\s*$", r"\d_\d"),
    "date": (rf"^\s*{DAY}(\s*|[ T][0-9:.]*(Z|[+-][0-9:]+)?)$", rf"{ODD_DAY}|^\s*{DAY}\S"),
    "timestamp": (rf"^{DAY}([ T][0-9:.]*(Z|[+-][0-9:]+)?)?$", ODD_DAY),
    "boolean": (r"^\S*$", "^$."),
}
"""For a type: texts of which both engines make the same value, and those of which only DuckDB makes one."""


class SparkCompiler(compilers.PySparkCompiler):  # type: ignore[misc]  # Ibis ships no types
    """Ibis's compiler for Spark, without what makes Spark give another value than DuckDB."""

    type_mapper = SparkType
    SIMPLE_OPS: ClassVar[dict[Any, str]] = {}  # those of before stay, and do not take the place of what stands here

    def visit_Field(self, op: Any, *, rel: Any, name: str) -> Any:
        """A column as it is: Ibis asks an option of its Spark backend about NaN, and that backend is not loaded here."""
        return super(compilers.PySparkCompiler, self).visit_Field(op, rel=rel, name=name)

    def visit_NonNullLiteral(self, op: Any, *, value: Any, dtype: dt.DataType) -> Any:
        """To Spark 0.1 is a decimal number."""
        if dtype.is_floating():
            return self.cast(sge.convert(str(float(value))), dtype)
        return super().visit_NonNullLiteral(op, value=value, dtype=dtype)

    def visit_Strip(self, op: Any, *, arg: Any) -> Any:
        """Ibis writes a backslash too many, so that v and f are taken for blanks: ibis #11894."""
        return self.f.regexp_replace(arg, f"^{_BLANK}|{_BLANK}$", "")

    def visit_LStrip(self, op: Any, *, arg: Any) -> Any:
        """Spark's own takes spaces alone."""
        return self.f.regexp_replace(arg, f"^{_BLANK}", "")

    def visit_RStrip(self, op: Any, *, arg: Any) -> Any:
        """Spark's own takes spaces alone."""
        return self.f.regexp_replace(arg, f"{_BLANK}$", "")

    def visit_StringSplit(self, op: Any, *, arg: Any, delimiter: Any) -> Any:
        """Spark takes the delimiter for a regular expression."""
        return self.f.split(arg, self.f.concat(sge.convert(r"\Q"), delimiter, sge.convert(r"\E")))

    def visit_IsNull(self, op: Any, *, arg: Any) -> Any:
        """Ibis takes NaN for null here, and not on DuckDB."""
        return arg.is_(NULL)

    def visit_NotNull(self, op: Any, *, arg: Any) -> Any:
        """Ibis takes NaN for null here, and not on DuckDB."""
        return arg.is_(sg.not_(NULL))

    def visit_IsNan(self, op: Any, *, arg: Any) -> Any:
        """Spark's is false of null, DuckDB's null."""
        return self.if_(arg.is_(NULL), NULL, self.f.isnan(arg))

    def visit_IsInf(self, op: Any, *, arg: Any) -> Any:
        """Ibis compares with the text 'Infinity'."""
        return self.f.abs(arg).eq(self._float(math.inf))

    def visit_Divide(self, op: Any, *, left: Any, right: Any) -> Any:
        """DuckDB divides in floating point, by zero as well; Spark decimals as decimals, and never by zero."""
        left, right = self.cast(left, dt.float64), self.cast(right, dt.float64)
        infinite = self._float(math.inf)
        if isinstance(op.right, ops.Literal) and op.right.value:
            return sge.paren(left / right)
        sign = self.if_(self.cast(right, dt.string).like("-%"), -infinite, infinite)
        return self.if_(right.eq(0), left * sign, left / right)

    def visit_Modulus(self, op: Any, *, left: Any, right: Any) -> Any:
        """DuckDB gives null where the divisor is zero."""
        return sge.Mod(this=sge.paren(left), expression=self.f.nullif(right, 0))

    def visit_FloorDivide(self, op: Any, *, left: Any, right: Any) -> Any:
        """By DuckDB's way to divide."""
        return self.cast(self.f.floor(self.visit_Divide(op, left=left, right=right)), op.dtype)

    def visit_Round(self, op: Any, *, arg: Any, digits: Any) -> Any:
        """DuckDB rounds the product with a power of ten; Spark the shortest decimal that stands for the number."""
        if op.arg.dtype.is_floating() and isinstance(op.digits, ops.Literal):
            power = self.cast(sge.convert(str(float(10**op.digits.value))), dt.float64)
            return self.f.anon.round(sge.paren(arg) * power, 0) / power
        return super().visit_Round(op, arg=arg, digits=digits)

    def visit_Cast(self, op: Any, *, arg: Any, to: dt.DataType) -> Any:
        """Numbers are rounded, and texts read, as DuckDB does it."""
        return self.converted(arg, op.arg.dtype, to, tried=False)

    def visit_TryCast(self, op: Any, *, arg: Any, to: dt.DataType) -> Any:
        """Numbers are rounded, and texts read, as DuckDB does it."""
        return self.converted(arg, op.arg.dtype, to, tried=True)

    def converted(self, arg: Any, given: dt.DataType, to: dt.DataType, *, tried: bool) -> Any:
        """`arg` in another type, with DuckDB's value; `tried`: null where there is none."""

        def cast(value: Any, dtype: dt.DataType) -> Any:
            wanted = self.type_mapper.from_ibis(dtype)
            return sge.TryCast(this=value, to=wanted, safe=True) if tried else self.cast(value, dtype)

        if to.is_integer() and given.is_decimal():
            return cast(self.f.anon.round(arg, 0), to)
        if to.is_integer() and given.is_floating():
            return cast(self.f.anon.rint(arg), to)
        if to.is_decimal() and given.is_floating():
            # DuckDB rounds the product with a power of ten; Spark the shortest decimal that stands for the number.
            if to.precision is None or to.precision > 18:
                raise Refused(f"it casts a floating-point number to {to}; take decimal(18, ...) at most")
            digits = cast(self.f.anon.rint(arg * self._float(10.0**to.scale)), dt.int64)
            step = dt.Decimal(to.scale + 1, to.scale)
            return cast(digits * self.cast(sge.convert(f"{10.0**-to.scale:.{to.scale}f}"), step), to)
        if given.is_string():
            return self._read(arg, to, cast)
        return cast(arg, to)

    def _read(self, text: Any, to: dt.DataType, cast: Callable[[Any, dt.DataType], Any]) -> Any:
        """A text as a value. One that DuckDB reads and Spark does not fails, where it would become another one."""
        kind = next((kind for kind in _TEXTS if getattr(to, f"is_{kind}")()), None)
        if kind is None:
            return cast(text, to)
        alike, odd = _TEXTS[kind]
        value = cast(text, to)
        if to.is_integer():  # DuckDB rounds 1.5
            value = cast(self.f.anon.round(cast(text, dt.Decimal(38, 18)), 0), to)
        told = self.f.anon.raise_error(self.f.concat(sge.convert("[TEXT_READ_BY_DUCKDB_ALONE] "), text))
        none = cast(self.f.concat(sge.convert("no value: "), text), to)
        return (
            sge.Case()
            .when(self.f.anon.rlike(text, sge.convert(alike)), value)
            .when(self.f.anon.rlike(text, sge.convert(odd)), told)
            .else_(none)
        )

    def _float(self, value: float) -> Any:
        return self.cast(sge.convert(str(value)), dt.float64)

    def visit_CountStar(self, op: Any, *, arg: Any, where: Any) -> Any:
        """Ibis writes a sum, which is null where there is no row."""
        return self.f.count(STAR if where is None else self.if_(where, 1, NULL))

    def visit_ExtractSecond(self, op: Any, *, arg: Any) -> Any:
        """Ibis takes the seconds with their fraction, which would be rounded."""
        return self.f.second(arg)

    def visit_ExtractMicrosecond(self, op: Any, *, arg: Any) -> Any:
        """Ibis has none for Spark."""
        return self.cast(self.f.anon.date_format(arg, "SSSSSS"), op.dtype)

    def visit_TimestampDelta(self, op: Any, *, part: Any, left: Any, right: Any) -> Any:
        """DuckDB counts the boundaries between two times, Spark the whole units."""
        unit = sge.Var(this=str(op.part.value).upper())
        whole = [self.f.anon.date_trunc(op.part.value, each) for each in (right, left)]
        return self.f.anon.timestampdiff(unit, *whole)

    visit_DateDelta = visit_TimestampDelta  # noqa: N815

    def visit_ScalarUDF(self, op: Any, **arguments: Any) -> Any:
        """DuckDB's `timezone(zone, at)`, which functions call by name: instant to wall clock, and back."""
        zone, at = arguments.values()
        if op.args[1].dtype.timezone:
            return self.cast(self.f.anon.from_utc_timestamp(at, zone), dt.Timestamp(scale=6))
        # Spark takes a wall clock for its session's, which is UTC.
        instant = self.cast(at, dt.Timestamp(timezone="UTC", scale=6))
        return self.f.anon.to_utc_timestamp(instant, zone)


def to_sql(expression: ibis.Table) -> str:
    """`expression`, over views of Spark's, as Spark's SQL.

    Raises:
        Refused: Spark would compute something in it otherwise, or nobody has tried whether it does.
    """
    operation = expression.op()
    for node in operation.find(ops.Node):
        if (reason := refusal(node)) is not None:
            raise Refused(reason)

    def step(node: Any, changed: Mapping[Any, Any] | None) -> Any:
        node = node.__recreate__(changed) if changed else node
        return without_asof(node) if isinstance(node, ops.JoinChain) else node

    moved = operation.replace(step).to_expr()
    return str(_COMPILER.to_sqlglot(moved).sql(dialect=SparkCompiler.dialect))


def declared(columns: Mapping[str, dt.DataType], actual: Mapping[str, str]) -> str:
    """SQL: the columns in their declared types, where Spark computed them in others, which are given as it names them."""
    listed = []
    for name, to in columns.items():
        given = SparkType.from_string(actual[name])
        column = sg.column(name, quoted=True)
        value = (
            _COMPILER.converted(column, given, to, tried=False) if given.is_numeric() else _COMPILER.cast(column, to)
        )
        listed.append(sge.alias_(value, name, quoted=True).sql(dialect=SparkCompiler.dialect))
    return ", ".join(listed)


_COMPILER = SparkCompiler()
