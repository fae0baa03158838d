"""Whether a built-in check and its column are about the same kind of values, in words."""

from __future__ import annotations

import datetime as dtm
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from assay.contract.naming import constraint_of

if TYPE_CHECKING:
    import ibis.expr.datatypes as dt
    from pandera.api.checks import Check


def misfit(check: Check, dtype: dt.DataType) -> str | None:
    """How one of Pandera's checks does not fit a column of `dtype`; None where kinds are not the reason."""
    needed, has = _needed(check), held(dtype)
    if needed is None or needed == has:
        return None
    return f"the rule '{constraint_of(check)}' needs {needed}, and the column holds {has}"


def _needed(check: Check) -> str | None:
    if check._check_fn.__name__.startswith("str_"):
        return "text"
    value: Any = next(iter(check._check_kwargs.values()), None)
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "true or false"),  # before numbers: to Python a boolean is one
        ((int, float, Decimal), "numbers"),
        (str, "text"),
        (dtm.datetime, "timestamps"),  # before dates: a datetime is a date
        (dtm.date, "dates"),
    )
    return next((kind for types, kind in kinds if isinstance(value, types)), None)


def held(dtype: dt.DataType) -> str:
    """What a column of `dtype` holds, in words."""
    kinds = (
        (dtype.is_boolean(), "true or false"),
        (dtype.is_numeric(), "numbers"),
        (dtype.is_string(), "text"),
        (dtype.is_timestamp(), "timestamps"),
        (dtype.is_date(), "dates"),
    )
    return next((kind for holds, kind in kinds if holds), f"values of type {dtype}")
