"""The warehouse that settings name, whichever engine keeps its tables."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from assay.warehouse.warehouse import DryRunWarehouse, DuckDBWarehouse

if TYPE_CHECKING:
    from assay.settings import BaseSettings
    from assay.tables.graph import Graph
    from assay.warehouse.dry.proof import Proof
    from assay.warehouse.session import Session


class Warehouse(Protocol):
    """Where tables live; `snapshot`, a copy of the books for readers, is renewed after a session that changed them."""

    snapshot: Path | None

    def session(self) -> AbstractContextManager[Session]:
        """Open it for reading and writing; raises WarehouseLocked or WarehouseError."""

    def reading(self) -> AbstractContextManager[Session]:
        """Open it, which exists, for reading."""


class Dry(Protocol):
    """A warehouse in front of the real one, which is only read: `folder` is the last session's, `proof` that it was."""

    folder: Path | None

    @property
    def proof(self) -> Proof | None:
        """What the real warehouse was before and after the last session; None where there was none to watch."""

    def session(self) -> AbstractContextManager[Session]:
        """Open it; raises WarehouseLocked or WarehouseError."""


def warehouse_of(settings: BaseSettings) -> Warehouse:
    """The real warehouse."""
    return DuckDBWarehouse.of(settings) if settings.engine == "duckdb" else _spark().SparkWarehouse.of(settings)


def dry_run_of(settings: BaseSettings, **arguments: Any) -> Dry:
    """A dry run in front of the real warehouse; `arguments` are `DryRunWarehouse`'s."""
    if settings.engine == "duckdb":
        return DryRunWarehouse.of(settings, **arguments)
    found: Dry = _spark().SparkWarehouse.dry(settings, **arguments)
    return found


def _spark() -> Any:
    # Who stays on DuckDB loads nothing of it.
    return import_module("assay.spark.warehouse")


def refuse(session: Session, graph: Graph, names: Iterable[str], settings: BaseSettings) -> None:
    """Raise the PipelineError that says what of the nodes `names` the session's engine cannot do, if there is any."""
    for error in session.refusals(graph, names, settings):
        raise error
