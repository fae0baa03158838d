"""Which names of its module a piece of code uses, and what it looks like without what does not run.

What belongs here: reading one syntax tree. Following the names into other files is `code_version.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

FunctionLike = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass(frozen=True)
class Imported:
    """What an import statement binds: module `module`, or the name `name` of it."""

    module: str
    name: str | None = None


Scope = dict[str, Imported | None]


def references(node: ast.AST) -> set[str | tuple[Imported, str]]:
    """The outer names `node` reads, dotted as far as they are written (`helpers.in_shop_time`).

    A name that a function, lambda or comprehension binds for itself is not an outer name. A name that a
    function imports for itself comes as the import and the dotted rest.
    """
    return set(_read(node, []))


def bound_names(statement: ast.stmt) -> set[str]:
    """The names a top-level statement defines or changes: `X = 1`, `X += 1`, `X["a"] = 1`, `X.append(1)`."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Expr):
        root = _root(statement.value.func) if isinstance(statement.value, ast.Call) else None
        return {root} if root else set()
    found: set[str] = set()
    for node in _same_scope(statement):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name | ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            root = _root(node)
            if root:
                found.add(root)
    return found


def imports(statement: ast.AST, module: str, is_package: bool) -> Iterator[tuple[str, Imported]]:
    """Name and target of everything an import statement binds; `*` is bound under the name `*`."""
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            whole = alias.name if alias.asname else alias.name.split(".")[0]
            yield alias.asname or whole, Imported(whole)
    elif isinstance(statement, ast.ImportFrom):
        base = statement.module or ""
        if statement.level:
            parts = module.split(".")
            kept = parts[: len(parts) - statement.level + is_package]
            base = ".".join([*kept, base] if base else kept)
        for alias in statement.names:
            yield alias.asname or alias.name, Imported(base, alias.name)


def normalised(node: ast.AST) -> str:
    """`node` as text, without positions, comments, docstrings and what only describes (see `_described`)."""
    out: list[str] = []
    _write(node, out)
    return "".join(out)


DESCRIBING = {"Field": {"description", "title"}, "table": {"owner", "tags"}, "export": {"owner", "tags"}}
"""Keyword arguments that tell people about a column or table, and cannot change a value in it, per function."""


def _write(node: object, out: list[str]) -> None:
    if isinstance(node, ast.AST):
        out.append(type(node).__name__)
        out.append("(")
        described = _described(node)
        for field, value in ast.iter_fields(node):
            # Fields differ between Python versions only by empty ones, so empty ones are left out.
            if value is None or value == [] or field in ("ctx", "type_comment"):
                continue
            if field == "body" and isinstance(value, list):
                value = without_docstring(node)
            elif field == "keywords":
                value = [keyword for keyword in value if keyword.arg not in described]
            out.append(field)
            out.append("=")
            _write(value, out)
            out.append(",")
        out.append(")")
    elif isinstance(node, list):
        out.append("[")
        for item in node:
            _write(item, out)
            out.append(",")
        out.append("]")
    else:
        out.append(repr(node))


def without_docstring(node: ast.AST) -> list[ast.stmt]:
    """The statements of a module, class or function, without its docstring."""
    body: list[ast.stmt] = node.body  # type: ignore[attr-defined]  # asked of nodes with a body only
    has_docs = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    if has_docs and body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        return body[1:]
    return body


def _described(node: ast.AST) -> set[str]:
    if not isinstance(node, ast.Call):
        return set()
    called = node.func
    name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
    return DESCRIBING.get(name, set())


def _read(node: ast.AST, scopes: list[Scope]) -> Iterator[str | tuple[Imported, str]]:
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        return
    if isinstance(node, ast.Name | ast.Attribute):
        dotted = _dotted(node)
        if dotted is not None:
            yield from _outer(dotted, scopes)
            return
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        yield from _read_function(node, scopes)
    elif isinstance(node, Comprehension):
        targets: Scope = {name: None for part in node.generators for name in _stored(part.target)}
        for child in ast.iter_child_nodes(node):
            yield from _read(child, [*scopes, targets])
    else:
        described = _described(node)
        for child in ast.iter_child_nodes(node):
            if not (isinstance(child, ast.keyword) and child.arg in described):
                yield from _read(child, scopes)


def _read_function(node: FunctionLike, scopes: list[Scope]) -> Iterator[str | tuple[Imported, str]]:
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [extra for extra in (arguments.vararg, arguments.kwarg) if extra]
    outside: list[ast.AST | None] = [*arguments.defaults, *arguments.kw_defaults, *(each.annotation for each in every)]
    body = [node.body] if isinstance(node, ast.Lambda) else without_docstring(node)
    inner: Scope = {argument.arg: None for argument in every}
    if not isinstance(node, ast.Lambda):
        outside += [*node.decorator_list, node.returns]
        shared = {name for part in ast.walk(node) if isinstance(part, ast.Global) for name in part.names}
        for statement in body:
            for part in _same_scope(statement):
                inner.update((name, None) for name in _bindings(part) if name not in shared)
                inner.update(imports(part, "", False))
    for child in outside:
        if child is not None:
            yield from _read(child, scopes)
    for child in body:
        yield from _read(child, [*scopes, inner])


def _bindings(node: ast.AST) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    if isinstance(node, ast.ExceptHandler) and node.name:
        return [node.name]
    return []


def _same_scope(node: ast.AST) -> Iterator[ast.AST]:
    """`node` and what is below it, without the insides of functions, classes and comprehensions."""
    yield node
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda | Comprehension):
        for child in ast.iter_child_nodes(node):
            yield from _same_scope(child)


def _stored(target: ast.AST) -> list[str]:
    return [part.id for part in ast.walk(target) if isinstance(part, ast.Name)]


def _outer(dotted: str, scopes: list[Scope]) -> Iterator[str | tuple[Imported, str]]:
    head, _, rest = dotted.partition(".")
    for scope in reversed(scopes):
        if head in scope:
            imported = scope[head]
            if imported is not None:
                yield imported, rest
            return
    yield dotted


def _dotted(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value)
        return f"{base}.{node.attr}" if base else None
    return None


def _root(node: ast.AST) -> str | None:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None
