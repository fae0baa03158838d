"""The golden cases in Dagster: blocking asset checks, and the job `golden` that runs them.

The checks run the real tables on a case's inputs in an in-memory dry run of their own. They materialize nothing,
so the catalog's history stays true, and a difference fails the job.
"""

# No `from __future__ import annotations` here: Dagster compares the annotation of `context` by identity.
import warnings
from collections.abc import Iterator
from typing import Any

import dagster as dg

from pipeline_project.framework.errors import GoldenError
from pipeline_project.framework.golden.case import Case, case_folders, read_case
from pipeline_project.framework.golden.report.machine import headline, plain
from pipeline_project.framework.golden.result import CaseResult, TableResult
from pipeline_project.framework.project import Project

JOB = "golden"
PREFIX = "golden_"
"""Every golden check's name begins with it."""
TREE = "golden_cases_are_readable"


def golden_definitions(project: Project) -> dg.Definitions:
    """A blocking check per case and table, one of the tree itself, and the job that runs all of them."""
    checks = [_case_checks(project, case) for case in _readable_cases(project)]
    return dg.Definitions(asset_checks=[*checks, _tree_check(project)], jobs=[golden_job(project)])


def golden_job(project: Project) -> Any:
    """The job `golden`: every golden check, no asset."""
    return dg.define_asset_job(
        JOB,
        golden_selection(project),
        description="Runs the golden cases: expected input, expected output, the real code in between.",
        executor_def=dg.in_process_executor,
    )


def golden_selection(project: Project) -> dg.AssetSelection:
    """Every golden check; subtract it from a selection of assets, which otherwise brings their checks along."""
    keys = [_key(case, table) for case in _readable_cases(project) for table in case.subjects]
    return dg.AssetSelection.checks(*keys, dg.AssetCheckKey(dg.AssetKey(_first(project)), TREE))


def _readable_cases(project: Project) -> list[Case]:
    """All cases but those that cannot be read: the code location still loads, and the check of the tree fails."""
    found = []
    for folder in case_folders(project.golden):
        try:
            case = read_case(folder)
        except GoldenError:
            continue
        if all(table in project.graph.tables for table in case.subjects):
            found.append(case)
    return found


def _key(case: Case, table: str) -> dg.AssetCheckKey:
    return dg.AssetCheckKey(dg.AssetKey(table), f"{PREFIX}{case.name}".replace("-", "_"))


def _case_checks(project: Project, case: Case) -> dg.AssetChecksDefinition:
    specs = [
        dg.AssetCheckSpec(
            _key(case, table).name, asset=table, blocking=True, description=f"Golden case: {case.description}"
        )
        for table in case.subjects
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)

        @dg.multi_asset_check(name=f"{PREFIX}{case.name}".replace("-", "_"), specs=specs, can_subset=True)
        def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
            from pipeline_project.framework.golden.run import run_case

            wanted = {key.asset_key.to_user_string() for key in context.selected_asset_check_keys}
            subjects = [table for table in case.subjects if table in wanted]
            result = run_case(project, read_case(case.folder), subjects)
            if result.error:
                raise dg.Failure(
                    f"golden case {case.name} could not run: {result.error}",
                    metadata={"traceback": dg.MetadataValue.text(result.traceback or "")},
                    allow_retries=False,
                )
            for table in result.tables:
                yield _result(case, table, result)

    return check


def _tree_check(project: Project) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=_first(project),
        name=TREE,
        blocking=True,
        description="Every golden case can be read, and no golden file is left over.",
    )
    def tree() -> dg.AssetCheckResult:
        from pipeline_project.framework.golden.case import check_case, read_cases
        from pipeline_project.framework.golden.orphans import find_orphans

        try:
            cases = read_cases(project.golden)
            for case in cases:
                check_case(case, project.graph)
        except GoldenError as error:
            return dg.AssetCheckResult(passed=False, description=str(error), metadata={"problem": str(error)})
        orphans = find_orphans(project.golden, cases, None)
        text = f"no case has these under test: {', '.join(orphans)}" if orphans else f"{len(cases)} cases"
        return dg.AssetCheckResult(passed=not orphans, description=text, metadata={"cases": len(cases)})

    return tree


def _first(project: Project) -> str:
    """The asset that carries the check of the tree."""
    return next(iter(project.graph.nodes))


def _result(case: Case, table: TableResult, result: CaseResult) -> dg.AssetCheckResult:
    key = _key(case, table.table)
    metadata: dict[str, Any] = {"case": case.name, "result": table.status, "seconds": round(table.seconds, 3)}
    if table.status != "equal":
        metadata["what differs"] = headline(table)
        metadata["difference"] = dg.MetadataValue.md(f"```text\n{plain(table, result)}\n```")
        metadata["to review and accept"] = f"pipeline golden {table.address}"
    return dg.AssetCheckResult(
        passed=table.status == "equal",
        asset_key=key.asset_key,
        check_name=key.name,
        severity=dg.AssetCheckSeverity.ERROR,
        description=headline(table),
        metadata=metadata,
    )
