"""Tables' functions and contracts computed by Apache Spark, in the place of DuckDB.

What belongs here: the SQL that Ibis's expressions become for Spark, a session with a cluster, and the way of rows there
and back. What does not: anything about staging, auditing, publishing or judging, which stay DuckDB's. Nothing of it is
imported, and nothing of it needed, by who stays on DuckDB.
"""
