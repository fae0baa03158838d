"""Which of Ibis's operations give on Spark what they give on DuckDB, and which do not: what is not known is refused."""

from __future__ import annotations

from typing import Any

import ibis.expr.operations as ops
from ibis.expr.operations.udf import InputType

ORDER = "it depends on the order in which rows arrive"
APPROXIMATE = "engines approximate it in different ways"
VARIES = "it gives something else each time"
_SORTED = "take min, max, or argmin by the column that orders"

DIFFERENT: dict[type[Any], tuple[str, str]] = {
    ops.Hash: ("engines hash in different ways", "take hexdigest"),
    ops.Mode: ("Spark has no mode as DuckDB has it", "count by group, and take argmax"),
    ops.First: (ORDER, _SORTED),
    ops.Last: (ORDER, _SORTED),
    ops.ArrayCollect: (ORDER, "keep the rows, and collect them where they are shown"),
    ops.GroupConcat: (ORDER, "keep the rows, and join them where they are shown"),
    ops.ArrayStringJoin: ("an array of nulls becomes an empty text", "join the columns with +"),
    ops.InSubquery: ("a null is in no table there, and unknown here", "write a semi_join or an anti_join"),
    ops.ApproxCountDistinct: (APPROXIMATE, "take nunique"),
    ops.ApproxMedian: (APPROXIMATE, "take median"),
    ops.ApproxQuantile: (APPROXIMATE, "take quantile"),
    ops.RandomScalar: (VARIES, "draw with the run's seed in a table of Python"),
    ops.RandomUUID: (VARIES, "take a hexdigest of the key"),
    ops.TimestampNow: (VARIES, "take run.now"),
    ops.DateNow: (VARIES, "take run.now"),
    ops.SQLStringView: ("it is SQL text for DuckDB", "write it as an Ibis expression"),
}
"""Operations with which Spark gives something else: why, and what to write."""


_SAME = """
    Abs Add Aggregate All And Any Arbitrary ArgMax ArgMin Argument Array ArrayContains ArrayDistinct ArrayFilter
    ArrayIndex ArrayLength ArrayMap ArraySort Between BitwiseAnd BitwiseLeftShift BitwiseOr Capitalize Cast Ceil
    Clip Coalesce Count CountDistinct CountStar DatabaseTable Date DateAdd DateDelta DateSub DateTruncate
    DayOfWeekIndex DayOfWeekName DenseRank Difference Distinct Divide DropColumns DummyTable EndsWith Equals Exp
    ExtractDay ExtractDayOfYear ExtractEpochSeconds ExtractHour ExtractMicrosecond ExtractMillisecond ExtractMinute
    ExtractMonth ExtractQuarter ExtractSecond ExtractWeekOfYear ExtractYear Field Filter Floor FloorDivide Greater
    GreaterEqual Greatest HexDigest IdenticalTo IfElse InMemoryTable InValues Intersection IsInf IsNan IsNull
    JSONGetItem JoinChain JoinLink JoinReference LPad LStrip Lag Lead Least Less LessEqual Limit Literal Ln Log10
    Log2 Lowercase Max Mean Median Min MinRank Modulus MultiQuantile Multiply NTile Negate Not NotEquals NotNull
    NullIf Or Power Project Quantile RStrip RegexExtract RegexReplace RegexSearch Reverse Round RowNumber
    ScalarSubquery SearchedCase SelfReference Sign Sort SortKey Sqrt StandardDev StartsWith StrRight Strftime
    StringConcat StringContains StringFind StringLength StringReplace StringSQLILike StringSQLLike StringSplit Strip
    StructColumn StructField Substring Subtract Sum TimestampAdd TimestampDelta TimestampTruncate TryCast
    UnboundTable Union Unnest Uppercase Variance WindowBoundary WindowFunction Xor
"""
SAME = frozenset(_SAME.split())
"""Operations that some expression of the conformance table has, and with which Spark gives the same; logarithms and
powers of floating-point numbers but for their last digit."""


class Refused(Exception):
    """Spark computes an expression otherwise than DuckDB; its text says which, and what to write in its place."""


def refusal(node: Any) -> str | None:
    """Why Spark may not compute this operation, and what to do; None where it gives what DuckDB gives."""
    name = type(node).__name__
    if type(node) in DIFFERENT:
        why, fix = DIFFERENT[type(node)]
        return f"Spark does not compute {name} as DuckDB does: {why}; {fix}"
    if isinstance(node, ops.ScalarUDF | ops.AggUDF):
        if node.__input_type__ is not InputType.BUILTIN:
            return f"it calls the Python function '{node.__func_name__}', which runs beside DuckDB; write an expression"
        if node.__func_name__ != "timezone":
            return f"it calls DuckDB's function '{node.__func_name__}' by name; take a method of Ibis"
        return None
    if isinstance(node, ops.Cast | ops.TryCast) and node.to.is_string():
        given = node.arg.dtype
        if given.is_floating() or given.is_nested() or (given.is_timestamp() and given.timezone):
            return f"a {given} becomes another text there; cast it to a decimal or a timestamp first"
    if isinstance(node, ops.Quantile | ops.MultiQuantile | ops.Median) and node.arg.dtype.is_decimal():
        return f"Spark does not compute {name} of decimals as DuckDB does: it rounds otherwise; cast them to float64"
    if isinstance(node, ops.JoinChain) and any(link.how.startswith("any_") for link in node.rest):
        return f"{ORDER}; join one row per key"
    if name not in SAME:
        return f"nobody has tried whether Spark computes {name} as DuckDB does; write it otherwise, or report it"
    return None
