"""What a built-in check compares with, as a value of the column's own type: nothing is rounded on the way.

A bound between two values of the type is moved to the neighbour that gives every row the same verdict: on whole numbers
`ge=0.5` is `ge=1`. One beyond the type's range becomes an infinity. A number with a point means what it is written as,
`0.1` and not the binary fraction next to it.
"""

from __future__ import annotations

import datetime as dtm
import math
from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import TYPE_CHECKING, Any, Literal

import ibis
import numpy

if TYPE_CHECKING:
    import ibis.expr.datatypes as dt

Side = Literal["floor", "ceil", "exact"]
_SIDES: dict[str, tuple[str, Side]] = {
    "equal_to": ("value", "exact"),
    "not_equal_to": ("value", "exact"),
    "greater_than": ("min_value", "floor"),
    "greater_than_or_equal_to": ("min_value", "ceil"),
    "less_than": ("max_value", "ceil"),
    "less_than_or_equal_to": ("max_value", "floor"),
}
_WIDE = Context(prec=400, Emax=10_000, Emin=-10_000)


_NANOSECONDS = tuple(map(dtm.datetime.fromisoformat, ("1677-09-22", "2262-04-11 23:47:16.854775")))
"""What fits into 64 bits of nanoseconds; the engine refuses to compare those with a timestamp before or after."""


class Misfit(ValueError):
    """An argument that no value of the column can be compared with, in words."""


def fitted(name: str, arguments: Mapping[str, Any], dtype: dt.DataType) -> dict[str, Any]:
    """The arguments of the built-in check `name` for a column of `dtype`; raises Misfit for one that does not fit."""
    if name in _SIDES:
        argument, side = _SIDES[name]
        return {argument: _value(arguments[argument], dtype, side)}
    if name == "in_range":
        low: Side = "ceil" if arguments.get("include_min", True) else "floor"
        high: Side = "floor" if arguments.get("include_max", True) else "ceil"
        return {
            "min_value": _value(arguments["min_value"], dtype, low),
            "max_value": _value(arguments["max_value"], dtype, high),
        }
    for argument in ("allowed_values", "forbidden_values"):
        if argument in arguments:
            found = [_member(value, dtype) for value in arguments[argument]]
            return {argument: [value for value in found if value is not None]}
    if name.startswith("str_"):
        if not dtype.is_string():
            raise Misfit("needs text")
        for argument in ("string", "pattern"):
            if argument in arguments and isinstance(arguments[argument], str):
                _text(arguments[argument])
    if name in ("str_startswith", "str_endswith") and not isinstance(arguments["string"], str):
        raise Misfit("needs one text to compare with")
    return {}


def compares(name: str, arguments: Mapping[str, Any], dtype: dt.DataType) -> bool:
    """Whether the check compares a column of `dtype` with `fitted` arguments, of which every expression can be made."""
    listed = arguments.get("allowed_values") or arguments.get("forbidden_values")
    kinds = dtype.is_numeric() or dtype.is_string() or dtype.is_date() or dtype.is_timestamp()
    return (name in _SIDES or name == "in_range" or bool(listed)) and kinds


def _value(value: Any, dtype: dt.DataType, side: Side) -> Any:
    """A literal to compare the column with; `exact` where a value between two of the type equals none."""
    if dtype.is_numeric():
        number = _number(value)
        near = _near(number, dtype, side)
        if near is not None:
            return ibis.literal(near, type=dtype)
        if side == "exact":
            # Nothing equals it. A NaN counts as missing in floating-point columns; no other type has infinities.
            return ibis.literal(math.nan if dtype.is_floating() else math.inf, type="float64")
        return ibis.literal(math.copysign(math.inf, number), type="float64")
    if dtype.is_date():
        return _date(value, side)
    if dtype.is_timestamp():
        return _timestamp(value, dtype)
    if dtype.is_interval():
        raise Misfit("compares with a length of time, of which a month may be 28 days or 31")
    if dtype.is_string():
        return _text(value)
    if dtype.is_boolean() and not isinstance(value, bool):
        raise Misfit(f"compares with {value!r}, which is neither true nor false")
    return value


def _member(value: Any, dtype: dt.DataType) -> Any:
    """The value as a literal of the type; None where the type has no such value."""
    if not dtype.is_numeric():
        if dtype.is_date() and isinstance(value, dtm.datetime) and value.time() != dtm.time():
            _date(value, "floor")
            return None
        return _value(value, dtype, "exact")
    near = _near(_number(value), dtype, "exact")
    return None if near is None else ibis.literal(near, type=dtype)


