"""Drawing with the discriminator's help: where it starts, what it heads for, what it leaves alone."""

import pytest
import torch
from torch import nn

from playground import registry
from playground.models._langevin import POPULATION
from playground.models.dcgan import DCGAN, DCGANConfig
from playground.models.wgan import WGAN, WGANConfig

WIDTHS = {"latent_dim": 8, "generator_widths": (16, 12, 8), "discriminator_widths": (8, 12, 16)}


def rng(seed=5):
    return torch.Generator().manual_seed(seed)


def small(cls=DCGAN, config=DCGANConfig):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return cls(config(**WIDTHS)).eval()


class Flat(nn.Module):
    """Pictures whose first eight pixels are the latents."""

    def __init__(self):
        super().__init__()
        self.device = nn.Parameter(torch.zeros(()))  # which a sampler reads from the first parameter

    def forward(self, z, labels=None):
        return nn.functional.pad(z, (0, 784 - z.shape[1])).view(-1, 1, 28, 28)


class Hill(nn.Module):
    """An output that is highest where the first eight pixels are 1: -|1 - x|^2 / 2."""

    def forward(self, x, labels=None):
        return -0.5 * (1 - x.flatten(1)[:, :8]).square().sum(1)


def linear(weight=1.0, step_size=0.5):
    model = small()
    model.generator, model.discriminator = Flat(), Hill()
    model.weight, model.step_size = weight, step_size
    return model


@pytest.mark.parametrize("weight", [1.0, 3.0])
@pytest.mark.parametrize("width", [1.0, 0.5])
def test_the_walk_draws_from_the_product_of_prior_and_discriminator(weight, width):
    """Both are normal here, so is their product: precision p = 1 + w s^2 of z, mean w s / p, s the width."""
    model = linear(weight, step_size=0.05)
    *_, last = model.sample(4000, generator=rng(), langevin=150, truncation=width)
    z = last.x.flatten(1)[:, :8] / width
    precision = 1 + weight * width**2
    assert z.mean().item() == pytest.approx(weight * width / precision, abs=0.02)
    # a step of eps leaves a variance of 1 / (p (1 - eps p / 4)), not quite 1 / p
    assert z.var().item() == pytest.approx(1 / (precision * (1 - 0.05 * precision / 4)), rel=0.04)


@pytest.mark.parametrize(("cls", "config"), [(DCGAN, DCGANConfig), (WGAN, WGANConfig)])
@pytest.mark.parametrize("num", [1, 3])
def test_it_starts_where_the_generator_alone_ends(cls, config, num):
    model = small(cls, config)
    (alone,) = model.sample(num, generator=rng(), langevin=0)
    moments = list(model.sample(num, generator=rng(), langevin=3))
    torch.testing.assert_close(moments[0].x, alone.x, rtol=1e-4, atol=1e-5)
    assert [m.step for m in moments] == [1, 2, 3, 4] and {m.num_steps for m in moments} == {4}
    assert [m.nfe for m in moments] == [1, 5, 9, 13] and alone.nfe == 1
    assert all(m.x.shape == (num, 1, 28, 28) and not m.x.requires_grad for m in moments)
    assert not torch.equal(moments[-1].x, alone.x)
    assert torch.is_grad_enabled() and all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("label", [0, 7])
def test_labels_stay_as_asked(label):
    model = small(WGAN, WGANConfig)
    told = []
    model.generator.register_forward_pre_hook(lambda module, given: told.append(given[1]))
    list(model.sample(4, labels=torch.full((4,), label), generator=rng(), langevin=2))
    population, *asked = told
    assert all((labels == label).all() for labels in asked)
    assert len(population) == POPULATION and len(population.unique()) == 10


def test_each_picture_is_judged_as_one_of_a_population_of_the_generators(monkeypatch):
    """For the population itself that is the gradient through batch norm, and no picture needs the others."""
    monkeypatch.setattr("playground.models._langevin.POPULATION", 40)
    model = small()
    judge, z = model._judge(torch.device("cpu")), torch.randn(40, 8, generator=rng(0))
    expected = model._score(model.discriminator, z, 1.0, None)[1]
    for some in (slice(None), slice(0, 1), slice(7, 12)):
        error = model._score(judge, z[some], 1.0, None)[1] - expected[some]
        assert error.abs().max() < 1e-4 * expected.abs().max()


def test_the_judge_is_kept_until_a_weight_changes(monkeypatch):
    model, made = small(), []
    judge = model._judge
    monkeypatch.setattr(model, "_judge", lambda device: made.append(device) or judge(device))
    walk = {"generator": rng(), "langevin": 1}
    for player in (None, model.generator, model.discriminator):
        if player is not None:
            torch._foreach_mul_([p.detach() for p in player.parameters()], 0.9)
        for _ in range(2):
            list(model.sample(2, **walk))
    assert len(made) == 3
    assert set(model.state_dict()) == set(small().state_dict()), "it is no part of the weights"


def test_nothing_is_left_in_the_way_while_a_moment_is_looked_at():
    """Whoever draws may compute gradients of their own between two moments, or forbid them."""
    model = linear()
    with torch.no_grad():
        moments = model.sample(2, generator=rng(), langevin=2)
        for _ in moments:
            assert not torch.is_grad_enabled()
    for _ in model.sample(2, generator=rng(), langevin=2):
        assert torch.is_grad_enabled()


@pytest.mark.parametrize("name", ["dcgan", "wgan"])
def test_the_shipped_discriminator_likes_what_it_has_corrected(name):
    model = registry.load(name)
    labels = torch.arange(64) % 10 if registry.spec(name).conditional else None
    (alone,) = model.sample(64, labels=labels, generator=rng(), langevin=0)
    *_, corrected = model.sample(64, labels=labels, generator=rng(), langevin=10)
    with torch.no_grad():
        before, after = (model.discriminator(x, labels).mean() for x in (alone.x, corrected.x))
    assert after > before
