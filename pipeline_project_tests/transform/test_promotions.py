"""promotions: each key once, the repeat set aside, and not too many of them."""

from __future__ import annotations

from assay.testing.bench import Bench, Row


def promotion(product: int, display: str, mailer: str = "A") -> Row:
    return {"product_id": product, "store_id": 286, "week": 1, "display_location": display, "mailer_location": mailer}


def test_of_a_repeat_the_row_that_says_more_stays(bench: Bench) -> None:
    bench.given("raw_promotions", promotion(1, "7"), promotion(1, "0"), promotion(2, "0"), promotion(2, "A"))
    publication = bench.build("promotions")
    assert bench.rows("promotions", "product_id", "display_location") == [(1, "7"), (2, "A")]
    assert publication.rejected == 2
    assert bench.rejects("promotions") == [["unique_key.repeat"]] * 2


def test_the_order_of_rows_does_not_matter(bench: Bench) -> None:
    rows = [promotion(1, "0", "0"), promotion(1, "0", "D"), promotion(1, "0", "A")]
    kept = []
    for given in (rows, rows[::-1], rows[1:] + rows[:1]):
        bench.given("raw_promotions", *given)
        bench.build("promotions")
        kept.append(bench.rows("promotions", "mailer_location"))
    assert kept == [[("D",)]] * 3


def test_more_repeats_than_known_stop_the_table(bench: Bench) -> None:
    bench.given("raw_promotions", *(promotion(product, display) for product in range(1, 12) for display in "07"))
    assert set(bench.fails("promotions")) == {"rows_valid"}


def test_unknown_codes_are_set_aside(bench: Bench) -> None:
    bench.given("raw_promotions", promotion(1, "8"), promotion(2, "0", "B"), promotion(3, "0"))
    bench.build("promotions")
    assert bench.rows("promotions", "product_id") == [(3,)]
    assert bench.rejects("promotions") == [["display_location.isin"], ["mailer_location.isin"]]
