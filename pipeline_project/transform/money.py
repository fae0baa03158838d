"""What the four amounts of a basket line mean, and the prices that follow from them.

The shelf price is what the shop takes in plus what it gave away. A maker's coupon is paid to the shop by the maker, so
it lowers what the customer pays and not what the shop takes in; only the shop's match of a coupon is the shop's own.
"""

from __future__ import annotations

import ibis.expr.types as ir

MONEY = ("sales_value", "retail_disc", "coupon_disc", "coupon_match_disc")
SALES_VALUE = "US dollars the shop takes in: after its own discounts, before a maker's coupon"
RETAIL_DISC = "US dollars off by loyalty card, given by the shop"
COUPON_DISC = "US dollars off by coupon, paid to the shop by the maker"
COUPON_MATCH_DISC = "US dollars off by the shop's match of a coupon"


def given_away(lines: ir.Table) -> ir.NumericValue:
    """US dollars the shop gave away."""
    return lines.retail_disc + lines.coupon_match_disc


def shelf_price(lines: ir.Table) -> ir.NumericValue:
    """US dollars on the shelf's label."""
    return lines.sales_value + given_away(lines)
