"""`pipeline health`: the pipeline's status code, and who is told of it."""

from __future__ import annotations

import datetime as dtm
import getpass
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

from assay.commands.group import Group
from assay.errors import PipelineError
from assay.terminal import say, styled

if TYPE_CHECKING:
    from pathlib import Path

    from dagster import DagsterInstance

    from assay.health.kept import Kept
    from assay.health.outline import Outline
    from assay.health.verdict import Verdict
    from assay.orchestration.alerting import Swept
    from assay.orchestration.records import Records
    from assay.project import Project

UNKNOWN = 3
BEGUN = time.time() - 2
"""No later than when this process began to load code."""
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
        if serve is not None:
            from assay.health.serve import server

            declared = _declared(project)
            listening = server(serve, lambda: _look(project, declared), strict=strict)
            say(f"http://127.0.0.1:{listening.server_address[1]}/health answers 200 or 503; Ctrl-C ends it")
            listening.serve_forever()
            return
        swept = _sweep(project) if notify else None
        verdict = swept.verdict if swept else _look(project, _declared(project))
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
    made = Silence(pattern, _now() + duration(lasting), _who(), why.strip())
    with _instance(project) as instance:
        from dataclasses import replace

        from assay.orchestration.alerting import remember

        remember(instance, project, lambda known: replace(known, silences=(*known.silences, made)))
    say(f"silenced {pattern} {made}")


@health.command()
@click.argument("pattern", required=False)
@click.pass_obj
def unsilence(project: Project, pattern: str | None) -> None:
    """End the silence of PATTERN; without it, list all silences."""
    from dataclasses import replace

    with _instance(project) as instance:
        from assay.orchestration.alerting import remember
        from assay.orchestration.records import of_instance
        from assay.orchestration.state import recall

        known = recall(of_instance(instance), project).silences
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
            instance,
            project,
            lambda now: replace(now, silences=tuple(each for each in now.silences if each.pattern != pattern)),
        )
    say(f"{pattern} is told of again")


@health.command("forget")
@click.pass_obj
def forget_command(project: Project) -> None:
    """Forget what was told and silenced: what is open is told again."""
    with _instance(project) as instance:
        from assay.orchestration.alerting import forget

        forget(instance, project)
    say("forgotten")


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"user {os.getuid()}"


def _now() -> dtm.datetime:
    return dtm.datetime.now(dtm.UTC)


def _home(project: Project) -> Path:
    from assay.orchestration.home import dagster_home

    return dagster_home(project.root, dry=project.settings().env == "dry_run")


def _declared(project: Project) -> Kept:
    """What the code declares: as it was kept, or drawn anew from the tables' files where any code has changed."""
    from assay.health import kept

    home, scheduled = _home(project), _is_scheduled(project)
    says = repr((project.stages, project.fresh, scheduled))
    found = kept.read(home, project.package, says)
    if found is None:
        found = kept.drawn(project.package, says, lambda: _drawn(project, scheduled))
        kept.write(home, found, BEGUN)
    return found


def _drawn(project: Project, scheduled: bool) -> Outline:
    from assay.health.draw import outline

    if not scheduled:
        return outline(project.graph, project.fresh)
    from assay.orchestration.alerting import off_by_default

    schedules = project.dagster_definitions().schedules or ()
    return outline(project.graph, project.fresh, off_by_default(schedules))


def _is_scheduled(project: Project) -> bool:
    """Whether a daemon may ever have been there: else nobody waits for schedules, and Dagster need not be loaded for them."""
    from assay.orchestration import home as homes
    from assay.orchestration import records

    home = _home(project)
    with homes.told(home):
        if not homes.in_files(home):
            return True
        with records.of_files(home) as history:
            return bool(history.ask(records.RUNS, "SELECT 1 FROM daemon_heartbeats LIMIT 1"))


def _look(project: Project, declared: Kept) -> Verdict:
    """The verdict now.

    Raises:
        PipelineError: the history cannot be read, or code has changed since it was `declared` when a server began.
    """
    from assay.orchestration import state

    if not declared.holds(project.package):
        raise PipelineError("the tables' code has changed since this began", fix="Start it again.")
    with history_read(project) as history:
        return state.look(history, declared.outline, project, _now())


def _sweep(project: Project) -> Swept:
    from assay.orchestration import alerting

    with _instance(project) as instance:
        return alerting.sweep(instance, project, _declared(project).outline, project.settings(), _now())


@contextmanager
def history_read(project: Project) -> Iterator[Records]:
    """The project's history, which is only read; raises PipelineError where it cannot be."""
    from assay.orchestration import home as homes
    from assay.orchestration import records

    home = _home(project)
    with homes.told(home), ExitStack() as stack:
        if homes.in_files(home):
            yield stack.enter_context(records.of_files(home))
        else:
            yield records.of_instance(stack.enter_context(_instance(project)))


@contextmanager
def _instance(project: Project) -> Iterator[DagsterInstance]:
    """The project's history, to be written; runs that died are told, not marked."""
    from assay.orchestration import history

    home = _home(project)
    with history.told(home), history.instance(home, bury=False) as instance:
        yield instance
