"""The trilemma as inline SVG: one axis for quality, coverage and speed each, farther out is better."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from playground.locale import spans, words
from playground.spec import Words
from playground.svg import NUM_COLOURS, opened

_ROW = 22.0  # of the key
_LETTER = 7.5  # of the key, about, so that titles stay apart


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


def trilemma_svg(axes: Sequence[Axis], marks: Sequence[Mark], *, size: int = 320) -> str:
    """Three (or more) axes from one centre, one outline for every model, what is said of them, and a key."""
    radius = size * 0.45
    middle = size / 2, radius + 32
    angles = [-math.pi / 2 + 2 * math.pi * index / len(axes) for index in range(len(axes))]

    def at(index: int, share: float) -> tuple[float, float]:
        x, y = math.cos(angles[index]), math.sin(angles[index])
        return middle[0] + radius * share * x, middle[1] + radius * share * y

    title = words("compare.trilemma", models=", ".join(mark.title for mark in marks))
    top = round(max(at(index, 1)[1] for index in range(len(axes))) + 50)
    places = _key(marks, size, top)
    height = round(max([top, *(y for _, y in places)]) + 16)
    parts = [opened("pg-trilemma", size, height, title)]
    for share in (0.25, 0.5, 0.75, 1.0):
        parts.append(f'<path class="pg-grid" d="{_outline([at(i, share) for i in range(len(axes))])}"/>')
    said = []  # on top of everything
    for index, axis in enumerate(axes):
        start, end = at(index, 0), at(index, 1)
        parts.append(f'<path class="pg-axis" d="M{start[0]:.1f} {start[1]:.1f}L{end[0]:.1f} {end[1]:.1f}"/>')
        said.append(_scale(axis, start, end) + _name(axis, end, angles[index]))
    for mark in marks:
        values = [axis.place(value) for axis, value in zip(axes, mark.values, strict=True)]
        notes = mark.notes or ("",) * len(axes)
        points = [(*at(i, p), notes[i]) for i, p in enumerate(values) if p is not None]
        parts.append(_mark(mark, points))
        said += [_note(x, y, note, x < middle[0] - 1) for x, y, note in points if note]
    parts += [f'<g class="pg-said">{"".join(said)}</g>']
    parts += [_entry(mark, *place) for mark, place in zip(marks, places, strict=True)]
    return "".join(parts) + "</svg>"


def _scale(axis: Axis, start: tuple[float, float], end: tuple[float, float]) -> str:
    """Values of an axis: below it on the side of the centre, or at the right of one that stands."""
    across, down = end[0] - start[0], end[1] - start[1]
    upright = abs(across) < 0.3 * abs(down)
    anchor = "end" if across > 0 and not upright else "start"
    dx, dy = (10, 5) if upright else (-4 if across > 0 else 4, 19 if down > 0 else -9)
    parts = []
    for value, text in axis.ticks:
        share = axis.place(value) or 0.0
        x, y = start[0] + across * share, start[1] + down * share
        parts.append(
            f'<circle class="pg-notch" cx="{x:.1f}" cy="{y:.1f}" r="2"/><text class="pg-tick" '
            f'x="{x + dx:.1f}" y="{y + dy:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'
        )
    return "".join(parts)


def _name(axis: Axis, end: tuple[float, float], angle: float) -> str:
    """What an axis measures, at its end."""
    side = math.cos(angle)
    anchor = "middle" if abs(side) < 0.3 else ("end" if side > 0 else "start")
    x = end[0] + (0 if anchor == "middle" else 20 if side > 0 else -20)
    y = end[1] - 12 if math.sin(angle) < 0 else end[1] + 39
    text = spans(axis.label, "tspan")
    return f'<text class="pg-axis-name" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


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
    return f'<circle class="pg-hollow" cx="{x:.1f}" cy="{y:.1f}" r="5" stroke="{colour}"/>'


def _note(x: float, y: float, note: str, left: bool) -> str:
    """Beside a hollow dot, on the side where there is room."""
    place = f'x="{x + (10 if left else -10):.1f}" y="{y + 4:.1f}" text-anchor="{"start" if left else "end"}"'
    return f'<text class="pg-tick pg-apart" {place}>{html.escape(note)}</text>'


def _key(marks: Sequence[Mark], width: int, top: float) -> list[tuple[float, float]]:
    """Where each model's line of the key goes: in two columns, if their titles leave room."""
    rooms = [max([26 + _LETTER * len(mark.title) for mark in marks[side::2]] + [0]) for side in (0, 1)]
    free = width - 12 - sum(rooms)
    columns = [8.0] if free < 0 else [8.0, 8 + rooms[0] + free / 2]
    num = len(columns)
    return [(columns[index % num], top + _ROW * (index // num + 0.5)) for index in range(len(marks))]


def _entry(mark: Mark, x: float, y: float) -> str:
    """A model's line in the key."""
    colour = f"var(--pg-{mark.colour % NUM_COLOURS})"
    return (
        f'<rect x="{x:g}" y="{y - 6:g}" width="12" height="12" rx="3" fill="{colour}"/>'
        f'<text class="pg-legend" x="{x + 18:g}" y="{y + 5:g}">{html.escape(mark.title)}</text>'
    )


def _outline(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + "Z"
