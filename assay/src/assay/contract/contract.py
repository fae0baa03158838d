"""`Contract`: a Pandera model, read once, and the expressions and SQL that enforce it."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.operations as ops

from assay.contract import payload, profile, rules, uniqueness
from assay.contract.classification import mask
from assay.contract.columns import Column, SchemaProblem, schema_problems
from assay.contract.reading import read
from assay.errors import ContractError
from assay.sql import literal

if TYPE_CHECKING:
    import duckdb
    import ibis.expr.datatypes as dt
    from pandera.ibis import DataFrameModel

NAMED = 64
"""Up to so many combinations of broken rules are named one by one."""
BITS = 63
"""Rules per mask column. The 64th bit of a UBIGINT stays free: its literal would make DuckDB compute in 128 bits."""


@dataclass(frozen=True)
class Broken:
    """Broken rules of a labelled relation.

    Attributes:
        rejected: rows that broke at least one rule.
        counts: rows per broken rule's code, in rule order; only rules that were broken.
        masks: rows per combination of mask values.
    """

    rows: int
    rejected: int
    counts: Mapping[str, int]
    masks: Mapping[tuple[int, ...], int]


_contracts: dict[type, Contract] = {}
_lock = threading.Lock()


@dataclass(frozen=True, eq=False)
class Contract:
    """What a table promises, read from a `pandera.ibis.DataFrameModel`.

    Attributes:
        keys: combinations of columns that must not repeat and must not be null; the table's own first.
        row_rules: in bit order: rule `i` is bit `i % 63` of `__broken_{i // 63}`.
        table_rules: rules that return one value for the whole table.
        strict: whether columns beyond the contract's are a problem.
        ordered: whether the order of columns matters.
    """

    name: str
    file: str
    model: type[DataFrameModel]
    columns: tuple[Column, ...]
    keys: tuple[tuple[str, ...], ...]
    row_rules: tuple[rules.RowRule, ...]
    table_rules: tuple[rules.TableRule, ...]
    strict: bool
    ordered: bool
    description: str | None
    rows: ibis.Table = field(repr=False)

    @classmethod
    def of(cls, model: type[DataFrameModel]) -> Contract:
        """The contract of `model`; read once, without running a query.

        Raises:
            ContractError: something in the model cannot be enforced in the database; names file, model and field.
        """
        with _lock:
            if model not in _contracts:
                _contracts[model] = cls(**read(model))
            return _contracts[model]

    def taking(self, names: Iterable[str]) -> Contract:
        """The contract with columns more, of which nothing is known: text that may be null, and counts as personal."""
        text = ibis.dtype("string")
        new = [name for name in names if name not in self.duckdb_columns]
        more = (Column(name, text, "VARCHAR", True, False, None, None, ()) for name in new)
        return dataclasses.replace(self, columns=(*self.columns, *more)) if new else self

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that name a row: the first of `keys`; empty if the contract declares none."""
        return self.keys[0] if self.keys else ()

    @cached_property
    def schema(self) -> ibis.Schema:
        """Column names and Ibis types, in order."""
        added = {column.name: column.dtype for column in self.columns if column.name not in self.rows.columns}
        return ibis.schema({**self.rows.schema(), **added})

    @cached_property
    def duckdb_columns(self) -> dict[str, str]:
        """Column names and DuckDB types, in order."""
        return {column.name: column.sql_type for column in self.columns}

    @property
    def row_hash_sql(self) -> str:
        """SQL: a hash of the row's values; the sum over rows is the same in any order."""
        return profile.row_hash(self.columns)

    @cached_property
    def mask_columns(self) -> tuple[str, ...]:
        """The columns that `label` adds; at least one."""
        return tuple(f"__broken_{number}" for number in range(max(1, -(-len(self.row_rules) // BITS))))

    def column(self, name: str) -> Column:
        """The column called `name`; raises KeyError if there is none."""
        return {column.name: column for column in self.columns}[name]

    def identifiers(self, declared: Any = None) -> set[str]:
        """The columns that tell one thing from another, of which neither a sum nor a mean says anything.

        Args:
            declared: the table, whose references are ids as well.
        """
        references = getattr(declared, "references", ())
        named = {each.name for each in self.columns if each.name == "id" or each.name.endswith("_id")}
        return named.union(*self.keys, *(each.columns for each in references))

    def schema_problems(self, schema: Mapping[str, dt.DataType]) -> tuple[SchemaProblem, ...]:
        """Where `schema` (names to Ibis types) is not the contract's: missing, extra, retyped, reordered columns."""
        return schema_problems(self.columns, dict(schema.items()), strict=self.strict, ordered=self.ordered)

    def label(self, expression: ibis.Table, *, mask_type: str = "uint64") -> ibis.Table:
        """`expression` with the mask columns added: bit `i` is set where row rule `i` is broken.

        Args:
            mask_type: int64 for engines without unsigned numbers; 63 bits fit.

        Raises:
            ContractError: a column of the contract is missing or has another type.
        """
        problems = [
            problem for problem in self.schema_problems(expression.schema()) if problem.kind in ("missing", "type")
        ]
        if problems:
            raise ContractError(
                "; ".join(map(str, problems)),
                where=f"{self.file}: {self.name}",
                fix="Change the table or its contract.",
            )
        masks: dict[str, Any] = {}
        for number, name in enumerate(self.mask_columns):
            mask: Any = ibis.literal(0)
            for bit, rule in enumerate(self.row_rules[number * BITS : (number + 1) * BITS]):
                flag = rules.bind(rule.broken, self.rows, expression).cast("int64") << bit
                mask = flag if bit == 0 else mask | flag
            masks[name] = mask.cast(mask_type)
        return expression.mutate(**masks)

    @cached_property
    def _flags(self) -> tuple[str, ...]:
        """SQL over the contract's columns, of each row rule: whether the row breaks it; never null."""
        if not self.row_rules:
            return ()
        flags = {f"r{index}": rule.broken.op() for index, rule in enumerate(self.row_rules)}
        # Whoever only loads the code would wait for SQLGlot's dialects.
        compiler = import_module("ibis.backends.sql.compilers.duckdb").compiler
        listed = ops.Project(self.rows, flags).replace(_listed).to_expr()
        values = [value.this for value in compiler.to_sqlglot(listed).expressions]
        for column in (node for value in values for node in value.walk() if node.key == "column"):
            column.set("table", None)
        return tuple(value.sql(compiler.dialect) for value in values)

    @property
    def broken_rows_sql(self) -> str:
        """SQL over the contract's columns: whether the row broke any rule, which takes half the time that all masks take."""
        return "(" + (" OR ".join(f"({flag})" for flag in self._flags) or "false") + ")"

    def labelled_sql(self, rows: str) -> str:
        """SQL: what `label` makes of `rows`, a SELECT of the contract's columns and perhaps of others."""
        # As `label` has it, put together as text: of a small table Ibis would take longer for it than DuckDB for the rows.
        masks = []
        for number, name in enumerate(self.mask_columns):
            flags = self._flags[number * BITS : (number + 1) * BITS]
            bits = " | ".join(f"(CAST(({flag}) AS BIGINT) << {bit})" for bit, flag in enumerate(flags)) or "0"
            masks.append(f"CAST({bits} AS UBIGINT) AS {name}")
        return f"SELECT *, {', '.join(masks)} FROM ({rows})"

    def codes(self, masks: Sequence[int]) -> tuple[str, ...]:
        """The codes of the rules whose bits are set in `masks`, in rule order."""
        return tuple(
            rule.code for index, rule in enumerate(self.row_rules) if masks[index // BITS] >> (index % BITS) & 1
        )

    def broken_sql(self, masks: Sequence[str] = ()) -> str:
        """SQL over a labelled relation, or one that has `masks`: whether the row broke any rule."""
        return "(" + " OR ".join(f"{mask} <> 0" for mask in masks or self.mask_columns) + ")"

    def bit_sql(self, index: int) -> str:
        """SQL over a labelled relation: whether the row broke row rule number `index`."""
        return f"{self.mask_columns[index // BITS]} & {1 << (index % BITS)} <> 0"

    def reason_codes_sql(self, masks: Collection[Sequence[int]] = ()) -> str:
        """SQL over a labelled relation: the codes of the broken rules as VARCHAR[], in rule order.

        Args:
            masks: the combinations of mask values that there are, where that is known: of few each is named, and no
                list is made anew for each row.
        """
        if 0 < len(masks) <= NAMED:
            cases = " ".join(
                f"WHEN {' AND '.join(f'{name} = {bits}' for name, bits in zip(self.mask_columns, each, strict=True))} "
                f"THEN CAST([{', '.join(map(literal, self.codes(each)))}] AS VARCHAR[])"
                for each in masks
            )
            return f"CASE {cases} END"
        flags = [
            f"CASE WHEN {self.bit_sql(index)} THEN {literal(rule.code)} END"
            for index, rule in enumerate(self.row_rules)
        ]
        if not flags:
            return "CAST([] AS VARCHAR[])"
        return f"CAST([__code FOR __code IN [{', '.join(flags)}] IF __code IS NOT NULL] AS VARCHAR[])"

    def payload_sql(self) -> str:
        """SQL over the contract's columns: the row as JSON text, every value as lossless text, missing ones as null.

        The session's time zone must be UTC for instants to be written in UTC; they are lossless in any zone.
        """
        return payload.to_payload(self.columns)

    def from_payload_sql(self, payload_column: str = "payload") -> list[str]:
        """SQL expressions, one per column and named like it, that read `payload_sql` back from `payload_column`."""
        return payload.from_payload(self.columns, payload_column)

    def masked(self, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
        """Rows of some of the columns; values of personal, secret, unclassified and unknown ones are `***`."""
        classes = {column.name: column.classification for column in self.columns}
        return [{name: mask(value, classes.get(name)) for name, value in zip(names, row, strict=True)} for row in rows]

    def broken(self, connection: duckdb.DuckDBPyConnection, relation: str) -> Broken:
        """How many rows of a labelled relation broke which rules; one scan of the mask columns alone."""
        columns = ", ".join(self.mask_columns)
        found = connection.execute(f"SELECT {columns}, count(*) FROM {relation} GROUP BY {columns} ORDER BY {columns}")
        masks = {tuple(row[:-1]): int(row[-1]) for row in found.fetchall()}
        counts: dict[str, int] = {rule.code: 0 for rule in self.row_rules}
        for bits, rows in masks.items():
            for code in self.codes(bits):
                counts[code] += rows
        return Broken(
            rows=sum(masks.values()),
            rejected=sum(rows for bits, rows in masks.items() if any(bits)),
            counts={code: rows for code, rows in counts.items() if rows},
            masks=masks,
        )

    def profile(
        self, connection: duckdb.DuckDBPyConnection, relation: str, *, rows: int | None = None
    ) -> profile.Profile:
        """Row count, column profile and content hash of a relation with the contract's columns; see `profile`."""
        return profile.profile(connection, relation, self.columns, rows=rows)

    def key_problems(
        self,
        connection: duckdb.DuckDBPyConnection,
        relation: str,
        *,
        key: tuple[str, ...] | None = None,
        rows: int | None = None,
    ) -> uniqueness.KeyProblems:
        """Nulls and repeats of `key` (default: the contract's first); see `uniqueness.key_problems`."""
        return uniqueness.key_problems(connection, relation, self.columns, self.key if key is None else key, rows=rows)


def _listed(node: Any, changed: Mapping[str, Any] | None) -> Any:
    """`node`; one of few texts is looked for in a list.

    It has the same value. DuckDB calls a function once for each text of a dictionary, as it stores columns of codes, and
    an operator such as IN for each row: two of them took a third of the time in which 21 million rows were written.
    """
    node = node.__recreate__(changed) if changed else node
    # A list without a text has no type, and one with a null would answer for it as IN does not.
    if (
        not isinstance(node, ops.InValues)
        or not node.options
        or not all(isinstance(option, ops.Literal) and option.value is not None for option in node.options)
    ):
        return node
    texts = all(each.dtype.is_string() for each in (node.value, *node.options))
    return ops.ArrayContains(ops.Array(node.options), node.value) if texts else node
