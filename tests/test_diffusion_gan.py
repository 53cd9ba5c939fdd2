"""Diffusion-GAN: the noise that its discriminator sees through, and how much of it there is."""

import dataclasses

import pytest
import torch

from playground import data, registry
from playground.models import diffusion_gan
from playground.models.diffusion_gan import SPECS, DiffusionGAN, DiffusionGANConfig
from playground.spec import Batch

SPEC = SPECS[0]
SMALL = DiffusionGANConfig(generator_widths=(16, 8, 8), discriminator_widths=(8, 8, 16), latent_dim=8)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def small(**changes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return DiffusionGAN(dataclasses.replace(SMALL, **changes)).train()


def batch(step=0, num=8):
    images = data.load("mnist", "train")
    return Batch(data.to_float(images.images[:num]), images.labels[:num], rng(step), 0.0, step)


def test_it_is_the_conditional_gan_but_for_what_its_discriminator_sees():
    other = next(s for s in map(registry.spec, registry.names("Samples")) if s.paper == "1411.1784")
    assert SPEC.recipe == other.recipe
    mine, theirs = dataclasses.asdict(SPEC.config), dataclasses.asdict(other.config)
    assert {key: mine[key] for key in theirs} == theirs
    shapes = [{key: tuple(p.shape) for key, p in spec.build().named_parameters()} for spec in (SPEC, other)]
    assert [key for key in shapes[1] if shapes[0][key] != shapes[1][key]] == ["discriminator.body.0.weight"]
    assert shapes[0].keys() == shapes[1].keys()


def test_diffusing_mixes_picture_and_noise_and_adds_the_plane_of_t():
    model, x = small(), batch(num=3).x
    eps = torch.randn(x.shape, generator=rng())
    t = torch.tensor([0, 400, 1000])
    seen = model.diffuse(x, eps, t)
    assert seen.shape == (3, 2, 28, 28)
    assert torch.equal(seen[0, :1], x[0]) and torch.equal(seen[0, 1], torch.zeros(28, 28))
    assert (seen[1, 1] == 0.4).all() and (seen[2, 1] == 1).all()
    torch.testing.assert_close(seen[2, :1], SMALL.noise * eps[2], rtol=0, atol=0.02)
    betas = torch.linspace(1e-4, 2e-2, 1000, dtype=torch.float64)
    a = (1 - betas[:400]).prod().float()
    torch.testing.assert_close(seen[1, :1], a.sqrt() * x[1] + (1 - a).sqrt() * SMALL.noise * eps[1])


def test_half_of_the_pictures_stay_clean_and_large_t_come_more_often():
    model = small()
    model.reach.fill_(100)
    t = model.draw_t(40_000, rng(), torch.device("cpu"))
    assert t.min() == 0 and t.max() == 100
    assert (t == 0).float().mean().item() == pytest.approx(0.5, abs=0.02)
    counts = torch.bincount(t, minlength=101)[1:].float()
    share = counts / counts.sum()
    torch.testing.assert_close(share[9::10], torch.arange(10, 101, 10) / 5050, rtol=0.2, atol=5e-4)


@pytest.mark.parametrize("reach", [5, 1000])
def test_the_probability_of_t_is_exactly_in_proportion_to_it(reach, monkeypatch):
    """Every t of a fine comb of uniform numbers, whose shares are the probabilities."""
    num = 50 * reach * (reach + 1) // 2 if reach < 10 else 500_500
    comb = (torch.arange(num) + 0.5) / num
    draws = iter((comb, torch.zeros(num)))  # the second decides that none stays clean
    monkeypatch.setattr(diffusion_gan, "rand", lambda *given: next(draws))
    model = small()
    model.reach.fill_(float(reach))
    counts = torch.bincount(model.draw_t(num, rng(), torch.device("cpu")), minlength=reach + 1)[1:]
    expected = num * torch.arange(1, reach + 1) / (reach * (reach + 1) / 2)
    assert (counts - expected).abs().max() <= 2, "but for the rounding of 32 bits"


@pytest.mark.parametrize(("score", "way"), [(3.0, 1), (-3.0, -1)])
def test_the_noise_grows_while_the_discriminator_is_sure_and_falls_while_it_is_not(score, way):
    model = small()
    model.reach.fill_(500.0)
    values = []
    for step in range(400):
        model.adapt(torch.full((64,), score), step)
        values.append(model.reach.item())
    assert model.r_d.item() == pytest.approx(way, abs=1e-4)
    settled = torch.tensor(values[40:240:4])
    assert (way * settled.diff() > 0).all(), "every step the same way"
    stride = 4 * 64 / SMALL.crossing * (SMALL.max_reach - SMALL.min_reach)
    torch.testing.assert_close(settled.diff().abs(), torch.full((49,), stride), rtol=1e-3, atol=1e-3)
    assert all(SMALL.min_reach <= value <= SMALL.max_reach for value in values)


def test_the_target_is_where_the_noise_turns():
    """Four of five real pictures called real make r_d = 0.6; a little more or less and T moves."""
    for share, way in ((0.85, 1), (0.75, -1)):
        model = small()
        model.reach.fill_(500.0)
        score = torch.where(torch.arange(100) < 100 * share, 1.0, -1.0)
        for step in range(200):
            model.adapt(score, step)
        assert model.r_d.item() == pytest.approx(2 * share - 1, abs=1e-4)
        assert (model.reach.item() - 500) * way > 0


@pytest.mark.parametrize(
    ("loss", "score", "way"),
    [("least-squares", 0.3, -1), ("least-squares", 0.7, 1), ("non-saturating", 0.3, 1), ("hinge", -0.3, -1)],
)
def test_what_counts_as_sure_is_the_losss_own(loss, score, way):
    """Least squares asks for 1 and 0, so 0.3 is called fake; a logit of 0.3 is called real."""
    model = small()
    model.tune({"loss": loss})
    for step in range(60):
        model.adapt(torch.full((8,), score), step)
    assert model.r_d.item() == pytest.approx(way, abs=1e-4)


def test_the_noise_keeps_its_range():
    model = small()
    for score, end in ((1.0, SMALL.max_reach), (-1.0, SMALL.min_reach)):
        for step in range(2400):
            model.adapt(torch.full((128,), score), step)
        assert model.reach.item() == end


def test_the_noise_survives_a_state_dict_and_is_among_the_curves():
    model = small()
    optimizers = model.make_optimizers(SPEC.recipe)
    seen = []
    for step in range(8):
        told = model.train_step(batch(step), optimizers)
        seen.append((told["r_d"], told["reach"]))
    assert len({r_d for r_d, _ in seen}) > 4, "every update has its say"
    assert told["reach"] == model.reach.item() and told["r_d"] == pytest.approx(model.r_d.item())
    model.reach.fill_(321.0)
    model.r_d.fill_(0.25)
    other = small()
    other.load_state_dict(model.state_dict())
    assert (other.reach.item(), other.r_d.item()) == (321.0, 0.25)
    assert "alphas_cumprod" not in model.state_dict()


def test_real_and_drawn_pictures_get_the_same_amount_of_noise():
    model, seen = small(), []
    model.reach.fill_(1000.0)
    model.discriminator.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    model.train_step(batch(num=32), model.make_optimizers(SPEC.recipe))
    real, fake, *_ = seen
    assert torch.equal(real[:, 1], fake[:, 1]) and real[:, 1].unique().numel() > 8
    assert not torch.equal(real[:, 0], fake[:, 0])


class Linear(torch.nn.Module):
    """D(y, t) = w . y + v . t with a v far larger than w; labels are not looked at."""

    def __init__(self):
        super().__init__()
        scale = torch.tensor([1.0, 100.0]).view(2, 1, 1)
        self.weight = torch.nn.Parameter(scale * torch.randn(2, 28, 28, generator=rng(1)))

    def forward(self, x, labels):
        return (x * self.weight).sum(dim=(1, 2, 3))


@pytest.mark.parametrize("penalty", ["R1", "gradient penalty"])
def test_penalties_are_of_the_slope_in_the_picture_and_not_in_t(penalty):
    """1801.04406, eq. 9, and 1704.00028, eq. 3: how steeply D's output changes with t costs nothing."""
    model = small()
    model.tune({"penalty": penalty, "penalty_weight": 4.0})
    model.discriminator = Linear()
    model.reach.fill_(1000.0)
    norm = model.discriminator.weight[0].norm().item()
    told = model.train_step(batch(num=16), model.make_optimizers(SPEC.recipe))
    expected = 2 * norm**2 if penalty == "R1" else 4 * (norm - 1) ** 2
    assert told["penalty"] == pytest.approx(expected, rel=1e-4)
