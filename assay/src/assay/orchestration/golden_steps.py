"""What a golden case's step does in a run: the case runs, and what it found becomes the verdicts of its checks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from assay.compare.model import RowSample
from assay.compare.text import visible
from assay.errors import GoldenError
from assay.golden.case import Case, check_case, read_case, read_cases
from assay.golden.pending import orphaned
from assay.golden.result import CaseResult, TableResult
from assay.golden.runner import run_case
from assay.golden.text import headline, plain
from assay.golden.yaml_file import shown
from assay.orchestration.metadata import text_table
from assay.orchestration.origin import sign
from assay.orchestration.processes import claim

if TYPE_CHECKING:
    from assay.project import Project

Values = Mapping[str, str | None]

FIRST_LINES = 40
"""So many lines of a difference stand in the check's own description, which the page shows first."""
SHOWN = 50
"""So many rows of a difference stand in the table of a red check."""


def judge(
    context: dg.AssetCheckExecutionContext, project: Project, case: Case, keys: Mapping[str, dg.AssetCheckKey]
) -> Iterator[dg.AssetCheckResult]:
    """The verdicts on a case's tables that are asked for; raises Failure where one is not as expected.

    Args:
        keys: the check of each table.
    """
    claim(context.instance, context.run)
    sign(context.instance, context.run, project.root)
    subjects = [table for table, key in keys.items() if key in context.selected_asset_check_keys]
    result = run_case(project, read_case(case.folder), subjects)
    if result.error:
        told = f"golden case {case.name} could not run: {result.error}"
        yield from (_unable(keys[table], told, result.traceback) for table in subjects)
        raise dg.Failure(told, allow_retries=False)
    for table in result.tables:
        yield _result(case, keys[table.table], table, result)
    if wrong := [table for table in result.tables if table.status != "equal"]:
        told = "; ".join(f"{table.address}: {headline(table)}" for table in wrong)
        raise dg.Failure(told, allow_retries=False)


def judge_tree(project: Project) -> dg.AssetCheckResult:
    """The verdict on the tree as a whole."""
    try:
        cases = read_cases(project.golden)
        for case in cases:
            check_case(case, project.graph)
    except GoldenError as error:
        return dg.AssetCheckResult(passed=False, description=str(error), metadata={"problem": str(error)})
    orphans = list(map(shown, orphaned(cases, None)))
    text = f"no case has these under test: {', '.join(orphans)}" if orphans else f"{len(cases)} cases"
    return dg.AssetCheckResult(passed=not orphans, description=text, metadata={"cases": len(cases)})


def _result(case: Case, key: dg.AssetCheckKey, table: TableResult, result: CaseResult) -> dg.AssetCheckResult:
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
        asset_key=key.asset_key,
        check_name=key.name,
        severity=dg.AssetCheckSeverity.ERROR,
        description="\n".join(lines),
        metadata=metadata,
    )


def _unable(key: dg.AssetCheckKey, told: str, traceback: str | None) -> dg.AssetCheckResult:
    """The verdict on a table of a case that could not run: the page of the check says why."""
    return dg.AssetCheckResult(
        passed=False,
        asset_key=key.asset_key,
        check_name=key.name,
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
