"""Rows that tell a mutant from the original: variations of a case's inputs, or rows of the real warehouse."""

from __future__ import annotations

import datetime as dtm
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import duckdb
import sqlglot
from sqlglot import exp

from assay.contract.classification import mask
from assay.contract.contract import Contract
from assay.lab.mutation.bench import MutationBench, differ
from assay.lab.mutation.operators import DIALECT, Mutant
from assay.sql import quoted as quote

T = TypeVar("T")
Row = tuple[str | None, ...]
Item = tuple[str, Row]
ROUNDS = 40
MAX_TESTS = 150
MAX_ROWS = 40
Rows = tuple[tuple[str, dict[str, str | None]], ...]
"""Table and row, for every row of a killing input."""


@dataclass
class Variations:
    """Worlds of input rows around those of a case, on which two queries are run.

    Every world keeps the contracts of its tables: a row that could not have been published kills nothing.
    """

    bench: MutationBench
    table: str

    def __post_init__(self) -> None:
        graph = self.bench.project.graph
        tree = sqlglot.parse_one(self.bench.sql[self.table], dialect=DIALECT)
        names = {found.name for found in tree.find_all(exp.Table) if found.name in graph.tables and found.db}
        self.inputs = sorted(names)
        self.contracts = {name: Contract.of(graph.tables[name].model) for name in self.inputs}
        self.rows = {name: self._rows(name) for name in self.inputs}
        self.literals = [found.name for found in tree.find_all(exp.Literal)]
        self.loaded: dict[str, tuple[Row, ...]] = {}
        self.labelled: dict[str, str] = {}
        self.original = self._renamed(self.bench.sql[self.table])
        self.columns = self._columns()

    def killing(self, mutants: Sequence[Mutant]) -> list[Rows | None]:
        """For every mutant the fewest rows found on which it gives something else; None if none were found."""
        queries = [self._renamed(mutant.sql) for mutant in mutants]
        worlds: dict[int, list[Item]] = {}
        for number in range(ROUNDS if self.inputs else 0):
            alive = [place for place in range(len(mutants)) if place not in worlds]
            if not alive:
                break
            world = self._world(random.Random(number))
            self._load(world)
            runs = self._keep_original()
            worlds |= {place: world for place in alive if self._kills(queries[place], runs)}
        return [self._fewest(worlds[place], query) if place in worlds else None for place, query in enumerate(queries)]

    def _fewest(self, world: list[Item], query: str) -> Rows:
        def fails(items: Sequence[Item]) -> bool:
            self._load(items)
            return self._kills(query, self._keep_original())

        return tuple(self._shown(item) for item in ddmin(world, fails, max_tests=MAX_TESTS))

    def _keep_original(self) -> bool:
        """Run the original on the loaded rows; whether it runs."""
        original = f"SELECT {self.columns} FROM ({self.original})"
        try:
            self.bench.session.connection.execute(f"CREATE OR REPLACE TEMP TABLE __original AS {original}")
        except duckdb.Error:
            return False
        return True

    def _kills(self, query: str, original_runs: bool) -> bool:
        """Whether the mutant gives other rows than the original; or fails, where the original does not."""
        if not original_runs:
            return False
        connection = self.bench.session.connection
        try:
            connection.execute(f"CREATE OR REPLACE TEMP TABLE __other AS SELECT {self.columns} FROM ({query})")
        except duckdb.Error:
            return True
        return differ(connection, "FROM temp.__original", "FROM temp.__other")

    def _columns(self) -> str:
        """The output columns; floating point sums may differ in their last digits, which kills nothing."""
        rows = self.bench.session.connection.execute(f"DESCRIBE {self.bench.shadow[self.table]}").fetchall()
        return ", ".join(
            f"round({quote(row[0])}, 6) AS {quote(row[0])}" if row[1] in ("DOUBLE", "FLOAT") else quote(row[0])
            for row in rows
        )

    def _rows(self, name: str) -> list[Row]:
        table = self.bench.project.graph.tables[name]
        texts = ", ".join(f"CAST({quote(column)} AS VARCHAR)" for column in self.contracts[name].duckdb_columns)
        query = f"SELECT {texts} FROM {self.bench.session.relation(table)} ORDER BY ALL LIMIT {MAX_ROWS}"
        return [tuple(row) for row in self.bench.session.connection.execute(query).fetchall()]

    def _renamed(self, sql: str) -> str:
        tree = sqlglot.parse_one(sql, dialect=DIALECT)
        for found in list(tree.find_all(exp.Table)):
            if found.name in self.rows and found.db:
                found.set("this", exp.to_identifier(f"__var_{found.name}", quoted=True))
                found.set("db", exp.to_identifier("main", quoted=True))
                found.set("catalog", exp.to_identifier("temp", quoted=True))
        return tree.sql(DIALECT)

    def _world(self, chance: random.Random) -> list[Item]:
        items: list[Item] = []
        for name in self.inputs:
            values = {column: self._candidates(name, column) for column in self.contracts[name].duckdb_columns}
            keys = [list(values).index(column) for column in self.contracts[name].key]
            for row in self.rows[name]:
                kind = chance.random()
                if kind > 0.1:
                    items.append((name, row if kind > 0.3 else self._varied(row, values, chance)))
                copies = chance.choice((0, 1, 1, 2))
                items += [(name, self._varied(row, values, chance, keys)) for _ in range(copies)]
        chance.shuffle(items)
        return items

    def _varied(
        self, row: Row, values: Mapping[str, list[str | None]], chance: random.Random, keys: Sequence[int] = ()
    ) -> Row:
        """The row with a few other values; with another key where it stands beside the row itself."""
        changed = list(row)
        places = [chance.randrange(len(changed)) for _ in range(chance.choice((0, 1, 1, 2, 3) if keys else (1, 2)))]
        for place in [*places, *([chance.choice(keys)] if keys else [])]:
            changed[place] = chance.choice(list(values.values())[place] or [changed[place]])
        return tuple(changed)

    def _candidates(self, name: str, column: str) -> list[str | None]:
        """Values worth trying: those seen under this name anywhere, their neighbours, and the query's constants."""
        contract = self.contracts[name]
        type_ = contract.duckdb_columns[column]
        seen = [
            row[list(self.contracts[other].duckdb_columns).index(column)]
            for other in self.inputs
            if column in self.contracts[other].duckdb_columns
            for row in self.rows[other]
        ]
        found: dict[str | None, None] = dict.fromkeys(seen)
        for value in [*seen, *self.literals]:
            if value is not None:
                found |= dict.fromkeys(_neighbours(value, type_))
        if type_ == "VARCHAR":
            found |= dict.fromkeys([*self.literals, ""])
        if contract.column(column).nullable:
            found[None] = None
        return list(found)

    def _load(self, world: Sequence[Item]) -> None:
        for name in self.inputs:
            rows = tuple(row for item, row in world if item == name)
            if self.loaded.get(name) != rows:
                self._load_table(name, rows)
                self.loaded[name] = rows

    def _load_table(self, name: str, rows: tuple[Row, ...]) -> None:
        connection, contract = self.bench.session.connection, self.contracts[name]
        casts = ", ".join(
            f"TRY_CAST(__v[{place}] AS {type_}) AS {quote(column)}"
            for place, (column, type_) in enumerate(contract.duckdb_columns.items(), start=1)
        )
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {quote(f'__raw_{name}')} AS "
            f"SELECT {casts} FROM (SELECT unnest(CAST($1 AS VARCHAR[][])) AS __v)",
            [[list(row) for row in rows]],
        )
        if name not in self.labelled:
            self.labelled[name] = self._valid_sql(name, contract)
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {quote(f'__var_{name}')} AS {self.labelled[name]}")

    def _valid_sql(self, name: str, contract: Contract) -> str:
        session = self.bench.session
        rows = session.backend.sql(f"SELECT * FROM temp.main.{quote(f'__raw_{name}')}")
        columns = ", ".join(quote(column) for column in contract.duckdb_columns)
        once = ""
        if contract.key:
            key = ", ".join(quote(column) for column in contract.key)
            once = f" QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {columns}) = 1"
        return f"SELECT {columns} FROM ({session.sql(contract.label(rows))}) WHERE NOT ({contract.broken_sql()}){once}"

    def _shown(self, item: Item) -> tuple[str, dict[str, str | None]]:
        name, row = item
        return name, dict(zip(self.contracts[name].duckdb_columns, row, strict=True))


