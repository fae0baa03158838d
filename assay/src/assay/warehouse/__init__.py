"""Where tables live: stage, audit, publish; the real warehouse and the dry-run one.

Belongs here: opening DuckDB, publishing in one transaction, the quarantine, the warehouse's own books, the
guard that keeps a dry run from writing. Does not belong here: what a table means (its contract) or when it
is built (`build.py`).
"""
