"""The flow inverts, its log-determinant is autograd's, and its density is the change of variables."""

import copy
import math

import pytest
import torch
from torch import Tensor
from torch.autograd import functional as autograd

from playground.models._flow import dequantise
from playground.models.realnvp import SPECS, ActNorm, Coupling, RealNVP, RealNVPConfig
from playground.spec import Batch

TINY = RealNVPConfig(size=8, couplings=(6, 3, 4), widths=(6, 6, 6))


def generator(seed: int = 0) -> torch.Generator:
    """A seeded CPU generator."""
    return torch.Generator().manual_seed(seed)


def pictures(num: int, size: int, seed: int = 0) -> Tensor:
    """(num, 1, size, size) on 256 grey levels, most of them black, in [-1, 1]."""
    grey = torch.randint(-300, 256, (num, 1, size, size), generator=generator(seed)).clamp(min=0)
    return grey / 127.5 - 1


def build(config: RealNVPConfig = TINY, *, spread: float = 0.1) -> RealNVP:
    """A flow that is not the identity: normalised on a batch, every weight moved at random."""
    torch.manual_seed(0)
    model = RealNVP(config)
    noise = generator(1)
    with torch.no_grad():
        model.log_prob(pictures(16, config.size), generator=noise)
        for parameter in model.parameters():
            parameter.add_(spread * torch.randn(parameter.shape, generator=noise))
    return model.eval()


@pytest.mark.parametrize("config", [TINY, SPECS[0].config])
def test_inverts_exactly(config: RealNVPConfig) -> None:
    """Picture to latent to picture, and what the picture becomes is not the picture."""
    model = build(config, spread=0.1 if config is TINY else 0.01)
    x = pictures(8, config.size, seed=2)
    with torch.no_grad():
        z, _ = model.flow(x)
        plain, _ = RealNVP(config).eval().flow(x)
        assert (model.inverse(z) - x).abs().max() < 1e-4
        again = model.decode(model.encode(x))
        assert again.dtype == torch.float32 and (again - x).abs().max() < 1e-6
    assert z.shape == (8, *model.latent_shape)
    assert (z - plain).abs().mean() > 0.1