def _number(value: Any) -> Decimal:
    if hasattr(value, "item"):
        value = value.item()  # of NumPy
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise Misfit(f"compares with {value!r}, which is no number")
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if number.is_nan():
        raise Misfit("compares with NaN, which is no number")
    return number


def _near(number: Decimal, dtype: Any, side: Side) -> Any:
    """The number as a value of the type, or its neighbour on that side; None where there is none."""
    if dtype.is_floating():
        return _near_float(number, dtype, side)
    if number.is_infinite():
        return None
    scale = (dtype.scale or 0) if dtype.is_decimal() else 0
    if abs(number.adjusted()) > 80 and number:
        if number.adjusted() > 0:
            return None
        number = Decimal("1E-79").copy_sign(number)  # as good as any that is nearer to 0 than the type's least
    rounded = number.quantize(
        Decimal(1).scaleb(-scale), rounding=ROUND_CEILING if side == "ceil" else ROUND_FLOOR, context=_WIDE
    )
    if side == "exact" and rounded != number:
        return None
    if dtype.is_decimal():
        return rounded if abs(rounded).scaleb(scale, _WIDE) < Decimal(10) ** (dtype.precision or 18) else None
    bounds = dtype.bounds
    return int(rounded) if bounds.lower <= rounded <= bounds.upper else None


def _near_float(number: Decimal, dtype: Any, side: Side) -> float | None:
    kind = numpy.float32 if dtype.nbytes == 4 else numpy.float64
    with numpy.errstate(over="ignore", under="ignore"):
        near = kind(float(number))
    whole = number == number.to_integral_value() if number.is_finite() and abs(number) < 10**300 else False
    overflowed = math.isinf(near) and number.is_finite()
    if not overflowed and not (whole and Decimal(float(near)) != number):
        return float(near)
    if side == "exact":
        return None
    if side == "floor" and Decimal(float(near)) > number:
        near = numpy.nextafter(near, kind(-math.inf))
    if side == "ceil" and Decimal(float(near)) < number:
        near = numpy.nextafter(near, kind(math.inf))
    return float(near)


def _date(value: Any, side: Side) -> dtm.date:
    if isinstance(value, str):
        try:
            value = dtm.date.fromisoformat(value)
        except ValueError:
            raise Misfit(f"compares with {value!r}, which is no date") from None
    if isinstance(value, dtm.datetime):
        if value.tzinfo is not None:
            raise Misfit(f"compares with {value}, an instant, whose day is another one in other zones")
        if value.time() == dtm.time() or side == "floor":
            return value.date()
        if side == "exact":
            raise Misfit(f"compares with {value}, which no date equals")
        return value.date() + dtm.timedelta(days=1)
    if not isinstance(value, dtm.date):
        raise Misfit(f"compares with {value!r}, which is no date")
    return value


def _timestamp(value: Any, dtype: Any) -> Any:
    if isinstance(value, str):
        try:
            value = dtm.datetime.fromisoformat(value)
        except ValueError:
            raise Misfit(f"compares with {value!r}, which is no timestamp") from None
    if isinstance(value, dtm.date) and not isinstance(value, dtm.datetime):
        value = dtm.datetime.combine(value, dtm.time())
    if not isinstance(value, dtm.datetime):
        raise Misfit(f"compares with {value!r}, which is no timestamp")
    if (value.tzinfo is None) != (dtype.timezone is None):
        what = "has no zone" if dtype.timezone else "has a zone"
        raise Misfit(f"compares with {value}, which {what}")
    if getattr(value, "nanosecond", 0):
        raise Misfit(f"compares with {value}, which is no whole microsecond")
    if hasattr(value, "to_pydatetime"):
        value = value.to_pydatetime()
    if dtype.scale == 9 and not _NANOSECONDS[0] <= (plain := value.replace(tzinfo=None)) <= _NANOSECONDS[1]:
        return ibis.literal("infinity" if plain > _NANOSECONDS[1] else "-infinity").cast(dtype)
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Misfit(f"compares with {value!r}, which is no text")
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise Misfit("compares with a NUL or half a surrogate pair, which SQL cannot write")
    return value
