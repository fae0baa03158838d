"""The `pipeline` command: parse, call, print. Each subsystem brings its commands; nothing is decided here."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from typing import Any

import click

from assay.errors import Interrupted, PipelineError
from assay.interrupts import noted

COMMANDS = {
    "run": "assay.commands:run",
    "tables": "assay.commands:tables",
    "settings": "assay.commands:settings",
    "quarantine": "assay.warehouse.quarantine.quarantine_command:quarantine",
    "golden": "assay.golden.golden_command:golden",
    "plan": "assay.plan.plan_commands:plan",
    "apply": "assay.plan.plan_commands:apply",
    "why": "pipeline_project.load.why:why",
    "new-table": "assay.scaffold.new_commands:new_table",
    "new-source": "assay.scaffold.new_commands:new_source",
}
"""Subcommand -> where it stands. Imported only when called: `pipeline --help` needs neither Ibis nor Dagster."""

SUMMARIES = {
    "run": "Build tables and publish what passes its audit.",
    "tables": "List the tables, what a row of each is, and what they read.",
    "settings": "List every setting, its value and where it comes from.",
    "quarantine": "List, show, replay or discard rejected rows.",
    "golden": "Run the golden cases; review and accept differences.",
    "plan": "Show what a run would change, without writing.",
    "apply": "Run exactly what a kept plan shows, or refuse.",
    "why": "Explain one prediction of the example's model.",
    "new-table": "Start a table: its file and a golden case.",
    "new-source": "Start a table that reads a file, page, API or event log.",
}


class LazyGroup(click.Group):
    """A group whose subcommands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        with noted() as arrived:
            try:
                return super().invoke(ctx)
            except KeyboardInterrupt:
                # Click's own exit code for Ctrl-C is 1, which here means that data broke a rule.
                raise Interrupted("interrupted", arrived.number or signal.SIGINT) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, SUMMARIES[name]) for name in COMMANDS])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pipeline-project")
@click.pass_context
def pipeline(context: click.Context) -> None:
    """Build, test and dry-run the data pipeline.

    Exit codes: 0 done, 1 data broke a rule, 2 error, 130 Ctrl-C, 143 SIGTERM. `golden` and `plan` document their own.
    """
    from pipeline_project.project import project

    context.obj = project


def main() -> None:
    """Run the command line; a foreseen error is one line on standard error and its exit code."""
    try:
        if os.name == "nt":
            raise PipelineError("Windows is not supported", fix="Use WSL, where this is Linux.")
        pipeline(prog_name="pipeline", standalone_mode=True)
    except PipelineError as error:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
