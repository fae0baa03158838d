"""YAML files read strictly: a model says what may stand there, every complaint names file and line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import ErrorDetails, PydanticCustomError

from assay.errors import GoldenError, did_you_mean

Place = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

MAX_DEPTH, MAX_ALIASES, MAX_PARTS = 50, 100, 20_000
"""A file nested deeper, or larger once its aliases are followed, is one that nobody wrote by hand."""

_TOLD = {
    "missing": ("'{name}' is missing", None),
    "string_too_short": ("'{name}' is missing", None),
    "too_short": ("'{name}' is missing", None),
    "string_type": ("'{name}' is no text", 'Put it in "quotes".'),
    "int_type": ("'{name}' is no integer", None),
    "list_type": ("'{name}' is no list", None),
    "model_type": ("'{name}' is no mapping", "Write name: value lines under it."),
    "dict_type": ("'{name}' is no mapping", "Write name: value lines under it."),
    "datetime_type": ("'{name}' is no instant", "Write 2018-01-01T05:00:00Z."),
    "timezone_aware": ("'{name}' is no instant", "Write 2018-01-01T05:00:00Z."),
}
"""What is wrong and what to do, by Pydantic's own names of errors."""


class Strict(BaseModel):
    """What may stand in a mapping: nothing else, and nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def told(what: str, fix: str | None = None) -> WrapValidator:
    """Says `what` about a value that does not fit, with its `{name}` or last `{key}`, in Pydantic's place."""

    def check(value: Any, fits: ValidatorFunctionWrapHandler) -> Any:
        try:
            return fits(value)
        except ValidationError:
            raise PydanticCustomError("told", "{what}", {"what": what, "fix": fix}) from None

    return WrapValidator(check)


def _once(names: list[str]) -> list[str]:
    repeated = min((name for name in names if names.count(name) > 1), default=None)
    if repeated is not None:
        raise PydanticCustomError("told", "{what}", {"what": f"'{repeated}' stands twice in '{{name}}'", "fix": None})
    return names


Names = Annotated[list[str], told("'{name}' is no list of names", "Write [name, name]."), AfterValidator(_once)]


@dataclass(frozen=True)
class YamlFile:
    """A parsed YAML mapping that knows where each of its parts stands."""

    path: Path
    values: dict[str, Any]
    lines: dict[Place, int]

    def error(self, what: str, *place: str | int, fix: str | None = None) -> GoldenError:
        """An error about the part at `place`."""
        line = next((self.lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in self.lines), None)
        return GoldenError(what, where=shown(self.path) + (f":{line}" if line else ""), fix=fix)

    def read_as(self, model: type[Model]) -> Model:
        """What the file says, as the model; a key without a value is one that is not there.

        Raises:
            GoldenError: something does not fit the model.
        """
        try:
            return model.model_validate({key: value for key, value in self.values.items() if value is not None})
        except ValidationError as error:
            # A misspelt key is told before the one that is missing therefore.
            rank = {"extra_forbidden": 0, "missing": 1}
            first = min(error.errors(), key=lambda each: rank.get(each["type"], 2))
            raise self._complaint(first, model) from None

    def _complaint(self, error: ErrorDetails, model: type[BaseModel]) -> GoldenError:
        place, kind = error["loc"], error["type"]
        if kind == "extra_forbidden":
            known = _fields(model, place)
            hint = did_you_mean(str(place[-1]), known, f"Known: {', '.join(known)}.", written="'{}'")
            return self.error(f"unknown key '{place[-1]}'", *place, fix=hint)
        context = error.get("ctx", {})
        what, fix = (context["what"], context["fix"]) if kind == "told" else _TOLD.get(kind, (error["msg"], None))
        words = what.replace("{name}", ".".join(map(str, place))).replace("{key}", str(place[-1]) if place else "")
        return self.error(words, *place, fix=fix)


def read(path: Path) -> YamlFile:
    """Parse a file that holds one mapping; raises GoldenError naming file and line."""
    try:
        text = path.read_text(encoding="utf-8")
        _check_depth(text, path)
        loader = _Loader(text)
        node = loader.get_single_node()
        lines: dict[Place, int] = {}
        for place, line in _lines(node, (), path):
            lines[place] = line
            if len(lines) > MAX_PARTS:
                raise GoldenError(f"has more than {MAX_PARTS:,} parts", where=shown(path), fix="Write fewer aliases.")
        values = loader.construct_document(node) if node is not None else {}
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise GoldenError(f"is no YAML: {error.problem}", where=f"{shown(path)}:{line}") from None
    except ValueError as error:
        raise GoldenError(f"cannot be read: {error}", where=shown(path)) from None
    except OSError as error:
        raise GoldenError(f"cannot be read: {error.strerror}", where=shown(path)) from None
    if not isinstance(values, dict):
        raise GoldenError("holds no mapping", where=f"{shown(path)}:1", fix="Write key: value lines.")
    return YamlFile(path, values, lines)


def _fields(model: Any, place: Place) -> list[str]:
    """The keys known in the mapping that the last of `place` stands in."""
    for part in place[:-1]:
        model = get_args(model)[0] if isinstance(part, int) else model.model_fields[part].annotation
    return list(model.model_fields)


def shown(path: Path) -> str:
    """The path from the folder that holds `golden/` on, the same on every machine."""
    parts = path.parts
    return "/".join(parts[parts.index("golden") :]) if "golden" in parts else str(path)


_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _check_depth(text: str, path: Path) -> None:
    """Raises GoldenError on nesting and aliases that would cost the process its stack or its memory."""
    depth = aliases = 0
    events: Iterator[Any] = yaml.parse(text, Loader=_Loader)
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        aliases += isinstance(event, yaml.AliasEvent)
        if depth > MAX_DEPTH or aliases > MAX_ALIASES:
            what = f"is nested deeper than {MAX_DEPTH}" if depth > MAX_DEPTH else f"has more than {MAX_ALIASES} aliases"
            raise GoldenError(what, where=f"{shown(path)}:{event.start_mark.line + 1}", fix="Write it out flat.")


def _lines(node: Any, place: Place, path: Path) -> Iterator[tuple[Place, int]]:
    if len(place) > MAX_DEPTH:
        raise GoldenError("holds an alias of itself", where=f"{shown(path)}:{node.start_mark.line + 1}")
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                raise GoldenError(
                    f"the key '{key.value}' stands twice", where=f"{shown(path)}:{key.start_mark.line + 1}"
                )
            seen.add(key.value)
            yield (*place, key.value), key.start_mark.line + 1
            yield from _lines(value, (*place, key.value), path)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*place, index), value.start_mark.line + 1
            yield from _lines(value, (*place, index), path)
