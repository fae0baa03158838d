"""The version of the code that makes a table: a hash of the files its function can reach.

Counted are the table's own file and every file of the project that is imported from there, however late. Another table is
reached as data, not as code: of a file that holds tables, only what is imported from it by name counts, with what that
reads in its file. The framework counts by its version alone. Not counted are comments, docstrings, positions, the order of
imports, descriptions of columns, owners and tags; functions of other tables; installed packages.

Only files are read, nothing is run: SQL in a file beside the module, or a module imported under a name that is made at run
time, is not seen. What a closure holds is counted where it is a plain value.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

from assay import __version__
from assay.tables import code_text
from assay.tables.code_text import DEFINITIONS, Import, Read, called, text_of, without_docstring
from assay.tables.declared import NOTHING, Declared
from assay.tables.kept import kept
from assay.tables.nodes import Node, TableDef

SETTING = "setting "
"""Begins the name of a part that is no code, but a setting which the code reads."""
NODE_DECORATORS = {"table", "export", "invariant"}
PLAIN = (str, bytes, int, float, bool, type(None))
_FRAMEWORK = b"".join(Path(each).read_bytes() for each in (__file__, code_text.__file__))
"""What decides what is found in a file."""


def code_version(node: Node, *rules: Node, settings: Declared = NOTHING) -> str:
    """Twelve hex digits that change whenever code that `node` or one of its `rules` reaches changes, or a setting that it reads.

    The rules are the invariants audited before the table is published; they say what may be published.
    """
    digest = hashlib.sha256(f"assay {__version__}\n".encode())
    followed = map(_follow, (node, *rules))
    reached = {text for reach, loose in followed for text in (*loose, *(reach.texts() if reach else ()))}
    for text in sorted(reached.union(settings.written.values())):
        digest.update(hashlib.sha256(text.encode()).digest())
    return digest.hexdigest()[:12]


def code_parts(node: Node, *rules: Node, settings: Declared = NOTHING) -> dict[str, str]:
    """What `code_version` counts, piece by piece: `module:function` -> a digest, which tells what of it changed."""
    texts: dict[str, list[str]] = {"assay": [__version__]}
    texts |= {f"{SETTING}{name}": [text] for name, text in settings.written.items()}
    for each in (node, *rules):
        reach, loose = _follow(each)
        if loose:
            texts.setdefault(f"{each.module}:{each.function.__name__}", []).extend(loose)
        for part, text in reach.pieces() if reach else ():
            known = texts.setdefault(part, [])
            known += [text] if text not in known else []
    return {
        part: hashlib.sha256("\n".join(sorted(all_of_it)).encode()).hexdigest()[:8] for part, all_of_it in texts.items()
    }


def code_sources(node: Node, *rules: Node, settings: Declared = NOTHING) -> dict[str, str]:
    """The same pieces as they are written, without comments, for whoever wants to see what of them changed."""
    found = {f"{SETTING}{name}": [text] for name, text in settings.written.items()}
    for reach, _ in map(_follow, (node, *rules)):
        for module, (file, chosen) in reach.chosen.items() if reach else ():
            for each in (file.statements[number] for number in sorted(chosen)):
                known, text = found.setdefault(f"{module}:{each.label}", []), ast.unparse(file.body[each.number])
                known += [text] if text not in known else []
    return {part: "\n".join(texts) for part, texts in found.items()}


def late_imports(node: Node) -> list[str]:
    """Modules that what `node` reaches imports only when it runs."""
    reach, _ = _follow(node)
    pieces = [file.statements[each] for file, chosen in (reach.chosen.values() if reach else ()) for each in chosen]
    return sorted({late.module for each in pieces if each.defines for late in each.imported})


def source_location(node: Node) -> tuple[Path, int]:
    """The file and line at which the node's function (with its decorators) begins."""
    code = node.function.__code__
    return Path(code.co_filename), code.co_firstlineno


