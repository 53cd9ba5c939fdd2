"""What the Pixels section's panels are sent: readings, completions and receptive fields."""

import html
import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from playground import pixels, registry, scoring
from playground.locale import both
from playground.pixels import Field, Reading
from playground.spec import ModelSpec
from playground.tabs.pieces import address, chip, number, spoken

ERASED = (105, 41, 196)  # the brush of the eraser
_DECADES = 4  # of gradients, from the strongest to the weakest shade
_MAPS = ("x", "ink", "nats")


def reading(found: Reading, spec: ModelSpec, note: str) -> str:
    """A picture with what the model predicted at every place, to be scrubbed in the page.

    Args:
        found: the reading.
        spec: of the model that read.
        note: HTML, where the picture comes from.
    """
    bits = scoring.bits_per_dim(-found.total, found.x.numel())
    params = {"nats": f"{found.total:.2f}", "bits": f"{bits:.3f}", "dims": found.x.numel()}
    given = both("pixels.without_label" if found.belief is not None else "pixels.given_label")
    return json.dumps({
        "status": f"{chip('done')}<span>{note}</span>",
        "x": _levels(found.x),
        "ink": _rounded(found.ink, 1000),
        "nats": _rounded(found.nats, 100),
        "shares": _rounded(found.shares, 1000),
        "bins": found.shares.shape[1],
        "belief": None if found.belief is None else _rounded(found.belief, 1000),
        "classes": 0 if found.belief is None else found.belief.shape[1],
        "total": both("pixels.total", **params) + " " + given + " " + both(f"pixels.levels_{spec.levels}"),
    })  # fmt: skip


def writing(x: Tensor, step: int, num_steps: int) -> str:
    """A picture (H, W) of which the first `step` pixels are written."""
    said = both("pixels.writing_now", step=step, num_steps=num_steps)
    return json.dumps({
        "busy": True, "status": f"{chip('running')}<span>{said}</span>", "x": _levels(x), "at": step,
    })  # fmt: skip


def stopped() -> str:
    """Writing was stopped: what is there stays."""
    return json.dumps({"busy": True, "status": chip("stopped")})


def _levels(x: Tensor) -> list[int]:
    return _rounded((x + 1) / 2, 255)


def _rounded(values: Tensor, scale: int) -> list[int]:
    """Whole numbers, which travel in fewer bytes."""
    return [int(value) for value in values.double().mul(scale).round().flatten().tolist()]


def skeleton() -> str:
    """What stays in place while a picture is read."""
    maps = "".join(
        f'<figure><div class="frame"><canvas class="{key}" width="28" height="28" role="img" '
        f'aria-label="{spoken(f"pixels.map_{key}")}"></canvas></div>'
        f"<figcaption>{both(f'pixels.map_{key}')}{_legend(key)}</figcaption></figure>"
        for key in _MAPS
    )
    return (
        '<div class="reader"><div class="pg-status"></div>'
        f'<p class="ready">{both("pixels.ready")}</p><div class="body" hidden>'
        f'<div class="maps">{maps}</div>'
        '<div class="pg-scrub"><button type="button" class="play" aria-label="'
        f'{spoken("sample.play")}">▶</button><input type="range" class="slider" min="0" max="784" '
        f'value="784" aria-label="{spoken("pixels.place")}"><output></output></div>'
        f'<p class="says next">{both("pixels.next")}</p><p class="says total" hidden></p>'
        f'<div class="beside"><div class="distribution"><h3>{both("pixels.distribution")}</h3>'
        f'<div class="bars"></div><p class="axis"><span>{both("pixels.black")}</span>'
        f"<span>{both('pixels.white')}</span></p></div>"
        f'<div class="belief"><h3>{both("pixels.belief")}</h3><div class="classes"></div></div></div>'
        "</div></div>"
    )


def _legend(key: str) -> str:
    """The scale of a map's colours."""
    ends = {"ink": ("0", "1"), "nats": ("0", '<output class="most"></output>')}.get(key)
    return "" if ends is None else f'<span class="ramp">{ends[0]}<i></i>{ends[1]}</span>'


def completions(
    given: Tensor, kept: Tensor, draws: Tensor | None, status: str, nats: Sequence[float] | None = None
) -> str:
    """The erased picture, every way it was filled in so far, and their mean.

    Args:
        given: (1, 1, H, W), the picture as the model sees it.
        kept: (1, 1, H, W), 1 where it is kept.
        draws: (B, 1, H, W), or None before the first.
        status: HTML.
        nats: log p(x) of each, where the model has an exact likelihood.
    """
    cells = [_cell(address(tinted(given, kept)), both("pixels.erased"))]
    if draws is not None:
        cells.append(_cell(address(draws.mean(dim=0, keepdim=True)), both("pixels.mean", num=len(draws))))
        best = max(range(len(draws)), key=lambda i: nats[i]) if nats else -1
        for index, draw in enumerate(draws):
            value = f"{nats[index]:.1f}".replace("-", "−") if nats else ""
            said = both("pixels.draw_nats", nats=value) if nats else ""
            cells.append(_cell(address(draw[None]), said, " best" if index == best else ""))
    note = "" if nats is None else f'<p class="note">{both("pixels.draws_note")}</p>'
    head = f'<div class="pg-status">{status}</div>'
    return f'<div class="fills">{head}<div class="cells">{"".join(cells)}</div>{note}</div>'


