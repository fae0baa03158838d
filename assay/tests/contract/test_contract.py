"""Labelling: one scan, one bit a rule, nothing read twice."""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest

from assay.contract.contract import Contract
from tests.contract.support import label, load, verdicts
from tests.memory import connected


def wide(columns):
    """A contract with two rules per column."""
    namespace: dict[str, Any] = {"__annotations__": {}, "__module__": __name__}
    for number in range(columns):
        namespace["__annotations__"][f"c{number}"] = dt.Int64
        namespace[f"c{number}"] = pa.Field(ge=0)
    return Contract.of(type("Wide", (pa.DataFrameModel,), namespace))


@pytest.mark.parametrize(("columns", "masks"), [(1, 1), (31, 1), (32, 2), (64, 3)])
def test_each_rule_has_its_bit_beyond_64_rules_too(connection, columns, masks):
    contract = wide(columns)
    assert len(contract.row_rules) == 2 * columns
    assert contract.mask_columns == tuple(f"__broken_{number}" for number in range(masks))
    rows: list[list[int | None]] = [[0] * columns for _ in range(2 * columns + 2)]
    for number in range(columns):
        rows[2 * number][number] = None
        rows[2 * number + 1][number] = -1
    rows[-1] = [None] * columns
    found = verdicts(connection, contract, rows)
    codes = [rule.code for rule in contract.row_rules]
    assert found[: 2 * columns] == [(code,) for code in codes]
    assert found[-2] == ()
    assert found[-1] == tuple(codes[::2])
    assert connection.execute("SELECT DISTINCT typeof(__broken_0) FROM labelled").fetchall() == [("UBIGINT",)]
    listed = connection.execute(f"SELECT {contract.reason_codes_sql()} FROM labelled ORDER BY _row").fetchall()
    assert [tuple(row[0]) for row in listed] == found
    assert contract.broken(connection, "labelled").counts == {code: 2 if "null" in code else 1 for code in codes}


def test_a_contract_without_rules_labels_every_row_zero(connection):
    class Free(pa.DataFrameModel):
        a: dt.Int64 = pa.Field(nullable=True)

    contract = Contract.of(Free)
    assert verdicts(connection, contract, [(None,), (1,)]) == [(), ()]
    assert connection.execute("SELECT DISTINCT __broken_0, typeof(__broken_0) FROM labelled").fetchall() == [
        (0, "UBIGINT")
    ]
    assert connection.execute(f"SELECT count(*) FROM labelled WHERE {contract.broken_sql()}").fetchall() == [(0,)]
    reasons = connection.execute(
        f"SELECT DISTINCT {contract.reason_codes_sql()}, typeof({contract.reason_codes_sql()}) FROM labelled"
    )
    assert reasons.fetchall() == [([], "VARCHAR[]")]


class Sale(pa.DataFrameModel):
    amount: dt.Int64 = pa.Field(ge=0, le=100)
    kind: dt.String = pa.Field(isin=["sale", "refund"])


def test_rows_are_read_once_and_each_predicate_stands_once():
    sql = Contract.of(Sale).labelled_sql('FROM "source"')
    assert sql.count('FROM "source"') == 1
    assert sql.count(">= 0") == 1
    assert sql.count("<= 100") == 1
    assert sql.count("['refund', 'sale']") == 1
    assert "JOIN" not in sql
    assert "OVER" not in sql


def test_a_row_is_good_or_rejected_and_never_both_or_neither(connection):
    """The verdict is stored with the row: even over a volatile expression the two halves fit."""
    contract = Contract.of(Sale)
    backend = ibis.duckdb.from_connection(connection)
    expression = backend.sql(
        "SELECT CAST(random() * 200 AS BIGINT) AS amount, 'sale' AS kind FROM range(2000)", schema=contract.schema
    )
    connection.execute(f"CREATE TABLE labelled AS {ibis.to_sql(contract.label(expression), dialect='duckdb')}")
    broken = contract.broken(connection, "labelled")
    assert 0 < broken.rejected < broken.rows == 2000
    disagree = f"SELECT count(*) FROM labelled WHERE {contract.broken_sql()} <> (amount > 100)"
    assert connection.execute(disagree).fetchall() == [(0,)]


