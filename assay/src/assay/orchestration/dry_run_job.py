"""The `dry_run` job: the plan in Dagster's UI. It records a run with the plan as metadata, and no materialization."""

# Dagster looks at the op's annotations as they are; as texts it would not know them.
import dagster as dg

from assay.project import Project
from assay.tables.nodes import MAY_SHRINK

DRY_RUN = "dry_run"


class DryRunConfig(dg.Config):
    """What to plan; the defaults plan everything that calls for a build."""

    tables: list[str] = []
    partition: str | None = None
    removed_limit: float = MAY_SHRINK


def dry_run_job(project: Project) -> dg.JobDefinition:
    """The job that plans `project` from the UI, or by `dagster job execute -j dry_run`.

    The run fails where the plan's exit code is 1 or 3; changes alone are a success.
    """

    @dg.op(name="plan", out=dg.Out(dg.Nothing), description="What a run would change; nothing real is written.")
    def plan(context: dg.OpExecutionContext, config: DryRunConfig) -> None:
        from assay.orchestration.dry_run_steps import make

        make(context, project, config.tables, config.partition, config.removed_limit)

    @dg.job(
        name=DRY_RUN,
        executor_def=dg.in_process_executor,
        description="What would a run change? Builds in front of the read-only warehouse and shows the difference.",
    )
    def job() -> None:
        plan()

    return job
