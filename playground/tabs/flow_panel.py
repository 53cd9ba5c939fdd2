"""What the Flow section's panels are sent: the way to z and back, edited latents, samples by temperature."""

import html
import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from playground import flowing, locale, scoring
from playground.flowing import CHOICES, Layer, Way
from playground.locale import both
from playground.spec import ModelSpec
from playground.tabs.pieces import address, chip, cost, spoken

NAMES = {
    1: ("all",),
    3: ("whole", "middle", "detail"),
    4: ("quarter_1", "quarter_2", "quarter_3", "quarter_4"),
}


def layer_name(name: str) -> str:
    """A layer's name as HTML in both languages: what is known is translated, a number at its end is kept."""
    word, _, count = name.rpartition(" ")
    word, count = (word, count) if count.isdigit() else (name, "")
    key = f"flow.layer_{word.replace(' ', '_')}"
    said = both(key) if key in locale.table("en") else html.escape(word)
    return f"{said} {count}".strip()


def layer_about(name: str) -> str:
    """What a layer does, as HTML; nothing for one that nothing is known of."""
    key = f"flow.about_{name.rstrip('0123456789').strip().replace(' ', '_')}"
    return both(key) if key in locale.table("en") else ""


def way(found: Way, spec: ModelSpec, x: Tensor) -> str:
    """The way's frames with their numbers, and what the density is made of."""
    frames = [x, *(layer.picture for layer in found.layers), found.again]
    titles = [both("flow.picture"), *(layer_name(layer.name) for layer in found.layers), both("flow.back")]
    says = [both("flow.picture_says"), *map(_layer_says, found.layers), _back_says(found)]
    bars = [(0, found.log_normal, both("flow.base"))]
    bars += [(i, layer.log_det, title) for i, (layer, title) in enumerate(_named(found.layers), 1)]
    bits = scoring.bits_per_dim(found.nats, x.numel())
    said = f"{both('flow.status', model=spec.title)} {cost(found.nfe, found.seconds)}"
    return json.dumps({
        "status": f"{chip('done')}<span>{said}</span>",
        "strip": address(torch.cat(frames), len(frames)),
        "titles": titles,
        "says": says,
        "bars": [{"frame": frame, "value": round(value, 1), "title": title} for frame, value, title in bars],
        "sum": both("flow.sum", nats=_signed(found.nats), bits=f"{bits:.3f}", dims=x.numel()),
        "error": _error(found.error),
    })  # fmt: skip


def _named(layers: Sequence[Layer]) -> list[tuple[Layer, str]]:
    return [(layer, layer_name(layer.name)) for layer in layers]


def _layer_says(layer: Layer) -> str:
    numbers = {
        "mean": f"{layer.mean:.2f}".replace("-", "−"),
        "std": f"{layer.std:.2f}",
        "nats": _signed(layer.log_det),
    }
    return f"{layer_about(layer.name)} {both('flow.layer_says', **numbers)}"


def _back_says(found: Way) -> str:
    return both("flow.back_says") + " " + _error(found.error)


def _error(error: float) -> str:
    """The round trip's error, in the unit of pixels and in grey levels."""
    return both("flow.error", error=f"{error:.1e}", levels=f"{127.5 * error:.1e}")


def _signed(value: float) -> str:
    return f"{value:+,.1f}".replace("-", "−")


def editor(groups: int) -> str:
    """What stays in place of the editor: for every group of z a choice of where its values come from."""
    names = NAMES.get(groups, tuple(f"group_{index}" for index in range(1, groups + 1)))
    rows = "".join(
        f'<div class="group" data-group="{index}" role="group" aria-labelledby="pg-group-{index}">'
        f'<span id="pg-group-{index}">{_group(name, index)}</span><div>'
        + "".join(_choice(choice) for choice in CHOICES)
        + "</div></div>"
        for index, name in enumerate(names)
    )
    return f'<div class="groups">{rows}</div>'


