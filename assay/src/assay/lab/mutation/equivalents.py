"""Mutants that nothing can tell from the original, each with the reason: `golden/equivalent_mutants.yml`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from assay.errors import GoldenError
from assay.golden.yaml_file import YamlFile, read
from assay.lab.mutation.operators import Mutant

FILE = "equivalent_mutants.yml"
Key = tuple[str, str, str, str, int]
_TEXTS = ("table", "operator", "before", "after", "reason")


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
    source.check_keys(("mutants",), required=("mutants",))
    entries = source.values["mutants"]
    if not isinstance(entries, list):
        raise source.error("'mutants' is no list", "mutants")
    reasons: dict[Key, str] = {}
    places: dict[Key, int] = {}
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict) or set(entry) - {*_TEXTS, "nth"}:
            raise source.error(f"is no mapping of {', '.join(_TEXTS)} and nth", "mutants", place)
        for name in _TEXTS:
            if not isinstance(entry.get(name), str) or (name != "after" and not entry[name].strip()):
                raise source.error(f"'{name}' is missing or no text", "mutants", place)
        nth = entry.get("nth", 1)
        if not isinstance(nth, int) or isinstance(nth, bool):
            raise source.error("'nth' is no number", "mutants", place)
        key = (entry["table"], entry["operator"], " ".join(entry["before"].split()), entry["after"].strip(), nth)
        if key in reasons:
            raise source.error("stands twice", "mutants", place, fix="Delete one.")
        reasons[key], places[key] = entry["reason"], place
    return Equivalents(reasons, places, source)
