"""This distribution's README gives every file a role."""

from __future__ import annotations

from pathlib import Path

import assay

FRAMEWORK = Path(assay.__file__).parent
README = Path(__file__).parents[1] / "README.md"


def unnamed(folder: Path, text: str) -> list[str]:
    """Modules and packages of `folder` that the text does not name."""
    files = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
    packages = [f"{path.parent.name}/" for path in folder.glob("*/__init__.py")]
    return [name for name in sorted([*files, *packages]) if f"`{name}`" not in text]


def test_every_file_has_a_role() -> None:
    assert unnamed(FRAMEWORK, README.read_text(encoding="utf-8")) == []


def test_a_file_without_a_role_is_seen(tmp_path: Path) -> None:
    (tmp_path / "compare").mkdir()
    for name in ("__init__.py", "tables.py", "graph.py", "compare/__init__.py"):
        (tmp_path / name).touch()
    assert unnamed(tmp_path, "| `graph.py` | order |") == ["compare/", "tables.py"]
