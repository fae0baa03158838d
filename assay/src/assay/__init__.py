"""What every table needs: contracts, audited publishing, connectors, golden tests, dry runs.

Belongs here: whatever knows tables only as `TableDef`s. Does not belong here: the name of any table of a
project, an import of a stage folder or of the example. A fork keeps this package as it is; `README.md`
beside this file maps files to roles.
"""

from __future__ import annotations

import atexit
import gc
from typing import TYPE_CHECKING, Any

# Loading a project makes a few hundred thousand objects that stay. With Python's usual threshold the collector
# walks them again and again while they are made, which was a tenth of the time of loading. At the exit it would walk
# them again, for half a second of every command; all but what stands in cycles of references is still finalized.
gc.set_threshold(100_000, 20, 100)
atexit.register(gc.freeze)

__version__ = "0.1.0"

_EXPORTS = {
    "table": "tables",
    "export": "tables",
    "invariant": "tables",
    "KeepFirst": "tables",
    "Reference": "tables",
    "RejectBudget": "tables",
    "Run": "run",
    "daily": "partitions",
    "hourly": "partitions",
    "monthly": "partitions",
    "static": "partitions",
    "weekly": "partitions",
    "public": "classification",
    "internal": "classification",
    "personal": "classification",
    "secret": "classification",
}
__all__ = [
    "KeepFirst",
    "Reference",
    "RejectBudget",
    "Run",
    "daily",
    "export",
    "hourly",
    "internal",
    "invariant",
    "monthly",
    "personal",
    "public",
    "secret",
    "static",
    "table",
    "weekly",
]

if TYPE_CHECKING:
    from assay.contract.classification import internal, personal, public, secret
    from assay.tables.declare import KeepFirst, Reference, RejectBudget, export, invariant, table
    from assay.tables.partitions import daily, hourly, monthly, static, weekly
    from assay.tables.run import Run


def __getattr__(name: str) -> Any:
    """Import late, so that `pipeline --help` and a settings error need neither Ibis nor Pandera."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_EXPORTS[name]}"), name)
