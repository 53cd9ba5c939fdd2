"""The Sample tab's panel: the pictures as they form, then a film scrubbed in the browser, and downloads."""

import html
from typing import Any

import numpy as np

from playground import figures, hub, listing
from playground.locale import both, words
from playground.race import Racer
from playground.slots import Slots
from playground.spec import ModelSpec, SampleStep
from playground.tabs import mine
from playground.tabs.pieces import number

MAX_FRAMES = 24
_DOWNLOAD_SIDE = 560  # pixels, about: the grid is enlarged for slides


class Film:
    """At most `MAX_FRAMES` moments of a drawing, evenly spread, the last one among them."""

    def __init__(self, num: int) -> None:
        """Fewer moments when there are many pictures, so that the page stays light."""
        self.limit = MAX_FRAMES if num <= 25 else MAX_FRAMES // 2
        self.frames: list[tuple[int, np.ndarray]] = []
        self._slots = Slots(self.limit)

    def add(self, moment: SampleStep) -> None:
        """Keep a moment if `Slots` wants it."""
        if self._slots.wants(moment.step, moment.num_steps):
            self.frames.append((moment.step, figures.to_pixels(moment.x)))


def _panel(stage: str, scrub: str, downloads: str, facts: str, captions: str = "") -> str:
    return (
        f'<div class="pg-film"><div class="pg-status">{facts}</div><div class="pg-stage">{stage}</div>'
        f'<div class="pg-scrub">{scrub}</div>{captions}<div class="pg-downloads">{downloads}</div></div>'
    )


def blank(key: str = "sample.ready") -> str:
    """Before anything is drawn: a sentence."""
    return _panel(f"<p>{both(key)}</p>", "", "", "")


def source(spec: ModelSpec) -> str:
    """Where a published model comes from, its size and its licence, for Markdown; nothing for ours."""
    told = listing.elsewhere(spec.name)
    if told is None:
        return ""
    key = "sample.published_here" if told["here"] else "sample.published"
    page, revision = told["page"], told["revision"]
    link = f"[{page}@{revision[:7]}]({page}/tree/{revision})" if revision else f"[{page}]({page})"
    return both(key, **told | {"page": link})


def downloading(spec: ModelSpec, share: float) -> str:
    """While a published model arrives."""
    chip = f'<span class="pg-chip pg-running">{both("sample.downloading", model=spec.title)}</span>'
    facts = both("sample.downloaded", percent=round(100 * share), megabytes=hub.megabytes(spec))
    return _panel("", _bar(spec, share), "", f"{chip}<span>{facts}</span>")


def live(moment: SampleStep | None, spec: ModelSpec, share: float, left: float | None = None) -> str:
    """While it is drawn."""
    chip = f'<span class="pg-chip pg-running">{both("compare.drawing")}</span>'
    bar = _bar(spec, share)
    if moment is None:
        return _panel("", bar, "", chip)
    seconds = number(left)
    facts = both("sample.drawing", step=moment.step, num_steps=moment.num_steps, seconds=seconds)
    return _panel(_screen([figures.to_pixels(moment.x)], spec), bar, "", f"{chip}<span>{facts}</span>")


def _bar(spec: ModelSpec, share: float) -> str:
    percent = round(100 * share)
    label = html.escape(" · ".join(words("compare.progress", model=spec.title)), quote=True)
    return (
        f'<div class="pg-bar" role="progressbar" aria-label="{label}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{percent}"><i style="width:{percent}%"></i></div>'
    )


