"""A sweep: look, tell what is new, remember it. Its callers are a sensor, and `pipeline health --notify` from cron."""

from __future__ import annotations

import dataclasses
import datetime as dtm
import fcntl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from assay.health.alerts import Memory, Message, Send, messages, remembered, silenced, without_expired
from assay.health.channels import Channels, channels
from assay.health.findings import findings
from assay.health.verdict import Verdict
from assay.orchestration.records import of_instance
from assay.orchestration.state import key, read_state, recall

if TYPE_CHECKING:
    from assay.health.outline import Outline
    from assay.project import Project
    from assay.settings import BaseSettings


@dataclass(frozen=True)
class Swept:
    """What a sweep found and did.

    Attributes:
        sent: messages that arrived.
        lost: messages that did not; the next sweep tries again.
        beat: whether whoever watches from outside was told that a sweep ran; None where nobody is to be.
    """

    verdict: Verdict
    sent: tuple[Message, ...] = ()
    lost: tuple[Message, ...] = ()
    beat: bool | None = None


def remember(instance: dg.DagsterInstance, project: Project, change: Callable[[Memory], Memory]) -> None:
    """Change what is remembered, from what is there now."""
    with _turn(instance):
        known = recall(of_instance(instance), project)
        instance.daemon_cursor_storage.set_cursor_values({key(project): change(known).text()})


def forget(instance: dg.DagsterInstance, project: Project) -> None:
    """Start anew."""
    with _turn(instance):
        instance.daemon_cursor_storage.set_cursor_values({key(project): Memory().text()})


@contextmanager
def _turn(instance: dg.DagsterInstance) -> Iterator[None]:
    """Sweeps and commands of one machine change what is remembered one after the other."""
    with (Path(instance.root_directory) / ".health.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def sweep(
    instance: dg.DagsterInstance,
    project: Project,
    outline: Outline,
    settings: BaseSettings,
    now: dtm.datetime,
    *,
    send: Send | None = None,
) -> Swept:
    """Tell the channels of the settings what is new.

    Args:
        send: in place of the settings' channels.

    Raises:
        SettingsError: PIPELINE_ALERTS is no list of channels.
    """
    routes: dict[str, list[str]] = {}
    if settings.alerts is not None:
        routes = channels(settings.alerts.get_secret_value(), outline.owners, root=project.root)
        send = send or Channels(routes).send
    records = of_instance(instance)
    memory = recall(records, project)
    state = read_state(records, outline, project, now, memory.unread)
    unread = {each.table: memory.unread.get(each.table, now) for each in state.unread if each.events or each.problem}
    # Events wait since it was first seen that they do, not since the last ones were read.
    waiting = tuple(dataclasses.replace(each, since=unread.get(each.table, each.since)) for each in state.unread)
    state = dataclasses.replace(state, unread=waiting)
    found = silenced(findings(outline, state), memory, now)
    remember(instance, project, lambda known: dataclasses.replace(without_expired(known, now), unread=unread))
    sent, lost = [], []
    for message in messages(project.package, found, memory, routes, now) if send is not None else ():
        if send is not None and send(message):
            remember(instance, project, lambda known, arrived=message: remembered(known, arrived))  # type: ignore[misc]
            sent.append(message)
        else:
            lost.append(message)
    return Swept(Verdict.of(state, found), tuple(sent), tuple(lost), _beat(settings))


def off_by_default(schedules: Iterable[Any]) -> tuple[str, ...]:
    """The names of those that are off until somebody turns them on."""
    return tuple(each.name for each in schedules if each.default_status is dg.DefaultScheduleStatus.STOPPED)


def _beat(settings: BaseSettings) -> bool | None:
    """One GET to whoever notices that these stop; its address is a secret and in no message."""
    if settings.heartbeat is None:
        return None
    import httpx

    try:
        return httpx.get(settings.heartbeat.get_secret_value(), timeout=10, follow_redirects=True).is_success
    except (httpx.HTTPError, httpx.InvalidURL):
        return False
