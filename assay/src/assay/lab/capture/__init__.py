"""Capture: a small, referentially whole, masked case cut out of the real warehouse.

Belongs here: which upstream rows belong to the chosen ones, pseudonyms, writing the case's folder. Does not belong
here: running the case and accepting its output (`golden/runner.py`, `golden/pending.py`).
"""
