"""Takes requirements, and all that came by them alone, out of a lock; without a network. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Iterable


def without(lock: str, dropped: Iterable[str]) -> str:
    """A lock without the project's own requirements `dropped`, and without what was needed by nothing else."""
    blocks = re.split(r"^(?=\S)", lock, flags=re.M)
    names = {block: re.split(r"[\[=]", block, maxsplit=1)[0].lower() for block in blocks}
    needed_by = {block: set(re.findall(r"^    #(?: via)? +([\w.-]+)", block, re.M)) - {"via"} for block in blocks}
    gone = {name.lower().replace("_", "-") for name in dropped}
    while orphans := {names[block] for block in blocks if needed_by[block] and needed_by[block] <= gone} - gone:
        gone |= orphans
    text = "".join(block for block in blocks if names[block] not in gone)
    text = re.sub(rf"^    #   ({'|'.join(map(re.escape, gone))})\n", "", text, flags=re.M)
    # `# via` with one name left under it stands on one line, as the resolver writes it.
    return re.sub(r"^    # via\n    #   (.*)\n(?!    #   )", r"    # via \1\n", text, flags=re.M)
