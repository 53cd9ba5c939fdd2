"""Solvers of the probability-flow ODE, single steps, RePaint and the variational bound, where all is known.

The data are Gaussian, so the best prediction, the ODE's solution and the likelihood are formulas.
"""

import math

import pytest
import torch
from test_ddpm import small_model

from playground.models._bound import variational_bound
from playground.models._solvers import (
    SAMPLERS,
    SCHEDULERS,
    clipped,
    cosine_alphas_cumprod,
    level,
    make_scheduler,
    probability_flow,
    repaint,
    set_trailing,
    step_back,
    step_forward,
    trailing,
)
from playground.spec import DenoiseStep, HasScore


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


class Gaussian(HasScore):
    """The best denoiser of pictures whose pixels are N(0, covariance): E[x_0 | x_t] is linear."""

    num_timesteps = 1000

    def __init__(self, covariance):
        self.covariance = torch.as_tensor(covariance, dtype=torch.float64)
        self.alphas_cumprod = cosine_alphas_cumprod(1000)

    def add_noise(self, x0, eps, t):
        a = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        return a.sqrt() * x0 + (1 - a).sqrt() * eps

    def predict(self, xt, t, labels=None, guidance=1.0):
        a, c = float(self.alphas_cumprod[t]), self.covariance
        gain = math.sqrt(a) * c @ torch.linalg.inv(a * c + (1 - a) * torch.eye(len(c)))
        x0_hat = (xt.flatten(1).double() @ gain.T).view_as(xt).to(xt.dtype)
        return DenoiseStep(t, xt, x0_hat, (xt - math.sqrt(a) * x0_hat) / math.sqrt(1 - a))


def solve(solver, num_steps, spread=0.5):
    """Largest error of the ODE's solution from a few x_T, against x_T scaled from one spread to the other."""
    model = Gaussian([[spread**2]])
    xt = torch.linspace(-2, 2, 9, dtype=torch.float64).view(-1, 1, 1, 1)
    times = [*trailing(num_steps, 1000), -1]
    *_, (_, x0, _) = probability_flow(model.predict, xt, times, model.alphas_cumprod, solver)
    a = level(model, 999)
    exact = xt * spread / math.sqrt(a * spread**2 + 1 - a)
    return (x0 - exact).abs().max().item()


@pytest.mark.parametrize("solver, order", [("Euler", 1), ("Heun", 2)])
def test_the_error_falls_with_the_order_of_the_solver(solver, order):
    errors = [solve(solver, num_steps) for num_steps in (20, 40, 80)]
    for coarse, fine in zip(errors, errors[1:], strict=False):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.5)  # Heun's last step is Euler's
    assert solve("Heun", 80) < 0.7 * solve("Euler", 160)  # for the same number of evaluations


@pytest.mark.parametrize("solver, most", [("Euler", 0.06), ("Heun", 0.003)])
def test_the_way_up_ends_where_the_way_down_began(solver, most):
    model, xt = Gaussian([[0.25]]), torch.linspace(-2, 2, 9, dtype=torch.float64).view(-1, 1, 1, 1)
    down = [*trailing(100, 1000), -1]
    *_, (_, x0, _) = probability_flow(model.predict, xt, down, model.alphas_cumprod, solver)
    *_, (_, again, _) = probability_flow(model.predict, x0, down[::-1], model.alphas_cumprod, solver)
    assert (again - xt).abs().max() < most


def last(model, **controls):
    *_, end = model.sample(2, labels=torch.arange(2), generator=rng(5), guidance=1.0, **controls)
    return end


def test_euler_and_heun_find_what_a_fine_ddim_finds():
    model = small_model()
    for parameter in model.parameters():
        parameter.data.mul_(0.6)  # a gentler field, in which 300 steps of DDIM are the truth
    truth = last(model, scheduler="DDIM", num_steps=300).x
    errors = {
        (name, n): (last(model, scheduler=name, num_steps=n).x - truth).abs().mean().item()
        for name, n in (("Euler", 30), ("Euler", 300), ("Heun", 30))
    }
    assert errors["Euler", 300] < 0.3 * errors["Euler", 30]
    assert errors["Heun", 30] < 0.3 * errors["Euler", 30]


