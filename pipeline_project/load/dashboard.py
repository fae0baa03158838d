"""One page for people: both marts, the model, and the run that made it."""

from __future__ import annotations

from string import Template

from pandera.typing.ibis import Table

from assay import Run, export
from pipeline_project.load.campaign_performance import CampaignPerformance
from pipeline_project.load.department_weekly_sales import DepartmentWeeklySales
from pipeline_project.transform.campaigns import Campaigns
from pipeline_project.transform.purchases import Purchases
from pipeline_project.transform.redemption_contributions import RedemptionContributions
from pipeline_project.transform.redemption_model_metrics import RedemptionModelMetrics
from pipeline_project.transform.redemption_scores import RedemptionScores
from pipeline_project.transform.redemptions import Redemptions

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>Coupon campaigns and sales</title>
<style>$css</style>
</head>
<body>
<a class="skip" href="#campaigns">Skip to the charts</a>
<header>
<h1>Coupon campaigns and sales</h1>
$lead
<nav aria-label="Sections"><ul><li><a href="#campaigns">Campaigns</a></li><li><a href="#departments">Departments</a></li>
<li><a href="#model">Model</a></li><li><a href="#health">Health of this run</a></li></ul></nav>
$headline
</header>
<main>
$sections
</main>
<footer><p>Made $moment $checked The page is one file: it loads nothing and sends nothing. Purchases: The Complete
Journey. Exchange rates: European Central Bank reference rates.</p></footer>
</body>
</html>
""")


@export("dashboard.html", owner="team:marketing")
def dashboard(
    campaigns: Table[Campaigns],
    purchases: Table[Purchases],
    redemptions: Table[Redemptions],
    campaign_performance: Table[CampaignPerformance],
    department_weekly_sales: Table[DepartmentWeeklySales],
    redemption_model_metrics: Table[RedemptionModelMetrics],
    redemption_scores: Table[RedemptionScores],
    redemption_contributions: Table[RedemptionContributions],
    run: Run,
) -> str:
    """Self-contained: no script, no font, no request; to be mailed, archived or opened from a folder."""
    from pipeline_project.load.page import sections
    from pipeline_project.load.page.facts import facts
    from pipeline_project.load.page.health import checked, health_section
    from pipeline_project.load.page.style import CSS
    from pipeline_project.load.page.text import moment

    found = facts(
        campaigns,
        purchases,
        redemptions,
        campaign_performance,
        department_weekly_sales,
        redemption_model_metrics,
        redemption_scores,
        redemption_contributions,
    )
    parts = (
        sections.campaigns_section(found),
        sections.departments_section(found),
        sections.model_section(found),
        health_section(run, found.period.last),
    )
    return _PAGE.substitute(
        css=CSS,
        lead=sections.lead(found),
        headline=sections.headline(found, run),
        sections="\n".join(parts),
        moment=moment(run.now),
        checked=checked(run),
    )
