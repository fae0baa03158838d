"""The `dry_run` job: the plan as a run's metadata, nothing materialized, nothing written."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from assay.orchestration.dry_run_job import dry_run_job
from assay.orchestration.processes import process_tag
from tests.plan.sample import ROWS, Sample


def run(sample: Sample, **config: Any) -> tuple[dg.ExecuteInProcessResult, dict[str, Any]]:
    with dg.DagsterInstance.ephemeral() as instance:
        result = dry_run_job(sample.project()).execute_in_process(
            instance=instance, raise_on_error=False, run_config={"ops": {"plan": {"config": config}}}
        )
        assert instance.all_asset_keys() == []
        recorded = instance.get_run_by_id(result.run_id)
        assert recorded is not None
        assert process_tag(result.run_id)
        assert recorded.tags.items() >= process_tag(result.run_id).items(), "its death would not be noticed"
        metadata: dict[str, Any] = {}
        for event in result.all_events:
            if event.is_successful_output:
                metadata = dict(event.step_output_data.metadata)
            elif event.is_step_failure and event.step_failure_data.user_failure_data:
                metadata = dict(event.step_failure_data.user_failure_data.metadata)
        metadata = {name: value.value for name, value in metadata.items()}
    return result, metadata


@pytest.fixture(autouse=True)
def nothing_is_written(built: Sample) -> Any:
    before = built.warehouse.read_bytes()
    yield
    assert built.warehouse.read_bytes() == before


def test_the_plan_is_the_runs_metadata(built: Sample) -> None:
    built.edit("load/sales.py", "_.amount.sum()", "(_.amount.sum() + 1)")
    result, metadata = run(built)
    assert result.success
    assert metadata["plan"] == "Plan: 2 tables change, 3 unchanged"
    assert metadata["proof"].startswith("Proof: nothing written.")
    assert "~ load.sales  is replaced" in metadata["details"]


def test_tables_and_partition_are_the_runs_configuration(built: Sample) -> None:
    result, metadata = run(built, tables=["orders"], partition="2024-01-01")
    assert result.success
    assert "only 2024-01-01" in metadata["details"]


def test_a_check_that_would_fail_fails_the_run_with_the_plan(built: Sample) -> None:
    built.rows([*ROWS, (5, "eve", -1, "2024-01-04"), (6, "fay", -2, "2024-01-04")])
    result, metadata = run(built)
    assert not result.success
    assert metadata["plan"].endswith("1 check would fail, 3 skipped")
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "FAILS " in str(failure.event_specific_data)
    assert "rows rejected, above the budget" in str(failure.event_specific_data)


def test_what_would_be_lost_stands_first(built: Sample) -> None:
    built.edit("transform/orders.py", 'preserves="raw_orders", ', "may_shrink=0.5, may_be_empty=True, ")
    built.edit("transform/orders.py", "raw_orders.mutate(amount=_.amount * 1)", "raw_orders.filter(_.order_id > 2)")
    _, metadata = run(built)
    assert list(metadata)[:2] == ["plan", "destructive"]
    assert "transform.orders: removes 2 of 4 rows" in metadata["destructive"]


def test_an_unknown_table_is_a_clear_failure(built: Sample) -> None:
    result, _ = run(built, tables=["sale"])
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "Did you mean sales" in str(failure.event_specific_data)
