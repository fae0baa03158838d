"""The columns of a table that does not exist yet: read off an expression, or off a sample of its source."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.contract.classification import CLASSIFICATIONS
from assay.errors import PipelineError

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
    from assay.contract import Contract

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


def of_expression(code: str, upstream: Sequence[TableDef]) -> tuple[list[Draft], tuple[str, ...]]:
    """The columns of an expression over the contracts' empty tables, and the key where it groups by one.

    A column taken over from one upstream column keeps its description and class; any other one gets the strictest
    class of what it is computed from.

    Raises:
        PipelineError: the code does not run, or is no table.
    """
    import ibis
    import ibis.expr.operations as ops

    from assay.contract import Contract
    from assay.tables.lineage import column_lineage

    rows = {table.name: Contract.of(table.model).rows for table in upstream}
    try:
        table = eval(code, {"ibis": ibis, "_": ibis._, **rows})  # the author's own code, as in their file
    except Exception as error:  # noqa: BLE001  whatever their code raises is about their code
        raise PipelineError(f"the expression fails: {error}", where=code, fix="Mend it, or leave it out.") from None
    if not isinstance(table, ibis.Table):
        raise PipelineError(
            f"the expression is a {type(table).__name__}, not a table",
            where=code,
            fix="End in a table, as .select() does.",
        )
    lineage = column_lineage(table, rows)
    contracts = {table.name: Contract.of(table.model) for table in upstream}
    first, schema, root = upstream[0].name, table.schema(), table.op()
    drafts = [_draft(name, dtype, lineage[name], contracts, first) for name, dtype in schema.items()]
    return drafts, tuple(root.groups) if isinstance(root, ops.Aggregate) else ()


def _draft(
    name: str, dtype: dt.DataType, origins: Sequence[tuple[str, str]], contracts: Mapping[str, Any], first: str
) -> Draft:
    columns = [contracts[table].column(column) for table, column in origins]
    classes = [column.classification or "personal" for column in columns]
    strictest = max(classes, key=CLASSIFICATIONS.index, default="internal")
    if len(columns) == 1 and columns[0].name == name and columns[0].dtype == dtype.copy(nullable=True):
        outer = origins[0][0] != first  # the right side of a left join may be missing
        return Draft(name, dtype, columns[0].nullable or outer, columns[0].description, strictest)
    return Draft(name, dtype, False, None, strictest)


def of_sample(path: Path, kind: str, *, items: str | None = None) -> list[Draft]:
    """The columns of a sample file, with the types DuckDB sees in it; every one is the author's to confirm.

    Raises:
        PipelineError: the sample is missing or cannot be read as `kind`.
    """
    import duckdb
    from ibis.backends.sql.datatypes import DuckDBType

    if not path.is_file():
        raise PipelineError("the sample does not exist", where=str(path), fix="Give a file, or leave --sample out.")
    try:
        if kind == "page":
            served = [(name, "VARCHAR") for name in _headers(path)]
        else:
            with duckdb.connect() as connection:
                query = f"DESCRIBE SELECT * FROM {_reader(path, kind, items)}"
                served = [(row[0], row[1]) for row in connection.execute(query).fetchall()]
    except (duckdb.Error, ValueError) as error:
        raise PipelineError(
            f"the sample is no {kind}: {str(error).splitlines()[0]}", where=str(path), fix="Give another sample."
        ) from None
    names = python_names(name for name, _ in served)
    return [
        Draft(name, DuckDBType.from_string(dtype), served=None if name == text else text)
        for name, (text, dtype) in zip(names, served, strict=True)
    ]


def _reader(path: Path, kind: str, items: str | None) -> str:
    from assay.sql import quoted

    text = str(path).replace("'", "''")
    if kind == "csv":
        return f"read_csv('{text}')"
    if kind == "parquet":
        return f"read_parquet('{text}')"
    if kind == "api":
        rows = f"SELECT unnest({quoted(items or 'data')}) AS item FROM read_json('{text}')"
        return f"(SELECT item.* FROM ({rows}))"
    return f"read_json('{text}', format = 'newline_delimited')"


def _headers(path: Path) -> list[str]:
    from selectolax.lexbor import LexborHTMLParser

    page = LexborHTMLParser(path.read_text(encoding="utf-8"))
    found = [cell.text(strip=True) for cell in page.css("table th")]
    if not found:
        raise ValueError("it holds no table with a header")
    return found


def _quoted(names: Sequence[str], *, bracket: bool = False) -> str:
    text = ", ".join(map(python_string, names))
    return f"[{text}]" if bracket else text
