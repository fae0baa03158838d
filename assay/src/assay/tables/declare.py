"""`@table`, `@export` and `@invariant`: typed functions become nodes of the pipeline.

What belongs here: reading a function's signature into a definition. Nothing here knows Dagster, a
database connection or a clock; `build.py` builds definitions and `assets.py` turns them into assets.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from assay.errors import WiringError
from assay.sql import quoted
from assay.tables.partitions import Partitions
from assay.tables.run import Run
from assay.words import rows_told

if typing.TYPE_CHECKING:
    from pandera.ibis import DataFrameModel

    from assay.sources.base import Source

Model = type["DataFrameModel"]
Severity = Literal["error", "warn"]

MAY_SHRINK = 0.1
"""The share of its published rows that a build may remove; a plan tells what is above it as destructive."""


def removes_too_much(removed: int, before: int, share: float) -> bool:
    """Whether more than `share` of `before` rows go; a single row may, unless none may (0)."""
    return removed > (max(1.0, share * before) if share else 0)


@dataclass(frozen=True)
class RejectBudget:
    """How many broken rows a table may set aside and still be published.

    Up to `rows` of them, or up to `ratio` of the staged rows, whichever is more.
    """

    rows: int = 0
    ratio: float = 0.0

    def __post_init__(self) -> None:
        if self.rows < 0 or not 0 <= self.ratio <= 1:
            raise WiringError(f"{self!r} is no budget", fix="Give rows >= 0 and a ratio between 0 and 1.")

    def tolerates(self, rejected: int, staged: int) -> bool:
        return rejected <= self.rows or rejected <= self.ratio * staged

    def __str__(self) -> str:
        share = f" or {self.ratio * 100:g}%" if self.ratio else ""
        return f"{rows_told(self.rows)}{share}"


@dataclass(frozen=True)
class KeepFirst:
    """Of the rows that share the contract's unique key keep the first by `order_by`; the others are rejected.

    A name with a leading minus sorts from the largest value down.

    The order must be total over the repeats: rows equal in every `order_by` column are interchangeable
    only if they are equal in every column.
    """

    order_by: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.order_by or _is_text(self.order_by):
            raise WiringError(
                f"{self} does not say which row comes first", fix="Name the columns: order_by=('updated_at',)."
            )

    def order_sql(self, columns: Iterable[str]) -> list[str]:
        """The declared order as SQL terms, ties broken by all `columns`, so that it never depends on arrival."""
        terms = [(name.removeprefix("-"), "DESC" if name.startswith("-") else "ASC") for name in self.order_by]
        terms += [(name, "ASC") for name in columns]
        return [f"{quoted(name)} {way} NULLS LAST" for name, way in terms]


@dataclass(frozen=True)
class Reference:
    """A foreign key: non-null `columns` must exist among `to_columns` (default: the same names) of table `to`."""

    columns: tuple[str, ...]
    to: str
    to_columns: tuple[str, ...] = ()
    severity: Severity = "error"

    def __post_init__(self) -> None:
        if _is_text(self.columns) or _is_text(self.to_columns):
            raise WiringError(f"{self}: columns are given as a tuple", fix="Write Reference(('product_id',), ...).")
        if not self.columns or len(self.to_columns or self.columns) != len(self.columns):
            raise WiringError(f"{self} does not pair its columns", fix="Give as many to_columns as columns.")

    @property
    def name(self) -> str:
        """The check's name, e.g. `product_id_in_products`."""
        return f"{'_and_'.join(self.columns)}_in_{self.to}"


@dataclass(frozen=True, kw_only=True)
class Node:
    """What tables and exports share: a function, where it stands, and what it reads."""

    name: str
    stage: str
    module: str
    file: Path
    function: Callable[..., Any]
    grain: str
    description: str
    inputs: Mapping[str, Model]
    run_parameter: str | None
    owner: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def upstream(self) -> tuple[str, ...]:
        """Names of the tables that must be published before this node is built."""
        return tuple(self.inputs)


@dataclass(frozen=True, kw_only=True)
class TableDef(Node):
    """A table: its contract, its wiring and how it is audited and published."""

    model: Model
    source: Source | None = None
    source_parameter: str | None = None
    partitions: Partitions | None = None
    preserves: str | None = None
    max_rejects: RejectBudget = RejectBudget()
    keep: KeepFirst | None = None
    references: tuple[Reference, ...] = ()
    engine: Literal["ibis", "python"] = "ibis"
    may_be_empty: bool = False
    may_shrink: float = MAY_SHRINK

    @property
    def upstream(self) -> tuple[str, ...]:
        names = [*self.inputs, *(reference.to for reference in self.references)]
        if self.preserves:
            names.append(self.preserves)
        return tuple(dict.fromkeys(name for name in names if name != self.name))

    @property
    def appends(self) -> bool:
        """Whether each build adds rows (event streams) instead of replacing them."""
        return self.source is not None and self.source.incremental


