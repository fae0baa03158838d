"""`pipeline health`: the pipeline's status code, and who is told of it."""

from __future__ import annotations

import datetime as dtm
import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from assay.commands.group import Group
from assay.errors import PipelineError
from assay.terminal import say, styled

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from assay.project import Project

UNKNOWN = 3
COLOURS = {"FAIL": "red", "WARN": "yellow", "PASS": "green", "LEARNING": "cyan"}


@click.group(cls=Group, invoke_without_command=True)
@click.option("--strict", is_flag=True, help="Exit with 1 where something is worth a look.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
@click.option("--notify", is_flag=True, help="Also tell the channels of PIPELINE_ALERTS what is new, as from cron.")
@click.option(
    "--serve", type=click.IntRange(0, 65535), metavar="PORT", help="Answer /health on 127.0.0.1 until Ctrl-C."
)
@click.pass_context
def health(context: click.Context, strict: bool, as_json: bool, notify: bool, serve: int | None) -> None:
    """Say whether the pipeline is well: late, red, slow, stuck or unusual.

    It reads Dagster's history and not the warehouse, so it answers while a run holds that.

    Exit codes: 0 well, worth a look or still learning, 2 failing, 3 cannot tell; with --strict 1 where something is
    worth a look.
    """
    if context.invoked_subcommand is not None:
        return
    project: Project = context.obj
    try:
        with _instance(project) as instance:
            from assay.orchestration import alerting

            if serve is not None:
                from assay.health.serve import server

                listening = server(serve, lambda: alerting.look(instance, project, _now()), strict=strict)
                say(f"http://127.0.0.1:{listening.server_address[1]}/health answers 200 or 503; Ctrl-C ends it")
                listening.serve_forever()
                return
            swept = alerting.sweep(instance, project, project.settings(), _now()) if notify else None
            verdict = swept.verdict if swept else alerting.look(instance, project, _now())
    except PipelineError as error:
        error.exit_code = UNKNOWN
        raise
    if as_json:
        say(verdict.as_json(), whole=True)
    else:
        for line in verdict.lines():
            word, _, rest = line.partition(" ")
            say(f"{styled(word, fg=COLOURS[word], bold=True)} {rest}" if word in COLOURS else line)
    for message in swept.sent if swept else ():
        say(f"told {message.route}: {message.title}", err=True)
    for message in swept.lost if swept else ():
        say(f"not taken by the channel of {message.route}; the next call tries again: {message.title}", err=True)
    if swept and swept.beat is False:
        say("PIPELINE_HEARTBEAT did not answer; the next call tries again", err=True)
    if notify and project.settings().alerts is None:
        say("PIPELINE_ALERTS is not set: nobody is told", err=True)
    sys.exit(verdict.exit_code(strict=strict))


@health.command()
@click.argument("pattern")
@click.option("--for", "lasting", metavar="2h", help="Until when: 30m, 2h or 3d, at most 30d.")
@click.option("--why", help="What everybody else should know.")
@click.pass_obj
def silence(project: Project, pattern: str, lasting: str | None, why: str | None) -> None:
    """Tell nobody of findings that match PATTERN, such as 'transform.orders*', for a time; they stay in the verdict."""
    from assay.health.alerts import Silence, duration

    if not lasting or not why or not why.strip():
        raise PipelineError(
            "a silence has an end and a reason",
            where=pattern,
            fix="Give both: --for 2h --why 'source is down until 15:00'.",
        )
    made = Silence(pattern, _now() + duration(lasting), getpass.getuser(), why.strip())
    with _instance(project) as instance:
        from dataclasses import replace

        from assay.orchestration.alerting import remember

        remember(instance, lambda known: replace(known, silences=(*known.silences, made)))
    say(f"silenced {pattern} {made}")


@health.command()
@click.argument("pattern", required=False)
@click.pass_obj
def unsilence(project: Project, pattern: str | None) -> None:
    """End the silence of PATTERN; without it, list all silences."""
    from dataclasses import replace

    with _instance(project) as instance:
        from assay.orchestration.alerting import recall, remember

        known = recall(instance).silences
        if pattern is None:
            for each in known:
                say(f"{each.pattern} {each}")
            say(f"{len(known)} silenced")
            return
        if all(each.pattern != pattern for each in known):
            raise PipelineError(
                "nothing is silenced by this pattern", where=pattern, fix="`pipeline health unsilence` lists them."
            )
        remember(
            instance, lambda now: replace(now, silences=tuple(each for each in now.silences if each.pattern != pattern))
        )
    say(f"{pattern} is told of again")


@health.command("forget")
@click.pass_obj
def forget_command(project: Project) -> None:
    """Forget what was told and silenced: what is open is told again."""
    with _instance(project) as instance:
        from assay.orchestration.alerting import forget

        forget(instance)
    say("forgotten")


def _now() -> dtm.datetime:
    return dtm.datetime.now(dtm.UTC)


@contextmanager
def _instance(project: Project) -> Iterator[DagsterInstance]:
    """The project's history, as it is: runs that died are told, not marked."""
    from assay.orchestration import history
    from assay.orchestration.execute import dagster_home

    home = dagster_home(project.root, dry=project.settings().env == "dry_run")
    with history.told(home), history.instance(home, bury=False) as instance:
        yield instance