def _group(name: str, index: int) -> str:
    key = f"flow.{name}"
    return both(key) if key in locale.table("en") else both("flow.group", number=index + 1)


def _choice(choice: str) -> str:
    pressed = str(choice == flowing.KEEP).lower()
    said = both(f"flow.{choice}")
    return f'<button type="button" data-choice="{choice}" aria-pressed="{pressed}">{said}</button>'


def editor_skeleton() -> str:
    """The frame of the editor; its groups come as a property."""
    return (
        '<div class="edit"><div class="slots"></div><label class="scale"><span>'
        f'{both("flow.scale")}</span><input type="range" min="0" max="1.5" step="0.05" value="1" '
        f'aria-label="{spoken("flow.scale")}"><output>1.00</output></label></div>'
    )


def edited(pictures: Sequence[tuple[str, Tensor, Tensor, str]]) -> str:
    """(title key, z as a picture, decoded, `cost`) of the picture, its edited latent and the other one."""
    figures = "".join(
        f'<figure><figcaption>{both(f"flow.{key}")}</figcaption><img src="{address(x)}" '
        f'alt="{spoken(f"flow.{key}")}"><img src="{address(z)}" alt="{spoken("flow.its_z")}">'
        f"<small>{took}</small></figure>"
        for key, z, x, took in pictures
    )
    return f'<div class="trio">{figures}</div>'


def temperatures(columns: Sequence[tuple[float, Tensor]], seconds: float, state: str = "running") -> str:
    """One column of samples for every temperature, the same latents in every row.

    Args:
        columns: of so far: the temperature and (B, C, H, W).
        seconds: that drawing them took.
        state: ``running``, ``done`` or ``stopped``.
    """
    said = both("flow.by_temperature_status")
    if state == "running":
        said = both("latent.share", percent=round(100 * len(columns) / len(flowing.TEMPERATURES)))
    if columns:
        said += " · " + cost(1, seconds, sum(len(x) for _, x in columns))
    cells = "".join(
        f'<figure><img src="{address(x, 1)}" alt=""><figcaption>{temperature:.1f}</figcaption></figure>'
        for temperature, x in columns
    )
    empty = "<figure></figure>" * (len(flowing.TEMPERATURES) - len(columns))
    return (
        f'<div class="heat"><div class="pg-status">{chip(state)}<span>{said}</span></div>'
        f'<div class="columns">{cells}{empty}</div></div>'
    )


def waiting() -> str:
    """Before samples are drawn."""
    return f'<div class="heat"><p class="ready">{both("flow.heat_ready")}</p></div>'


def skeleton() -> str:
    """What stays in place while the way changes."""
    return (
        '<div class="flow"><div class="pg-status"></div>'
        f'<p class="ready">{both("flow.ready")}</p><div class="body" hidden><div class="stage">'
        f'<div class="frame" role="img" aria-label="{spoken("flow.here")}"></div>'
        '<div><h3 class="title"></h3><p class="says"></p></div></div>'
        '<div class="pg-scrub"><button type="button" class="play" aria-label="'
        f'{spoken("sample.play")}">▶</button><input type="range" class="slider" min="0" max="1" value="0" '
        f'aria-label="{spoken("flow.layer")}"><output></output></div>'
        '<div class="film"><img alt=""><i></i></div>'
        f'<h3>{both("flow.bars")}</h3><div class="bars"></div><p class="sum"></p><p class="error"></p>'
        "</div></div>"
    )


def rough(z: Tensor, model: Any, x: Tensor) -> Tensor:
    """A latent as a picture, (1, 1, H, W): every variable at its pixel, black at -3 and white at 3."""
    *_, last = model.through(x)
    values = (z[0] / 3).clamp(-1, 1)
    if last.places is not None:
        values = torch.empty_like(values).scatter(0, last.places.cpu(), values)
    return values.view(1, *x.shape[1:])
