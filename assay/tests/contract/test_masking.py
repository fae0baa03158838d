"""Default deny: what nobody classified is not shown."""

from __future__ import annotations

import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay.contract.classification import mask, public
from assay.contract.columns import masked_rows
from assay.contract.contract import Contract


@pytest.mark.parametrize(
    ("classification", "shown"), [("public", 7), ("internal", 7), ("personal", "***"), ("secret", "***"), (None, "***")]
)
def test_only_public_and_internal_values_are_shown(classification, shown):
    assert mask(7, classification) == shown
    assert mask(None, classification) is None


def test_a_column_that_the_contract_does_not_know_is_masked(connection):
    class Model(pa.DataFrameModel):
        a: dt.Int64 = pa.Field(metadata=public)

    rows = masked_rows(connection, "SELECT 1 AS a, 2 AS b, NULL AS c", Contract.of(Model).columns)
    assert rows == ({"a": 1, "b": "***", "c": None},)
