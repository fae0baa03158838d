"""What a person sees of new output before deciding: the difference to the golden, without running anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from assay.compare.engine import compare
from assay.compare.model import Difference
from assay.compare.text import render, visible
from assay.golden import store
from assay.golden.case import Case
from assay.golden.pending import Pending
from assay.golden.rejected import by_field
from assay.golden.rows import CaseRows, load
from assay.words import rows_told

SHOWN = 20


def difference(pending: Pending, case: Case) -> Difference | None:
    """How the pending rows differ from the golden; None if there is no golden."""
    import duckdb

    golden = store.read_golden(case.expected, pending.name, pending.schema)
    if golden is None:
        return None
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        lines = tuple(range(2, len(pending.rows) + 2))
        rows = CaseRows(pending.path, pending.schema.names, pending.rows, lines)
        return compare(
            connection,
            f"FROM {load(connection, golden.rows, golden.schema.stored_types, 'golden')}",
            f"FROM {load(connection, rows, pending.schema.stored_types, 'pending')}",
            key=golden.schema.key,
            tolerances=golden.schema.tolerance,
            volatile=golden.schema.volatile,
            max_samples=SHOWN,
            expected_columns=golden.schema.columns,
            actual_columns=pending.schema.columns,
        )


def introduce(pending: Pending, case: Case, key: Sequence[str] = ()) -> Iterator[str]:
    """The new output in a few lines.

    Args:
        key: of the table; tells which rejected rows are the same.
    """
    if pending.refused:
        yield f"cannot be accepted, it breaks its contract: {pending.refused}"
        return
    found = difference(pending, case)
    if found is not None:
        yield render(by_field(found, key) if pending.name.endswith(store.REJECTS) else found, indent="  ")
        return
    yield f"  new: {rows_told(len(pending.rows))}"
    for row in pending.rows[:SHOWN]:
        yield "  + " + "  ".join(f"{n}={visible(v)}" for n, v in zip(pending.schema.names, row, strict=True))
