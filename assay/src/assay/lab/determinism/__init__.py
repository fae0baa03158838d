"""Determinism: does a case give the same rows when nothing that matters is different?

Belongs here: other ways to run a case (again, inputs shuffled, more threads, another time zone, events in two
landings) and naming the first table and column that vary. Does not belong here: whether the rows are right.
"""
