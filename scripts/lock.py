"""Edits a lock as the resolver would, without a network. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Iterable


def blocks_of(lock: str) -> list[tuple[str, str]]:
    """A lock's blocks, each with the name of its package; one package may have several, for several Pythons."""
    blocks = [block for block in re.split(r"^(?=\S)", lock, flags=re.M) if block]
    return [(re.split(r"[\[= ]", block, maxsplit=1)[0].lower(), block) for block in blocks]


def without(lock: str, dropped: Iterable[str]) -> str:
    """A lock in which the project no longer asks for `dropped`, and without what is then needed by nothing."""
    asked = {name.lower().replace("_", "-") for name in dropped}
    blocks = [(name, _not_asked(block) if name in asked else block) for name, block in blocks_of(lock)]
    needed_by: dict[str, set[str]] = {}
    for name, block in blocks:
        needed_by.setdefault(name, set()).update(re.findall(r"^    #(?: via)? +(?!via$)([\w.-]+)", block, re.M))
    gone: set[str] = set()
    while orphans := {n for n, by in needed_by.items() if by <= gone and (by or n in asked)} - gone:
        gone |= orphans
    text = "".join(block for name, block in blocks if name not in gone)
    if gone:
        text = re.sub(rf"^    #   ({'|'.join(map(re.escape, gone))})\n", "", text, flags=re.M)
    # `# via` with one name left under it stands on one line, as the resolver writes it.
    return re.sub(r"^    # via\n    #   (.*)\n(?!    #   )", r"    # via \1\n", text, flags=re.M)


def _not_asked(block: str) -> str:
    """A package's block without the project among those that need it."""
    return re.sub(r"^    #(?: via|  ) [\w.-]+ \(pyproject\.toml(?::\w+)?\)\n", "", block, flags=re.M)


def with_block(lock: str, name: str, block: str) -> str:
    """A lock with this block of a package in its place, and no other of it nor a word of its absence."""
    kept = [(each, text) for each, text in blocks_of(lock) if each != name and not each.startswith("#")]
    return "".join(text.rstrip() + "\n" for _, text in sorted([*kept, (name, block)], key=lambda pair: pair[0]))


def pins_of(lock: str) -> dict[str, str]:
    """The version of each package, by its name."""
    return dict(re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;]+)", lock, re.M))
