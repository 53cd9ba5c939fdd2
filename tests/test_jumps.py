"""Ways from noise to data side by side, and what is drawn behind one noisy picture."""

import math

import pytest
import torch
from contract_helpers import fresh
from diffusers import DDPMScheduler
from jumps_helpers import heaps

from playground import data, guesses, judge, jumps, registry
from playground.guesses import Guesses
from playground.jumps import State, Walk

ONE, FEW, MANY = (jumps.names(key)[0] for key in jumps.KINDS)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(num=1, seed=0):
    return torch.randn(num, 1, 28, 28, generator=rng(seed))


def walked(name, num_steps=6, seed=0, label=3):
    way = jumps.walk(fresh(name), registry.spec(name), seed, label, num_steps)
    while not way.done:
        way.advance()
    return way


# Which way a model goes


def test_models_are_chosen_by_what_they_can():
    for key in jumps.KINDS:
        for name in jumps.names(key):
            spec = registry.spec(name)
            can = set(spec.capabilities)
            assert jumps.kind(spec) == key and spec.dataset == judge.spec().dataset
            assert {"one": "HasLatent", "few": "Jumps", "many": "HasScore"}[key] in can
            assert (key == "one") == ("Denoises" not in can)
    vae = next(s for s in map(registry.spec, registry.names("HasPosterior")) if s.family == "vae")
    assert jumps.kind(vae) is None, "one pass, but no GAN"


# From noise to a picture


@pytest.mark.parametrize("num_steps", [1, 4, 10, 1000])
def test_gaussian_steps_have_diffusers_mean_and_spread(num_steps):
    """One step of ours from the last timestep equals DDPMScheduler's between the same two levels."""
    model, xt = fresh(MANY), noise(2)
    a = model.alphas_cumprod.double()
    times = [round(1000 * (1 - i / num_steps)) - 1 for i in range(num_steps + 1)]
    for now, ahead in list(zip(times, times[1:], strict=False))[:3]:
        a_ahead = float(a[ahead]) if ahead >= 0 else 1.0
        x0_hat, eps = noise(2, 1).clamp(-1, 1), torch.randn(xt.shape, generator=rng(5))
        scheduler = DDPMScheduler(
            2, trained_betas=[1 - a_ahead, 1 - float(a[now]) / a_ahead], prediction_type="sample",
            clip_sample=False, variance_type="fixed_small",
        )  # fmt: skip
        scheduler.set_timesteps(2)
        theirs = scheduler.step(x0_hat, 1, xt, generator=rng(5)).prev_sample
        torch.testing.assert_close(
            jumps.gaussian(x0_hat, xt, float(a[now]), a_ahead, eps), theirs, rtol=1e-4, atol=1e-3
        )


def test_the_steps_are_those_of_the_models_own_ancestral_sampler():
    model, num_steps = fresh(MANY), 8
    labels = torch.tensor([4])
    with torch.no_grad():
        mine = list(jumps.gaussian_steps(model, noise(), 999, num_steps, labels, rng(7)))
        theirs = list(
            model.denoise(noise(), labels=labels, generator=rng(7), scheduler="DDPM", num_steps=num_steps,
                          guidance=1.0)
        )  # fmt: skip
    assert len(mine) == num_steps + 1 and [s.nfe for s in mine] == [1, 2, 3, 4, 5, 6, 7, 8, 8]
    for state, step in zip(mine, theirs, strict=False):
        torch.testing.assert_close(state.x, step.xt, rtol=1e-3, atol=2e-3)
        torch.testing.assert_close(state.x0_hat, step.x0_hat, rtol=1e-3, atol=2e-3)
    assert torch.equal(mine[-1].x, mine[-2].x0_hat)


def test_no_way_has_more_steps_than_there_are_levels():
    with torch.no_grad():
        states = list(jumps.gaussian_steps(fresh(MANY), noise(), 2, 50, None, rng()))
    assert len(states) == 4 and states[-1].nfe == 3


