"""Rejected rows: kept with their reasons (`keep.py`), found again (`find.py`), and replayed through the contract."""
