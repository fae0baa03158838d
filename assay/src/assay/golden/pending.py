"""New output that waits for a decision: one file a golden, kept in a folder that git ignores.

A pending file's first line is a JSON object that says what was run: hashes of the case's inputs, of the code and of
the golden it was compared with. Accepting refuses when any of them moved. The other lines are the rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.compare.model import Tolerance
from assay.disk import write_atomically
from assay.errors import GoldenError, on_disk
from assay.golden import store
from assay.golden.case import Case
from assay.golden.inputs import build_names
from assay.golden.store import REJECTS, Schema, Values
from assay.golden.yaml_file import shown
from assay.tables.code_version import code_version
from assay.tables.graph import Graph

FOLDER = ".pending"
SUFFIX = ".ndjson.new"
_FORMAT = 1


@dataclass(frozen=True)
class Moved:
    """Hashes of everything that new output depends on, taken when it was made."""

    inputs: str
    code: str
    golden: str


@dataclass(frozen=True)
class Pending:
    """One pending file.

    Attributes:
        refused: why this output may not become golden (it broke its contract); None if it may.
    """

    case: str
    name: str
    path: Path
    moved: Moved
    refused: str | None
    schema: Schema
    rows: tuple[Values, ...]

    @property
    def table(self) -> str:
        return self.name.removesuffix(REJECTS)

    @property
    def address(self) -> str:
        return f"{self.case}/{self.name}"


@dataclass(frozen=True)
class PendingStore:
    """The folder of pending files. Every write and removal is one atomic step on one file."""

    folder: Path

    def path(self, case: str, name: str) -> Path:
        return self.folder / case / f"{name}{SUFFIX}"

    def keep(
        self, case: str, name: str, moved: Moved, schema: Schema, rows: Sequence[Values], refused: str | None = None
    ) -> Path:
        """Write new output, in the place of older output; raises GoldenError where the folder cannot be written."""
        header = {
            "golden": _FORMAT,
            "case": case,
            "name": name,
            "inputs": moved.inputs,
            "code": moved.code,
            "expected": moved.golden,
            "refused": refused,
            "columns": {column.name: store.declared(column) for column in schema.columns},
            "key": list(schema.key),
            "tolerance": {name: {"abs": given.abs, "rel": given.rel} for name, given in schema.tolerance.items()},
            "volatile": list(schema.volatile),
            "masked": list(schema.masked),
            "content_hash": store.content_hash(rows),
        }
        path = self.path(case, name)
        with on_disk(GoldenError, "new output cannot be kept", where=shown(path), fix="Make the folder writable."):
            write_atomically(path, (json.dumps(header) + "\n" + store.rows_text(schema, rows)).encode())
        return path

    def drop(self, case: str, name: str) -> None:
        """Remove a pending file, if it is there; raises GoldenError where the folder cannot be written."""
        path = self.path(case, name)
        with on_disk(GoldenError, "cannot be removed", where=shown(path)), suppress(NotADirectoryError):
            path.unlink(missing_ok=True)

    def paths(self) -> list[Path]:
        """Every pending file, by case and name."""
        return sorted(self.folder.glob(f"*/*{SUFFIX}"))

    def names(self) -> list[tuple[str, str]]:
        """Case and golden name of every pending file."""
        return [(path.parent.name, path.name.removesuffix(SUFFIX)) for path in self.paths()]

    def read(self, case: str, name: str) -> Pending:
        """Read a pending file whole; raises GoldenError where it is missing, malformed or was edited."""
        path = self.path(case, name)
        damaged = GoldenError("is no whole pending file", where=shown(path), fix=f"Run `pipeline golden {case}` again.")
        try:
            first, _, rest = path.read_bytes().decode("utf-8").partition("\n")
            header = json.loads(first)
            schema = _schema(header)
            lines = [json.loads(line) for line in rest.split("\n") if line]
            rows = tuple(store.as_values(lines, schema.names))
            moved = Moved(header["inputs"], header["code"], header["expected"])
            fits = header["golden"] == _FORMAT and (header["case"], header["name"]) == (case, name)
        except FileNotFoundError:
            raise GoldenError(
                f"nothing is pending for {case}/{name}", fix=f"Run `pipeline golden {case}` first."
            ) from None
        except OSError as error:
            raise GoldenError(f"cannot be read: {error.strerror}", where=shown(path)) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise damaged from None
        if not fits or header["content_hash"] != store.content_hash(rows):
            raise damaged
        return Pending(case, name, path, moved, header["refused"], schema, rows)


def fingerprints(case: Case, graph: Graph, built: Iterable[str], name: str) -> Moved:
    """What the output called `name` depends on, as it stands now."""
    return Moved(inputs_hash(case), code_hash(graph, built), golden_hash(case, name))


def inputs_hash(case: Case) -> str:
    """Changes when `case.yml` or any input does."""
    files = [case.folder / "case.yml", *sorted(path for path in case.inputs.rglob("*") if path.is_file())]
    return _hash({path.relative_to(case.folder).as_posix(): path.read_bytes() for path in files})


def code_hash(graph: Graph, built: Iterable[str]) -> str:
    """Changes when code that makes any of the tables does, their invariants included."""
    nodes = {name: code_version(graph.nodes[name]) for name in sorted(built)}
    nodes |= {rule.name: code_version(rule) for name in sorted(built) for rule in graph.invariants_of(name)}
    return _hash({name: version.encode() for name, version in nodes.items()})


def golden_hash(case: Case, name: str) -> str:
    """Changes when the accepted golden does; the same for every missing one."""
    files = [store.rows_path(case.expected, name), store.schema_path(case.expected, name)]
    return _hash({path.name: path.read_bytes() for path in files if path.is_file()})


def accept(waiting: Sequence[Pending], case: Case, graph: Graph) -> None:
    """Make new output of one case the golden; where one may not be accepted, none is.

    Raises:
        GoldenError: one may not be accepted: it broke its contract, or what it was made from moved.
    """
    for pending in waiting:
        _check(pending, case, graph)
    for pending in waiting:
        store.write_golden(case.expected, pending.name, pending.schema, pending.rows)
        pending.path.unlink(missing_ok=True)


def _check(pending: Pending, case: Case, graph: Graph) -> None:
    """Raises GoldenError where new output may not become the golden."""
    if pending.refused:
        raise GoldenError(
            f"the new output breaks its contract: {pending.refused}",
            where=pending.address,
            fix="Fix the table or its contract; or, if the case is about that, name the checks under expects_checks.",
        )
    if pending.table not in case.tables:
        raise GoldenError(
            f"'{pending.table}' is no longer under test",
            where=pending.address,
            fix=f"Remove it: pipeline golden reject {pending.address}.",
        )
    now = fingerprints(case, graph, build_names(case, graph, [pending.table]), pending.name)
    for what, then, current in (
        ("the case's inputs", pending.moved.inputs, now.inputs),
        ("the code", pending.moved.code, now.code),
        ("the golden", pending.moved.golden, now.golden),
    ):
        if then != current:
            raise GoldenError(
                f"{what} changed since the run that made the new output",
                where=pending.address,
                fix=f"Run `pipeline golden {case.name}` again, look, and accept that.",
            )


def orphaned(cases: Iterable[Case], pending: Path | None) -> list[Path]:
    """Files of goldens that no case has under test any more, and pending files that nothing can accept.

    They are found by looking at the tree, not at what ran.
    """
    orphans: list[Path] = []
    known: dict[str, set[str]] = {}
    for case in cases:
        names = {name for table in case.tables for name in (table, f"{table}{store.REJECTS}")}
        known[case.name] = names
        for path in sorted(case.expected.iterdir()) if case.expected.is_dir() else []:
            name = path.name.removesuffix(".ndjson").removesuffix(".schema.yml")
            if name not in names or name == path.name:
                orphans.append(path)
    if pending is not None:
        waiting = PendingStore(pending)
        orphans += [waiting.path(case, name) for case, name in waiting.names() if name not in known.get(case, set())]
    return orphans


def _schema(header: Mapping[str, Any]) -> Schema:
    return Schema(
        tuple(store.parse_column(name, text) for name, text in header["columns"].items()),
        tuple(header["key"]),
        {name: Tolerance(**given) for name, given in header["tolerance"].items()},
        tuple(header["volatile"]),
        tuple(header["masked"]),
    )


def _hash(parts: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in parts.items():
        digest.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()[:16]
