"""Sources -> raw tables: what was served, as it was served, with types and nothing else changed.

Belongs here: one file per raw table, with where it comes from and the loosest contract that later steps can
rely on (types, and the bounds a cast needs). Does not belong here: repairing, renaming, joining, judging;
that is `transform/`.
"""