def _neighbours(value: str, type_: str) -> Iterator[str]:
    try:
        if type_ == "DATE":
            day = dtm.date.fromisoformat(value)
            yield from (str(day + dtm.timedelta(days=step)) for step in (-57, -56, -7, -1, 1, 7, 56))
        elif "INT" in type_:
            yield from (str(int(value) + step) for step in (-1, 0, 1))
        elif type_.startswith(("DECIMAL", "DOUBLE", "FLOAT")):
            yield from (value, "0", "0.5", "1", "1.5", "-1")
    except (ValueError, OverflowError):
        return


def differing_row(connection: Any, bench: MutationBench, mutant: Mutant, catalog: str) -> str | None:
    """A row that the original gives on the real tables and the mutant does not, or the other way; masked."""
    contract = Contract.of(bench.project.graph.tables[mutant.table].model)
    original, other = (_on_catalog(sql, catalog, bench) for sql in (bench.sql[mutant.table], mutant.sql))
    if original is None or other is None:
        return None
    for label, left, right in (
        ("only the original gives", original, other),
        ("only the mutant gives", other, original),
    ):
        try:
            found = connection.execute(f"SELECT * FROM (({left}) EXCEPT ({right})) ORDER BY ALL LIMIT 1")
            names, row = [column[0] for column in found.description], found.fetchone()
        except duckdb.Error as error:
            return f"the mutant fails: {str(error).splitlines()[0][:120]}"
        if row is not None:
            classes = {column.name: column.classification for column in contract.columns}
            texts = {name: None if value is None else str(value) for name, value in zip(names, row, strict=True)}
            values = ", ".join(
                f"{name}={mask(text, classes.get(name))}" for name, text in texts.items() if text is not None
            )
            return f"{label}: {values}"
    return None


