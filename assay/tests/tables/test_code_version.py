"""A table's code version follows the files it reaches, and of other tables' files only what it imports by name."""

from __future__ import annotations

import ast
import importlib
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest
from pandera.typing.ibis import Table

from assay.tables import code_version as code_versions
from assay.tables.code_text import without_docstring
from assay.tables.code_version import code_version, source_location
from assay.tables.declare import table
from assay.tables.graph import Graph
from assay.tables.nodes import TableDef

FILES = {
    "__init__.py": "",
    "shared/__init__.py": "",
    "shared/texts.py": """
def shout(text):
    return text.upper() + MARK


MARK = "!"


def unrelated():
    return 1
""",
    "shared/late.py": "def late(text):\n    return text\n",
    "extract/__init__.py": "",
    "extract/raw_orders.py": '''
"""One row per order."""
from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from assay import public, table


class RawOrders(pa.DataFrameModel):
    id: dt.Int64 = pa.Field(ge=0, description="Number", metadata=public)
    name: dt.String = pa.Field(metadata=public, description="Who")


@table()
def raw_orders() -> Table[RawOrders]:
    """Orders."""
    return ibis.memtable({"id": [1], "name": ["a"]})
''',
    "transform/__init__.py": "",
    "transform/orders.py": '''
"""One row per order."""
from __future__ import annotations

import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.typing.ibis import Table

from {package}.extract.raw_orders import RawOrders
from {package}.shared import texts
from assay import public, table

LIMITS = [10]
LIMITS.append(20)
UNUSED = 1


class Base(pa.DataFrameModel):
    id: dt.Int64 = pa.Field(ge=0, description="Number", metadata=public)


class Orders(Base):
    name: dt.String = pa.Field(metadata=public, description="Who")


@table(preserves="raw_orders", owner="team:a")
def orders(raw_orders: Table[RawOrders]) -> Table[Orders]:
    """Orders with loud names."""
    from {package}.shared.late import late

    def inner(unused_helper):
        return unused_helper

    # Why: because.
    rows = raw_orders.filter(raw_orders.id < max(LIMITS))
    return rows.mutate(name=late(loud(inner(rows.name))))


def loud(name):
    """Loud."""
    return texts.shout(name)


def unused_helper():
    return UNUSED
''',
}


class Tree:
    """A project in a temporary folder, imported again under the same name after every edit."""

    def __init__(self, folder: Path, package: str) -> None:
        self.root, self.package = folder / package, package
        self.clock = itertools.count(1)
        for path, text in FILES.items():
            self.write(path, text.replace("{package}", package))

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        os.utime(file, ns=(moment := next(self.clock) * 10**9, moment))

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text()
        assert old in text
        self.write(path, text.replace(old, new))

    def versions(self) -> dict[str, str]:
        for name in [name for name in sys.modules if name.split(".")[0] == self.package]:
            del sys.modules[name]
        importlib.invalidate_caches()
        return {node.name: code_version(node) for node in Graph.load(self.package, ["extract", "transform"])}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Tree]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield Tree(tmp_path, "code_version_sample")
    for name in [name for name in sys.modules if name.split(".")[0] == "code_version_sample"]:
        del sys.modules[name]


class Numbers(pa.DataFrameModel):
    number: dt.Int64


IMPORTS_TURNED = "from pandera.typing.ibis import Table\nimport pandera.ibis as pa\n"
ORDERS, RAW, TEXTS = "transform/orders.py", "extract/raw_orders.py", "shared/texts.py"


