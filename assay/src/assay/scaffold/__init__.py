"""Starting a table: `pipeline new-table` and `pipeline new-source` write its file and a golden case.

Belongs here: inferring columns from an expression or a sample, and writing Python that a person then edits. Does not
belong here: what is still missing afterwards (`wiring.py`), how a case is laid out (`golden/scaffold.py`).
"""
