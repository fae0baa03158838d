"""Golden cases as tests: a node per case and table. Nothing is written; `pipeline golden` keeps new output.

CASES = golden_nodes(project)

@pytest.mark.parametrize(("case", "table"), CASES, ids=map("/".join, CASES))
def test_golden(case: str, table: str) -> None:
    assert not (difference := golden_difference(project, case, table)), difference
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from assay.golden.case import read_cases
from assay.golden.yaml_file import shown
from assay.terminal import unstyled
from assay.testing.wiring import fits

if TYPE_CHECKING:
    from assay.golden.result import CaseResult
    from assay.project import Project


def golden_nodes(project: Project) -> list[tuple[str, str]]:
    """Every case with every table it is about. Only `case.yml` files are read, no code is imported."""
    return [(case.name, table) for case in read_cases(project.golden) for table in case.subjects]


def golden_difference(project: Project, case: str, table: str) -> str:
    """What is wrong with one table of one case, as text; empty if nothing is. A case runs once a process."""
    from assay.golden.text import plain

    fits(project)
    result = _run(project, case)
    if result.error:
        return f"golden case {case} could not run: {result.error}\n{result.traceback or ''}".rstrip()
    found = next(each for each in result.tables if each.table == table)
    if found.status == "equal":
        return ""
    return f"{plain(found, result)}\nto keep the new output for review: pipeline golden {case}/{table}"


def golden_orphans(project: Project) -> tuple[str, ...]:
    """Golden files that belong to no case and table."""
    from assay.golden.pending import orphaned

    return tuple(map(shown, orphaned(read_cases(project.golden), None)))


def golden_gaps(project: Project) -> str:
    """What no case shows, as text; empty if coverage is whole. Cases that ran in this process are not run again."""
    from assay.golden.coverage import coverage, gaps
    from assay.golden.result import GoldenResult

    fits(project)
    result = GoldenResult(tuple(_run(project, case.name) for case in read_cases(project.golden)))
    return unstyled("\n".join(gaps(coverage(project.graph, result, project.golden))))


@lru_cache(maxsize=256)
def _run(project: Project, case: str) -> CaseResult:
    from assay.golden.runner import run_case

    (found,) = read_cases(project.golden, [case])
    return run_case(project, found)
