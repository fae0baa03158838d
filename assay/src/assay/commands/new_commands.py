"""`pipeline new-table` and `pipeline new-source`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.terminal import say

if TYPE_CHECKING:
    from assay.project import Project
    from assay.scaffold.start import Started

KINDS = ("csv", "ndjson", "parquet", "page", "api", "events", "rows", "excel", "dlt")

key_option = click.option("--key", multiple=True, metavar="COLUMN", help="No two rows share it; repeat for several.")


@click.command("new-table")
@click.argument("name")
@click.option("--stage", required=True, help="The folder it stands in, such as transform.")
@click.option("--from", "upstream", multiple=True, metavar="TABLE", help="A table it reads; repeat for several.")
@click.option("--expression", metavar="CODE", help="Ibis code over those tables; default: their columns, joined.")
@key_option
@click.pass_obj
def new_table(
    project: Project, name: str, stage: str, upstream: tuple[str, ...], expression: str | None, key: tuple[str, ...]
) -> None:
    """Start a table made from tables: its one file, with every line to edit marked, and a golden case.

    \b
    pipeline new-table basket_sizes --stage transform --from transactions \\
        --expression 'transactions.group_by("basket_id").agg(lines=_.count())'
    """
    from assay.scaffold import start

    names = [part for text in upstream for part in text.replace(",", " ").split()]
    _tell(project, start.new_table(project, name, stage=stage, upstream=names, expression=expression, key=key))


@click.command("new-source")
@click.argument("name")
@click.option("--kind", required=True, type=click.Choice(KINDS), help="What the source is.")
@click.option("--location", required=True, help="The name under which settings know the folder, site, API or log.")
@click.option("--path", required=True, help="The file (or files: orders_*.csv), page, resource, topic or table there.")
@click.option("--address", help="Where a new location is: a folder such as ./data/shop, or a URL.")
@click.option("--sample", type=click.Path(path_type=Path, dir_okay=False), help="A file to infer columns from.")
@click.option("--items", help="For an API: the field that holds the list of items; default: data.")
@key_option
@click.pass_obj
def new_source(project: Project, /, name: str, **given: Any) -> None:
    """Start a table that reads a file, page, API, event log, sheet or database: its one file and a golden case.

    No row of the sample is kept; the golden case gets made-up ones from you. The kinds rows, excel and dlt begin with a
    function of yours; a sample of rows or dlt is NDJSON, what the function would yield.

    \b
    pipeline new-source raw_orders --kind csv --location shop_files \\
        --path orders.csv --sample orders.csv
    """
    from assay.scaffold import start

    _tell(project, start.new_source(project, name, **given))


def _tell(project: Project, started: Started) -> None:
    for verb, paths in (("wrote", started.written), ("changed", started.changed)):
        for path in paths:
            shown = path.relative_to(project.root) if path.is_relative_to(project.root) else path
            say(f"{verb:<8} {shown}")
    say("\nStill yours to decide:")
    for line in started.missing:
        say(f"  {line}")
    say(f"\nNext:  fill in the rows of golden/{started.case}/inputs")
    steps = {
        f"pipeline golden {started.case}": "the rows that come out",
        f"pipeline golden accept {started.case}": "once they are right",
        "pipeline golden coverage": "the rules that no case breaks yet",
        "make check": "what is still missing",
    }
    width = max(map(len, steps))
    for command, why in steps.items():
        say(f"       {command:<{width}}  {why}")
