"""From a Pandera model to a contract: reads its schema, refuses what the database cannot enforce."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis
from pandera.errors import SchemaInitError

from assay.contract import checks, naming, rules
from assay.contract.columns import Column, classification_of, ibis_type, sql_type
from assay.errors import ContractError

if TYPE_CHECKING:
    from pandera.ibis import DataFrameModel

_REFUSED_CONFIG = {
    "coerce": "nothing is coerced here; cast in the table's function",
    "drop_invalid_rows": "broken rows are set aside by the table's max_rejects",
    "add_missing_columns": "a missing column is an error here",
    "on_missing_columns": "every column of a contract is required",
    "dtype": "give every column its own type",
    "parsers": "nothing is parsed here; do it in the table's function",
}
RESERVED = ("__", "_source_file", "_source_line")
"""Beginnings of the columns that the framework puts beside a row's own on their way, whatever their case."""
CHECKS = ("schema", "rows_valid", "unique_key", "reconciles", "usual")
"""Checks that every table has; a rule about the table is a check beside them."""


def read(model: type[DataFrameModel]) -> dict[str, Any]:
    """The fields of a `Contract`, read from `model`; raises ContractError naming file, model and field."""
    where = checks.Where(_file(model), model.__name__)
    schema = _schema(model, where)
    _refuse_config(schema, where)
    types = {name: _type(name, column, where.at(name)) for name, column in schema.columns.items()}
    if not types:
        raise ContractError("the contract has no columns", where=str(where), fix="Annotate fields.")
    _refuse_equal_names(types, where)
    rows = ibis.table(types, name="rows")
    found = list(_rules(schema, rows, where))
    _refuse_codes(found, where)
    keys = _keys(schema, where)
    columns = tuple(_column(name, column, types[name], keys, where) for name, column in schema.columns.items())
    return {
        "name": model.__name__,
        "file": where.file,
        "model": model,
        "columns": columns,
        "keys": keys,
        "row_rules": tuple(rule for rule in found if isinstance(rule, rules.RowRule)),
        "table_rules": tuple(rule for rule in found if isinstance(rule, rules.TableRule)),
        "strict": schema.strict is True,
        "ordered": bool(schema.ordered),
        "description": schema.description or inspect.cleandoc(vars(model).get("__doc__") or "") or None,
        "rows": rows,
    }


def _file(model: type) -> str:
    try:
        return str(Path(inspect.getsourcefile(model) or "<unknown>"))
    except (OSError, TypeError):
        return "<unknown>"  # a model made at run time has no file


def _schema(model: type[DataFrameModel], where: checks.Where) -> Any:
    try:
        return model.to_schema()
    # Pandera turns what Ibis does not implement into an AttributeError that names something else.
    except (SchemaInitError, TypeError, ValueError, AttributeError, NotImplementedError) as error:
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ContractError(
            f"Pandera cannot read it: {line}",
            where=str(where),
            fix="For lists, structs, JSON and UUID use assay.contract.types.",
        ) from error


def _refuse_config(schema: Any, where: checks.Where) -> None:
    for option, reason in _REFUSED_CONFIG.items():
        if getattr(schema, option, None):
            raise ContractError(f"Config.{option} is not supported", where=str(where), fix=f"{reason.capitalize()}.")
    if schema.strict == "filter":
        raise ContractError(
            "Config.strict = 'filter' is not supported",
            where=str(where),
            fix="Select the columns in the table's function.",
        )


def _type(name: str, column: Any, where: checks.Where) -> Any:
    for option, reason in (*_REFUSED_CONFIG.items(), ("regex", "name every column")):
        if option != "dtype" and getattr(column, option, None):
            raise ContractError(f"{option} is not supported", where=str(where), fix=f"{reason.capitalize()}.")
    if not column.required:
        raise ContractError("an optional column is not supported", where=str(where), fix="Make it nullable=True.")
    if column.default is not None:
        raise ContractError("a default is not supported", where=str(where), fix="Fill it in the table's function.")
    if name.lower().startswith(RESERVED):
        raise ContractError("the framework adds a column of this name itself", where=str(where), fix="Rename it.")
    return ibis_type(column.dtype, str(where))


def _rules(schema: Any, rows: Any, where: checks.Where) -> Iterable[rules.RowRule | rules.TableRule]:
    uses = Counter(check.name for column in schema.columns.values() for check in column.checks)
    for name, column in schema.columns.items():
        if not column.nullable:
            yield rules.not_null(rows, name)
        yield from rules.of_column(rows, name, column.checks, {own for own, count in uses.items() if count == 1}, where)
    yield from rules.of_rows(rows, schema.checks, where)


def _refuse_equal_names(names: Iterable[str], where: checks.Where) -> None:
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise ContractError(
                f"'{other}' and '{name}' are one column to DuckDB, which ignores case",
                where=str(where),
                fix="Rename one.",
            )


def _refuse_codes(found: list[rules.RowRule | rules.TableRule], where: checks.Where) -> None:
    repeated = [code for code, count in Counter(rule.code for rule in found).items() if count > 1]
    if repeated:
        raise ContractError(
            f"two rules have the code '{repeated[0]}'", where=str(where), fix="Name one: @pa.check(..., name='...')."
        )
    for rule in found:
        if isinstance(rule, rules.TableRule) and (rule.code in CHECKS or not rule.code.isidentifier()):
            raise ContractError(
                f"a rule about the table cannot be called '{rule.code}'",
                where=str(where),
                fix=f"Give it a name of letters, digits and underscores, other than {', '.join(CHECKS)}.",
            )


def _keys(schema: Any, where: checks.Where) -> tuple[tuple[str, ...], ...]:
    declared = [schema.unique] if isinstance(schema.unique, str) else list(schema.unique or [])
    groups = [declared] if all(isinstance(name, str) for name in declared) else declared
    keys = [tuple(group) for group in groups if group]
    # Pandera's Ibis backend does not enforce Field(unique=True); here it is a key like any other.
    keys += [(name,) for name, column in schema.columns.items() if column.unique]
    for key in keys:
        for name in key:
            if name not in schema.columns:
                raise ContractError(f"Config.unique names '{name}', which is no column", where=str(where))
    return tuple(dict.fromkeys(keys))


def _column(name: str, column: Any, dtype: Any, keys: tuple[tuple[str, ...], ...], where: checks.Where) -> Column:
    constraints = [] if column.nullable else ["not null"]
    constraints += ["unique"] if (name,) in keys else []
    constraints += [naming.constraint_of(check) for check in column.checks]
    return Column(
        name=name,
        dtype=dtype,
        sql_type=sql_type(dtype),
        nullable=bool(column.nullable),
        unique=(name,) in keys,
        description=column.description or column.title,
        classification=classification_of(column.metadata, str(where.at(name))),
        constraints=tuple(constraints),
    )
