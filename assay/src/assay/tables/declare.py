"""`@table`, `@export`, `@invariant` and `@metric`: typed functions become nodes of the pipeline.

What belongs here: reading a function's signature into a definition. Nothing here knows Dagster, a
database connection or a clock; `build.py` builds definitions and `assets.py` turns them into assets.
"""

from __future__ import annotations

import dataclasses
import datetime as dtm
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import ibis.expr.types as ir
from pandera.typing.ibis import Table

from assay.errors import WiringError
from assay.tables.fresh import Fresh
from assay.tables.loads import History, Incremental
from assay.tables.nodes import (
    MAY_SHRINK,
    ExportDef,
    InvariantDef,
    KeepFirst,
    Known,
    MetricDef,
    Model,
    Reference,
    RejectBudget,
    Severity,
    TableDef,
    is_text,
)
from assay.tables.partitions import Partitions
from assay.tables.run import Run

if typing.TYPE_CHECKING:
    from assay.sources.base import Source


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
    load: Incremental | History | None = None,
    preserves: str | None = None,
    max_rejects: RejectBudget | None = None,
    keep: KeepFirst | None = None,
    references: tuple[Reference, ...] | list[Reference] = (),
    known: tuple[Known, ...] | list[Known] = (),
    engine: Literal["ibis", "python"] = "ibis",
    may_be_empty: bool = False,
    may_shrink: float | None = None,
    usual: Severity = "warn",
    fresh: Fresh | None = None,
    newest: tuple[str, dtm.timedelta] | None = None,
    settings: tuple[str, ...] = (),
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
        load: `Incremental`, where each build takes what is new since the watermark, or `History`, where it keeps versions;
            else it takes all rows and replaces the table.
        preserves: an input none of whose rows may be lost or multiplied.
        max_rejects: how many broken rows may be set aside before nothing is published; default none.
        keep: which of the rows repeating the unique key stays; without it a repeat fails the audit.
        references: foreign keys.
        known: warnings of its checks that are facts of the data, each with a reason and up to how many rows: they are no
            news.
        engine: "ibis" for a lazy expression, "python" for a function that computes rows (a model).
        may_be_empty: whether no rows at all, of the table or of a partition, may replace published ones; else that
            fails the audit.
        may_shrink: the share of the published rows that a build may remove (of those of the partitions it builds), 1
            for any; default a tenth, or any of a table that may be empty. More fails the audit.
        usual: what happens where a number of the build is far from its own past (rows, shares of rejects and nulls,
            metrics): "warn" reports, "error" keeps the table from being published.
        fresh: by when it must be built anew; default: the project's.
        newest: a column of days or moments and how old its largest value may be.
        settings: fields of the project's settings that the function reads, as `run.settings["name"]` of its parameter
            `run: Run`. A changed one, but for secrets, counts as changed code.
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
        if load is not None and not isinstance(load, Incremental | History):
            raise WiringError(f"load= is {load!r}", where=where, fix="Give Incremental(cursor=...) or History().")
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
        if usual not in ("warn", "error"):
            raise WiringError(f"usual='{usual}' is no severity", where=where, fix='Give "warn" or "error".')
        if newest is not None and [type(each) for each in newest] != [str, dtm.timedelta]:
            raise WiringError(
                f"newest={newest!r} is no column with an age", where=where, fix='Write ("sold_on", timedelta(days=2)).'
            )
        return TableDef(
            **_node(function, signature, owner, tags, settings),
            model=signature.returns,
            source=_with_the_tables_watermark(source, load),
            source_parameter=signature.source_parameter,
            partitions=partitions,
            load=load,
            preserves=preserves,
            max_rejects=max_rejects or RejectBudget(),
            keep=keep,
            references=tuple(references),
            known=tuple(known),
            engine=engine,
            may_be_empty=may_be_empty,
            may_shrink=may_shrink if may_shrink is not None else 1.0 if may_be_empty else MAY_SHRINK,
            usual=usual,
            fresh=fresh,
            newest=newest,
        )

    return decorate