@pytest.mark.parametrize(
    ("path", "old", "new", "changed"),
    [
        (ORDERS, "rows.name)", "rows.name.lower())", {"orders"}),
        (ORDERS, "return texts.shout(name)", "return texts.shout(name) + 'x'", {"orders"}),
        (ORDERS, "LIMITS = [10]", "LIMITS = [11]", {"orders"}),
        (ORDERS, "append(20)", "append(21)", {"orders"}),
        (ORDERS, 'preserves="raw_orders", ', "", {"orders"}),
        (ORDERS, "id: dt.Int64 = pa.Field(ge=0", "id: dt.Int64 = pa.Field(ge=1", {"orders"}),
        (ORDERS, "name: dt.String = pa.Field(", "name: dt.String = pa.Field(nullable=True, ", {"orders"}),
        (TEXTS, 'MARK = "!"', 'MARK = "?"', {"orders"}),
        (TEXTS, "upper", "lower", {"orders"}),
        ("shared/late.py", "return text", "return text.strip()", {"orders"}),
        (RAW, "ge=0", "ge=1", {"orders", "raw_orders"}),
        (RAW, '["a"]', '["b"]', {"raw_orders"}),
    ],
)
def test_an_edit_of_reached_code_changes_the_version(
    tree: Tree, path: str, old: str, new: str, changed: set[str]
) -> None:
    before = tree.versions()
    tree.edit(path, old, new)
    after = tree.versions()
    assert {name for name in after if after[name] != before[name]} == changed


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        (ORDERS, "# Why: because.", "# Another comment"),
        (ORDERS, '"""Orders with loud names."""', '"""Orders."""\n'),
        (ORDERS, '"""Loud."""', '"""Very loud."""'),
        (ORDERS, '"""One row per order."""', '"""One row per order, by id."""\n\n\n'),
        (ORDERS, 'description="Who"', 'description="Who ordered"'),
        (ORDERS, 'owner="team:a"', 'owner="team:b", tags={"a": "b"}'),
        (ORDERS, "def loud(name):", "def loud(\n    name,\n):"),
        (ORDERS, "import pandera.ibis as pa\nfrom pandera.typing.ibis import Table\n", IMPORTS_TURNED),
    ],
)
def test_an_edit_of_anything_else_keeps_the_version(tree: Tree, path: str, old: str, new: str) -> None:
    before = tree.versions()
    tree.edit(path, old, new)
    assert tree.versions() == before


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        pytest.param(ORDERS, "return UNUSED", "return UNUSED + 1", id="a helper of its file that it does not call"),
        pytest.param(ORDERS, "UNUSED = 1", "UNUSED = 2", id="a constant of its file that it does not read"),
        pytest.param(TEXTS, "return 1", "return 2", id="an unrelated helper of an imported file"),
        pytest.param(TEXTS, "def unrelated", "def shouted", id="its name"),
        pytest.param(ORDERS, "import ibis.expr", "import json\nimport ibis.expr", id="an import that nothing reads"),
    ],
)
def test_a_whole_file_counts_so_that_some_versions_change_without_need(
    tree: Tree, path: str, old: str, new: str
) -> None:
    before = tree.versions()
    tree.edit(path, old, new)
    after = tree.versions()
    assert {name for name in after if after[name] != before[name]} == {"orders"}


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        pytest.param("[1]", "[2]", {"raw_orders"}, id="its function"),
        pytest.param("MOST = 9", "MOST = 8", {"raw_orders"}, id="what only its function reads"),
        pytest.param("cheap = 1", "cheap = 2", {"raw_orders"}, id="a class nobody imports"),
        pytest.param("LEAST = 0", "LEAST = 1", {"raw_orders", "orders"}, id="what the imported contract reads"),
        pytest.param("LEAST) or LEAST", "LEAST)", {"raw_orders", "orders"}, id="what a helper of the contract does"),
        pytest.param("return text", "return text[1:]", {"raw_orders", "orders"}, id="an import the contract reads"),
    ],
)
def test_of_a_file_that_holds_tables_only_imported_names_and_what_they_read_count(
    tree: Tree, old: str, new: str, changed: set[str]
) -> None:
    helpers = """
from code_version_sample.shared.late import late

LEAST = 0
MOST = 9


class Prices:
    cheap = 1


def least():
    return abs(LEAST) or LEAST


class RawOrders("""
    tree.edit(RAW, "\nclass RawOrders(", helpers)
    tree.edit(RAW, "ge=0", "ge=least()")
    tree.edit(RAW, 'description="Who"', 'description="Who", str_contains=late("a")')
    tree.edit(RAW, '"id": [1]', '"id": [1][:MOST]')
    before = tree.versions()
    tree.edit("shared/late.py" if old == "return text" else RAW, old, new)
    after = tree.versions()
    assert {name for name in after if after[name] != before[name]} == changed


def test_another_table_of_the_same_file_is_another_table(tree: Tree) -> None:
    other = "\n\n@table()\ndef others(raw_orders: Table[RawOrders]) -> Table[Orders]:\n    return raw_orders.limit(1)\n"
    tree.write(ORDERS, (tree.root / ORDERS).read_text() + other)
    before = tree.versions()
    tree.edit(ORDERS, "limit(1)", "limit(2)")
    after = tree.versions()
    assert {name for name in after if after[name] != before[name]} == {"others"}


@pytest.mark.parametrize(
    ("imported", "read"),
    [
        ("import code_version_sample.shared.late", "code_version_sample.shared.late.late"),
        ("import code_version_sample.shared", "code_version_sample.shared.late.late"),
        ("import code_version_sample", "code_version_sample.shared.late.late"),
        ("import code_version_sample.shared.late as other", "other.late"),
        ("from code_version_sample import shared", "shared.late.late"),
        ("from .. import shared", "shared.late.late"),
        ("from ..shared.late import late as other", "other"),
        ("from ..shared.late import *", "late"),
    ],
)
def test_every_way_to_import_is_followed(tree: Tree, imported: str, read: str) -> None:
    tree.edit(ORDERS, "    from code_version_sample.shared.late import late\n", "")
    tree.edit(ORDERS, "LIMITS = [10]", f"{imported}\nLIMITS = [10]")
    tree.edit(ORDERS, "late(loud(inner(rows.name)))", f"{read}(loud(inner(rows.name)))")
    before = tree.versions()
    tree.edit("shared/late.py", "return text", "return text.strip()")
    assert tree.versions()["orders"] != before["orders"]


