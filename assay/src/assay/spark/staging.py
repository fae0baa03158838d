"""What Spark does for one build: the labelled rows in a table beside the published ones, which one commit makes the new version.

Nothing is deleted from the staging table: which of its rows are good is a condition. The broken ones, which are few, go
to DuckDB, whose quarantine they get the same ids and payloads in as with DuckDB's session.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import ibis.expr.datatypes as dt

from assay.contract.payload import free
from assay.contract.uniqueness import SAMPLE, KeyProblems
from assay.errors import PipelineError
from assay.spark.engine import ROWS, compiled_label
from assay.spark.lake import spark_sql, tick
from assay.spark.numbers import contents, day_of, iceberg_partition, key_of, profiled
from assay.sql import literal
from assay.tables.nodes import removes_too_much
from assay.tables.places import SOURCE_COLUMNS
from assay.warehouse import references, verdicts
from assay.warehouse.preserved import Preserved
from assay.warehouse.quarantine import keep as quarantine
from assay.warehouse.shrinking import Replaced
from assay.warehouse.staging import PREFIX, REFUSED, REPEAT, Staged, add, beside, malformed_aside, place

if TYPE_CHECKING:
    import datetime as dtm

    from assay.contract.contract import Contract
    from assay.contract.profile import Profile
    from assay.spark.lake_session import LakeSession
    from assay.tables.nodes import Reference, TableDef
    from assay.tables.results import CheckResult, Publication
    from assay.warehouse.builds import Build
    from assay.warehouse.parts import Parts
    from assay.warehouse.references import Orphans

REPEATED = "__repeated_"
"""How the names of tables begin that hold the rows whose key is repeated, in order."""


@contextmanager
def staged(session: LakeSession, build: Build) -> Iterator[LakeStaging]:
    """Write the rows of a build, and set the broken ones aside; leaves nothing behind."""
    where = f"{build.where} ({build.table.file})"
    session.lake.make(build.table.stage)
    staging = LakeStaging(session, build)
    try:
        with session.told(where), session.cluster.named(session.group):
            staging.write()
            staging.split()
            yield staging
    except BaseException:
        session.stop()
        raise
    finally:
        with suppress(PipelineError):  # what cannot be dropped now the next session drops
            staging.drop()


class LakeStaging:
    """The staged rows of one build; see `assay.warehouse.publish.Staging`."""

    def __init__(self, session: LakeSession, build: Build) -> None:
        self.session, self.build, self.lake = session, build, session.lake
        self.contract = build.contract
        own = f"{build.table.name}_{session.token}"
        self.name, self.repeated = PREFIX + own, REPEATED + own
        self.relation = self.lake.table(build.table.stage, self.name)
        self.target = self.lake.table(build.table.stage, build.table.name)
        self.columns = ", ".join(tick(each.name) for each in self.contract.columns)
        self.staged = Staged(self.relation)
        self.merged = None
        self.losers = False
        self.existing: str | None = None
        if build.keeps_existing(session):
            published = session.relation(build.table)
            among = "" if build.table.appends else f" WHERE NOT ({spark_sql(build.in_partition)})"
            self.existing = f"SELECT {self.columns} FROM {published}{among}"

    @property
    def good(self) -> str:
        """The staged rows that keep the contract."""
        parts = self.build.parts
        broken = [f"{name} <> 0" for name in self.contract.mask_columns]
        if parts is not None:
            broken += [spark_sql(parts.waiting), spark_sql(parts.outside())]
        sound = f"WHERE NOT ({' OR '.join(broken)})"
        if not self.losers:
            return f"(SELECT {self.columns} FROM {self.relation} {sound})"
        repeated = self.lake.table(self.build.table.stage, self.repeated)
        others = f"LEFT ANTI JOIN (SELECT DISTINCT __hash FROM {repeated}) ON {self._hash} = __hash"
        first = f"SELECT {self.columns} FROM {repeated} WHERE __is_staged AND __place = 1"
        return f"(SELECT {self.columns} FROM {self.relation} {others} {sound} UNION ALL {first})"

    @property
    def _hash(self) -> str:
        return f"xxhash64({', '.join(tick(name) for name in self.contract.key)})"

    @property
    def whole(self) -> str:
        """The table as it would be after publishing: the good rows, and the published ones that stay."""
        return self.good if self.existing is None else f"(SELECT * FROM {self.good} UNION ALL {self.existing})"

    def write(self) -> None:
        """The labelled rows, with their places in the source."""
        table, expression = self.build.table, self.build.expression
        names = [column.name for column in self.contract.columns]
        extras = [name for name in beside(table) if name in expression.columns and name not in names]
        rows = expression.select(*names, *extras)
        schema = dict(rows.schema().items())
        sql = self.session.sql(rows)
        if self.build.taken:
            sql = f"SELECT * FROM ({sql}) WHERE {' OR '.join(map(spark_sql, self.build.taken))}"
        labels = compiled_label(self.contract, tuple(schema[name] for name in extras), tuple(extras))
        self.lake.replace(f"WITH `{ROWS}` AS ({sql}) {labels}", table.stage, self.name)
        self.staged.extras = extras

    def split(self) -> None:
        """Count the rows, and bring those that are no good to DuckDB."""
        session, table, staged, parts = self.session, self.build.table, self.staged, self.build.parts
        landed, contract = self.build.landed, self.contract
        waiting, outside = (spark_sql(parts.waiting), spark_sql(parts.outside())) if parts else ("false", "false")
        masks = [tick(name) for name in contract.mask_columns]
        found = session.ask(
            f"SELECT {', '.join(masks)}, {waiting} AS __waiting, {outside} AS __outside, count(*) FROM {self.relation} "
            f"GROUP BY ALL"
        )
        staged.waiting = sum(row[-1] for row in found if row[-3])
        staged.staged = sum(row[-1] for row in found if not row[-3])
        quarantine.begin(session)
        if landed is not None and landed.malformed is not None:
            malformed_aside(session, table, landed.malformed, staged)
            staged.staged += staged.rejected
        broken = {tuple(row[:-3]): 0 for row in found if any(row[:-3]) and not row[-3]}
        for row in found:
            if tuple(row[:-3]) in broken and not row[-3]:
                broken[tuple(row[:-3])] += row[-1]
        if broken:
            self._set_broken_aside(broken, waiting)
        if any(row[-2] and not row[-3] and not any(row[:-3]) for row in found):
            assert parts is not None
            sound = " AND ".join(f"{name} = 0" for name in masks)
            self._set_aside(parts.code, f"FROM {self.relation} WHERE {sound} AND NOT {waiting} AND {outside}")
        if table.keep is not None:
            self._set_repeats_aside()
        sound = sum(row[-1] for row in found if not any(row[:-1]))
        staged.published = sound - staged.reasons.get(REPEAT, 0)
        if staged.rejected:
            quarantine.identify(session)
            staged.sample = quarantine.sample(session, contract)
            staged.first_place = quarantine.first_place(session)

    def _set_broken_aside(self, broken: Mapping[tuple[int, ...], int], waiting: str) -> None:
        """The rows that broke rules; where too many did, some of each combination of reasons."""
        staged, contract, table = self.staged, self.contract, self.build.table
        staged.rejected += sum(broken.values())
        for mask, count in broken.items():
            add(staged.reasons, dict.fromkeys(contract.codes(mask), count))
        staged.over_budget = not table.max_rejects.tolerates(staged.rejected, staged.staged)
        masks = ", ".join(tick(name) for name in contract.mask_columns)
        rows = f"SELECT * FROM {self.relation} WHERE {contract.broken_sql()} AND NOT {waiting}"
        if staged.over_budget and sum(broken.values()) > quarantine.KEPT_WHEN_FAILED:
            order = f"row_number() OVER (PARTITION BY {masks} ORDER BY {self.columns})"
            rows = f"SELECT * FROM (SELECT *, {order} AS __n FROM ({rows})) WHERE __n <= {quarantine.KEPT_WHEN_FAILED}"
        brought = self._brought(rows, contract.mask_columns)
        quarantine.collect(
            self.session,
            table,
            f"SELECT {contract.reason_codes_sql()} AS reason_codes, {contract.payload_sql()} AS payload, "
            f"{place(staged.extras)} FROM ({brought})",
            counts=broken.values() if staged.over_budget else None,
        )

    def _set_aside(self, code: str, among: str) -> None:
        """Rows that are rejected for the one reason."""
        contract, staged = self.contract, self.staged
        brought = self._brought(f"SELECT * {among}", ())
        before = self.session.number("SELECT count(*) FROM __rejects")
        quarantine.collect(
            self.session,
            self.build.table,
            f"SELECT [{literal(code)}] AS reason_codes, {contract.payload_sql()} AS payload, {place(staged.extras)} "
            f"FROM ({brought})",
        )
        count = self.session.number("SELECT count(*) FROM __rejects") - before
        staged.rejected += count
        add(staged.reasons, {code: count} if count else {})

    def _set_repeats_aside(self) -> None:
        """Of rows with the same key keep the first; only those are placed in order whose key's hash occurs twice."""
        table, contract, existing = self.build.table, self.contract, self.existing
        assert table.keep is not None
        hashed, key = self._hash, ", ".join(tick(name) for name in contract.key)
        extras = "".join(f", {tick(name)}" for name in self.staged.extras)
        sound = self.good.replace(f"SELECT {self.columns} FROM", f"SELECT {self.columns}{extras} FROM", 1)
        present = " AND ".join(f"{tick(name)} IS NOT NULL" for name in contract.key)  # a null key is no repeat
        every = f"SELECT {hashed} AS __hash FROM {sound}"
        if existing is not None:  # those of other partitions, and of before, repeat nothing among themselves
            every += f" UNION ALL SELECT DISTINCT {hashed} FROM ({existing})"
        suspects = f"SELECT __hash FROM ({every}) GROUP BY __hash HAVING count(*) > 1"
        order = table.keep.order_sql([column.name for column in contract.columns])
        order = ["__is_staged", *order] if table.appends else [*order, "__is_staged"]
        order += [f"{tick(name)} NULLS LAST" for name in self.staged.extras]
        rows = f"SELECT {self.columns}{extras}, true AS __is_staged FROM {sound}"
        if existing is not None:
            nulls = "".join(f", NULL AS {tick(name)}" for name in self.staged.extras)
            rows += f" UNION ALL SELECT {self.columns}{nulls}, false FROM ({existing})"
        self.lake.replace(
            f"SELECT *, row_number() OVER (PARTITION BY {key} ORDER BY {', '.join(order)}) AS __place "
            f"FROM (SELECT *, {hashed} AS __hash FROM ({rows}) WHERE {present}) LEFT SEMI JOIN ({suspects}) USING (__hash)",
            table.stage,
            self.repeated,
        )
        self.losers = True
        self._set_aside(REPEAT, f"FROM {self.lake.table(table.stage, self.repeated)} WHERE __is_staged AND __place > 1")

    def _brought(self, sql: str, masks: Sequence[str]) -> str:
        """SQL for DuckDB of staged rows, with their places and masks."""
        places = {name: (dt.string, dt.int64)[SOURCE_COLUMNS.index(name)] for name in self.staged.extras}
        schema = {**self.contract.schema, **places, **dict.fromkeys(masks, dt.int64)}
        listed = ", ".join(tick(name) for name in schema)
        return self.session.brought(f"SELECT {listed} FROM ({sql})", schema)

    def strip(self) -> None:
        """Nothing: the masks are no columns of what is published."""

    def broken_before(self) -> Mapping[str, int]:
        """Published rows that stay and break the contract as it is now, by reason."""
        contract = self.contract
        masks = ", ".join(tick(name) for name in contract.mask_columns)
        labels = compiled_label(contract, (), ())
        counts: dict[str, int] = {}
        for *mask, rows in self.session.ask(
            f"WITH `{ROWS}` AS ({self.existing}) SELECT {masks}, count(*) FROM ({labels}) GROUP BY {masks}"
        ):
            add(counts, dict.fromkeys(contract.codes(mask), rows))
        return counts

    def unique_key(self, *, proven: bool) -> CheckResult:
        """The verdict on the keys of the table as it would be; `proven` says that its own was looked after."""
        return verdicts.keys(self.contract, self._key_problems, proven=proven)

    def _key_problems(self, key: tuple[str, ...]) -> KeyProblems:
        """Nulls and repeats of a key: 64 bits of each are grouped, and whole keys only where these repeat."""
        whole, listed = self.whole, ", ".join(tick(name) for name in key)
        present = " AND ".join(f"{tick(name)} IS NOT NULL" for name in key)
        hashed = f"xxhash64({listed})"
        groups = f"SELECT {present} AS __is, count(*) AS __n FROM {whole} GROUP BY {present}, {hashed}"
        nulls, suspected = self.session.ask(
            f"SELECT coalesce(sum(__n) FILTER (WHERE NOT __is), 0), count_if(__is AND __n > 1) FROM ({groups})"
        )[0]
        if not nulls and not suspected:
            return KeyProblems(key, 0, 0, 0)
        suspects = f"SELECT {hashed} FROM {whole} WHERE {present} GROUP BY 1 HAVING count(*) > 1"
        repeats = (
            f"SELECT {listed}, count(*) AS __rows FROM {{}} WHERE {present}{{}} GROUP BY {listed} HAVING count(*) > 1"
        )
        found_sql = repeats.format(whole, f" AND {hashed} IN ({suspects})")
        missing = f"SELECT * FROM {{}} WHERE NOT ({present})"
        repeated, excess = self.session.ask(f"SELECT count(*), coalesce(sum(__rows - 1), 0) FROM ({found_sql})")[0]
        if excess:
            rows = self.session.ask(f"{found_sql} ORDER BY {listed} LIMIT {SAMPLE}")
            return self._problems(
                key, (nulls, repeated, excess), rows, repeats.format(self.target, "") + f" ORDER BY {listed}"
            )
        if nulls:
            rows = self.session.ask(f"SELECT {listed} FROM ({missing.format(whole)}) ORDER BY {listed} LIMIT {SAMPLE}")
            return self._problems(key, (nulls, 0, 0), rows, missing.format(self.target))
        return KeyProblems(key, 0, 0, 0)

    def _problems(
        self, key: tuple[str, ...], counts: tuple[int, int, int], rows: Sequence[Sequence[Any]], sql: str
    ) -> KeyProblems:
        shown = self.contract.masked(key, (row[: len(key)] for row in rows))
        sample = tuple(
            {**each, **{free("rows", key): count for count in row[len(key) :]}}
            for each, row in zip(shown, rows, strict=True)
        )
        nulls, repeated, excess = map(int, counts)
        return KeyProblems(key, nulls, repeated, excess, sample, sql)

    def replaced(self) -> Replaced:
        """The published rows that the staged ones would take the place of."""
        session, build, table, contract = self.session, self.build, self.build.table, self.contract
        if not session.exists(table):
            return Replaced()
        there = session.columns(table)
        same = {name for name, kind in contract.duckdb_columns.items() if there.get(name) == kind}
        existing, emptied, parts = session.relation(table), dict[str, int](), build.parts
        if parts is not None and parts.partitions.column in same:
            key = key_of(parts.partitions)
            before = f"SELECT * FROM {existing} WHERE {spark_sql(parts.rows)}"
            existing = f"({before})" if parts.asked is not None else existing
            emptied = dict(
                session.ask(
                    f"SELECT * FROM (SELECT {key} AS __part, count(*) FROM ({before}) GROUP BY 1) "
                    f"LEFT ANTI JOIN (SELECT DISTINCT {key} AS __part FROM {self.good}) USING (__part) ORDER BY __part"
                )
            )
        if parts is None or parts.asked is None:
            rows = session.count(table)
        else:
            rows = int(session.ask(f"SELECT count(*) FROM {existing}")[0][0])
        keys = None
        if (
            contract.key
            and set(contract.key) <= same
            and removes_too_much(rows - self.staged.published, rows, table.may_shrink)
        ):
            listed = ", ".join(tick(name) for name in contract.key)
            found = session.ask(f"SELECT count(*) FROM {existing} LEFT ANTI JOIN {self.good} USING ({listed})")
            keys = int(found[0][0])
        return Replaced(rows, emptied, keys)

    def preserved(self, upstream: Contract, key: Mapping[str, str], how: str) -> Preserved:
        """How the input that the table preserves compares with what became of its rows."""
        build, session = self.build, self.session
        rows = session.relation(build.upstream[str(build.table.preserves)])
        if build.partition is not None or self.staged.waiting:
            arrived = f"({session.sql(build.expression)})"
        else:
            arrived = self.relation
        names = [f"__k{place}" for place in range(len(key))]
        sides = [
            f"SELECT {', '.join([*(f'{tick(column)} AS {name}' for column, name in zip(columns, names, strict=True)), f'{sign} AS __n'])} FROM {side}"
            for columns, sign, side in ((key, 1, rows), (key.values(), -1, arrived))
        ]
        both = " UNION ALL ".join(sides)
        before, after = session.ask(f"SELECT count_if(__n > 0), count_if(__n < 0) FROM ({both})")[0]
        if not key:
            return Preserved(before, after, max(before - after, 0), max(after - before, 0), how)
        hashed = f"xxhash64({', '.join(names)})"
        # Equal keys have equal hashes: whole keys are matched only where the hashes do not add up.
        uneven = f"SELECT {hashed} AS __h FROM ({both}) GROUP BY 1 HAVING sum(__n) <> 0"
        matched = (
            f"SELECT {', '.join(names)}, count_if(__n > 0) AS __before, count_if(__n < 0) AS __after FROM ({both}) "
            f"WHERE {hashed} IN ({uneven}) GROUP BY {', '.join(names)} HAVING sum(__n) <> 0"
        )
        lost, multiplied = session.ask(
            "SELECT coalesce(sum(greatest(__before - __after, 0)), 0), coalesce(sum(greatest(__after - __before, 0)), 0) "
            f"FROM ({matched})"
        )[0]
        sample: tuple[Mapping[str, Any], ...] = ()
        if lost or multiplied:
            shown = session.ask(f"{matched} ORDER BY ALL LIMIT {SAMPLE}")
            masked = upstream.masked(list(key), (row[:-2] for row in shown))
            sample = tuple(
                each | {free("rows", key): row[-2], free("arrived", key): row[-1]}
                for each, row in zip(masked, shown, strict=True)
            )
        return Preserved(before, after, int(lost), int(multiplied), how, sample)

    def orphans(self, declared: Reference) -> Orphans:
        """The rows whose columns are in no row of the table they refer to."""
        build = self.build
        other = self.whole if declared.to == build.table.name else self.session.relation(build.upstream[declared.to])
        return references.orphans(self.session, self.contract, self.good, declared, other, target=self.target)

    def days(self, names: Sequence[str]) -> dict[dtm.date, tuple[int, ...]]:
        """Rows, and values that are not null of the columns `names`, of each day of the table as it would be."""
        parts = self.build.parts
        assert parts is not None
        counts = ", ".join(["count(*)", *(f"count({tick(name)})" for name in names)])
        within = "" if parts.partitions.unit == "hour" else f"WHERE {spark_sql(parts.rows)}"
        found = self.session.ask(f"SELECT {day_of(parts.partitions)}, {counts} FROM {self.whole} {within} GROUP BY 1")
        return {row[0]: row[1:] for row in found}

    def present(self, names: Sequence[str]) -> tuple[int, ...]:
        """Staged rows, and their values that are not null of the columns `names`."""
        counts = ", ".join(["count(*)", *(f"count({tick(name)})" for name in names)])
        return self.session.ask(f"SELECT {counts} FROM {self.good}")[0]

    def refuse(self, outcome: Publication) -> Publication:
        """Keep the rows where a failed check's SQL would otherwise look for them in vain."""
        table = self.build.table
        self.forget_refused()
        if not any(not check.passed and self.target in (check.sample_sql or "") for check in outcome.checks):
            return outcome
        self.lake.replace(f"SELECT * FROM {self.whole}", table.stage, REFUSED + table.name)
        shown = self.lake.table(table.stage, REFUSED + table.name)
        checks = tuple(
            dataclasses.replace(check, sample_sql=check.sample_sql and check.sample_sql.replace(self.target, shown))
            for check in outcome.checks
        )
        return dataclasses.replace(outcome, checks=checks)

    def forget_refused(self) -> None:
        """Drop what the last failed audit of the table refused."""
        self.lake.drop(self.build.table.stage, REFUSED + self.build.table.name)

    def swap(self) -> str:
        """What the commit will do: it is the last step."""
        build = self.build
        if self.existing is None:
            return "partition" if build.partition is not None else "append" if build.adds else "replace"
        return "append" if build.adds else "partition"

    def keep_rejects(self, *, published: bool) -> int:
        """Move the rejected rows into the quarantine, before the commit; returns how many it has of them."""
        build, session = self.build, self.session
        again = build.seen_again(session) if published else None
        kept = quarantine.keep(session, build.table, build.run, build.partition, published=published, again=again)
        if published:
            session.settle()
        return kept

    def contents(self) -> dict[str, tuple[int, str]]:
        """Rows and content hash of each partition that was built and has rows."""
        assert self.build.parts is not None
        return contents(self.session, self.contract, self.build.parts.partitions, self.good)

    def profile(self) -> Profile:
        """The table as it will be published, in numbers."""
        rows = self.staged.published if self.existing is None else None
        return profiled(self.session, self.contract, self.whole, rows=rows)

    def commit(self, publication: Publication, number: int | None) -> None:
        """The one commit that makes the staged rows the published ones, with what the books will say of it."""
        session, build, table, lake = self.session, self.build, self.build.table, self.lake
        self.forget_refused()
        properties = session.properties(table, number)
        rows, partitioned = f"SELECT * FROM {self.good}", iceberg_partition(table)
        if self.existing is None:
            lake.replace(rows, table.stage, table.name, properties, partitioned)
        elif not lake.exists(table.stage, table.name):  # a dry run writes into its own lake; the real one is only read
            lake.replace(f"SELECT * FROM {self.whole}", table.stage, table.name, properties, partitioned)
        elif build.adds:
            lake.append(rows, table.stage, table.name, properties)
        else:
            lake.overwrite(rows, table.stage, table.name, properties, spark_sql(build.in_partition))

    def drop(self) -> None:
        """Drop what nobody reads."""
        for name in (self.name, self.repeated) if self.losers else (self.name,):
            self.lake.drop(self.build.table.stage, name)


