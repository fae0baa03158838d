"""DuckDB's errors as one clear line: what failed, for which table, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import duckdb

from assay.errors import PipelineError, SourceError, WarehouseError
from assay.warehouse.masked_text import masked

if TYPE_CHECKING:
    from assay.tables.nodes import TableDef

_FULL = ("no space left", "file too large", "disk quota", "could not write", "failed to offload", "out of disk")
_DAMAGED = ("corrupt database file", "could not read enough bytes", "checksum", "deserialize")
STAYS = "Nothing was published; the previous version stays."


@contextmanager
def explained(where: str, code: Callable[[], str] = str) -> Iterator[None]:
    """Raise a PipelineError in place of the DuckDB errors that data, disks and memory cause inside the block.

    Errors of the SQL itself (an unknown column, a syntax error) pass through: they are defects of code, and
    their traceback says whose.

    Args:
        code: gives the text of the code at work, whose words an error may show.
    """
    try:
        yield
    except (RuntimeError, duckdb.InterruptException) as error:
        raise_interrupt(error)
        raise
    except duckdb.Error as error:
        found = explain(error, where, code())
        if found is None:
            raise
        raise found from error


def raise_interrupt(error: Exception) -> None:
    """Raise the interrupt that `error` stands for, if it does: DuckDB tells Ctrl-C in a query as a RuntimeError."""
    if first_line(error).removeprefix("INTERRUPT Error: ") not in ("Query interrupted", "Interrupted!"):
        return
    cause = error.__cause__
    raise cause if cause is not None and not isinstance(cause, Exception) else KeyboardInterrupt from error


def explain(error: duckdb.Error, where: str, code: str = "") -> PipelineError | None:
    """The clear form of `error`; None if it is a defect of code."""
    line = first_line(error)
    text = line.lower()
    if isinstance(error, duckdb.OutOfMemoryException):
        return WarehouseError(
            f"out of memory or of disk for temporary files: {line}",
            where=where,
            fix=f"Raise PIPELINE_MEMORY_LIMIT or PIPELINE_SCRATCH_LIMIT, or free the disk. {STAYS}",
        )
    if isinstance(error, duckdb.ConversionException | duckdb.OutOfRangeException | duckdb.InvalidInputException):
        return SourceError(
            f"a value cannot be computed: {masked(line, code)}",
            where=where,
            fix=f"Use try_cast where a value may not fit. {STAYS}",
        )
    if isinstance(error, duckdb.IOException | duckdb.TransactionException | duckdb.FatalException):
        if any(mark in text for mark in _FULL):
            return WarehouseError(
                f"the disk is full or cannot be written: {line}", where=where, fix=f"Free the disk. {STAYS}"
            )
        if any(mark in text for mark in _DAMAGED):
            return WarehouseError(
                f"the warehouse's file is damaged: {line}", where=where, fix="Restore it from a backup."
            )
        if isinstance(error, duckdb.IOException):
            return WarehouseError(
                f"reading or writing failed: {line}", where=where, fix=f"Check the file and the disk. {STAYS}"
            )
        if isinstance(error, duckdb.FatalException):
            return WarehouseError(
                f"the database stopped after an error: {line}", where=where, fix=f"Run again. {STAYS}"
            )
    return None


def first_line(error: Exception) -> str:
    """DuckDB's message without its context lines and its doubled prefixes."""
    line = re.sub(r"\s+", " ", str(error).strip().partition("\n")[0])
    return line.removeprefix("TransactionContext Error: ")


def never_published(table: TableDef) -> WarehouseError:
    """What is said to who reads `table` before it was built."""
    return WarehouseError(
        f"'{table.name}' was never published",
        where=f"{table.stage}.{table.name}",
        fix=f"Build it first: pipeline run {table.name}.",
    )


def other_columns(table: TableDef, wrong: Iterable[str]) -> WarehouseError:
    """What is said to who reads `table` as its contract has it, where some columns are published otherwise or not at all."""
    return WarehouseError(
        f"the published table has other columns than its contract: {', '.join(wrong)}",
        where=f"{table.stage}.{table.name}",
        fix=f"Build it first: pipeline run {table.name}.",
    )
