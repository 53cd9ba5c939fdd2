"""The Latent tab's section on truncation: the same seeds at every spread, and what the card measured."""

from typing import Any

import torch
from torch import Tensor

from playground import latent, registry, svg, weights
from playground.locale import both, words
from playground.spec import HasStyles, ModelSpec, Words
from playground.tabs import latent_panel as panel
from playground.tabs.latent_request import Asked
from playground.tabs.latent_sections import Section, held, is_digits

SPREADS = torch.linspace(0, 1.5, 16)
NUM_SPREAD = 25  # pictures at each spread
WIDTH = 420  # of the view box of the curves
TRADED = ("fid", "precision", "recall", "coverage")  # along truncation, on the card


def truncation(model: Any, asked: Asked) -> Section:
    """The same seeds at every spread: typical and alike, or varied and odd."""
    base, unscaled = latent.draw(model, asked.seeds[0], num=NUM_SPREAD), isinstance(model, HasStyles)
    frames: list[Tensor] = []
    says: list[str] = []
    curves: dict[str, list[tuple[float, float]]] = {"confidence": [], "diversity": []}
    for done, spread in enumerate(SPREADS.tolist(), 1):
        z, labels = base if unscaled else spread * base, asked.labels(NUM_SPREAD)
        x = torch.cat(list(latent.decode(model, z, labels, NUM_SPREAD, spread)))
        side = int(NUM_SPREAD**0.5)
        frames.append(torch.cat([torch.cat(list(line), 2) for line in x.split(side)], 1))
        curves["diversity"].append((spread, latent.diversity(x, asked.spec)))
        said = both("latent.diversity", diversity=f"{curves['diversity'][-1][1]:.2f}")
        if is_digits(asked):
            curves["confidence"].append((spread, latent.confidence(x)))
            said += both("latent.confidence", confidence=f"{curves['confidence'][-1][1]:.0%}")
        says.append(said)
        yield done / len(SPREADS)
    plot = _plot({k: v for k, v in curves.items() if v}, words("latent.spread_axis"), SPREADS[-1].item())
    left, span = 100 * svg.LEFT / WIDTH, 100 * (WIDTH - svg.LEFT - svg.RIGHT) / WIDTH
    plot = f'<div class="cursor" style="--left:{left:.2f}%;--span:{span:.2f}">{plot}<i></i></div>'
    strip = panel.row(both("latent.sheet", num=NUM_SPREAD), torch.stack(frames), says=says, large=True)
    yield panel.reel(
        [strip], [f"{s:.1f}" for s in SPREADS.tolist()],
        both("latent.truncation_status", model=asked.spec.title) + held(asked), start=10,
        note=f'<figure class="plot">{plot}</figure>' + both("latent.truncation_note") + _measured(asked.spec),
    )  # fmt: skip


def _plot(curves: dict[str, list[tuple[float, float]]], axis: Words, end: float, **options: Any) -> str:
    """Curves over what truncates; the values are said at the slider, so the legend has none."""
    sizes: dict[str, Any] = {"width": WIDTH, "height": 220, "title": words("latent.truncation")}
    return svg.curves_svg(curves, last_step=end, axis=axis, values=False, **sizes, **options)


def _measured(spec: ModelSpec) -> str:
    """Fidelity and variety along the model's own control, as its card has them; nothing if it has none."""
    found = registry.card(spec.name)["metrics"].get("truncation") if weights.shipped(spec.name) else None
    if found is None:
        return ""
    curves = {key: list(zip(found["settings"], found[key], strict=True)) for key in TRADED}
    end = words("latent.truncation"), found["settings"][-1]
    shares = _plot({key: curves[key] for key in TRADED[1:]}, *end, bounds=(0.0, 1.0))
    distance = _plot({"FID": curves["fid"]}, *end, log=True, colour=3)
    text = both("latent.truncation_measured", num=f"{found['num']:,}", best=f"{found['value']:g}")
    return f'<figure class="plot">{shares}{distance}</figure>' + text