def test_latents_invert() -> None:
    """Latent to picture to latent, in double precision so that the logit's tails are resolved."""
    model = build().double()
    z = 0.5 * torch.randn(4, 64, generator=generator(3), dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(model.flow(model.inverse(z))[0], z, rtol=1e-6, atol=1e-6)


def test_log_det_is_autograds() -> None:
    """The sum of the layers' log-determinants is that of the whole Jacobian."""
    model = build().double()
    x = dequantise(pictures(3, 8, seed=4).double(), generator(5))
    _, log_det = model.flow(x)
    for i in range(3):
        jacobian = autograd.jacobian(lambda v: model.flow(v.view(1, 1, 8, 8))[0][0], x[i].flatten())
        torch.testing.assert_close(log_det[i], torch.linalg.slogdet(jacobian).logabsdet)


def test_log_prob_is_the_change_of_variables() -> None:
    """Density of the pixels in [0, 256): base density, Jacobian, and 127.5 a pixel for the unit."""
    model = build().double()
    x = pictures(1, 8, seed=6).double()
    got = model.log_prob(x, generator=generator(7))
    v = dequantise(x, generator(7)).add(1).mul(127.5).add(0.5).flatten()
    levels = x.add(1).mul(127.5).round().flatten()
    assert ((v > levels - 1e-6) & (v < levels + 1 + 1e-6)).all()

    def latent(v: Tensor) -> Tensor:
        return model.flow(((v - 0.5) / 127.5 - 1).view(1, 1, 8, 8))[0][0]

    base = torch.distributions.Normal(0.0, 1.0).log_prob(latent(v)).sum()
    log_det = torch.linalg.slogdet(autograd.jacobian(latent, v)).logabsdet
    torch.testing.assert_close(got[0], base + log_det)


def test_density_integrates_to_one() -> None:
    """A logistic variable mapped back through the stretched logit has a density that sums to one."""
    model = RealNVP(TINY).double()
    v = torch.linspace(0, 256, 256 * 400 + 1, dtype=torch.float64)[:-1] + 1 / 800
    u, log_det = model.to_logit(((v - 0.5) / 127.5 - 1).view(-1, 1, 1, 1))
    logistic = -u.flatten() - 2 * torch.log1p(torch.exp(-u.flatten()))
    mass = (logistic + log_det - math.log(127.5)).exp().sum().item() / 400
    assert mass == pytest.approx(1 - 2 * TINY.alpha, abs=1e-6)
    torch.testing.assert_close(model.from_logit(u).flatten(), (v - 0.5) / 127.5 - 1)


def test_checkerboard_is_a_split_of_squeezed_channels() -> None:
    """The first coupling moves the black fields of the full picture's board and leaves the white ones."""
    coupling = build().scales[0][1]
    x = torch.randn(1, 1, 8, 8, generator=generator(8))
    with torch.no_grad():
        y = torch.nn.functional.pixel_shuffle(coupling(torch.nn.functional.pixel_unshuffle(x, 2))[0], 2)
    row, column = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    assert torch.equal((x != y)[0, 0], (row + column) % 2 == 1)


def test_scale_is_bounded() -> None:
    """However large the network's output, s stays within its learned scale."""
    coupling = Coupling((4, 4, 4), (0, 3), False, 6)
    torch.nn.init.constant_(coupling.last.bias, 1e6)
    s, _ = coupling.scale_shift(torch.zeros(1, 2, 4, 4))
    assert s.abs().max() <= coupling.log_scale.exp().max()


def test_first_batch_sets_the_normalisation() -> None:
    """It leaves with mean 0 and variance 1; the second batch changes nothing; the flag is in the state."""
    x = pictures(32, 8)
    model = RealNVP(TINY)
    model.log_prob(x, generator=generator())
    norm = model.scales[0][0]
    u = torch.nn.functional.pixel_unshuffle(model.to_logit(dequantise(x, generator()))[0], 2)
    y, _ = norm(u)
    torch.testing.assert_close(y.mean(0), torch.zeros(4, 4, 4), rtol=0, atol=1e-4)
    torch.testing.assert_close(y.var(0, correction=0), torch.ones(4, 4, 4), rtol=1e-3, atol=0)
    before = copy.deepcopy(model.state_dict())
    model.log_prob(pictures(32, 8, seed=9), generator=generator())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert before["scales.0.0.initialised"] and not ActNorm((4, 4, 4)).initialised


def test_state_survives_a_round_trip() -> None:
    """A flow loaded from another's state is the same flow, and in training keeps its normalisation."""
    model, other = build(), RealNVP(TINY)
    other.load_state_dict(model.state_dict())
    x = pictures(4, 8, seed=10)
    other.train().log_prob(x, generator=generator())
    assert torch.equal(other.eval().encode(x), model.encode(x))


def test_same_seed_same_picture() -> None:
    """Sampling depends on its generator and temperature alone."""
    model = build()
    first, again, other = (list(model.sample(3, generator=generator(s)))[-1].x for s in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.shape == (3, 1, 8, 8) and first.abs().max() <= 1
    cold = list(model.sample(3, generator=generator(1), temperature=0.0))[-1].x
    assert torch.equal(cold[0], cold[1])


def test_every_parameter_gets_a_finite_gradient() -> None:
    """The loss reaches every weight."""
    model = build()
    model.log_prob(pictures(8, 8), generator=generator()).mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_two_updates_lower_the_loss() -> None:
    """On a fixed batch with fixed dequantisation noise."""
    torch.manual_seed(0)
    model = RealNVP(TINY)
    optimizers = model.make_optimizers(SPECS[0].recipe)
    x = pictures(32, 8)
    losses = [
        model.train_step(Batch(x, torch.zeros(32, dtype=torch.long), generator(0), 0.0), optimizers)
        for _ in range(3)
    ]
    assert losses[2]["loss"] < losses[1]["loss"] < losses[0]["loss"]
    assert losses[0]["bits_per_dim"] == pytest.approx(losses[0]["loss"] / 64 / math.log(2))
