"""What flows share: how pixels are dequantised, what is drawn and in what precision."""

import inspect

import pytest
import torch

from playground import flowing, registry
from playground.models import _flow

FLOWS = registry.names("Flows")


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_every_level_is_spread_evenly_over_its_bin():
    levels = torch.arange(256).repeat(200).view(200, 1, 16, 16)
    x = levels / 127.5 - 1
    spread = ((_flow.dequantise(x, rng()) + 1) * 127.5 + 0.5) - levels
    assert spread.min() > -1e-4 and spread.max() < 1 + 1e-4
    counts = torch.histc(spread, 10, 0, 1)
    torch.testing.assert_close(counts / counts.sum(), torch.full((10,), 0.1), rtol=0.05, atol=0)
    assert torch.equal(_flow.dequantise(x, rng()), _flow.dequantise(x, rng()))


@pytest.mark.parametrize("name", FLOWS)
def test_a_sample_is_the_inverse_of_noise_as_wide_as_the_control_stands(name):
    spec, model = registry.spec(name), registry.build(name).eval()
    assert isinstance(model, _flow.Flow) and spec.defaults() == {"temperature": model.temperature}
    z = torch.randn(2, *model.latent_shape, generator=rng(3))
    for controls, width in (({}, model.temperature), ({"temperature": 0.5}, 0.5)):
        (drawn,) = model.sample(2, generator=rng(3), **controls)
        assert torch.equal(drawn.x, model.decode(width * z)) and drawn.nfe == 1


@pytest.mark.parametrize("name", FLOWS)
def test_pictures_are_of_single_precision_whatever_the_latent_is(name):
    model = registry.build(name).eval().double()
    z = torch.randn(2, *model.latent_shape, generator=rng(), dtype=torch.float64)
    assert model.inverse(z).dtype == torch.float64 and model.decode(z).dtype == torch.float32


@pytest.mark.parametrize("name", FLOWS)
def test_training_likelihood_and_the_way_dequantise_alike(name, monkeypatch):
    """One function: whoever changes it changes it for all of them."""
    model, seen = registry.build(name).eval(), []

    def watched(x, generator):
        seen.append(x.shape)
        return dequantise(x, generator)

    dequantise = _flow.dequantise
    for module in (inspect.getmodule(type(model)), flowing):
        assert module.dequantise is dequantise
        monkeypatch.setattr(module, "dequantise", watched)
    x = torch.full((1, 1, 28, 28), -1.0)
    model.log_prob(x)
    flowing.travel(model, x)
    assert seen == [x.shape, x.shape]
