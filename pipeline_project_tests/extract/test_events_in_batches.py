"""The same events give the same rows, however many landings they come in."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest

from assay.lab.determinism.vary import determinism
from assay.tables.graph import Graph
from assay.testing.tree import GoldenTree, with_graph
from pipeline_project.project import project


@pytest.fixture
def events(tmp_path: Path) -> GoldenTree:
    """The project's own case of events in two partitions."""
    shutil.copytree(project.golden / "events-out-of-order", tmp_path / "golden" / "events-out-of-order")
    return GoldenTree(with_graph(dataclasses.replace(project, root=tmp_path), project.graph))


@pytest.mark.slow
def test_events_in_two_landings_are_the_same_rows(events: GoldenTree) -> None:
    (checked,) = determinism(events.project)
    assert checked.axes[-1] == "batches"
    assert not checked.variations


@pytest.mark.slow
def test_what_depends_on_the_landing_is_named(events: GoldenTree) -> None:
    def raw_redemptions(source: Any) -> Any:
        return source.mutate(household_id=source.count().cast("int64"))

    graph = events.project.graph
    node = dataclasses.replace(graph.nodes["raw_redemptions"], function=raw_redemptions)
    changed = Graph.of([*{**graph.nodes, "raw_redemptions": node}.values(), *graph.invariants.values()])
    (checked,) = determinism(with_graph(events.project, changed))
    (found,) = checked.variations
    assert (found.axis, found.table, found.column) == ("batches", "raw_redemptions", "household_id")
