"""Processes, told apart also after one has died and its number was given to another."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

PROCESS = ".dagster/pipeline_process"
"""The tag that says which process executes a run; the UI hides what begins like this."""


def identity(pid: int | None = None) -> str | None:
    """`host boot namespace pid start` of a living process (default: this one); None where the system cannot tell.

    A process of the same number that began at another tick, in another boot or in another container is another one.
    """
    number = pid or os.getpid()
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = Path("/proc/self/ns/pid").readlink().name
        # The command's name, in parentheses, may hold anything; the 22nd field is when the process began.
        fields = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    if fields[0] in "ZX":
        return None  # dead; its parent has not asked yet how it ended
    return f"{socket.gethostname()} {boot} {namespace} {number} {fields[19]}"


def is_dead(recorded: str, *, here: bool) -> bool:
    """Whether the process that `identity` once described is gone for certain; False where that cannot be told.

    Args:
        here: whoever recorded it ran on this machine; else a name may be that of two machines.
    """
    own, parts = identity(), recorded.split(" ")
    if own is None or len(parts) != 5 or not parts[3].isdecimal():
        return False
    host, boot, namespace, *_ = own.split(" ")
    if parts[1] != boot:
        return here and parts[0] == host  # the machine was started anew since
    return parts[2] == namespace and identity(int(parts[3])) != recorded


def process_tag(run_id: str) -> dict[str, str]:
    """The tag of a run that this process executes; empty where the system cannot tell processes apart.

    It begins with the run's id: a run that is executed again inherits the tags of the first.
    """
    own = identity()
    return {PROCESS: f"{run_id} {own}"} if own else {}


def claim(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Write down that this process executes `run`, so that its death is noticed."""
    tag = process_tag(run.run_id)
    if any(run.tags.get(name) != value for name, value in tag.items()):
        instance.add_run_tags(run.run_id, tag)


def why_dead(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """What to say of `run` if the process that executes it is gone; None if it lives or nobody can tell."""
    return cause_of_death(run.run_id, run.tags.get(PROCESS, ""), here=is_local(instance))


def is_local(instance: dg.DagsterInstance) -> bool:
    """Whether all runs of the history are this machine's."""
    # Not by its type, whose module brings SQLAlchemy: who only loads the code would wait for it.
    return "SqliteRunStorage" in {kind.__name__ for kind in type(instance.run_storage).__mro__}


def cause_of_death(run_id: str, tag: str, *, here: bool) -> str | None:
    """The same of a run with `tag` under PROCESS; `here` is as in `is_dead`."""
    tagged, _, recorded = tag.partition(" ")
    if tagged != run_id or not is_dead(recorded, here=here):
        return None
    host, _, _, pid, _ = recorded.split(" ")
    return (
        f"The process of this run, {pid} on {host}, is gone: it was killed, or the machine stopped. "
        "Each of its tables is published whole or not at all; run again."
    )
