"""Is the pipeline well: what is usual, what is late, what is red, and who is told.

Belongs here: judging numbers, clocks and states that are handed in as plain data. Does not belong here: Dagster, whose
instance `orchestration/` reads, and the warehouse, which measures and keeps the numbers.
"""