def export(
    path: str,
    *,
    settings: tuple[str, ...] = (),
    owner: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., Any]], ExportDef]:
    """Turn a typed function that returns `str` or `bytes` into a file for consumers, replaced atomically.

    Its arguments are as for `table`.
    """

    def decorate(function: Callable[..., Any]) -> ExportDef:
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts or not parts.name:
            raise WiringError(
                f"'{path}' is no file inside the output folder",
                where=f"{_file(function)}: {function.__name__}",
                fix="Give a relative path, such as 'reports/week.html'.",
            )
        return ExportDef(**_node(function, _read(function), owner, tags, settings), path=path)

    return decorate


def invariant(
    *,
    severity: Severity = "error",
    across_partitions: bool = False,
    names: str | None = None,
    owner: str | None = None,
) -> Callable[[Callable[..., Any]], InvariantDef]:
    """Turn a typed function that returns contradicting rows into a check of its first parameter's table.

    Of a partitioned table it sees the rows of the partitions that are built, and of every other partitioned table
    those of the same time; tables without partitions it sees whole.

    Args:
        severity: "error" keeps the table from being published, "warn" reports.
        across_partitions: whether it sees all rows of partitioned tables too: for what spans several days.
        names: a column of the rows it returns that says what is wrong, such as a feature's name. It is told with the check,
            also to who gets alerts, so it must hold no value of a table's row.
        owner: an e-mail address or `team:name`.

    Raises:
        WiringError: it has no parameter annotated `Table[Contract]`, or says that it returns no Ibis table.
    """

    def decorate(function: Callable[..., Any]) -> InvariantDef:
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
            names=names,
        )

    return decorate


def metric(
    *, kind: Literal["count", "share", "number"] = "number", owner: str | None = None
) -> Callable[[Callable[..., Any]], MetricDef]:
    """Turn a typed function that returns one number of its only parameter's table into a metric of that table.

    Its value is taken from the table as it would be after publishing, kept in `ops.metrics`, and judged by its own
    past in the check `usual`.

    Args:
        kind: "count" for what cannot be below 0, "share" for what is between 0 and 1, "number" for anything else.
        owner: an e-mail address or `team:name`.

    Raises:
        WiringError: it has not exactly one parameter annotated `Table[Contract]`, or the kind is none.
    """

    def decorate(function: Callable[..., Any]) -> MetricDef:
        signature, where = _read(function), f"{_file(function)}: {function.__name__}"
        if len(signature.inputs) != 1 or signature.source_parameter or signature.run_parameter:
            raise WiringError(
                "a metric is a number of one table", where=where, fix="Give it one parameter: name: Table[Contract]."
            )
        if kind not in ("count", "share", "number"):
            raise WiringError(f"kind='{kind}' is none", where=where, fix='Give "count", "share" or "number".')
        return MetricDef(**_node(function, signature, owner, None), table=next(iter(signature.inputs)), kind=kind)

    return decorate


def _with_the_tables_watermark(source: Source | None, load: Incremental | History | None) -> Source | None:
    """The source; one that goes on by the very cursor of the table's load needs no watermark of its own."""
    if isinstance(load, Incremental) and getattr(source, "cursor", None) == load.cursor:
        return dataclasses.replace(typing.cast("Any", source), cursor=None)
    return source


def _read(function: Callable[..., Any]) -> _Signature:
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
    if typing.get_origin(hint) is Table:
        return typing.cast("Model", typing.get_args(hint)[0])
    return None


def _node(
    function: Callable[..., Any],
    signature: _Signature,
    owner: str | None,
    tags: Mapping[str, str] | None,
    settings: tuple[str, ...] = (),
) -> dict[str, Any]:
    if settings and (is_text(settings) or signature.run_parameter is None):
        fix = 'Write settings=("name",), and a parameter run: Run, which has them.'
        raise WiringError(
            f"settings={settings!r} cannot be read", where=f"{_file(function)}: {function.__name__}", fix=fix
        )
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
        "settings": tuple(settings),
        "owner": owner,
        "tags": dict(tags or {}),
    }


def _file(function: Callable[..., Any]) -> Path:
    return Path(inspect.getsourcefile(function) or "<unknown>")
