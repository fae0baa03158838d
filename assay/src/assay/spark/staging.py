"""What Spark finds of a build's rows before they are published, and the one commit that publishes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import duckdb

from assay.contract.payload import free
from assay.contract.uniqueness import SAMPLE, KeyProblems
from assay.errors import PipelineError
from assay.spark.engine import ROWS, compiled_label
from assay.spark.labelled import Labelled
from assay.spark.lake import REPLAYED, SIGNS, spark_sql, tick
from assay.spark.numbers import contents, day_of, iceberg_partition, key_of, profiled
from assay.tables.nodes import removes_too_much
from assay.warehouse import references, verdicts
from assay.warehouse.preserved import Preserved
from assay.warehouse.quarantine import keep as quarantine
from assay.warehouse.shrinking import Replaced
from assay.warehouse.staging import REFUSED, add

if TYPE_CHECKING:
    import datetime as dtm

    from assay.contract.contract import Contract
    from assay.contract.profile import Profile
    from assay.spark.lake_tables import LakeTables
    from assay.tables.nodes import Reference, TableDef
    from assay.tables.results import CheckResult, Publication
    from assay.warehouse.builds import Build
    from assay.warehouse.parts import Parts
    from assay.warehouse.references import Orphans


@contextmanager
def staged(session: LakeTables, build: Build) -> Iterator[LakeStaging]:
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
        with suppress(duckdb.Error):
            quarantine.forget(session)
        raise
    finally:
        with suppress(PipelineError):  # what cannot be dropped now the next session drops
            staging.drop()
            session.forget()


class LakeStaging(Labelled):
    """The staged rows of one build; see `assay.warehouse.protocol.Staging`."""

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
            f"SELECT coalesce(sum(__n) FILTER (WHERE NOT __is), 0), count(*) FILTER (WHERE __is AND __n > 1) FROM ({groups})"
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
        if not key:
            before, after = session.ask(f"SELECT {SIGNS} FROM ({both})")[0]
            return Preserved(before, after, max(before - after, 0), max(after - before, 0), how)
        hashed = f"xxhash64({', '.join(names)})"
        # Equal keys have equal hashes: whole keys are matched only where the hashes do not add up.
        before, after, uneven = session.ask(
            "SELECT coalesce(sum(__before), 0), coalesce(sum(__after), 0), count(*) FILTER (WHERE __before <> __after) "
            f"FROM (SELECT {SIGNS} FROM ({both}) GROUP BY {hashed})"
        )[0]
        if not uneven:
            return Preserved(before, after, 0, 0, how)
        suspects = f"SELECT {hashed} FROM ({both}) GROUP BY 1 HAVING sum(__n) <> 0"
        matched = (
            f"SELECT {', '.join(names)}, {SIGNS} FROM ({both}) "
            f"WHERE {hashed} IN ({suspects}) GROUP BY {', '.join(names)} HAVING sum(__n) <> 0"
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
        if build.adds or self.existing is None:
            session.unmoved(table)
        if self.existing is None:
            lake.replace(rows, table.stage, table.name, properties, partitioned)
        elif not lake.exists(table.stage, table.name):  # a dry run writes into its own lake; the real one is only read
            lake.replace(f"SELECT * FROM {self.whole}", table.stage, table.name, properties, partitioned)
        elif build.adds:
            lake.append(rows, table.stage, table.name, properties)
        else:
            among = spark_sql(build.in_partition)
            lake.overwrite(rows, table.stage, table.name, properties, among, self.since)


class LakeAdded:
    """Rows that are added to a published table, such as replayed ones; see `assay.warehouse.added.Added`."""

    def __init__(
        self, session: LakeTables, table: TableDef, contract: Contract, rows: str, parts: Parts | None
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
        # Should this run end before the books are committed, the next one must not add the rows again.
        taken = self.session.connection.execute("SELECT __reject_id FROM __passing").fetchall()
        properties[REPLAYED] = [reject_id for (reject_id,) in taken]
        self.session.unmoved(table)
        if lake.exists(table.stage, table.name):
            lake.append(self.rows, table.stage, table.name, properties)
        else:
            lake.make(table.stage)
            lake.replace(f"SELECT * FROM {self.whole}", table.stage, table.name, properties, iceberg_partition(table))