@dataclass(frozen=True, kw_only=True)
class ExportDef(Node):
    """A file for consumers, made from tables: `path` is relative to the output folder."""

    path: str


@dataclass(frozen=True, kw_only=True)
class InvariantDef(Node):
    """A statement that spans tables, audited before `table` (its first parameter) is published.

    The function returns the rows that contradict it, as an Ibis table; none means it holds.
    """

    table: str
    severity: Severity = "error"
    across_partitions: bool = False

    @property
    def upstream(self) -> tuple[str, ...]:
        return tuple(name for name in self.inputs if name != self.table)


@dataclass(frozen=True)
class _Signature:
    inputs: dict[str, Model]
    annotated: Any
    returns: Model | None
    source_parameter: str | None
    run_parameter: str | None


def table(
    *,
    source: Source | None = None,
    partitions: Partitions | None = None,
    preserves: str | None = None,
    max_rejects: RejectBudget | None = None,
    keep: KeepFirst | None = None,
    references: tuple[Reference, ...] | list[Reference] = (),
    engine: Literal["ibis", "python"] = "ibis",
    may_be_empty: bool = False,
    may_shrink: float | None = None,
    owner: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., Any]], TableDef]:
    """Turn a typed function into a table of the stage whose folder its file stands in.

    Parameter names are upstream tables, annotations `Table[Contract]` are their contracts, the return
    annotation is this table's contract. A parameter `source: ibis.Table` receives the rows of `source=`;
    a parameter annotated `Run` receives the clock, seed and run id.

    Args:
        source: where the rows come from (extract tables).
        partitions: hourly, daily, weekly, monthly or static; a partition run replaces exactly its own rows.
        preserves: an input none of whose rows may be lost or multiplied.
        max_rejects: how many broken rows may be set aside before nothing is published; default none.
        keep: which of the rows repeating the unique key stays; without it a repeat fails the audit.
        references: foreign keys.
        engine: "ibis" for a lazy expression, "python" for a function that computes rows (a model).
        may_be_empty: whether no rows at all, of the table or of a partition, may replace published ones; else that
            fails the audit.
        may_shrink: the share of the published rows that a build may remove (of those of the partitions it builds), 1
            for any; default a tenth, or any of a table that may be empty. More fails the audit.
        owner: an e-mail address or `team:name`.

    Raises:
        WiringError: a parameter or the return value has no usable annotation, `preserves` is no input, or
            `may_shrink` is no share.
    """

    def decorate(function: Callable[..., Any]) -> TableDef:
        signature = _read(function)
        where = f"{_file(function)}: {function.__name__}"
        if signature.returns is None:
            raise WiringError(
                "the table has no contract", where=where, fix="Annotate the return value: -> Table[Contract]."
            )
        if (source is None) != (signature.source_parameter is None):
            raise WiringError(
                "`source=` and a parameter `source: ibis.Table` go together",
                where=where,
                fix="Give both, or neither.",
            )
        if partitions is not None and not isinstance(partitions, Partitions):
            raise WiringError(
                f"partitions= is {type(partitions).__name__}",
                where=where,
                fix="Use hourly, daily, weekly, monthly or static: a partition is the rows of one value of one column.",
            )
        if preserves is not None and preserves not in signature.inputs:
            raise WiringError(
                f"preserves='{preserves}' is none of its inputs ({', '.join(signature.inputs) or 'none'})",
                where=where,
                fix="Name the parameter whose rows are all kept.",
            )
        if may_shrink is not None and not 0 <= may_shrink <= 1:
            raise WiringError(
                f"may_shrink={may_shrink} is no share", where=where, fix="Give one between 0 and 1, such as 0.5."
            )
        return TableDef(
            **_node(function, signature, owner, tags),
            model=signature.returns,
            source=source,
            source_parameter=signature.source_parameter,
            partitions=partitions,
            preserves=preserves,
            max_rejects=max_rejects or RejectBudget(),
            keep=keep,
            references=tuple(references),
            engine=engine,
            may_be_empty=may_be_empty,
            may_shrink=may_shrink if may_shrink is not None else 1.0 if may_be_empty else MAY_SHRINK,
        )

    return decorate