def test_what_a_list_has_is_what_in_has(connection):
    """Texts are looked for in a list, which says the same of no text as IN: it is not known."""
    isin = "list_contains(['a', 'b'], kind) IS NOT DISTINCT FROM (kind IN ('a', 'b'))"
    rows = "(VALUES ('a'), ('b'), ('B'), ('a '), (''), (NULL)) AS rows(kind)"
    assert connection.execute(f"SELECT bool_and({isin}), count(kind IN ('a', 'b')) FROM {rows}").fetchall() == [
        (True, 5)
    ]


def test_reasons_named_one_by_one_are_those_of_the_bits(connection):
    contract = Contract.of(Sale)
    load(connection, contract, [(1, "sale"), (101, "sale"), (-1, "gift"), (None, None)])
    label(connection, contract)
    masks = contract.broken(connection, "labelled").masks
    asked = f"SELECT {contract.reason_codes_sql()}, {contract.reason_codes_sql(masks)} FROM labelled"
    found = connection.execute(asked).fetchall()
    assert len({tuple(codes) for codes, _ in found}) == 4
    assert all(codes == named for codes, named in found)


def test_columns_beyond_the_contract_are_kept(connection):
    contract = Contract.of(Sale)
    load(connection, contract, [(1, "sale")])
    label(connection, contract)
    names = [row[0] for row in connection.execute("DESCRIBE labelled").fetchall()]
    assert names == ["amount", "kind", "_row", "__broken_0"]


def test_the_rules_follow_a_composed_expression(connection):
    contract = Contract.of(Sale)
    load(connection, contract, [(1, "sale"), (99, "sale"), (5, "gift")])
    rows = ibis.duckdb.from_connection(connection).table("rows")
    expression = rows.filter(rows.amount > 1).mutate(amount=rows.amount * 2).order_by("amount")
    sql = ibis.to_sql(contract.label(expression), dialect="duckdb")
    found = connection.execute(f"SELECT amount, __broken_0 FROM ({sql}) ORDER BY amount").fetchall()
    assert [(amount, contract.codes([mask])) for amount, mask in found] == [
        (10, ("kind.isin",)),
        (198, ("amount.le_100",)),
    ]


def test_names_that_need_quoting(connection):
    class Odd(pa.DataFrameModel):
        first: dt.Int64 = pa.Field(alias='a "quoted" name', gt=0, unique=True)
        second: dt.String = pa.Field(alias="it's", eq="it's")

    contract = Contract.of(Odd)
    assert verdicts(connection, contract, [(0, "x"), (1, "it's")]) == [
        ('a "quoted" name.gt_0', "it's.eq_it_s"),
        (),
    ]
    listed = connection.execute(f"SELECT {contract.reason_codes_sql()} FROM labelled ORDER BY _row").fetchall()
    assert listed[0][0] == ['a "quoted" name.gt_0', "it's.eq_it_s"]
    assert contract.profile(connection, "labelled").rows == 2
    assert contract.key_problems(connection, "labelled").sound


def test_labelling_and_counting_never_leaves_the_database(monkeypatch):
    """Pandera's Ibis backend pulls every failing row into pandas."""

    def refuse(*_args, **_options):
        raise AssertionError("rows left the database")

    for owner in (ibis.expr.types.Expr, ibis.expr.types.Table, ibis.expr.types.Column):
        for name in ("execute", "to_pandas", "to_pyarrow", "to_pyarrow_batches", "to_polars"):
            if hasattr(owner, name):
                monkeypatch.setattr(owner, name, refuse)
    with connected() as connection:
        assert verdicts(connection, Contract.of(Sale), [(-1, "gift")]) == [("amount.ge_0", "kind.isin")]
