"""Paths: exact fields in the plane, the measure of straightness, and what is read off the models."""

import math

import pytest
import torch
from torch import Tensor

from playground import registry, velocity
from playground.models.ddpm import cosine_alphas_cumprod
from playground.spec import DenoiseStep, Encodes, HasScore
from playground.velocity import MIXES, SPREAD, Straightness, straightness, toy_velocity, toy_walk


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", MIXES)
def test_mixes_go_from_data_to_noise_and_know_their_derivatives(name):
    mix, h = MIXES[name], 1e-6
    assert mix(0.0)[:2] == pytest.approx((1, 0)) and mix(1.0)[:2] == pytest.approx((0, 1))
    for t in (0.2, 0.5, 0.9):
        slopes = [(b - a) / (2 * h) for a, b in zip(mix(t - h)[:2], mix(t + h)[:2], strict=True)]
        assert mix(t)[2:] == pytest.approx(slopes, abs=1e-6)


@pytest.mark.parametrize("name", MIXES)
@pytest.mark.parametrize("t", [0.3, 0.8])
def test_the_field_is_the_mean_velocity_of_what_passes_there(name, t):
    """Against the average over many pairs of data and noise that meet in a small square."""
    points, mix = torch.tensor([[1.0, 0.5], [-0.5, 1.0], [0.2, -1.0]]), MIXES[name](t)
    num = 3_000_000
    x0 = points[torch.randint(3, (num,), generator=rng(1))]
    x0 = x0 + SPREAD * torch.randn(num, 2, generator=rng(2))
    eps = torch.randn(num, 2, generator=rng(3))
    x = mix.alpha * x0 + mix.sigma * eps
    v = mix.d_alpha * x0 + mix.d_sigma * eps
    for place in (torch.tensor([0.2, 0.1]), torch.tensor([-0.3, 0.4])):
        here = (x - place).abs().amax(1) < 0.03
        mean, error = v[here].mean(0), v[here].std(0) / here.sum().sqrt()
        exact = toy_velocity(points, place[None], mix)[0]
        assert ((exact - mean).abs() < 5 * error + 0.03).all()


@pytest.mark.parametrize("name", MIXES)
def test_the_field_carries_noise_to_the_data(name):
    points = velocity.toy_points("eight_gaussians", 200)
    ends = toy_walk(points, torch.randn(100, 2, generator=rng()), name, 200)[-1]
    nearest = torch.cdist(ends, points).amin(1)
    assert (nearest < 5 * SPREAD).float().mean() > 0.98
    reached = torch.cdist(ends, points).argmin(1).unique()
    assert len(reached) > 30, "not all end at one place"


def test_one_point_is_reached_in_one_straight_step():
    point = torch.tensor([[0.7, -0.4]])
    end = toy_walk(point, torch.randn(50, 2, generator=rng()), "straight", 1)[-1]
    torch.testing.assert_close(end, point.expand(50, 2))


def test_clouds_are_as_far_apart_as_they_are_moved():
    x = torch.randn(500, 2, generator=rng())
    assert velocity.apart(x, x[torch.randperm(500, generator=rng(1))]) == pytest.approx(0, abs=1e-6)
    moved = velocity.apart(x, x + torch.tensor([3.0, 0.0]))
    assert moved == pytest.approx(3 * 2 / math.pi, rel=1e-2), "the mean of |cos| over all directions"


def test_straight_lines_have_no_bend():
    x0, eps = torch.randn(5, 1, 4, 4, generator=rng(1)), torch.randn(5, 1, 4, 4, generator=rng(2))
    times = [1.0, 0.6, 0.5, 0.0]
    found = straightness(times, torch.stack([(1 - t) * x0 + t * eps for t in times]))
    assert found.bend == pytest.approx(0, abs=1e-9) and found.detour == pytest.approx(1)


def test_a_quarter_of_a_circle_bends_as_calculated():
    """cos(pi t / 2) e_1 + sin(pi t / 2) e_2: |v|^2 = pi^2 / 4 everywhere, |x_1 - x_0|^2 = 2."""
    times = torch.linspace(1, 0, 2001)
    xs = torch.stack([(math.pi / 2 * times).cos(), (math.pi / 2 * times).sin()], 1)[:, None]
    found = straightness(times, xs)
    assert found.bend == pytest.approx((math.pi**2 / 4 - 2) / 2, rel=1e-4)
    assert found.detour == pytest.approx(math.pi / 2 / math.sqrt(2), rel=1e-4)


