"""Code loads without what only runs ask, and whoever asks for it has all of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LOADS = """
import sys
import assay.definitions
import pandera.ibis

import duckdb
import numpy
found = {"pandas", "pyarrow", "hypothesis", "pyspark", "sqlglot", "_duckdb", "numpy._core"} & set(sys.modules)
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


ASKED = """
import sys
import threading
import assay.definitions
import duckdb
import ibis
import numpy
import pandera.ibis


class Model(pandera.ibis.DataFrameModel):
    n: "NUMBER" = pandera.ibis.Field(ge=0)


assert "numpy._core" not in sys.modules
import numpy.linalg
assert numpy.linalg is sys.modules["numpy.linalg"]
assert numpy.linalg.norm is sys.modules["numpy.linalg"].norm
assert numpy.linalg.__spec__.origin.endswith("__init__.py")
assert type(numpy) is type(sys)
NUMBER = numpy.int64
from assay.contract.contract import Contract
assert Contract.of(Model).duckdb_columns == {"n": "BIGINT"}

assert ibis.to_sql(ibis.table({"n": "int64"}, name="t"), dialect="duckdb").startswith("SELECT")

answers = []
threads = [threading.Thread(target=lambda: answers.append(duckdb.connect().sql("SELECT 1").fetchall())) for _ in range(8)]
for each in threads:
    each.start()
for each in threads:
    each.join()
assert answers == [[(1,)]] * 8
assert type(duckdb) is type(sys)
try:
    duckdb.nothing
except AttributeError as error:
    assert "nothing" in str(error)
else:
    raise AssertionError("it has what it has not")

import pandera.engines.ibis_engine as engine
import pandera.engines.numpy_engine as numbers
assert numbers.DataType in engine.Engine._base_pandera_dtypes
"""


def test_what_stands_for_a_module_is_the_module_when_it_is_asked() -> None:
    done = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_module_that_cannot_be_executed_says_so_each_time(tmp_path: Path) -> None:
    (tmp_path / "duckdb.py").write_text("import missing_beside_it\n")
    code = "import assay, duckdb\nfor _ in 1, 2:\n    try:\n        duckdb.connect\n    except ImportError as error:\n        print(error)"
    command = [sys.executable, "-c", f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n{code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["No module named 'missing_beside_it'"] * 2
