"""The trilemma as inline SVG: one axis for quality, coverage and speed each, farther out is better."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from playground.locale import spans, words
from playground.spec import Words
from playground.svg import NUM_COLOURS, opened

_ROW = 21.0  # of the key
_COLUMNS = 2


@dataclass(frozen=True)
class Axis:
    """One direction of the trilemma: what it measures, its value at the centre and at the rim."""

    label: Words
    centre: float
    rim: float
    log: bool = False
    ticks: tuple[tuple[float, str], ...] = ()

    def place(self, value: float | None) -> float | None:
        """How far out a value lies, 0 (centre) to 1 (rim); None where there is none."""
        if value is None or not math.isfinite(value) or (self.log and value <= 0):
            return None
        scale = math.log10 if self.log else float
        share = (scale(value) - scale(self.centre)) / (scale(self.rim) - scale(self.centre))
        return min(max(share, 0.0), 1.0)


@dataclass(frozen=True)
class Mark:
    """One model in the trilemma.

    Attributes:
        title: of the model.
        colour: its place in the palette.
        values: on each axis.
        notes: for each axis why its value does not compare with the others', or nothing: such a value gets a
            hollow dot with the note beside it, and the model's outline is dashed.
        tip: what more is said of the model that is pointed at.
    """

    title: str
    colour: int
    values: tuple[float | None, ...]
    notes: tuple[str, ...] = ()
    tip: Words | None = None


def trilemma_svg(axes: Sequence[Axis], marks: Sequence[Mark], *, size: int = 420) -> str:
    """Three (or more) axes from one centre, one outline for every model, and below them a key."""
    middle, radius = (size / 2, size * 0.45), size * 0.36
    angles = [-math.pi / 2 + 2 * math.pi * index / len(axes) for index in range(len(axes))]

    def at(index: int, share: float) -> tuple[float, float]:
        return middle[0] + radius * share * math.cos(angles[index]), middle[1] + radius * share * math.sin(
            angles[index]
        )

    names = ", ".join(mark.title for mark in marks)
    title = words("compare.trilemma", models=names)
    top = round(size * 0.76)
    height = top + round(_ROW * math.ceil(len(marks) / _COLUMNS)) + 4
    parts = [opened("pg-trilemma", size, height, title)]
    for share in (0.25, 0.5, 0.75, 1.0):
        parts.append(f'<path class="pg-grid" d="{_outline([at(i, share) for i in range(len(axes))])}"/>')
    for index, axis in enumerate(axes):
        parts.append(_axis(axis, at(index, 0), at(index, 1), angles[index]))
    for mark in marks:
        places = [axis.place(value) for axis, value in zip(axes, mark.values, strict=True)]
        notes = mark.notes or ("",) * len(axes)
        parts.append(_mark(mark, [(*at(i, p), notes[i]) for i, p in enumerate(places) if p is not None]))
    parts += [_entry(mark, index, (size, top)) for index, mark in enumerate(marks)]
    return "".join(parts) + "</svg>"


def _axis(axis: Axis, start: tuple[float, float], end: tuple[float, float], angle: float) -> str:
    side = math.cos(angle)
    anchor = "middle" if abs(side) < 0.3 else ("start" if side > 0 else "end")
    x = end[0] if anchor == "middle" else end[0] + (26 if side < 0 else -26)
    y = end[1] - 12 if math.sin(angle) < 0 else end[1] + 32
    marks = ""
    for value, text in axis.ticks:
        share = axis.place(value) or 0.0
        px, py = start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share
        marks += f'<text class="pg-tick" x="{px + 5:.1f}" y="{py + 12:.1f}">{html.escape(text)}</text>'
        marks += f'<circle class="pg-notch" cx="{px:.1f}" cy="{py:.1f}" r="2"/>'
    return (
        f'<path class="pg-axis" d="M{start[0]:.1f} {start[1]:.1f}L{end[0]:.1f} {end[1]:.1f}"/>{marks}'
        f'<text class="pg-axis-name" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{spans(axis.label, 'tspan')}</text>"
    )


def _mark(mark: Mark, points: Sequence[tuple[float, float, str]]) -> str:
    colour = f"var(--pg-{mark.colour % NUM_COLOURS})"
    shape = ""
    if len(points) > 1:
        dashes = ' stroke-dasharray="6 5"' if any(note for _, _, note in points) else ""
        outline = _outline([(x, y) for x, y, _ in points])
        shape = f'<path d="{outline}" stroke="{colour}" fill="{colour}"{dashes}/>'
    dots = "".join(_dot(x, y, note, colour) for x, y, note in points)
    title = html.escape(" · ".join((mark.title, *(mark.tip or ()))))
    return f'<g class="pg-mark"><title>{title}</title>{shape}{dots}</g>'


def _dot(x: float, y: float, note: str, colour: str) -> str:
    if not note:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
    return (
        f'<circle class="pg-hollow" cx="{x:.1f}" cy="{y:.1f}" r="5" stroke="{colour}"/>'
        f'<text class="pg-tick pg-apart" x="{x - 9:.1f}" y="{y + 4:.1f}" text-anchor="end">'
        f"{html.escape(note)}</text>"
    )


def _entry(mark: Mark, index: int, corner: tuple[int, int]) -> str:
    """A model's line in the key, which begins at the left of `corner` (width, top)."""
    width, top = corner
    x, y = 8 + index % _COLUMNS * width / _COLUMNS, top + _ROW * (index // _COLUMNS + 0.5)
    colour = f"var(--pg-{mark.colour % NUM_COLOURS})"
    return (
        f'<rect x="{x:g}" y="{y - 6:g}" width="12" height="12" rx="3" fill="{colour}"/>'
        f'<text class="pg-legend" x="{x + 18:g}" y="{y + 5:g}">{html.escape(mark.title)}</text>'
    )


def _outline(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + "Z"
