"""Remove the sample once your own first table is there: `make drop-sample`.

Takes away raw_orders, its file, its golden cases, its location in the settings, what the README says of it, and this
script with its target. Git is the way back.
"""

from __future__ import annotations

import ast
import re
import shutil
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
TABLE = "raw_orders"
LOCATION = "shop_files"
DATA = "sample/orders.csv"


class Refused(Exception):
    """Nothing was changed; the text says why and what to do."""


def drop(root: Path = ROOT) -> str:
    """Remove the sample; returns what to tell the user.

    Raises:
        Refused: it is gone, is all there is, or is still needed.
    """
    package = root / tomllib.loads((root / "dg.toml").read_text(encoding="utf-8"))["project"]["root_module"]
    table = package / "extract" / f"{TABLE}.py"
    if not table.exists():
        raise Refused(f"the sample is gone already: there is no {table.relative_to(root)}.")
    used = {file: names(file) for file in own_modules(package) if file != table}
    check_unused(root, table, used)
    named = set().union(*used.values())
    data = root / DATA
    gone = [table, *([data] if data.name not in named else []), *cases(root), Path(__file__)]
    for path in gone:
        remove(path)
    for folder in (data.parent, Path(__file__).parent):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    edit_texts(root, package / "settings.py", keep_location=LOCATION in named)
    return "\n".join([*(f"removed  {path.relative_to(root)}" for path in gone), "next: make check"])


def own_modules(package: Path) -> list[Path]:
    """The project's modules but the settings, which only say where a location is."""
    return [path for path in sorted(package.rglob("*.py")) if path.name != "settings.py"]


def check_unused(root: Path, table: Path, used: dict[Path, set[str]]) -> None:
    """Raises Refused while another table reads the sample, or none would be left."""
    readers = [str(file.relative_to(root)) for file, found in used.items() if TABLE in found]
    if readers:
        raise Refused(f"{', '.join(readers)} still reads {TABLE}. Let it read a table of your own first.")
    if not [file for file in used if file.parent == table.parent and file.name != "__init__.py"]:
        raise Refused(f"{TABLE} is the only source so far. Start your own first: pipeline new-source --help.")


def names(file: Path) -> set[str]:
    """The names and short texts in a module that may be a table's or a location's."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {*node.module.split("."), *(alias.name for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found


def cases(root: Path) -> list[Path]:
    """The golden cases of the sample, and what waits to be accepted into them; raises Refused if one has others too."""
    found = []
    for file in sorted((root / "golden").glob("*/case.yml")):
        case = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        tested = {*(case.get("tables") or ()), *(case.get("expects_error") or ())}
        if TABLE in tested and tested != {TABLE}:
            raise Refused(
                f"golden/{file.parent.name} tests other tables beside {TABLE}. Take it out of the case first."
            )
        if TABLE in tested:
            found.append(file.parent)
    pending = [root / "golden" / ".pending" / case.name for case in found]
    return [*found, *(path for path in pending if path.exists())]


def remove(path: Path) -> None:
    """Remove a file or a folder that may be there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def edit_texts(root: Path, settings: Path, *, keep_location: bool) -> None:
    """Take the sample's location, what is said of it, and the target of this script away."""
    readme, makefile = root / "README.md", root / "Makefile"
    edit(readme, r"^The sample \((?:.+\n)+\n", r"^- \[.\] .*`make drop-sample`.*\n")
    edit(makefile, r"^drop-sample:.*\n(?:\t.*\n)+\n", r" drop-sample\b")
    if not keep_location:
        edit(settings, rf'^ +"{LOCATION}": .*\n')


def edit(file: Path, *patterns: str) -> None:
    """Remove the first match of each pattern."""
    text = file.read_text(encoding="utf-8")
    for pattern in patterns:
        text = re.sub(pattern, "", text, count=1, flags=re.M)
    file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        print(drop())
    except Refused as error:
        print(f"drop-sample: {error}", file=sys.stderr)
        sys.exit(2)
