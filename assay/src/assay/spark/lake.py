"""Tables in a lake: Apache Iceberg through a Spark session, one atomic commit for each version that is published.

A commit carries what the books know of it in its snapshot's properties, so that a reader, a killed run and the next
driver all see rows, record and offsets together or not at all.
"""

from __future__ import annotations

import datetime as dtm
import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import WarehouseError, on_disk
from assay.sources.addresses import shown
from assay.spark.failures import SILENT, explained, missing_is_fine
from assay.spark.session import SparkFailure, answers
from assay.warehouse.staging import PREFIX, REFUSED

if TYPE_CHECKING:
    from assay.spark.session import Cluster

RECORD, OFFSETS, REPLAYED = "assay.record", "assay.offsets", "assay.replayed"
"""The snapshot's properties: the publication as the books have it, how far an event log is read, and which rejects it adds."""
TABLE = {"format-version": "2", "read.split.open-file-cost": "1048576"}
"""What Iceberg is told of a table. A partition's file counts as 4 MB else, so that a year of small days is a hundred tasks."""
SIGNS = "count(*) FILTER (WHERE __n > 0) AS __before, count(*) FILTER (WHERE __n < 0) AS __after"
"""How many rows of two tables, of which the first one's have a positive `__n` and the other's a negative one."""
REPEATED = "__repeated_"
"""How the names of tables begin that hold the rows whose key is repeated, in order."""


@dataclass(frozen=True)
class Commit:
    """What the newest commit of a table that the framework made carries; empty where it made none."""

    record: Mapping[str, Any] = field(default_factory=dict)
    offsets: Mapping[str, Any] = field(default_factory=dict)
    replayed: Sequence[str] = ()


