"""Errors show what code can have written, and no value of a row."""

from __future__ import annotations

import itertools
import re

import duckdb
import pytest

from assay.warehouse.masked_text import masked

SECRETS = ["ann@example.org", "Ann Miller", "4111111111111111", "o'hara", 'say "hi"', "a\nb", "1999-12-31x", "é ünï"]
CASTS = [
    "BIGINT",
    "DATE",
    "TIMESTAMP",
    "BOOLEAN",
    "DECIMAL(5,2)",
    "INTEGER[]",
    "JSON",
    "INTERVAL",
    "TIME",
    "UUID",
    "TINYINT",
]


def test_an_engines_error_quotes_no_value() -> None:
    hidden = 0
    with duckdb.connect() as connection:
        for kind, value in itertools.product(CASTS, SECRETS):
            try:
                connection.execute(f"SELECT CAST(v AS {kind}) FROM (SELECT ?::VARCHAR AS v)", [value]).fetchall()
            except duckdb.Error as error:
                text = masked(str(error))
                hidden += "***" in text
                shown = set(re.findall(r"\w+", text)) & set(re.findall(r"\w{2,}", value))
                assert shown == set(), (kind, value, text)
    assert hidden > 70


@pytest.mark.parametrize(
    ("text", "code", "shown"),
    [
        ("'NOPE'", "os.environ['NOPE']", "'NOPE'"),
        ("'NOPE'", "os.environ[name]", "'***'"),
        ("bad customer Ann <ann@example.org>", "f'bad customer {row}'", "bad customer *** <***>"),
        ("division by zero", "", "division by zero"),
        ("invalid literal for int() with base 10: 'ann'", "", "invalid literal for int() with base ***: '***'"),
        ("'NoneType' object has no attribute 'grade'", "row.grade", "'NoneType' object has no attribute 'grade'"),
        ("Could not convert string 'x' to DECIMAL(5,2)", "", "Could not convert string '***' to DECIMAL(5,2)"),
        ("", "", ""),
    ],
)
def test_words_of_the_code_and_of_messages_are_kept(text: str, code: str, shown: str) -> None:
    assert masked(text, code) == shown
