"""What the Translate tab shows: pictures with their translations, one of them taken apart, and scores."""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from playground import data, figures, registry, translating
from playground.locale import both, spans, words
from playground.spec import ModelSpec
from playground.tabs.pieces import chip, cost, page, spoken
from playground.tabs.translate_request import Asked
from playground.translating import Translated

__all__ = ["Lane", "busy", "component_parts", "done", "one", "patch_map", "scores", "sheet"]

_MADE, _UNSURE, _REAL = (
    (0.76, 0.34, 0.04),
    (0.93, 0.93, 0.93),
    (0.04, 0.38, 0.64),
)  # as 0, 1/2, 1 are coloured
_ENLARGED = 4  # of a download
_SCORES = ("l1", "ssim", "cycle", "palette", "fid", "recognised", "spread")


@dataclass(frozen=True)
class Lane:
    """What one model made of all pictures."""

    name: str
    spec: ModelSpec
    found: Translated

    @property
    def title(self) -> str:
        """Its name as HTML, a star before the reader's own."""
        return ("★ " if self.name != self.spec.name else "") + html.escape(self.spec.title)


def component_parts(ready: str = "translate.ready") -> dict[str, Any]:
    """The skeleton, style sheet and script of the panel; `ready` is the key of what it says at first."""
    skeleton = (
        '<div class="translated"><div class="pg-status"></div>'
        f'<p class="ready">{both(ready)}</p><div class="body" hidden></div></div>'
    )
    return {
        "html_template": skeleton, "apply_default_css": False, "css_template": page("translate.css"),
        "js_on_load": page("translate.js"),
    }  # fmt: skip


def idle(status: str = "") -> str:
    """Nothing is shown, or one sentence."""
    return json.dumps({"busy": False, "status": status, "body": ""})


def busy() -> str:
    """While it is computed: what was drawn before stays, dimmed."""
    return json.dumps({"busy": True, "status": chip("running")})


def done(asked: Asked, lanes: Sequence[Lane], state: str = "done") -> str:
    """All pictures, their details, downloads and the models' scores; `state` is ``done`` or ``stopped``."""
    way = asked.way
    said = words("translate.status", source=way.source.title, target=way.target.title, num=len(asked.x))
    details = "".join(_details(asked, lanes, index) for index in range(len(asked.x)))
    body = f"{_table(asked, lanes)}{details}{_downloads(asked, lanes)}{scores(asked, lanes)}"
    return json.dumps({"busy": False, "status": f"{chip(state)}<span>{spans(said)}</span>", "body": body})


def one(lane: Lane, x: Tensor, status: str) -> str:
    """One large picture (1, C, H, W) taken apart, without a counterpart."""
    body = f'<div class="large">{_lane(x, lane, 0)}</div><p class="downloads">{_own_link(lane)}</p>'
    return json.dumps({"busy": False, "status": status, "body": body})


def address(x: Tensor, index: int = 0) -> str:
    """One picture of (B, C, H, W) in [-1, 1] as an address."""
    return figures.png_data_uri(figures.grid(x[index : index + 1]))


def _figure(x: Tensor, index: int, caption: str, kind: str = "") -> str:
    picture = f'<img src="{address(x, index)}" alt="">'
    return f'<figure class="{kind}">{picture}<figcaption>{caption}</figcaption></figure>'


def _name(asked: Asked, index: int) -> str:
    return html.escape(asked.names[index]) if asked.names else both("translate.own")


def _close(numbers: dict[str, float]) -> str:
    return both("translate.close", l1=f"{numbers['l1']:.3f}", ssim=f"{numbers['ssim']:.2f}")


