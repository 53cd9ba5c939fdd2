"""One picture through every family: who does what, that it does it, and the search for a latent."""

from dataclasses import replace

import pytest
import torch
from contract_helpers import fresh
from tiny import SPEC

from playground import data, families, inversion, jumps, race, registry, restoring, scoring
from playground.families import Attempt
from playground.spec import DenoiseStep, GenerativeModel, HasCodes, HasLatent, HasScore, Jumps

NAMES = registry.names("Samples")


def digit(index=1):
    return data.to_float(data.load("mnist", "test").images[index : index + 1])


def first(approach):
    return next(name for name in NAMES if families.approach(registry.spec(name)) == approach)


def last(name, x=None, label=2):
    """The last moment of what an untrained model does."""
    moments = list(families.work(fresh(name), registry.spec(name), digit() if x is None else x, label))
    shares = [moment.share for moment in moments]
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1.0)
    return moments[-1]


# Who does what


@pytest.mark.parametrize("name", NAMES)
def test_the_approach_follows_from_the_capabilities(name):
    spec = registry.spec(name)
    how, can = families.approach(spec), set(spec.capabilities)
    assert how in families.APPROACHES
    needed = {
        "encode": {"Encodes", "HasLatent"}, "exact": {"Encodes", "HasLatent", "HasLikelihood"},
        "trajectory": {"Encodes", "HasLatent", "Denoises"}, "complete": {"Completes"},
        "restore": {"HasScore"}, "search": {"HasLatent"}, "redraw": {"Denoises"}, "none": set(),
        "tokens": {"HasCodes"}, "jump": {"Jumps"},
    }  # fmt: skip
    assert needed[how] <= can
    if how == "search":
        assert not can & {"Encodes", "Denoises", "Completes"}
    if how == "exact":
        assert scoring.kind(spec) == "dequantised"
    if how == "none":
        assert not can & {"Encodes", "Denoises", "Completes", "HasLatent"}


@pytest.mark.parametrize("how", ["encode", "exact", "complete", "restore", "search"])
def test_every_usual_approach_has_a_model(how):
    assert first(how) in NAMES


def test_a_flow_gives_the_very_picture_back():
    x = digit()
    moment = last(first("exact"), x)
    assert families.pixel_error(x, moment.x) < 1e-3
    assert moment.between is not None and moment.between.shape == x.shape


def test_a_code_goes_to_a_picture():
    name = first("encode")
    moment, model = last(name), fresh(name)
    torch.testing.assert_close(moment.x, model.decode(model.encode(digit())))


def test_a_completion_keeps_the_upper_half():
    name = next(
        n for n in NAMES if families.approach(registry.spec(n)) == "complete" and registry.spec(n).levels == 2
    )
    x = digit()
    moment = last(name, x)
    kept = scoring.on_levels(x, 2)[:, :, :14]
    assert len(moment.x) == families.NUM_VARIANTS
    assert all(torch.equal(one[None, :, :14].cpu(), kept) for one in moment.x)
    assert not torch.equal(moment.x[0], moment.x[1])
    assert moment.region[0, 0, :14].sum() == 0 and (moment.region[0, 0, 14:] == 1).all()
    assert (moment.between[:, :, 14:] == -1).all()


class Knows(GenerativeModel, HasScore):
    """A score that knows the one picture there is."""

    num_timesteps = 100

    def __init__(self, x):
        super().__init__()
        self.anchor, self.x = torch.nn.Parameter(torch.zeros(1)), x
        self.alphas_cumprod = torch.linspace(0.999, 0.001, 100)

    def add_noise(self, x0, eps, t):
        a = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        return a.sqrt() * x0 + (1 - a).sqrt() * eps

    def predict(self, xt, t, labels=None, guidance=1.0):
        a = self.alphas_cumprod[t]
        return DenoiseStep(t, xt, self.x, (xt - a.sqrt() * self.x) / (1 - a).sqrt())


def test_restoring_leads_back_to_the_picture():
    x = digit()
    spec = replace(SPEC, model=Knows)
    assert families.approach(spec) == "restore"
    *_, moment = families.work(Knows(x), spec, x)
    torch.testing.assert_close(moment.x, x)
    assert moment.nfe == families.NUM_RESTORING
    assert families.pixel_error(x, moment.between) > 0.1  # it was noised on the way


