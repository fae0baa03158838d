"""Odd quantities are reported, and their lines stay."""

from __future__ import annotations

from pipeline_project_tests.bench import Bench, warned


def test_odd_quantities_are_reported_and_kept(bench: Bench) -> None:
    lines = [
        {"quantity": 1001, "product_category": "FUEL"},
        {"quantity": 1001, "product_category": "COUPON/MISC ITEMS"},
        {"quantity": 1000, "product_category": "BREAD"},
        {"quantity": 1001, "product_category": "BREAD"},
        {"quantity": 1001, "product_category": None},
        {"quantity": 0, "sales_value": 1},
        {"quantity": 0, "sales_value": 0},
    ]
    known = [line for line in lines if line.get("product_category")]
    bench.given("products", *({"product_id": n, **_of(line)} for n, line in enumerate(lines) if line in known))
    bench.given("raw_demographics", {"household_id": 1})
    bench.given(
        "transactions",
        *({"basket_id": 1, "product_id": n, "sales_value": 1} | _but(line) for n, line in enumerate(lines)),
    )
    found = warned(bench.build("purchases"))
    assert len(bench.rows("purchases")) == len(lines)
    assert found == {"only_fuel_sells_by_the_thousand": 2, "sales_come_with_units": 1, "product_id_in_products": 3}


def _of(line: dict[str, object]) -> dict[str, object]:
    return {"product_category": line["product_category"]}


def _but(line: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in line.items() if name != "product_category"}
