"""The `pipeline` command: parse, call, print. Each subsystem brings its commands; nothing is decided here."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from assay.commands.group import Group
from assay.errors import Interrupted, PipelineError
from assay.interrupts import noted
from assay.terminal import say, styled

COMMANDS = {
    "run": ("assay.commands.run_commands:run", "Build tables and publish what passes its audit."),
    "tables": ("assay.commands.run_commands:tables", "List the tables, what a row of each is, and what they read."),
    "settings": ("assay.commands.run_commands:settings", "List every setting, its value and where it comes from."),
    "open": ("assay.commands.run_commands:open_", "Open what the pipeline made for readers in the browser."),
    "quarantine": (
        "assay.commands.quarantine_commands:quarantine",
        "List, show, replay or discard rejected rows.",
    ),
    "golden": ("assay.commands.golden_commands:golden", "Run the golden cases; review and accept differences."),
    "plan": ("assay.commands.plan_commands:plan", "Show what a run would change, without writing."),
    "apply": ("assay.commands.plan_commands:apply", "Run exactly what a kept plan shows, or refuse."),
    "docs": ("assay.commands.docs_command:docs", "Write a page about every table: lineage, columns, rules, numbers."),
    "guide": ("assay.commands.guide_command:guide", "Show a page of the framework's documents, or list them."),
    "health": ("assay.commands.health_commands:health", "Say whether the pipeline is well; tell or silence it."),
    "new-table": ("assay.commands.new_commands:new_table", "Start a table: its file and a golden case."),
    "new-source": (
        "assay.commands.new_commands:new_source",
        "Start a table that reads a file, page, API or event log.",
    ),
}
"""Subcommand -> where it stands, and what it does. Imported only when called: `pipeline --help` needs neither Ibis
nor Dagster."""


ERRORS = {"plan": 1, "apply": 1, "health": 3}
"""Exit codes of wrong options and of what nobody foresaw; of the other commands 2. Click's and Python's own would be a verdict."""


def imported(where: str) -> Any:
    """What stands at `package.module:name`."""
    module, _, name = where.partition(":")
    return getattr(import_module(module), name)


class LazyGroup(Group):
    """A group whose subcommands are imported when they are called."""

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.lazy:
            return None
        command: click.Command = imported(self.lazy[cmd_name][0])
        return command

    def invoke(self, ctx: click.Context) -> Any:
        with noted() as arrived:
            try:
                return super().invoke(ctx)
            except KeyboardInterrupt:
                # Click's own exit code for Ctrl-C is 1, which here means that data broke a rule.
                raise Interrupted("interrupted", arrived.number or signal.SIGINT) from None
            except (PipelineError, click.exceptions.Exit, click.Abort):
                raise
            except Exception as error:
                error.exit_code = ERRORS.get(ctx.invoked_subcommand or "", 2)  # type: ignore[attr-defined]
                raise

    def summaries(self, ctx: click.Context) -> list[tuple[str, str]]:
        return [(name, summary) for name, (_, summary) in self.lazy.items()]


def command_line(
    project: str, *, distribution: str, commands: Mapping[str, tuple[str, str]] | None = None
) -> LazyGroup:
    """The `pipeline` command of a project.

    Args:
        project: where its `Project` stands, as `package.project:project`; imported when a command is called.
        distribution: whose version `--version` tells.
        commands: the project's own, name -> (`package.module:name` of a click command, what it does in one line).
    """

    @click.group(
        cls=LazyGroup, lazy={**COMMANDS, **(commands or {})}, context_settings={"help_option_names": ["-h", "--help"]}
    )
    @click.version_option(package_name=distribution)
    @click.pass_context
    def pipeline(context: click.Context) -> None:
        """Build, test and dry-run the data pipeline.

        Exit codes: 0 done, 1 data broke a rule, 2 error, 130 Ctrl-C, 143 SIGTERM. `golden` and `plan` document their own.
        """
        context.obj = imported(project)

    return pipeline


def run(pipeline: click.Group) -> None:
    """Run the command line; a foreseen error is one line on standard error and its exit code."""
    # Loading a project makes a few hundred thousand objects that stay. With Python's usual threshold the collector
    # walks them again and again while they are made, which was a tenth of the time of loading. At the exit it would
    # walk them again, for half a second; all but what stands in cycles of references is still finalized.
    gc.set_threshold(100_000, 20, 100)
    atexit.register(gc.freeze)
    sys.excepthook = lambda *raised: say("".join(traceback.format_exception(*raised)), err=True, nl=False)
    try:
        if os.name == "nt":
            raise PipelineError("Windows is not supported", fix="Use WSL, where this is Linux.")
        pipeline(prog_name="pipeline", standalone_mode=True)
    except PipelineError as error:
        say(f"{styled('error:', fg='red', bold=True)} {error}", err=True)
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001  its code alone is ours
        sys.excepthook(type(error), error, error.__traceback__)
        sys.exit(getattr(error, "exit_code", 2))
