"""Inverse problems where the answer is known: Gaussian pictures, whose best denoiser is a formula."""

import math

import pytest
import torch
from test_solvers import Gaussian, rng

from playground import restoring
from playground.models._solvers import level

SPREAD = 0.3
ONE = Gaussian([[SPREAD**2]])
BOLD = Gaussian(torch.eye(4))  # of 2 x 2, often beyond black and white
SMOOTH = Gaussian(SPREAD**2 * (0.9 ** (torch.arange(4.0)[:, None] - torch.arange(4.0)).abs()))  # of 2 x 2


def draws(model, num, side):
    scale = torch.linalg.cholesky(model.covariance)
    return (
        (torch.randn(num, len(scale), generator=rng(), dtype=torch.float64) @ scale.T)
        .float()
        .view(-1, 1, side, side)
    )


def last(steps):
    *_, end = steps
    assert end.step == end.num_steps
    return end


def test_enlarging_undoes_averaging():
    y = torch.randn(2, 3, 7, 7, generator=rng())
    torch.testing.assert_close(restoring.coarse(restoring.enlarge(y, 4), 4), y)


def test_super_resolution_keeps_the_blocks_and_draws_the_rest():
    x = draws(SMOOTH, 3000, 2).clamp(-0.5, 0.5)
    y = restoring.coarse(x, 2)
    end = last(restoring.super_resolve(SMOOTH, y, 2, labels=None, generator=rng(1), num_steps=40))
    torch.testing.assert_close(restoring.coarse(end.x, 2), y, atol=1e-3, rtol=0)
    inside, truth = end.x - restoring.enlarge(y, 2), x - restoring.enlarge(y, 2)
    assert inside.std().item() == pytest.approx(truth.std().item(), rel=0.3)
    assert end.nfe == 160


def test_super_resolution_keeps_blocks_that_are_nearly_black_or_white():
    """What is drawn is clipped there, and the rest of the block makes up for it."""
    x = draws(BOLD, 500, 2).clamp(-1, 1)
    y = restoring.coarse(x, 2)
    end = last(restoring.super_resolve(BOLD, y, 2, labels=None, generator=rng(1), num_steps=10, rounds=1))
    assert (end.x.abs() == 1).float().mean() > 0.05 and end.x.abs().max() <= 1
    torch.testing.assert_close(restoring.coarse(end.x, 2), y, atol=1e-4, rtol=0)


def test_the_nearest_picture_that_fits_is_found():
    """What the brightest cannot take, the others share."""
    x, y = torch.tensor([0.9, 0.2, -0.4, -1.0]).view(1, 1, 2, 2), torch.full((1, 1, 1, 1), 0.5)
    found = restoring._fit(x, y, 2)
    torch.testing.assert_close(found.flatten(), torch.tensor([3.0, 2.8, 1.0, -0.8]) / 3, atol=1e-4, rtol=0)
    for edge in (-1.0, 1.0):
        assert (restoring._fit(x, y * 0 + edge, 2) - edge).abs().max() < 1e-4


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_denoising_draws_from_what_is_possible(eta):
    sigma, num = 0.4, 4000
    x = draws(ONE, num, 1)
    y = x + sigma * torch.randn(x.shape, generator=rng(1))
    end = last(restoring.denoise(ONE, y, sigma, labels=None, generator=rng(2), num_steps=50, eta=eta))
    assert end.x.std().item() == pytest.approx(SPREAD, rel=0.05)  # as spread as clean pictures are
    gain = SPREAD**2 / (SPREAD**2 + sigma**2)
    slope = (end.x * y).mean() / y.square().mean()
    if eta == 1:
        assert slope.item() == pytest.approx(gain, rel=0.06)  # the posterior's mean is gain * y
    else:
        assert slope.item() == pytest.approx(math.sqrt(gain), rel=0.06)  # the ODE only shrinks y


def test_the_timestep_of_a_noise():
    for t in (5, 400, 900):
        a = level(ONE, t)
        assert restoring.matching_timestep(ONE, math.sqrt((1 - a) / a)) == t


def test_sdedit_forgets_more_the_stronger_it_is():
    sketch = torch.full((2000, 1, 1, 1), 0.8)
    means, nfe = [], []
    for strength in (0.05, 0.4, 1.0):
        end = last(restoring.sdedit(ONE, sketch, strength, labels=None, generator=rng(), num_steps=40))
        means.append(end.x.mean().item())
        nfe.append(end.nfe)
    assert means[0] > 0.7 and means[0] > means[1] > means[2] and abs(means[2]) < 0.05
    assert nfe == [2, 16, 40]


def test_the_round_trip_of_inversion_closes_as_steps_get_finer():
    x = draws(SMOOTH, 50, 2)
    errors = []
    for num_steps in (20, 80, 320):
        noise = last(restoring.invert(SMOOTH, x, labels=None, num_steps=num_steps)).x
        back = last(restoring.return_trip(SMOOTH, noise, labels=None, num_steps=num_steps)).x
        errors.append((back - x).square().mean().sqrt().item())
    assert errors[0] > errors[1] > errors[2] and errors[2] < 0.2 * errors[0]
    assert errors[2] < 0.01


def test_the_noise_of_a_picture_is_standard_normal():
    noise = last(restoring.invert(ONE, draws(ONE, 4000, 1), labels=None, num_steps=200)).x
    assert noise.std().item() == pytest.approx(1, abs=0.05) and abs(noise.mean().item()) < 0.05


@pytest.mark.parametrize("model, side", [(ONE, 1), (SMOOTH, 2)])
def test_the_flow_carries_the_density_along(model, side):
    x = (draws(model, 300, side).clamp(-0.99, 0.99) * 127.5).round() / 127.5
    *shares, found = restoring.flow_likelihood(model, x, labels=None, generator=rng(), num_steps=200)
    a = level(model, 0)  # the model's own finest density has the noise of t = 0
    covariance = model.covariance + (1 - a) / a * torch.eye(side**2)
    normal = torch.distributions.MultivariateNormal(torch.zeros(side**2, dtype=torch.float64), covariance)
    truth = normal.log_prob(x.flatten(1).double()) + side**2 * math.log(2 / 255)
    assert found.nats.mean().item() == pytest.approx(truth.mean().item(), abs=0.05 * side**2)
    assert shares == sorted(shares) and shares[-1] == 1 and found.nfe == 2 * len(shares)


def test_the_bound_is_below_the_flow():
    x = (draws(ONE, 500, 1).clamp(-0.99, 0.99) * 127.5).round() / 127.5
    *_, flow = restoring.flow_likelihood(ONE, x, labels=None, generator=rng(), num_steps=200)
    below = restoring.bound(ONE, x, labels=None, generator=rng())
    assert below.nats.mean() < flow.nats.mean() and below.nfe == 101
