"""Odd quantities are reported, and their lines stay."""

from __future__ import annotations

from assay.testing.bench import Bench, warned

LINES: list[tuple[int, str | None, int]] = [
    (1001, "FUEL", 1),
    (1001, "COUPON/MISC ITEMS", 1),
    (1000, "BREAD", 1),
    (1001, "BREAD", 1),
    (1001, None, 1),
    (0, "BREAD", 1),
    (0, "BREAD", 0),
]
"""Quantity, category (None: a product the catalogue does not have) and sales."""


def test_odd_quantities_are_reported_and_kept(bench: Bench) -> None:
    known = [(number, category) for number, (_, category, _) in enumerate(LINES) if category]
    bench.given("products", *({"product_id": number, "product_category": category} for number, category in known))
    bench.given("raw_demographics", {"household_id": 1})
    bench.given(
        "transactions",
        *(
            {"product_id": number, "quantity": quantity, "sales_value": sales}
            for number, (quantity, _, sales) in enumerate(LINES)
        ),
    )
    found = warned(bench.build("purchases"))
    assert len(bench.rows("purchases")) == len(LINES)
    assert found == {"only_fuel_sells_by_the_thousand": 2, "sales_come_with_units": 1, "product_id_in_products": 1}
