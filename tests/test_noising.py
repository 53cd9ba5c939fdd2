"""Schedules against diffusers and the papers; one step and one jump end at the same distribution."""

import math

import pytest
import torch
from contract_helpers import rng
from diffusers import DDPMScheduler

from playground import data, noising, registry

SCHEDULES = list(noising.SCHEDULES)


@pytest.mark.parametrize("ours, theirs", [("linear", "linear"), ("cosine", "squaredcos_cap_v2")])
def test_linear_and_cosine_are_diffusers(ours, theirs):
    expected = DDPMScheduler(num_train_timesteps=1000, beta_schedule=theirs)
    a = noising.alphas_cumprod(ours)
    torch.testing.assert_close(a.float(), expected.alphas_cumprod, rtol=3e-4, atol=1e-7)
    torch.testing.assert_close(
        noising.betas_of(a)[:-1].float(), expected.betas[:-1], rtol=2e-3, atol=1e-6
    )  # the last one is capped, and what is left there is next to nothing


def test_sigmoid_is_the_papers():
    """2212.11972, appendix: gamma(t) = (sigmoid(end) - sigmoid(x)) / (sigmoid(end) - sigmoid(start))."""

    def gamma(u, start=-3.0, end=3.0):
        low, high, here = (1 / (1 + math.exp(-v)) for v in (start, end, u * (end - start) + start))
        return (high - here) / (high - low)

    a = noising.alphas_cumprod("sigmoid")
    for t in (0, 250, 499, 900, 998):
        assert a[t].item() == pytest.approx(gamma((t + 1) / 1000), rel=1e-9)
    assert gamma(0.5) == pytest.approx(0.5)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("num_timesteps", [4, 100, 1000])
def test_a_schedule_falls_from_picture_to_noise(name, num_timesteps):
    a = noising.alphas_cumprod(name, num_timesteps)
    assert a.shape == (num_timesteps,) and (a.diff() < 0).all() and (a > 0).all() and (a < 1).all()
    assert noising.log_snr(a).isfinite().all() and (noising.log_snr(a).diff() < 0).all()
    betas = noising.betas_of(a)
    assert (betas > 0).all() and (betas < 1).all()
    torch.testing.assert_close((1 - betas).cumprod(0), a)
    assert num_timesteps < 100 or (a[-1] < 1e-2 and a[0] > 0.9)


def test_log_snr_is_the_ratio_of_the_variances():
    a = torch.tensor([0.9, 0.5, 0.001], dtype=torch.float64)
    expected = [math.log(9), 0.0, math.log(0.001 / 0.999)]
    assert noising.log_snr(a).tolist() == pytest.approx(expected)


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="one of linear, cosine, sigmoid"):
        noising.alphas_cumprod("quadratic")


def digit():
    return data.to_float(data.load("mnist", "test").images[:1])


@pytest.mark.parametrize("name", SCHEDULES)
def test_steps_and_jump_end_at_the_same_distribution(name):
    found = list(noising.both_ways(digit(), noising.alphas_cumprod(name), [0, 60, 300], 30, rng()))
    assert [meeting.t for meeting in found] == [0, 60, 300]
    for meeting in found:
        assert meeting.num == 30 * 784
        assert meeting.means[0] == pytest.approx(meeting.means[1], abs=0.03)
        assert meeting.stds[0] == pytest.approx(meeting.stds[1], abs=0.03)
        assert meeting.distance < 2.5 * meeting.floor + 0.005


def test_a_chain_that_forgets_to_shrink_is_found_out(monkeypatch):
    """The comparison sees a mistake: noise added without shrinking the picture by sqrt(1 - beta)."""
    monkeypatch.setattr(noising, "step", lambda x, beta, eps: x + math.sqrt(beta) * eps)
    *_, last = noising.both_ways(digit(), noising.alphas_cumprod("linear"), [300], 30, rng())
    assert last.distance > 5 * last.floor


def test_moments_of_a_jump():
    x0 = torch.full((1, 1, 100, 100), 0.6)
    xt = noising.jump(x0, 0.3, torch.randn(x0.shape, generator=rng()))
    assert xt.mean().item() == pytest.approx(0.6 * math.sqrt(0.3), abs=0.03)
    assert xt.var().item() == pytest.approx(0.7, abs=0.03)


def test_the_models_jump_is_this_one():
    """Whoever has a score noises by the same formula, from its own alphas_cumprod."""
    for name in registry.names("HasScore"):
        model = registry.build(name)
        x0, eps = digit(), torch.randn(1, 1, 28, 28, generator=rng())
        for t in (0, model.num_timesteps // 2, model.num_timesteps - 1):
            ours = noising.jump(x0, float(model.alphas_cumprod[t]), eps)
            torch.testing.assert_close(ours, model.add_noise(x0, eps, torch.tensor([t])))


def test_histograms_count_everything_once():
    x = torch.tensor([-9.0, -0.01, 0.01, 0.02, 3.5, 80.0])
    found = noising.histogram(x, 2)
    assert found.tolist() == pytest.approx([2 / 6, 4 / 6])
    normal = noising.normal_histogram()
    assert normal.sum().item() == pytest.approx(1)
    drawn = noising.histogram(torch.randn(200_000, generator=rng()))
    assert noising.distance(drawn, normal) < 0.02
    assert noising.distance(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])) == 1


def test_the_histogram_of_a_digit_turns_gaussian():
    a, normal = noising.alphas_cumprod("cosine"), noising.normal_histogram()
    eps = torch.randn(1, 1, 28, 28, generator=rng()).expand(30, -1, -1, -1)
    away = [
        noising.distance(noising.histogram(noising.jump(digit(), float(a[t]), eps)), normal)
        for t in (0, 500, 999)
    ]
    assert away[0] > away[1] > away[2] and away[0] > 0.7 and away[2] < 0.15