class Lake:
    """A catalog of Iceberg tables, whose namespaces are the stages.

    Args:
        name: how Spark's SQL calls the catalog.
        folder: where files go: a folder that driver and workers see, or an address of the workers' file system.
        catalog: `jdbc:...` or `https://...` of the catalog; None: the folder itself is it, for one file system with
            atomic renames.
    """

    def __init__(self, cluster: Cluster, name: str, folder: str, catalog: str | None = None) -> None:
        self.cluster, self.name, self.by_folder = cluster, name, catalog is None
        self.where = shown(catalog) if catalog else folder
        cluster.configure(options(name, prepared(folder), catalog))
        with self.told():
            self._sql("SHOW NAMESPACES IN " + tick(name)).collect()

    def table(self, stage: str, name: str) -> str:
        """The quoted SQL name of a table."""
        return ".".join(tick(part) for part in (self.name, stage, name))

    def make(self, stage: str) -> None:
        """Make the namespace of a stage if it is missing."""
        with self.told():
            self._sql(f"CREATE NAMESPACE IF NOT EXISTS {tick(self.name)}.{tick(stage)}")

    def stages(self) -> list[str]:
        """The namespaces there are."""
        with self.told():
            return sorted(row[0] for row in self._sql("SHOW NAMESPACES IN " + tick(self.name)).collect())

    def tables(self, stage: str) -> list[str]:
        """The tables of a stage, staging tables among them: those of other drivers may be gone the next moment."""
        with self.told():
            return sorted(row[1] for row in self._sql(f"SHOW TABLES IN {tick(self.name)}.{tick(stage)}").collect())

    def published(self) -> list[tuple[str, str]]:
        """The stages and names of all tables but those that a build drops, which may be gone the next moment."""
        return [
            (stage, name)
            for stage in self.stages()
            for name in self.tables(stage)
            if not name.startswith((PREFIX, REPEATED, REFUSED))
        ]

    def exists(self, stage: str, name: str) -> bool:
        """Whether there is a table of that name."""
        with self.told():
            return bool(self.cluster.spark.catalog.tableExists(self.table(stage, name)))

    def columns(self, stage: str, name: str) -> dict[str, str]:
        """A table's columns and their types, as Spark names them."""
        with self.told():
            return self.cluster.types(f"SELECT * FROM {self.table(stage, name)}")

    def pointers(self) -> dict[tuple[str, str], str]:
        """Of each published table where its metadata is: another place after every commit, whoever made it."""
        found = {}
        for stage, name in self.published():
            with self.told(), missing_is_fine():
                found[stage, name] = str(self._loaded(stage, name).operations().current().metadataFileLocation())
        return found

    def count(self, stage: str, name: str) -> int:
        """The number of rows of a table: by its metadata, where no row was deleted from its files."""
        with self.told():
            snapshot = self._loaded(stage, name).currentSnapshot()
            summary = snapshot.summary() if snapshot is not None else {"total-records": "0"}
            if summary.get("total-records") is not None and summary.get("total-delete-files") in (None, "0"):
                return int(str(summary.get("total-records")))
        return int(self.all(f"SELECT count(*) FROM {self.table(stage, name)}")[0][0])

    def snapshot(self, stage: str, name: str) -> int | None:
        """The number of a table's newest version; None where it has none."""
        with self.told():
            found = self._loaded(stage, name).currentSnapshot()
            return None if found is None else int(found.snapshotId())

    def commit(self, stage: str, name: str) -> Commit:
        """What the newest commit of the framework's carries; later ones of others, such as a compaction, carry nothing."""
        with self.told(), missing_is_fine():
            loaded = self._loaded(stage, name)
            snapshot = loaded.currentSnapshot()
            while snapshot is not None:
                summary = snapshot.summary()
                if (record := summary.get(RECORD)) is not None:
                    carried = [json.loads(summary.get(key) or "null") for key in (OFFSETS, REPLAYED)]
                    return Commit(json.loads(record), carried[0] or {}, carried[1] or ())
                parent = snapshot.parentId()
                snapshot = loaded.snapshot(parent) if parent is not None else None
        return Commit()

    def is_published(self, stage: str, name: str) -> bool:
        """Whether the newest version of a table is a publication of the framework's, and no other change."""
        found = None
        with self.told(), missing_is_fine():
            snapshot = self._loaded(stage, name).currentSnapshot()
            found = snapshot and snapshot.summary().get(RECORD)
        return found is not None

    def replace(
        self,
        sql: str,
        stage: str,
        name: str,
        properties: Mapping[str, Any] | None = None,
        partitioned: str | None = None,
    ) -> None:
        """The rows of a statement as the table's new version, with its columns.

        Args:
            properties: of the snapshot, written as JSON.
            partitioned: SQL of Iceberg's partitions.
        """
        from pyspark.sql import functions

        with self.told(), self.cluster.asked():
            writer = self._writer(sql, stage, name, properties).using("iceberg")
            for key, value in TABLE.items():
                writer = writer.tableProperty(key, value)
            if partitioned is not None:
                writer = writer.partitionedBy(functions.expr(partitioned))
            writer.createOrReplace()

    def append(self, sql: str, stage: str, name: str, properties: Mapping[str, Any]) -> None:
        """The rows of a statement beside those of the table."""
        with self.told(), self.cluster.asked():
            self._writer(sql, stage, name, properties).append()

    def overwrite(
        self, sql: str, stage: str, name: str, properties: Mapping[str, Any], where: str, since: int | None = None
    ) -> None:
        """The rows of a statement in the place of the table's whole partitions for which `where` holds.

        Args:
            since: the version that was read for it; whoever has written these partitions later makes it fail.
        """
        from pyspark.sql import functions

        with self.told(), self.cluster.asked():
            writer = self._writer(sql, stage, name, properties)
            if since is not None:
                writer = writer.option("isolation-level", "serializable").option("validate-from-snapshot-id", since)
            writer.overwrite(functions.expr(where))

    def _writer(self, sql: str, stage: str, name: str, properties: Mapping[str, Any] | None) -> Any:
        writer = self.cluster.spark.sql(sql).writeTo(self.table(stage, name))
        for key, value in (properties or {}).items():
            writer = writer.option(f"snapshot-property.{key}", json.dumps(value, ensure_ascii=False))
        return writer

    def point_at(self, stage: str, name: str) -> None:
        """Have readers who go by the folder's own hint find the newest version: its driver may have died before it wrote that."""
        if self.by_folder:  # any commit writes it; this one changes nothing
            self.execute(
                f"ALTER TABLE {self.table(stage, name)} SET TBLPROPERTIES ('assay.pointed_at' = '{uuid.uuid4().hex}')"
            )

    def drop(self, stage: str, name: str) -> None:
        """Drop a table with its files, if it is there."""
        with self.told():
            self._sql(f"DROP TABLE IF EXISTS {self.table(stage, name)} PURGE")

    def execute(self, sql: str) -> None:
        """Run a statement for what it does."""
        with self.told():
            self._sql(sql)

    def all(self, sql: str) -> list[tuple[Any, ...]]:
        """The few rows of a statement; instants are aware, in UTC."""
        with self.told(), self.cluster.asked():
            frame = self.cluster.spark.sql(sql)
            # Spark's Python gives an instant as a naive time of this machine's zone, which has an hour twice.
            zoned = [
                place for place, field in enumerate(frame.schema.fields) if field.dataType.typeName() == "timestamp"
            ]
            for place in zoned:
                name = tick(frame.columns[place])
                frame = frame.withColumn(frame.columns[place], frame[name].cast("timestamp_ntz"))
            rows = [list(row) for row in frame.collect()]
        for row in rows:
            for place in zoned:
                row[place] = row[place] and row[place].replace(tzinfo=dtm.UTC)
        return [tuple(row) for row in rows]

    @contextmanager
    def told(self, where: str | None = None) -> Iterator[None]:
        """What a catalog, a file or a value is to blame for, as one line; nothing of it quotes a value."""
        try:
            yield
        except SparkFailure as failure:
            raise explained(failure, where or self.where) from failure

    def _sql(self, text: str) -> Any:
        with self.cluster.asked():
            return self.cluster.spark.sql(text)

    def _loaded(self, stage: str, name: str) -> Any:
        with self.cluster.asked():
            spark = self.cluster.spark
            return spark._jvm.org.apache.iceberg.spark.Spark3Util.loadIcebergTable(
                spark._jsparkSession, self.table(stage, name)
            )


