"""Rows that a team's function yields: whatever a library can read is a source, and all else is the framework's.

def orders(context: FetchContext) -> Iterator[dict[str, object]]:
    yield from context.http.get("/orders", {"since": context.since}).json()["orders"]

@table(source=Rows(orders, "shop_api", "orders", cursor="updated_at"))
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from assay.errors import PipelineError, SourceError, SourceUnavailable
from assay.settings import BaseSettings, secret
from assay.sources.addresses import shown
from assay.sources.auth import Auth
from assay.sources.base import Landed, Landing
from assay.sources.casts import normal_types
from assay.sources.columns import Extra
from assay.sources.strict_json import JsonError, loads
from assay.sources.watermark import Watermark
from assay.sources.web import PASSING, PATIENT, Fetcher, Http
from assay.sources.yielded import Collected
from assay.sql import literal, quoted

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True)
class FetchContext:
    """What a fetching function is given.

    Attributes:
        since: the greatest value of the cursor that was published (of an incremental table less its lookback), as int, Decimal, str, date or datetime (with a zone
            if the column has one): yield the rows from it on, those equal to it included. None at first, and where
            neither the source nor the table has a cursor.
        address: where the location is, as the settings have it.
        http: fetches from there with retries and limits; addresses are joined to the location's.
        settings: the project's.
    """

    since: Any
    address: str
    http: Fetcher
    settings: BaseSettings | None = None

    def secret(self, name: str) -> str:
        """The secret of the settings' field `name`; raises SettingsError if it is not set."""
        return secret(self.settings, name)


Fetch = Callable[[FetchContext], Iterable[Any]]