def _table(asked: Asked, lanes: Sequence[Lane]) -> str:
    """A row a picture: what was given, every model's translation, the true counterpart."""
    heads = [both("translate.given"), *(f"{lane.title}<small>{_taught(lane.spec)}</small>" for lane in lanes)]
    heads += [both("translate.truth")] if asked.truth is not None else []
    rows = []
    compared = [_compared(asked, lane.found.y) for lane in lanes]
    for index in range(len(asked.x)):
        nothing = ""
        if compared[0]:
            row = compared[0][index]
            nothing = both(
                "translate.untouched", l1=f"{row['l1_nothing']:.3f}", ssim=f"{row['ssim_nothing']:.2f}"
            )
        cells = [_figure(asked.x, index, f"<b>{_name(asked, index)}</b> {nothing}")]
        for lane, numbers in zip(lanes, compared, strict=True):
            cells.append(_figure(lane.found.y, index, _close(numbers[index]) if numbers else ""))
        if asked.truth is not None:
            cells.append(_figure(asked.truth, index, ""))
        body = "".join(f"<td>{cell}</td>" for cell in cells)
        rows.append(
            f'<tr data-show="{index}" tabindex="0" aria-label="{spoken("translate.look", number=index + 1)}">'
            f"{body}</tr>"
        )
    head = "".join(f'<th scope="col">{one}</th>' for one in heads)
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="scroll"><table class="all">{body}</table></div>'


def _compared(asked: Asked, y: Tensor) -> list[dict[str, float]]:
    return [] if asked.truth is None else translating.compared(y, asked.x, asked.truth)


def _taught(spec: ModelSpec) -> str:
    return both("translate.unpaired" if spec.dataset.endswith("_unpaired") else "translate.paired")


def _details(asked: Asked, lanes: Sequence[Lane], index: int) -> str:
    """One picture taken apart: before and after, there and back, left alone, what the discriminator says."""
    parts = "".join(_lane(asked.x, lane, index) for lane in lanes)
    return f'<section data-of="{index}" hidden><h3>{_name(asked, index)}</h3>{parts}</section>'


def _lane(x: Tensor, lane: Lane, index: int) -> str:
    found, shown = lane.found, [_wipe(x, lane, index)]
    if found.back is not None and found.away is not None:
        shown.append(_figure(found.back, index, both("translate.back")))
        lost = both("translate.away", value=f"{found.away[index].mean().item():.3f}")
        shown.append(_figure(1 - found.away.clamp(0, 1) * 2, index, lost))
    if found.same is not None:
        shown.append(_figure(found.same, index, both("translate.same")))
    for patches, key in ((found.patches, "patches"), (found.truth_patches, "truth_patches")):
        if patches is not None:
            said = both(f"translate.{key}", value=f"{patches[index].mean().item():.2f}")
            side = found.y.shape[-1]
            said += f" {both('translate.field', field=found.field, side=side)}" if key == "patches" else ""
            shown.append(_figure(patch_map(patches), index, said, "patches"))
    facts = cost(found.nfe, found.milliseconds / 1000)
    return (
        f'<div class="lane"><h4>{lane.title} <small>{_taught(lane.spec)} · {facts}</small></h4>'
        f'<div class="figures">{"".join(shown)}</div>{_draws(found, index)}</div>'
    )


def _draws(found: Translated, index: int) -> str:
    """What a model with noise makes of it besides."""
    if found.draws is None:
        return ""
    drawn = found.draws[:, index]
    shown = "".join(_figure(drawn, seed, both("translate.seed", seed=seed)) for seed in range(len(drawn)))
    said = both("translate.draws", num=len(drawn), spread=f"{drawn.std(0).mean().item():.3f}")
    return f'<p class="note">{said}</p><div class="figures draws">{shown}</div>'


def _wipe(x: Tensor, lane: Lane, index: int) -> str:
    """Two pictures on top of each other and a slider between them."""
    return (
        f'<figure class="wipe"><div class="two"><img src="{address(lane.found.y, index)}" alt="">'
        f'<img class="before" src="{address(x, index)}" alt=""></div>'
        f'<input type="range" min="0" max="100" value="50" aria-label="{spoken("translate.wipe")}">'
        f"<figcaption>{both('translate.wipe')}</figcaption></figure>"
    )


def patch_map(patches: Tensor) -> Tensor:
    """(B, 1, h, w) judgements -> (B, 3, h, w) in [-1, 1]: orange for made (0), grey, blue for real (1)."""
    made, unsure, real = (torch.tensor(c).view(1, 3, 1, 1) for c in (_MADE, _UNSURE, _REAL))
    value = patches.clamp(0, 1)
    lower, upper = (2 * value).clamp(0, 1), (2 * value - 1).clamp(0, 1)
    colours = torch.where(value < 0.5, torch.lerp(made, unsure, lower), torch.lerp(unsure, real, upper))
    return 2 * colours - 1


