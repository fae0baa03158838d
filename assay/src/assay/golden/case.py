"""A golden case: what `case.yml` says, read strictly."""

from __future__ import annotations

import datetime as dtm
import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import GoldenError, PipelineError, did_you_mean
from assay.golden.yaml_file import YamlFile, read, shown
from assay.tables.partitions import PartitionRange, own_ranges
from assay.tables.run import Run

if TYPE_CHECKING:
    from assay.tables.graph import Graph

NOW = dtm.datetime(2100, 1, 1, tzinfo=dtm.UTC)
"""The clock of a case that does not say: late enough that no partition still waits for its end."""
SEED = 20180511
UNSAID = "TODO say what this case teaches"
"""The description of a started case, until its author writes one."""

KEYS = (
    "description",
    "owner",
    "now",
    "seed",
    "partition",
    "tables",
    "empty",
    "expects_error",
    "expects_checks",
)


def is_unsaid(description: str) -> bool:
    """Whether a description is still one to be written."""
    return re.match(r"\W*TODO\b", description) is not None


@dataclass(frozen=True)
class Case:
    """One folder of `golden/`.

    Attributes:
        name: the folder's name.
        description: what the case teaches.
        owner: whom to ask.
        now, seed, partition: the frozen run.
        tables: the tables under test, in the file's order.
        empty: upstream tables that are given as empty.
        expects_error: table -> text that the error which stops it must contain.
        expects_checks: table -> names of the checks that must fail, and no others.
    """

    name: str
    folder: Path
    description: str
    owner: str | None = None
    now: dtm.datetime = NOW
    seed: int = SEED
    partition: PartitionRange | None = None
    tables: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    expects_error: Mapping[str, str] = field(default_factory=dict)
    expects_checks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    source: YamlFile | None = field(default=None, repr=False, compare=False)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Every table the case says something about: those under test and those that must fail."""
        return tuple(dict.fromkeys([*self.tables, *self.expects_error]))

    @property
    def inputs(self) -> Path:
        return self.folder / "inputs"

    @property
    def expected(self) -> Path:
        return self.folder / "expected"

    def run(self) -> Run:
        """The frozen run of this case."""
        return Run(id=f"golden-{self.name}", now=self.now, seed=self.seed, partition=self.partition)

    def error(self, what: str, *place: str | int, fix: str | None = None) -> GoldenError:
        """An error about a part of `case.yml`."""
        if self.source is None:
            return GoldenError(what, where=shown(self.folder), fix=fix)
        return self.source.error(what, *place, fix=fix)


def read_case(folder: Path) -> Case:
    """Read `case.yml`; raises GoldenError naming file and line."""
    path = folder / "case.yml"
    if not path.is_file():
        raise GoldenError(
            "the case has no case.yml",
            where=shown(folder),
            fix=f"Write one, begin with `pipeline golden new {folder.name}`, or delete the folder.",
        )
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", folder.name):
        raise GoldenError("a case is named in lower case, digits, _ and -", where=shown(folder), fix="Rename it.")
    source = read(path)
    source.check_keys(KEYS, required=("description",))
    expects_error = source.mapping("expects_error")
    for table, text in expects_error.items():
        if not isinstance(text, str) or not text.strip():
            raise source.error("says no text", "expects_error", table, fix="Quote a part of the message.")
    case = Case(
        name=folder.name,
        folder=folder,
        description=source.text("description") or "",
        owner=source.text("owner"),
        now=_now(source),
        seed=_seed(source),
        partition=_partition(source),
        tables=source.names("tables"),
        empty=source.names("empty"),
        expects_error=expects_error,
        expects_checks={table: source.names("expects_checks", table) for table in source.mapping("expects_checks")},
        source=source,
    )
    if not case.subjects:
        raise source.error("no table is under test", fix="Write tables: [name].")
    for table in case.expects_checks:
        if table not in case.tables:
            raise case.error(f"'{table}' is not under test", "expects_checks", table, fix="Add it to `tables`.")
    for table in case.expects_error:
        if table in case.tables:
            raise case.error(
                f"'{table}' is under test and must fail", "expects_error", table, fix="Take it off `tables`."
            )
    return case


def read_cases(golden: Path, selection: Iterable[str] = ()) -> list[Case]:
    """Every case of the folder, by name; or those that `selection` (CASE or CASE/TABLE, patterns allowed) names.

    Raises:
        GoldenError: a case is malformed, or a part of the selection matches nothing.
    """
    folders = case_folders(golden)
    wanted = [text.partition("/")[0] for text in selection]
    for pattern in wanted:
        if not any(fnmatch.fnmatchcase(folder.name, pattern) for folder in folders):
            raise unknown_case(golden, pattern)
    return [
        read_case(folder)
        for folder in folders
        if not wanted or any(fnmatch.fnmatchcase(folder.name, pattern) for pattern in wanted)
    ]


def unknown_case(golden: Path, name: str) -> GoldenError:
    """The error about a case that is not there."""
    names = [folder.name for folder in case_folders(golden)]
    return GoldenError(f"no case named '{name}'", fix=did_you_mean(name, names, f"Cases stand in {shown(golden)}/."))


def case_folders(golden: Path) -> list[Path]:
    """The folders of all cases, sorted; a folder without `case.yml` is one too, and an error when it is read."""
    if not golden.is_dir():
        return []
    return sorted(path for path in golden.iterdir() if path.is_dir() and not path.name.startswith((".", "_")))


def selected_tables(case: Case, selection: Iterable[str]) -> tuple[str, ...]:
    """The subjects of `case` that a selection names; all of them where it names the case alone.

    Raises:
        GoldenError: a table is named that is no subject of the case.
    """
    chosen: set[str] = set()
    for text in selection:
        name, _, pattern = text.partition("/")
        if not fnmatch.fnmatchcase(case.name, name):
            continue
        found = [table for table in case.subjects if not pattern or fnmatch.fnmatchcase(table, pattern)]
        if not found and name == case.name:
            raise case.error(f"'{pattern}' is not under test", "tables", fix=f"Under test: {', '.join(case.subjects)}.")
        chosen.update(found)
    return tuple(table for table in case.subjects if table in chosen)


def check_case(case: Case, graph: Graph) -> None:
    """Raises GoldenError where the case names tables or checks that the project does not have."""
    tables = graph.tables
    for key, names in (
        ("tables", case.tables),
        ("empty", case.empty),
        ("expects_error", case.expects_error),
        ("expects_checks", case.expects_checks),
    ):
        for index, name in enumerate(names):
            if name in tables:
                continue
            place = index if key in ("tables", "empty") else name
            if name in graph.nodes:
                raise case.error(f"'{name}' is an exported file; golden cases compare tables", key, place)
            hint = did_you_mean(name, tables, "`pipeline tables` lists them.")
            raise case.error(f"no table named '{name}'", key, place, fix=hint)
    for name in case.empty:
        if name in case.subjects:
            raise case.error(f"'{name}' is under test and given as empty", "empty")
    if case.partition is not None:
        try:
            own_ranges(case.partition, (tables[name] for name in graph.closure(case.subjects)), case.now)
        except PipelineError as error:
            raise case.error(error.what, "partition", fix=error.fix) from None


def _now(source: YamlFile) -> dtm.datetime:
    value = source.values.get("now", NOW)
    if not isinstance(value, dtm.datetime) or value.tzinfo is None:
        raise source.error("'now' is no instant", "now", fix="Write 2018-01-01T05:00:00Z.")
    return value.astimezone(dtm.UTC)


def _seed(source: YamlFile) -> int:
    value = source.values.get("seed", SEED)
    if not isinstance(value, int) or isinstance(value, bool):
        raise source.error("'seed' is no integer", "seed")
    return value


def _partition(source: YamlFile) -> PartitionRange | None:
    value = source.values.get("partition")
    if value is None:
        return None
    try:
        return PartitionRange.parse(str(value))
    except PipelineError as error:
        raise source.error(error.what, "partition", fix=error.fix) from None