@dataclass(frozen=True)
class Rows:
    """The rows that a function yields, each time all of them, or with a `cursor` those that are new.

    The function takes a `FetchContext` and yields rows as dicts, lists of them, Arrow batches and tables, or data frames
    (whatever has Arrow's C stream). Values are typed strictly, as in JSON: nothing is rounded, no number becomes text. An
    Arrow column of the contract's own type is taken as it is. The first row decides whether the columns are the
    expected ones; later rows that do not fit become malformed rows with the reasons `rows.fields`, `rows.cast` or, with
    a cursor that is null, `rows.cursor`; their line is the row's number as yielded.

    With a cursor each build adds rows, and the watermark is committed with them: rows equal at the watermark are
    neither lost nor doubled, and one before it stops the build. What raises because somebody does not answer is tried
    again from the start; whatever else it raises is told by its line.

    In a golden case `inputs/<location>/<name>.ndjson` holds what the function would yield, and it is not called.

    Args:
        fetch: the function.
        location: the name under which settings know the address.
        name: what is fetched: the golden input's name, and where its rejected rows come from.
        cursor: the column that grows, such as `updated_at`; None fetches everything each time.
        columns: name -> DuckDB type of every column, where that is not the contract.
        optional: columns that a row may leave out; they are null then.
        json_in_strings: JSON columns whose strings hold the document; elsewhere a string is a JSON string.
        limits: time-outs, attempts and limits of `context.http`; the attempts are also those of the function.
        auth: credentials of `context.http`, such as `Bearer("shop_token")`; sent to the location's server alone.
        extra: what becomes of columns that nobody expects; see `Files`.
    """

    fetch: Fetch
    location: str
    name: str
    cursor: str | None = None
    columns: Mapping[str, str] | None = field(default=None, hash=False)
    optional: tuple[str, ...] = ()
    json_in_strings: tuple[str, ...] = ()
    limits: Http = PATIENT
    auth: Auth | None = None
    extra: Extra = "stop"

    @property
    def incremental(self) -> bool:
        """Whether each landing brings only what is new."""
        return self.cursor is not None

    told_by_landing: ClassVar[bool] = True
    tells_lag: ClassVar[bool] = False

    def fingerprint(
        self, base: str, transport: httpx.BaseTransport | None = None, settings: BaseSettings | None = None
    ) -> str:
        """Not known without landing."""
        raise SourceError("what a function yields is known once it has yielded", where=shown(base))

    def lag(self, base: str, offsets: Mapping[int, int]) -> int:
        """Unknown without fetching, and so none."""
        return 0

    def land(self, landing: Landing) -> Landed:
        where = f"{landing.table}: {self.name} of {shown(landing.base)}"
        types = normal_types(landing.connection, landing.columns)
        mark = None if self.cursor is None else Watermark.committed(self.cursor, types, landing.offsets, where)
        with Fetcher(
            self.limits,
            landing.table,
            landing.transport,
            base=landing.base,
            auth=self.auth,
            settings=landing.settings,
        ) as http:
            context = FetchContext(landing.since if mark is None else mark.since, landing.base, http, landing.settings)
            landed = self._given(landing, types, where) or self._collected(landing, types, context, where)
            landed = dataclasses.replace(landed, bytes=http.bytes or None)
        names = ", ".join(map(quoted, (*types, *landed.added)))
        if mark is None:
            count, total = landing.connection.execute(
                f"SELECT count(*), sum(hash(r)::HUGEINT)::VARCHAR FROM (SELECT {names} FROM ({landed.sql})) AS r"
            ).fetchall()[0]
            return dataclasses.replace(landed, fingerprint=_sha(f"{count} {total}"))
        return self._since(landing, types, landed, mark, where)

    def _since(self, landing: Landing, types: Mapping[str, str], landed: Landed, mark: Watermark, where: str) -> Landed:
        """What of the landed rows is new, with the watermark after it."""
        connection, cursor = landing.connection, quoted(mark.cursor)
        rows = f"SELECT * FROM ({landed.sql}) WHERE {cursor} IS NOT NULL"
        if landing.given is None:
            mark.check(connection, rows, where)
        elif mark.text is not None:  # whoever is asked gives what is asked for
            rows += f" AND {cursor} >= {literal(mark.text)}::{mark.kind}"
        fresh = mark.fresh(connection, rows)
        after = mark.after(connection, rows, fresh, types, where)
        pairs = ", ".join(f"{literal(name)}, {quoted(name)}" for name in types)
        error = f"json_object({pairs}, '_error', {literal(f'its cursor {mark.cursor} is null')})::VARCHAR"
        unplaced = f"SELECT 'rows.cursor' AS reason_code, _source_file AS source_file, _source_line AS source_line, {error} AS payload FROM ({landed.sql}) WHERE {cursor} IS NULL"
        malformed = " UNION ALL ".join(filter(None, (landed.malformed, unplaced)))
        found = connection.execute(f"SELECT EXISTS ({malformed})").fetchall()[0][0]
        return dataclasses.replace(
            landed,
            sql=fresh,
            malformed=malformed if found else None,
            offsets={0: after.offset},
            fingerprint=_sha(json.dumps(after.read)),
        )

    def _collected(self, landing: Landing, types: Mapping[str, str], context: FetchContext, where: str) -> Landed:
        """Everything the function yields, called again where somebody did not answer it."""
        import stamina

        try:
            for attempt in stamina.retry_context(
                on=_NoAnswer,
                attempts=self.limits.attempts,
                timeout=None,
                wait_initial=self.limits.wait,
                wait_max=self.limits.longest_wait,
                wait_jitter=self.limits.wait,
            ):
                with attempt:
                    landed = self._collecting(landing, types, where)
                    for item in self._asked(context, where):
                        landed.add(item)
                    return landed.landed()
        except _NoAnswer as error:
            raise SourceUnavailable(
                f"does not answer ({error}; {self.limits.attempts} attempts)",
                where=where,
                fix="Check the address and its credentials, run again later, or ask the source's owner.",
            ) from error.__cause__
        raise AssertionError("a retry ends with a result or an error")

    def _collecting(self, landing: Landing, types: Mapping[str, str], where: str) -> Collected:
        return Collected(landing, types, self.name, where, self.optional, self.json_in_strings, self.extra)

    def _asked(self, context: FetchContext, where: str) -> Iterator[Any]:
        """What the function yields; raises _NoAnswer where it raises because somebody does not answer."""
        try:
            found = self.fetch(context)
            if isinstance(found, Mapping | str | bytes) or not (
                hasattr(found, "__arrow_c_stream__") or hasattr(found, "__iter__")
            ):
                raise SourceError(
                    f"the function returned {type(found).__name__}",
                    where=where,
                    fix="Yield dicts, Arrow or data frames.",
                )
            yield from [found] if hasattr(found, "__arrow_c_stream__") else found
        except PipelineError:
            raise
        except Exception as error:
            if (why := _unanswered(error)) is None:
                raise
            raise _NoAnswer(why) from error

    def _given(self, landing: Landing, types: Mapping[str, str], where: str) -> Landed | None:
        """The rows of the golden case's file; None where there is no case."""
        if landing.given is None:
            return None
        file = landing.given / self.location / f"{self.name}.ndjson"
        rows = self._collecting(landing, types, where)
        for number, line in enumerate(_lines(file), start=1):
            try:
                rows.add(loads(line))
            except JsonError as error:
                raise SourceError(str(error), where=f"{file}, line {number}") from None
        return rows.landed()


class _NoAnswer(Exception):
    """Somebody whom the function asked does not answer."""


def _unanswered(error: BaseException) -> str | None:
    """What of an error, or of what caused it, says that somebody does not answer; None if nothing does."""
    found: str | None = None
    each: BaseException | None = error
    while each is not None:
        name, status = type(each).__name__, getattr(getattr(each, "response", None), "status_code", None)
        if type(each).__module__.startswith("sqlite3"):
            return None  # a file: its OperationalError is of the SQL
        if isinstance(each, ConnectionError | TimeoutError) or name in _UNANSWERED or status in PASSING:
            found = f"HTTP {status}" if status in PASSING else name
        each = each.__cause__ or each.__context__
    return found


# OperationalError is PEP 249's, of every database driver; the others are those of httpx and of the resolver.
_UNANSWERED = {"OperationalError", "InterfaceError", "gaierror", "ConnectError", "ReadError", "RemoteProtocolError"}
_UNANSWERED |= {"ConnectTimeout", "ReadTimeout", "WriteTimeout", "PoolTimeout"}


def _lines(file: Path) -> list[bytes]:
    try:
        return [line for line in file.read_bytes().split(b"\n") if line.strip()]
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}", where=str(file)) from None


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
