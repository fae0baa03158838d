"""Starts a table: its file, its golden case and, for a source at a new location, the location's setting."""

from __future__ import annotations

import dataclasses
import importlib
import keyword
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import ibis.expr.datatypes as dt

from assay.contract.columns import sql_type
from assay.contract.contract import Contract
from assay.disk import write_atomically
from assay.errors import PipelineError, on_disk
from assay.golden.scaffold import scaffold_case
from assay.scaffold import columns
from assay.scaffold.columns import Draft
from assay.scaffold.given import missing_values
from assay.scaffold.landing import land_sample
from assay.scaffold.render import File, partitions_code, render
from assay.scaffold.samples import Sample, read_sample
from assay.scaffold.unsaid import EDIT, problems
from assay.tables.nodes import TableDef
from assay.words import rows_told

if TYPE_CHECKING:
    from assay.project import Project

CONNECTORS = {
    "csv": "Csv",
    "ndjson": "Ndjson",
    "parquet": "Parquet",
    "page": "HtmlTable",
    "api": "PagedJson",
    "events": "EventLog",
    **dict.fromkeys(("rows", "excel", "dlt"), "Rows"),
}
FUNCTIONS = {
    "rows": (
        ("from collections.abc import Iterator", "from typing import Any"),
        """def fetch(context: FetchContext) -> Iterator[Any]:
    # {edit} ask for the rows: what is yielded are dicts, lists of them, Arrow or data frames; context.since is the watermark
    yield from context.http.get({path}).json()
""",
    ),
    "dlt": (
        (
            "from collections.abc import Iterable",
            "from typing import Any",
            "from dlt.sources.sql_database import sql_table",
        ),
        """def fetch(context: FetchContext) -> Iterable[Any]:
    # {edit} name the resource of dlt that has the rows; docs/sources.md has one with a watermark, an API and files
    return sql_table(context.address, table={path}, backend="sqlalchemy")
""",
    ),
}
"""By kind the imports and the code of the function that fetches."""

CHECKS = "checks"
"""The stage of statements that span tables."""


@dataclass(frozen=True)
class Started:
    """What was written, the golden case's name, and what its author has still to decide."""

    case: str
    written: tuple[Path, ...]
    changed: tuple[Path, ...]
    missing: tuple[str, ...]


def new_table(
    project: Project, name: str, *, stage: str, upstream: Sequence[str], expression: str | None, key: Sequence[str]
) -> Started:
    """Write `name`'s file in `stage` and a golden case.

    Args:
        expression: Ibis code over them; default: their columns, joined on those they share.
        key: columns that no two rows share; empty leaves it to the author.

    Raises:
        PipelineError: the name, the stage or an upstream table does not fit, or the expression fails.
    """
    folder = _folder(project, name, stage)
    tables = [_upstream(project, stage, other) for other in upstream]
    if not tables:
        raise PipelineError(
            "a table of tables reads at least one", fix="Name it with --from, or use `pipeline new-source`."
        )
    code = expression or columns.default_expression(tables)
    columns.of_expression(code, tables)  # what is wrong with it is told before it is run over all rows
    given = missing_values(project, code, tables)
    drafts, grouped = columns.of_expression(code, tables, given[0] if given else None)
    _check_key(key, drafts)
    if expression is None:
        grouped = Contract.of(tables[0].model).key
    preserves = tables[0].name if expression is None else None
    inferred = f"the expression and the {rows_told(given[1])} it gives now" if given else "the expression"
    file = File(
        name,
        drafts,
        code,
        upstream=tables,
        key=key or grouped,
        preserves=preserves,
        partitions=_partitions(tables, drafts),
        inferred_from=inferred,
    )
    return _write(project, folder / f"{name}.py", file)


