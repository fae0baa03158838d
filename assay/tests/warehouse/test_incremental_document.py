"""`docs/incremental.md` is what happens: its table is built, its files change, its golden case gives its rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from tests.little import Little

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "incremental.md"
FENCE = re.compile(r"^(?:<!-- (?P<mark>\S+) -->\n)?```(?P<language>\w*)\n(?P<body>.*?)^```$", re.M | re.S)


def blocks() -> Iterator[tuple[str, str, str]]:
    """Mark, language and body of every block, in order."""
    for match in FENCE.finditer(DOCUMENT.read_text(encoding="utf-8")):
        yield match["mark"] or "", match["language"], match["body"]


def plain(line: str) -> str:
    return re.sub(r"\d+\.\d+ s\b", "0.00 s", " ".join(line.split()))


@pytest.fixture
def little(tmp_path: Path) -> Little:
    little = Little(tmp_path)
    code = next(body for _, language, body in blocks() if language == "python")
    (tmp_path / "little" / "extract" / "orders.py").write_text(code)
    return little


def test_the_commands_print_what_is_shown(little: Little) -> None:
    done = 0
    for mark, language, body in blocks():
        if language == "csv" and not mark:
            (little.root / "orders.csv").write_text(body)
        elif language == "console":
            command, *shown = body.splitlines()
            code, out, err = little.run(*command.removeprefix("$ pipeline ").split())
            assert code == (2 if " plan" in command else 0), out + err
            printed = [plain(line) for line in out.splitlines()]
            assert [line for line in map(plain, shown) if line not in printed] == [], out
            done += 1
    assert done == 4
    with duckdb.connect(str(little.warehouse), read_only=True) as connection:
        rows = connection.execute("SELECT order_id, amount::VARCHAR FROM extract.orders ORDER BY 1").fetchall()
    assert rows == [(1, "11.00"), (2, "25.00"), (4, "40.00"), (5, "50.00")]


def test_the_golden_case_gives_the_rows_that_are_shown(little: Little) -> None:
    case = little.root / "golden" / "orders_since"
    (case / "inputs").mkdir(parents=True)
    (case / "case.yml").write_text("description: Orders that changed\ntables: [orders]\n")
    for mark, _, body in blocks():
        if mark.startswith("inputs/"):
            (case / mark).parent.mkdir(parents=True, exist_ok=True)
            (case / mark).write_text(body)
    environment = {"CI": "false"}
    little.run("golden", environment=environment)
    code, out, err = little.run("golden", "accept", "orders_since", environment=environment)
    assert code == 0, out + err
    expected = (case / "expected" / "orders.ndjson").read_text()
    shown = next(body for mark, _, body in blocks() if mark == "rows")
    for line in shown.splitlines():
        key, amount, at = line.split(" ", 2)
        assert f'"order_id": "{key}", "amount": "{amount}"' in expected, expected
        assert at in expected
    assert len(expected.splitlines()) == 2
    assert little.run("golden", environment=environment)[0] == 0
