"""Mutation: would the golden cases notice if the code's SQL were wrong?

Belongs here: operators that change compiled SQL, running the changed SQL on the cases, looking for a row that tells
original and mutant apart, and the list of mutants that nothing can tell apart. Does not belong here: how a case runs
and what equal means (`golden/runner.py`, `golden/judge.py`).

Only tables whose function returns an Ibis expression have SQL to mutate; a table computed in Python has none.
"""