def _on_catalog(sql: str, catalog: str, bench: MutationBench) -> str | None:
    """The query over another catalog's tables; None where it reads what was landed for the case."""
    tree = sqlglot.parse_one(sql, dialect=DIALECT)
    for found in list(tree.find_all(exp.Table)):
        if found.db and found.catalog:
            found.set("catalog", exp.to_identifier(catalog, quoted=True))
        elif found.name.startswith("__source_"):
            return None
    return tree.sql(DIALECT)


def ddmin(items: Sequence[T], fails: Callable[[Sequence[T]], bool], *, max_tests: int = 2_000) -> list[T]:
    """A part of `items` that fails and of which no single item can be left out; the order is kept.

    Delta debugging (Zeller and Hildebrandt, 2002).

    Args:
        items: fail together, which is not tested again.
        fails: whether a part shows the same failure.
        max_tests: after so many tests the smallest part found so far is given.
    """
    kept = list(items)
    parts, tests = 2, 0
    while len(kept) >= 2 and tests < max_tests:
        size = -(-len(kept) // parts)
        for start in range(0, len(kept), size):
            rest = kept[:start] + kept[start + size :]
            tests += 1
            if fails(rest):
                kept, parts = rest, max(parts - 1, 2)
                break
        else:
            if size == 1:
                return kept
            parts = min(len(kept), parts * 2)
    if len(kept) == 1 and tests < max_tests and fails([]):
        return []
    return kept