def fills_ready() -> str:
    """Before the first completion."""
    return f'<div class="fills"><p class="ready">{both("pixels.fills_ready")}</p></div>'


def _cell(picture: str, caption: str, mark: str = "") -> str:
    return (
        f'<figure class="cell{mark}"><img src="{picture}" alt=""><figcaption>{caption}</figcaption></figure>'
    )


def tinted(x: Tensor, kept: Tensor) -> Tensor:
    """The picture with what is erased in the colour of the brush: (1, 1, H, W) twice -> (1, 3, H, W)."""
    colour = torch.tensor(ERASED).view(1, 3, 1, 1) / 127.5 - 1
    return torch.where(kept.cpu() > 0.5, x.cpu().expand(-1, 3, -1, -1), colour)


def fields(place: tuple[int, int], found: Sequence[tuple[str, str, Field]]) -> str:
    """Receptive fields of one place.

    Args:
        place: row and column.
        found: (title as HTML, note as HTML, field) of every network.
    """
    return json.dumps({"row": place[0], "column": place[1], "maps": [_map(place, *one) for one in found]})


def _map(place: tuple[int, int], title: str, note: str, found: Field) -> dict[str, Any]:
    """A place is -1 where there is no gradient, -2 in the blind spot, otherwise 0 to 100 on a log scale."""
    largest = max(float(found.strength.max()), 1e-300)
    decades = (found.strength / largest).clamp(min=1e-300).log10().clamp(min=-_DECADES) / _DECADES + 1
    shades = torch.where(found.seen, (100 * decades).round(), -1.0)
    shades = torch.where(found.blind, -2.0, shades)
    after = pixels.future(found.seen, *place)
    counts = both(
        "pixels.counts", seen=int(found.seen.sum()), past=place[0] * found.seen.shape[1] + place[1],
        blind=int(found.blind.sum()), after=after,
    )  # fmt: skip
    return {"title": title, "note": f"{counts} {note}", "shades": [int(v) for v in shades.flatten().tolist()]}


def field_skeleton() -> str:
    """What stays in place while places are clicked."""
    keys = "".join(
        f'<span class="key {key}"><i></i>{both(f"pixels.key_{key}")}</span>'
        for key in ("strong", "weak", "unseen", "blind", "future")
    )
    figure = (
        f'<figure><figcaption></figcaption><canvas width="28" height="28" tabindex="0" '
        f'aria-label="{spoken("pixels.field_here")}"></canvas><p class="note"></p></figure>'
    )
    return (
        f'<div class="fields"><p class="ready">{both("pixels.field_ready")}</p>'
        f'<div class="body" hidden><div class="pair">{figure}{figure}</div>'
        f'<p class="keys">{keys}</p></div></div>'
    )


def speeds() -> str:
    """What writing a picture piece by piece costs, by the cards of the models that do."""
    rows = "".join(_speed(name) for name in sequential())
    heads = "".join(
        f'<th scope="col">{both(f"pixels.speed_{key}")}</th>' for key in ("model", "nfe", "1", "64", "fid")
    )
    return f'<div class="speeds"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'


def sequential() -> list[str]:
    """Models that write a picture, or its codes, piece by piece."""
    names = {*registry.names("PredictsPixels"), *registry.names("HasCodes")}
    return [name for name in registry.names("Samples") if name in names and _numbers(name).get("nfe", 1) > 1]


def _numbers(name: str) -> dict[str, float]:
    """What a model's card says of speed and quality; empty without weights."""
    metrics: dict[str, Any] = registry.card(name).get("metrics", {}) if registry.shipped(name) else {}
    found = {"nfe": "nfe", "1": "ms_per_image_1", "64": "ms_per_image_64"}
    numbers = {key: metrics[entry]["value"] for key, entry in found.items() if entry in metrics}
    return numbers | ({"fid": metrics["fid"]["times_floor"]} if "fid" in metrics else {})


def _speed(name: str) -> str:
    """One model's row."""
    numbers = _numbers(name)
    said = {key: number(value) for key, value in numbers.items()}
    said |= {"nfe": f"{numbers['nfe']:,.0f}"}
    cells = "".join(f"<td>{said.get(key, '–')}</td>" for key in ("nfe", "1", "64", "fid"))
    return f'<tr><th scope="row">{html.escape(registry.spec(name).title)}</th>{cells}</tr>'
