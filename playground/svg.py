"""Figures as inline SVG: they follow the page's colours and language and cost a few kilobytes an update."""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from playground.locale import spans, words
from playground.spec import Words

MAX_POINTS = 300
LEFT, RIGHT = 52.0, 16.0  # margins beside the axes
_EMS = 1.15  # so much larger than of 11 pixels words may be drawn
NUM_COLOURS = 6  # the page's style sheet defines --pg-0 to --pg-5

Curve = Sequence[tuple[float, float]]


def decimate(curve: Curve, limit: int = MAX_POINTS) -> list[tuple[float, float]]:
    """At most `limit` points: means of equal stretches and the last one; non-finite ones are left out."""
    finite = [(float(x), float(y)) for x, y in curve if math.isfinite(x) and math.isfinite(y)]
    if len(finite) <= limit:
        return finite
    kept = []
    for index in range(limit - 1):
        part = finite[index * len(finite) // (limit - 1) : (index + 1) * len(finite) // (limit - 1)]
        kept.append((sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)))
    return [*kept, finite[-1]]


def ticks(low: float, high: float, num: int = 4) -> list[float]:
    """Round numbers between low and high, about `num` of them."""
    raw = (high - low) / num
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    return [i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def short(value: float) -> str:
    """A number in few characters: 0.05, 12.5, 3.2k."""
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:.3g}M"
    if size >= 1e4:
        return f"{value / 1e3:.3g}k"
    return f"{value:.3g}" if size < 1000 else f"{value:.0f}"


def _range(curves: Mapping[Any, Curve]) -> tuple[float, float]:
    """The values worth showing: all but the spikes, which are cut off at the edge."""
    values = sorted(y for curve in curves.values() for _, y in curve)
    if not values:
        return 0.0, 1.0
    low, high = values[0], values[min(len(values) - 1, int(0.985 * len(values)))]
    low = values[int(0.015 * len(values))] if len(values) > 50 else low
    if high - low < 1e-12 * max(1.0, abs(high)):
        low, high = low - 0.5 * max(1e-3, abs(low)), high + 0.5 * max(1e-3, abs(high))
    pad = 0.06 * (high - low)
    return low - pad, high + pad