@pytest.mark.parametrize("num_timesteps", [1000, 30])
def test_restoring_takes_the_steps_of_ddim_in_the_diffuse_tab(num_timesteps):
    class Blurs(Knows):
        def predict(self, xt, t, labels=None, guidance=1.0):
            x0_hat = torch.nn.functional.avg_pool2d(xt, 3, 1, 1) * (1 + 1e-4 * t)
            return DenoiseStep(t, xt, x0_hat, xt)

    x, model = digit(), Blurs(digit())
    model.num_timesteps, model.alphas_cumprod = num_timesteps, torch.linspace(0.999, 0.001, num_timesteps)
    moments = list(families.work(model, replace(SPEC, model=Blurs), x, seed=5))
    steps = restoring.back_from(
        model, moments[0].between, num_timesteps // 2, labels=None, generator=torch.Generator(),
        num_steps=families.NUM_RESTORING, eta=0.0,
    )  # fmt: skip
    for moment, step in zip(moments, steps, strict=True):
        torch.testing.assert_close(moment.x, step.x)


@pytest.mark.parametrize("how", ["restore", "trajectory", "jump", "redraw"])
def test_models_of_noise_end_with_a_picture(how):
    found = [name for name in NAMES if families.approach(registry.spec(name)) == how]
    if not found:
        pytest.skip(f"no model does '{how}'")
    moment = last(found[0])
    num = families.NUM_VARIANTS if how == "jump" else 1
    assert moment.x.shape == (num, 1, 28, 28) and torch.isfinite(moment.x).all()
    assert moment.between is not None and moment.between.shape == (1, 1, 28, 28)


class Sure(GenerativeModel, Jumps):
    """Jumps that know the one picture there is, and notice the noise that they are given."""

    num_timesteps = 5

    def __init__(self, x):
        super().__init__()
        self.anchor, self.x, self.heard = torch.nn.Parameter(torch.zeros(1)), x, []
        self.alphas_cumprod = torch.tensor([1.0, 0.7, 0.4, 0.1, 0.01])

    add_noise = Knows.add_noise

    def draw_x0(self, xt, t, labels=None, *, generator):
        a = self.alphas_cumprod[t]
        self.heard.append((t, float(((xt - a.sqrt() * self.x) / (1 - a).sqrt()).std())))
        return self.x.expand(len(xt), -1, -1, -1)


def test_jumps_lead_from_half_way_over_the_posterior(untrained, monkeypatch):
    x, posterior, levels = digit(), jumps.gaussian, []

    def gaussian(x0_hat, xt, a, a_ahead, eps):
        levels.append((round(a, 4), round(a_ahead, 4)))
        return posterior(x0_hat, xt, a, a_ahead, eps)

    monkeypatch.setattr(jumps, "gaussian", gaussian)
    model = Sure(x)
    *_, moment = families.work(model, replace(SPEC, model=Sure), x)
    assert [t for t, _ in model.heard] == [2, 1] and families.approach(replace(SPEC, model=Sure)) == "jump"
    assert all(std == pytest.approx(1.0, abs=0.06) for _, std in model.heard)  # as noisy as its level says
    torch.testing.assert_close(moment.x, x.expand(families.NUM_VARIANTS, -1, -1, -1))
    assert levels[0] == (0.4, 0.7), "the one formula of q(x_s | x_t, x_0)"


class Wordy(GenerativeModel, HasCodes):
    """Every patch of 4 x 4 pixels becomes one of two words: dark or bright."""

    def __init__(self, config=None):
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(1))

    def codes(self, x):
        return (torch.nn.functional.avg_pool2d(x, 4)[:, 0] > 0).long()

    def paint(self, codes):
        return (2.0 * codes[:, None] - 1).repeat_interleave(4, 2).repeat_interleave(4, 3)


def test_words_are_painted_and_shown_as_greys():
    x = digit()
    *_, moment = families.work(Wordy(), replace(SPEC, model=Wordy), x)
    torch.testing.assert_close(moment.x, Wordy().paint(Wordy().codes(x)))
    assert moment.between.shape == (1, 1, 7, 7) and set(moment.between.unique().tolist()) == {-1.0, 1.0}


