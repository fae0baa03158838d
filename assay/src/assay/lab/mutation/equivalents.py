"""Mutants that nothing can tell from the original, each with the reason: `golden/equivalent_mutants.yml`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from assay.errors import GoldenError
from assay.golden.yaml_file import Strict, YamlFile, read
from assay.lab.mutation.operators import Mutant

FILE = "equivalent_mutants.yml"
Key = tuple[str, str, str, str, int]
_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _Entry(Strict):
    """One annotation."""

    table: _Text
    operator: _Text
    before: _Text
    after: Annotated[str, StringConstraints(strip_whitespace=True)]
    reason: _Text
    nth: int = 1


class _EquivalentsFile(Strict):
    """What may stand in the file."""

    mutants: Annotated[list[_Entry], Field(min_length=1)]


@dataclass(frozen=True)
class Equivalents:
    """The annotations: key of a mutant -> reason."""

    reasons: dict[Key, str]
    places: dict[Key, int]
    source: YamlFile | None = None

    def reason(self, mutant: Mutant) -> str | None:
        return self.reasons.get(mutant.key)

    def stale(self, mutants: Iterable[Mutant], killed: Collection[Key], tables: Collection[str]) -> list[GoldenError]:
        """Annotations of `tables` that match no mutant any more, or one that a case kills."""
        known = {mutant.key for mutant in mutants}
        found = []
        for key, place in self.places.items():
            if key[0] not in tables:
                continue
            assert self.source is not None
            text = f"{key[0]}: {key[2]} -> {key[3]}"
            if key not in known:
                found.append(self.source.error(f"matches no mutant: {text}", "mutants", place, fix="Delete it."))
            elif key in killed:
                found.append(self.source.error(f"is killed by a case: {text}", "mutants", place, fix="Delete it."))
        return found


def read_equivalents(golden: Path) -> Equivalents:
    """Read the file, if it is there; raises GoldenError naming the line of what is wrong."""
    path = golden / FILE
    if not path.exists():
        return Equivalents({}, {})
    source = read(path)
    reasons: dict[Key, str] = {}
    places: dict[Key, int] = {}
    for place, entry in enumerate(source.read_as(_EquivalentsFile).mutants):
        key = (entry.table, entry.operator, " ".join(entry.before.split()), entry.after, entry.nth)
        if key in reasons:
            raise source.error("stands twice", "mutants", place, fix="Delete one.")
        reasons[key], places[key] = entry.reason, place
    return Equivalents(reasons, places, source)
