"""The switches of adversarial training together: which undo each other, and what is said of it."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from playground import data, registry
from playground.models.sngan import SNGAN, SNGANConfig
from playground.spec import Recipe
from playground.training import Training

HP = Recipe(num_steps=4, batch_size=8, lr=4e-4, ema=0.9)
SHAPE = {"latent_dim": 8, "generator_widths": (16, 12, 8), "discriminator_widths": (8, 12, 16)}
BUILT_WITH = [
    name
    for name in registry.names("Samples")
    if any(s.key == "spectral_norm" and s.default for s in registry.spec(name).switches)
]


def layers(model):
    return [m for m in model.discriminator.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


@pytest.mark.parametrize("name", BUILT_WITH)
def test_spectral_norm_that_a_model_is_built_with_can_be_left_out(name):
    spec = registry.spec(name)
    run = Training(spec, data.load(spec.dataset, "train"), HP, switches={"spectral_norm": False})
    assert layers(run.model) and not any(is_parametrized(layer) for layer in layers(run.model))
    trained = {id(p) for o in run.optimizers.values() for g in o.param_groups for p in g["params"]}
    assert trained == {id(p) for p in run.model.parameters()}
    before = [layer.weight.detach().clone() for layer in layers(run.model)]
    run.update()
    assert not any(
        torch.equal(old, layer.weight) for old, layer in zip(before, layers(run.model), strict=True)
    )
    assert run.preview() is not None and run.switches["spectral_norm"] is False


def test_what_is_left_without_spectral_norm_is_the_plain_game():
    """The same weights are drawn; with the norm taken off they are those that it divided."""
    made = []
    for model, techniques in ((SNGAN, {"spectral_norm": False}), (SNGAN, {})):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            made.append(model(SNGANConfig(**SHAPE)))
        made[-1].tune(techniques)
    off, on = made
    assert set(off.state_dict()) == {key.replace(".parametrizations.weight.original", ".weight") for key
                                     in on.state_dict() if not key.endswith(("._u", "._v"))}  # fmt: skip
    for plain, normed in zip(layers(off), layers(on), strict=True):
        assert torch.equal(plain.weight, normed.parametrizations.weight.original)
    off.tune({"spectral_norm": True})
    assert all(is_parametrized(layer) for layer in layers(off))
