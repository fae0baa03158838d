"""The dashboard's parts: what it tells (`facts`), its charts, its sections and its looks.

Belongs here: turning tables into one page without a script, a font or a request. Does not belong here: numbers
that other consumers need too; those are marts.
"""
