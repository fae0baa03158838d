"""The plan's page says nothing but what the plan says, whatever its texts hold."""

from __future__ import annotations

import duckdb

from assay.compare.engine import compare
from assay.plan.model import CheckShift, Destructive, MetricShift, NodePlan, Plan, Reason
from assay.report.plan_page import render_page

EVIL = "<script>alert(1)</script>\x1b[31m\u202e'\"&"
SHOWN = "&lt;script&gt;alert(1)&lt;/script&gt;\\u001b[31m\\u202e&#39;&#34;&amp;"


def test_no_text_breaks_out_of_the_page_and_what_hides_is_shown() -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS id, $1 AS x UNION ALL SELECT 2, $1", [EVIL])
        changed = compare(connection, "SELECT 1 AS id, 'a' AS x UNION ALL SELECT 3, 'c'", "FROM t", key=["id"])
        retyped = compare(connection, f"SELECT 1 AS id, 'a' AS \"{EVIL.replace(chr(34), '')}\"", "FROM t", key=["id"])
    node = NodePlan(
        name="orders",
        stage="transform",
        action="replace",
        reasons=(Reason("code", EVIL),),
        destructive=(Destructive("emptied", EVIL),),
        difference=changed,
        rows_before=2,
        rows_after=2,
        shifts=(MetricShift(EVIL, "sum", EVIL, None),),
        checks=(CheckShift(EVIL, "error", "passed", "failed", EVIL, (EVIL,)),),
        rejects_after=1_000,
        data_version="1",
    )
    failed = NodePlan(name=EVIL, stage="load", action="fail", error=EVIL)
    other = NodePlan(name="other", stage="load", action="create", difference=retyped, data_version="1")
    page = render_page(
        Plan(
            project=EVIL,
            created_at=EVIL,
            warehouse=EVIL,
            environment=EVIL,
            targets=(EVIL,),
            partition=EVIL,
            nodes=(node, failed, other),
            not_in_plan=(EVIL,),
            orphans=(EVIL,),
            not_simulated=(EVIL,),
            proof=EVIL,
        )
    )
    assert "<script" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert page.count(SHOWN) >= 15
    assert '<p class="proof mono bad">' in page
    assert "0 → 1,000 rejected rows" in page
    assert "passed</td>" in page
