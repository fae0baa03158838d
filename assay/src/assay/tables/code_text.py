"""What a piece of code says: a syntax tree as text that tells nothing of its looks, and the names that lead out of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

DESCRIBING = {"Field": {"description", "title"}, "table": {"owner", "tags"}, "export": {"owner", "tags"}}
"""Keyword arguments that tell people about a column or table, and cannot change a value in it, per function."""
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Import:
    """What an import statement binds to `name`: a module, or the name `member` of it."""

    name: str
    module: str
    member: str | None = None


def text_of(tree: ast.AST) -> str:
    """A syntax tree as text, without positions, comments, docstrings and what only describes."""
    found = Read("", False)
    found.write(tree)
    return "".join(found.out)


class Read:
    """A syntax tree, passed over once: its text, and the names, attributes, definitions and imports in it."""

    def __init__(self, module: str, is_package: bool) -> None:
        self.module, self.is_package = module, is_package
        self.out: list[str] = []
        self.reads, self.attributes, self.inner = set[str](), set[str](), set[str]()
        self.imported: list[Import] = []

    def write(self, node: object) -> None:
        if isinstance(node, ast.AST):
            self._node(node)
        elif isinstance(node, list):
            self.out.append("[")
            for item in node:
                self.write(item)
                self.out.append(",")
            self.out.append("]")
        else:
            self.out.append(repr(node))

    def _node(self, node: ast.AST) -> None:
        kind, out = type(node), self.out
        if kind is ast.Name:
            self.reads.add(node.id)  # type: ignore[attr-defined]  # by its kind
            out.append(f"Name(id={node.id!r},)")  # type: ignore[attr-defined]
            return
        described = None
        if kind is ast.Attribute:
            self.attributes.add(node.attr)  # type: ignore[attr-defined]
        elif kind is ast.Call:
            described = DESCRIBING.get(called(node))  # type: ignore[arg-type]
        elif kind in DEFINITIONS:
            self.inner.add(node.name)  # type: ignore[attr-defined]
        elif kind is ast.Import or kind is ast.ImportFrom:
            self.imported += imports(node, self.module, self.is_package)
        out.append(kind.__name__ + "(")
        for name in _fields(kind):  # type: ignore[arg-type]  # a class is hashable
            value = getattr(node, name, None)
            # Fields differ between Python versions only by empty ones, so empty ones are left out.
            if value is None or value == []:
                continue
            if name == "body" and isinstance(value, list):
                value = without_docstring(node)
            elif described and name == "keywords":
                for keyword in (each for each in value if each.arg in described):
                    self._unwritten(keyword)
                value = [keyword for keyword in value if keyword.arg not in described]
            out.append(name + "=")
            self.write(value)
            out.append(",")
        out.append(")")

    def _unwritten(self, node: ast.AST) -> None:
        """What only describes may lead to other code all the same."""
        written, self.out = self.out, []
        self._node(node)
        self.out = written


@lru_cache(maxsize=256)
def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    return tuple(name for name in kind._fields if name not in ("ctx", "type_comment"))


def imports(part: ast.AST, module: str, is_package: bool) -> Iterator[Import]:
    """What a part binds, if it is an import statement of `module`."""
    if isinstance(part, ast.Import):
        for alias in part.names:
            top = alias.name.split(".")[0]
            yield Import(alias.asname or top, alias.name)
            if not alias.asname and top != alias.name:
                yield Import(top, top)  # `import a.b` binds `a`, and with it what else of `a` is read
    elif isinstance(part, ast.ImportFrom):
        parts = module.split(".")
        kept = parts[: len(parts) - part.level + is_package] if part.level else []
        for alias in part.names:
            yield Import(alias.asname or alias.name, ".".join([*kept, *filter(None, [part.module])]), alias.name)


def called(call: ast.Call) -> str:
    """The name of what is called, without where it is found; empty where it has none."""
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def without_docstring(node: ast.AST) -> list[ast.stmt]:
    """The statements in a node's body."""
    body: list[ast.stmt] = node.body  # type: ignore[attr-defined]  # asked of nodes with a body only
    has_docs = isinstance(node, (ast.Module, *DEFINITIONS))
    if has_docs and body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        return body[1:]
    return body
