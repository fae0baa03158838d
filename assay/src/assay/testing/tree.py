"""A project in a folder whose golden cases a test writes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from click.testing import CliRunner, Result

from assay.commands.golden_commands import golden
from assay.errors import PipelineError
from assay.golden.case import read_case
from assay.golden.pending import FOLDER, PendingStore, accept
from assay.golden.result import GoldenResult
from assay.golden.runner import run_golden
from assay.project import Project
from assay.tables.graph import Graph


@dataclasses.dataclass
class GoldenTree:
    """A project with a `golden/` folder."""

    project: Project

    @property
    def golden(self) -> Path:
        return self.project.golden

    @property
    def store(self) -> PendingStore:
        return PendingStore(self.golden / FOLDER)

    def case(self, name: str, files: dict[str, str | bytes]) -> Path:
        """Write the files of a case."""
        for path, content in files.items():
            self.write(f"{name}/{path}", content)
        return self.golden / name

    def write(self, path: str, content: str | bytes) -> None:
        target = self.golden / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())

    def run(self, *selection: str) -> GoldenResult:
        return run_golden(self.project, selection, keep=self.store)

    def cli(self, *args: str, input: str | None = None, env: dict[str, str] | None = None) -> Result:
        """Run `pipeline golden`; a foreseen error becomes its line and exit code, as the command line does it."""
        environment = {"CI": None, **(env or {})}
        result = CliRunner().invoke(golden, args, obj=self.project, input=input, env=environment)
        if isinstance(result.exception, PipelineError):
            result.exit_code = result.exception.exit_code
            result.stderr_bytes = f"error: {result.exception}\n".encode()
        elif result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def accepted(self, name: str, files: dict[str, str | bytes]) -> Path:
        """A case whose goldens are accepted as they come."""
        folder = self.case(name, files)
        result = self.run(name)
        for case, golden_name in self.store.names():
            if case == name:
                accept([self.store.read(case, golden_name)], read_case(folder), self.project.graph)
        assert result.exit_code == 3, [case.error for case in result.cases]
        return folder

    def with_code(self, **functions: Callable[..., Any]) -> Self:
        """The same tree, with other functions for some tables: as if somebody edited them."""
        graph = self.project.graph
        nodes = [
            dataclasses.replace(node, function=functions[name]) if name in functions else node
            for name, node in graph.nodes.items()
        ]
        return type(self)(with_graph(self.project, Graph.of([*nodes, *graph.invariants.values()])))


def with_graph(project: Project, graph: Graph) -> Project:
    """The project with another graph in the place of its stages'."""
    changed = dataclasses.replace(project)
    vars(changed)["graph"] = graph
    return changed
