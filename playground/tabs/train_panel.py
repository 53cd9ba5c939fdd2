"""The HTML of the Train tab: the live panel, and the film, which is scrubbed without asking the server."""

import html
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from playground import figures, svg
from playground.job import JobView
from playground.locale import both
from playground.tabs.train_request import data_title
from playground.validation import Term

DASH = "–"
_POINTS = 150  # of a curve on the page: more cannot be told apart
_WIDTH, _HEIGHT = 460, 250  # small, so that the words stay legible on a telephone

_PAGE = Path(__file__).parent / "page"
STYLE = (_PAGE / "train.css").read_text(encoding="utf-8")
FILM_STYLE = (_PAGE / "train_film.css").read_text(encoding="utf-8")
FILM_SCRIPT = (_PAGE / "train_film.js").read_text(encoding="utf-8")


def film_skeleton() -> str:
    """What stays in place while the film changes, so that a slider under the finger is never replaced."""
    label = html.escape(" · ".join(("Moment of the training", "训练的时刻")), quote=True)
    return (
        '<div class="film" hidden><p class="about"></p><div class="reel"><div class="plot"><div></div>'
        '<i class="cursor"></i></div><div class="frame"></div></div><div class="pg-scrub">'
        '<button type="button" aria-label="Play · 播放">▶</button>'
        f'<input type="range" min="0" max="0" value="0" aria-label="{label}"><output></output></div></div>'
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


def curves(losses: Mapping[str, Sequence[Sequence[float]]], last_step: float | None) -> str:
    """Loss curves by name."""
    pairs = {name: [(step, value) for step, value in curve] for name, curve in losses.items()}
    points = {name: svg.decimate(curve, _POINTS) for name, curve in pairs.items()}
    return svg.curves_svg(points, width=_WIDTH, height=_HEIGHT, last_step=last_step)


def shot(moments: Sequence[tuple[int, Tensor]]) -> str:
    """The latest samples as an image, or nothing."""
    if not moments:
        return ""
    step, x = moments[-1]
    address = figures.png_data_uri(figures.grid(x.permute(0, 2, 3, 1).numpy()))
    return f'<img src="{address}" alt="{len(x)} samples, step {step} · {len(x)} 个样本,第 {step} 步">'


def empty() -> str:
    """The live panel before anything is trained, as high as it will be."""
    return _panel("idle", both("common.keys"), curves({}, 1), "", "", 0.0, [DASH] * 4, "")


def live(view: JobView, image: str) -> str:
    """The live panel: state, curves, samples (the HTML of `shot`), numbers and what there is to say."""
    event, request = view.event, view.request
    title = html.escape(request.spec.title)
    asked = both(
        "train.asked", model=title, dataset=data_title(request.dataset), lr=f"{request.recipe.lr:g}",
        batch_size=request.recipe.batch_size,
    )  # fmt: skip
    step = event.step if event else 0
    total = event.num_steps if event else request.recipe.num_steps
    numbers = [
        f"{step:,} / {total:,}", f"{event.images_per_second:,.0f}" if event else DASH,
        clock(view.eta) if view.state in ("running", "queued", "paused") else DASH, str(request.seed),
    ]  # fmt: skip
    shown = f"{view.moments[-1][0]:,}" if view.moments else DASH
    return _panel(
        view.state, asked, curves(view.losses, total), image, both("train.samples", step=shown),
        event.progress if event else 0.0, numbers, _said(view),
    )  # fmt: skip


def _said(view: JobView) -> str:
    if isinstance(view.message, Term):
        return both(view.message.key, **view.message.params)
    if view.message:
        return html.escape(view.message)
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
        f'<p class="said" role="status">{said}</p></div>'
    )


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds, or hours: 2:05, 1:02:05."""
    if not math.isfinite(seconds):
        return DASH
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
