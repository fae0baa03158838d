"""Raw -> clean, joined, scored: one file per table, each with its contract.

Belongs here: what values mean (time zones, money, keys), joins, and a model's features and predictions.
Does not belong here: reading sources (`extract/`) and shapes made for one consumer (`load/`). Modules without
a table hold what several tables share.
"""
