"""`pipeline quarantine`: list, show, replay or discard rejected rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from assay.commands.group import Group
from assay.compare.text import visible
from assay.errors import PipelineError
from assay.terminal import say, say_json
from assay.words import rows_told

if TYPE_CHECKING:
    from assay.project import Project
    from assay.tables.run import Run
    from assay.warehouse.quarantine.find import Reject
    from assay.warehouse.session import Session

STATUSES = ("open", "resolved", "replayed", "discarded")


@click.group(cls=Group)
def quarantine() -> None:
    """Rejected rows: look at them, replay them through the current contract, or discard them.

    In the dry_run environment nothing is changed. Exit codes: 0 done, 1 the table as a whole would break a rule,
    2 error.
    """


@quarantine.command("list")
@click.option("--table", metavar="TABLE", help="Only this table's rows.")
@click.option("--reason", metavar="CODE", help="Only rows rejected for this reason, such as quantity.ge_0.")
@click.option(
    "--status", type=click.Choice([*STATUSES, "all"]), default="open", show_default=True, help="Only rows like this."
)
@click.option("--limit", type=click.IntRange(min=0), default=100, show_default=True, help="The newest; 0 for all.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with the rows; classified values masked.")
@click.pass_obj
def list_(project: Project, table: str | None, reason: str | None, status: str, limit: int, as_json: bool) -> None:
    """List rejected rows with their reasons, newest first."""
    from assay.warehouse.quarantine import find as books

    name = project.graph.get(table).name if table is not None else None
    wanted = books.Wanted(table=name, reason=reason, status=None if status == "all" else status)
    with _session(project, missing_is_empty=True, reading=True) as session:
        found = books.find(session, wanted, limit=limit) if session else []
        total, codes = books.count(session, wanted) if session else (0, {})
        lacking = books.not_kept(session, wanted) if session else {}
    if as_json:
        say_json([_plain(project, reject) for reject in found])
    else:
        _print_list(project, found, total, codes, status)
        for name, count in lacking.items():
            say(f"{name}: its last build published nothing; {count:,} more of its rejected rows are not kept")


@quarantine.command()
@click.argument("reject_id", metavar="REJECT_ID")
@click.option("--unmask", is_flag=True, help="Show personal and secret values, and what the contract does not know.")
@click.pass_obj
def show(project: Project, reject_id: str, unmask: bool) -> None:
    """Show one rejected row; the first characters of its id are enough."""
    from assay.warehouse.quarantine import find as books

    with _session(project, reading=True) as session:
        reject = books.one(session, reject_id)
    about = _plain(project, reject, unmask=unmask)
    row = about.pop("row")
    for fields in (about, row):
        width = max(map(len, fields), default=0)
        for name, value in fields.items():
            say(f"{name:<{width}}  {', '.join(value) if isinstance(value, list) else _visible(value)}")
        say()


@quarantine.command()
@click.argument("reject_ids", nargs=-1, metavar="[REJECT_ID]...")
@click.option("--table", metavar="TABLE", help="All open rows of this table.")
@click.option("--reason", metavar="CODE", help="With --table: only those rejected for this reason.")
@click.pass_obj
def discard(project: Project, reject_ids: tuple[str, ...], table: str | None, reason: str | None) -> None:
    """Mark open rows as not wanted. They are kept, and not opened again when a later build rejects them too."""
    from assay.warehouse.quarantine import find as books

    _need_one(reject_ids, table, reason)
    with _session(project) as session:
        if table:
            count = books.discard_all(session, books.Wanted(table=project.graph.get(table).name, reason=reason))
        else:
            count = books.discard(session, [reject.id for reject in _chosen(session, reject_ids)])
    say(f"{rows_told(count)} discarded{_dry(project)}")


@quarantine.command()
@click.argument("reject_ids", nargs=-1, metavar="[REJECT_ID]...")
@click.option("--table", metavar="TABLE", help="All open rows of this table.")
@click.pass_obj
def replay(project: Project, reject_ids: tuple[str, ...], table: str | None) -> None:
    """Run open rows through the current contract and publish what now passes; the others stay open."""
    from assay.tables.run import Run

    _need_one(reject_ids, table, None)
    run = Run.start()
    with _session(project) as session:
        if table:
            _replay_one(project, session, project.graph.get(table).name, None, run)
            return
        chosen: dict[str, list[str]] = {}
        for reject in _chosen(session, reject_ids):
            if reject.malformed or not reject.set_aside:
                raise PipelineError(
                    "a malformed row cannot be replayed" if reject.malformed else "its build published nothing",
                    where=reject.id,
                    fix="Correct the source, or discard it."
                    if reject.malformed
                    else f"Build it: pipeline run {reject.table}.",
                )
            chosen.setdefault(project.graph.get(reject.table).name, []).append(reject.id)
        for name in [node for node in project.graph.nodes if node in chosen]:
            _replay_one(project, session, name, chosen[name], run)


def _replay_one(project: Project, session: Session, name: str, ids: list[str] | None, run: Run) -> None:
    from assay.warehouse.quarantine import find as books
    from assay.warehouse.quarantine.replay import replay as run_again

    table = project.graph.tables.get(name)
    if table is None:
        raise PipelineError("is a file, not a table", where=name, fix="`pipeline tables` lists tables.")
    done = run_again(session, project.graph, table, run, ids)
    say(f"{name}: {done.checks[0].summary}{_dry(project)}")
    if ids is None:
        malformed, unpublished = books.left_out(session, books.Wanted(table=name))
        if malformed:
            say(f"  left out as malformed: {rows_told(malformed)}; correct the source, or discard them")
        if unpublished:
            left = rows_told(unpublished)
            say(f"  left out, of a failed build: {left}; `pipeline run {name}` judges them again")
    below = [node for node in project.graph.downstream([name]) if node != name]
    if done.action == "replay" and below:
        say(f"  built from it: pipeline run {' '.join(below)}")


@contextmanager
def _session(project: Project, *, missing_is_empty: bool = False, reading: bool = False) -> Iterator[Any]:
    """A session with the warehouse of the settings; None where there is none yet and `missing_is_empty`.

    Args:
        reading: nothing is to be written, which needs no lock against other readers.
    """
    from assay.warehouse.quarantine.keep import adopt
    from assay.warehouses import dry_run_of, warehouse_of

    settings = project.settings()
    if not settings.warehouse.exists():
        if missing_is_empty:
            yield None
            return
        raise PipelineError("there is no warehouse yet", where=str(settings.warehouse), fix="Run: pipeline run.")
    if reading:
        with warehouse_of(settings).reading() as session:
            yield session
        return
    dry = settings.env == "dry_run"
    with (dry_run_of(settings) if dry else warehouse_of(settings)).session() as session:
        adopt(session)
        yield session


def _need_one(reject_ids: tuple[str, ...], table: str | None, reason: str | None) -> None:
    # Each id begins with nothing: a shell's empty variable would be the only row there is.
    if bool(reject_ids) == bool(table) or "" in reject_ids or (reason and not table):
        raise PipelineError("name rows by their ids, or a table", fix="`pipeline quarantine list` shows both.")


def _chosen(session: Session, reject_ids: tuple[str, ...]) -> list[Reject]:
    """The open rejects with these ids; raises PipelineError for one that is not there, or not open."""
    from assay.warehouse.quarantine import find as books

    chosen = [books.one(session, reject_id) for reject_id in reject_ids]
    for reject in chosen:
        if reject.status != "open":
            raise PipelineError(f"the row is {reject.status}, not open", where=reject.id)
    return list({reject.id: reject for reject in chosen}.values())


def _plain(project: Project, reject: Reject, *, unmask: bool = False) -> dict[str, Any]:
    from assay.contract.contract import Contract
    from assay.warehouse.quarantine.keep import shown

    table = project.graph.tables.get(reject.table)
    contract = Contract.of(table.model) if table is not None else None
    return {
        "id": reject.id,
        "table": reject.table,
        "partition": reject.partition,
        "source": reject.place,
        "reasons": reject.reasons,
        "status": reject.status,
        "first_seen": reject.first_seen.isoformat(),
        "last_seen": reject.last_seen.isoformat(),
        "run": reject.run_id,
        "row": shown(reject.payload, contract, reasons=reject.reasons, unmask=unmask),
    }


def _print_list(
    project: Project, found: Sequence[Reject], total: int, codes: Mapping[tuple[str, str], int], status: str
) -> None:
    """How many there are of what, then a line for each: its id and key, what broke, and where it stood."""
    if not found:
        say("no rejected rows" if status == "all" else f"no rejected rows that are {status}")
        return
    width = max(len(table) for table, _ in codes)
    for (table, code), rows in codes.items():
        say(f"{rows:>9,}  {table:<{width}}  {code}")
    shown = f"; the newest {len(found):,} follow, --limit 0 shows all" if len(found) < total else ""
    say(f"{rows_told(total)}{shown}")
    say()
    for reject in found:
        about = [reject.table, ", ".join(reject.reasons), _key(project, reject), reject.place]
        about += [reject.status] if status == "all" else []
        seen = reject.last_seen.strftime("%Y-%m-%d %H:%M")
        say(f"{reject.id[:12]}  {'  '.join(filter(None, about))}  {seen}")


def _key(project: Project, reject: Reject) -> str:
    """The row's key, `order_id=4711`; empty where its table has none."""
    from assay.contract.contract import Contract

    table = project.graph.tables.get(reject.table)
    key = Contract.of(table.model).key if table is not None else ()
    row = _plain(project, reject)["row"]
    return ", ".join(f"{name}={_visible(row[name])}" for name in key if name in row)


def _visible(value: object) -> str:
    return visible(None if value is None else str(value))


def _dry(project: Project) -> str:
    return " (dry run: nothing real was written)" if project.settings().env == "dry_run" else ""
