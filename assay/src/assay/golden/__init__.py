"""Golden tests: expected input, expected output, one folder per case, the real code in between.

Belongs here: reading cases, running them on fixture sources in memory, comparing, reporting, accepting.
Does not belong here: deciding what equal means (`assay/compare`), building tables (`assay/build.py`).

    golden/<case>/
      case.yml                     what the case teaches, its clock, the tables under test (`case.py`)
      inputs/<location>/...        what the sources would have served (`inputs.py`)
      inputs/tables/<table>.csv    or an upstream table, given directly
      expected/<table>.ndjson      one row a line, every value as text (`store.py`)
      expected/<table>.schema.yml  columns with types, key, tolerance, volatile columns
      expected/<table>.rejects.ndjson   the rows that must be quarantined, with their reasons

`opened.py` is the door into a case, for whoever builds one. `run.py` runs cases, `judge.py` compares, `result.py` says
what came out, `pending.py` holds new output until somebody accepts it, `report/` shows it.
"""
