"""The figures of a training: one axis for the losses, small multiples for everything that is no loss.

Which curve belongs where is decided by its name; a name nobody thought of gets a figure of its own.
"""

import functools
import html
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from playground import replay, svg
from playground.diagnosis import Diagnosis, possible
from playground.locale import both, spans, table, words
from playground.spec import ModelSpec, Words
from playground.tabs import saving
from playground.tabs.train_request import turned

WIDTH, HEIGHT = 460, 250  # of the losses: small, so that the words stay legible on a telephone
_SMALL = (360, 185)
_POINTS, _SMALL_POINTS = 150, 90  # of a curve on the page: more cannot be told apart
_MAX_MARKS = 12
_LOG_RANGE = 50.0  # of the largest to the smallest value, above which gradients get a logarithmic axis

Losses = Mapping[str, Sequence[Sequence[float]]]
Changes = Sequence[tuple[int, Mapping[str, Any]]]


@dataclass(frozen=True)
class Chart:
    """A small multiple.

    Attributes:
        key: its caption is ``train.chart.KEY``.
        names: the curves that share its axis.
        bounds, goals, colour: as `svg.curves_svg` has them.
        log: whether a wide range makes the axis logarithmic.
    """

    key: str
    names: tuple[str, ...]
    bounds: tuple[float, float] | None = None
    goals: tuple[float, ...] = ()
    colour: int = 0
    log: bool = False


MAIN = (  # all nats, or the players' stakes
    "loss", "loss_d", "loss_g", "reconstruction", "kl", "loss_d_a", "loss_g_ba", "loss_d_b", "loss_g_ab",
)  # fmt: skip
CHARTS = (
    Chart("verdict", ("d_real", "d_fake"), (0.0, 1.0), (0.5,), 2),
    Chart("score", ("score_real", "score_fake"), None, (), 2),
    Chart("gradient", ("grad_d", "grad_g"), log=True),
    Chart("wasserstein", ("wasserstein",), None, (0.0,), 4),
    Chart("penalty", ("penalty",), None, (), 5),
    Chart("class_entropy", ("class_entropy",), (0.0, math.log2(10)), (math.log2(10),), 3),
    Chart("distinct", ("distinct",), (0.0, 1.0), (1.0,), 4),
    Chart("cycle", ("cycle_a", "cycle_b")),
    Chart("identity", ("idt_a", "idt_b"), None, (), 2),
    Chart("l1", ("l1",)),
)
_PLACES = {chart: place for place, chart in enumerate(CHARTS)}
_OF_PLAYERS = ("verdict", "score", "gradient", "wasserstein", "penalty")  # a game's switches bring them


def main_names(names: Collection[str]) -> tuple[str, ...]:
    """The curves of the large figure: the losses, otherwise the first curve there is."""
    return tuple(name for name in names if name in MAIN) or tuple(names)[:1]


def charts_of(names: Collection[str]) -> list[Chart]:
    """The small multiples for curves of these names."""
    known = {name for chart in CHARTS for name in chart.names} | set(main_names(names))
    own = [Chart("", (name,)) for name in names if name not in known]
    return [chart for chart in CHARTS if set(chart.names) & set(names)] + own


def expected(spec: ModelSpec, dataset: str, switches: Mapping[str, Any] | None = None) -> list[Chart]:
    """The small multiples a training will have, as far as that can be told before it starts.

    Those that no switch brings are the ones of the shipped training.
    """
    names = list(_shipped(spec.name))
    standing = {switch.key: switch.default for switch in spec.switches} | dict(switches or {})
    if "players" in standing:
        brought = {name for chart in CHARTS if chart.key in _OF_PLAYERS for name in chart.names}
        names = [name for name in names if name not in brought] + _played(spec, standing)
    weights = {"lambda_cycle": "cycle_a", "lambda_identity": "idt_a", "lambda_l1": "l1"}
    names += [name for key, name in weights.items() if key in standing]
    if possible(spec, dataset):
        names += ["class_entropy", "distinct"]
    return charts_of(dict.fromkeys(names))


@functools.cache
def _shipped(name: str) -> tuple[str, ...]:
    """The curves of a model's shipped training: read once, for every page asks every second."""
    return replay.curves(name)


def _played(spec: ModelSpec, standing: Mapping[str, Any]) -> list[str]:
    """The curves of a game of two players whose switches stand at that."""
    unbounded = standing.get("loss") in ("wasserstein", "hinge")
    names = ["score_real", "score_fake"] if unbounded else ["d_real", "d_fake"]
    names += ["grad_d", "grad_g"]
    if standing.get("loss") == "wasserstein":
        names.append("wasserstein")
    weight = [switch for switch in spec.switches if switch.key == "penalty_weight"]
    needs = [(key, values) for switch in weight for key, values in switch.needs if key in standing]
    if weight and all(standing[key] in values for key, values in needs):
        names.append("penalty")
    return names


def curve_name(name: str) -> Words:
    """What a reader calls a curve, or a value taken of one; its own name, if nobody thought of it."""
    key = f"train.curve.{name}"
    return words(key) if key in table("en") else Words(*[name] * 2)