def new_source(
    project: Project,
    name: str,
    *,
    kind: str,
    location: str,
    path: str,
    address: str | None,
    sample: Path | None,
    items: str | None,
    key: Sequence[str],
) -> Started:
    """Write a table of the first stage that reads a source, and a golden case.

    Args:
        path: the file, page, resource, topic or table at the location.
        address: where the location is, if settings do not know it yet.
        items: for an API, the field that holds the list.
    """
    stage = project.stages[0]
    folder = _folder(project, name, stage)
    if path.startswith("/") or ".." in Path(path).parts:
        raise PipelineError("the path leads out of the location", where=path, fix="Give the location's --address.")
    found = read_sample(sample, kind, items=items) if sample else Sample([_placeholder()])
    drafts = found.drafts
    _check_key(key, drafts)
    settings = _with_location(project, location, address)
    arguments = [columns.python_string(location), columns.python_string(path)]
    imports, function = FUNCTIONS.get(kind, ((), ""))
    if CONNECTORS[kind] == "Rows":
        fetch = f"Sheet({columns.python_string(path)})" if kind == "excel" else "fetch"
        arguments = [fetch, arguments[0], columns.python_string(Path(path).stem)]
    arguments += [f"items={columns.python_string(items)}"] if items and kind == "api" else []
    arguments += [f"{argument}={text}" for argument, text in found.arguments.items()]
    code = "source"
    if any(draft.served for draft in drafts):
        served = {draft.served or draft.name: sql_type(draft.dtype) for draft in drafts}
        pairs = (f"{columns.python_string(text)}: {columns.python_string(type_)}" for text, type_ in served.items())
        arguments.append(f"columns={{{', '.join(pairs)}}}")
        renamed = [f"{draft.name}={columns.python_string(draft.served or draft.name)}" for draft in drafts]
        code = f"source.select({', '.join(renamed)})"
    source = f"{CONNECTORS[kind]}({', '.join(arguments)})"
    file = File(
        name,
        drafts,
        code,
        source=source,
        key=key,
        inferred_from=_inferred(sample, found),
        imports=imports,
        function=function.format(path=columns.python_string(path), edit=EDIT),
    )
    lands = partial(land_sample, name=name, sample=sample, kind=kind, items=items) if sample else None
    return _write(project, folder / f"{name}.py", file, lands, settings)


def _inferred(sample: Path | None, found: Sample) -> str:
    if sample is None:
        return "nothing: no sample was given"
    rows = "" if found.rows is None else f" of {rows_told(found.rows)}"
    headless = ", which has no header" if found.arguments.get("header") else ""
    return f"{columns.python_string(sample.name)}, a sample{rows}{headless}"


