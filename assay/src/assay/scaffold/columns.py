"""The columns of a table that does not exist yet, read off an expression; `samples.py` reads them off a sample."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
import ibis.expr.operations as ops

from assay.contract.classification import CLASSIFICATIONS
from assay.contract.contract import Contract
from assay.errors import PipelineError
from assay.tables.lineage import column_lineage, origins
from assay.tables.nulls import Nulls

if TYPE_CHECKING:
    import ibis.expr.datatypes as dt

    from assay.tables.nodes import TableDef


@dataclass(frozen=True)
class Draft:
    """A column to be written into a contract.

    Attributes:
        served: its name in the source, where that is no Python name.
        description: what it means; None asks the author.
        classification: public, internal, personal or secret; `personal` until somebody decides.
    """

    name: str
    dtype: dt.DataType
    nullable: bool = True
    description: str | None = None
    classification: str = "personal"
    served: str | None = None


def python_string(text: str) -> str:
    """Any text as Python code: whatever a scaffold writes into a file that is not a name goes through here."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    return letter if letter.isprintable() else f"\\U{ord(letter):08x}"


def python_name(text: str) -> str:
    """A column's name in snake case, made from any text."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", unicodedata.normalize("NFKC", text.strip()))
    name = "".join(letter if f"a{letter}".isidentifier() else " " for letter in name.lower())
    name = unicodedata.normalize("NFKC", re.sub(r"[ _]+", "_", name).strip("_"))
    if keyword.iskeyword(name):
        return f"{name}_"
    return name if re.match(r"[a-z_]", name) else f"column_{name}"


def python_names(served: Iterable[str]) -> list[str]:
    """A Python name for each column, all of them different."""
    found: list[str] = []
    for text in served:
        name, number = python_name(text), 2
        while name in found:
            name, number = f"{python_name(text)}_{number}", number + 1
        found.append(name)
    return found


def default_expression(upstream: Sequence[TableDef]) -> str:
    """Code that joins the upstream tables on the columns they share, and keeps every column once.

    Raises:
        PipelineError: a table shares no column with the first.
    """
    first, *others = upstream
    names = [column.name for column in Contract.of(first.model).columns]
    code, kept = first.name, list(names)
    for other in others:
        contract = Contract.of(other.model)
        theirs = [column.name for column in contract.columns]
        shared = [name for name in (contract.key or theirs) if name in names]
        if not shared:
            raise PipelineError(
                f"'{first.name}' and '{other.name}' share no column to join on",
                fix="Say how to combine them with --expression.",
            )
        code += f".left_join({other.name}, {_quoted(shared, bracket=True)})"
        kept += [name for name in theirs if name not in kept]
    return f"{code}.select({_quoted(kept)})"


def of_expression(
    code: str, upstream: Sequence[TableDef], given: Mapping[str, bool] | None = None
) -> tuple[list[Draft], tuple[str, ...]]:
    """The columns of an expression over the contracts' empty tables, and the key where it groups by one.

    A column that is an upstream column, unchanged, keeps its description and class. One that is computed asks its author
    what it means, and gets the strictest class of what it is computed from. Whether it may be null follows from what it is
    computed from, and from the rows there are now.

    Args:
        given: column -> whether some row that the expression gives now has no value in it; None if there are no rows.

    Raises:
        PipelineError: the code does not run, or is no table.
    """
    contracts = {table.name: Contract.of(table.model) for table in upstream}
    rows = {name: contract.rows for name, contract in contracts.items()}
    table = evaluated(code, rows)
    nulls = Nulls(
        {
            rows[name].op(): {column.name: column.nullable for column in found.columns}
            for name, found in contracts.items()
        }
    )
    lineage, unchanged = column_lineage(table, rows), origins(table, rows)
    drafts = []
    for name, dtype in table.schema().items():
        sources = [contracts[origin].column(column) for origin, column in lineage[name]]
        classes = [column.classification or "personal" for column in sources]
        whole = contracts[unchanged[name][0]].column(unchanged[name][1]) if name in unchanged else None
        found = nulls.column(table.op(), name)
        drafts.append(
            Draft(
                name,
                dtype,
                # Where the expression does not tell, the rows do; where neither does, it may be null.
                nullable=found is True or (given or {}).get(name, found is None),
                description=whole.description if whole else None,
                classification=max(classes, key=CLASSIFICATIONS.index, default="internal"),
            )
        )
    root = table.op()
    return drafts, tuple(root.groups) if isinstance(root, ops.Aggregate) else ()


def evaluated(code: str, tables: Mapping[str, ibis.Table]) -> ibis.Table:
    """The expression that `code` is over tables of these names; raises PipelineError if it fails, or is no table."""
    try:
        table = eval(code, {"ibis": ibis, "_": ibis._, **tables})  # the author's own code, as in their file
    except Exception as error:  # noqa: BLE001  whatever their code raises is about their code
        raise PipelineError(f"the expression fails: {error}", where=code, fix="Mend it, or leave it out.") from None
    if not isinstance(table, ibis.Table):
        raise PipelineError(
            f"the expression is a {type(table).__name__}, not a table",
            where=code,
            fix="End in a table, as .select() does.",
        )
    return table


def _quoted(names: Sequence[str], *, bracket: bool = False) -> str:
    text = ", ".join(map(python_string, names))
    return f"[{text}]" if bracket else text
