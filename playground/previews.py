"""What a model shows of itself while it trains: always the same latents drawn, or pictures translated."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from playground import data, registry
from playground.spec import GenerativeModel, ModelSpec, Samples, Translates

NUM_PREVIEWS = 16
_FROM = ("Samples", "Translates")  # capabilities that give something to see


def possible(spec: ModelSpec) -> bool:
    """Whether a model of that spec has anything to show."""
    return any(capability in spec.capabilities for capability in _FROM)


def names() -> list[str]:
    """The models that have anything to show, in the registry's order."""
    return [name for name in registry.names() if possible(registry.spec(name))]


@torch.no_grad()
def draw(
    spec: ModelSpec,
    model: GenerativeModel,
    dataset: str,
    seed: int,
    device: torch.device,
    hurried: Callable[[], bool] = lambda: False,
) -> Tensor:
    """(16, C, H, W) in [-1, 1] on the CPU, the same latents, labels or held-out pictures every time.

    A model that draws shows 16 of its pictures; once `hurried` it stops after the next step. One that
    translates shows four held-out pairs in four rows, see `Translates.translated_pairs`.
    """
    if not isinstance(model, Samples):
        return _translated(cast(Translates, model), dataset, device)
    labels = data.in_turn(NUM_PREVIEWS).to(device) if spec.conditional else None
    generator = torch.Generator().manual_seed(seed)
    controls = spec.defaults() | dict(spec.preview)
    for moment in model.sample(NUM_PREVIEWS, labels=labels, generator=generator, **controls):
        last = moment.x
        if hurried():
            break
    return last.detach().float().cpu()


def _translated(model: Translates, dataset: str, device: torch.device) -> Tensor:
    held_out = data.load(dataset, "test").images
    rows = torch.arange(NUM_PREVIEWS // 4) * (len(held_out) // (NUM_PREVIEWS // 4))
    return model.translated_pairs(data.to_float(held_out[rows]).to(device)).float().cpu()
