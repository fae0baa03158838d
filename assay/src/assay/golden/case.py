"""A golden case: what `case.yml` says, read strictly."""

from __future__ import annotations

import datetime as dtm
import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import AwareDatetime, Field, StringConstraints

from assay.errors import GoldenError, PipelineError, did_you_mean
from assay.golden.yaml_file import Names, Strict, YamlFile, read, shown, told
from assay.tables.graph import Graph
from assay.tables.partitions import PartitionRange, own_ranges
from assay.tables.run import Run

NOW = dtm.datetime(2100, 1, 1, tzinfo=dtm.UTC)
"""The clock of a case that does not say: late enough that no partition still waits for its end."""
SEED = 20180511
NAMED = re.compile(r"[a-z0-9][a-z0-9_-]*")
"""Names of cases."""
UNSAID = "TODO say what this case teaches"
"""The description of a started case, until its author writes one."""


def is_unsaid(description: str) -> bool:
    """Whether a description is still one to be written."""
    return re.match(r"\W*TODO\b", description) is not None


_Message = Annotated[
    str,
    StringConstraints(strip_whitespace=False, pattern=r"\S"),
    told("says no text", "Quote a part of the message."),
]


class _CaseFile(Strict):
    """What may stand in `case.yml`; see `Case`."""

    description: Annotated[str, Field(min_length=1)]
    owner: str | None = None
    now: AwareDatetime = NOW
    seed: int = SEED
    partition: Any = None
    tables: Names = []
    empty: Names = []
    settings: Annotated[dict[str, Any], told("'settings' is no mapping", "Write settings: {name: value}.")] = {}
    expects_error: dict[str, _Message] = {}
    expects_checks: dict[str, Names | None] = {}


@dataclass(frozen=True)
class Case:
    """One folder of `golden/`.

    Attributes:
        now, seed, partition: the frozen run.
        tables: the tables under test, in the file's order.
        empty: upstream tables that are given as empty.
        settings: values of the project's settings, where they are not the defaults; a secret's own name stands for it.
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
    settings: Mapping[str, Any] = field(default_factory=dict)
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
    if not NAMED.fullmatch(folder.name):
        raise GoldenError("a case is named in lower case, digits, _ and -", where=shown(folder), fix="Rename it.")
    source = read(path)
    said = source.read_as(_CaseFile)
    case = Case(
        name=folder.name,
        folder=folder,
        description=said.description,
        owner=said.owner,
        now=said.now.astimezone(dtm.UTC),
        seed=said.seed,
        partition=_partition(source, said.partition),
        tables=tuple(said.tables),
        empty=tuple(said.empty),
        settings=said.settings,
        expects_error=said.expects_error,
        expects_checks={table: tuple(checks or ()) for table, checks in said.expects_checks.items()},
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
    alike: dict[str, str] = {}
    for folder in folders:
        if (other := alike.setdefault(check_prefix(folder.name), folder.name)) != folder.name:
            what = f"to Dagster this is the name of '{other}' as well, for its names have no -"
            raise GoldenError(what, where=shown(folder), fix="Rename one of them.")
    for pattern in wanted:
        if not any(fnmatch.fnmatchcase(folder.name, pattern) for folder in folders):
            raise unknown_case(golden, pattern)
    return [
        read_case(folder)
        for folder in folders
        if not wanted or any(fnmatch.fnmatchcase(folder.name, pattern) for pattern in wanted)
    ]


def check_prefix(name: str) -> str:
    """How the names of a case's checks in Dagster begin."""
    return name.replace("-", "_")


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
        named = [table for table in case.subjects if not pattern or fnmatch.fnmatchcase(table, pattern)]
        if not named and name == case.name:
            raise case.error(f"'{pattern}' is not under test", "tables", fix=f"Under test: {', '.join(case.subjects)}.")
        chosen.update(named)
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


def _partition(source: YamlFile, said: Any) -> PartitionRange | None:
    try:
        return None if said is None else PartitionRange.parse(str(said))
    except PipelineError as error:
        raise source.error(error.what, "partition", fix=error.fix) from None
