"""Totals that differ are found, whichever side lacks what; sales are tested with their mart."""

from __future__ import annotations

import ibis

from assay.testing.bench import Bench, day
from pipeline_project.checks.marts_reconcile import differing, redemptions_are_counted_once


def test_groups_that_one_side_lacks_differ() -> None:
    found = ibis.memtable({"week": [1, 2, 3], "lines": [5, 5, 0]})
    truth = ibis.memtable({"week": [2, 4], "lines": [6, 7]})
    rows = differing(found, truth, "week", ("lines",)).order_by("week").execute()
    assert rows.to_dict("list") == {"week": [1, 2, 4], "lines": [5, 5, 0], "lines_expected": [0, 6, 7]}


def test_totals_that_agree_do_not_differ() -> None:
    rows = ibis.memtable({"week": [1, 2], "lines": [5, 6]})
    assert differing(rows, rows.mutate(other=1), "week", ("lines",)).count().execute() == 0


def test_redemptions_counted_twice_are_found(bench: Bench) -> None:
    bench.given("redemptions", {"event_id": "a", "campaign_id": 5, "redemption_date": day("2017-04-14")})
    bench.given("campaign_performance", *({"campaign_id": 5, "week": week, "redemptions": 1} for week in (1, 2)))
    read = {name: bench.session.read(bench.graph.tables[name]) for name in ("campaign_performance", "redemptions")}
    found = redemptions_are_counted_once.function(**read).execute()
    assert found.to_dict("records") == [{"campaign_id": 5, "redemptions": 2, "redemptions_expected": 1}]
