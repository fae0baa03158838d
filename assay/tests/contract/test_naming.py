"""Codes are stored with rejected rows: they must not change when anything else does."""

from __future__ import annotations

import datetime as dtm
from typing import Any

import ibis.expr.datatypes as dt
import pandera.ibis as pa

from assay.contract.contract import Contract


class Everything(pa.DataFrameModel):
    number: dt.Int64 = pa.Field(
        eq=1, ne=-1, gt=0, ge=1, lt=9, le=8, in_range={"min_value": 0, "max_value": 10}, isin=[1], notin=[2]
    )
    share: dt.Float64 = pa.Field(ge=0.5, nullable=True)
    day: dt.Date = pa.Field(ge=dtm.date(2017, 1, 1), nullable=True)
    name: dt.String = pa.Field(
        ne="a b'c",
        eq="x" * 40,
        str_matches="a",
        str_contains="a",
        str_startswith="a",
        str_endswith="a",
        str_length={"min_value": 1, "max_value": 3},
        nullable=True,
    )
    short: dt.String = pa.Field(str_length={"max_value": 3}, nullable=True)
    long: dt.String = pa.Field(str_length={"min_value": 3}, nullable=True)
    fixed: dt.String = pa.Field(str_length={"exact_value": 3}, nullable=True)

    @pa.check("share", name="share_is_round")
    def rounded(cls, data: Any) -> Any:
        return data.table[data.key].round() == data.table[data.key]

    @pa.check("short", "long", name="is_lower")
    def lower(cls, data: Any) -> Any:
        return data.table[data.key].lower() == data.table[data.key]

    @pa.dataframe_check(description="short names are shorter than long ones")
    def short_below_long(cls, data: Any) -> Any:
        return data.table.short.length() < data.table.long.length()


def test_codes():
    assert [rule.code for rule in Contract.of(Everything).row_rules] == [
        "number.not_null",
        "number.eq_1",
        "number.ne_-1",
        "number.gt_0",
        "number.ge_1",
        "number.lt_9",
        "number.le_8",
        "number.in_range_0_to_10",
        "number.isin",
        "number.notin",
        "share.ge_0.5",
        "share_is_round",
        "day.ge_2017-01-01",
        "name.eq",
        "name.ne_a_b_c",
        "name.str_contains",
        "name.str_endswith",
        "name.str_matches",
        "name.str_length_1_to_3",
        "name.str_startswith",
        "short.str_length_max_3",
        "short.is_lower",
        "long.str_length_min_3",
        "long.is_lower",
        "fixed.str_length_3",
        "short_below_long",
    ]


def test_descriptions_are_for_people():
    texts = {rule.code: rule.description for rule in Contract.of(Everything).row_rules}
    assert texts["number.not_null"] == "number is not null"
    assert texts["number.ge_1"] == "number >= 1"
    assert texts["number.in_range_0_to_10"] == "number >= 0 and <= 10"
    assert texts["number.isin"] == "number in 1"
    assert texts["name.str_matches"] == "name matches a"
    assert texts["share_is_round"] == "share is round"
    assert texts["short_below_long"] == "short names are shorter than long ones"


def test_a_long_list_of_values_is_cut():
    class Model(pa.DataFrameModel):
        number: dt.Int64 = pa.Field(isin=list(range(40)))

    assert Contract.of(Model).column("number").constraints[1] == "in 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, and 28 more"
