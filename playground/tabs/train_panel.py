"""The HTML of the Train tab: the live panel, the film, which is scrubbed without the server, and neighbours.

The small multiples are in `playground.tabs.train_charts`.
"""

import html
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from playground import figures
from playground.job import JobView
from playground.locale import both, spans
from playground.spec import ModelSpec, Words
from playground.tabs import train_charts
from playground.tabs.pieces import DASH, page, spoken
from playground.tabs.train_request import data_title, notes, turned

_MAX_CHANGES = 8  # in the list below the curves

STYLE = page("train.css")
CHARTS_STYLE = page("train_charts.css")
FILM_STYLE = page("train_film.css")
LIVE_SCRIPT = page("train_live.js")
FILM_SCRIPT = page("train_film.js")


def film_skeleton() -> str:
    """What stays in place while the film changes, so that a slider under the finger is never replaced."""
    return (
        '<div class="film" hidden><p class="about"></p><div class="reel"><div class="plot"><div></div>'
        '<i class="cursor"></i></div><div class="frame"></div></div><div class="pg-scrub">'
        f'<button type="button" aria-label="{spoken("sample.play")}">▶</button>'
        f'<input type="range" min="0" max="0" value="0" aria-label="{spoken("train.moment")}">'
        "<output></output></div></div>"
    )


def film(moments: Sequence[tuple[int, Tensor]], about: str, curves: str = "", play: bool = False) -> str:
    """What the film component shows, as JSON; an empty text hides it.

    Args:
        moments: (step, (B, C, H, W) uint8) over time.
        about: HTML above it.
        curves: SVG beside it, with a cursor at the moment shown.
        play: start at the first moment and run.
    """
    if not moments:
        return ""
    frames = [figures.grid(x.permute(0, 2, 3, 1).numpy()) for _, x in moments]
    steps = [step for step, _ in moments]
    sprite = figures.png_data_uri(figures.sprite(frames))
    return json.dumps(
        {"steps": steps, "end": steps[-1], "sprite": sprite, "about": about, "curves": curves, "play": play}
    )


def shot(moments: Sequence[tuple[int, Tensor]]) -> str:
    """The latest samples as an image, or nothing."""
    if not moments:
        return ""
    step, x = moments[-1]
    columns = figures.columns_for(len(x))
    places = f'data-num="{len(x)}" data-columns="{columns}" data-rows="{math.ceil(len(x) / columns)}"'
    address = figures.png_data_uri(figures.grid(x.permute(0, 2, 3, 1).numpy()))
    return f'<img {places} src="{address}" alt="{spoken("train.shot", num=len(x), step=step)}">'


class Shot:
    """The latest samples of a job as an image, drawn again only when there are others."""

    def __init__(self) -> None:
        """Nothing is drawn yet."""
        self._step, self._image = -1, ""

    def of(self, moments: Sequence[tuple[int, Tensor]]) -> str:
        """What `shot` gives."""
        if moments and moments[-1][0] != self._step:
            self._step, self._image = moments[-1][0], shot(moments)
        return self._image


def empty() -> str:
    """The live panel before anything is trained, as high as it will be."""
    drawn = train_charts.main_chart({}, 1)
    return _panel("idle", both("common.keys"), drawn, "", "", 0.0, [DASH] * 4, "")


def live(view: JobView, image: str) -> str:
    """The live panel: state, curves, samples (the HTML of `shot`), numbers and what there is to say."""
    event, request = view.event, view.request
    title = html.escape(request.spec.title)
    asked = both(
        "train.asked", model=title, dataset=data_title(request.dataset),
        lr=f"{view.switches.get('lr', request.recipe.lr):g}", batch_size=request.recipe.batch_size,
    )  # fmt: skip
    step = event.step if event else 0
    total = event.num_steps if event else request.recipe.num_steps
    numbers = [
        f"{step:,} / {total:,}", f"{event.images_per_second:,.0f}" if event else DASH,
        clock(view.eta) if view.state in ("running", "queued", "paused") else DASH, str(request.seed),
    ]  # fmt: skip
    marks = train_charts.marks_of(view.changes, request.spec)
    shown = f"{view.moments[-1][0]:,}" if view.moments else DASH
    return _panel(
        view.state, asked, train_charts.main_chart(view.losses, total, marks), image,
        both("train.samples", step=shown), event.progress if event else 0.0, numbers,
        _said(view) + "".join(f'<p class="note">{both(n.key, **n.params)}</p>' for n in notes(view))
        + changed(view.changes, request.spec),
    )  # fmt: skip


