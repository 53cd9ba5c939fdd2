"""How well a model translates: scores on held-out pictures whose true counterparts are known.

For every direction, beside the same number for two answers that need no model: the picture as it is (doing
nothing), and the most similar one among the training pictures of the other look (the nearest neighbour, by
the root mean square of pixels, in grey where only one look has colours). Pixels are in [-1, 1].

- ``l1_ab``, ``ssim_ab``: distance and similarity of the translation to the true counterpart;
  ``lower`` is by how much the distance is lower than doing nothing's, a share of it.
- ``cycle_ab``: distance of the picture from itself after there and back again, for models that go back.
- ``palette_ab``: distance between the colours of all translations and of all true counterparts: the sliced
  Wasserstein-1 distance of their inked pixels (those that are not paper), over 32 fixed directions.
- ``fid_ab``: Frechet distance on the features of the classifier that knows such pictures, against the
  training pictures of the target; ``floor`` is that of as many true counterparts.
- ``recognised_ab``: how many translations that classifier puts into the right class; ``real`` is how many
  true counterparts.
- ``spread_ab``: how much draws of one translation differ, for models with noise: the standard deviation.
- ``ms_per_image_1``: milliseconds for one picture.
"""

import statistics
import time
from typing import Any, cast

import torch
from torch import Tensor

from playground import data, judge, metrics, registry, translating, weights
from playground.device import title
from playground.judge import Metrics, entry
from playground.measuring import SEED, Clock, Part
from playground.spec import GenerativeModel, ModelSpec, Translates
from playground.translating import BACK, Route

MAX_NUM = 1_000  # held-out pictures a direction
_BATCH = 64
_COLOURS = 100_000  # pixels that a palette is measured on
_DIRECTIONS = 32
_INK = 0.06  # a pixel that is so far from paper is inked
_DRAWS, _DRAWN = 4, 32  # draws of so many pictures
_RUNS = 15


@torch.no_grad()
def measure(spec: ModelSpec, model: GenerativeModel, num: int) -> Part:
    """All scores of a model, in all its directions, on at most `num` held-out pictures."""
    result: Metrics = {}
    translator = cast(Translates, model)
    for direction in translator.directions:
        way = translating.route(spec, direction)
        result |= yield from _direction(translator, way, min(num, MAX_NUM))
    result["ms_per_image_1"] = speed(spec, model)
    return result


def _direction(model: Translates, way: Route, num: int) -> Part:
    x8, truth8 = translating.held_out(way)
    chosen = judge.some(len(x8), num)
    x, truth = data.to_float(x8[chosen]), data.to_float(truth8[chosen])
    clock, parts, name = Clock("translation", len(x)), [], way.direction
    for batch in x.split(_BATCH):
        parts.append(_there_and_back(model, batch, name))
        yield clock.event(sum(len(part[0]) for part in parts))
    y = torch.cat([part[0] for part in parts])
    nothing, neighbour = translating.alike(x, y.shape[1]), nearest(x, way)
    result = _close(name, y, truth, nothing, neighbour)
    if BACK[name] in model.directions:
        back = torch.cat([cast(Tensor, part[1]) for part in parts])
        result[f"cycle_{name}"] = entry(translating.l1(back, x).mean().item(), len(x))
    paper = way.target.paper
    result[f"palette_{name}"] = entry(
        palette_distance(y, truth, paper), len(x), nothing=_short(palette_distance(nothing, truth, paper))
    )
    labels = data.load(way.dataset, "test").labels[chosen]
    return result | _spread(model, x, name) | _judged(way, y, truth, nothing, labels)


def _there_and_back(model: Translates, x: Tensor, direction: str) -> tuple[Tensor, Tensor | None]:
    device = judge.device_of(cast(GenerativeModel, model))
    y = model.translate(x.to(device), direction)
    back = model.translate(y, BACK[direction]).float().cpu() if BACK[direction] in model.directions else None
    return y.float().cpu(), back


def _close(name: str, y: Tensor, truth: Tensor, nothing: Tensor, neighbour: Tensor) -> Metrics:
    """Distance and similarity to the truth, beside those of doing nothing and of the nearest neighbour."""
    found = {}
    for key, measured in (("l1", translating.l1), ("ssim", translating.ssim)):
        mine, idle, near = (measured(z, truth).mean().item() for z in (y, nothing, neighbour))
        found[f"{key}_{name}"] = entry(mine, len(y), nothing=_short(idle), neighbour=_short(near))
        if key == "l1":
            found[f"{key}_{name}"]["lower"] = _short(1 - mine / idle)
    return found


