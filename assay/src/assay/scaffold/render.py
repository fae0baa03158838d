"""Writes the Python of a new table's file, marking each line that its author must decide on."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis.expr.datatypes as dt

from assay.scaffold.columns import Draft, python_string
from assay.scaffold.unsaid import EDIT
from assay.tables.partitions import HOUR, PartitionRange, Partitions

if TYPE_CHECKING:
    from assay.tables.nodes import TableDef

FRAMEWORK = __name__.rsplit(".", 2)[0]
SIMPLE = re.compile(r"(Int|UInt|Float)\d+|String|Boolean|Date|Time|Binary")


@dataclass(frozen=True)
class File:
    """What a new table's file says.

    Attributes:
        code: the expression that the function returns.
        source: the connector as code, e.g. `Csv("shop_files", "orders.csv")`; None for a table of tables.
        key: columns that name a row; empty asks the author.
        preserves: the upstream table none of whose rows may be lost or multiplied.
        partitions: the partitions as code, e.g. `daily("sold_on", start="2017-01-01")`; "" for none.
        inferred_from: what the columns were read off, for people.
        imports, function: lines of import, and code of a function that the source calls.
    """

    name: str
    columns: Sequence[Draft]
    code: str
    upstream: Sequence[TableDef] = ()
    source: str | None = None
    key: Sequence[str] = ()
    preserves: str | None = None
    partitions: str = ""
    inferred_from: str = "the expression"
    imports: Sequence[str] = ()
    function: str = ""

    @property
    def model(self) -> str:
        return "".join(part.capitalize() for part in self.name.split("_"))


def render(file: File) -> str:
    """The file's text, formatted as the project formats where Ruff is installed."""
    parts = [
        f'"""One row per {file.name}."""',
        f'# {EDIT} state the grain in the line above, as in "One row per order."',
        "",
        *_imports(file),
        "",
        "",
        *([file.function, ""] if file.function else []),
        *_contract(file),
        "",
        "",
        *_function(file),
    ]
    return _formatted("\n".join(parts) + "\n")


def annotation(dtype: dt.DataType) -> str:
    """The type as a contract's annotation."""
    name = type(dtype).__name__
    if isinstance(dtype, dt.Decimal):
        return f"dt.Decimal({dtype.precision}, {dtype.scale})"
    if isinstance(dtype, dt.Timestamp):
        zone = f"timezone={python_string(dtype.timezone)}, " if dtype.timezone else ""
        return f"dt.Timestamp({zone}scale={6 if dtype.scale is None else dtype.scale})"
    if SIMPLE.fullmatch(name):
        return f"dt.{name}"
    return f"types.exact({_as_code(dtype)})"


def _as_code(dtype: dt.DataType) -> str:
    """A type as code that makes it, whatever its fields are called."""
    if isinstance(dtype, dt.Struct):
        pairs = (f"{python_string(name)}: {_as_code(kind)}" for name, kind in dtype.fields.items())
        return f"dt.Struct({{{', '.join(pairs)}}})"
    if isinstance(dtype, dt.Array):
        return f"dt.Array({_as_code(dtype.value_type)})"
    if isinstance(dtype, dt.Map):
        return f"dt.Map({_as_code(dtype.key_type)}, {_as_code(dtype.value_type)})"
    code = annotation(dtype) if isinstance(dtype, dt.Decimal | dt.Timestamp) else f"dt.{type(dtype).__name__}"
    return code if code.endswith(")") else f"{code}()"


def partitions_code(of: Partitions) -> str:
    """The call that makes these partitions."""
    column = python_string(of.column)
    if of.unit == "static":
        return f"static({column}, keys=[{', '.join(map(python_string, of.names))}])"
    first, *_ = of.keys(PartitionRange(of.start, of.start + HOUR))
    written = [column, f"start={python_string(first)}"]
    if of.stop is not None:
        written.append(f"end={python_string(of.keys(PartitionRange(of.start, of.stop))[-1])}")
    if of.timezone != "UTC":
        written.append(f"timezone={python_string(of.timezone)}")
    return f"{'daily' if of.unit == 'day' else of.unit + 'ly'}({', '.join(written)})"


