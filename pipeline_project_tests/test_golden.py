"""The golden cases of this project, a node per case and table."""

from __future__ import annotations

import pytest

from assay.testing.goldens import golden_difference, golden_gaps, golden_nodes, golden_orphans
from pipeline_project.project import project

NODES = golden_nodes(project)


@pytest.mark.parametrize(("case", "table"), NODES, ids=map("/".join, NODES))
def test_golden(case: str, table: str) -> None:
    difference = golden_difference(project, case, table)
    assert not difference, f"\n{difference}"


def test_no_golden_is_orphaned() -> None:
    assert golden_orphans(project) == ()


def test_every_rule_and_check_fails_in_some_case() -> None:
    gaps = golden_gaps(project)
    assert not gaps, f"\n{gaps}"
