"""What every table needs: contracts, audited publishing, connectors, golden tests, dry runs.

Belongs here: whatever knows tables only as `TableDef`s. Does not belong here: the name of any table of a
project, or an import of one. The names below, `assay.definitions` (what a
project's `definitions.py` is made of), `assay.sources`, `assay.testing` and the `pipeline` command are its public face;
the rest may change between versions.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from assay.contract.alone import alone

alone()

__version__ = "0.2.0"

_HOMES = {
    "Fresh": "tables.fresh",
    "table": "tables.declare",
    "export": "tables.declare",
    "invariant": "tables.declare",
    "History": "tables.loads",
    "Incremental": "tables.loads",
    "as_of": "tables.loads",
    "metric": "tables.declare",
    "KeepFirst": "tables.nodes",
    "Known": "tables.nodes",
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
__all__ = sorted(_HOMES)

if TYPE_CHECKING:
    from assay.contract.classification import internal as internal
    from assay.contract.classification import personal as personal
    from assay.contract.classification import public as public
    from assay.contract.classification import secret as secret
    from assay.tables.declare import export as export
    from assay.tables.declare import invariant as invariant
    from assay.tables.declare import metric as metric
    from assay.tables.declare import table as table
    from assay.tables.fresh import Fresh as Fresh
    from assay.tables.loads import History as History
    from assay.tables.loads import Incremental as Incremental
    from assay.tables.loads import as_of as as_of
    from assay.tables.nodes import KeepFirst as KeepFirst
    from assay.tables.nodes import Known as Known
    from assay.tables.nodes import Reference as Reference
    from assay.tables.nodes import RejectBudget as RejectBudget
    from assay.tables.partitions import daily as daily
    from assay.tables.partitions import hourly as hourly
    from assay.tables.partitions import monthly as monthly
    from assay.tables.partitions import static as static
    from assay.tables.partitions import weekly as weekly
    from assay.tables.run import Run as Run


def __getattr__(name: str) -> Any:
    """Import late, so that `pipeline --help` and a settings error need neither Ibis nor Pandera."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
