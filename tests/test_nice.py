"""NICE inverts, keeps volume but for its scales, and its density is the change of variables."""

import math

import pytest
import torch
from torch.autograd import functional as autograd
from torch.distributions import Normal, TransformedDistribution, Uniform
from torch.distributions.transforms import SigmoidTransform

from playground.models._flow import dequantise
from playground.models._logistic import logistic_log_prob, logistic_to_normal, normal_to_logistic
from playground.models.nice import NICE, SPECS, Coupling, NICEConfig, pattern
from playground.spec import Batch

TINY = NICEConfig(size=8, couplings=5, hidden=2, width=16)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(num, size=8, seed=0):
    """(num, 1, size, size) on 256 grey levels, most of them black, in [-1, 1]."""
    grey = torch.randint(-300, 256, (num, 1, size, size), generator=rng(seed)).clamp(min=0)
    return grey / 127.5 - 1


def build(config=TINY, spread=0.1):
    """A flow that is not the identity: its scales set by a batch, every weight moved at random."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = NICE(config)
    noise = rng(1)
    with torch.no_grad():
        model.log_prob(pictures(16, config.size), generator=noise)
        for parameter in model.parameters():
            parameter.add_(spread * torch.randn(parameter.shape, generator=noise))
    return model.eval()


@pytest.mark.parametrize("config", [TINY, SPECS[0].config])
def test_it_inverts_exactly(config):
    model = build(config, 0.1 if config is TINY else 0.01)
    x = pictures(6, config.size, seed=2)
    with torch.no_grad():
        z, _ = model.flow(x)
        assert (model.inverse(z) - x).abs().max() < 1e-4
        assert (model.decode(model.encode(x)) - x).abs().max() < 1e-4
        h = model.to_logistic(x)
        assert (model.from_logistic(h) - x).abs().max() < 1e-4
    assert z.shape == (6, *model.latent_shape) and (h - z).abs().max() > 1, "z is not the paper's h"


def test_the_log_determinant_is_autograds():
    model = build().double()
    x = dequantise(pictures(2, seed=4).double(), rng(5))
    _, log_det = model.flow(x)
    for i in range(2):
        jacobian = autograd.jacobian(lambda v: model.flow(v.view(1, 1, 8, 8))[0][0], x[i].flatten())
        torch.testing.assert_close(log_det[i], torch.linalg.slogdet(jacobian).logabsdet)


@pytest.mark.parametrize("index", range(TINY.couplings))
def test_a_coupling_keeps_volume_and_what_it_does_not_move(index):
    model = build().double()
    coupling, x = model.stack[index], torch.randn(64, generator=rng(6), dtype=torch.float64)

    def run(v):
        return coupling(v[None], model.log_scale.detach())[0]

    jacobian = autograd.jacobian(run, x)
    assert torch.linalg.det(jacobian).item() == pytest.approx(1.0, abs=1e-9)
    moved = pattern(8, index, TINY.couplings)
    assert torch.equal(run(x)[~moved], x[~moved]) and (run(x)[moved] != x[moved]).all()
    off = jacobian - torch.eye(64, dtype=torch.float64)
    assert not off[:, moved].any(), "what moves decides nothing"
    assert off[moved][:, ~moved].any()
    back = coupling.inverse(run(x)[None], model.log_scale)[0]
    torch.testing.assert_close(back, x, rtol=0, atol=1e-12)


def test_only_the_scales_change_volume():
    """The paper's layer (sec. 3.3): of all log-determinants of learned layers one is not zero, sum log S."""
    model = build()
    steps = {step.name: step.log_det for step in model.through(pictures(3, seed=7))}
    assert all((value == 0).all() for name, value in steps.items() if name.startswith("coupling"))
    torch.testing.assert_close(steps["scaling"], model.log_scale.sum().expand(3))
    assert sum(name.startswith("coupling") for name in steps) == TINY.couplings


