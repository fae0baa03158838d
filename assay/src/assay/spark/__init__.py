"""Tables' functions and contracts computed by Apache Spark, and tables that it keeps in a lake.

What belongs here: the SQL that Ibis's expressions become for Spark, a session with a cluster, the way of rows there and
back, and what it does with a build's rows between staging and commit. What does not: verdicts, budgets, the order of
steps, the books and the quarantine, which are `warehouse`'s for every engine. Nothing of it is imported, and nothing of
it needed, by who stays on DuckDB.
"""
