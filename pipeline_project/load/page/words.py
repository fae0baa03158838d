"""The pipeline's names in a reader's words."""

from __future__ import annotations

FEATURES = {
    "baskets_per_week": "visits a week",
    "sales_per_week": "dollars spent a week",
    "campaign_sales_per_week": "campaign's products, $ a week",
    "coupon_lines_per_week": "items a week with a coupon",
    "promoted_share": "share of items promoted",
    "discount_share": "share off by loyalty card",
    "days_since_purchase": "days since the last visit",
    "redeemed_share": "earlier campaigns redeemed",
    "is_type_a": "personal coupons (type A)",
    "intercept": "where everybody starts",
}
SPLITS = {
    "test": "on later campaigns",
    "train": "on the campaigns learned from",
    "unused": "on campaigns that are neither",
}


def feature(name: str) -> str:
    """What a feature of the model measures."""
    return FEATURES.get(name, name.replace("_", " "))


def split(name: str) -> str:
    """Which predictions a number of the model is about."""
    return SPLITS.get(name, name)