def nearest(x: Tensor, way: Route) -> Tensor:
    """The training pictures of the target that look most like x (B, C, H, W) as it is: (B, C', H, W)."""
    known = translating.training(way)[1]
    known = known[judge.some(len(known), 10_000)]
    flat = data.to_float(translating.alike(known.float(), x.shape[1]).round().byte()).flatten(1)
    best = torch.cat([torch.cdist(batch.flatten(1), flat).argmin(1) for batch in x.split(_BATCH)])
    return data.to_float(known[best])


def palette_distance(one: Tensor, other: Tensor, paper: float) -> float:
    """Sliced Wasserstein-1 distance of the inked pixels of two sets of pictures (N, C, H, W) in [-1, 1].

    Colours are points in C dimensions; on each of 32 fixed directions of length 1 both sets are put in order,
    as equally many quantiles, and the mean distance of the two orders is taken. Zero if neither has ink.
    """
    channels = one.shape[1]
    clouds = [_inked(x, paper) for x in (one, other)]
    if not all(map(len, clouds)):
        return 0.0 if len(clouds[0]) == len(clouds[1]) else 2.0
    generator = torch.Generator().manual_seed(SEED)
    axes = torch.nn.functional.normalize(torch.randn(channels, _DIRECTIONS, generator=generator), dim=0)
    levels = torch.linspace(0, 1, 501)
    quantiles = [torch.quantile(cloud @ axes, levels, dim=0) for cloud in clouds]
    return float((quantiles[0] - quantiles[1]).abs().mean())


def _inked(x: Tensor, paper: float) -> Tensor:
    """(M, C) colours of the pixels that are not paper, at most `_COLOURS` of them."""
    colours = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
    colours = colours[((colours - paper).abs() > _INK).any(1)]
    return colours[judge.some(len(colours), _COLOURS)]


def _spread(model: Translates, x: Tensor, direction: str) -> Metrics:
    """Whether noise changes a translation; nothing for models that have none."""
    few = x[:_DRAWN].to(judge.device_of(cast(GenerativeModel, model)))
    generator = torch.Generator().manual_seed(SEED)
    draws = torch.stack([model.translate(few, direction, generator) for _ in range(_DRAWS)])
    value = draws.std(0).mean().item()
    return {f"spread_{direction}": entry(value, len(few), draws=_DRAWS)} if value else {}


def _judged(way: Route, y: Tensor, truth: Tensor, nothing: Tensor, labels: Tensor) -> Metrics:
    """What the classifier that knows the target's pictures says, if there is one with weights."""
    name = judge_of(way.target.judge)
    if name is None:
        return {}
    model, key = registry.load(name), way.direction
    answers = {"fake": y, "real": truth, "nothing": nothing}
    seen = {which: judge.seen_by(model, x) for which, x in answers.items()}
    known = translating.training(way)[1]
    known = known[judge.some(len(known), 10_000)]
    real = torch.cat([judge.seen_by(model, data.to_float(batch))[0] for batch in known.split(_BATCH)])
    floor, distance, idle = (metrics.fid(real, seen[which][0]) for which in ("real", "fake", "nothing"))
    right = {k: (logits.argmax(1) == labels).double().mean().item() for k, (_, logits) in seen.items()}
    more: dict[str, Any] = {
        "num_real": len(real),
        "floor": _short(floor),
        "nothing": _short(idle),
        "judge": name,
    }
    return {
        f"fid_{key}": entry(distance, len(y), **more),
        f"recognised_{key}": entry(right["fake"], len(y), real=_short(right["real"]), judge=name),
    }


def judge_of(dataset: str) -> str | None:
    """The classifier of a data set, if there is one with weights that can be used."""
    for name in registry.names("Classifies"):
        if dataset and registry.spec(name).dataset == dataset and weights.shipped(name):
            return name
    return None


@torch.no_grad()
def speed(spec: ModelSpec, model: GenerativeModel) -> dict[str, Any]:
    """Milliseconds that one picture takes, in the model's first direction: the median of some runs."""
    translator, device = cast(Translates, model), judge.device_of(model)
    direction = translator.directions[0]
    x = data.to_float(translating.held_out(translating.route(spec, direction))[0][:1]).to(device)
    runs = []
    for _ in range(_RUNS + 1):
        start = time.perf_counter()
        translator.translate(x, direction).cpu()
        runs.append(1000 * (time.perf_counter() - start))
    facts = {"num_runs": _RUNS, "device": title(device), "num_threads": torch.get_num_threads()}
    return entry(statistics.median(runs[1:]), 1, **facts)


def _short(value: float) -> float:
    return float(f"{value:.5g}")
