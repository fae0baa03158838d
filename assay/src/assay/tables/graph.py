"""The graph of nodes: found by reading the stage folders, validated once when code loads."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

from assay.contract.naming import wrong_argument
from assay.errors import PipelineError, WiringError, did_you_mean
from assay.tables.code_version import code_version
from assay.tables.declared import declared
from assay.tables.fit import check_exports, check_table
from assay.tables.nodes import Asset, ExportDef, InvariantDef, MetricDef, Node, TableDef

if TYPE_CHECKING:
    from assay.settings import BaseSettings

N = TypeVar("N", bound=Node)


@dataclass(frozen=True)
class Graph:
    """All nodes of a project in topological order.

    Attributes:
        nodes: tables and exports by name, upstream first; among equals by name, so the order is stable.
        invariants, metrics: by name.
    """

    nodes: dict[str, Asset]
    invariants: dict[str, InvariantDef]
    metrics: dict[str, MetricDef] = field(default_factory=dict)

    @classmethod
    def of(cls, nodes: Iterable[Node]) -> Graph:
        """Validate and order `nodes`; raises WiringError naming both files where two do not fit."""
        everything = list(nodes)
        tables = _unique(node for node in everything if isinstance(node, Asset))
        invariants = _unique(node for node in everything if isinstance(node, InvariantDef))
        metrics = _unique(node for node in everything if isinstance(node, MetricDef))
        for node in [*tables.values(), *invariants.values(), *metrics.values()]:
            _check_inputs(node, tables)
        only_tables = {name: node for name, node in tables.items() if isinstance(node, TableDef)}
        for name, table in only_tables.items():
            check_table(table, only_tables, [each for each in invariants.values() if each.table == name])
        check_exports(node for node in tables.values() if isinstance(node, ExportDef))
        edges = {name: set(node.upstream) for name, node in tables.items()}
        for invariant in invariants.values():
            edges[invariant.table] |= set(invariant.upstream)
        sorter: TopologicalSorter[str] = TopologicalSorter({name: sorted(edges[name]) for name in sorted(edges)})
        try:
            order = list(sorter.static_order())
        except CycleError as error:
            raise WiringError(f"tables depend on each other in a circle: {' -> '.join(error.args[1])}") from None
        return cls(
            {name: tables[name] for name in order}, dict(sorted(invariants.items())), dict(sorted(metrics.items()))
        )

    @classmethod
    def load(cls, package: str, stages: Iterable[str]) -> Graph:
        """Import every module of `package`'s stage folders and collect the nodes that stand in them.

        Raises:
            WiringError: a module cannot be imported, or the tables do not fit together.
        """
        found: list[Node] = []
        for stage in stages:
            folder = importlib.import_module(f"{package}.{stage}")
            for info in sorted(
                pkgutil.iter_modules(folder.__path__, f"{folder.__name__}."), key=lambda info: info.name
            ):
                module = _imported(info.name)
                found += [
                    value
                    for value in vars(module).values()
                    if isinstance(value, Node) and value.module == module.__name__
                ]
        return cls.of(found)

    @property
    def tables(self) -> dict[str, TableDef]:
        """The tables alone, in topological order."""
        return {name: node for name, node in self.nodes.items() if isinstance(node, TableDef)}

    def invariants_of(self, table: str) -> tuple[InvariantDef, ...]:
        """The invariants audited before `table` is published."""
        return tuple(invariant for invariant in self.invariants.values() if invariant.table == table)

    def version_of(self, node: Asset, settings: BaseSettings) -> str:
        """The version of all that makes `node`: its code, the rules it is audited by, and the settings it reads."""
        return code_version(node, *self.invariants_of(node.name), settings=declared(node, settings))

    def metrics_of(self, table: str) -> tuple[MetricDef, ...]:
        """The numbers that are taken of `table` at each build."""
        return tuple(metric for metric in self.metrics.values() if metric.table == table)

    def upstream_of(self, name: str) -> tuple[str, ...]:
        """Tables that must be published before `name`: its own inputs and those of its invariants."""
        own = list(self.nodes[name].upstream)
        own += [upstream for invariant in self.invariants_of(name) for upstream in invariant.upstream]
        return tuple(dict.fromkeys(own))

    def get(self, name: str) -> Asset:
        """The node called `name`; raises WiringError listing close names."""
        if name in self.nodes:
            return self.nodes[name]
        raise WiringError(
            f"no table named '{name}'", fix=did_you_mean(name, self.nodes, "`pipeline tables` lists them.")
        )

    def closure(self, targets: Iterable[str], *, given: Collection[str] = ()) -> list[str]:
        """`targets` and everything upstream of them, in topological order, up to what is `given`."""
        wanted: set[str] = set()
        stack = [self.get(name).name for name in targets]
        while stack:
            name = stack.pop()
            if name not in wanted and name not in given:
                wanted.add(name)
                stack.extend(self.upstream_of(name))
        return [name for name in self.nodes if name in wanted]

    def downstream(self, targets: Iterable[str]) -> list[str]:
        """`targets` and everything downstream of them, in topological order."""
        wanted = {self.get(name).name for name in targets}
        for name in self.nodes:
            if wanted.intersection(self.upstream_of(name)):
                wanted.add(name)
        return [name for name in self.nodes if name in wanted]

    def __iter__(self) -> Iterator[Asset]:
        return iter(self.nodes.values())


def _unique(nodes: Iterable[N]) -> dict[str, N]:
    found: dict[str, N] = {}
    for node in nodes:
        # The database does not tell names apart by case.
        other = found.setdefault(node.name.lower(), node)
        if other is not node:
            raise WiringError(
                f"'{node.name}' is defined twice: {other.file} and {node.file}", fix="Rename one of them."
            )
    return {node.name: node for node in found.values()}


def _check_inputs(node: Node, tables: dict[str, Asset]) -> None:
    for name in node.upstream if not isinstance(node, InvariantDef | MetricDef) else node.inputs:
        upstream = tables.get(name)
        if not isinstance(upstream, TableDef):
            others = [other for other, found in tables.items() if isinstance(found, TableDef) and other != node.name]
            raise WiringError(
                f"'{node.name}' reads '{name}', which is no table of this project",
                where=str(node.file),
                fix=did_you_mean(name, others, "Name the parameter after an upstream table."),
            )
        annotated = node.inputs.get(name)
        if annotated is not None and annotated is not upstream.model:
            raise WiringError(
                f"'{node.name}' reads '{name}' as {annotated.__name__} ({inspect.getsourcefile(annotated)}), "
                f"but '{name}' publishes {upstream.model.__name__} ({upstream.file})",
                where=str(node.file),
                fix=f"Annotate the parameter {name}: Table[{upstream.model.__name__}].",
            )


def _imported(name: str) -> ModuleType:
    """The module; a mistake in its code is told in one line, with the file and line where it stands."""
    try:
        return importlib.import_module(name)
    except PipelineError:
        raise
    except SyntaxError as error:
        raise WiringError(f"SyntaxError: {error.msg}", where=f"{error.filename}:{error.lineno}") from error
    except Exception as error:  # whatever the code of a table raises is told by its place
        package = Path(str(sys.modules[name.partition(".")[0]].__file__)).parent
        own = [
            frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(package)
        ]
        place = f"{own[-1].filename}:{own[-1].lineno}" if own else name
        what = wrong_argument(error) or f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise WiringError(what, where=place) from error
