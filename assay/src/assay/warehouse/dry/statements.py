"""Which SQL may run in a dry run, decided by DuckDB's own parser and tokenizer.

Allowed by kind: reading, and changing the connection's own database. Everything else is refused, also kinds
that do not exist yet. Within the allowed kinds, a target that stands in a read-only catalog is refused here
already, although the engine would refuse it as well, and so are functions with effects outside the query.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Any

import duckdb

from assay.errors import WarehouseError

_HARMLESS = {"SELECT", "TRANSACTION", "RELATION"}
_CHANGES = {"INSERT", "UPDATE", "DELETE", "MERGE_INTO", "CREATE", "CREATE_FUNC", "ALTER", "DROP"}
_SETTINGS = {"TIMEZONE", "PYTHON_ENABLE_REPLACEMENTS"}
"""Settings that Ibis makes when it takes over a connection."""
_EFFECTS = {
    "CHECKPOINT",
    "FORCE_CHECKPOINT",
    "TRUNCATE_DUCKDB_LOGS",
    "WRITE_LOG",
    "ADD_PARQUET_KEY",
    "COPY_DATABASE",
    "IMPORT_DATABASE",
    "QUERY",
    "JSON_EXECUTE_SERIALIZED_SQL",
}
"""Functions that write (a log file, a checkpoint), or run SQL that this module has not seen."""
_EFFECTS_OF = ("ENABLE_", "DISABLE_", "VERIFY_")
"""How the names of more of them begin."""
_TELLING = re.compile("|".join(sorted({"IMPORT", *_EFFECTS, *_EFFECTS_OF})))
"""Nothing of the above is in a text in which this is nowhere: it need not be split into words, which takes longer than to run it."""
_INTRODUCES_TARGET = {"INTO", "UPDATE", "TABLE", "VIEW", "SCHEMA", "SEQUENCE", "TYPE", "MACRO", "FUNCTION", "INDEX"}
_INTRODUCES_TARGET |= {"EXISTS", "TRUNCATE", "COLUMN", "COPY"}

_REMEMBERED = 20_000
"""Characters up to which a text that was found harmless is remembered."""

Words = list[str]


def check_sql(query: Any, readonly: Collection[str]) -> Any:
    """`query` as it came, when every statement in it may run in a dry run.

    Args:
        query: SQL text, or a statement that DuckDB extracted.
        readonly: lower-case names of read-only catalogs.

    Raises:
        WarehouseError: naming the statement that may not run.
    """
    text = query if isinstance(query, str) else query.query
    check = _check_text if len(text) <= _REMEMBERED else _check_text.__wrapped__
    check(text, frozenset(readonly))
    return query


@lru_cache(maxsize=4096)  # a golden suite runs the same statements again and again
def _check_text(text: str, readonly: frozenset[str]) -> None:
    upper = text.upper()
    if _TELLING.search(upper):
        words = _words(text)
        if (";", "IMPORT") in itertools.pairwise([";", *words]):  # DuckDB opens the files to extract what is in them
            raise refused("IMPORT DATABASE")
        for function in _called(words):
            if function in _EFFECTS or function.startswith(_EFFECTS_OF):
                raise refused(f"the function {function.lower()}()")
    lower = f"{text.lower()} {upper.lower()}"
    harmless = _HARMLESS
    if not any(name in lower for name in (*readonly, "secret", "deallocate")):
        harmless = _HARMLESS | _CHANGES  # of what is this connection's own
    for statement in duckdb.extract_statements(text):
        # A PIVOT comes as two statements without text; then the text as a whole is looked at.
        kind = getattr(statement.type, "name", "?")
        if kind == "EXPLAIN":
            check_sql(_explained(statement.query), readonly)
        elif kind not in harmless:
            _check(kind, _words(statement.query) or _words(text), readonly)


def check_name(name: str, readonly: Collection[str]) -> None:
    """Refuse a table name that stands in a read-only catalog."""
    if _catalog(_words(name), 0) in readonly:
        raise refused(f"writing to {name}")


def refused(what: str) -> WarehouseError:
    """The error for something a dry run does not do."""
    return WarehouseError(
        f"a dry run refuses {what}",
        where="dry-run warehouse",
        fix="Return an expression instead; the framework writes it where it may be written.",
    )


def _check(kind: str, words: Words, readonly: Collection[str]) -> None:
    if kind == "SET":
        _check_setting(words)
    elif kind == "COPY":
        _check_copy(words)
        _check_targets(kind, words, readonly)
    elif kind in _CHANGES:
        if words[0] == "DEALLOCATE" or "SECRET" in words[:5]:
            raise refused(" ".join(words[:3]))
        _check_targets(kind, words, readonly)
    else:
        raise refused(" ".join(words[:2]) or kind)


def _explained(text: str) -> str:
    """The statement under an EXPLAIN, which `EXPLAIN ANALYZE` runs."""
    tokens = _tokens(text)
    place = 1
    while place < len(tokens) and tokens[place][1] in ("ANALYZE", "VERBOSE"):
        place += 1
    if place < len(tokens) and tokens[place][1] == "(":
        depth, end = 0, place
        for end in range(place, len(tokens)):
            depth += (tokens[end][1] == "(") - (tokens[end][1] == ")")
            if depth == 0:
                break
        # Options stand in brackets before the statement; without anything after them they are the statement.
        place = end + 1 if end + 1 < len(tokens) else place
    return text.encode()[tokens[place][0] :].decode() if place < len(tokens) else ""


def _check_setting(words: Words) -> None:
    if words[0] == "SET" or words[0] == "RESET":
        named = [word for word in words[1:] if word not in ("SESSION", "LOCAL", "GLOBAL")]
        if named and (named[0] == "VARIABLE" or (words[0] == "SET" and named[0] in _SETTINGS)):
            return
    raise refused(" ".join(words[:2]))


def _check_copy(words: Words) -> None:
    depth = 0
    for word in words:
        depth += (word == "(") - (word == ")")
        if depth == 0 and word == "FROM":
            return
        if depth == 0 and word == "TO":
            break
    raise refused("COPY ... TO")


def _check_targets(kind: str, words: Words, readonly: Collection[str]) -> None:
    for place, word in enumerate(words[:-1]):
        introduces = word in _INTRODUCES_TARGET
        introduces |= word == "FROM" and words[max(place - 1, 0)] == "DELETE"
        introduces |= word == "ON" and words[0] == "CREATE" and "INDEX" in words[:3]
        if introduces and _catalog(words, place + 1) in readonly:
            raise refused(f"{kind} on a table of '{_catalog(words, place + 1)}'")


def _catalog(words: Words, place: int) -> str | None:
    """The first part of the dotted name at `place`, lower-case; None if the name has one part only."""
    if place + 1 >= len(words) or words[place + 1] != ".":
        # `CREATE SCHEMA real` makes a schema of that name; `DROP SCHEMA real.x` has two parts.
        return None
    return words[place].strip('"').lower()


def _called(words: Words) -> Iterator[str]:
    """Names that are followed by an opening bracket."""
    for word, following in itertools.pairwise(words):
        if following == "(":
            yield word.strip('"').upper()


def _words(text: str) -> Words:
    return [word for _, word in _tokens(text)]


_TOKEN = re.compile(r'"(?:[^"]|"")*"|.+?(?=\s|--|/\*|$)', re.DOTALL)


@lru_cache(maxsize=512)  # a golden suite builds the same tables again and again
def _tokens(text: str) -> list[tuple[int, str]]:
    """Byte offset and word of every token: upper case unless quoted, literals as `''`, no comments."""
    raw = text.encode()
    tokens = duckdb.tokenize(text)
    comment = int(duckdb.token_type.comment)
    literals = {int(duckdb.token_type.string_const), int(duckdb.token_type.numeric_const)}
    found: list[tuple[int, str]] = []
    ends = [start for start, _ in tokens[1:]] + [len(raw)]
    for (start, token_type), end in zip(tokens, ends, strict=False):
        kind = int(token_type)  # comparing DuckDB's own type takes most of the time otherwise
        if kind == comment:
            continue
        if kind in literals:
            found.append((start, "''"))
            continue
        # What stands between this token and the next, comments included, comes with it.
        piece = raw[start:end].decode(errors="replace")
        word = piece.rstrip()
        if not word.isidentifier():
            match = _TOKEN.match(piece)
            word = match.group() if match else ""
        found.append((start, word if word.startswith('"') else word.upper()))
    return found