@dataclass(frozen=True)
class Frame:
    """Where values are drawn: a box of the figure, steps from 0 to `end`, values from `low` to `high`.

    On a logarithmic scale `low` and `high` are powers of ten.
    """

    box: tuple[float, float, float, float]  # left, right, top, bottom
    end: float
    low: float
    high: float
    log: bool = False

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The place of a point; what lies outside is put on the edge."""
        left, right, top, bottom = self.box
        value = y if not self.log else math.log10(max(y, 1e-30))
        share = (value - self.low) / (self.high - self.low)
        return left + (right - left) * x / self.end, bottom - (bottom - top) * min(max(share, 0.0), 1.0)

    def ticks(self) -> list[float]:
        """The values that get a line."""
        if not self.log:
            return ticks(self.low, self.high, 4 if self.box[3] - self.box[2] > 150 else 3)
        every = max(1, math.ceil((self.high - self.low) / 4))
        return [10.0**power for power in range(math.ceil(self.low), math.floor(self.high) + 1, every)]


def _frame(
    curves: Mapping[Any, Curve], size: tuple[int, int], last_step: float | None,
    bounds: tuple[float, float] | None, log: bool, top: float,
) -> Frame:  # fmt: skip
    steps = [curve[-1][0] for curve in curves.values() if curve]
    box = (LEFT, size[0] - RIGHT, top, size[1] - 24.0)
    if log:
        curves = {n: [(x, math.log10(max(y, 1e-30))) for x, y in curve] for n, curve in curves.items()}
        bounds = bounds and (math.log10(bounds[0]), math.log10(bounds[1]))
    low, high = _range(curves)
    if log and high - low < 1:
        low, high = math.floor(low), math.floor(low) + max(1, math.ceil(high - math.floor(low)))
    if bounds is not None:
        pad = 0.04 * (bounds[1] - bounds[0])
        values = [y for curve in curves.values() for _, y in curve] or [bounds[0]]
        low = bounds[0] - pad if min(values) >= bounds[0] else min(low, bounds[0] - pad)
        high = bounds[1] + pad if max(values) <= bounds[1] else max(high, bounds[1] + pad)
    return Frame(box, max([last_step or 0.0, 1.0, *steps]), low, high, log)


def curves_svg(
    history: Mapping[str, Curve] | Mapping[Words, Curve],
    *,
    width: int = 640,
    height: int = 260,
    last_step: float | None = None,
    title: Words | None = None,
    bounds: tuple[float, float] | None = None,
    log: bool = False,
    goals: Sequence[float] = (),
    marks: Sequence[tuple[float, Words | None]] = (),
    colour: int = 0,
    axis: Words | None = None,
    values: bool = True,
) -> str:
    """Curves over training steps, with axes and a legend that names each one and its last value.

    Args:
        history: for every name, in one language or each, its (step, value) points; decimated to `MAX_POINTS`.
        width: of the view box; the page scales it.
        height: of the view box, legend included.
        last_step: where the step axis ends, so that it does not move while points arrive.
        title: what a screen reader says.
        bounds: values that are always in sight; more are shown if there are more.
        log: draw the logarithms.
        goals: values that get a dashed line.
        marks: (step, label) of vertical lines; without a label there is only the line.
        colour: of the first curve, in the palette.
        axis: what the steps are, said at the end of their axis.
        values: whether the legend says the last values.
    """
    curves = {name: decimate(curve) for name, curve in history.items()}
    places = _legend(curves, width)
    frame = _frame(curves, (width, height), last_step, bounds, log, 14 + max([16.0, *(y for _, y in places)]))
    parts = [opened("pg-curves", width, height, title or words("train.curves"))]
    parts += [_scales(frame, goals, 5 if width > 400 else 3, axis), _marks(frame, marks)]
    for index, (name, curve) in enumerate(curves.items()):
        parts.append(_curve(colour + index, [frame.at(x, y) for x, y in curve]))
        parts.append(_entry(colour + index, name, curve if values else (), *places[index]))
    return "".join(parts) + "</svg>"


def _legend(names: Iterable[str | Words], width: int) -> list[tuple[float, float]]:
    """Where each name goes, with room for any value, so that the legend stays still; in rows, if need be."""
    places, x, y = [], LEFT, 16.0
    for name in names:
        longest = len(name) if isinstance(name, str) else max(map(len, name))
        room = 18 + 7.4 * (longest + 9)  # a value has at most eight characters
        if x > LEFT and x + room > width:
            x, y = LEFT, y + 16
        places.append((x, y))
        x += room + 12
    return places


def _scales(frame: Frame, goals: Sequence[float], num_steps: int, axis: Words | None) -> str:
    """Both axes with about `num_steps` steps below, what these are, and the dashed lines."""
    left, right, top, bottom = frame.box
    room = right + 12 - _EMS * max(map(_length, axis)) if axis else math.inf
    parts = [_said(right + 12, bottom + 18, axis)] if axis else []
    parts += [_said(left - 6, 16, words("train.log"))] if frame.log else []
    for value in frame.ticks():
        _, y = frame.at(0, value)
        parts.append(f'<path class="pg-grid" d="M{left:g} {y:.1f}H{right:g}"/>')
        parts.append(_tick(left - 6, y + 4, "end", value))
    for value in ticks(0, frame.end, num_steps):
        x, _ = frame.at(value, 1)
        if x + _EMS * _length(short(value)) / 2 + 3 < room:
            parts.append(_tick(x, bottom + 18, "middle", value))
    for value in goals:
        _, y = frame.at(0, value)
        parts.append(f'<path class="pg-goal" d="M{left:g} {y:.1f}H{right:g}"/>')
    parts.append(f'<path class="pg-axis" d="M{left:g} {top:g}V{bottom:g}H{right:g}"/>')
    return "".join(parts)


def _marks(frame: Frame, marks: Sequence[tuple[float, Words | None]]) -> str:
    """Vertical lines; labels, cut if need be, go into the first of three rows with room there, or nowhere."""
    left, right, top, bottom = frame.box
    parts, taken = [], [left] * 3
    for step, label in marks:
        x, _ = frame.at(step, 1)
        parts.append(f'<path class="pg-mark-line" d="M{x:.1f} {top:g}V{bottom:g}"/>')
        if label is None:
            continue
        cut = Words(*(_cut(text, right - left - 8) for text in label))
        length = max(map(_length, cut)) + 8
        start = max(left, min(x + 4, right - length))
        row = next((row for row, end in enumerate(taken) if start >= end), None)
        if row is not None:
            taken[row] = start + length
            parts.append(
                f'<text class="pg-tick pg-mark-name" x="{start:.1f}" y="{top + 11 + 13 * row:g}">'
                f"{_spans(cut)}</text>"
            )
    return "".join(parts)


def _length(text: str) -> float:
    """About how long a text of 11 pixels is drawn: Chinese characters are square."""
    return sum(11.0 if char >= "\u2e80" else 6.2 for char in text)


def _cut(text: str, room: float) -> str:
    while _length(text) > room:
        text = text.removesuffix("…")[:-1] + "…"
    return text


def _tick(x: float, y: float, anchor: str, value: float) -> str:
    return f'<text class="pg-tick" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{short(value)}</text>'


def _said(x: float, y: float, said: Words) -> str:
    """Words of an axis, which end at a place."""
    return f'<text class="pg-tick" x="{x:.1f}" y="{y:.1f}" text-anchor="end">{_spans(said)}</text>'


def _spans(said: Words) -> str:
    return spans(Words(*map(html.escape, said)), "tspan")


def _entry(index: int, name: str | Words, curve: Curve, x: float, y: float) -> str:
    """A name in the legend, with the last value, if there is one."""
    said = html.escape(name) if isinstance(name, str) else _spans(name)
    last = f" {short(curve[-1][1])}" if curve else ""
    return (
        f'<rect x="{x:.0f}" y="{y - 7:.0f}" width="12" height="4" rx="2" fill="{_colour(index)}"/>'
        f'<text class="pg-legend" x="{x + 18:.0f}" y="{y:.0f}">{said}'
        f'<tspan class="pg-value">{last}</tspan></text>'
    )


def _curve(index: int, points: Sequence[tuple[float, float]]) -> str:
    """One line and its last point."""
    if not points:
        return ""
    x, y = points[-1]
    dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{_colour(index)}"/>'
    return f'<path class="pg-line" d="{_broken(points)}" stroke="{_colour(index)}"/>{dot}'


def _colour(index: int) -> str:
    return f"var(--pg-{index % NUM_COLOURS})"


def _broken(points: Sequence[tuple[float, float]]) -> str:
    """A line through the points, interrupted where a quantity was not measured for a long time."""
    gaps = sorted(b[0] - a[0] for a, b in zip(points, points[1:], strict=False))
    longest = max(12.0, 8 * gaps[len(gaps) // 2]) if gaps else 0.0
    path = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (before, _), (x, y) in zip(points, points[1:], strict=False):
        path.append(f"{'M' if x - before > longest else 'L'}{x:.1f} {y:.1f}")
    return "".join(path)


def opened(name: str, width: int, height: int, title: Words) -> str:
    """The first tag of a figure, with what a screen reader says."""
    label = html.escape(" · ".join(title), quote=True)
    return f'<svg class="{name}" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">'
