"""The golden cases in Dagster: one asset `golden` with a check for each case and table, and the job that runs them.

Nothing materializes the asset, so its checks alone say whether it is green. They do not hang on the tables: whoever
materializes a table in the UI also runs the checks of its asset, and production must not wait for tests. The cases run
in an in-memory dry run of their own, so the catalog's history stays true, and a difference fails the job.
"""

# No `from __future__ import annotations` here: Dagster compares the annotation of `context` by identity.
import re
import warnings
from collections.abc import Iterator
from typing import Any

import dagster as dg

from assay.errors import GoldenError
from assay.golden.case import Case, case_folders, check_prefix, read_case
from assay.project import Project

JOB = "golden"
GOLDEN = "golden"
"""The asset of all cases, and its group."""
TREE = "all_cases_are_readable"
"""The check of the tree as a whole."""


def golden_definitions(project: Project) -> dg.Definitions:
    """The asset, a check per case and table, one of the tree itself, and the job that runs all of them."""
    cases = _readable_cases(project)
    spec = dg.AssetSpec(GOLDEN, group_name=GOLDEN, description=_described(cases), owners=_owners(cases), kinds={"yaml"})
    return dg.Definitions(
        assets=[spec],
        asset_checks=[*(_case_checks(project, case) for case in cases), _tree_check(project)],
        jobs=[_golden_job(cases)],
    )


def _golden_job(cases: list[Case]) -> Any:
    """The job `golden`: every golden check, no asset."""
    keys = [_key(case, table) for case in cases for table in case.subjects]
    return dg.define_asset_job(
        JOB,
        dg.AssetSelection.checks(*keys, dg.AssetCheckKey(dg.AssetKey(GOLDEN), TREE)),
        description="Runs the golden cases: expected input, expected output, the real code in between.",
        executor_def=dg.in_process_executor,
    )


def _readable_cases(project: Project) -> list[Case]:
    """All cases but those that cannot be read: the code location still loads, and the check of the tree fails."""
    found: list[Case] = []
    for folder in case_folders(project.golden):
        if any(check_prefix(folder.name) == check_prefix(case.name) for case in found):
            continue  # which the tree's check tells
        try:
            case = read_case(folder)
        except GoldenError:
            continue
        if all(table in project.graph.tables for table in case.subjects):
            found.append(case)
    return found


def check_name(case: Case, table: str) -> str:
    """The check of a case's table: `the_ordinary_week__purchases` of the case `the-ordinary-week`."""
    return f"{check_prefix(case.name)}__{table}"


def _key(case: Case, table: str) -> dg.AssetCheckKey:
    return dg.AssetCheckKey(dg.AssetKey(GOLDEN), check_name(case, table))


def _described(cases: list[Case]) -> str:
    lines = [f"- **{case.name}**{f' ({case.owner})' if case.owner else ''}: {case.description}" for case in cases]
    return "\n".join(["The golden cases: expected input, expected output, the real code in between.", "", *lines])


def _owners(cases: list[Case]) -> list[str]:
    """The cases' owners that Dagster takes: `team:name` or an e-mail address; the description has all of them."""
    found = sorted({case.owner for case in cases if case.owner})
    return [owner for owner in found if re.fullmatch(r"team:[\w-]+|[^\s@:]+@[^\s@:]+\.[^\s@:]+", owner)]


def _case_checks(project: Project, case: Case) -> dg.AssetChecksDefinition:
    ask = f" Ask {case.owner}." if case.owner else ""
    keys = {table: _key(case, table) for table in case.subjects}
    specs = [
        dg.AssetCheckSpec(key.name, asset=GOLDEN, description=f"{table}: {case.description}{ask}")
        for table, key in keys.items()
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)

        @dg.multi_asset_check(name=f"{GOLDEN}_{check_prefix(case.name)}", specs=specs, can_subset=True)
        def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
            from assay.orchestration.golden_steps import judge

            yield from judge(context, project, case, keys)

    return check


def _tree_check(project: Project) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=GOLDEN,
        name=TREE,
        blocking=True,
        description="Every golden case can be read, and no golden file is left over.",
    )
    def tree() -> dg.AssetCheckResult:
        from assay.orchestration.golden_steps import judge_tree

        return judge_tree(project)

    return tree
