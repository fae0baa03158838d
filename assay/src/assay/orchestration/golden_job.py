"""The golden cases in Dagster: blocking asset checks, and the job `golden` that runs them.

A case is an asset of its own, `golden/<case>`, that nothing materializes; each table under test is a check of it.
The checks do not hang on the tables: whoever materializes a table in the UI also runs the checks of its asset,
and production must not wait for tests. The cases run in an in-memory dry run of their own, so the catalog's
history stays true, and a difference fails the job.
"""

# No `from __future__ import annotations` here: Dagster compares the annotation of `context` by identity.
import warnings
from collections.abc import Iterator
from typing import Any

import dagster as dg

from assay.errors import GoldenError
from assay.golden.case import Case, case_folders, read_case
from assay.golden.result import CaseResult, TableResult
from assay.golden.text import headline, plain
from assay.project import Project

JOB = "golden"
GROUP = "golden"
"""The group, and the first part of the key, of the cases' assets."""
TREE = "all_cases_are_readable"
"""The check of the tree as a whole, on the asset `golden`."""


def golden_definitions(project: Project) -> dg.Definitions:
    """A blocking check per case and table, one of the tree itself, and the job that runs all of them."""
    cases = _readable_cases(project)
    root = dg.AssetSpec(GROUP, group_name=GROUP, description="The golden cases: expected input, expected output.")
    specs = [
        dg.AssetSpec(_key(case), group_name=GROUP, description=case.description, owners=None, kinds={"yaml"})
        for case in cases
    ]
    return dg.Definitions(
        assets=[root, *specs],
        asset_checks=[*(_case_checks(project, case) for case in cases), _tree_check(project)],
        jobs=[golden_job(project)],
    )


def golden_job(project: Project) -> Any:
    """The job `golden`: every golden check, no asset."""
    keys = [dg.AssetCheckKey(_key(case), table) for case in _readable_cases(project) for table in case.subjects]
    return dg.define_asset_job(
        JOB,
        dg.AssetSelection.checks(*keys, dg.AssetCheckKey(dg.AssetKey(GROUP), TREE)),
        description="Runs the golden cases: expected input, expected output, the real code in between.",
        executor_def=dg.in_process_executor,
    )


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


def _key(case: Case) -> dg.AssetKey:
    return dg.AssetKey([GROUP, case.name])


def _case_checks(project: Project, case: Case) -> dg.AssetChecksDefinition:
    specs = [
        dg.AssetCheckSpec(table, asset=_key(case), blocking=True, description=f"Whether {table} comes out as expected.")
        for table in case.subjects
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)

        @dg.multi_asset_check(name=f"{GROUP}_{case.name}".replace("-", "_"), specs=specs, can_subset=True)
        def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
            from assay.golden.run import run_case

            wanted = {key.name for key in context.selected_asset_check_keys}
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
        asset=GROUP,
        name=TREE,
        blocking=True,
        description="Every golden case can be read, and no golden file is left over.",
    )
    def tree() -> dg.AssetCheckResult:
        from assay.golden.case import check_case, read_cases
        from assay.golden.pending import orphaned
        from assay.golden.yaml_file import shown

        try:
            cases = read_cases(project.golden)
            for case in cases:
                check_case(case, project.graph)
        except GoldenError as error:
            return dg.AssetCheckResult(passed=False, description=str(error), metadata={"problem": str(error)})
        orphans = list(map(shown, orphaned(cases, None)))
        text = f"no case has these under test: {', '.join(orphans)}" if orphans else f"{len(cases)} cases"
        return dg.AssetCheckResult(passed=not orphans, description=text, metadata={"cases": len(cases)})

    return tree


def _result(case: Case, table: TableResult, result: CaseResult) -> dg.AssetCheckResult:
    metadata: dict[str, Any] = {"case": case.name, "result": table.status, "seconds": round(table.seconds, 3)}
    if table.status != "equal":
        metadata["what differs"] = headline(table)
        metadata["difference"] = dg.MetadataValue.md(f"```text\n{plain(table, result)}\n```")
        metadata["to review and accept"] = f"pipeline golden {table.address}"
    return dg.AssetCheckResult(
        passed=table.status == "equal",
        asset_key=_key(case),
        check_name=table.table,
        severity=dg.AssetCheckSeverity.ERROR,
        description=headline(table),
        metadata=metadata,
    )
