"""Patterns mean to DuckDB what they mean to Python, for random patterns and texts of several scripts, or are refused."""

from __future__ import annotations

import re
from typing import Any

import duckdb
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from assay.contract.contract import Contract
from assay.contract.patterns import translated
from assay.errors import ContractError
from tests.contract.support import verdicts
from tests.memory import connected

PARTS = [
    *("a", "b", "é", "1", "٣", "_", " ", "\\.", "\\-", "\\d", "\\D", "\\w", "\\W", "\\s", "\\S", "."),
    *("[ab]", "[^a]", "[\\d_]", "[^\\w]", "[\\s-]", "[]a]", "[^]a]", "[a-c]", "[a[]", "(a|1)", "(?:b|é)", "(?i:A)"),
    *("a*", "1+", "b?", "a{2}", "a{1,2}", "a{,2}", "a{x}", "{", "^", "|", "\\t", "\\x41", "\\_", "\\ ", "\\'"),
]
TEXTS = [
    "",
    "a",
    "ab",
    "é",
    "aé1",
    "٣",
    "1",
    "_",
    " ",
    "\u00a0",
    "\u2028",
    "\x1c",
    "\v",
    "a.b",
    "a-b",
    "[",
    "]",
    "aa",
    "aaa",
]
TEXTS += ["ß", "一", "½", "b1 a", "a{,2}", "{", "A", "\t", "'", "²", "\u200b", "\u0301"]


@pytest.mark.slow
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=4).map("".join), st.booleans())
@example("\\W", False)
@example("a{,2}b", False)
def test_a_pattern_finds_what_it_finds_in_python(pattern: str, ascii_only: bool) -> None:
    try:
        python = re.compile(pattern, re.ASCII if ascii_only else 0)
        re2 = translated(pattern, ascii_only=ascii_only)
    except (re.error, ValueError):
        assume(False)
    found = CONNECTION.execute("SELECT list_transform($1, lambda x: regexp_matches(x, $2))", [TEXTS, f"({re2})"])
    ours = found.fetchall()[0][0]
    differing = [text for text, said in zip(TEXTS, ours, strict=True) if said != bool(python.search(text))]
    assert not differing, (pattern, re2, differing)


CONNECTION = duckdb.connect()


@pytest.mark.parametrize(
    "pattern",
    [
        "\\bword",
        "[\\W]",
        "[\\S]",
        "[a[:alpha:]]",
        re.compile("a  b", re.VERBOSE),
        "(?=a)",
        "(a)\\1",
        "a\\Z",
        "(?a:\\w)",
    ],
)
@pytest.mark.parametrize("rule", ["str_matches", "str_contains"])
def test_what_means_something_else_is_refused_at_load(rule: str, pattern: Any) -> None:
    model = type("M", (pa.DataFrameModel,), {"__annotations__": {"x": dt.String}, "x": pa.Field(**{rule: pattern})})
    with pytest.raises(ContractError) as raised:
        Contract.of(model)
    assert "M.x, check '" in str(raised.value)


def test_ascii_patterns_are_those_of_ascii() -> None:
    class Model(pa.DataFrameModel):
        x: dt.String = pa.Field(str_contains=re.compile(r"\bé|\w\d", re.ASCII))

    with connected() as connection:
        found = verdicts(connection, Contract.of(Model), [("aé",), ("é1",), ("a1",), ("a٣",)])
    assert [not codes for codes in found] == [
        bool(re.search(r"\bé|\w\d", text, re.ASCII)) for text in ("aé", "é1", "a1", "a٣")
    ]
