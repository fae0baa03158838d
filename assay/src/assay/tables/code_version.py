"""The version of the code that makes a table: a hash of the definitions its function reaches.

Counted are the table's function with its decorator and contract, and from there every definition of the
project that is reached by name, through the module's own names and `from project.module import name`. Not
counted are comments, docstrings, positions, descriptions of columns, owners and tags; definitions nobody
reaches; another table's function (an input is reached as data, not as code); installed packages. The
framework counts by its version alone.

Only files are read, nothing is run: SQL in a file beside the module, or a name built at run time, is not
seen. What a closure holds is counted where it is a plain value.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from assay import __version__
from assay.tables.code_names import Imported, Reference, bound_names, imports, normalised, references
from assay.tables.declare import Node, TableDef

NODE_DECORATORS = {"table", "export", "invariant"}
PLAIN = (str, bytes, int, float, bool, type(None))


def code_version(node: Node, *rules: Node) -> str:
    """Twelve hex digits that change when, and only when, code that `node` or one of its `rules` reaches changes.

    Args:
        rules: the invariants audited before the table is published; they say what may be published.
    """
    digest = hashlib.sha256(f"assay {__version__}\n".encode())
    for text in sorted({text for each in (node, *rules) for text in _reached(each)}):
        digest.update(hashlib.sha256(text.encode()).digest())
    return digest.hexdigest()[:12]


def source_location(node: Node) -> tuple[Path, int]:
    """The file and line at which the node's function (with its decorators) begins."""
    code = node.function.__code__
    return Path(code.co_filename), code.co_firstlineno


@dataclass
class Module:
    """The top-level definitions and imports of one file."""

    name: str
    tree: ast.Module
    is_package: bool
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imported: dict[str, Imported] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    reads: dict[str, set[Reference]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for statement in self.tree.body:
            for part in ast.walk(statement) if isinstance(statement, ast.If | ast.Try) else [statement]:
                for name, target in imports(part, self.name, self.is_package):
                    if name == "*":
                        self.stars.append(target.module)
                    else:
                        self.imported[name] = target
            for name in bound_names(statement):
                self.definitions.setdefault(name, []).append(statement)

    def text(self, name: str) -> str:
        """The normalised definition of `name`."""
        if name not in self.texts:
            self.texts[name] = "\n".join(normalised(statement) for statement in self.definitions[name])
        return self.texts[name]

    def references(self, name: str) -> set[Reference]:
        """The outer names that the definition of `name` reads."""
        if name not in self.reads:
            self.reads[name] = set().union(*(references(statement) for statement in self.definitions[name]))
        return self.reads[name]

    def is_node(self, name: str) -> bool:
        """Whether `name` is a table, export or invariant."""
        return any(_is_node(statement) for statement in self.definitions[name])


class _Reach:
    """Follows names from definition to definition and collects each one's text once."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.seen: set[tuple[str, str]] = set()
        self.texts: list[str] = []

    def follow(self, module: Module, found: set[Reference]) -> None:
        for reference in found:
            if isinstance(reference, str):
                self.name(module, reference)
            else:
                imported, rest = reference
                self.target(imported, rest)

    def name(self, module: Module, dotted: str) -> None:
        if (module.name, dotted) in self.seen:
            return
        self.seen.add((module.name, dotted))
        head, _, rest = dotted.partition(".")
        if head in module.definitions and not module.is_node(head):
            self.definition(module, head)
        if head in module.imported:
            self.target(module.imported[head], rest)
        elif head not in module.definitions:
            for star in module.stars:
                self.target(Imported(star, head), rest)

    def definition(self, module: Module, name: str) -> None:
        if (module.name, f"{name}()") in self.seen:
            return
        self.seen.add((module.name, f"{name}()"))
        self.texts.append(f"{module.name}.{name}\n{module.text(name)}")
        self.follow(module, module.references(name))

    def target(self, imported: Imported, rest: str) -> None:
        if not self.is_project(imported.module):
            return
        module = _module(imported.module)
        if module is None:
            return
        dotted = ".".join(part for part in (imported.name, rest) if part)
        head, _, below = dotted.partition(".")
        known = head in module.definitions or head in module.imported
        if head and not known and module.is_package and _file(f"{module.name}.{head}"):
            self.target(Imported(f"{module.name}.{head}"), below)
        if dotted:
            self.name(module, dotted)

    def is_project(self, module: str) -> bool:
        return module == self.package or module.startswith(f"{self.package}.")


def _reached(node: Node) -> list[str]:
    function, package = node.function, node.module.split(".")[0]
    reach = _Reach(package)
    path, line = source_location(node)
    module = _module(node.module) if node.module in sys.modules else _load(node.module, str(path), False)
    if module is None:
        return [_compiled(function)]
    if "<locals>" not in function.__qualname__ and function.__name__ in module.definitions:
        reach.definition(module, function.__name__)
    else:
        definition = _nested(module.tree, function.__name__, line)
        if definition is None:
            return [_compiled(function)]
        reach.texts += [f"{node.module}.{function.__name__}\n{normalised(definition)}", *_closure(function)]
        reach.follow(module, references(definition))
    for model in [*node.inputs.values(), *([node.model] if isinstance(node, TableDef) else [])]:
        if "<locals>" in model.__qualname__:
            _follow_local_class(reach, module, model.__name__)
        else:
            # Annotations reach it already, unless they are quoted.
            reach.target(Imported(model.__module__, model.__qualname__), "")
    return reach.texts


def _follow_local_class(reach: _Reach, module: Module, name: str) -> None:
    for part in ast.walk(module.tree):
        if isinstance(part, ast.ClassDef) and part.name == name:
            reach.texts.append(f"{module.name}.{name}\n{normalised(part)}")
            reach.follow(module, references(part))


def _closure(function: Callable[..., Any]) -> Iterator[str]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        if isinstance(cell.cell_contents, PLAIN):
            yield f"{name}={cell.cell_contents!r}"


def _compiled(function: Callable[..., Any]) -> str:
    """For code without a file, such as an interactive session's."""
    code = function.__code__
    constants = [constant for constant in code.co_consts if isinstance(constant, PLAIN)]
    return f"{code.co_code.hex()} {code.co_names} {constants} {list(_closure(function))}"


def _nested(tree: ast.Module, name: str, line: int) -> ast.stmt | None:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first == line:
                return node
    return None


def _is_node(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.FunctionDef):
        return False
    called = [each.func for each in statement.decorator_list if isinstance(each, ast.Call)]
    names = {each.attr if isinstance(each, ast.Attribute) else getattr(each, "id", "") for each in called}
    return bool(names & NODE_DECORATORS)


def _module(name: str) -> Module | None:
    path = _file(name)
    return _load(name, path, path.endswith("__init__.py")) if path else None


def _load(name: str, path: str, is_package: bool) -> Module | None:
    try:
        stat = Path(path).stat()
    except OSError:
        return None
    return _parse(name, path, is_package, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1024)
def _parse(name: str, path: str, is_package: bool, modified: int, size: int) -> Module:
    return Module(name, ast.parse(Path(path).read_bytes()), is_package)


def _file(name: str) -> str | None:
    loaded = sys.modules.get(name)
    if loaded is not None:
        return getattr(loaded, "__file__", None)
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
    return spec.origin if spec and spec.has_location else None
