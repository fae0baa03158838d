"""benchmarks/README.md: a part per benchmark, replaced when that benchmark runs, the others left as they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

PAGE = Path(__file__).with_name("README.md")


def update(sections: Sequence[str], name: str, text: str, *, head: str) -> None:
    """Write the part `name`; parts stand in the order of `sections`.

    Args:
        head: what stands above the parts.
    """
    parts = read()
    parts[name] = text.strip()
    body = "\n\n".join(
        f"<!-- begin {part} -->\n{parts[part]}\n<!-- end {part} -->" for part in sections if part in parts
    )
    PAGE.write_text(f"{head.strip()}\n\n{body}\n")


def read() -> dict[str, str]:
    """The parts that are there, by name."""
    text = PAGE.read_text() if PAGE.exists() else ""
    found = re.finditer(r"<!-- begin (\w+) -->\n(.*?)\n<!-- end \1 -->", text, re.DOTALL)
    return {match[1]: match[2] for match in found}
