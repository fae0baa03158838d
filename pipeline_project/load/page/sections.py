"""The page's sections about the business, as HTML."""

from __future__ import annotations

from functools import partial
from html import escape

from assay import Run
from assay.tables.results import CheckResult
from pipeline_project.load.page import campaign_charts, charts, words
from pipeline_project.load.page.campaigns import by_redemptions, finding
from pipeline_project.load.page.drawing import figure
from pipeline_project.load.page.facts import Facts, Rows
from pipeline_project.load.page.text import count, date, money, table

METRICS = {
    "auc": ("AUC", "chance that a household that redeems ranks above one that does not; 0.5 is a coin"),
    "log_loss": ("Log loss", "surprise at what happened; lower is better"),
    "brier": ("Brier score", "squared error of the probability; lower is better"),
}


MOST = 12
"""How many departments are shown, of charts and tables that show the largest."""


def lead(facts: Facts) -> str:
    """What the page found, if anything, and then what it is about."""
    first, *more = finding(facts.campaigns) or [""]
    found = f'<p class="finding">{escape(first)}</p>' if first else ""
    first_day, last_day = facts.period.first, facts.period.last
    days = f" from {date(first_day)} to {date(last_day)}" if first_day and last_day else ""
    about = (
        f"This page is about a grocery chain{days}: what households bought, which coupons brought them back, and which "
        "household will redeem the next one."
    )
    return f'{found}<p class="lead">{escape(" ".join([*more, about]))}</p>'


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
    checks = [check for found in run.publications for check in found.checks if not check.learning]
    if checks:
        passed = sum(check.passed for check in checks)
        tiles.append(("Checks passed", f"{passed} of {len(checks)}", _others(checks, len(run.publications))))
    cells = "".join(
        f'<div class="tile"><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(note)}</small></dd></div>'
        for name, value, note in tiles
    )
    return f'<dl class="tiles">{cells}</dl>'


def _others(checks: list[CheckResult], tables: int) -> str:
    """What of the checks that did not pass."""
    stopped = sum(check.blocks for check in checks)
    warned = sum(not check.passed for check in checks) - stopped
    if stopped:
        return f"{stopped} stopped a table"
    if warned:
        return "the other one only warns" if warned == 1 else f"the other {warned} only warn"
    return f"over {tables} tables"


def campaigns_section(facts: Facts) -> str:
    """Campaign performance."""
    shown = facts.redeemed_departments[:MOST]
    figures = (
        figure(
            "calendar",
            "When coupons come back",
            "Coupons redeemed per campaign and week, campaigns in the order they began; the band behind is when one ran.",
            partial(campaign_charts.campaign_calendar, campaigns=facts.campaigns, period=facts.period),
            campaign_charts.calendar_rows(facts.calendar, facts.campaigns, facts.period),
            full=True,
        )
        + figure(
            "response",
            "How well each campaign works",
            "Share of the households it was sent to that redeemed at least one coupon, and how sure that is."
            + _cut_campaigns(facts),
            campaign_charts.campaign_response,
            campaign_charts.response_rows(facts.campaigns),
        )
        + figure(
            "redeemed",
            "Where coupons are redeemed",
            f"By the department most products of a coupon belong to; {largest(facts.redeemed_departments)}.",
            campaign_charts.redeemed_departments,
            [row | {"told": f"{row['department']}: {count(row['redemptions'])} coupons redeemed"} for row in shown],
        )
    )
    head = ["Campaign", "Type", "From", "To", "Households", "Redeeming", "95% interval", "Coupons", "Per 100"]
    head += ["Sales", "Sales, EUR", "Discounts"]
    body = [
        [
            f"{row['campaign_id']}{' *' if row['missing'] else ''}",
            row["campaign_type"],
            f"{row['start_date']}",
            f"{row['end_date']}",
            count(row["households"]),
            f"{row['share']:.1%}",
            f"{row['low']:.1%} to {row['high']:.1%}",
            count(row["redemptions"]),
            f"{row['per_hundred']:.1f}",
            money(row["sales"]),
            "€" + money(row["sales_eur"])[1:],
            money(row["discounts"]),
        ]
        for kind in by_redemptions(facts.campaigns)
        for row in facts.campaigns
        if row["campaign_type"] == kind
    ]
    told = "Sales are what targeted households bought while the campaign ran."
    if any(row["missing"] for row in facts.campaigns):
        told += " * The data has only a part of the campaign."
    numbers = table(told, head, body, text=("From", "To", "95% interval", "Sales, EUR"))
    return (
        '<section aria-labelledby="campaigns"><h2 id="campaigns">Campaigns</h2>'
        '<p class="note">What the households a campaign was sent to bought and redeemed while it ran.</p>'
        f'<div class="grid">{figures}<details class="card full"><summary>All campaigns in numbers</summary>'
        f"{numbers}</details></div></section>"
    )


