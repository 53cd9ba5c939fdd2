"""What the contract tests share: the models there are, untrained, and pictures as they see them."""

from functools import cache

import pytest
import torch

from playground import data, registry
from playground.spec import GenerativeModel

NAMES = registry.names()


def having(capability: str):
    """Parametrise over the models with a capability."""
    return pytest.mark.parametrize("name", registry.names(capability))


def rng(seed: int = 0) -> torch.Generator:
    """A seeded CPU generator."""
    return torch.Generator().manual_seed(seed)


@cache
def fresh(name: str) -> GenerativeModel:
    """An untrained model, shaken so that layers that start at zero take part."""
    model = registry.build(name)
    generator = rng(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return model.eval().requires_grad_(False)


def pictures(name: str, num: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Real pictures of a model's data set as it sees them, and their labels if it takes any."""
    spec = registry.spec(name)
    images = data.load(spec.dataset, "test")
    x = data.to_float(images.images[:num])
    levels = getattr(spec.model, "levels", spec.levels)  # those of its likelihood, if it has one
    x = data.binarise(x, rng()) if levels == 2 else x
    return x, images.labels[:num] if spec.conditional else None


def labels_for(name: str, num: int, first: int = 0) -> torch.Tensor | None:
    """Labels for a conditional model, None for another."""
    return (torch.arange(num) + first) % 10 if registry.spec(name).conditional else None


def draw(name: str, model: GenerativeModel, num: int = 2, seed: int = 0, labels=None, **controls) -> list:
    """All moments of sampling with the controls of quick previews."""
    chosen = {**registry.spec(name).preview, **controls}
    labels = labels_for(name, num) if labels is None else labels
    with torch.no_grad():
        return list(model.sample(num, labels=labels, generator=rng(seed), **chosen))
