"""What a project declares: tables, exports and invariants, the graph they form, and what is told of their builds.

Belongs here: declaring (`declare.py`), the definitions (`nodes.py`), finding, ordering and checking them (`graph.py`,
`fit.py`), partitions, a run's clock and seed, results, lineage and the version of code. Does not belong here: a
connection to a database (`warehouse/`), Dagster (`orchestration/`).
"""
