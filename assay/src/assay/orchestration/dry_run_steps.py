"""What the step of the `dry_run` job does in a run: the plan, as a page of Dagster's shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg

from assay.errors import PipelineError
from assay.orchestration.origin import sign
from assay.orchestration.processes import claim
from assay.plan.model import Plan
from assay.plan.planner import make_plan
from assay.plan.text import full_name, headline, render
from assay.tables.partitions import PartitionRange
from assay.words import harmless

if TYPE_CHECKING:
    from assay.project import Project


def make(
    context: dg.OpExecutionContext, project: Project, tables: list[str], asked: str | None, removed_limit: float
) -> None:
    """Plan `tables` and log it; raises Failure where the plan's exit code is 1 or 3, or it cannot be made."""
    claim(context.instance, context.run)
    sign(context.instance, context.run, project.root)
    try:
        partition = PartitionRange.parse(asked) if asked else None
        made = make_plan(project, tables, partition=partition, removed_limit=removed_limit)
    except PipelineError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    context.log.info(harmless("\n".join([made.footer, *failures(made), *losses(made), "", render(made)])))
    if made.exit_code in (1, 3):
        told = harmless("\n".join([made.footer, *failures(made), *losses(made)]))
        raise dg.Failure(told, metadata=plan_metadata(made), allow_retries=False)
    context.add_output_metadata(plan_metadata(made))


def failures(plan: Plan) -> list[str]:
    """Which tables would fail and why, a line each."""
    return [
        f"FAILS {full_name(node)}: {told}"
        for node in plan.failed
        for told in [f"{check.name}: {check.summary}" for check in node.blocking] or [node.error or ""]
    ]


def losses(plan: Plan) -> list[str]:
    """What published data the plan would lose, a line each."""
    return [f"DESTRUCTIVE {full_name(node)}: {each.detail}" for node in plan.destructive for each in node.destructive]


def plan_metadata(plan: Plan) -> dict[str, Any]:
    """The plan as a step's metadata: the line, what is lost, the tables, the whole text and the proof."""
    found: dict[str, Any] = {"plan": plan.footer}
    if lost := losses(plan):
        found["destructive"] = dg.MetadataValue.text("; ".join(lost).replace("DESTRUCTIVE ", ""))
    records = [
        dg.TableRecord(
            {
                "table": full_name(node),
                "what": headline(node),
                "why": "; ".join(f"{reason.kind}: {reason.detail}" for reason in node.reasons) or (node.error or ""),
                "rows": "" if node.rows_after is None else f"{node.rows_before or 0:,} -> {node.rows_after:,}",
                **_counts(node.difference),
            }
        )
        for node in plan.nodes
        if node.action != "none"
    ]
    if records:
        names = ["table", "what", "why", "rows", "added", "removed", "changed"]
        found["tables"] = dg.TableMetadataValue(records, dg.TableSchema([dg.TableColumn(name) for name in names]))
    found["details"] = dg.MetadataValue.md(f"```text\n{harmless(render(plan))}\n```")
    found["proof"] = plan.proof
    return found


def _counts(difference: Any) -> dict[str, str]:
    names = ("added", "removed", "changed")
    return {name: "" if difference is None else f"{getattr(difference, name) or 0:,}" for name in names}