def _folder(project: Project, name: str, stage: str) -> Path:
    """The stage's folder; raises PipelineError where `name` cannot stand there."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise PipelineError(f"'{name}' is no name for a table", fix="Use lower case, digits and _: basket_sizes.")
    stages = [each for each in project.stages if each != CHECKS]
    if stage not in stages:
        what = f"'{CHECKS}' holds invariants, not tables" if stage == CHECKS else f"no stage '{stage}'"
        raise PipelineError(what, fix=f"Stages: {', '.join(stages)}.")
    if name in project.graph.nodes:
        raise PipelineError("the table exists", where=str(project.graph.nodes[name].file), fix="Choose another name.")
    folder = Path(importlib.import_module(f"{project.package}.{stage}").__path__[0])
    if (folder / f"{name}.py").exists():
        raise PipelineError("is in the way", where=str(folder / f"{name}.py"), fix="Choose another name, or remove it.")
    return folder


def _upstream(project: Project, stage: str, name: str) -> TableDef:
    node = project.graph.get(name)
    if not isinstance(node, TableDef):
        raise PipelineError(f"'{name}' is an exported file, not a table", fix="Name a table.")
    if project.stages.index(node.stage) > project.stages.index(stage):
        raise PipelineError(
            f"'{name}' is in {node.stage}, after {stage}: imports point the other way",
            fix=f"Use --stage {node.stage} or a later one.",
        )
    return node


def _partitions(tables: Sequence[TableDef], drafts: Sequence[Draft]) -> str:
    """The partitions that the first partitioned upstream table has, where their column is taken over; else ""."""
    types = {draft.name: sql_type(draft.dtype) for draft in drafts}
    for table in tables:
        found = table.partitions
        if found is not None and types.get(found.column) == found.sql_type:
            return partitions_code(found)
    return ""


def _check_key(key: Sequence[str], drafts: Sequence[Draft]) -> None:
    names = [draft.name for draft in drafts]
    for name in key:
        if name not in names:
            raise PipelineError(f"the key's '{name}' is no column", fix=f"Columns: {', '.join(names)}.")


def _write(
    project: Project,
    path: Path,
    file: File,
    check: Callable[[Project], None] | None = None,
    settings: str | None = None,
) -> Started:
    """Write file and case, and `settings.py` where it changes; if the result does not load, or `check` raises, nothing stays."""
    case = _free_case(project, file.name)
    try:
        with on_disk(PipelineError, "cannot be written", where=str(path.parent)):
            path.touch()
        path.write_text(render(file), encoding="utf-8")
        importlib.invalidate_caches()
        fresh = dataclasses.replace(project)  # a new graph, with the new file in it
        cases = scaffold_case(fresh, case, [file.name])
        if check is not None:
            check(fresh)
        if settings is not None:
            with on_disk(PipelineError, "cannot be written", where=str(_settings_file(project))):
                write_atomically(_settings_file(project), settings.encode())
    except BaseException:
        path.unlink(missing_ok=True)
        shutil.rmtree(project.golden / case, ignore_errors=True)
        sys.modules.pop(f"{project.package}.{path.parent.name}.{path.stem}", None)
        raise
    places = (f"{path.parent.name}/{path.name}:", f"golden/{case}/")
    changed = () if settings is None else (_settings_file(project),)
    return Started(case, (path, *cases), changed, tuple(line for line in problems(fresh) if line.startswith(places)))


def _free_case(project: Project, table: str) -> str:
    """The table's name as its case's, or one like it where a case, such as one of the sample's, is called so already."""
    names = (table, f"{table}-first", *(f"{table}-{number}" for number in range(2, 1000)))
    return next(name for name in names if not (project.golden / name).exists())


def _with_location(project: Project, location: str, address: str | None) -> str | None:
    """The text of `settings.py` with a new location in it; None if it is known already.

    Raises:
        PipelineError: it is new and has no address or one of this machine, or `settings.py` is not laid out as expected.
    """
    known = project.settings().locations
    if location in known:
        return None
    if not re.fullmatch(r"[a-z][a-z0-9_]*", location):
        raise PipelineError(f"'{location}' is no name for a location", fix="Use lower case, digits and _: shop_files.")
    if address is None:
        raise PipelineError(
            f"settings know no location '{location}' (known: {', '.join(sorted(known)) or 'none'})",
            fix="Give its --address: a folder such as ./data/shop, or a URL.",
        )
    file = _settings_file(project)
    text = file.read_text(encoding="utf-8")
    begin = re.search(r"default_locations: .*= \{\n", text)
    if begin is None:
        raise PipelineError(
            "there is no default_locations to add to", where=str(file), fix=f'Add "{location}" yourself.'
        )
    shown = _address(project.root, location, address)
    return f'{text[: begin.end()]}        "{location}": {columns.python_string(shown)},\n{text[begin.end() :]}'


def _address(root: Path, location: str, address: str) -> str:
    """The address as it may stand in `settings.py`, which goes to every machine: a folder counts from the project.

    Raises:
        PipelineError: it is a folder of this machine, outside of the project.
    """
    path = Path(address)
    if not path.is_absolute() and not address.startswith("~"):
        return address
    if path.resolve().is_relative_to(root.resolve()):
        return f"./{path.resolve().relative_to(root.resolve()).as_posix()}"
    raise PipelineError(
        "the address is a folder of this machine alone",
        where=address,
        fix="Give one that counts from the project, such as ./data/shop; "
        f"on this machine PIPELINE_SOURCE_{location.upper()} may name another.",
    )


def _settings_file(project: Project) -> Path:
    return project.root / project.package / "settings.py"


def _placeholder() -> Draft:
    return Draft("id", dt.string)
