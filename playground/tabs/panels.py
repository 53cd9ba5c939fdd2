"""The HTML of the Compare tab's live panel and of its summary; plain strings, both languages in each."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from playground import judge, svg
from playground.listing import SHARES
from playground.locale import both, spans, words
from playground.spec import ModelSpec, Words
from playground.tabs import saving
from playground.tabs.pieces import DASH, number
from playground.trilemma import Axis, Mark, trilemma_svg


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
    asked = both("compare.request", seed=seed, n=num, label=words("compare.any") if label is None else label)
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
        f'<span class="pg-dim">{both(f"families.family_{spec.family}")} · {spec.year}</span></header>'
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


AXES = (
    Axis(words("compare.quality_axis"), 1000.0, 1.0, True, ((1.0, "1×"), (10.0, "10×"), (100.0, "100×"))),
    Axis(words("compare.speed_axis"), 1.0, 1e4, True, ((10.0, "10/s"), (100.0, "100/s"), (1e3, "1000/s"))),
    Axis(words("compare.coverage_axis"), 0.0, 1.0, False, ((0.5, "50%"), (1.0, "100%"))),
)


def summary(lanes: Sequence[Lane], num: int) -> str:
    """The trilemma as a picture, and the same numbers as a table with the sizes of their samples."""
    usual = {key: usual_num([lane.metrics for lane in lanes], key) for key in ("fid", *SHARES)}
    marks = [
        Mark(lane.title, lane.colour, _values(lane, num), _notes(lane, usual), _tip(lane, num))
        for lane in lanes
    ]
    columns = (("quality", "fid"), *zip(SHARES, SHARES, strict=True), ("speed", ""))
    heads = "".join(_head(title, key, lanes, usual) for title, key in columns)
    judged = both("compare.column_judged", least=2 * judge.K + 1)
    last = f'<th scope="col">{both("compare.of_run", n=num)}<small>{judged}</small></th>'
    rows = "".join(_row(lane, usual, num) for lane in lanes)
    save = saving.buttons("trilemma", "#pg-below .pg-trilemma", ["#pg-below h2"])
    return (
        f'<section class="pg-summary"><div><figure>{trilemma_svg(AXES, marks)}'
        f"<figcaption>{_outward(lanes, num)}</figcaption></figure>{save}</div>"
        f'<div><h2>{both("compare.summary")}</h2><div class="pg-scroll"><table><thead><tr><th scope="col">'
        f"{both('compare.model')}</th>{heads}{last}</tr></thead><tbody>{rows}</tbody></table></div>"
        f'{_unequal(lanes, usual)}<p class="pg-note">{both("compare.note")}</p></div></section>'
    )


def _outward(lanes: Sequence[Lane], num: int) -> str:
    """How the picture is read, and where its speeds are from."""
    sources = {_speed(lane, num)[1] for lane in lanes} - {""}
    source = "both" if len(sources) > 1 else next(iter(sources), "card")
    return both("compare.outward", source=words(f"compare.speeds_{source}"))


def _head(title: str, key: str, lanes: Sequence[Lane], usual: Mapping[str, int | None]) -> str:
    """A column's title, and how many pictures its numbers are of, but for those that say otherwise."""
    same = [lane.metrics[key] for lane in lanes if key in lane.metrics and not _apart(lane, key, usual)]
    small = both(f"compare.column_{title}") + (f"<br>{sizes(same[0])}" if same else "")
    return f'<th scope="col">{both(f"compare.{title}")}<small>{small}</small></th>'


def usual_num(cards: Sequence[Mapping[str, Any]], key: str) -> int | None:
    """The number of samples that most cards have a number on, the larger one of two; None without a card."""
    nums = [metrics[key]["num"] for metrics in cards if key in metrics]
    return max(nums, key=lambda num: (nums.count(num), num), default=None)


def _apart(lane: Lane, key: str, usual: Mapping[str, int | None]) -> bool:
    """Whether a number is of another number of samples than the others' are."""
    return key in lane.metrics and lane.metrics[key]["num"] != usual[key]


def _notes(lane: Lane, usual: Mapping[str, int | None]) -> tuple[str, ...]:
    """For each of `AXES` the N of a number that does not compare with the others."""
    keys = ("fid", "", "coverage")
    return tuple(f"N = {lane.metrics[key]['num']:,}" if _apart(lane, key, usual) else "" for key in keys)