def test_patterns_split_ever_coarser_grids_in_halves():
    board = pattern(8, 0, 6).view(8, 8)
    assert not (board[1:] & board[:-1]).any() and not (board[:, 1:] & board[:, :-1]).any()
    for index in range(4):
        moved = pattern(8, index, 6).view(8, 8)
        assert moved.sum() == 32
        side = 2 ** (index // 2)
        blocks = moved.unfold(0, side, side).unfold(1, side, side).flatten(2)
        assert (blocks.all(2) | ~blocks.any(2)).all(), "a field is moved as a whole"
    alone = ~pattern(8, 0, 6) & ~pattern(8, 1, 6)
    assert alone.sum() == 16 and (pattern(8, 2, 6) & alone).sum() == 8, "the next splits what was left"


@pytest.mark.parametrize("config", [TINY, SPECS[0].config])
def test_every_pixel_is_moved(config):
    moved = [pattern(config.size, index, config.couplings) for index in range(config.couplings)]
    assert torch.stack(moved).any(dim=0).all()


def test_the_logistic_density_is_torchs():
    logistic = TransformedDistribution(Uniform(0.0, 1.0), [SigmoidTransform().inv])
    h = torch.linspace(-8, 8, 41)
    torch.testing.assert_close(logistic_log_prob(h), logistic.log_prob(h), rtol=1e-4, atol=1e-4)
    wide = torch.linspace(-40, 40, 80001, dtype=torch.float64)
    assert torch.trapezoid(logistic_log_prob(wide).exp(), wide).item() == pytest.approx(1.0, abs=1e-9)


def test_quantiles_go_both_ways_far_into_the_tails():
    z = torch.linspace(-5, 5, 51, dtype=torch.float64)
    h = normal_to_logistic(z)
    torch.testing.assert_close(torch.sigmoid(h), Normal(0.0, 1.0).cdf(z), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(logistic_to_normal(h), z, rtol=1e-9, atol=1e-9)
    far = torch.tensor([0.0, 1e-6, -30.0, 300.0, -1e5])
    torch.testing.assert_close(normal_to_logistic(logistic_to_normal(far)), far, rtol=1e-5, atol=1e-9)
    assert (h.diff() > 0).all()


def test_the_likelihood_is_the_papers_in_another_unit():
    """Density of pixels in [0, 256): the paper's, in [0, 1], less log 256 a pixel (4.36 bits)."""
    model = build().double()
    x = pictures(2, seed=8).double()
    got = model.log_prob(x, generator=rng(9))
    unit = ((dequantise(x, rng(9)) + 1) * 127.5 + 0.5).flatten(1) / 256

    def h_of(p):
        return model.to_logistic(((p * 256 - 0.5) / 127.5 - 1).view(-1, 1, 8, 8))

    for i in range(2):
        jacobian = autograd.jacobian(lambda p: h_of(p[None])[0], unit[i])
        paper = logistic_log_prob(h_of(unit[i : i + 1])).sum() + torch.linalg.slogdet(jacobian).logabsdet
        torch.testing.assert_close(got[i], paper - 64 * math.log(256))
    assert 8 - 1980.50 / (784 * math.log(2)) == pytest.approx(4.36, abs=0.005)


def test_the_latents_density_is_the_same():
    """Through normal z instead of logistic h: log N(z) + log |det dz/dx|, in grey levels."""
    model = build().double()
    x = pictures(3, seed=10).double()
    z, log_det = model.flow(dequantise(x, rng(11)))
    normal = Normal(0.0, 1.0).log_prob(z).sum(dim=1) + log_det - 64 * math.log(127.5)
    torch.testing.assert_close(model.log_prob(x, generator=rng(11)), normal)


def test_the_first_batch_sets_scales_and_means():
    x = pictures(64)
    model = NICE(TINY)
    assert not model.initialised
    model.log_prob(x, generator=rng())
    h = model.to_logistic(dequantise(x, rng()))
    torch.testing.assert_close(h.mean(0), torch.zeros(64), rtol=0, atol=1e-2)
    torch.testing.assert_close(h.std(0, correction=0), torch.full((64,), math.pi / 3**0.5), rtol=1e-2, atol=0)
    before = model.scale.clone()
    model.log_prob(pictures(8, seed=12), generator=rng())
    assert torch.equal(before, model.scale) and model.state_dict()["initialised"]


def test_scales_do_not_depend_on_the_picture_and_groups_follow_them():
    model = build()
    groups = model.latent_groups()
    assert sorted(torch.cat(groups).tolist()) == list(range(64)) and len(groups) == 4
    means = [model.log_scale[indices].mean().item() for indices in groups]
    assert means == sorted(means)
    assert {name for name, _ in Coupling(pattern(8, 0, 5), 1, 4).named_parameters()} == {
        "network.0.weight", "network.0.bias", "last.weight", "last.bias"
    }  # fmt: skip


def test_temperature_narrows_samples():
    model = build()
    warm, again, cold = (
        list(model.sample(3, generator=rng(1), temperature=t))[-1].x for t in (1.0, 1.0, 0.0)
    )
    assert torch.equal(warm, again) and not torch.equal(warm, cold)
    assert torch.equal(cold[0], cold[1]) and warm.abs().max() <= 1


def test_updates_lower_the_loss_and_count_bits():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = NICE(TINY)
    optimizers = model.make_optimizers(SPECS[0].recipe)
    batch = pictures(32), torch.zeros(32, dtype=torch.long)
    losses = [model.train_step(Batch(*batch, rng(0), 0.5), optimizers) for _ in range(4)]
    assert losses[3]["loss"] < losses[2]["loss"] < losses[0]["loss"]
    assert losses[0]["bits_per_dim"] == pytest.approx(losses[0]["loss"] / 64 / math.log(2))


def test_the_weights_fit_into_a_file_of_ten_mebibytes_in_float32():
    size = sum(value.numel() * value.element_size() for value in SPECS[0].build().state_dict().values())
    assert size < 10 * 2**20 - 2**16