def reading(name: str, value: float, beside: str = "") -> str:
    """One value of a curve as an item of a list, and what it is held against."""
    against = f"<small>{html.escape(beside)}</small>" if beside else ""
    return f"<li>{_called(name)} <b>{svg.short(value)}</b>{against}</li>"


def _called(name: str) -> str:
    return spans(Words(*map(html.escape, curve_name(name))))


def marks_of(changes: Changes, spec: ModelSpec) -> list[tuple[float, Words]]:
    """Where switches were turned after the start, and what was turned."""
    later = [(step, turned(values, spec)) for step, values in changes if step]
    return [(float(step), label) for step, label in later[-_MAX_MARKS:]]


def _pairs(losses: Losses, names: Collection[str], limit: int) -> dict[Words, svg.Curve]:
    found = {curve_name(name): [(point[0], point[1]) for point in losses.get(name, ())] for name in names}
    return {name: svg.decimate(curve, limit) for name, curve in found.items()}


def main_chart(losses: Losses, last_step: float | None, marks: Sequence[tuple[float, Words]] = ()) -> str:
    """The losses, and the `marks_of` what was turned."""
    curves = _pairs(losses, main_names(losses), _POINTS)
    sizes: dict[str, Any] = {"width": WIDTH, "height": HEIGHT, "last_step": last_step}
    return svg.curves_svg(curves, **sizes, marks=marks, axis=words("train.axis"))


def small_chart(chart: Chart, losses: Losses, last_step: float | None, changes: Changes = ()) -> str:
    """One small multiple with its caption; where something was turned stands a line."""
    curves = _pairs(losses, chart.names, _SMALL_POINTS)
    values = [value for curve in curves.values() for _, value in curve if value > 0]
    log = chart.log and bool(values) and max(values) > _LOG_RANGE * min(values)
    label = words(f"train.chart.{chart.key}") if chart.key else None
    lines = [(float(step), None) for step, _ in changes if step][-_MAX_MARKS:]
    drawn = svg.curves_svg(
        curves, width=_SMALL[0], height=_SMALL[1], last_step=last_step, title=label, bounds=chart.bounds,
        goals=chart.goals, log=log, marks=lines, colour=chart.colour, axis=words("train.axis"),
    )  # fmt: skip
    caption = both(f"train.chart.{chart.key}") if chart.key else _called(chart.names[0])
    return f"<figure>{drawn}<figcaption>{caption}</figcaption></figure>"


def classes_chart(found: Diagnosis | None, num_classes: int = 10) -> str:
    """How many of the samples the classifier takes for each class; the dashed line is an even share."""
    width, height = _SMALL
    left, right, top, bottom = 34.0, width - 16.0, 30.0, height - 24.0
    counts = found.counts if found else (0,) * num_classes
    total = max(1, sum(counts))
    most = max(1.25 * total / len(counts), *counts)
    each = (right - left) / len(counts)
    parts = []
    for index, count in enumerate(counts):
        x, tall = left + each * (index + 0.5), (bottom - top) * count / most
        parts.append(
            f'<rect x="{x - 0.36 * each:.1f}" y="{bottom - tall:.1f}" width="{0.72 * each:.1f}" '
            f'height="{tall:.1f}" rx="2" fill="var(--pg-3)"/>'
            f'<text class="pg-tick" x="{x:.1f}" y="{height - 6}" text-anchor="middle">{index}</text>'
        )
    even = bottom - (bottom - top) * total / len(counts) / most
    bits = f"{found.class_entropy:.2f} / {math.log2(len(counts)):.2f} bit" if found else ""
    label = html.escape(" · ".join(words("train.chart.classes")), quote=True)
    drawn = (
        f'<svg class="pg-curves" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">'
        f"{''.join(parts)}"
        f'<path class="pg-goal" d="M{left:g} {even:.1f}H{right:g}"/>'
        f'<path class="pg-axis" d="M{left:g} {bottom:g}H{right:g}"/>'
        f'<text class="pg-legend" x="{left:g}" y="16">{spans(words("train.classes"), "tspan")}'
        f'<tspan class="pg-value"> {bits}</tspan></text></svg>'
    )
    return f"<figure>{drawn}<figcaption>{both('train.chart.classes')}</figcaption></figure>"


def panels(
    losses: Losses,
    last_step: float | None,
    changes: Changes,
    found: Diagnosis | None,
    wanted: Sequence[Chart] = (),
) -> str:
    """All the small multiples, in an order of their own; `wanted` are there even before they have a point."""
    charts = sorted(
        dict.fromkeys((*wanted, *charts_of(losses))), key=lambda chart: _PLACES.get(chart, len(_PLACES))
    )
    drawn = [small_chart(chart, losses, last_step, changes) for chart in charts]
    if any(chart.key == "class_entropy" for chart in charts):
        drawn.append(classes_chart(found))
    return f'<div class="multiples">{"".join(drawn)}</div>' if drawn else ""


def save_buttons() -> str:
    """All the curves as a file, under what the live panel says of the training."""
    live = "#train-live "
    titles = [f"{live}.pg-status > span", f"{live}dl > :first-child", f"{live}dl > :last-child"]
    return saving.buttons("training", f"{live}.curves svg, #train-figures svg", titles)