@pytest.mark.parametrize("name", [ONE, FEW, MANY])
def test_all_ways_start_from_the_same_noise_and_end_in_their_picture(name):
    way, same, other = walked(name), walked(name), walked(name, seed=1)
    assert len(way.states) == way.num_steps + 1 and way.share == 1
    assert torch.equal(way.states[0].x, noise())
    assert torch.equal(way.states[-1].x, same.states[-1].x)
    assert not torch.equal(way.states[-1].x, other.states[-1].x)
    assert torch.equal(way.states[-1].x0_hat, way.states[-2].x0_hat), "nothing is computed for the last state"
    assert way.states[-1].x.abs().max() <= 1 and way.seconds > 0


def test_a_gans_jump_starts_from_the_first_numbers_of_the_noise():
    model, xt = fresh(ONE), noise()
    labels = torch.tensor([3])
    z = xt.flatten(1)[:, : math.prod(model.latent_shape)].view(1, *model.latent_shape)
    assert torch.equal(walked(ONE).states[-1].x, model.decode(z, labels))


def test_few_jumps_are_the_models_own_sampling():
    model = fresh(FEW)
    *_, last = model.sample(1, labels=torch.tensor([3]), generator=rng())
    torch.testing.assert_close(walked(FEW).states[-1].x, last.x)


@pytest.mark.parametrize("numbers", [(1, 4, 100), (1, 4, 4), (1, 4, 3), (1, 4, 1000), (1, 1, 1)])
def test_a_film_passes_every_way_from_its_first_state_to_its_last(numbers):
    spec = registry.spec(MANY)
    walks = [Walk(spec, num, iter(())) for num in numbers]
    places = jumps.moments(walks)
    assert len({len(own) for own in places}) == 1 and len(places[0]) <= jumps.MAX_MOMENTS + 1
    for own, num in zip(places, numbers, strict=True):
        assert own[0] == 0 and own[-1] == num and own == sorted(own)
        for moment, place in enumerate(own):
            assert place <= num * moment / (len(own) - 1) < place + 1, "a step counts when it is done"


# What lies behind one noisy picture


def entered(t=3, seed=0, index=4):
    x0 = data.to_float(data.load("mnist", "test").images[index : index + 1])
    models = {
        key: (fresh(name), registry.spec(name))
        for key, name in zip(jumps.KINDS, (ONE, FEW, MANY), strict=True)
    }
    with torch.no_grad():
        return guesses.enter(models, x0, t, seed)


@pytest.fixture
def few_draws(monkeypatch):
    monkeypatch.setattr(guesses, "NUM_DRAWS", 8)
    monkeypatch.setattr(guesses, "_BATCH", 4)
    monkeypatch.setattr(guesses, "SMALL_STEPS", 2)
    monkeypatch.setattr(guesses, "_NUM_SPREAD", 4)


def draw_all(ways):
    for way in ways:
        while not way.done:
            way.advance()
    return ways


def test_every_way_draws_and_the_seed_decides_what(few_draws):
    xt, ways = entered()
    again_xt, again = entered()
    assert [way.way for way in draw_all(ways)] == list(guesses.WAYS) and torch.equal(xt, again_xt)
    for way, same in zip(ways, draw_all(again), strict=True):
        assert way.x0.shape == (8, 1, 28, 28) and torch.equal(way.x0, same.x0)
        assert sum(way.counts()) == 8 and not torch.equal(way.x0[0], way.x0[1])
    assert [way.nfe for way in ways] == [1, 1, 1, 2]


def test_the_noisy_picture_is_that_of_the_level():
    model = fresh(FEW)
    x0 = data.to_float(data.load("mnist", "test").images[:1])
    eps = noise(seed=9)
    for t in range(1, model.num_timesteps):
        a = model.alphas_cumprod[t]
        torch.testing.assert_close(guesses.noisy(model, x0, t, 9), a.sqrt() * x0 + (1 - a).sqrt() * eps)
    fine = [guesses.level(fresh(MANY), float(a)) for a in model.alphas_cumprod[1:]]
    assert fine == sorted(fine)
    found = fresh(MANY).alphas_cumprod[fine]
    torch.testing.assert_close(found, model.alphas_cumprod[1:], rtol=0, atol=1e-2)


