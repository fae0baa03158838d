"""Which rows of upstream tables belong to some chosen rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from assay.contract.contract import Contract
from assay.errors import GoldenError
from assay.sql import quoted as quote
from assay.tables.graph import Graph
from assay.tables.nodes import TableDef
from assay.warehouse.session import qualified

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Link:
    """Columns of a table that hold the values of columns of another one, whose rows are captured.

    `full` is whether they are the whole key or a declared reference: then one row belongs to each value.
    """

    other: str
    pairs: Pairs
    full: bool


@dataclass
class Cut:
    """Collects rows in temporary tables `temp.main.cut_<table>`.

    Args:
        connection: open on the real warehouse, read-only.
        max_rows: how many rows of a table are kept at most.

    Attributes:
        notes: what was left out.
    """

    connection: Any
    catalog: str
    graph: Graph
    max_rows: int
    taken: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def choose(self, table: TableDef, where: str, limit: int) -> int:
        """Take the chosen rows of the table itself; returns how many."""
        try:
            self._take(table.name, f"SELECT * FROM {self._relation(table.name)} WHERE ({where})", limit)
        except duckdb.Error as error:
            raise GoldenError(f"--where cannot be run: {str(error).splitlines()[0]}", where=table.name) from None
        return self.count(f"FROM {self.place(table.name)}")

    def follow(self, table: TableDef) -> None:
        """Take the rows of everything that `table` is built from."""
        waiting = list(self.graph.upstream_of(table.name))
        while waiting:
            links = {name: list(self._links(name, table.name)) for name in waiting}
            full = next((name for name in waiting if any(link.full for link in links[name])), None)
            name = full or next((name for name in waiting if links[name]), waiting[0])
            waiting.remove(name)
            self._take(name, self._query(name, links[name], table.name), self.max_rows, warn=True)
        self._complete(table.name)

    def place(self, name: str) -> str:
        return f"temp.main.{quote(f'cut_{name}')}"

    def count(self, query: str) -> int:
        return int(self.connection.execute(f"SELECT count(*) FROM ({query})").fetchone()[0])

    def _take(self, name: str, query: str, limit: int, *, warn: bool = False) -> None:
        order = ", ".join(quote(column) for column in self._key(name)) or "ALL"
        self.connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {quote(f'cut_{name}')} AS FROM ({query}) ORDER BY {order} LIMIT {limit}"
        )
        self.taken.append(name)
        if warn and (count := self.count(query)) > limit:
            self.notes.append(f"{name}: {limit:,} of {count:,} rows kept; narrow --where for all of them")

    def _links(self, name: str, target: str) -> Iterator[Link]:
        """How the table is tied to the captured ones, the chosen table first."""
        columns, key = self._columns(name), self._key(name)
        for other in self.taken:
            theirs = self._columns(other)
            for reference in self.graph.tables[other].references:
                if reference.to == name:
                    yield Link(
                        other,
                        tuple(zip(reference.to_columns or reference.columns, reference.columns, strict=True)),
                        True,
                    )
            shared = tuple((column, column) for column in key if column in theirs)
            if shared:
                yield Link(other, shared, len(shared) == len(key))
                continue
            same = tuple((column, column) for column in self._key(other) if column in columns)
            if same and other == target:
                yield Link(other, same, False)

    def _query(self, name: str, links: Sequence[Link], target: str) -> str:
        """The rows that belong to the captured ones: to any by their whole key, else to the chosen ones."""
        base = f"SELECT * FROM {self._relation(name)} AS q"
        full = [link for link in links if link.full]
        if full:
            return f"{base} WHERE {' OR '.join(map(self._belongs, full))}"
        if not links:
            return base
        own = [link for link in links if link.other == target] or list(links[:1])
        conditions = [self._belongs(link) for link in own]
        for link in links:
            query = f"{base} WHERE {' AND '.join(conditions)}"
            narrower = [*conditions, self._belongs(link)]
            if link not in own and self.count(query) > self.max_rows:
                conditions = narrower if self.count(f"{base} WHERE {' AND '.join(narrower)}") else conditions
        return f"{base} WHERE {' AND '.join(conditions)}"

    def _belongs(self, link: Link) -> str:
        pairs = " AND ".join(f"o.{quote(theirs)} = q.{quote(own)}" for own, theirs in link.pairs)
        return f"EXISTS (FROM {self.place(link.other)} AS o WHERE {pairs})"

    def _complete(self, target: str) -> None:
        """Add rows that captured rows refer to and that were not captured, until none is missing."""
        missing = True
        while missing:
            missing = False
            for name in [name for name in self.taken if name != target]:
                full = [link for link in self._links(name, target) if link.full and link.other != name]
                if not full:
                    continue
                wanted = f"SELECT * FROM {self._relation(name)} AS q WHERE {' OR '.join(map(self._belongs, full))}"
                before = self.count(f"FROM {self.place(name)}")
                self.connection.execute(f"INSERT INTO {self.place(name)} {wanted} EXCEPT FROM {self.place(name)}")
                after = self.count(f"FROM {self.place(name)}")
                if after > 4 * self.max_rows:
                    raise GoldenError(
                        f"{after:,} rows of {name} belong to the chosen rows",
                        fix="Choose fewer rows: narrow --where or lower --limit.",
                    )
                missing = missing or after > before

    def _relation(self, name: str) -> str:
        return qualified(self.catalog, self.graph.tables[name].stage, name)

    def _columns(self, name: str) -> tuple[str, ...]:
        return tuple(Contract.of(self.graph.tables[name].model).duckdb_columns)

    def _key(self, name: str) -> tuple[str, ...]:
        return Contract.of(self.graph.tables[name].model).key
