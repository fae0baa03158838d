"""Invariants that span tables, one file per idea; a check's name is the sentence it holds.

Belongs here: what no single table's contract can say. Each function returns the rows that contradict it and is
audited before its first parameter's table is published. Does not belong here: rules about one row, uniqueness
or a foreign key; those stand in the table's own file.
"""
