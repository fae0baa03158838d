"""A case's inputs: files that become what the sources would have served, and upstream tables given directly.

inputs/<location>/<path>                 a file, as it is
inputs/<location>/<path>.parquet.csv     CSV that becomes a real Parquet file
inputs/<location>/<name>.zip/<member>    a folder that becomes a zip archive
inputs/<location>/<topic>.ndjson         one event a line, an event log of one partition
inputs/<location>/<topic>/<n>.ndjson     the same, partition by partition
inputs/<location>/<name>.ndjson          the rows that a `Rows` source's function would yield
inputs/<location>/<page>                 what an HTTP source answers (see `sources/fixtures.py`)
inputs/tables/<table>.csv or .ndjson     an upstream table
inputs/before/<table>.csv or .ndjson     what a table under test held before, where its build goes on from that
inputs/returned/<table>.csv or .ndjson   what a table's function would return (see `given.py`)
"""

from __future__ import annotations

import fnmatch
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from assay import sources
from assay.contract.contract import Contract
from assay.errors import GoldenError, did_you_mean
from assay.golden.case import Case
from assay.golden.rows import load, read_csv
from assay.golden.yaml_file import shown
from assay.sources.base import Source, Sources
from assay.sources.events import EventLog
from assay.sources.fetched import Rows
from assay.sql import literal
from assay.sql import quoted as quote
from assay.tables.graph import Graph
from assay.tables.nodes import TableDef

TABLES = "tables"
RETURNED = "returned"
BEFORE = "before"


@dataclass(frozen=True)
class Inputs:
    """What a case brings.

    Attributes:
        given: upstream tables that are not built: name -> file, or None where `case.yml` gives it as empty.
        before: published rows of tables under test that are not built whole: name -> file.
        returned: tables whose function is not called: name -> file with its rows.
        locations: names of the locations with files.
    """

    case: Case
    given: Mapping[str, Path | None]
    before: Mapping[str, Path]
    returned: Mapping[str, Path]
    locations: tuple[str, ...]


def find_inputs(case: Case, graph: Graph) -> Inputs:
    """The case's inputs; raises GoldenError for a file that no source and no table would read."""
    given: dict[str, Path | None] = dict.fromkeys(case.empty)
    before: dict[str, Path] = {}
    returned: dict[str, Path] = {}
    locations = []
    sources = _sources(graph)
    known = {table.source.location for table in sources.values() if table.source}
    for folder in sorted(case.inputs.iterdir()) if case.inputs.is_dir() else []:
        if folder.name == TABLES:
            given |= _given_files(case, folder, graph)
        elif folder.name == BEFORE:
            before = _before_files(case, folder, graph)
        elif folder.name == RETURNED:
            returned = _subjects_files(case, folder, graph)
        elif folder.name not in known:
            places = [*sorted(known), TABLES, BEFORE, RETURNED]
            hint = did_you_mean(folder.name, places, f"Known: {', '.join(places)}.")
            raise GoldenError("is no location of a source", where=shown(folder), fix=hint)
        else:
            _check_files(folder, _readers(sources.values(), folder.name))
            locations.append(folder.name)
    return Inputs(case, given, before, returned, tuple(locations))


def build_names(case: Case, graph: Graph, subjects: Iterable[str], inputs: Inputs | None = None) -> list[str]:
    """The tables to build for some subjects, in order: everything upstream of them that is not given."""
    return graph.closure(subjects, given=(inputs or find_inputs(case, graph)).given)


class FixtureSources(Sources):
    """Serves a case's inputs where the real sources would be.

    Args:
        graph: tells which source reads which file, with which columns.
        folder: an empty folder for converted files.
    """

    def __init__(self, inputs: Inputs, graph: Graph, folder: Path) -> None:
        super().__init__({})
        self._inputs = inputs
        self.given = inputs.case.inputs
        self._folder = folder
        self._tables = _sources(graph)
        self._converter: duckdb.DuckDBPyConnection | None = None

    def resolve(self, name: str) -> str:
        """The address of location `name`; its files are prepared when it is first asked for."""
        if name not in self._inputs.locations:
            readers = [table.name for table in _readers(self._tables.values(), name)]
            raise self._inputs.case.error(
                f"{', '.join(readers)} reads the location '{name}', of which the case has nothing",
                "tables",
                fix=f"Add inputs/{name}/, or give the table: inputs/{TABLES}/{readers[0]}.csv or empty: [{readers[0]}].",
            )
        if name not in self.locations:
            self.locations[name] = self._prepare(name)
        return self.locations[name]

    def _prepare(self, name: str) -> str:
        tables = _readers(self._tables.values(), name)
        files = self._inputs.case.inputs / name
        if any(table.source is not None and hasattr(table.source, "http") for table in tables):
            self.transport = sources.FixtureTransport(self._inputs.case.inputs)
            return sources.FixtureTransport.address(name)
        target = self._folder / name
        target.mkdir(parents=True)
        if any(isinstance(table.source, EventLog) for table in tables):
            for file in _events(files):
                _copy_log(file, target / file.relative_to(files))
            return str(target)
        self._copy(files, target, tables)
        return str(target)

    def close(self) -> None:
        """Close what converted files. Safe to call twice."""
        if self._converter is not None:
            self._converter.close()
            self._converter = None

    def _copy(self, folder: Path, target: Path, tables: list[TableDef]) -> None:
        for path in sorted(folder.iterdir()):
            if path.is_dir() and path.suffix == ".zip":
                with zipfile.ZipFile(target / path.name, "w", zipfile.ZIP_DEFLATED) as archive:
                    for member in sorted(file for file in path.rglob("*") if file.is_file()):
                        archive.write(member, member.relative_to(path).as_posix())
            elif path.is_dir():
                (target / path.name).mkdir()
                self._copy(path, target / path.name, tables)
            elif path.name.endswith(".parquet.csv"):
                self._write_parquet(path, target / path.stem, _columns(path.stem, tables))
            else:
                shutil.copyfile(path, target / path.name)

    def _write_parquet(self, file: Path, target: Path, types: Mapping[str, str]) -> None:
        """A Parquet file with the CSV's columns in its order; a header `name:TYPE` gives a column another type."""
        if self._converter is None:
            # The dry run's own connection writes no files.
            self._converter = duckdb.connect(config={"threads": 1})
            self._converter.execute("SET TimeZone = 'UTC'")
        rows = read_csv(file)
        columns = {}
        for header in rows.columns:
            name, _, type_ = header.partition(":")
            columns[header] = type_ or types.get(name, "VARCHAR")
        table = load(self._converter, rows, columns, "rows")
        listed = ", ".join(f"{quote(header)} AS {quote(header.partition(':')[0])}" for header in columns)
        self._converter.execute(f"COPY (SELECT {listed} FROM {table}) TO {literal(str(target))} (FORMAT parquet)")


