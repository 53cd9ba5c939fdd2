"""What the curves of a training do: their latest value, where they are going, whether they swing."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import fmean, variance
from typing import Any

WINDOW = 50  # updates of the latest stretch, at least
SHARE = 0.2  # of the updates, which the latest stretch is made of
LONG = 0.4  # of the updates, in which swings are looked for
_RARE = 500  # updates that may pass between two points of a curve that goes on
_NEIGHBOURS = 5  # points averaged before swings and peaks are looked for: a mini-batch is noisy

Curve = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Run:
    """The curves of a run, as rules ask about them.

    Attributes:
        curves: for every name its (step, value) points, in order; neighbouring ones may have been averaged.
        switches: what the techniques stand at.
        since: the update of the last change of a switch; what was before belongs to another experiment.
    """

    curves: Mapping[str, Curve]
    switches: Mapping[str, Any]
    since: float = 0

    @cached_property
    def step(self) -> float:
        """Updates so far."""
        return max((curve[-1][0] for curve in self.curves.values() if curve), default=0)

    @property
    def num(self) -> float:
        """Updates since the last change of a switch."""
        return self.step - self.since

    @property
    def span(self) -> float:
        """Updates of a stretch."""
        return max(WINDOW, SHARE * self.num)

    def has(self, *names: str) -> bool:
        """Whether all these curves have points since the last change and have not ended since."""
        first = max(self.since, self.step - max(self.span, _RARE))
        return all(self.curves.get(name) and self.curves[name][-1][0] > first for name in names)

    def between(self, name: str, first: float, last: float) -> list[float]:
        """The values of a curve after update `first` up to `last`, none from before the last change."""
        return [value for step, value in self.curves[name] if max(first, self.since) < step <= last]

    def now(self, name: str) -> float:
        """The mean over the latest stretch, or over the last two points where it holds fewer."""
        latest = self.between(name, self.step - self.span, self.step)
        return fmean(latest if len(latest) > 1 else self.between(name, self.since, self.step)[-2:])

    def before(self, name: str) -> float:
        """The mean over the stretch before the latest; the latest where there is none."""
        values = self.between(name, self.step - 2 * self.span, self.step - self.span)
        return fmean(values) if values else self.now(name)

    def doubt(self, name: str) -> float:
        """The standard error of the difference between the latest stretch and that before; 0 of too few."""
        edges = (self.step, self.step - self.span, self.step - 2 * self.span)
        stretches = [self.between(name, first, last) for last, first in pairwise(edges)]
        if min(map(len, stretches)) < 2:
            return 0.0
        return math.sqrt(sum(variance(values) / len(values) for values in stretches))

    def smooth(self, name: str, share: float = 1.0) -> list[float]:
        """Moving averages of the last `share` of the run."""
        values = self.between(name, self.step - share * self.num, self.step)
        return [fmean(values[i : i + _NEIGHBOURS]) for i in range(max(1, len(values) - _NEIGHBOURS + 1))]

    def peak(self, name: str) -> float:
        """The highest moving average there has been, whatever was changed since."""
        return max(Run(self.curves, self.switches).smooth(name))

    def swings(self, name: str) -> tuple[float, int]:
        """How far a curve swings (nine tenths of it) and how often it crosses its mean, in the last 40%."""
        values = self.smooth(name, LONG)
        ordered, mean, end = sorted(values), fmean(values), len(values) - 1
        swing = ordered[round(0.95 * end)] - ordered[round(0.05 * end)]
        sides = [value > mean for value in values if abs(value - mean) > swing / 6]
        return swing, sum(a != b for a, b in zip(sides, sides[1:], strict=False))