class LakeAdded:
    """Rows that are added to a published table, such as replayed ones; see `assay.warehouse.session.Added`."""

    def __init__(
        self, session: LakeSession, table: TableDef, contract: Contract, rows: str, parts: Parts | None
    ) -> None:
        self.session, self.table, self.contract, self.parts = session, table, contract, parts
        columns = ", ".join(tick(each.name) for each in contract.columns)
        self.rows = f"SELECT {columns} FROM ({rows})"
        self.whole = f"(SELECT {columns} FROM {session.relation(table)} UNION ALL {self.rows})"

    def profile(self) -> Profile:
        """The table as it will be published, in numbers."""
        return profiled(self.session, self.contract, self.whole)

    def contents(self) -> dict[str, tuple[int, str]]:
        """Rows and content hash of each partition that has rows."""
        assert self.parts is not None
        among = f"(SELECT * FROM {self.whole} WHERE {spark_sql(self.parts.rows)})"
        return contents(self.session, self.contract, self.parts.partitions, among)

    def commit(self, publication: Publication, number: int | None) -> None:
        """The commit that adds the rows, after that of the quarantine."""
        lake, table, properties = self.session.lake, self.table, self.session.properties(self.table, number)
        if lake.exists(table.stage, table.name):
            lake.append(self.rows, table.stage, table.name, properties)
        else:
            lake.make(table.stage)
            lake.replace(f"SELECT * FROM {self.whole}", table.stage, table.name, properties, iceberg_partition(table))