def test_the_gaussian_is_one_bump_around_the_prediction_and_as_wide_as_the_error(few_draws, monkeypatch):
    monkeypatch.setattr(guesses, "_BATCH", 400)
    xt, ways = entered()
    way = next(way for way in ways if way.way == "bump")
    drawn = next(way.drawing)
    model = fresh(MANY)
    t = guesses.level(model, float(fresh(FEW).alphas_cumprod[3]))
    with torch.no_grad():
        x0_hat, width = model.predict(xt, t).x0_hat, guesses.spread(model, t, xt.device)
    assert drawn.mean(0).sub(x0_hat[0]).abs().mean() < 0.1 * width
    assert drawn.std(0).mean().item() == pytest.approx(width, rel=0.05)
    direction = torch.randn(784, generator=rng(3))
    places = (drawn - x0_hat).flatten(1) @ direction
    places = places / places.std()
    assert abs(places.pow(4).mean().item() - 3) < 1, "the fourth moment of a bell curve along any line"


def test_the_width_is_that_of_the_likeliest_gaussian():
    """The log-density of real digits under N(x0_hat, s^2 I) is highest at s = the spread."""

    class Mean(torch.nn.Module):
        alphas_cumprod = torch.tensor([0.5])

        def add_noise(self, x0, eps, t):
            return x0

        def predict(self, xt, t):
            return State(xt, torch.zeros_like(xt), 1)

    width = guesses.spread(Mean(), 0, torch.device("cpu"))
    images = data.load("mnist", "test").images
    x = data.to_float(images[judge.some(len(images), 128)])
    values = [
        torch.distributions.Normal(0, s).log_prob(x).sum().item() for s in (width / 1.1, width, width * 1.1)
    ]
    assert values[1] == max(values)


def test_two_heaps_are_two_bumps_and_one_between_them_is_one():
    x, classes = heaps([-3.0, 3.0])
    found = guesses.line(x, classes + 4)
    assert found.ends == (4, 5)
    places = found.place(x)
    assert places[classes == 0].mean().item() == pytest.approx(-1, abs=1e-4)
    assert places[classes == 1].mean().item() == pytest.approx(1, abs=1e-4)
    shares = torch.tensor(guesses.histogram(places))
    middle = shares[guesses.BINS // 2 - 4 : guesses.BINS // 2 + 4]
    assert shares.sum().item() == pytest.approx(1) and middle.sum() == 0
    between, _ = heaps([0.0])
    shares = torch.tensor(guesses.histogram(found.place(between)))
    assert shares[guesses.BINS // 2 - 4 : guesses.BINS // 2 + 4].sum() > 0.99


def test_with_one_digit_the_line_goes_where_draws_differ_most():
    x, _ = heaps([-3.0, 3.0])
    found = guesses.line(x, torch.full((len(x),), 7))
    assert found.ends is None and found.direction.abs().argmax() == 5 * 28 + 5
    assert found.place(x).std().item() == pytest.approx(1, rel=1e-3)


def test_what_lies_beyond_is_counted_at_the_edges():
    shares = guesses.histogram(torch.tensor([-99.0, 0.0, 0.0, 99.0]))
    assert shares[0] == shares[-1] == 0.25 and sum(shares) == 1


def test_rare_digits_are_no_kind():
    way = Guesses("few", registry.spec(FEW), iter(()), 1, torch.zeros(100, 1, 1, 1))
    way.classes = torch.tensor([1] * 60 + [2] * 37 + [3] * 3)
    assert way.num_kinds == 2 and way.counts()[:4] == [0, 60, 37, 3]
