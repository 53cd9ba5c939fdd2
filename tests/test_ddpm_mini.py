"""DDPM without skips and time: everything passes the narrowest layer, nothing else differs."""

import pytest
import torch
from torch import Tensor

from playground.models import ddpm
from playground.models.ddpm_mini import DDPMMini, DDPMMiniConfig
from playground.nn import UNetConfig

TINY = DDPMMiniConfig(unet=UNetConfig(widths=(8,), blocks=(0,), embedding=16), image_size=8, widths=(8, 16))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def model() -> DDPMMini:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return DDPMMini(TINY).eval().requires_grad_(False)


def noise(num: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(num, 1, 8, 8, generator=seeded(seed))


def test_what_it_predicts_is_the_noise_whatever_t_and_the_label_say(model):
    x = noise()
    for t in (20, 500, 950):
        for labels in (None, torch.arange(3)):
            found = model.predict(x, t, labels, 2.0)
            torch.testing.assert_close(found.eps_hat, model.denoiser(x), atol=1e-4, rtol=1e-3)
            again = model.add_noise(found.x0_hat, found.eps_hat, torch.full((3,), t))
            torch.testing.assert_close(again, x, atol=1e-4, rtol=1e-3)


def test_no_u_net_is_built_only_to_be_thrown_away(monkeypatch):
    monkeypatch.setattr(ddpm, "UNet", None)
    assert DDPMMini(TINY).denoiser.layers


def test_the_loss_is_that_of_the_noise(model):
    x0, eps, t = noise(seed=1).clamp(-1, 1), noise(seed=2), torch.tensor([5, 400, 900])
    expected = (model.denoiser(model.add_noise(x0, eps, t)) - eps).square().mean()
    for labels in (torch.zeros(3, dtype=torch.long), torch.arange(3)):
        torch.testing.assert_close(model.loss(x0, labels, eps, t), expected)


def test_there_is_no_way_past_the_narrowest_layer(model):
    """When that layer says the same, so does the network, whatever it sees: nothing is skipped."""
    narrow = model.denoiser.layers
    widest = max(range(len(narrow)), key=lambda i: getattr(narrow[i], "out_channels", 0))
    assert not torch.allclose(model.denoiser(noise(seed=1)), model.denoiser(noise(seed=2)), atol=1e-3)
    narrow[widest].register_forward_hook(lambda module, args, out: torch.ones_like(out))
    assert torch.equal(model.denoiser(noise(seed=1)), model.denoiser(noise(seed=2)))


def test_labels_and_guidance_cost_nothing_and_change_nothing(model):
    def draw(labels, **controls):
        *_, last = model.sample(3, labels=labels, generator=seeded(4), num_steps=5, **controls)
        return last

    one, other = draw(torch.tensor([1, 2, 3])), draw(torch.tensor([4, 5, 6]), guidance=3.0)
    assert torch.equal(one.x, other.x) and one.nfe == other.nfe == 5


def test_it_starts_from_the_noise_that_the_seed_gives(model):
    eps = torch.randn(2, 1, 8, 8, generator=seeded(4))
    first, *_ = model.denoise(eps, generator=seeded(4), num_steps=3)
    assert torch.equal(first.xt, eps)
    *_, last = model.sample(2, generator=seeded(4), num_steps=3)
    *_, step = model.denoise(eps, generator=seeded(4), num_steps=3)
    torch.testing.assert_close(last.x, step.x0_hat, atol=1e-5, rtol=0)
