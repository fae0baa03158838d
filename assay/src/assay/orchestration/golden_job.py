"""The golden cases in Dagster: one asset `golden` with a check for each case and table, and the job that runs them.

Nothing materializes the asset, so its checks alone say whether it is green. They do not hang on the tables: whoever
materializes a table in the UI also runs the checks of its asset, and production must not wait for tests. The cases run
in an in-memory dry run of their own, so the catalog's history stays true, and a difference fails the job.
"""

# No `from __future__ import annotations` here: Dagster compares the annotation of `context` by identity.
import itertools
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from assay.compare.model import RowSample
from assay.compare.text import visible
from assay.errors import GoldenError
from assay.golden.case import Case, case_folders, check_case, read_case, read_cases
from assay.golden.pending import orphaned
from assay.golden.result import CaseResult, TableResult
from assay.golden.runner import run_case
from assay.golden.text import headline, plain
from assay.golden.yaml_file import shown
from assay.orchestration.metadata import text_table
from assay.orchestration.origin import sign
from assay.orchestration.processes import claim
from assay.project import Project

Values = Mapping[str, str | None]

JOB = "golden"
GOLDEN = "golden"
"""The asset of all cases, and its group."""
TREE = "all_cases_are_readable"
"""The check of the tree as a whole."""
FIRST_LINES = 40
"""So many lines of a difference stand in the check's own description, which the page shows first."""
SHOWN = 50
"""So many rows of a difference stand in the table of a red check."""


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
    found = []
    for folder in case_folders(project.golden):
        try:
            case = read_case(folder)
        except GoldenError:
            continue
        if all(table in project.graph.tables for table in case.subjects):
            found.append(case)
    return found


def check_name(case: Case, table: str) -> str:
    """The check of a case's table: `the_ordinary_week__purchases` of the case `the-ordinary-week`."""
    return f"{case.name.replace('-', '_')}__{table}"


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
    specs = [
        dg.AssetCheckSpec(check_name(case, table), asset=GOLDEN, description=f"{table}: {case.description}{ask}")
        for table in case.subjects
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)

        @dg.multi_asset_check(name=f"{GOLDEN}_{case.name}".replace("-", "_"), specs=specs, can_subset=True)
        def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
            claim(context.instance, context.run)
            sign(context.instance, context.run, project.root)
            wanted = {key.name for key in context.selected_asset_check_keys}
            subjects = [table for table in case.subjects if check_name(case, table) in wanted]
            result = run_case(project, read_case(case.folder), subjects)
            if result.error:
                told = f"golden case {case.name} could not run: {result.error}"
                yield from (_unable(case, table, told, result.traceback) for table in subjects)
                raise dg.Failure(told, allow_retries=False)
            for table in result.tables:
                yield _result(case, table, result)
            if wrong := [table for table in result.tables if table.status != "equal"]:
                told = "; ".join(f"{table.address}: {headline(table)}" for table in wrong)
                raise dg.Failure(told, allow_retries=False)

    return check


def _tree_check(project: Project) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=GOLDEN,
        name=TREE,
        blocking=True,
        description="Every golden case can be read, and no golden file is left over.",
    )
    def tree() -> dg.AssetCheckResult:
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
    """The verdict; what differs stands in the first lines, as text and as rows."""
    lines = ["as expected" if table.status == "equal" else headline(table)]
    metadata: dict[str, Any] = {}
    if table.status != "equal":
        text = plain(table, result)
        # The page reads a description as Markdown, and shows a text in metadata without its line ends.
        lines += ["", "```text", *text.splitlines()[:FIRST_LINES], "```"]
        if rows := list(itertools.islice(_rows(table), SHOWN)):
            metadata["rows"] = text_table(rows)
        if len(text.splitlines()) > FIRST_LINES:
            metadata["all of it"] = dg.MetadataValue.md(f"```text\n{text}\n```")
        metadata["to review and accept"] = f"pipeline golden {table.address}"
    metadata |= {"case": case.name, "table": table.table, "seconds": round(table.seconds, 3)}
    if case.owner:
        metadata["ask"] = case.owner
    return dg.AssetCheckResult(
        passed=table.status == "equal",
        asset_key=dg.AssetKey(GOLDEN),
        check_name=check_name(case, table.table),
        severity=dg.AssetCheckSeverity.ERROR,
        description="\n".join(lines),
        metadata=metadata,
    )


def _unable(case: Case, table: str, told: str, traceback: str | None) -> dg.AssetCheckResult:
    """The verdict on a table of a case that could not run: the page of the check says why."""
    return dg.AssetCheckResult(
        passed=False,
        asset_key=dg.AssetKey(GOLDEN),
        check_name=check_name(case, table),
        severity=dg.AssetCheckSeverity.ERROR,
        description=told,
        metadata={"traceback": dg.MetadataValue.text(traceback)} if traceback else None,
    )


def _rows(table: TableResult) -> Iterator[dict[str, Any]]:
    """The rows that differ, one a changed value, as far as the comparison kept them."""
    for comparison in table.comparisons:
        found = comparison.difference
        if found is None:
            continue
        for change in found.changes:
            for cell in change.cells:
                yield _row(comparison.name, "changed", change.key, cell.column, cell.expected, cell.actual)
        for sample in found.only_expected:
            yield _row(comparison.name, "removed", sample.key, "", _others(sample), "")
        for sample in found.only_actual:
            yield _row(comparison.name, "added", sample.key, "", "", _others(sample))


def _others(sample: RowSample) -> str:
    return _joined({name: value for name, value in sample.values.items() if name not in sample.key})


def _row(golden: str, what: str, key: Values, column: str, expected: str | None, actual: str | None) -> dict[str, Any]:
    return {
        "golden": golden,
        "what": what,
        "key": _joined(key),
        "column": column,
        "expected": visible(expected),
        "actual": visible(actual),
    }


def _joined(values: Values) -> str:
    return ", ".join(f"{name}={visible(value)}" for name, value in values.items())