def _unequal(lanes: Sequence[Lane], usual: Mapping[str, int | None]) -> str:
    """Who was measured on another number of samples, and why that does not compare."""
    odd = [
        f"{lane.title} (N = {lane.metrics['fid']['num']:,})" for lane in lanes if _apart(lane, "fid", usual)
    ]
    if not odd:
        return ""
    said = both("compare.unequal", models=", ".join(odd), num=f"{usual['fid']:,}")
    return f'<p class="pg-note pg-unequal">{said}</p>'


def _values(lane: Lane, num: int) -> tuple[float | None, float | None, float | None]:
    """Times the floor, images per second, share covered."""
    return (
        lane.metrics.get("fid", {}).get("times_floor"),
        _speed(lane, num)[0],
        lane.metrics.get("coverage", {}).get("value"),
    )


def _speed(lane: Lane, num: int) -> tuple[float | None, str]:
    """Images per second, and whether the ``run`` has measured that or, until it has, the ``card``."""
    if lane.state == "done" and lane.milliseconds:
        return 1000 / lane.milliseconds, "run"
    milliseconds = lane.metrics.get(f"ms_per_image_{_batch(num)}", {}).get("value")
    return (1000 / milliseconds, "card") if milliseconds else (None, "")


def _batch(num: int) -> int:
    """The batch that a card was timed at which says most of drawing `num` pictures at once."""
    return 1 if num == 1 else 64


def _source(lane: Lane, num: int) -> Words | None:
    """Where a model's speed is from, if it has one."""
    _, source = _speed(lane, num)
    return words(f"compare.speed_{source}", num=_batch(num)) if source else None


def _tip(lane: Lane, num: int) -> Words | None:
    """What the figure says of a model that is pointed at."""
    source = _source(lane, num)
    return words("compare.speed_from", source=source) if source else None


def _row(lane: Lane, usual: Mapping[str, int | None], num: int) -> str:
    (quality, speed, _), source = _values(lane, num), _source(lane, num)
    swatch = f'<i class="pg-swatch" style="--c:var(--pg-{lane.colour % svg.NUM_COLOURS})"></i>'
    cells = [_cell(lane, "fid", None if quality is None else f"{number(quality)}×", usual)]
    for key in SHARES:
        share = lane.metrics.get(key, {}).get("value")
        cells.append(_cell(lane, key, None if share is None else f"{share:.1%}", usual))
    return (
        f'<tr><th scope="row">{swatch}{html.escape(lane.title)}</th>{"".join(cells)}'
        f"<td>{number(speed)}<small>{spans(source) if source else ''}</small></td>"
        f"<td>{_judged(lane)}</td></tr>"
    )


def _cell(lane: Lane, key: str, value: str | None, usual: Mapping[str, int | None]) -> str:
    """A number; one that does not compare with the column's says of how many pictures it is."""
    if value is None:
        return f'<td class="pg-dim">{both("compare.unknown")}</td>'
    if _apart(lane, key, usual):
        small = f"{_n(lane.metrics[key])}<br>{both('compare.odd')}"
        return f'<td class="pg-odd">{value}<small>{small}</small></td>'
    return f"<td>{value}</td>"


def sizes(entry: Mapping[str, Any]) -> str:
    """How many pictures a number on a card is of; where neighbours count, the real ones and k too."""
    if "k" not in entry:
        return _n(entry)
    return both("compare.against", n=_n(entry), real=f"{entry['num_real']:,}", k=entry["k"])


def _n(entry: Mapping[str, Any]) -> str:
    return f"N\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{entry['num']:,}"


def _judged(lane: Lane) -> str:
    """What the classifier says of this run: convincing, covering real pictures, of the class asked for."""
    shares = [lane.run.get(key, {}).get("value") for key in ("precision", "coverage", "label_accuracy")]
    said = " / ".join(DASH if share is None else f"{share:.0%}" for share in shares)
    ideal = lane.run.get("coverage", {}).get("ideal")
    return said if ideal is None else f"{said}<small>{both('compare.ideal', share=f'{ideal:.0%}')}</small>"
