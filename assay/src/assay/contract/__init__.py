"""Contracts: a `pandera.ibis.DataFrameModel` becomes one labelled scan inside the database.

Belongs here: reading a model into columns, types, keys and rules; labelling each row with the rules it
breaks; the queries that count, show and profile what was labelled; rejected rows as lossless text and back.
Does not belong here: writing tables, transactions and quarantine (`warehouse/`), what a table is (`tables.py`),
the rules of any one table (they stand in that table's file).

The rules are Pandera's own checks: https://pandera.readthedocs.io/en/stable/ibis.html. Pandera builds each
predicate as an Ibis expression; this package evaluates all of them in one scan, instead of one query each.
"""
