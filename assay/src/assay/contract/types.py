"""Annotations for column types that Pandera 0.35 does not understand by itself: lists, structs, JSON, UUID.

tags: types.Array(dt.string)
price: types.Struct({"amount": dt.Decimal(12, 2), "currency": dt.string})
payload: types.JSON
id: types.UUID
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import ibis
import ibis.expr.datatypes as dt
from pandera.dtypes import immutable
from pandera.engines import ibis_engine

_known: dict[dt.DataType, type[ibis_engine.DataType]] = {}
_lock = threading.Lock()


def exact(dtype: Any) -> Any:
    """An annotation for exactly `dtype`, any Ibis type; the same annotation for the same type."""
    wanted = ibis.dtype(dtype)
    with _lock:
        if wanted not in _known:
            _known[wanted] = _register(wanted)
        return _known[wanted]


def Array(value: Any) -> Any:  # noqa: N802  reads as a type where it is used
    """A list of `value`."""
    return exact(dt.Array(ibis.dtype(value)))


def Struct(fields: Mapping[str, Any]) -> Any:  # noqa: N802  reads as a type where it is used
    """A struct with named fields."""
    return exact(dt.Struct({name: ibis.dtype(value) for name, value in fields.items()}))


def Map(key: Any, value: Any) -> Any:  # noqa: N802  reads as a type where it is used
    """A map from `key` to `value`."""
    return exact(dt.Map(ibis.dtype(key), ibis.dtype(value)))


def _register(wanted: dt.DataType) -> type[ibis_engine.DataType]:
    # Pandera constructs the annotation without arguments and reads `.type`; registering the Ibis type as an
    # equivalent lets it recognize the type of a real column again.
    @ibis_engine.Engine.register_dtype(equivalents=[wanted])
    @immutable
    class Exact(ibis_engine.DataType):
        type = wanted

        def __init__(self) -> None:
            """Skip the base class's constructor, which warns about types it does not know."""

    return Exact


JSON = exact(dt.JSON())
"""A JSON document."""
UUID = exact(dt.UUID())
"""A UUID."""
