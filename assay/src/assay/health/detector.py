"""What a number usually is, and whether the newest one is: a moderated t on the same weekday.

A value is compared with the last ten unflagged ones of its weekday, on a scale where noise is even (logarithm of counts
and times, logit of shares). Ten values say little about their spread, so it is moderated by the median of the other
weekdays', which counts like eight more (G. Smyth, Statistical Applications in Genetics 3(1), 2004; the limits are
those of the next value, so its own noise is in them). The spread is never below what counting alone makes.
"""

from __future__ import annotations

import datetime as dtm
import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import fmean, median
from typing import Literal

Kind = Literal["count", "share", "time", "number"]
Verdict = Literal["usual", "unusual", "learning", "history", "unknown"]

ALPHA = 0.001
"""How often values that are as always may be flagged: all values of one verdict together."""
KEPT, NEEDED = 10, 3
"""Of one weekday: values that are looked at, and those without which nothing can be said."""
PRIOR = 8
"""Degrees of freedom that the other weekdays' spread counts for."""
CHANGE = 0.1
"""A change below this share is never flagged."""
RELEARN = 3
"""So many flagged values of one weekday in a row are how it is from now on."""
SLACK = 5.0
"""Seconds: a build that is not slower by more than these is never flagged, whatever the share."""
RARE = -math.log(ALPHA)
"""Of so many expected rows none comes by chance less often than ALPHA (Poisson)."""


@dataclass(frozen=True)
class Value:
    """One number of one day.

    Attributes:
        value: None where it could not be computed.
        of: how many rows a share is of.
    """

    day: dtm.date
    value: float | None
    of: float | None = None


@dataclass(frozen=True)
class Judged:
    """A value with what was expected; the limits are None where nothing can be said."""

    value: Value
    verdict: Verdict
    expected: float | None = None
    low: float | None = None
    high: float | None = None
    known: int = 0


@dataclass
class _Phase:
    learned: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=KEPT))
    """Values on the scale, each with the variance that counting alone gives it."""
    flagged: list[tuple[float, float]] = field(default_factory=list)

    @property
    def values(self) -> list[float]:
        return [value for value, _ in self.learned]


class Series:
    """The numbers of one metric, oldest first: `judge` says what is thought of the next one, `learn` takes it in."""

    def __init__(self, kind: Kind) -> None:
        self.kind: Kind = kind
        self.phases: dict[int, _Phase] = {}

    def learn(self, judged: Judged) -> None:
        """Take a value in: a flagged one only when it is the third in a row of its weekday."""
        value = judged.value
        if value.value is None:
            return
        phase = self._phase(value.day)
        point = (self._to(value), self._noise(value))
        if judged.verdict != "unusual":
            phase.flagged.clear()
            phase.learned.append(point)
            return
        phase.flagged.append(point)
        if len(phase.flagged) >= RELEARN:
            phase.learned.clear()
            phase.learned.extend(phase.flagged)
            phase.flagged.clear()

    def judge(self, value: Value, alpha: float = ALPHA) -> Judged:
        """What is thought of `value`, from the past alone."""
        phase = self._phase(value.day)
        known = phase.values
        if value.value is None:
            return Judged(value, "unknown", known=len(known))
        if len(known) < NEEDED:
            return Judged(value, "learning", known=len(known))
        centre, count = fmean(known), len(known)
        freedom, spread = count - 1, variance(known)
        others = [variance(each.values) for each in self.phases.values() if each is not phase and len(each.learned) > 2]
        if others:
            spread = (PRIOR * median(others) + freedom * spread) / (PRIOR + freedom)
            freedom += PRIOR
        spread = max(spread, fmean(noise for _, noise in phase.learned))
        # Too slow is a problem, too fast is none.
        tail = alpha if self.kind == "time" else alpha / 2
        reach = student(1 - tail, freedom) * math.sqrt(spread * (1 + 1 / count))
        expected = self._from(centre)
        low = None if self.kind == "time" else self._from(centre - reach)
        high = self._from(centre + reach)
        point = self._to(value)
        outside = point > centre + reach or (low is not None and point < centre - reach)
        none = (
            self.kind == "count" and value.value == 0 and expected > RARE and min(known) > self._to(Value(value.day, 0))
        )
        flagged = (outside and not self._small(value.value, expected)) or none
        return Judged(value, "unusual" if flagged else "usual", expected, low, high, count)

    def follow(self, values: Iterable[Value]) -> list[Judged]:
        """Judge each value from those before it, and learn it."""
        found = []
        for value in values:
            judged = self.judge(value)
            self.learn(judged)
            found.append(judged)
        return found

    def _phase(self, day: dtm.date) -> _Phase:
        return self.phases.setdefault(day.weekday(), _Phase())

    def _small(self, value: float, expected: float) -> bool:
        if self.kind == "time" and value - expected <= SLACK:
            return True
        return abs(value - expected) < CHANGE * abs(expected)

    def _to(self, value: Value) -> float:
        number = float(value.value or 0.0)
        if self.kind == "number":
            return number
        if self.kind == "share":
            share = (number * value.of + 0.5) / (value.of + 1) if value.of else min(max(number, 1e-9), 1 - 1e-9)
            return math.log(share / (1 - share))
        return math.log(max(number, 0.0) + (0.5 if self.kind == "count" else 1e-3))

    def _from(self, point: float) -> float:
        if self.kind == "number":
            return point
        if self.kind == "share":
            return 1 / (1 + math.exp(-min(max(point, -700.0), 700.0)))
        return max(math.exp(min(point, 700.0)) - (0.5 if self.kind == "count" else 1e-3), 0.0)

    def _noise(self, value: Value) -> float:
        """The variance, on the scale, that a count (Poisson) or a share (binomial) has by itself."""
        number = float(value.value or 0.0)
        if self.kind == "count":
            return 1 / (number + 0.5)
        if self.kind == "share" and value.of:
            share = (number * value.of + 0.5) / (value.of + 1)
            return 1 / ((value.of + 1) * share * (1 - share))
        return 0.0


def variance(values: Sequence[float]) -> float:
    """Of a sample of two or more; as `statistics.variance`, which reckons in fractions and takes six times as long."""
    centre = fmean(values)
    return math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1)


@lru_cache(maxsize=4096)
def student(probability: float, freedom: int) -> float:
    """The quantile of Student's t for a whole number of degrees of freedom, above the median.

    By bisection of its distribution, which is a finite sum then (Abramowitz and Stegun, 26.7.3 and 26.7.4).
    """
    inside, low, high = 2 * probability - 1, 0.0, 1.0
    while _within(high, freedom) < inside and high < 1e12:
        high *= 2
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < inside else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """The probability of a value between -t and t."""
    angle = math.atan2(t, math.sqrt(freedom))
    cosine, odd = math.cos(angle), freedom % 2
    term = cosine if odd else 1.0
    total = term if freedom > 1 else 0.0
    for k in range(3 if odd else 2, freedom - 1, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    if odd:
        return 2 / math.pi * (angle + math.sin(angle) * total)
    return math.sin(angle) * total