def _cut_campaigns(facts: Facts) -> str:
    """Which campaigns the data shows only in part, and what follows for the chart."""
    cut = [row for row in facts.campaigns if row["missing"]]
    if not cut:
        return ""
    return (
        f" * Hollow: the data has only a part of {'this campaign' if len(cut) == 1 else f'these {len(cut)} campaigns'}, "
        "so more may have been redeemed; for a type they count only where it has no other."
    )


def largest(rows: Rows) -> str:
    return f"the {MOST} largest of {len(rows)}" if len(rows) > MOST else f"all {len(rows)}"


def departments_section(facts: Facts) -> str:
    """Department sales."""
    weekly = figure(
        "weekly",
        "Sales by week",
        "Weeks begin on Monday, New York time." + _cut_weeks(facts),
        charts.weekly_sales,
        facts.weekly,
        full=True,
    )
    return (
        '<section aria-labelledby="departments"><h2 id="departments">Departments</h2>'
        '<p class="note">What each department sold, and how much of it was given away as discounts.</p>'
        f'<div class="grid">{weekly}<div class="card full">{_departments(facts)}</div></div></section>'
    )


def _cut_weeks(facts: Facts) -> str:
    """Which weeks the lines over time leave out."""
    if not facts.cut_weeks:
        return ""
    told = " and ".join(
        f"week {row['week']} ({row['days']} of 7 days, from {date(row['week_starts_on'])})" for row in facts.cut_weeks
    )
    return f" Left out, as the data has only a part of it: {told}."


def _departments(facts: Facts) -> str:
    rows = facts.departments
    total = sum(row["sales"] for row in rows) or 1.0
    partial_weeks = {row["week"] for row in facts.cut_weeks}
    weeks = [week for row in rows for week in row["weeks"] if week not in partial_weeks]
    first, last = (min(weeks), max(weeks)) if weeks else (0, 0)
    lines = []
    for row in rows[:MOST]:
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
        f"<caption>Departments by sales, {largest(rows)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def sparkline(row: dict[str, object], first: int, last: int) -> str:
    """A department's weeks as a line without axes, a week without sales at zero."""
    found = dict(zip(row["weeks"], row["weekly"]))  # type: ignore[call-overload]
    values = [found.get(week, 0.0) for week in range(first, last + 1)]
    top = max(values, default=0.0) or 1.0
    told = f"{row['department']}: {money(min(values))} to {money(max(values))} a week"
    step = 100 / max(len(values) - 1, 1)
    points = " ".join(f"{index * step:.1f},{27 - value / top * 25:.1f}" for index, value in enumerate(values))
    return (
        '<svg class="spark" viewBox="0 0 100 28" preserveAspectRatio="none" aria-hidden="true">'
        f"<title>{escape(told)}</title>"
        f'<polyline points="{points}" fill="none" stroke="var(--accent)" stroke-width="1.6" vector-effect="non-scaling-stroke"/>'
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
        body.append([f"{name}, {words.split(row['split'])}", f"{row['value']:.3f}", interval, baseline, meaning])
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
    figures = figure(
        "calibration",
        "Can the probabilities be believed?",
        "Predictions on later campaigns in ten groups of equal size; on the dashed line, what was predicted happened.",
        charts.calibration,
        charts.calibration_rows(facts.calibration),
    ) + figure(
        "drivers",
        "What drives a prediction",
        "What one standard deviation more of it adds to the log odds of redeeming, strongest on average first: green raises "
        "them, orange lowers them.",
        charts.drivers,
        charts.driver_rows(facts.drivers),
    )
    return (
        '<section aria-labelledby="model"><h2 id="model">Who will redeem a coupon?</h2>'
        '<p class="note">A logistic regression on what was known of a household the day before a campaign began, '
        f"learned from earlier campaigns and tested on later ones.{told} "
        "<code>pipeline why HOUSEHOLD CAMPAIGN</code> explains a single prediction.</p>"
        f'<div class="grid">{figures}<div class="card full">{numbers}</div></div></section>'
    )
