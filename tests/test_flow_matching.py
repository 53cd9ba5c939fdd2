"""The mathematics of flow matching: straight paths, its loss, its solvers, and the way there and back."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from playground.models.flow_matching import SOLVERS, FlowMatching, FlowMatchingConfig, instants, integrate
from playground.nn import UNetConfig
from playground.spec import Batch, Recipe

SMALL = UNetConfig(widths=(8, 16), blocks=(1, 1), embedding=16)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small_model(scale: float = 0.3) -> FlowMatching:
    """A tiny model none of whose weights is zero, so that every input matters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = FlowMatching(FlowMatchingConfig(unet=SMALL, image_size=8))
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=scale)
    return model.eval()


class Knowing(FlowMatching):
    """Knows the only picture there is, so its velocity is exact: (x_t - x_0) / t."""

    def field(self, xt: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        return (xt - 0.5) / t.view(-1, 1, 1, 1).clamp(min=1e-6)


def noise(num: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(num, 1, 8, 8, generator=seeded(seed))


def test_the_path_is_a_straight_line_from_data_to_noise():
    model, x0, eps = small_model(), noise(seed=1), noise(seed=2)
    times = torch.tensor([99, 499, 899])
    early, middle, late = (model.add_noise(x0, eps, t.expand(3)) for t in times)
    torch.testing.assert_close(middle, (early + late) / 2)
    torch.testing.assert_close((late - early) / 0.8, eps - x0)
    assert torch.equal(model.add_noise(x0, eps, torch.full((3,), 999)), eps)


def test_the_loss_of_a_network_that_says_nothing_is_the_size_of_the_velocity():
    model, x0, eps = FlowMatching(FlowMatchingConfig(unet=SMALL, image_size=8)), noise(seed=1), noise(seed=2)
    torch.nn.init.zeros_(model.denoiser.conv_out.bias)  # its weight is zero when built
    loss = model.loss(x0, torch.zeros(3, dtype=torch.long), eps, torch.rand(3, generator=seeded()))
    torch.testing.assert_close(loss, (eps - x0).square().mean())


def test_the_exact_velocity_has_no_loss():
    model, eps = Knowing(FlowMatchingConfig(unet=SMALL, image_size=8)), noise(seed=2)
    t = torch.tensor([0.1, 0.5, 1.0])
    assert model.loss(torch.full_like(eps, 0.5), torch.zeros(3, dtype=torch.long), eps, t) < 1e-8


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("num_steps", [1, 7])
def test_a_straight_path_needs_no_more_than_one_step(solver, num_steps):
    model = Knowing(FlowMatchingConfig(unet=SMALL, image_size=8))
    *_, last = model.sample(3, generator=seeded(), num_steps=num_steps, solver=solver, guidance=1.0)
    torch.testing.assert_close(last.x, torch.full_like(last.x, 0.5))


@pytest.mark.parametrize(("solver", "order"), [("Euler", 1), ("Midpoint", 2), ("Heun", 2)])
def test_the_error_falls_with_the_solvers_order(solver, order):
    """dx/dt = cos(t) x, whose solution is exp(sin t)."""

    def error(num_steps: int) -> float:
        x = torch.ones(1, 1, 1, 1, dtype=torch.float64)
        *_, (_, _, _, end) = integrate(lambda x, t: math.cos(t) * x, x, 0.0, 2.0, num_steps, solver)
        return abs(end.item() - math.exp(math.sin(2.0)))

    assert math.log2(error(40) / error(80)) == pytest.approx(order, abs=0.15)


def test_wrong_solvers_and_step_numbers_are_named():
    with pytest.raises(ValueError, match="'RK9'"):
        next(small_model().solve(noise(), solver="RK9"))
    with pytest.raises(ValueError, match="got 0"):
        next(small_model().solve(noise(), num_steps=0))
    with pytest.raises(ValueError, match="above 0; got -1"):
        next(small_model().solve(noise(), shift=-1.0))


@pytest.mark.parametrize("shift", [1.0, 2.0])
def test_euler_is_diffusers_flow_match_scheduler(shift):
    from diffusers import FlowMatchEulerDiscreteScheduler

    model, labels, x = small_model(), torch.arange(3), noise()
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=shift)
    scheduler.set_timesteps(sigmas=[1 - k / 6 for k in range(6)])
    for t in scheduler.timesteps:
        x = scheduler.step(model.velocity(x, t.item() / 1000, labels), t, x, return_dict=False)[0]
    *_, (_, _, _, ours) = model.solve(noise(), labels, num_steps=6, guidance=1.0, shift=shift)
    torch.testing.assert_close(ours, x, rtol=1e-4, atol=1e-5)


def test_steps_there_and_back_meet_at_the_same_times():
    there, back = instants(0.2, 0.9, 7, 3.0), instants(0.9, 0.2, 7, 3.0)
    assert there == pytest.approx(back[::-1]) and (there[0], there[-1]) == pytest.approx((0.2, 0.9))
    assert all(instants(start, 0.0, n, 2.0)[-1] == 0 for start in (0.37, 1.0) for n in (3, 10, 49))
    sizes = [b - a for a, b in pairwise(there)]
    assert sizes == sorted(sizes, reverse=True), "smaller near the noise"


def test_the_way_there_and_back_closes_as_steps_get_smaller():
    model, x, labels = small_model(0.12), noise(seed=3).clamp(-1, 1), torch.arange(3)

    def gap(num_steps: int, solver: str) -> float:
        *_, (_, _, _, z) = model.solve(
            x, labels, start=0.0, end=1.0, num_steps=num_steps, solver=solver, guidance=1.0
        )
        *_, (_, _, _, back) = model.solve(z, labels, num_steps=num_steps, solver=solver, guidance=1.0)
        return (back - x).square().mean().sqrt().item()

    few, some, many = (gap(n, "Euler") for n in (4, 8, 16))
    assert few > 1.5 * some > 2.25 * many > 0
    assert gap(8, "Heun") < some / 4
    torch.testing.assert_close(model.decode(model.encode(x, labels), labels), x, atol=0.02, rtol=0)


def test_guidance_is_a_line_through_two_velocities():
    model, x, labels = small_model(), noise(), torch.tensor([3, 1, 4])
    none, plain = model.velocity(x, 0.4), model.velocity(x, 0.4, labels)
    assert not torch.allclose(none, plain, atol=1e-3)
    assert torch.equal(model.velocity(x, 0.4, labels, 0.0), none)
    torch.testing.assert_close(
        model.velocity(x, 0.4, labels, 2.5), none + 2.5 * (plain - none), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_evaluations_are_counted(guidance):
    model, calls = small_model(), 0

    def count(module, args):
        nonlocal calls
        calls += len(args[0])

    model.denoiser.register_forward_pre_hook(count)
    for solver in SOLVERS:
        calls = 0
        controls = {"num_steps": 4, "solver": solver, "guidance": guidance}
        *_, last = model.sample(3, labels=torch.arange(3), generator=seeded(), **controls)
        assert last.nfe == calls / 3
        calls = 0
        *_, step = model.denoise(noise(), labels=torch.arange(3), generator=seeded(), **controls)
        assert step.nfe == calls / 3


@pytest.mark.parametrize(
    ("shift", "timesteps"), [(1.0, [999, 799, 599, 399, 199]), (2.0, [999, 888, 749, 570, 332])]
)
def test_denoising_names_both_ends_of_the_line(shift, timesteps):
    model = small_model(0.1)
    steps = list(model.denoise(noise(), labels=torch.arange(3), generator=seeded(), num_steps=5, shift=shift))
    assert [step.t for step in steps] == timesteps
    for step in steps:
        again = model.add_noise(step.x0_hat, step.eps_hat, torch.full((3,), step.t))
        torch.testing.assert_close(again, step.xt, atol=1e-5, rtol=1e-5)
        assert step.x0_hat.abs().max() <= 1


def test_labels_are_dropped_as_often_as_asked():
    x = noise(512).clamp(-1, 1)
    model, seen = small_model(), []
    model.loss = lambda x0, labels, eps, t: (seen.append((labels, t)), model.denoiser.conv_out.bias.sum())[1]
    optimizers = model.make_optimizers(Recipe(1))
    model.train_step(Batch(x, torch.arange(512) % 10, seeded(), 0.0), optimizers)
    labels, t = seen[0]
    assert 20 <= (labels == 10).sum() <= 90, "about 51 of 512"
    gaps = t.sort().values.diff()
    torch.testing.assert_close(gaps, torch.full_like(gaps, 1 / 512), atol=1e-5, rtol=0)
