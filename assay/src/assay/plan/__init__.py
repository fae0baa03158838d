"""Dry run: what would a run change? A plan of the data, as other tools plan machines.

Belongs here: deciding what would be built and why, building it in front of a read-only warehouse, telling the
difference in text, JSON and HTML, and applying a kept plan. Does not belong here: how rows are compared
(`compare/`), how nothing real is written (`warehouse/guard.py`, `proof.py`), how a table is built (`build.py`).
"""