def options(name: str, folder: str, catalog: str | None) -> dict[str, str]:
    """Spark's settings of a catalog of Iceberg's."""
    own = f"spark.sql.catalog.{name}"
    found = {own: "org.apache.iceberg.spark.SparkCatalog", f"{own}.warehouse": folder, f"{own}.cache-enabled": "false"}
    if catalog is None:
        return {**found, f"{own}.type": "hadoop"}
    return {**found, f"{own}.type": "jdbc" if catalog.startswith("jdbc:") else "rest", f"{own}.uri": catalog}


def prepared(folder: str) -> str:
    """The address of a lake's folder, which is made if it is missing.

    Raises:
        WarehouseError: it cannot be made, or holds something that is no lake.
    """
    if "://" in folder and not folder.startswith("file://"):
        return folder
    path = Path(folder.removeprefix("file://"))
    with on_disk(WarehouseError, "the lake's folder cannot be made", where=str(path), fix=_ELSEWHERE):
        path.mkdir(parents=True, exist_ok=True)
        strange = next((each for each in path.iterdir() if not each.is_dir() and not each.name.startswith(".")), None)
    if strange is not None:
        raise WarehouseError(f"is no lake: it holds {strange.name}", where=str(path), fix=_ELSEWHERE)
    return path.resolve().as_uri()


def check(folder: str, catalog: str | None) -> None:
    """Raise WarehouseError for what is known to be missing, before Spark is started."""
    prepared(folder)
    server = re.match(r"jdbc:\w+://(?:[^@/]*@)?([\w.-]+):(\d+)", catalog or "")
    if catalog and server and not answers(server[1], int(server[2])):
        raise WarehouseError(SILENT[0], where=shown(catalog), fix=SILENT[1])


_ELSEWHERE = "Set PIPELINE_LAKE to an empty folder, or to a lake."


def sweep(lake: Lake, token: str) -> None:
    """Drop the staging tables that a warehouse's sessions before left behind."""
    for stage in lake.stages():
        for name in lake.tables(stage):
            if name.startswith((PREFIX, REPEATED)) and name.endswith(token):
                lake.drop(stage, name)


def tick(name: str) -> str:
    """`name` as an identifier of Spark's."""
    return "`" + name.replace("`", "``") + "`"


def text(value: str) -> str:
    """`value` as a text of Spark's SQL."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def spark_sql(shared: str) -> str:
    """A condition that is written for DuckDB, such as those of partitions, in Spark's SQL: its names, texts and instants differ."""

    def written(found: re.Match[str]) -> str:
        whole = found[0]
        return text(whole[1:-1].replace("''", "'")) if whole[0] == "'" else tick(whole[1:-1].replace('""', '"'))

    return _QUOTED.sub(written, shared).replace("TIMESTAMPTZ '", "TIMESTAMP '")


_QUOTED = re.compile("'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
