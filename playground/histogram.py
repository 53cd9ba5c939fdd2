"""Histograms over one another as inline SVG, each as high as the other, on one axis with two scales."""

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from playground import svg
from playground.locale import spans
from playground.spec import Words

_BINS = 64


@dataclass(frozen=True)
class Cloud:
    """Values that share a colour.

    Attributes:
        label: their name.
        colour: in the palette.
        values: what is counted; minus infinity lies left of everything.
    """

    label: Words
    colour: int
    values: Sequence[float]


@dataclass(frozen=True)
class Scale:
    """The axis: its ends, what it measures, and what a value is in a second unit below it."""

    low: float
    high: float
    label: Words
    second: Callable[[float], float] | None = None
    second_label: Words | None = None

    def share(self, value: float) -> float:
        """How far right a value lies, 0 to 1; what lies outside is put on the edge."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)


def counts(values: Sequence[float], scale: Scale, bins: int = _BINS) -> list[int]:
    """How many values fall into each of `bins` equal parts; those outside are left out."""
    found = [0] * bins
    for value in values:
        if scale.low <= value <= scale.high:
            found[min(int(scale.share(value) * bins), bins - 1)] += 1
    return found


def histogram_svg(
    clouds: Sequence[Cloud],
    scale: Scale,
    title: Words,
    *,
    marks: Sequence[tuple[float, Words]] = (),
    width: int = 440,
    height: int = 204,
) -> str:
    """Each cloud's histogram, scaled to the same height, over the others.

    Args:
        clouds: drawn in order, later ones in front.
        scale: of the axis; how many values lie beyond its left end is written there.
        title: what a screen reader says.
        marks: (value, name) of vertical lines.
        width: of the view box; the page scales it.
        height: of the view box.
    """
    box = (12.0, width - 12.0, 40.0, height - (50.0 if scale.second else 34.0))
    label = html.escape(" · ".join(title), quote=True)
    parts = [f'<svg class="pg-curves" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">']
    parts.append(_axis(scale, box, height))
    parts += [_shape(cloud, scale, box) for cloud in clouds]
    parts += [_mark(value, name, scale, box) for value, name in marks if math.isfinite(value)]
    parts.append(_beyond(clouds, scale, box))
    return "".join(parts) + "</svg>"


Box = tuple[float, float, float, float]  # left, right, top, bottom


def _axis(scale: Scale, box: Box, height: int) -> str:
    """The line below, its ticks, and the same places in the second unit."""
    left, right, top, bottom = box
    parts = []
    for value in svg.ticks(scale.low, scale.high, 6):
        x = left + (right - left) * scale.share(value)
        parts.append(f'<path class="pg-grid" d="M{x:.1f} {top:g}V{bottom:g}"/>')
        anchor = "start" if x < left + 14 else "end" if x > right - 14 else "middle"
        text = f'<text class="pg-tick" x="{x:.1f}" text-anchor="{anchor}" y='
        parts.append(f'{text}"{bottom + 14:g}">{svg.short(value)}</text>')
        if scale.second is not None:
            parts.append(f'{text}"{bottom + 28:g}">{svg.short(scale.second(value))}</text>')
    names = spans(scale.label, "tspan")
    if scale.second_label is not None:
        names += " · " + spans(scale.second_label, "tspan")
    middle = f'x="{(left + right) / 2:g}" y="{height - 5}" text-anchor="middle"'
    parts.append(f'<text class="pg-tick" {middle}>{names}</text>')
    return "".join(parts) + f'<path class="pg-axis" d="M{left:g} {bottom:g}H{right:g}"/>'


def _shape(cloud: Cloud, scale: Scale, box: Box) -> str:
    """The steps of one histogram, its highest as high as there is room."""
    left, right, top, bottom = box
    found = counts(cloud.values, scale)
    highest = max(found)
    if highest == 0:
        return ""
    path, wide = [f"M{left:g} {bottom:g}"], (right - left) / len(found)
    for index, count in enumerate(found):
        y = bottom - (bottom - top) * count / highest
        path.append(f"L{left + index * wide:.1f} {y:.1f}H{left + (index + 1) * wide:.1f}")
    colour = f"var(--pg-{cloud.colour % svg.NUM_COLOURS})"
    name = html.escape(" · ".join(cloud.label))
    return (
        f'<g><title>{name}</title><path d="{"".join(path)}L{right:g} {bottom:g}Z" fill="{colour}" '
        f'fill-opacity="0.35" stroke="{colour}" stroke-width="1.5" stroke-linejoin="round"/></g>'
    )


def _mark(value: float, name: Words, scale: Scale, box: Box) -> str:
    """One vertical line with its name above."""
    left, right, top, bottom = box
    x = left + (right - left) * scale.share(value)
    anchor = "end" if x > (left + right) / 2 else "start"
    return (
        f'<path class="pg-mark-line" stroke-dasharray="3 3" d="M{x:.1f} {top - 8:g}V{bottom:g}"/>'
        f'<text class="pg-tick pg-mark-name" x="{x + (-4 if anchor == "end" else 4):.1f}" y="{top - 4:g}" '
        f'text-anchor="{anchor}">{spans(name, "tspan")}</text>'
    )


def _beyond(clouds: Sequence[Cloud], scale: Scale, box: Box) -> str:
    """Above the left edge, for every cloud that reaches past it, how many of its values do."""
    parts = []
    for cloud in reversed(clouds):
        num = sum(value < scale.low for value in cloud.values)
        if num:
            colour = f"var(--pg-{cloud.colour % svg.NUM_COLOURS})"
            name = spans(cloud.label, "tspan")
            parts.append(f'<tspan class="pg-value" fill="{colour}">◂ {num}</tspan> {name}&#160; ')
    return f'<text class="pg-tick" x="{box[0]:g}" y="14">{"".join(parts)}</text>' if parts else ""
