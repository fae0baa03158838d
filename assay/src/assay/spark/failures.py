"""Spark's errors as one clear line: what a catalog, a file, a value or another run is to blame for, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from assay.errors import PipelineError, WarehouseError
from assay.spark.session import SparkFailure
from assay.warehouse.failures import STAYS

MEANWHILE = "another run published the table meanwhile"
SILENT = ("the catalog does not answer", "Start it, or set PIPELINE_LAKE_CATALOG.")
_REASONS = (
    (
        "Cannot find catalog plugin class",
        "Spark has no Iceberg",
        "Name its runtime in spark-defaults.conf: spark.jars.packages org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:1.10.2.",
    ),
    ("Cannot load JDBC", "Spark has no driver for the catalog's database", "Name its jar in spark-defaults.conf."),
    ("No suitable driver", "Spark has no driver for the catalog's database", "Name its jar in spark-defaults.conf."),
    ("authentication failed", "the catalog refuses the user or the password", "Correct PIPELINE_LAKE_CATALOG."),
    ("NotAuthorizedException", "the catalog refuses the user or the password", "Correct PIPELINE_LAKE_CATALOG."),
    ('FATAL: database "', "there is no such database", "Make it, or correct PIPELINE_LAKE_CATALOG."),
    ("UncheckedSQLException", *SILENT),
    ("RESTException", *SILENT),
    ("Found conflicting", "another run published the same partitions meanwhile", "Run it again."),
    ("CommitFailedException", MEANWHILE, "Run it again."),
    ("TABLE_OR_VIEW_NOT_FOUND", "a table that it reads is gone", "Run it again; it is built if it is a table of ours."),
    ("Cannot read unsupported version", "a newer Iceberg wrote the table", "Give Spark that version's runtime."),
    ("NotFoundException", "a file of the table is missing", "Restore it, or drop the table: the next run builds it."),
    ("No space left", "the disk is full", "Free it."),
)
"""What stands in the text of an error of Spark's, what it means, and what to do."""


@contextmanager
def missing_is_fine() -> Iterator[None]:
    """Leave the block where a table is not there, or is no more: between two questions others may drop it."""
    try:
        yield
    except SparkFailure as failure:
        if failure.kind != "TABLE_OR_VIEW_NOT_FOUND":
            raise


def explained(failure: SparkFailure, where: str) -> PipelineError:
    """An error of Spark's as one of ours, which quotes no value."""
    told = str(failure.__cause__)
    for part, what, fix in _REASONS:
        if part in told:
            return WarehouseError(what, where=where, fix=f"{fix} {STAYS}")
    if failure.kind is not None:
        fix = f"Use try_cast where a value may not fit. {STAYS}"
        return WarehouseError(f"Spark cannot compute it: {failure.kind}", where=where, fix=fix)
    classes = re.findall(r"^(?:: |Caused by: )([\w.$]+)", told, re.MULTILINE)
    name = classes[-1].rpartition(".")[2] if classes else type(failure.__cause__).__name__
    return WarehouseError(f"Spark failed: {name}", where=where, fix=f"Look into Spark's log. {STAYS}")