@dataclass
class _Statement:
    """A top-level statement of a file, or one name of an import: what it looks like, and where it leads.

    It holds no syntax tree: to keep those of all files takes longer than to read one again that is asked for.
    """

    number: int
    text: str
    binds: set[str]
    reads: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    imported: tuple[Import, ...] = ()
    is_node: bool = False
    label: str = ""
    defines: bool = False

    @classmethod
    def of(cls, number: int, tree: ast.stmt, module: str, is_package: bool) -> Iterator[_Statement]:
        found = Read(module, is_package)
        found.write(tree)
        if isinstance(tree, ast.Import | ast.ImportFrom):
            yield from (cls(number, repr(each), {each.name}, imported=(each,)) for each in found.imported)
            return
        reads, defines = found.reads, isinstance(tree, DEFINITIONS)
        if isinstance(tree, DEFINITIONS):
            binds = {tree.name}
        else:  # `X = 1`, `X["a"] = 1`, `X.append(1)`, `if a: def X()`: every mention of X may say what it is
            binds = reads | found.inner | {each.name for each in found.imported}
        calls = [each for each in getattr(tree, "decorator_list", ()) if isinstance(each, ast.Call)]
        is_node = any(called(each) in NODE_DECORATORS for each in calls)
        text, imported = "".join(found.out), tuple(found.imported)
        yield cls(number, text, binds, reads, found.attributes, imported, is_node, _label(tree), defines)


class _File:
    """The statements of one file: imports first, in the order of their names, then the others as they stand."""

    def __init__(self, module: str, path: str) -> None:
        self.source = Path(path).read_bytes()
        of = b"\0".join((_FRAMEWORK, module.encode(), self.source))
        self.statements = kept(path, of, partial(self._statements, module, path))
        self.code = {number for number, each in enumerate(self.statements) if not each.is_node}
        self.attributes = set().union(*(each.attributes for each in self.statements))

    def _statements(self, module: str, path: str) -> list[_Statement]:
        is_package = path.endswith("__init__.py")
        every = [
            each for number, part in enumerate(self.body) for each in _Statement.of(number, part, module, is_package)
        ]
        del self.body
        return sorted(every, key=lambda each: each.text if each.text.startswith("Import(") else "~")

    @cached_property
    def body(self) -> list[ast.stmt]:
        """The statements as syntax trees."""
        return without_docstring(ast.parse(self.source))

    @cached_property
    def definitions(self) -> list[ast.FunctionDef]:
        """Every function of the file, those inside of others as well."""
        return [part for each in self.body for part in ast.walk(each) if isinstance(part, ast.FunctionDef)]

    def reached_by(self, names: Iterable[str]) -> set[int]:
        """The statements that mention `names`, and what those read; all of a file that holds no tables."""
        if len(self.code) == len(self.statements):
            return self.code
        found: set[int] = set()
        seen: set[str] = set()
        waiting = {"*", *names}
        while waiting:
            new = {number for number in self.code - found if self.statements[number].binds & waiting}
            seen |= waiting
            waiting = set().union(*(self.statements[number].reads for number in new)) - seen
            found |= new
        return found


