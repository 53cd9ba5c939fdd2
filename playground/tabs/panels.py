"""The HTML of the Compare tab's live panel and of its summary; plain strings, both languages in each."""

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from playground import svg
from playground.locale import both, spans, words
from playground.spec import ModelSpec, Words

DASH = "–"


@dataclass
class Lane:
    """What a card of the race shows.

    Attributes:
        spec: of the model.
        colour: its place in the palette.
        title: as the drop-down has it.
        picture: address of the grid so far.
        share: of the work done, 0 to 1.
        nfe: network evaluations so far.
        milliseconds: per picture so far.
        left: seconds to go.
        state: ``ready``, ``loading``, ``waiting``, ``running``, ``done``, ``stopped`` or ``absent``.
        notes: small print under the title.
        metrics: of its card.
        run: of this very run.
    """

    spec: ModelSpec
    colour: int
    title: str
    picture: str = ""
    share: float = 0.0
    nfe: int | None = None
    milliseconds: float | None = None
    left: float | None = None
    state: str = "ready"
    notes: list[str] = field(default_factory=list)
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    run: dict[str, dict[str, Any]] = field(default_factory=dict)


def race(lanes: Sequence[Lane], state: str, seed: int, label: int | None, num: int) -> str:
    """The cards side by side, under one line that says what was asked."""
    asked = both("compare.request", seed=seed, n=num, label="∗" if label is None else label)
    chip = f'<span class="pg-chip pg-{state}">{both(f"compare.{state}")}</span>'
    cards = "".join(_card(lane, num) for lane in lanes)
    return f'<div class="pg-status">{chip}<span>{asked}</span></div><div class="pg-cards">{cards}</div>'


def _card(lane: Lane, num: int) -> str:
    spec, percent = lane.spec, round(100 * lane.share)
    alt = html.escape(f"{lane.title}: {num} × {spec.dataset}", quote=True)
    picture = f'<img src="{lane.picture}" alt="{alt}">' if lane.picture else ""
    notes = "".join(f"<p>{note}</p>" for note in lane.notes)
    bar = html.escape(" · ".join(words("compare.progress", model=lane.title)), quote=True)
    evaluations = DASH if lane.nfe is None else f"{lane.nfe:,}"
    return (
        f'<article class="pg-card pg-{lane.state}" style="--c:var(--pg-{lane.colour % svg.NUM_COLOURS})">'
        f"<header><h3>{html.escape(lane.title)}</h3>"
        f'<span class="pg-dim">{spec.family} · {spec.year}</span></header>'
        f'<div class="pg-picture">{picture}<div class="pg-notes">{notes}</div></div>'
        f'<div class="pg-bar" role="progressbar" aria-label="{bar}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{percent}"><i style="width:{percent}%"></i></div>'
        f"<dl><div><dt>{both('compare.evaluations')}</dt><dd>{evaluations}</dd></div>"
        f"<div><dt>{both('compare.per_image')}</dt><dd>{number(lane.milliseconds)}</dd></div>"
        f"<div><dt>{both('compare.state')}</dt><dd>{_state(lane)}</dd></div></dl></article>"
    )


def _state(lane: Lane) -> str:
    if lane.state == "running" and lane.left is not None:
        return both("compare.left", seconds=number(lane.left))
    if lane.state == "absent":
        return DASH
    return both("compare.drawing" if lane.state == "running" else f"compare.{lane.state}")


def number(value: float | None) -> str:
    """Three digits are enough on a projector."""
    if value is None:
        return DASH
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


AXES = (
    svg.Axis(words("compare.quality_axis"), 1000.0, 1.0, True, ((1.0, "1×"), (10.0, "10×"), (100.0, "100×"))),
    svg.Axis(
        words("compare.speed_axis"), 1.0, 1e4, True, ((10.0, "10/s"), (100.0, "100/s"), (1e3, "1000/s"))
    ),
    svg.Axis(words("compare.coverage_axis"), 0.0, 1.0, False, ((0.5, "50%"), (1.0, "100%"))),
)


def summary(lanes: Sequence[Lane], num: int) -> str:
    """The trilemma as a picture, and the same numbers as a table with the sizes of their samples."""
    marks = [svg.Mark(lane.title, lane.colour, _values(lane)) for lane in lanes]
    heads = "".join(
        f'<th scope="col">{both(f"compare.{key}")}<small>{both(f"compare.column_{key}")}</small></th>'
        for key in ("quality", "coverage", "speed")
    )
    last = (
        f'<th scope="col">{both("compare.of_run", n=num)}<small>{both("compare.column_judged")}</small></th>'
    )
    rows = "".join(_row(lane) for lane in lanes)
    return (
        f'<section class="pg-summary"><figure>{svg.trilemma_svg(AXES, marks)}'
        f"<figcaption>{both('compare.outward')}</figcaption></figure>"
        f'<div><h2>{both("compare.summary")}</h2><div class="pg-scroll"><table><thead><tr><th scope="col">'
        f"{both('compare.model')}</th>{heads}{last}</tr></thead><tbody>{rows}</tbody></table></div>"
        f'<p class="pg-note">{both("compare.note")}</p></div></section>'
    )


def _values(lane: Lane) -> tuple[float | None, float | None, float | None]:
    """Times the floor, images per second, share covered."""
    speed = 1000 / lane.milliseconds if lane.state == "done" and lane.milliseconds else None
    return (
        lane.metrics.get("fid", {}).get("times_floor"),
        speed,
        lane.metrics.get("coverage", {}).get("value"),
    )


def _row(lane: Lane) -> str:
    quality, speed, coverage = _values(lane)
    swatch = f'<i class="pg-swatch" style="--c:var(--pg-{lane.colour % svg.NUM_COLOURS})"></i>'
    return (
        f'<tr><th scope="row">{swatch}{html.escape(lane.title)}</th>'
        f"{_cell(None if quality is None else f'{quality:.1f}×', lane.metrics.get('fid'))}"
        f"{_cell(None if coverage is None else f'{coverage:.0%}', lane.metrics.get('coverage'))}"
        f"<td>{DASH if speed is None else number(speed)}</td><td>{_judged(lane)}</td></tr>"
    )


def _cell(value: str | None, entry: dict[str, Any] | None) -> str:
    if value is None or entry is None:
        return f'<td class="pg-dim">{both("compare.unknown")}</td>'
    size = f"{entry.get('num', 0):,}"
    return f"<td>{value}<small>{both('compare.on', num=size)}</small></td>"


def _judged(lane: Lane) -> str:
    shares = [lane.run.get(key, {}).get("value") for key in ("precision", "label_accuracy")]
    return " / ".join(DASH if share is None else f"{share:.0%}" for share in shares)


def note(text: str | Words) -> str:
    """Small print, of plain text or of HTML in both languages."""
    return html.escape(text) if isinstance(text, str) else spans(text)
