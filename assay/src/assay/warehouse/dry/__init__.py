"""A dry run writes nothing real: statements are read and refused (`statements.py`, `guard.py`), and the real file is
compared with itself (`proof.py`). `scratch.py` holds what it writes instead.
"""
