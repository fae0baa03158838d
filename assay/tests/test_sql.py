"""Whatever a name or text holds, DuckDB reads it back as it was."""

from __future__ import annotations

import duckdb
import pytest

from assay.sql import literal, quoted

TEXTS = ["plain", "Two Words", "it's", 'say "x"', "'", '"', "\\'; DROP TABLE t; --", "ümlaut 数", "$$ {x} %s", "a\nb"]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_read_back(text: str) -> None:
    assert duckdb.sql(f"SELECT {literal(text)}").fetchall() == [(text,)]


@pytest.mark.parametrize("name", TEXTS)
def test_a_name_is_read_back(name: str) -> None:
    assert duckdb.sql(f"SELECT {quoted(name)} FROM (SELECT 1 AS {quoted(name)})").columns == [name]
