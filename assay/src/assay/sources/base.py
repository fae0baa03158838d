"""What every connector offers, and where sources are found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from assay.errors import SourceError

if TYPE_CHECKING:
    import duckdb
    import httpx

    from assay.settings import BaseSettings


class Offset(int):
    """The next event to read in a partition, and where the log finds it.

    Attributes:
        place: the log's own note, kept with the offset; empty where the number says all.
    """

    place: str

    def __new__(cls, number: int, place: str = "") -> Offset:
        offset = super().__new__(cls, number)
        offset.place = place
        return offset


@dataclass(frozen=True)
class Landing:
    """What the framework hands a connector for one build.

    Attributes:
        base: the resolved location: a folder, a base URL, an event log's folder or `kafka://...`.
        columns: column name -> DuckDB type, in order; what the source must serve, from the contract
            unless the source declares its own.
        connection: the build's DuckDB connection; temporary tables of it live as long as the build.
        scratch: an empty folder for this build's temporary files; removed afterwards.
        offsets: for event logs: partition -> next offset to read, as last committed; an `Offset` if it has a place.
        since: of an incremental table the smallest cursor that is needed, as `Incremental` counts it: a `datetime`, `date`
            or number. A source may leave out rows below it; None where all are needed.
        transport: replaces the network for HTTP sources (golden cases); None means the real one.
        given: the folder of a golden case's inputs, which holds what a `Rows` source would yield; None means it is asked.
        files: of a source of files those that are to be read; None means all it finds.
        settings: the project's, for who is to be asked with a token.
    """

    table: str
    base: str
    columns: Mapping[str, str]
    connection: duckdb.DuckDBPyConnection
    scratch: Path
    offsets: Mapping[int, int]
    since: Any = None
    transport: httpx.BaseTransport | None = None
    given: Path | None = None
    files: Sequence[Path] | None = None
    settings: BaseSettings | None = None


@dataclass(frozen=True)
class Landed:
    """What a connector found.

    Attributes:
        sql: a SELECT over the landed rows on the landing's connection, with exactly the landing's columns
            in order, and optionally `_source_file VARCHAR` and `_source_line BIGINT` after them, which are
            kept for rejected rows and never published.
        fingerprint: changes when, and only when, the source's content may have changed.
        malformed: a SELECT of rows that could not even be read as the columns (a shifted CSV line), with
            columns `reason_code, source_file, source_line, payload` (payload: JSON text); None if there are none.
        offsets: of an incremental source: partition -> next offset after these rows, committed with them.
        bytes: how much was read, if known.
        added: names of columns beside the landing's, as text, in the SELECT after them: new ones, with `extra="add"`.
        recheck: for rows that are still to be read while they are staged: reads the source once more, alone, and raises
            SourceError if it is to blame for an engine's error; None if all was read.
    """

    sql: str
    fingerprint: str
    malformed: str | None = None
    offsets: Mapping[int, int] | None = None
    bytes: int | None = None
    added: tuple[str, ...] = ()
    recheck: Callable[[], None] | None = None


class Source(Protocol):
    """A connector: a frozen dataclass, declared in a table's file.

    Attributes:
        location: the name under which settings know the folder, site or log.
        incremental: whether each landing brings only what is new (event logs).
        columns: what the source serves, where that is not the table's contract.
        told_by_landing: whether only landing it tells its fingerprint, as of what a function yields.
        tells_lag: whether `lag` knows how much waits; else it is 0 whatever waits.
    """

    @property
    def location(self) -> str: ...
    @property
    def incremental(self) -> bool: ...
    @property
    def columns(self) -> Mapping[str, str] | None: ...
    @property
    def told_by_landing(self) -> bool: ...
    @property
    def tells_lag(self) -> bool: ...

    def fingerprint(
        self, base: str, transport: httpx.BaseTransport | None = None, settings: BaseSettings | None = None
    ) -> str:
        """The fingerprint `land` would report, without landing; for plans. The project's settings hold its secrets."""
        ...

    def lag(self, base: str, offsets: Mapping[int, int]) -> int:
        """How many events or files an incremental source has beyond `offsets`; 0 for sources that are read whole."""
        return 0

    def land(self, landing: Landing) -> Landed:
        """Read the source. Raises SourceError naming source, table, column and row."""
        ...


class ReadWhole:
    """What sources share that bring all their rows at every landing."""

    @property
    def incremental(self) -> bool:
        """Never."""
        return False

    @property
    def told_by_landing(self) -> bool:
        """Whether only landing it tells its fingerprint."""
        return False

    @property
    def tells_lag(self) -> bool:
        """Whether `lag` knows how much waits."""
        return False

    def lag(self, base: str, offsets: Mapping[int, int]) -> int:
        """Never anything: there is no "beyond" what was read."""
        return 0


class Sources:
    """Resolves the names of locations to folders and addresses.

    Args:
        locations: name -> folder path, base URL or event log address.
        transport: replaces the network for HTTP sources.

    Attributes:
        given: the folder of a golden case's inputs, where one stands for the sources.
        settings: the project's; `Project` tells them.
    """

    given: Path | None = None
    settings: BaseSettings | None = None

    def __init__(self, locations: Mapping[str, str], transport: httpx.BaseTransport | None = None) -> None:
        self.locations = dict(locations)
        self.transport = transport

    def resolve(self, name: str) -> str:
        """The address of location `name`; raises SourceError if settings know none of that name."""
        try:
            return self.locations[name]
        except KeyError:
            known = ", ".join(sorted(self.locations)) or "none"
            raise SourceError(
                f"no location named '{name}' (known: {known})", fix=f"Set PIPELINE_SOURCE_{name.upper()}."
            ) from None

    def close(self) -> None:
        """Release what resolving opened, such as demo servers. Safe to call twice."""

    def __enter__(self) -> Sources:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