def test_looking_for_a_module_runs_nothing(tree: Tree) -> None:
    tree.write("shared/late.py", "raise SystemExit('was run')\ndef late(text):\n    return text\n")
    before = tree.versions()
    assert "code_version_sample.shared.late" not in sys.modules
    tree.edit("shared/late.py", "return text", "return text.strip()")
    assert tree.versions()["orders"] != before["orders"]


def test_nothing_is_read_again_while_no_file_changed(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.versions()
    node = Graph.load(tree.package, ["extract", "transform"]).get("orders")
    before = code_version(node)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read"))
    assert code_version(node) == before


def in_a_new_process(tree: Tree) -> dict[str, str]:
    code_versions._parse.cache_clear()
    return tree.versions()


def test_what_was_found_in_a_file_is_kept_for_the_next_process(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    found = in_a_new_process(tree)
    assert not list(tree.root.rglob("*.found")), "no byte code is kept here either"
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    assert in_a_new_process(tree) == found
    with monkeypatch.context() as blind:
        blind.setattr(code_versions, "without_docstring", lambda tree: pytest.fail("a file was read again"))
        assert in_a_new_process(tree) == found
    for each in tree.root.rglob("*.found"):
        each.write_bytes(each.read_bytes()[:-9])
    assert in_a_new_process(tree) == found, "one that was cut off is found again"

    file = tree.root / TEXTS
    at = file.stat().st_mtime_ns
    file.write_text(file.read_text().replace('MARK = "!"', 'MARK = "?"'))
    os.utime(file, ns=(at, at))
    assert in_a_new_process(tree)["orders"] != found["orders"], "of the same size and time, and not the same"
    monkeypatch.setattr(code_versions, "_FRAMEWORK", b"of another version")
    again: list[object] = []
    whole = without_docstring

    def told(tree: ast.AST) -> list[ast.stmt]:
        again.append(tree)
        return whole(tree)

    monkeypatch.setattr(code_versions, "without_docstring", told)
    in_a_new_process(tree)
    assert again


def test_imports_in_a_circle_end(tree: Tree) -> None:
    tree.write("shared/a.py", "from code_version_sample.shared.b import x\n")
    tree.write("shared/b.py", "x = 1\nif not x:\n    from code_version_sample.shared.a import x\n")
    tree.edit(ORDERS, "UNUSED = 1", "from code_version_sample.shared.a import x\nUNUSED = 1")
    tree.edit(ORDERS, "max(LIMITS)", "max(LIMITS) + x")
    before = tree.versions()
    tree.edit("shared/b.py", "x = 1", "x = 2")
    assert tree.versions()["orders"] != before["orders"]


def test_star_imports_and_reexports_are_followed(tree: Tree) -> None:
    tree.write("shared/__init__.py", "from .late import *\nfrom . import texts\n")
    tree.edit(ORDERS, "from code_version_sample.shared.late import late", "from code_version_sample.shared import late")
    before = tree.versions()
    tree.edit("shared/late.py", "return text", "return text.strip()")
    assert tree.versions()["orders"] != before["orders"]


def test_a_table_made_by_a_factory_counts_the_plain_values_of_its_closure() -> None:
    def make(factor: int) -> TableDef:
        @table()
        def numbers() -> Table[Numbers]:
            return ibis.memtable({"number": [factor]})

        return numbers

    assert code_version(make(1)) == code_version(make(1))
    assert code_version(make(1)) != code_version(make(2))


def test_two_tables_of_one_name_made_in_one_file_are_told_apart() -> None:
    def first() -> TableDef:
        @table()
        def numbers() -> Table[Numbers]:
            return ibis.memtable({"number": [1]})

        return numbers

    def second() -> TableDef:
        @table()
        def numbers() -> Table[Numbers]:
            return ibis.memtable({"number": [2]})

        return numbers

    assert code_version(first()) != code_version(second())


def test_source_location_points_at_the_decorator(tree: Tree) -> None:
    tree.versions()
    node = Graph.load(tree.package, ["extract", "transform"]).get("orders")
    file, line = source_location(node)
    assert file == tree.root / ORDERS
    assert file.read_text().splitlines()[line - 1].startswith("@table(")


@pytest.mark.slow
def test_the_same_code_has_the_same_version_in_another_process(tree: Tree, run_python: Callable[[str], str]) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(tree.root.parent)!r})\n"
        "from assay.tables.graph import Graph\n"
        "from assay.tables.code_version import code_version\n"
        f"print(code_version(Graph.load({tree.package!r}, ['extract', 'transform']).get('orders')))"
    )
    assert run_python(script).strip() == tree.versions()["orders"]


@pytest.fixture
def run_python() -> Callable[[str], str]:
    import subprocess

    def run(script: str) -> str:
        return subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout

    return run
