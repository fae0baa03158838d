"""purchases: every line once, whatever is known of its product, promotion and household."""

from __future__ import annotations

import pytest

from assay.testing.bench import Bench, warned


@pytest.fixture
def joined(bench: Bench) -> Bench:
    """One line of a known product by a known household, displayed in that shop in that week."""
    bench.given("transactions", {"basket_id": 1, "product_id": 7, "household_id": 3, "store_id": 286, "week": 27})
    bench.given("products", {"product_id": 7, "department": "DELI"})
    bench.given("raw_demographics", {"household_id": 3, "age": "45-54"})
    bench.given("promotions", promotion(286, 27, "9", "0"))
    return bench


def promotion(store: int, week: int, display: str, mailer: str) -> dict[str, object]:
    return {"product_id": 7, "store_id": store, "week": week, "display_location": display, "mailer_location": mailer}


FACTS = ("department", "age", "is_displayed", "is_mailed")


def test_a_line_knows_its_product_promotion_and_household(joined: Bench) -> None:
    assert not warned(joined.build("purchases"))
    assert joined.rows("purchases", *FACTS) == [("DELI", "45-54", True, False)]


@pytest.mark.parametrize(("store", "week"), [(287, 27), (286, 26)])
def test_a_promotion_counts_in_its_shop_and_week_only(joined: Bench, store: int, week: int) -> None:
    joined.given("promotions", promotion(store, week, "9", "A"))
    joined.build("purchases")
    assert joined.rows("purchases", "is_displayed", "is_mailed") == [(False, False)]


def test_orphans_are_reported_and_kept(joined: Bench) -> None:
    joined.given("products")
    joined.given("raw_demographics")
    assert warned(joined.build("purchases")) == {"product_id_in_products": 1, "household_id_in_raw_demographics": 1}
    assert joined.rows("purchases", *FACTS) == [(None, None, True, False)]


def test_a_promotion_that_repeats_would_multiply_lines_and_stops_the_table(joined: Bench) -> None:
    joined.given("promotions", promotion(286, 27, "9", "0"), promotion(286, 27, "0", "A"))
    assert {"reconciles", "unique_key"} <= set(joined.fails("purchases"))
