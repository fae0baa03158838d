"""Code loads without pandas, and whoever asks Pandera for its pandas part has all of it."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOADS = """
import sys
import assay.definitions
import pandera.ibis

found = {"pandas", "pyarrow", "hypothesis", "pyspark", "sqlglot.dialects.duckdb"} & set(sys.modules)
found |= {each for each in sys.modules if each.startswith(("assay.build", "assay.health", "assay.plan", "assay.warehouse"))}
found |= {"assay.golden.runner", "assay.compare.engine"} & set(sys.modules)
assert not found, found


class Numbers(pandera.ibis.DataFrameModel):
    n: int = pandera.ibis.Field(ge=0)


from assay.contract.contract import Contract
assert [rule.code for rule in Contract.of(Numbers).row_rules] == ["n.not_null", "n.ge_0"]
import ibis.backends.duckdb

found = {"pandas", "ibis.backends.sql.compilers.snowflake", "sqlglot.dialects.snowflake"} & set(sys.modules)
assert not found, found
assert ibis.backends.sql.compilers.SnowflakeCompiler.__module__ == "ibis.backends.sql.compilers.snowflake"
assert "DuckDBCompiler" in ibis.backends.sql.compilers.__all__
{asked}
import pandas

Series = pandera.typing.Series


class Frame(pandera.pandas.DataFrameModel):
    n: Series[int] = pandera.pandas.Field(ge=0)


@pandera.pandas.check_types
def same(frame: pandera.typing.DataFrame[Frame]) -> pandera.typing.DataFrame[Frame]:
    return frame


same(pandas.DataFrame({{"n": [1]}}))
try:
    same(pandas.DataFrame({{"n": [-1]}}))
except pandera.errors.SchemaError as error:
    assert "greater_than_or_equal_to(0)" in str(error)
else:
    raise AssertionError("a broken frame was taken")
assert pandera.engines.utils.numpy_pandas_coercible(pandas.Series([1]), int).all()
assert len(Frame.example(size=2)) == 2
assert issubclass(pandera.Column, pandera.pandas.Column)
"""


@pytest.mark.slow
def test_pandas_is_imported_when_it_is_asked_for_and_then_whole() -> None:
    for asked in ("import pandera.pandas", "from pandera.typing import DataFrame\nimport pandera.pandas"):
        code = LOADS.replace("{asked}", asked).replace("{{", "{").replace("}}", "}")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
