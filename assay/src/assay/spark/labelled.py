"""A build's rows on Spark: labelled, written once beside the published ones, and split.

Nothing is deleted from the staging table: which of its rows are good is a condition. The broken ones, which are few, go
to DuckDB, whose quarantine they get the same ids and payloads in as with DuckDB's session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import ibis.expr.datatypes as dt

from assay.spark.engine import ROWS, compiled_label
from assay.spark.lake import REPEATED, spark_sql, tick
from assay.sql import literal
from assay.tables.places import SOURCE_COLUMNS
from assay.warehouse.quarantine import keep as quarantine
from assay.warehouse.repeats import order_sql
from assay.warehouse.staging import PREFIX, REPEAT, Staged, add, beside, malformed_aside, place, tell

if TYPE_CHECKING:
    from assay.spark.lake_tables import LakeTables
    from assay.warehouse.builds import Build
    from assay.warehouse.merging import Merged


class Labelled:
    """The rows of one build.

    Attributes:
        staged: what is known of them.
        existing: SQL of the published rows that stay; None where none do.
        since: the version of the table that these are of.
    """

    def __init__(self, session: LakeTables, build: Build) -> None:
        self.session, self.build, self.lake = session, build, session.lake
        self.contract = build.contract
        own = f"{build.table.name}_{session.token}"
        self.name, self.repeated = PREFIX + own, REPEATED + own
        self.relation = self.lake.table(build.table.stage, self.name)
        self.target = self.lake.table(build.table.stage, build.table.name)
        self.columns = ", ".join(tick(each.name) for each in self.contract.columns)
        self.staged = Staged(self.relation)
        self.merged: Merged | None = None
        self.losers = False
        self.all_good = False
        self.existing: str | None = None
        self.since: int | None = None
        if build.keeps_existing(session):
            published = session.relation(build.table)
            self.since = session.published_in(build.table).snapshot(build.table.stage, build.table.name)
            among = "" if build.table.appends else f" WHERE NOT ({spark_sql(build.in_partition)})"
            self.existing = f"SELECT {self.columns} FROM {published}{among}"

    @property
    def good(self) -> str:
        """The staged rows that keep the contract."""
        if self.all_good:  # without a condition much is answered by the table's metadata
            return f"(SELECT {self.columns} FROM {self.relation})"
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
        self.all_good = not any(any(row[:-1]) for row in found)
        staged.waiting = sum(row[-1] for row in found if row[-3])
        staged.staged = sum(row[-1] for row in found if not row[-3])
        quarantine.begin(session, table)
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
        tell(session, table, contract, staged)

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
        session, existing, hashed = self.session, self.existing, self._hash
        extras = "".join(f", {tick(name)}" for name in self.staged.extras)
        sound = self.good.replace(f"SELECT {self.columns} FROM", f"SELECT {self.columns}{extras} FROM", 1)
        every = f"SELECT {hashed} AS __hash FROM {sound}"
        if existing is not None:  # those of other partitions, and of before, repeat nothing among themselves
            every += f" UNION ALL SELECT DISTINCT {hashed} FROM ({existing})"
        # Few as they are nearly always, they are sent to the rows, which need no sorting then.
        repeated = f"SELECT __hash FROM ({every}) GROUP BY __hash HAVING count(*) > 1"
        with session.kept(repeated, "__hash BIGINT") as (suspects, count):
            if count:
                self._place_repeats(suspects, sound, extras)

    def _place_repeats(self, suspects: str, sound: str, extras: str) -> None:
        """Set aside all rows but the first of each key among those whose hash is in `suspects`."""
        table, contract, existing = self.build.table, self.contract, self.existing
        assert table.keep is not None
        hashed, key = self._hash, ", ".join(tick(name) for name in contract.key)
        present = " AND ".join(f"{tick(name)} IS NOT NULL" for name in contract.key)  # a null key is no repeat
        order = order_sql(table, contract, table.keep, self.staged.extras)
        rows = f"SELECT {self.columns}{extras}, true AS __is_staged FROM {sound}"
        if existing is not None:
            nulls = "".join(f", NULL AS {tick(name)}" for name in self.staged.extras)
            rows += f" UNION ALL SELECT {self.columns}{nulls}, false FROM ({existing})"
        self.lake.replace(
            f"SELECT *, row_number() OVER (PARTITION BY {key} ORDER BY {order}) AS __place "
            f"FROM (SELECT *, {hashed} AS __hash FROM ({rows}) WHERE {present}) LEFT SEMI JOIN {suspects} USING (__hash)",
            table.stage,
            self.repeated,
        )
        self.losers, self.all_good = True, False
        self._set_aside(REPEAT, f"FROM {self.lake.table(table.stage, self.repeated)} WHERE __is_staged AND __place > 1")

    def _brought(self, sql: str, masks: Sequence[str]) -> str:
        """SQL for DuckDB of staged rows, with their places and masks."""
        places = {name: (dt.string, dt.int64)[SOURCE_COLUMNS.index(name)] for name in self.staged.extras}
        schema = {**self.contract.schema, **places, **dict.fromkeys(masks, dt.int64)}
        listed = ", ".join(tick(name) for name in schema)
        return self.session.brought(f"SELECT {listed} FROM ({sql})", schema)

    def drop(self) -> None:
        """Drop what nobody reads."""
        for name in (self.name, self.repeated) if self.losers else (self.name,):
            self.lake.drop(self.build.table.stage, name)