def final(film: Film, racer: Racer, spec: ModelSpec, request: dict[str, Any]) -> str:
    """After it is drawn or stopped: the film, what it took, and the downloads."""
    last = racer.last
    if last is None:
        return blank()
    if racer.done:
        chip = f'<span class="pg-chip pg-done">{both("sample.done")}</span>'
    else:
        stopped = both("sample.stopped", step=last.step, num_steps=last.num_steps)
        chip = f'<span class="pg-chip pg-stopped">{stopped}</span>'
    facts = both(
        "sample.facts",
        model=mine.title(racer.name, spec),
        label=words("compare.any") if request["label"] is None else request["label"],
        n=request["n"],
        seed=request["seed"],
        nfe=f"{last.nfe:,}",
        milliseconds=number(racer.milliseconds if racer.done else None),
    )
    frames = film.frames
    if not frames or frames[-1][0] != last.step:  # stopped between two that the film keeps
        frames = [*frames, (last.step, figures.to_pixels(last.x))]
    pixels = [frame for _, frame in frames]
    scrub = _scrub([step for step, _ in frames]) if len(pixels) > 1 else ""
    downloads = _downloads(pixels, request) if racer.done else ""
    return _panel(
        _screen(pixels, spec), scrub, downloads, f"{chip}<span>{facts}</span>", _captions(last.captions)
    )


def _captions(captions: tuple[str, ...]) -> str:
    """What the pictures were asked to show, row by row; said once if it is the same of all."""
    if len(set(captions)) <= 1:
        return "".join(f'<p class="pg-captions">{html.escape(caption)}</p>' for caption in captions[:1])
    items = "".join(f"<li>{html.escape(caption)}</li>" for caption in captions)
    return f'<ol class="pg-captions">{items}</ol>'


def _screen(frames: list[np.ndarray], spec: ModelSpec) -> str:
    """All frames as one picture, of which the page shows the one that ``--frame`` counts to."""
    images = [figures.grid(frame) for frame in frames]
    sheet, first, num = figures.png_data_uri(figures.sprite(images)), images[0], len(images)
    label = html.escape(f"{spec.title}: {len(frames[0])} × {spec.dataset}", quote=True)
    return (
        f'<div class="pg-screen" role="img" aria-label="{label}" '
        f'style="aspect-ratio:{first.width}/{first.height};'
        f"background-size:100% {100 * num}%;--last:{max(num - 1, 1)};background-image:url({sheet});"
        f'background-position:0 calc(var(--frame,{num - 1}) * 100% / var(--last))"></div>'
    )


def _scrub(steps: list[int]) -> str:
    label = html.escape(" · ".join(words("sample.moment")), quote=True)
    marks, last = ",".join(map(str, steps)), len(steps) - 1
    return (
        f'<button type="button" onclick="playground.play(this)">▶ {both("sample.play")}</button>'
        f'<input type="range" min="0" max="{last}" value="{last}" aria-label="{label}" data-steps="{marks}" '
        f'oninput="playground.scrub(this)"><span class="pg-dim">{both("sample.step")}</span>'
        f"<output>{steps[-1]}</output>"
    )


def _downloads(frames: list[np.ndarray], request: dict[str, Any]) -> str:
    last = figures.grid(frames[-1])
    scale = max(1, round(_DOWNLOAD_SIDE / last.width))
    name = f"{request['model']}-seed{request['seed']}"
    png = figures.data_uri(figures.png_with_request(figures.enlarge(last, scale), request))
    links = f'<a href="{png}" download="{name}.png">{both("sample.png")}</a>'
    if len(frames) > 1:
        film = figures.gif([figures.grid(frame) for frame in frames], scale=max(1, scale // 2))
        gif = figures.data_uri(film, "image/gif")
        links += f'<a href="{gif}" download="{name}.gif">{both("sample.gif")}</a>'
    return f'{links}<span class="pg-dim">{both("sample.png_info")}</span>'


def answer(racer: Racer, request: dict[str, Any]) -> dict[str, Any]:
    """What the endpoint returns."""
    last = racer.last
    png = figures.png_with_request(figures.grid(last.x), request) if last else None
    return {
        "request": request,
        "done": racer.done,
        "png": figures.data_uri(png) if png else None,
        "captions": list(last.captions) if last else [],
        "nfe": last.nfe if last else 0,
        "milliseconds_per_image": racer.milliseconds,
    }
