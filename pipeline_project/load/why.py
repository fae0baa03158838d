"""`pipeline why HOUSEHOLD CAMPAIGN`: one prediction, explained by what each feature added to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from assay.errors import PipelineError, WarehouseError
from pipeline_project.load.page import words

if TYPE_CHECKING:
    from assay.project import Project
    from assay.warehouse.session import Session

KEYS = ("household_id", "campaign_id")
WIDEST_BAR, WIDEST_NAME = 18, 30
"""In characters; with its three numbers a line has eighty."""


@click.command()
@click.argument("household", type=int)
@click.argument("campaign", type=int)
@click.pass_obj
def why(project: Project, household: int, campaign: int) -> None:
    """Explain how likely HOUSEHOLD was to redeem a coupon of CAMPAIGN, and why.

    Each line adds its part to the margin, the log odds of the probability; together they are exactly the margin.
    """
    from assay.warehouse.warehouse import DuckDBWarehouse

    settings = project.settings()
    if not settings.warehouse.exists():
        raise WarehouseError("there is no warehouse yet", where=str(settings.warehouse), fix="Run the pipeline first.")
    with DuckDBWarehouse.of(settings).session() as session:
        score = find_score(session, project, household, campaign)
        features = rows_of(session, project, "redemption_features", household, campaign)[0]
        parts = rows_of(session, project, "redemption_contributions", household, campaign)
    for line in explanation(score, features, parts):
        click.echo(line)


def find_score(session: Session, project: Project, household: int, campaign: int) -> dict[str, Any]:
    """The prediction; raises PipelineError saying which of the two keys is unknown."""
    found = rows_of(session, project, "redemption_scores", household, campaign)
    if found:
        return found[0]
    scores = session.read(project.graph.tables["redemption_scores"])
    known = {
        key: bool(scores.filter(scores[key] == value).limit(1).count().execute())
        for key, value in zip(KEYS, (household, campaign))
    }
    if not known["household_id"]:
        what, fix = f"no prediction for household {household}", "No campaign was sent to it, or the number is wrong."
    elif not known["campaign_id"]:
        what, fix = f"no prediction for campaign {campaign}", "It was sent to nobody, or the number is wrong."
    else:
        what, fix = f"campaign {campaign} was not sent to household {household}", "Ask for one that was."
    raise PipelineError(what, fix=fix)


def rows_of(session: Session, project: Project, table: str, household: int, campaign: int) -> list[dict[str, Any]]:
    """The rows of one household and campaign."""
    rows = session.read(project.graph.tables[table])
    found = rows.filter((rows.household_id == household) & (rows.campaign_id == campaign))
    result: list[dict[str, Any]] = found.to_pyarrow().to_pylist()
    return result


def explanation(score: dict[str, Any], features: dict[str, Any], parts: list[dict[str, Any]]) -> list[str]:
    """The lines to print, the strongest contribution first, the intercept last."""
    strongest = max((abs(part["contribution"]) for part in parts), default=0.0) or 1.0
    who = f"household {score['household_id']}, campaign {score['campaign_id']}"
    outcome = "redeemed" if score["has_redeemed"] else "did not redeem"
    lines = [
        f"{who} ({features['start_date']} to {features['end_date']})",
        f"probability {score['probability']:.1%}, margin {score['margin']:+.4f}; it {outcome}",
        f"model {score['model_hash']}, split {score['split']}",
        "",
        f"{'feature':<{WIDEST_NAME}}{'value':>10}{'std dev':>10}{'adds':>10}",
    ]
    for part in sorted(parts, key=lambda part: (part["feature"] == "intercept", -abs(part["contribution"]))):
        raw = features.get(part["feature"])
        value, deviation = ("", "") if raw is None else (f"{raw:.2f}", f"{part['value']:+.2f}")
        length = round(abs(part["contribution"]) / strongest * WIDEST_BAR)
        bar = ("+" if part["contribution"] >= 0 else "-") * length
        lines.append(
            f"{words.feature(part['feature']):<{WIDEST_NAME}}{value:>10}{deviation:>10}{part['contribution']:>+10.4f}  {bar}".rstrip()
        )
    total = sum(part["contribution"] for part in parts)
    return [*lines, f"{'margin':<{WIDEST_NAME}}{'':>20}{total:>+10.4f}"]