def export(
    path: str, *, owner: str | None = None, tags: Mapping[str, str] | None = None
) -> Callable[[Callable[..., Any]], ExportDef]:
    """Turn a typed function that returns `str` or `bytes` into a file for consumers, replaced atomically."""

    def decorate(function: Callable[..., Any]) -> ExportDef:
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts or not parts.name:
            raise WiringError(
                f"'{path}' is no file inside the output folder",
                where=f"{_file(function)}: {function.__name__}",
                fix="Give a relative path, such as 'reports/week.html'.",
            )
        return ExportDef(**_node(function, _read(function), owner, tags), path=path)

    return decorate


def invariant(
    *, severity: Severity = "error", across_partitions: bool = False, owner: str | None = None
) -> Callable[[Callable[..., Any]], InvariantDef]:
    """Turn a typed function that returns contradicting rows into a check of its first parameter's table.

    Of a partitioned table it sees the rows of the partitions that are built, and of every other partitioned table
    those of the same time; tables without partitions it sees whole.

    Args:
        severity: "error" keeps the table from being published, "warn" reports.
        across_partitions: whether it sees all rows of partitioned tables too: for what spans several days.
        owner: an e-mail address or `team:name`.

    Raises:
        WiringError: it has no parameter annotated `Table[Contract]`, or says that it returns no Ibis table.
    """

    def decorate(function: Callable[..., Any]) -> InvariantDef:
        import ibis.expr.types as ir

        signature = _read(function)
        if signature.annotated not in (None, ir.Table):
            told = getattr(signature.annotated, "__name__", signature.annotated)
            raise WiringError(
                f"an invariant returns the rows that contradict it, not {told}",
                where=f"{_file(function)}: {function.__name__}",
                fix="Return an Ibis table: -> ibis.Table.",
            )
        if not signature.inputs:
            raise WiringError(
                "an invariant needs a table",
                where=f"{_file(function)}: {function.__name__}",
                fix="Annotate its parameters: name: Table[Contract].",
            )
        return InvariantDef(
            **_node(function, signature, owner, None),
            table=next(iter(signature.inputs)),
            severity=severity,
            across_partitions=across_partitions,
        )

    return decorate


def _is_text(value: object) -> bool:
    """A bare string where a tuple of names belongs would be read letter by letter."""
    return isinstance(value, str)


def _read(function: Callable[..., Any]) -> _Signature:
    import ibis.expr.types as ir

    where = f"{_file(function)}: {function.__name__}"
    try:
        hints = typing.get_type_hints(function)
    except NameError as error:
        raise WiringError(
            f"an annotation names something unknown: {error}", where=where, fix="Import it at the top of the file."
        ) from None
    inputs: dict[str, Model] = {}
    source_parameter = run_parameter = None
    for name in inspect.signature(function).parameters:
        hint = hints.get(name)
        model = _contract_of(hint)
        if model is not None:
            inputs[name] = model
        elif hint is ir.Table and name == "source":
            source_parameter = name
        elif hint is Run:
            run_parameter = name
        else:
            raise WiringError(
                f"parameter '{name}' has no usable annotation",
                where=where,
                fix="Write name: Table[Contract], source: ibis.Table or run: Run.",
            )
    returned = hints.get("return")
    return _Signature(inputs, returned, _contract_of(returned), source_parameter, run_parameter)


def _contract_of(hint: Any) -> Model | None:
    from pandera.typing.ibis import Table

    if typing.get_origin(hint) is Table:
        return typing.cast("Model", typing.get_args(hint)[0])
    return None


def _node(
    function: Callable[..., Any], signature: _Signature, owner: str | None, tags: Mapping[str, str] | None
) -> dict[str, Any]:
    module = inspect.getmodule(function)
    grain = (inspect.getdoc(module) or "").splitlines()[:1] if module else []
    parts = function.__module__.split(".")
    return {
        "name": function.__name__,
        "stage": parts[-2] if len(parts) > 1 else parts[0],
        "module": function.__module__,
        "file": _file(function),
        "function": function,
        "grain": grain[0] if grain else "",
        "description": inspect.getdoc(function) or "",
        "inputs": signature.inputs,
        "run_parameter": signature.run_parameter,
        "owner": owner,
        "tags": dict(tags or {}),
    }


def _file(function: Callable[..., Any]) -> Path:
    return Path(inspect.getsourcefile(function) or "<unknown>")
