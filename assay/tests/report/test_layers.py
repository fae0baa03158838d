"""The drawing: nothing overlaps, everything reads from left to right, and few lines cross."""

from __future__ import annotations

import random
import re
from itertools import pairwise

import pytest

from assay.report.layers import HEIGHT, Drawing, draw

WIDTH = 120.0


def drawn(edges: list[tuple[str, str]], count: int) -> Drawing:
    return draw({f"t{number}": WIDTH for number in range(count)}, edges)


def wild(count: int, seed: int) -> list[tuple[str, str]]:
    """A graph of `count` tables, each of which reads some before it."""
    chance = random.Random(seed)
    return [
        (f"t{other}", f"t{number}")
        for number in range(count // 8, count)
        for other in chance.sample(range(max(0, number - 60), number), min(number, chance.choice([1, 1, 2, 3])))
    ]


def assert_sound(drawing: Drawing, edges: list[tuple[str, str]]) -> None:
    boxes = {box.name: box for box in drawing.boxes}
    for start, end in edges:
        assert boxes[start].x + boxes[start].width < boxes[end].x
    for column in {box.x for box in drawing.boxes}:
        tops = sorted(box.y for box in drawing.boxes if box.x == column)
        assert all(after - before > HEIGHT for before, after in pairwise(tops))
    assert all(box.x >= 0 and box.x + box.width <= drawing.width for box in drawing.boxes)
    assert all(box.y >= 0 and box.y + HEIGHT <= drawing.height for box in drawing.boxes)
    assert {(start, end) for start, end, _ in drawing.edges} == set(edges)
    for start, end, path in drawing.edges:
        numbers = [float(text) for text in re.findall(r"-?[\d.]+", path)]
        first, last = boxes[start], boxes[end]
        assert numbers[:2] == pytest.approx([first.x + first.width, first.y + HEIGHT / 2], abs=0.6)
        assert numbers[-2:] == pytest.approx([last.x, last.y + HEIGHT / 2], abs=0.6)


@pytest.mark.parametrize("count", [1, 2, 24, 500])
def test_nothing_overlaps_and_everything_reads_from_left_to_right(count: int) -> None:
    edges = wild(count, count)
    assert_sound(drawn(edges, count), edges)


def test_an_empty_graph_is_an_empty_drawing() -> None:
    assert drawn([], 0).boxes == ()


def test_a_chain_is_straight() -> None:
    drawing = drawn([("t0", "t1"), ("t1", "t2")], 3)
    assert len({box.y for box in drawing.boxes}) == 1


def test_lines_do_not_cross_where_they_need_not() -> None:
    edges = [("t0", "t5"), ("t1", "t4"), ("t2", "t3")]
    boxes = {box.name: box for box in drawn(edges, 6).boxes}
    assert all(boxes[start].y == boxes[end].y for start, end in edges)


def test_a_source_stands_beside_its_reader() -> None:
    boxes = {box.name: box for box in drawn([("t0", "t1"), ("t1", "t2"), ("t2", "t4"), ("t3", "t4")], 5).boxes}
    assert boxes["t3"].x == boxes["t2"].x


def test_a_line_passes_beside_the_boxes_it_does_not_lead_to() -> None:
    edges = [("t0", "t1"), ("t1", "t2"), ("t2", "t3"), ("t0", "t3")]
    drawing = drawn(edges, 4)
    boxes = {box.name: box for box in drawing.boxes}
    path = next(path for start, end, path in drawing.edges if (start, end) == ("t0", "t3"))
    # At each layer in between the line is straight, and that is above or below the box.
    straight = [float(found) for found in re.findall(r" (-?[\d.]+)H", path)[1:]]
    assert len(straight) == 2
    for y, name in zip(straight, ["t1", "t2"], strict=True):
        assert y < boxes[name].y or y > boxes[name].y + HEIGHT
