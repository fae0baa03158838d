"""Connectors: how rows from outside reach a table, exactly as they were served.

What belongs here: reading files, pages, APIs and event logs into relations of the build's DuckDB connection,
with pinned columns, types and dialects, and with every way the outside can be wrong turned into one clear line
(`SourceError`) or into counted rejects (`Landed.malformed`). What does not: what a value means. A connector
never repairs, guesses or drops anything; NaN, infinities and out-of-range values pass through to the contract.

A source is a frozen dataclass declared in a table's file, such as `Csv("shop_files", "prices.csv")`; the
location's address comes from the settings. `base.py` holds the interface.

The names below are imported on first use, so that declaring a Parquet source does not import an HTTP client.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.sources.auth import ApiKey as ApiKey
    from assay.sources.auth import Basic as Basic
    from assay.sources.auth import Bearer as Bearer
    from assay.sources.auth import ClientCredentials as ClientCredentials
    from assay.sources.base import Landed as Landed
    from assay.sources.base import Landing as Landing
    from assay.sources.base import Source as Source
    from assay.sources.base import Sources as Sources
    from assay.sources.delimited import Csv as Csv
    from assay.sources.events import EventLog as EventLog
    from assay.sources.excel import Sheet as Sheet
    from assay.sources.fetched import FetchContext as FetchContext
    from assay.sources.fetched import Rows as Rows
    from assay.sources.fixtures import FixtureTransport as FixtureTransport
    from assay.sources.html import HtmlTable as HtmlTable
    from assay.sources.ndjson import Ndjson as Ndjson
    from assay.sources.pages import PagedJson as PagedJson
    from assay.sources.parquet import Parquet as Parquet
    from assay.sources.web import Http as Http

_HOMES = {
    "ApiKey": "auth",
    "Basic": "auth",
    "Bearer": "auth",
    "ClientCredentials": "auth",
    "Csv": "delimited",
    "EventLog": "events",
    "FetchContext": "fetched",
    "FixtureTransport": "fixtures",
    "HtmlTable": "html",
    "Http": "web",
    "Landed": "base",
    "Landing": "base",
    "Ndjson": "ndjson",
    "PagedJson": "pages",
    "Parquet": "parquet",
    "Rows": "fetched",
    "Sheet": "excel",
    "Source": "base",
    "Sources": "base",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