def changed(changes: train_charts.Changes, spec: ModelSpec) -> str:
    """The switches that were turned, the latest first."""
    lines = []
    for step, values in list(changes)[-_MAX_CHANGES:][::-1]:
        when = both("train.at_step", step=f"{step:,}") if step else both("train.at_start")
        lines.append(f"<li>{when} <b>{named(values, spec)}</b></li>")
    return f'<ol class="changes">{"".join(lines)}</ol>' if lines else ""


def named(values: Mapping[str, Any], spec: ModelSpec) -> str:
    """What was `turned`, or would be; empty if that is nothing."""
    return spans(Words(*map(html.escape, turned(values, spec)))) if values else ""


def nearest(samples: Tensor, found: Tensor, distances: Tensor, model: str, step: int) -> str:
    """Samples and the training pictures closest to them.

    Args:
        samples: (B, C, H, W) uint8.
        found: the same shape, the pictures closest to them.
        distances: (B,) root mean square differences of the pixels, 0 to 255.
        model: whose samples they are.
        step: of the samples.
    """
    mine, theirs = spoken("train.sample"), spoken("train.real")
    pairs = [
        f"<figure>{_tile(sample, mine)}{_tile(real, theirs)}<figcaption>{distance / 255:.2f}</figcaption>"
        "</figure>"
        for sample, real, distance in zip(samples, found, distances.tolist(), strict=True)
    ]
    about = both("train.nearest_about", model=model, step=f"{step:,}")
    return f'<div class="nearest"><p>{about}</p><div class="pairs">{"".join(pairs)}</div></div>'


def closest(sample: Tensor, found: Tensor, distances: Tensor, model: str, step: int) -> str:
    """A sample (C, H, W) uint8 of a model and, closest first, (N, C, H, W) pictures at (N,) distances."""
    mine, theirs = spoken("train.sample"), spoken("train.real")
    cells = [f"<figure>{_tile(sample, mine)}<figcaption>{both('train.this_sample')}</figcaption></figure>"]
    cells += [
        f"<figure>{_tile(real, theirs)}<figcaption>{distance / 255:.2f}</figcaption></figure>"
        for real, distance in zip(found, distances.tolist(), strict=True)
    ]
    about = both("train.closest_about", model=model, step=f"{step:,}", num=len(found))
    return f'<div class="nearest"><p>{about}</p><div class="pairs">{"".join(cells)}</div></div>'


def _tile(x: Tensor, name: str) -> str:
    """A picture (C, H, W) uint8."""
    return f'<img src="{figures.png_data_uri(figures.grid(x.permute(1, 2, 0)[None].numpy()))}" alt="{name}">'


def _said(view: JobView) -> str:
    if view.message is not None:
        return both(view.message.key, **view.message.params)
    if view.position:
        return both("train.position", position=view.position)
    if view.usable:
        return both("train.usable", model=view.request.spec.title)
    return both("train.loading") if view.event is None else ""


def _panel(
    state: str,
    asked: str,
    plot: str,
    image: str,
    caption: str,
    share: float,
    numbers: Sequence[Any],
    said: str,
) -> str:
    keys = ("step", "speed", "left", "seed")
    pairs = zip(keys, numbers, strict=True)
    facts = "".join(f"<div><dt>{both(f'train.{key}')}</dt><dd>{value}</dd></div>" for key, value in pairs)
    return (
        f'<div class="run {state}" data-state="{state}"><div class="pg-status">'
        f'<span class="pg-chip pg-{state}">{both(f"train.{state}")}</span><span>{asked}</span></div>'
        f'<div class="body"><div class="curves">{plot}</div>'
        f'<figure><div class="shot">{image}</div><figcaption>{caption}</figcaption></figure></div>'
        f'<div class="pg-bar"><i style="width:{100 * share:.1f}%"></i></div><dl>{facts}</dl>'
        f'<div class="said" role="status">{said}</div></div>'
    )


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds, or hours: 2:05, 1:02:05."""
    if not math.isfinite(seconds):
        return DASH
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
