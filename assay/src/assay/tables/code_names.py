"""Which names of its module a piece of code uses, and what it looks like without what does not run.

What belongs here: reading one syntax tree. Following the names into other files is `code_version.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

FunctionLike = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
# Tuples, not unions: `isinstance` is asked for every node of every file when the code location loads.
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
OWN_SCOPE = (*DEFINITIONS, ast.Lambda, *COMPREHENSIONS)


@dataclass(frozen=True)
class Imported:
    """What an import statement binds: module `module`, or the name `name` of it."""

    module: str
    name: str | None = None


Scope = dict[str, Imported | None]
Reference = str | tuple[Imported, str]


def references(node: ast.AST) -> set[Reference]:
    """The outer names `node` reads, dotted as far as they are written (`helpers.in_shop_time`).

    A name that a function, lambda or comprehension binds for itself is not an outer name. A name that a
    function imports for itself comes as the import and the dotted rest.
    """
    found: set[Reference] = set()
    _read(node, [], found)
    return found


def bound_names(statement: ast.stmt) -> set[str]:
    """The names a top-level statement defines or changes: `X = 1`, `X += 1`, `X["a"] = 1`, `X.append(1)`."""
    if isinstance(statement, DEFINITIONS):
        return {statement.name}
    if isinstance(statement, ast.Expr):
        root = _root(statement.value.func) if isinstance(statement.value, ast.Call) else None
        return {root} if root else set()
    found: set[str] = set()
    for node in _same_scope(statement):
        if isinstance(node, DEFINITIONS):
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
        out.append(type(node).__name__ + "(")
        described = _described(node) if isinstance(node, ast.Call) else None
        for field in node._fields:
            value = getattr(node, field, None)
            # Fields differ between Python versions only by empty ones, so empty ones are left out.
            if value is None or value == [] or field in ("ctx", "type_comment"):
                continue
            if field == "body" and isinstance(value, list):
                value = without_docstring(node)
            elif field == "keywords" and described:
                value = [keyword for keyword in value if keyword.arg not in described]
            out.append(field + "=")
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


def _described(node: ast.Call) -> set[str]:
    called = node.func
    name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
    return DESCRIBING.get(name, set())


def _read(node: ast.AST, scopes: list[Scope], found: set[Reference]) -> None:
    if isinstance(node, ast.Name):
        if isinstance(node.ctx, ast.Load):
            _outer(node.id, scopes, found)
        return
    if isinstance(node, ast.Attribute):
        dotted = _dotted(node)
        if dotted is not None:
            _outer(dotted, scopes, found)
            return
    elif isinstance(node, FUNCTIONS):
        _read_function(node, scopes, found)
        return
    elif isinstance(node, COMPREHENSIONS):
        scopes = [*scopes, {name: None for part in node.generators for name in _stored(part.target)}]
    described = _described(node) if isinstance(node, ast.Call) else ()
    for child in _children(node):
        if not (described and isinstance(child, ast.keyword) and child.arg in described):
            _read(child, scopes, found)


def _read_function(node: FunctionLike, scopes: list[Scope], found: set[Reference]) -> None:
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [extra for extra in (arguments.vararg, arguments.kwarg) if extra]
    outside: list[ast.AST | None] = [*arguments.defaults, *arguments.kw_defaults, *(each.annotation for each in every)]
    body = [node.body] if isinstance(node, ast.Lambda) else without_docstring(node)
    inner: Scope = {argument.arg: None for argument in every}
    if not isinstance(node, ast.Lambda):
        outside += [*node.decorator_list, node.returns]
        inner |= _bound_in(body)
    for child in outside:
        if child is not None:
            _read(child, scopes, found)
    for child in body:
        _read(child, [*scopes, inner], found)


def _bound_in(body: Sequence[ast.AST]) -> Scope:
    """What the statements of a function bind for it."""
    inner: Scope = {}
    shared: set[str] = set()
    for statement in body:
        for part in _same_scope(statement):
            if isinstance(part, ast.Name):
                if isinstance(part.ctx, ast.Store):
                    inner[part.id] = None
            elif isinstance(part, (*DEFINITIONS, ast.ExceptHandler)):
                inner[part.name or ""] = None
            elif isinstance(part, ast.Global):
                shared.update(part.names)
            elif isinstance(part, ast.Import | ast.ImportFrom):
                inner.update(imports(part, "", False))
    return {name: target for name, target in inner.items() if name not in shared}


def _children(node: ast.AST) -> Iterator[ast.AST]:
    for field in node._fields:
        value = getattr(node, field, None)
        if isinstance(value, ast.AST):
            yield value
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, ast.AST):
                    yield item


def _same_scope(node: ast.AST) -> list[ast.AST]:
    """`node` and what is below it, without the insides of functions, classes and comprehensions."""
    found, stack = [], [node]
    while stack:
        part = stack.pop()
        found.append(part)
        if not isinstance(part, OWN_SCOPE):
            stack.extend(_children(part))
    return found


def _stored(target: ast.AST) -> list[str]:
    return [part.id for part in ast.walk(target) if isinstance(part, ast.Name)]


def _outer(dotted: str, scopes: list[Scope], found: set[Reference]) -> None:
    head, _, rest = dotted.partition(".")
    for scope in reversed(scopes):
        if head in scope:
            imported = scope[head]
            if imported is not None:
                found.add((imported, rest))
            return
    found.add(dotted)


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
