"""From a model to a contract, and what of a model is refused."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, Optional

import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay.contract.classification import personal, public
from assay.contract.contract import Contract
from assay.errors import ContractError


class Sales(pa.DataFrameModel):
    """One row per sale."""

    sale_id: dt.Int64 = pa.Field(gt=0, unique=True, metadata=public, description="Names the sale")
    shop: dt.String = pa.Field(isin=["north", "south"], str_length={"max_value": 5}, metadata=public)
    buyer: dt.String = pa.Field(nullable=True, metadata=personal)
    amount: dt.Decimal(12, 2) = pa.Field(in_range={"min_value": 0, "max_value": 100})

    @pa.dataframe_check()
    def free_only_in_the_north(cls, data: Any) -> Any:
        return (data.table.amount > 0) | (data.table.shop == "north")

    class Config:
        strict = True
        unique = ["shop", "buyer"]


def test_everything_a_model_says_is_in_the_contract():
    contract = Contract.of(Sales)
    assert (contract.name, contract.file, contract.model) == ("Sales", __file__, Sales)
    assert contract.description == "One row per sale."
    assert contract.strict
    assert not contract.ordered
    assert contract.duckdb_columns == {
        "sale_id": "BIGINT",
        "shop": "VARCHAR",
        "buyer": "VARCHAR",
        "amount": "DECIMAL(12,2)",
    }
    assert list(contract.schema.names) == list(contract.duckdb_columns)
    assert [column.name for column in contract.columns if column.classification is None] == ["amount"]
    sale = contract.column("sale_id")
    assert (sale.description, sale.classification, sale.nullable, sale.unique) == (
        "Names the sale",
        "public",
        False,
        True,
    )
    assert contract.column("shop").constraints == ("not null", "in north, south", "length max 5")
    assert contract.column("buyer").constraints == ()
    assert contract.column("amount").constraints == ("not null", ">= 0 and <= 100")


def test_a_frames_key_comes_before_a_fields():
    contract = Contract.of(Sales)
    assert contract.keys == (("shop", "buyer"), ("sale_id",))
    assert contract.key == ("shop", "buyer")


def test_a_contract_without_a_key_has_none():
    class Model(pa.DataFrameModel):
        a: dt.Int64

    assert Contract.of(Model).key == ()


def test_a_contract_is_read_once():
    assert Contract.of(Sales) is Contract.of(Sales)


def test_a_contract_inherits():
    class Refunds(Sales):
        reason: dt.String

        class Config:
            strict = True

    assert [column.name for column in Contract.of(Refunds).columns] == ["sale_id", "shop", "buyer", "amount", "reason"]
    assert "free_only_in_the_north" in {rule.code for rule in Contract.of(Refunds).row_rules}


def model(**parts):
    annotations = {name: annotation for name, (annotation, _) in parts.get("fields", {"a": (dt.Int64, None)}).items()}
    fields = {name: field for name, (_, field) in parts.get("fields", {}).items() if field is not None}
    config = type("Config", (), parts["config"]) if "config" in parts else None
    namespace = {"__annotations__": annotations, "__module__": __name__, **fields}
    return type("Broken", (pa.DataFrameModel,), namespace | ({"Config": config} if config else {}))


REFUSED = {
    "coerce": ({"config": {"coerce": True}}, "Config.coerce"),
    "drop_invalid_rows": ({"config": {"drop_invalid_rows": True}}, "Config.drop_invalid_rows"),
    "add_missing_columns": ({"config": {"add_missing_columns": True}}, "Pandera cannot read it"),
    "strict filter": ({"config": {"strict": "filter"}}, "Config.strict = 'filter'"),
    "unknown key column": ({"config": {"unique": ["b"]}}, "names 'b'"),
    "coerced field": ({"fields": {"a": (dt.Int64, pa.Field(coerce=True))}}, "Broken.a: coerce"),
    "regex": ({"fields": {"a": (dt.Int64, pa.Field(alias="a_.*", regex=True))}}, "regex"),
    "optional": ({"fields": {"a": (Optional[dt.Int64], pa.Field())}}, "Broken"),  # noqa: UP045  Pandera's spelling
    "no database type": ({"fields": {"a": (object, pa.Field())}}, "Broken"),
    "classification": (
        {"fields": {"a": (dt.Int64, pa.Field(metadata={"classification": "private"}))}},
        "Broken.a: classification 'private'",
    ),
    "the warehouse's names": ({"fields": {"a": (dt.Int64, pa.Field(alias="_source_line"))}}, "adds a column"),
    "names that differ by case": ({"fields": {"a": (dt.Int64, None), "A": (dt.Int64, None)}}, "'a' and 'A'"),
    "our own names": ({"fields": {"a": (dt.Int64, pa.Field(alias="__broken_0"))}}, "adds a column"),
}


@pytest.mark.parametrize(("parts", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_by_name(parts, message):
    with pytest.raises(ContractError) as raised:
        Contract.of(model(**parts))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_two_rules_cannot_share_a_code():
    class Model(pa.DataFrameModel):
        a: dt.Int64
        b: dt.Int64

        @pa.check("a", name="is_sound")
        def first(cls, data: Any) -> Any:
            return data.table[data.key] > 0

        @pa.dataframe_check(name="is_sound")
        def second(cls, data: Any) -> Any:
            return data.table.b > 0

    with pytest.raises(ContractError, match="two rules have the code 'is_sound'"):
        Contract.of(Model)


@pytest.mark.parametrize("name", ["unique_key", "rows_valid", "has rows"])
def test_a_table_rule_is_a_check_and_needs_a_name_of_its_own(name):
    class Model(pa.DataFrameModel):
        a: dt.Int64

        @pa.dataframe_check(name=name)
        def counted(cls, data: Any) -> Any:
            return data.table.count() > 0

    with pytest.raises(ContractError, match=f"cannot be called '{name}'"):
        Contract.of(Model)


@pytest.mark.slow
def test_reading_runs_no_query():
    program = (
        ""
        "from assay.contract.contract import Contract\n"
        "import duckdb\n"
        "def refuse(*_, **__): raise AssertionError('a query')\n"
        "duckdb.connect = duckdb.execute = duckdb.sql = refuse\n"
        f"from {__name__} import Sales\n"
        "assert Contract.of(Sales).row_rules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
