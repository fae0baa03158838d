"""Starts a table: its file, its golden case and, for a source at a new location, the location's setting."""

from __future__ import annotations

import dataclasses
import importlib
import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assay.contract.columns import sql_type
from assay.errors import PipelineError
from assay.scaffold import columns
from assay.scaffold.columns import Draft
from assay.scaffold.render import File, render
from assay.scaffold.unsaid import problems
from assay.tables.nodes import TableDef

if TYPE_CHECKING:
    from assay.project import Project

CONNECTORS = {
    "csv": "Csv",
    "ndjson": "Ndjson",
    "parquet": "Parquet",
    "page": "HtmlTable",
    "api": "PagedJson",
    "events": "EventLog",
}

CHECKS = "checks"
"""The stage of statements that span tables."""


@dataclass(frozen=True)
class Started:
    """What was written, and what its author has still to decide."""

    written: tuple[Path, ...]
    changed: tuple[Path, ...]
    missing: tuple[str, ...]


def new_table(
    project: Project, name: str, *, stage: str, upstream: Sequence[str], expression: str | None, key: Sequence[str]
) -> Started:
    """Write `name`'s file in `stage` and a golden case.

    Args:
        upstream: tables it reads.
        expression: Ibis code over them; default: their columns, joined on those they share.
        key: columns that no two rows share; empty leaves it to the author.

    Raises:
        PipelineError: the name, the stage or an upstream table does not fit, or the expression fails.
    """
    from assay.contract import Contract

    folder = _folder(project, name, stage)
    tables = [_upstream(project, stage, other) for other in upstream]
    if not tables:
        raise PipelineError(
            "a table of tables reads at least one", fix="Name it with --from, or use `pipeline new-source`."
        )
    code = expression or columns.default_expression(tables)
    drafts, grouped = columns.of_expression(code, tables)
    _check_key(key, drafts)
    if expression is None:
        grouped = Contract.of(tables[0].model).key
    preserves = tables[0].name if expression is None else None
    file = File(
        name,
        drafts,
        code,
        upstream=tables,
        key=key or grouped,
        preserves=preserves,
        partitions=_partitions(tables, drafts),
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
        kind: one of CONNECTORS.
        path: the file, page, resource or topic at the location.
        address: where the location is, if settings do not know it yet.
        sample: a file to infer columns from.
        items: for an API, the field that holds the list.
    """
    stage = project.stages[0]
    folder = _folder(project, name, stage)
    drafts = columns.of_sample(sample, kind, items=items) if sample else [_placeholder()]
    _check_key(key, drafts)
    settings = _with_location(project, location, address)
    arguments = [columns.python_string(location), columns.python_string(path)]
    arguments += [f"items={columns.python_string(items)}"] if items and kind == "api" else []
    code = "source"
    if any(draft.served for draft in drafts):
        served = {draft.served or draft.name: sql_type(draft.dtype) for draft in drafts}
        pairs = (f"{columns.python_string(text)}: {columns.python_string(kind)}" for text, kind in served.items())
        arguments.append(f"columns={{{', '.join(pairs)}}}")
        renamed = [f"{draft.name}={columns.python_string(draft.served or draft.name)}" for draft in drafts]
        code = f"source.select({', '.join(renamed)})"
    source = f"{CONNECTORS[kind]}({', '.join(arguments)})"
    inferred = f"{columns.python_string(sample.name)}, a sample" if sample else "nothing: no sample was given"
    file = File(name, drafts, code, source=source, key=key, inferred_from=inferred)
    started = _write(project, folder / f"{name}.py", file)
    if settings is None:
        return started
    _settings_file(project).write_text(settings, encoding="utf-8")
    return dataclasses.replace(started, changed=(_settings_file(project),))


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
    taken = [path for path in (folder / f"{name}.py", project.golden / name) if path.exists()]
    if taken:
        raise PipelineError("is in the way", where=str(taken[0]), fix="Choose another name, or remove it.")
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
            return found.code
    return ""


def _check_key(key: Sequence[str], drafts: Sequence[Draft]) -> None:
    names = [draft.name for draft in drafts]
    for name in key:
        if name not in names:
            raise PipelineError(f"the key's '{name}' is no column", fix=f"Columns: {', '.join(names)}.")


def _write(project: Project, path: Path, file: File) -> Started:
    """Write file and case; if the result does not load, nothing stays."""
    from assay.golden.scaffold import scaffold_case

    path.write_text(render(file), encoding="utf-8")
    try:
        importlib.invalidate_caches()
        fresh = dataclasses.replace(project)  # a new graph, with the new file in it
        cases = scaffold_case(fresh, file.name, [file.name])
    except Exception:
        path.unlink()
        raise
    places = (f"{path.parent.name}/{path.name}:", f"golden/{file.name}/")
    return Started((path, *cases), (), tuple(line for line in problems(fresh) if line.startswith(places)))


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
    import ibis.expr.datatypes as dt

    return Draft("id", dt.string)
