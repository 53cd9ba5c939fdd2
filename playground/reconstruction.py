"""How faithfully an autoencoder draws pictures again that it has not seen."""

from typing import Any, cast

import torch

from playground import data, judge
from playground.judge import entry
from playground.measuring import Clock, Part
from playground.spec import Encodes, GenerativeModel, HasLatent, ModelSpec, Samples

_BATCH = 100


def applies(spec: ModelSpec) -> bool:
    """Whether a model is an autoencoder and nothing more: it draws nothing by itself."""
    return issubclass(spec.model, Encodes) and issubclass(spec.model, HasLatent) and not _samples(spec)


def _samples(spec: ModelSpec) -> bool:
    return issubclass(spec.model, Samples)


@torch.no_grad()
def measure(spec: ModelSpec, model: GenerativeModel, num: int) -> Part:
    """Mean L1 distance of pixels in [-1, 1] and mean peak signal-to-noise ratio on held-out pictures."""
    images, device = data.load(spec.dataset, "test").images, judge.device_of(model)
    x = data.to_float(images[judge.some(len(images), num)])
    clock, distances, ratios = Clock("reconstruction", len(x)), [], []
    for batch in x.split(_BATCH):
        again = cast(HasLatent, model).decode(cast(Encodes, model).encode(batch.to(device))).cpu()
        error = (again - batch).flatten(1)
        distances.append(error.abs().mean(1))
        ratios.append(10 * torch.log10(4 / error.square().mean(1).clamp(min=1e-8)))
        yield clock.event(sum(map(len, distances)))
    facts: dict[str, Any] = {"pixels": "[-1, 1]"}
    return {
        "reconstruction_l1": entry(torch.cat(distances).mean().item(), len(x), **facts),
        "reconstruction_psnr": entry(torch.cat(ratios).mean().item(), len(x), unit="dB"),
    }