def test_euler_in_the_angle_is_not_ddim_but_close_to_it():
    """DDIM turns x_t by the angle between two steps; Euler goes along the tangent: 2202.00512, app. D."""
    model, x = Gaussian([[0.25]]), torch.tensor([[[[0.8]]]])
    prediction = model.predict(x, 600)
    a_t, a_s = level(model, 600), level(model, 500)
    ddim = step_back(prediction, a_t, a_s, 0.0, rng())
    _, euler, _ = next(probability_flow(model.predict, x, [600, 500], model.alphas_cumprod, "Euler"))
    angle = math.acos(math.sqrt(a_t)) - math.acos(math.sqrt(a_s))
    v = math.sqrt(a_t) * prediction.eps_hat - math.sqrt(1 - a_t) * prediction.x0_hat
    torch.testing.assert_close(ddim, math.cos(angle) * x - math.sin(angle) * v, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(euler, x - angle * v, atol=1e-5, rtol=1e-5)


def test_a_step_back_has_the_moments_of_the_posterior():
    """With x0_hat = x_0 and eta = 1, x_s ~ q(x_s | x_t, x_0) (2006.11239, eq. 7)."""
    a_t, a_s, x0, xt = 0.3, 0.7, 0.4, torch.full((40_000, 1, 1, 1), -0.2)
    eps = (xt - math.sqrt(a_t) * x0) / math.sqrt(1 - a_t)
    xs = step_back(DenoiseStep(5, xt, torch.full_like(xt, x0), eps), a_t, a_s, 1.0, rng())
    beta = 1 - a_t / a_s
    mean = (math.sqrt(a_s) * beta * x0 + math.sqrt(1 - beta) * (1 - a_s) * -0.2) / (1 - a_t)
    assert xs.mean().item() == pytest.approx(mean, abs=0.01)
    assert xs.var().item() == pytest.approx((1 - a_s) / (1 - a_t) * beta, rel=0.03)
    forth = step_forward(torch.full_like(xt, 0.5), a_s, a_t, rng())
    assert forth.mean().item() == pytest.approx(0.5 * math.sqrt(a_t / a_s), abs=0.01)
    assert forth.var().item() == pytest.approx(beta, rel=0.03)


def test_clipping_keeps_the_mixture():
    model, xt = Gaussian([[9.0]]), torch.randn(50, 1, 1, 1, generator=rng())
    free, kept = model.predict(xt, 300), clipped(model.predict(xt, 300), level(model, 300))
    assert free.x0_hat.abs().max() > 1 >= kept.x0_hat.abs().max()
    again = model.add_noise(kept.x0_hat, kept.eps_hat, torch.full((50,), 300))
    torch.testing.assert_close(again, xt, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("num_steps", [1, 7, 36, 1000])
def test_timesteps_are_those_of_diffusers(num_steps):
    from diffusers import DDIMScheduler

    theirs = DDIMScheduler(1000, timestep_spacing="trailing")
    theirs.set_timesteps(num_steps)
    assert trailing(num_steps, 1000) == theirs.timesteps.tolist()
    for bad in (0, 1001):
        with pytest.raises(ValueError, match="1 to 1000"):
            trailing(bad, 1000)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_any_number_of_steps_is_taken_on_the_grid(name):
    """For 62 counts, 61 the first, diffusers' own grid has a timestep too many, -1."""
    scheduler = make_scheduler(name, 1)
    for num_steps in range(1, 1001):
        set_trailing(scheduler, num_steps)
        times = scheduler.timesteps
        assert len(times) == num_steps and times[0] == 999 and times[-1] >= 0 and (times.diff() < 0).all()


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_count_of_which_diffusers_takes_one_too_many(name):
    steps = list(small_model().denoise(torch.randn(1, 1, 8, 8, generator=rng()), labels=torch.tensor([3]),
                                       generator=rng(), scheduler=name, num_steps=61))  # fmt: skip
    assert [step.t for step in steps] == trailing(61, 1000)
    assert all(step.eps_hat.isfinite().all() and step.x0_hat.isfinite().all() for step in steps)


# RePaint


def filled(rounds, num=4000, correlation=0.9, known=0.3):
    """Mean and spread of one pixel that RePaint draws beside a known one."""
    model = Gaussian(0.04 * torch.tensor([[1.0, correlation], [correlation, 1.0]]))
    x = torch.tensor([known, 0.0]).view(1, 1, 1, 2).expand(num, 1, 1, 2)
    mask = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
    *_, moment = repaint(model, x, mask, labels=None, generator=rng(), num_steps=50, rounds=rounds)
    assert (moment.x[..., 0] == known).all() and moment.step == moment.num_steps == 50 * rounds == moment.nfe
    return moment.x[..., 1].mean().item(), moment.x[..., 1].std().item()


def test_going_forth_and_back_finds_the_conditional_distribution():
    mean, spread = filled(rounds=10)
    assert mean == pytest.approx(0.9 * 0.3, abs=0.02)
    assert spread == pytest.approx(0.2 * math.sqrt(1 - 0.9**2), abs=0.03)
    assert abs(filled(rounds=1)[0] - 0.27) > 2 * abs(mean - 0.27)  # without it the two disagree


# The bound


def test_the_bound_is_below_the_likelihood_and_close():
    spread = 0.3
    model, num = Gaussian([[spread**2]]), 4000
    x = (torch.randn(num, generator=rng()) * spread).clamp(-0.99, 0.99)
    x = ((x * 127.5 + 127.5).round() / 127.5 - 1).view(-1, 1, 1, 1)
    normal = torch.distributions.Normal(0.0, spread)
    truth = (normal.cdf(x + 1 / 255) - normal.cdf(x - 1 / 255)).log().mean().item()
    found = variational_bound(model, x, None, rng(), 64).mean().item()
    assert truth - 0.5 < found < truth - 0.01  # a thousand steps are coarse where the noise is least


def test_few_timesteps_stand_for_all():
    model, x = Gaussian(0.09 * torch.eye(16)), (torch.arange(16) * 10 / 127.5 - 1).view(1, 1, 4, 4)
    truth = variational_bound(model, x, None, rng(), 999).item()
    few = [variational_bound(model, x, None, rng(seed), 8).item() for seed in range(40)]
    mean, error = sum(few) / 40, torch.tensor(few).std().item() / 40**0.5
    assert mean == pytest.approx(truth, abs=4 * error + 0.5)


def test_black_and_white_reach_to_infinity():
    model = Gaussian([[1.0]])
    model.predict = lambda xt, t, labels=None: DenoiseStep(t, xt, torch.full_like(xt, 5.0), xt)
    white, black = (variational_bound(model, torch.full((1, 1, 1, 1), v), None, rng()) for v in (1.0, -1.0))
    assert white.isfinite() and black.isfinite() and white > black


# The model that has all of it


def test_a_trained_models_samplers_agree_and_count_their_work():
    model = small_model()
    for name, nfe in (("DDIM", 10), ("Euler", 10), ("Heun", 18)):
        moments = list(model.sample(2, labels=torch.arange(2), generator=rng(), scheduler=name, num_steps=5,
                                    guidance=2.0))  # fmt: skip
        assert moments[-1].nfe == nfe and moments[-1].step == 5
    assert set(SAMPLERS) == {"DDPM", "DDIM", "DPM-Solver++", "Euler", "Heun"}


def test_predictions_are_the_networks_and_can_be_differentiated():
    model = small_model()
    xt = torch.randn(2, 1, 8, 8, generator=rng()).requires_grad_()
    step = model.predict(xt, 500, torch.tensor([3, 4]))
    again = model.add_noise(step.x0_hat, step.eps_hat, torch.full((2,), 500))
    torch.testing.assert_close(again, xt, atol=1e-5, rtol=1e-5)
    (gradient,) = torch.autograd.grad(step.eps_hat.sum(), xt)
    assert gradient.isfinite().all() and gradient.abs().max() > 0
    assert step.x0_hat.abs().max() > 1  # not clipped: its Jacobian is wanted