class _Reach:
    """Follows imports from file to file, and keeps which statements of each count."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.chosen: dict[str, tuple[_File, set[int]]] = {}

    def texts(self) -> Iterator[str]:
        for module, (file, chosen) in self.chosen.items():
            yield "\n".join([module, *(file.statements[number].text for number in sorted(chosen))])

    def pieces(self) -> Iterator[tuple[str, str]]:
        """`module:name` of every statement that counts, with its text; the name is empty where it has none."""
        for module, (file, chosen) in self.chosen.items():
            for number in sorted(chosen):
                yield f"{module}:{file.statements[number].label}", file.statements[number].text

    def names(self, module: str, *names: str) -> None:
        if file := _file(module):
            self.take(module, file, file.reached_by(names))

    def module(self, module: str, attributes: set[str]) -> None:
        """All of a module counts; of a package also the modules that are read as its attributes."""
        if file := _file(module):
            self.take(module, file, file.code)
        for name in attributes if _folders(module) else ():
            if _path(f"{module}.{name}"):
                self.module(f"{module}.{name}", attributes)

    def take(self, module: str, file: _File, numbers: set[int]) -> None:
        _, chosen = self.chosen.setdefault(module, (file, set()))
        new = numbers - chosen
        chosen |= new
        for imported in {each for number in new for each in file.statements[number].imported}:
            if imported.module.split(".")[0] != self.package:
                continue
            whole = f"{imported.module}.{imported.member}"
            if imported.member in (None, "*"):
                self.module(imported.module, file.attributes)
            else:
                self.names(imported.module, imported.member)
                if _path(whole):
                    self.module(whole, file.attributes)


def _follow(node: Node) -> tuple[_Reach | None, list[str]]:
    """What the node's function reaches in files, and the texts that are in none."""
    function, module = node.function, node.module
    path, line = source_location(node)
    own = _file(module) if module in sys.modules else _read(module, str(path))
    if own is None:
        return None, [_compiled(function)]
    reach = _Reach(module.split(".")[0])
    named = {at for at, each in enumerate(own.statements) if each.is_node and function.__name__ in each.binds}
    reach.take(module, own, own.code | named)
    for model in [*node.inputs.values(), *([node.model] if isinstance(node, TableDef) else [])]:
        if model.__module__.split(".")[0] == reach.package:  # imported already, unless the annotation is quoted
            reach.names(model.__module__, model.__qualname__.split(".")[0])
    inner = [_inner(own, function, line)] if "<locals>" in function.__qualname__ else []
    return reach, [*inner, *_closure(function)]


def _inner(file: _File, function: Callable[..., Any], line: int) -> str:
    """A function made inside another one: its own text tells it from others of its name in the file."""
    for part in file.definitions:
        if part.name == function.__name__ and line in (part.lineno, *(each.lineno for each in part.decorator_list)):
            return text_of(part)
    return _compiled(function)


def _closure(function: Callable[..., Any]) -> Iterator[str]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        if isinstance(cell.cell_contents, PLAIN):
            yield f"{name}={cell.cell_contents!r}"


def _compiled(function: Callable[..., Any]) -> str:
    """For code without a file, such as an interactive session's."""
    code = function.__code__
    constants = [constant for constant in code.co_consts if isinstance(constant, PLAIN)]
    return f"{code.co_code.hex()} {code.co_names} {constants} {list(_closure(function))}"


def _label(tree: ast.stmt) -> str:
    """What a statement defines, for people; empty for others, such as imports."""
    if isinstance(tree, DEFINITIONS):
        return tree.name
    targets = tree.targets if isinstance(tree, ast.Assign) else [getattr(tree, "target", None)]
    return ", ".join(each.id for each in targets if isinstance(each, ast.Name))


def _file(module: str) -> _File | None:
    return _read(module, path) if (path := _path(module)) else None


def _read(module: str, path: str) -> _File | None:
    try:
        stat = Path(path).stat()
    except OSError:
        return None
    return _parse(module, path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1024)
def _parse(module: str, path: str, modified: int, size: int) -> _File:
    return _File(module, path)


def _path(module: str) -> str | None:
    """Where a module stands, found without running anything."""
    loaded = sys.modules.get(module)
    if loaded is not None:
        return getattr(loaded, "__file__", None)
    package, _, name = module.rpartition(".")
    tried = (Path(folder, name + end) for folder in _folders(package) for end in ("/__init__.py", ".py"))
    return next((str(path) for path in tried if path.is_file()), None)


def _folders(package: str) -> list[str]:
    """Where a package's modules stand; empty for what is no package."""
    loaded = sys.modules.get(package)
    if loaded is not None:
        return list(getattr(loaded, "__path__", ()))
    outer, _, name = package.rpartition(".")
    tried = (Path(folder, name) for folder in (_folders(outer) if outer else ()))
    return [str(folder) for folder in tried if folder.is_dir()]