def _imports(file: File) -> list[str]:
    annotations = [annotation(column.dtype) for column in file.columns]
    whole = ["import pandera.ibis as pa", "from pandera.typing.ibis import Table"]
    if any("dt." in text for text in annotations):
        whole.insert(0, "import ibis.expr.datatypes as dt")
    if file.source is not None or re.search(r"\bibis\.", file.code):
        whole.insert(0, "import ibis")
    if re.search(r"(?<![\w.])_(?=[.\[])", file.code):
        whole.insert(-1, "from ibis import _")
    classes = sorted({column.classification for column in file.columns})
    units = [file.partitions.partition("(")[0]] if file.partitions else []
    own = [f"from {FRAMEWORK} import {', '.join(sorted([*classes, *units, 'table']))}"]
    own += [f"from {table.model.__module__} import {table.model.__name__}" for table in file.upstream]
    if file.source is not None:
        used = {
            file.source.partition("(")[0],
            *re.findall(r"\b(?:FetchContext|Sheet)\b", f"{file.source} {file.function}"),
        }
        own.append(f"from {FRAMEWORK}.sources import {', '.join(sorted(used))}")
    if any(text.startswith("types.") for text in annotations):
        own.append(f"from {FRAMEWORK}.contract import types")
    library = [line for line in file.imports if line.startswith(("from collections", "from typing"))]
    whole = sorted([*whole, *(line for line in file.imports if line not in library)], key=_order)
    return [
        "from __future__ import annotations",
        "",
        *library,
        *([""] if library else []),
        *whole,
        "",
        *sorted(set(own)),
    ]


def _order(line: str) -> tuple[bool, str]:
    """As isort has it: plain imports first, then by module."""
    return line.startswith("from"), line.split()[1].lower()


def _contract(file: File) -> Iterable[str]:
    yield f"class {file.model}(pa.DataFrameModel):"
    yield f"    # {EDIT} names, types and nulls are inferred from {file.inferred_from}; add rules, such as ge=0"
    for column in file.columns:
        if column.description is None:
            yield f"    # {EDIT} say what {column.name} means, and whether it is public, internal, personal or secret"
        nullable = column.nullable and column.name not in file.key  # a key names every row, so it is never null
        arguments = ["nullable=True"] if nullable else []
        arguments += [f"metadata={column.classification}", f"description={python_string(column.description or '')}"]
        yield f"    {column.name}: {annotation(column.dtype)} = pa.Field({', '.join(arguments)})"
    yield ""
    yield "    class Config:"
    yield "        strict = True"
    if file.key:
        yield f"        unique = {'[' + ', '.join(map(python_string, file.key)) + ']'}"
    else:
        yield f'        # {EDIT} name the columns that no two rows share, as in unique = ["order_id"], or delete this line'


def _function(file: File) -> Iterable[str]:
    parameters = [f"{table.name}: Table[{table.model.__name__}]" for table in file.upstream]
    if file.source is not None:
        yield f"@table(source={file.source})"
        parameters = ["source: ibis.Table"]
    else:
        arguments = [f"partitions={file.partitions}"] if file.partitions else []
        arguments += [f"preserves={python_string(file.preserves)}"] if file.preserves else []
        yield f"@table({', '.join(arguments)})"
    yield f"def {file.name}({', '.join(parameters)}) -> Table[{file.model}]:"
    yield f'    """{file.model}."""'
    yield f"    # {EDIT} say in the line above what the table is for; it is shown in Dagster"
    yield f"    return {file.code}"


def _formatted(text: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--quiet", "--line-length", "120", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout if done.returncode == 0 else text
