"""The documents' pictures: `python -m pipeline_project_tests.pictures` makes them all anew, or those that are named.

One of a terminal is what a document's executed block prints, in colours; test_readme.py holds that its lines are those
of the document, and that the document's are those that are printed. One of Dagster's UI is what the browser's test kept,
and one of the dashboard is of what `make run` made last.
"""

from __future__ import annotations

import fcntl
import io
import os
import re
import shutil
import struct
import subprocess
import sys
import termios
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from assay.testing.browser import chromium
from pipeline_project_tests import documents
from pipeline_project_tests.repository import ROOT

IMAGES = ROOT / "docs" / "template" / "images"
COLUMNS = 100
FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-family: system-ui, sans-serif; font-size: 16px; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g></g></svg>
"""
"""Rich's own, without the fonts that it fetches."""


@dataclass(frozen=True)
class Picture:
    """What the command that begins so prints in a document, from a line on that begins so, and how many lines."""

    file: str
    document: Path
    command: str
    first: str
    lines: int
    says: str


PICTURES = (
    Picture(
        "golden.svg",
        ROOT / "docs" / "template" / "first_day.md",
        "pipeline golden a-weekend",
        "GOLDEN FAIL",
        5,
        "A golden case fails",
    ),
    Picture("plan.svg", ROOT / "docs" / "dry_run.md", "pipeline plan", "~ ", 7, "What a run would change"),
)


SCREENS = ("job.png", "lineage.png", "red_check.png")
"""What the test of Dagster's UI keeps in build/screenshots."""
DASHBOARD = "dashboard.png"


def shown(picture: Picture) -> tuple[str, ...]:
    """What the document says that the command prints, as it was first run."""
    return next(
        command.output for command in documents.executed(picture.document) if command.line.startswith(picture.command)
    )


def lines_of(file: Path) -> list[str]:
    """The text of a picture, line by line."""
    rows: dict[float, str] = {}
    for element in ET.parse(file).getroot().iter("{http://www.w3.org/2000/svg}text"):
        if "-title" not in element.get("class", ""):
            y = float(element.get("y", "0"))
            rows[y] = rows.get(y, "") + "".join(element.itertext())
    return [rows[y].replace("\xa0", " ").rstrip() for y in sorted(rows) if rows[y].strip()]


def draw(picture: Picture, printed: str) -> str:
    """The picture, of what a terminal got."""
    from rich.console import Console
    from rich.text import Text

    lines = printed.replace("\r\n", "\n").split("\n")
    plain = [re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line) for line in lines]
    first = next(number for number, line in enumerate(plain) if line.startswith(picture.first))
    console = Console(
        record=True,
        width=COLUMNS,
        file=io.StringIO(),
        force_terminal=True,
        color_system="standard",
        legacy_windows=False,
    )
    for line in [f"\x1b[1m$ {picture.command.partition(' a-')[0]}\x1b[0m", "", *lines[first : first + picture.lines]]:
        console.print(Text.from_ansi(line), no_wrap=True, overflow="ellipsis")
    console.print()  # else the last line is cut at its foot
    return console.export_svg(title=picture.says, code_format=FORMAT, unique_id=picture.file.partition(".")[0])


def in_terminal(command: str, folder: Path) -> str:
    """What the command prints to a terminal of COLUMNS columns."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    with subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder,
        env={**documents.environment(folder), "TERM": "xterm-256color"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    ):
        os.close(theirs)
        found = b""
        try:
            while chunk := os.read(ours, 65536):
                found += chunk
        except OSError:  # the other end is closed
            pass
        finally:
            os.close(ours)
    return found.decode()


def of_terminal(picture: Picture) -> None:
    with TemporaryDirectory() as folder:
        documents.copied(Path(folder))
        for command in documents.executed(picture.document):
            printed = in_terminal(command.line, Path(folder))
            if command.line.startswith(picture.command):
                break
    (IMAGES / picture.file).write_text(draw(picture, printed), encoding="utf-8")


def of_dashboard() -> None:
    page_file = ROOT / "data" / "dashboard.html"
    if not page_file.exists():
        sys.exit(f"{page_file.relative_to(ROOT)} is not there: make run")
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1200, "height": 1000})
        page.goto(page_file.as_uri())
        page.screenshot(path=IMAGES / DASHBOARD)


def main(*wanted: str) -> None:
    made = {picture.file: partial(of_terminal, picture) for picture in PICTURES} | {DASHBOARD: of_dashboard}
    unknown = set(wanted) - {*made, *SCREENS}
    if unknown:
        sys.exit(f"no picture: {', '.join(sorted(unknown))}. There are: {', '.join(sorted({*made, *SCREENS}))}")
    for name in [name for name in made if not wanted or name in wanted]:
        made[name]()
        print(f"wrote  {(IMAGES / name).relative_to(ROOT)}")
    if screens := [name for name in SCREENS if not wanted or name in wanted]:
        test = Path(__file__).parent / "browser"
        subprocess.run([sys.executable, "-m", "pytest", "-q", str(test)], cwd=ROOT, check=True)
        for name in screens:
            shutil.copy(ROOT / "build" / "screenshots" / name, IMAGES / name)
            print(f"wrote  {(IMAGES / name).relative_to(ROOT)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
