"""Rejected rows that differ, as people look at them: field by field, and a row of both sides as one that changed."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence

from assay.compare.model import CellChange, Difference, RowChange, RowSample

REASONS = "reason_codes"
PAYLOAD = "payload"


def by_field(difference: Difference, key: Sequence[str]) -> Difference:
    """Payloads opened into their fields, and rows paired: those of one reason and `key`, then those of one `key`.

    Only what no other row of its side shares tells a row, and only among the rows that the comparison kept.
    """
    left, right = (list(map(_opened, rows)) for rows in (difference.only_expected, difference.only_actual))
    changes: list[RowChange] = []
    for names in ((REASONS, *key), tuple(key)):
        for expected, actual in list(_pairs(left, right, names)):
            left.remove(expected)
            right.remove(actual)
            changes.append(_changed(expected, actual, names))
    if difference.added is None or difference.removed is None or difference.changed is None:
        return difference
    return dataclasses.replace(
        difference,
        only_expected=tuple(left),
        only_actual=tuple(right),
        changes=(*difference.changes, *changes),
        added=difference.added - len(changes),
        removed=difference.removed - len(changes),
        changed=difference.changed + len(changes),
    )


def _opened(row: RowSample) -> RowSample:
    values = {name: value for name, value in row.values.items() if name != PAYLOAD}
    fields = json.loads(row.values.get(PAYLOAD) or "{}")
    texts = {name: value if value is None else str(value) for name, value in fields.items()}
    return dataclasses.replace(row, values={**values, **{name: texts[name] for name in texts if name not in values}})


def _pairs(
    left: list[RowSample], right: list[RowSample], names: Sequence[str]
) -> Iterator[tuple[RowSample, RowSample]]:
    if not names:
        return
    sides: list[dict[tuple[str | None, ...], list[RowSample]]] = [defaultdict(list), defaultdict(list)]
    for side, rows in zip(sides, (left, right), strict=True):
        for row in rows:
            side[tuple(row.values.get(name) for name in names)].append(row)
    for told, rows in sides[0].items():
        others = sides[1].get(told, [])
        if len(rows) == len(others) == 1 and rows[0].copies == others[0].copies == 1:
            yield rows[0], others[0]


def _changed(expected: RowSample, actual: RowSample, names: Sequence[str]) -> RowChange:
    both = {**expected.values, **actual.values}
    cells = [CellChange(name, expected.values.get(name), actual.values.get(name)) for name in both]
    return RowChange(
        {name: both[name] for name in names},
        tuple(cell for cell in cells if cell.expected != cell.actual),
    )
