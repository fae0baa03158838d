"""Two relations in, a typed difference out: the one comparer behind golden tests and plans.

What belongs here: comparing rows inside DuckDB and describing what differs. What does not: where the
rows come from, what a difference means for a run, and where it is reported.

How equal is decided, in this order:

1. Schema: names, order and exact types. Columns that both sides have are still compared.
2. The key is present, not null and unique on both sides; if not, that is the difference.
3. Rows are matched on the key, columns compared with `IS DISTINCT FROM`: NaN equals NaN,
   NULL is not '', a TIMESTAMPTZ is its instant. Stricter than DuckDB's own equality in two places:
   -0.0 is not 0.0 (a tolerance of 0 forgives it), and an interval of one month is not one of 30 days.
   Without a key the tables are compared as multisets.
4. A tolerance per column (`abs`, `rel`) for FLOAT and DOUBLE columns only. Volatile columns are compared by
   type and by being null, not by value.

A column whose type changed fails by its schema; its values count as changed where one does not convert
to the other and back.
"""
