"""The page's sections about the business, as HTML."""

from __future__ import annotations

from html import escape

from assay import Run
from pipeline_project.load.page import charts
from pipeline_project.load.page.facts import Facts, Rows
from pipeline_project.load.page.text import count, money, table

METRICS = {
    "auc": ("AUC", "chance that a household that redeems ranks above one that does not; 0.5 is a coin"),
    "log_loss": ("log loss", "surprise at what happened; lower is better"),
    "brier": ("Brier score", "squared error of the probability; lower is better"),
}


def headline(facts: Facts, run: Run) -> str:
    """The numbers a reader came for."""
    sales = sum(row["sales"] for row in facts.departments)
    redemptions = sum(row["redemptions"] for row in facts.campaigns)
    tiles = [
        ("Sales", money(sales), f"{count(sum(row['lines'] for row in facts.departments))} basket lines"),
        ("Campaigns", count(len(facts.campaigns)), "sent to households by mail"),
        ("Coupons redeemed", count(redemptions), "of all campaigns"),
    ]
    tested = next((row for row in facts.metrics if (row["split"], row["metric"]) == ("test", "auc")), None)
    if tested and tested["value"] is not None:
        tiles.append(("Model, AUC", f"{tested['value']:.3f}", f"on {count(tested['rows'])} unseen predictions"))
    checks = [check for found in run.publications for check in found.checks]
    if checks:
        passed = sum(check.passed for check in checks)
        tiles.append(("Checks passed", f"{passed} of {len(checks)}", f"over {len(run.publications)} tables"))
    cells = "".join(
        f'<div class="tile"><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(note)}</small></dd></div>'
        for name, value, note in tiles
    )
    return f'<dl class="tiles">{cells}</dl>'


def campaigns_section(facts: Facts) -> str:
    """Campaign performance."""
    figures = (
        charts.figure(
            "calendar",
            "When coupons come back",
            "Coupons redeemed per campaign and week; campaigns in the order of their first week.",
            charts.campaign_calendar,
            facts.calendar if any(row["redemptions"] for row in facts.calendar) else [],
            full=True,
        )
        + charts.figure(
            "response",
            "How well each campaign works",
            "Redeemed coupons per 100 households the campaign was sent to.",
            charts.campaign_response,
            facts.campaigns,
        )
        + charts.figure(
            "redeemed",
            "Where coupons are redeemed",
            "By the department most products of a coupon belong to; the twelve largest.",
            charts.redeemed_departments,
            facts.redeemed_departments,
        )
    )
    head = ["Campaign", "Households", "Redeemed", "Per 100", "Sales", "Sales, EUR", "Discounts"]
    body = [
        [
            str(row["campaign_id"]),
            count(row["households"]),
            count(row["redemptions"]),
            f"{row['per_hundred']:.1f}",
            money(row["sales"]),
            "€" + money(row["sales_eur"])[1:],
            money(row["discounts"]),
        ]
        for row in facts.campaigns
    ]
    numbers = table("Sales are what targeted households bought while the campaign ran.", head, body)
    return (
        '<section aria-labelledby="campaigns"><h2 id="campaigns">Campaigns</h2>'
        '<p class="note">What the households a campaign was sent to bought and redeemed while it ran.</p>'
        f'<div class="grid">{figures}<details class="card full"><summary>All campaigns in numbers</summary>'
        f"{numbers}</details></div></section>"
    )


def departments_section(facts: Facts) -> str:
    """Department sales."""
    figure = charts.figure(
        "weekly",
        "Sales by week",
        "Weeks begin on Monday, New York time. Week 1 is one day long: Sunday, January 1.",
        charts.weekly_sales,
        facts.weekly,
        full=True,
    )
    return (
        '<section aria-labelledby="departments"><h2 id="departments">Departments</h2>'
        '<p class="note">What each department sold, and how much of it was given away as discounts.</p>'
        f'<div class="grid">{figure}<div class="card full">{_departments(facts.departments)}</div></div></section>'
    )


def _departments(rows: Rows) -> str:
    total = sum(row["sales"] for row in rows) or 1.0
    weeks = [week for row in rows for week in row["weeks"]]
    first, last = (min(weeks), max(weeks)) if weeks else (0, 0)
    lines = []
    for row in rows[:12]:
        full = row["sales"] + row["discounts"]
        share = row["sales"] / total
        lines.append(
            f'<tr><th scope="row">{escape(row["department"])}</th><td class="n">{money(row["sales"])}</td>'
            f'<td class="n">{share:.1%}</td><td class="n optional">{(row["discounts"] / full if full else 0):.1%}</td>'
            f"<td>{sparkline(row, first, last)}</td></tr>"
        )
    head = (
        '<th scope="col">Department</th><th scope="col" class="n">Sales</th><th scope="col" class="n">Share</th>'
        '<th scope="col" class="n optional">Discount</th><th scope="col" class="trend">By week</th>'
    )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Departments in numbers"><table>'
        f"<caption>The twelve largest of {len(rows)} departments</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def sparkline(row: dict[str, object], first: int, last: int) -> str:
    """A department's weeks as a line without axes, a week without sales at zero."""
    found = dict(zip(row["weeks"], row["weekly"]))  # type: ignore[call-overload]
    values = [found.get(week, 0.0) for week in range(first, last + 1)]
    top = max(values, default=0.0) or 1.0
    step = 100 / max(len(values) - 1, 1)
    points = " ".join(f"{index * step:.1f},{27 - value / top * 25:.1f}" for index, value in enumerate(values))
    return (
        '<svg class="spark" viewBox="0 0 100 28" preserveAspectRatio="none" aria-hidden="true">'
        f'<polyline points="{points}" fill="none" stroke="#0b6e69" stroke-width="1.6" vector-effect="non-scaling-stroke"/>'
        "</svg>"
    )


def model_section(facts: Facts) -> str:
    """The model's quality, and what drives it."""
    body = []
    for row in facts.metrics:
        if row["value"] is None:
            continue
        name, meaning = METRICS[row["metric"]]
        interval = f"{row['low']:.3f} to {row['high']:.3f}" if row["low"] is not None else "none"
        baseline = f"{row['baseline']:.3f}" if row["baseline"] is not None else "none"
        body.append([f"{name}, {row['split']}", f"{row['value']:.3f}", interval, baseline, meaning])
    numbers = table(
        "The base rate is what predicting the same for everybody would reach.",
        ["Metric", "Value", "95% interval", "Base rate", "Meaning"],
        body,
        text=("Meaning",),
    )
    tested = next((row for row in facts.metrics if row["split"] == "test"), None)
    told = (
        f" Tested on {count(tested['rows'])} predictions, {count(tested['redeeming'])} of which came true."
        if tested
        else ""
    )
    figures = charts.figure(
        "calibration",
        "Can the probabilities be believed?",
        "Predictions on later campaigns in ten groups of equal size; on the dashed line, what was predicted happened.",
        charts.calibration,
        facts.calibration,
    ) + charts.figure(
        "drivers",
        "What drives a prediction",
        "The coefficients, strongest on average first: green raises the odds of redeeming, orange lowers them.",
        charts.drivers,
        facts.drivers,
    )
    return (
        '<section aria-labelledby="model"><h2 id="model">Who will redeem a coupon?</h2>'
        '<p class="note">A logistic regression on what was known of a household the day before a campaign began, '
        f"learned from earlier campaigns and tested on later ones.{told} "
        "<code>pipeline why HOUSEHOLD CAMPAIGN</code> explains a single prediction.</p>"
        f'<div class="grid">{figures}<div class="card full">{numbers}</div></div></section>'
    )
