from __future__ import annotations

import pytest

from assay.errors import SourceError
from assay.sources.columns import check_names, check_types


def test_any_order_will_do():
    check_names(["b", "a"], ["a", "b"], where="sold: f")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (["quantity"], "missing column 'product_id'"),
        (["product_id", "quantity", "colour"], "unexpected column 'colour'"),
        (["product", "quantity"], "expected column 'product_id', found 'product' (renamed?)"),
        (["PRODUCT_ID", "quantity"], "expected column 'product_id', found 'PRODUCT_ID' (renamed?)"),
        (["sku", "quantity"], "expected column 'product_id', found 'sku' (renamed?)"),
        (["product_id", "quantity", "quantity"], "column 'quantity' appears more than once"),
        ([], "missing column 'product_id', 'quantity'"),
    ],
)
def test_what_moved_is_named(found, message):
    with pytest.raises(SourceError) as error:
        check_names(found, ["product_id", "quantity"], where="sold: f")
    assert str(error.value).startswith(f"sold: f: {message}. ")


def test_long_lists_are_cut():
    with pytest.raises(SourceError, match="and 12 more"):
        check_names([], [f"c{index}" for index in range(20)], where="f")


def test_types_must_be_equal():
    check_types({"a": "BIGINT"}, {"a": "BIGINT"}, where="f")
    with pytest.raises(SourceError, match="column 'a' is DOUBLE, expected BIGINT"):
        check_types({"a": "DOUBLE"}, {"a": "BIGINT"}, where="f")