def test_a_picture_only_has_a_likelihood_where_the_model_has_one():
    x, plain = digit(), first("search")
    assert families.likelihood(fresh(plain), registry.spec(plain), x) is None
    name = next(n for n in registry.names("HasLikelihood") if scoring.kind(registry.spec(n)) == "dequantised")
    spec, model = registry.spec(name), fresh(name)
    many = scoring.log_prob(model, x.expand(families.NUM_DRAWS, -1, -1, -1)).mean()
    assert families.likelihood(model, spec, x) == pytest.approx(float(many))


def test_pixel_error_counts_where_it_is_told_to():
    x = torch.full((1, 1, 4, 4), -1.0)
    y = x.clone()
    y[:, :, 2:] = 1
    region = torch.zeros(1, 1, 4, 4)
    region[:, :, 2:] = 1
    assert families.pixel_error(x, x) == 0
    assert families.pixel_error(x, y) == pytest.approx(0.5**0.5)
    assert families.pixel_error(x, y, region) == 1 and families.pixel_error(x, y, 1 - region) == 0


@pytest.mark.parametrize("how", ["encode", "exact"])
def test_an_attempt_ends_with_all_its_numbers(how, untrained):
    name = first(how)
    attempt = Attempt(registry.spec(name), registry.load(name), digit(), 2)
    assert attempt.error is None and race.next_up([attempt]) is attempt
    while not attempt.done:
        attempt.advance()
    assert attempt.seconds > 0 and attempt.nats is not None and attempt.reading is not None
    assert 0 <= attempt.reading[1] <= 1 and attempt.error >= 0 and race.next_up([attempt]) is None


def test_facts_name_what_sentences_say():
    name = first("restore")
    found = families.facts(fresh(name), registry.spec(name))
    assert 0 < found["noise"] < 100 and found["dims"] == 784
    assert families.facts(fresh(first("search")), registry.spec(first("search")))["dims"] > 0


# The search for a latent


class Planted(GenerativeModel, HasLatent):
    """Draws tanh(W z), five numbers to a picture."""

    latent_shape = (5,)

    def __init__(self, config=None):
        super().__init__()
        weight = torch.randn(784, 5, generator=torch.Generator().manual_seed(3))
        self.weight = torch.nn.Parameter(weight)

    def decode(self, z, labels=None):
        return torch.tanh(z @ self.weight.T).view(-1, 1, 28, 28)


class Deaf(Planted):
    @torch.no_grad()
    def decode(self, z, labels=None):
        return super().decode(z, labels)


def test_a_planted_latent_is_found(untrained):
    model, z = Planted(), torch.tensor([[0.7, -1.1, 0.3, 0.9, -0.4]])
    x = model.decode(z).detach()
    found = list(inversion.invert(model, x, num_steps=70))
    assert families.pixel_error(x, found[-1].x) < 0.05 < families.pixel_error(x, found[0].x)
    torch.testing.assert_close(found[-1].z, z, atol=0.1, rtol=0)
    assert [one.step for one in found] == list(range(1, 71)) and len(found[0].losses) == inversion.NUM_STARTS
    assert model.weight.grad is None  # the model is shared: the search leaves no trace on it


def test_the_same_seed_searches_in_the_same_way(untrained):
    x = Planted().decode(torch.ones(1, 5)).detach()
    runs = [[one.losses for one in inversion.invert(Planted(), x, seed=s, num_steps=3)] for s in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]


def test_without_a_gradient_nothing_can_be_searched_for(untrained):
    x = digit()
    with pytest.raises(inversion.NoGradient):
        list(inversion.invert(Deaf(), x, num_steps=2))
    spec = replace(SPEC, model=Deaf)
    attempt = Attempt(spec, Deaf(), x)
    while not attempt.done:
        attempt.advance()
    assert attempt.failed == "families.no_gradient" and attempt.moment is None and attempt.reading is None


@pytest.mark.parametrize("name", [n for n in NAMES if families.approach(registry.spec(n)) == "search"])
def test_every_generator_lets_gradients_through(name, untrained):
    model, spec = registry.load(name), registry.spec(name)
    label = torch.tensor([2]) if spec.conditional else None
    found = list(inversion.invert(model, digit(), label, num_steps=2))
    assert torch.isfinite(found[-1].x).all() and found[0].losses != found[1].losses
