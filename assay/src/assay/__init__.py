"""What every table needs: contracts, audited publishing, connectors, golden tests, dry runs.

Belongs here: whatever knows tables only as `TableDef`s. Does not belong here: the name of any table of a
project, or an import of one. The names below, `assay.sources`, `assay.testing` and the `pipeline` command are its
public face; the rest may change between versions.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_EXPORTS = {
    "table": "tables.declare",
    "export": "tables.declare",
    "invariant": "tables.declare",
    "Incremental": "tables.loads",
    "KeepFirst": "tables.nodes",
    "Reference": "tables.nodes",
    "RejectBudget": "tables.nodes",
    "Run": "tables.run",
    "daily": "tables.partitions",
    "hourly": "tables.partitions",
    "monthly": "tables.partitions",
    "static": "tables.partitions",
    "weekly": "tables.partitions",
    "public": "contract.classification",
    "internal": "contract.classification",
    "personal": "contract.classification",
    "secret": "contract.classification",
}
__all__ = [
    "Incremental",
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
    from assay.tables.declare import export, invariant, table
    from assay.tables.loads import Incremental
    from assay.tables.nodes import KeepFirst, Reference, RejectBudget
    from assay.tables.partitions import daily, hourly, monthly, static, weekly
    from assay.tables.run import Run


def __getattr__(name: str) -> Any:
    """Import late, so that `pipeline --help` and a settings error need neither Ibis nor Pandera."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_EXPORTS[name]}"), name)
