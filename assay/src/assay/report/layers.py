"""A graph without circles drawn in layers, left to right: what is read stands left of what reads it.

After K. Sugiyama, S. Tagawa, M. Toda, Methods for Visual Understanding of Hierarchical System Structures (IEEE Trans.
SMC 11, 1981): layers by the longest path, the edges of a node that reach over layers pass a point in each, points are ordered by the
mean place of their neighbours, and placed as near to them as the order allows (least squares, by pooling adjacent
violators).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

HEIGHT, GAP, LANE, MARGIN = 40.0, 12.0, 9.0, 8.0
"""Of a box, between boxes, of a passing edge, around all; in pixels."""
BETWEEN = 34.0
"""Between two layers."""
SWEEPS = 10

Point = str | tuple[str, int]
"""A node, or where the edges from a node pass a layer: all of them in one lane."""


@dataclass(frozen=True)
class Box:
    """Where a node stands: its upper left corner, and its width."""

    name: str
    x: float
    y: float
    width: float


@dataclass(frozen=True)
class Drawing:
    """Boxes, and edges with the path of each as SVG writes it; in pixels."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    edges: tuple[tuple[str, str, str], ...]


def draw(widths: Mapping[str, float], edges: Iterable[tuple[str, str]]) -> Drawing:
    """The nodes of `widths`, given upstream first, and the `edges` from what is read to what reads it."""
    known = list(dict.fromkeys(edges))
    layers, links = _layered(list(widths), known)
    _order(layers, links)
    x, columns = MARGIN, []
    for layer in layers:
        columns.append((x, max(widths[point] for point in layer if isinstance(point, str))))
        x += columns[-1][1] + BETWEEN
    places = _place(layers, links)
    top = min((y - _size(point) / 2 for point, y in places.items()), default=0) - MARGIN
    bottom = max((y + _size(point) / 2 for point, y in places.items()), default=0) + MARGIN
    ranks = {point: rank for rank, layer in enumerate(layers) for point in layer}
    boxes = tuple(Box(name, columns[ranks[name]][0], places[name] - top - HEIGHT / 2, widths[name]) for name in widths)
    paths = []
    for start, end in known:
        passed: list[Point] = [(start, rank) for rank in range(ranks[start] + 1, ranks[end])]
        last_x, last_y = columns[ranks[start]][0] + widths[start], places[start] - top
        path = f"M{last_x:.0f} {last_y:.1f}"
        # Beside a wider box of its own layer, the edge goes straight on until the layer ends.
        path += f"H{sum(columns[ranks[start]]):.0f}"
        last_x = sum(columns[ranks[start]])
        for point in [*passed, end]:
            left, width = columns[ranks[point]]
            y, middle = places[point] - top, (last_x + left) / 2
            path += f"C{middle:.0f} {last_y:.1f} {middle:.0f} {y:.1f} {left:.0f} {y:.1f}"
            last_x, last_y = left, y
            if point != end:
                last_x = left + width
                path += f"H{last_x:.0f}"
        paths.append((start, end, path))
    return Drawing(max(x - BETWEEN, 0) + MARGIN, bottom - top, boxes, tuple(paths))


def _layered(
    names: Sequence[str], edges: Sequence[tuple[str, str]]
) -> tuple[list[list[Point]], list[tuple[Point, Point]]]:
    """The points of each layer, and the edges cut into pieces from one layer to the next."""
    above: dict[str, list[str]] = {name: [] for name in names}
    below: dict[str, list[str]] = {name: [] for name in names}
    for start, end in edges:
        above[end].append(start)
        below[start].append(end)
    rank: dict[str, int] = {}
    for name in names:
        rank[name] = max((rank[other] + 1 for other in above[name]), default=0)
    for name in reversed(names):
        # What more edges leave than enter stands beside its readers: edges get shorter.
        if len(below[name]) > len(above[name]):
            rank[name] = min(rank[other] for other in below[name]) - 1
    layers: list[list[Point]] = [[] for _ in range(max(rank.values(), default=-1) + 1)]
    for name in names:
        layers[rank[name]].append(name)
    links: dict[tuple[Point, Point], None] = {}
    for start, end in edges:
        last: Point = start
        for number in range(rank[start] + 1, rank[end]):
            passing = (start, number)
            if (last, passing) not in links:
                layers[number].append(passing)
            links[last, passing] = None
            last = passing
        links[last, end] = None
    return layers, list(links)


def _neighbours(links: Iterable[tuple[Point, Point]]) -> tuple[dict[Point, list[Point]], dict[Point, list[Point]]]:
    left: dict[Point, list[Point]] = {}
    right: dict[Point, list[Point]] = {}
    for start, end in links:
        right.setdefault(start, []).append(end)
        left.setdefault(end, []).append(start)
    return left, right


def _order(layers: list[list[Point]], links: Sequence[tuple[Point, Point]]) -> None:
    """Sort each layer so that few edges cross; the best order that the sweeps meet stays."""
    left, right = _neighbours(links)
    best, fewest = [list(layer) for layer in layers], _crossings(layers, right)
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        beside = left if forward else right
        for number in range(1, len(layers)) if forward else range(len(layers) - 2, -1, -1):
            fixed = {point: place for place, point in enumerate(layers[number - 1 if forward else number + 1])}
            keys = {}
            for place, point in enumerate(layers[number]):
                found = [fixed[other] for other in beside.get(point, ())]
                keys[point] = sum(found) / len(found) if found else place
            layers[number].sort(key=keys.__getitem__)
        if (crossings := _crossings(layers, right)) < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    layers[:] = best


def _crossings(layers: Sequence[Sequence[Point]], right: Mapping[Point, Sequence[Point]]) -> int:
    total = 0
    for layer, following in pairwise(layers):
        place = {point: number for number, point in enumerate(following)}
        seen: list[int] = []
        for point in layer:
            ends = [place[other] for other in right.get(point, ())]
            total += sum(len(seen) - bisect_left(seen, end + 1) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def _size(point: Point) -> float:
    return HEIGHT if isinstance(point, str) else LANE


def _place(layers: Sequence[Sequence[Point]], links: Iterable[tuple[Point, Point]]) -> dict[Point, float]:
    """The middle of every point, from above."""
    left, right = _neighbours(links)
    places: dict[Point, float] = {}
    for layer in layers:
        places |= dict(zip(layer, _apart(layer, [0.0] * len(layer)), strict=True))
    for sweep in range(SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wanted = []
            for point in layer:
                beside = [places[other] for other in (*left.get(point, ()), *right.get(point, ()))]
                wanted.append(sum(beside) / len(beside) if beside else places[point])
            places |= dict(zip(layer, _apart(layer, wanted), strict=True))
    return places


def _apart(layer: Sequence[Point], wanted: Sequence[float]) -> list[float]:
    """Places in the layer's order, as near to the `wanted` ones as boxes that do not touch can be."""
    offsets, offset = [], 0.0
    for number, point in enumerate(layer):
        if number:
            offset += (_size(layer[number - 1]) + _size(point)) / 2 + GAP
        offsets.append(offset)
    pools: list[Any] = []  # mean, members
    for value, shift in zip(wanted, offsets, strict=True):
        pools.append([value - shift, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, members = pools.pop()
            pools[-1][0] = (pools[-1][0] * pools[-1][1] + mean * members) / (pools[-1][1] + members)
            pools[-1][1] += members
    means = [mean for mean, members in pools for _ in range(members)]
    return [mean + shift for mean, shift in zip(means, offsets, strict=True)]