def sheet(asked: Asked, lanes: Sequence[Lane]) -> Tensor:
    """Everything as pictures in rows: given, each model's, and the true one; (N, C, H, W)."""
    columns = [asked.x, *(lane.found.y for lane in lanes), *([] if asked.truth is None else [asked.truth])]
    channels = max(column.shape[1] for column in columns)
    wide = [translating.alike(column, channels) for column in columns]
    return torch.stack(wide, dim=1).flatten(0, 1)


def _downloads(asked: Asked, lanes: Sequence[Lane]) -> str:
    """One file with everything, and one for every model's translations."""
    columns = 1 + len(lanes) + (asked.truth is not None)
    request = {"route": asked.way.key, "models": [lane.name for lane in lanes], "pictures": list(asked.names)}
    whole = figures.grid(sheet(asked, lanes), columns, scale=_ENLARGED)
    links = [_link(figures.png_with_request(whole, request), f"{asked.way.key}.png", both("translate.whole"))]
    links += [_own_link(lane, f"-{asked.way.key}") for lane in lanes]
    return f'<p class="downloads">{"".join(links)}</p>'


def _own_link(lane: Lane, suffix: str = "") -> str:
    made = figures.png(figures.grid(lane.found.y))
    return _link(made, f"{lane.spec.name}{suffix}.png", f"{lane.title} (PNG)")


def _link(content: bytes, name: str, said: str) -> str:
    return f'<a download="{html.escape(name, quote=True)}" href="{figures.data_uri(content)}">{said}</a>'


def scores(asked: Asked, lanes: Sequence[Lane]) -> str:
    """The models' scores on all held-out pictures of this way, from their cards, beside doing nothing."""
    way, direction = asked.way, asked.way.direction
    shipped = [lane for lane in lanes if lane.name == lane.spec.name]
    cards = [(lane, registry.card(lane.name).get("metrics", {})) for lane in shipped]
    cards = [(lane, metrics) for lane, metrics in cards if f"l1_{direction}" in metrics]
    if not cards:
        return ""
    first, similar = (cards[0][1][f"{key}_{direction}"] for key in ("l1", "ssim"))
    idle = [cards[0][1].get(f"{key}_{direction}", {}).get("nothing") for key in ("palette", "fid")]
    rows = [
        _row(both("translate.nothing"), [first["nothing"], None, similar["nothing"], None, *idle]),
        _row(both("translate.neighbour"), [first["neighbour"], None, similar["neighbour"]]),
    ]
    for lane, m in cards:
        values = [m.get(f"{key}_{direction}", {}).get("value") for key in _SCORES]
        values.insert(1, m[f"l1_{direction}"].get("lower"))
        speed = m.get("ms_per_image_1", {}).get("value")
        rows.append(_row(f"{lane.title}<small>{_taught(lane.spec)}</small>", [*values, speed]))
    heads = (_SCORES[0], "lower", *_SCORES[1:], "speed")
    head = "".join(f'<th scope="col">{both(f"translate.score_{key}")}</th>' for key in heads)
    note = both("translate.note_scores", num=first["num"], held=len(data.load(way.dataset, "test")))
    table = f"<thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return (
        f'<h3>{both("translate.scores")}</h3><div class="scroll"><table class="scores">{table}</table></div>'
        f'<p class="note">{note}</p>'
    )


def _row(title: str, values: Sequence[float | None]) -> str:
    padded = [*values, *[None] * (9 - len(values))]
    formats = ("{:.3f}", "{:.0%}", "{:.3f}", "{:.3f}", "{:.3f}", "{:.3g}", "{:.0%}", "{:.3f}", "{:.0f}")
    cells = "".join(
        f"<td>{'–' if value is None else form.format(value)}</td>"
        for value, form in zip(padded, formats, strict=True)
    )
    return f'<tr><th scope="row">{title}</th>{cells}</tr>'