def _given_files(case: Case, folder: Path, graph: Graph) -> dict[str, Path]:
    """Upstream tables: name -> file."""
    files = _table_files(folder, graph)
    for name, file in files.items():
        if name in case.empty:
            raise GoldenError(f"'{name}' is given twice", where=shown(file), fix="Delete one of them.")
        if name in case.subjects:
            raise GoldenError(f"'{name}' is under test and given as input", where=shown(file))
    return files


def _before_files(case: Case, folder: Path, graph: Graph) -> dict[str, Path]:
    """What incremental tables under test held before: name -> file."""
    files = _subjects_files(case, folder, graph)
    for name, file in files.items():
        if graph.tables[name].load is None:
            raise GoldenError(
                f"'{name}' is built whole, whatever was there before", where=shown(file), fix="Delete it."
            )
    return files


def _subjects_files(case: Case, folder: Path, graph: Graph) -> dict[str, Path]:
    """Files of tables under test: name -> file."""
    files = _table_files(folder, graph)
    for name, file in files.items():
        if name not in case.subjects:
            raise GoldenError(f"'{name}' is not under test", where=shown(file), fix=f"Move it to inputs/{TABLES}/.")
    return files


def _table_files(folder: Path, graph: Graph) -> dict[str, Path]:
    """The files that are named after tables: name -> file."""
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        name = file.name.partition(".")[0]
        if file.suffix not in (".csv", ".ndjson") or not file.is_file():
            raise GoldenError("is neither .csv nor .ndjson", where=shown(file))
        if name not in graph.tables:
            hint = did_you_mean(name, graph.tables, "`pipeline tables` lists them.")
            raise GoldenError(f"no table named '{name}'", where=shown(file), fix=hint)
        if name in files:
            raise GoldenError(f"'{name}' is given twice", where=shown(file), fix="Delete one of them.")
        files[name] = file
    return files


def _sources(graph: Graph) -> dict[str, TableDef]:
    return {name: table for name, table in graph.tables.items() if table.source is not None}


def _readers(tables: Iterable[TableDef], location: str) -> list[TableDef]:
    return [table for table in tables if table.source is not None and table.source.location == location]


def _check_files(folder: Path, tables: Iterable[TableDef]) -> None:
    """Every file must be read by some source: a misspelt name would silently test nothing."""
    patterns = [pattern for table in tables for pattern in _patterns(table.source)]
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix()
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            raise GoldenError(
                "no source reads this file", where=shown(file), fix=f"Sources here read {', '.join(patterns)}."
            )


def _patterns(source: Source | None) -> Iterator[str]:
    """The names of input files that a source would read, as patterns."""
    if isinstance(source, Rows):
        yield f"{source.name}.ndjson"
        return
    path = str(getattr(source, "topic", None) or getattr(source, "path", "*")).strip("/")
    if isinstance(source, EventLog):
        yield from (f"{path}.ndjson", f"{path}/*.ndjson")
    elif hasattr(source, "http"):
        yield from (path, f"{path}.*", f"{path}/*")
    else:
        yield from (path, f"{path}.csv", f"{path}/*")
        if manifest := getattr(source, "manifest", None):
            yield str(manifest)


def _events(folder: Path) -> Iterator[Path]:
    """The file of every partition of an event log."""
    for file in sorted(folder.rglob("*.ndjson")):
        if file.parent != folder and not file.stem.isdecimal():
            raise GoldenError("is no partition", where=shown(file), fix="Name it 0.ndjson, 1.ndjson and so on.")
        yield file


def _copy_log(file: Path, target: Path) -> None:
    """The log as it is, whatever it holds; its last line is whole, though editors may leave out its end."""
    content = file.read_bytes()
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(content if content.endswith(b"\n") or not content else content + b"\n")


def _columns(name: str, tables: list[TableDef]) -> Mapping[str, str]:
    """The columns that the source of a Parquet file serves."""
    for table in tables:
        path = str(getattr(table.source, "path", ""))
        if table.source is not None and fnmatch.fnmatchcase(name, path.rpartition("/")[2]):
            return table.source.columns or Contract.of(table.model).duckdb_columns
    return {}