def test_uneven_speed_on_a_line_is_waste_but_no_detour():
    times = [1.0, 0.5, 0.0]
    xs = torch.tensor([0.0, 0.9, 1.0])[:, None, None]
    assert straightness(times, xs) == Straightness(pytest.approx(0.5 * (0.8**2 + 0.8**2)), pytest.approx(1))


class Arc(HasScore, torch.nn.Module):
    """Knows the one picture there is, so every path is its schedule's."""

    num_timesteps = 1000

    def __init__(self) -> None:
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.alphas_cumprod = cosine_alphas_cumprod(1000)

    def add_noise(self, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        a = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        return a.sqrt() * x0 + (1 - a).sqrt() * eps

    def predict(self, xt, t, labels=None, guidance=1.0) -> DenoiseStep:
        a, x0 = self.alphas_cumprod[t], torch.full_like(xt, 0.5)
        return DenoiseStep(t, xt, x0, (xt - a.sqrt() * x0) / (1 - a).sqrt())

    def denoise(self, xt, *, labels=None, generator, **controls):
        eps = xt
        for t in range(999, 0, -20):
            yield self.predict(self.add_noise(torch.full_like(eps, 0.5), eps, torch.full((len(eps),), t)), t)


def test_the_bend_of_a_schedule_goes_when_its_mixture_is_made_straight():
    trail = velocity.Trail(Arc(), registry.spec("ddpm"))
    assert [*trail.walk(torch.randn(4, 1, 8, 8, generator=rng()), None, 50, 1.0)][-1] == 1.0
    assert trail.times[0] == 1.0 and trail.times[-1] == 0.0 and len(trail.times) == 51
    assert trail.as_walked().bend > 0.1 > 1e-3 > trail.as_straight_mixture().bend
    assert trail.at(0.0) is trail.xs[0] and trail.at(0.5) is trail.xs[25] and trail.at(1.0) is trail.xs[-1]


@pytest.mark.parametrize("name", registry.names("Denoises"))
def test_times_go_from_noise_to_the_picture(name):
    """Where data and noise mix along straight lines, the time is the share of noise; steps may be shifted."""
    model, spec = registry.build(name).eval(), registry.spec(name)
    shift = spec.defaults().get("shift", 1.0)
    shifted = (shift * u / (1 + (shift - 1) * u) for u in (1, 0.75, 0.5, 0.25, 0))
    expected = [round(time, 3) for time in shifted]  # told in whole timesteps of 1,000
    trail = velocity.Trail(model, spec)
    with torch.no_grad():
        shares = list(trail.walk(velocity.noise_of(spec, 1, 0), None, 4, 1.0))
    assert trail.times == pytest.approx(expected) and shares == [0.25, 0.5, 0.75, 1]
    assert len(trail.xs) == 5 and trail.at(1 - expected[2]) is trail.xs[2]


def test_mixtures_are_read_off_the_model():
    alpha, sigma = velocity.mixture(Arc(), [0, 500, 999])
    torch.testing.assert_close(alpha.square() + sigma.square(), torch.ones(3, dtype=torch.float64))
    model = registry.build("flow_matching")
    alpha, sigma = velocity.mixture(model, [99, 499])
    assert alpha.tolist() == pytest.approx([0.9, 0.5]) and sigma.tolist() == pytest.approx([0.1, 0.5])


def test_errors_are_those_of_the_predictions():
    x0, eps = torch.full((3, 1, 4, 4), 0.25), torch.randn(3, 1, 4, 4, generator=rng())
    for t, of_eps, of_x0 in velocity.errors(Arc(), x0, eps, [100, 800]):
        a = float(cosine_alphas_cumprod(1000)[t])
        assert of_x0 == pytest.approx(0.25, rel=1e-4)
        assert of_eps == pytest.approx(0.25 * math.sqrt(a / (1 - a)), rel=1e-3)


@pytest.mark.parametrize("name", registry.names("Denoises"))
def test_trails_start_where_samples_do(name):
    """`noise_of` is the noise that `sample` draws first, and as many steps lead to the same picture."""
    model, spec = registry.build(name).eval().requires_grad_(False), registry.spec(name)
    trail = velocity.Trail(model, spec)
    eps = velocity.noise_of(spec, 2, 5)
    labels = torch.tensor([3, 8]) if spec.conditional else None
    with torch.no_grad():
        for _ in trail.walk(eps, labels, 4, 1.0):
            pass
        x, nfe = velocity.drawn(model, spec, labels, 5, 2, 4, 1.0)
    assert nfe >= 1 and torch.equal(trail.xs[0], eps)
    if isinstance(model, HasScore | Encodes):  # the others are random on the way
        torch.testing.assert_close(trail.xs[-1], x, atol=1e-5, rtol=0)
