"""Contracts: a `pandera.ibis.DataFrameModel` becomes one labelled scan inside the database.

Belongs here: reading a model into columns, types, keys and rules; labelling each row with the rules it
breaks; the queries that count, show and profile what was labelled; rejected rows as lossless text and back.
Does not belong here: writing tables, transactions and quarantine (`warehouse/`), what a table is (`tables.py`),
the rules of any one table (they stand in that table's file).

The rules are Pandera's own checks: https://pandera.readthedocs.io/en/stable/ibis.html. Pandera builds each
predicate as an Ibis expression; this package evaluates all of them in one scan, instead of one query each.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_EXPORTS = {
    "Broken": "auditing",
    "Column": "columns",
    "Contract": "contract",
    "KeyProblems": "uniqueness",
    "Profile": "profile",
    "RowRule": "rules",
    "SchemaProblem": "columns",
    "TableRule": "rules",
    "internal": "masking",
    "key_problems": "uniqueness",
    "mask": "masking",
    "masked_rows": "masking",
    "personal": "masking",
    "public": "masking",
    "secret": "masking",
}
__all__ = [
    "Broken",
    "Column",
    "Contract",
    "KeyProblems",
    "Profile",
    "RowRule",
    "SchemaProblem",
    "TableRule",
    "internal",
    "key_problems",
    "mask",
    "masked_rows",
    "personal",
    "public",
    "secret",
]

if TYPE_CHECKING:
    from assay.contract.auditing import Broken
    from assay.contract.columns import Column, SchemaProblem
    from assay.contract.contract import Contract
    from assay.contract.masking import internal, mask, masked_rows, personal, public, secret
    from assay.contract.profile import Profile
    from assay.contract.rules import RowRule, TableRule
    from assay.contract.uniqueness import KeyProblems, key_problems


def __getattr__(name: str) -> Any:
    """Import late: Pandera and Ibis take a second that `pipeline --help` does not have."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    return getattr(import_module(f"{__name__}.{_EXPORTS[name]}"), name)
