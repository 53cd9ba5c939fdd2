"""Gated PixelCNN: what a pixel sees, the exact likelihood, and cached sampling against the naive loop."""

import itertools
import math

import pytest
import torch

from playground.models._autoregressive import draw, quantise, write_naively
from playground.models.pixelcnn import SPECS, PixelCNN, PixelCNNConfig, gate
from playground.spec import Batch

LEVELS = pytest.mark.parametrize("levels", [2, 256])


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def small(levels, height=5, width=5, reach=2, dtype=torch.float64):
    """A net of three layers, none of whose weights is zero, so that everything it sees matters."""
    config = PixelCNNConfig(levels, 4, 3, reach, head=6, height=height, width=width)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = PixelCNN(config)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
    return model.to(dtype).eval()


def pictures(num, levels, height=5, width=5, seed=0):
    return quantise(
        2 * torch.rand(num, 1, height, width, generator=rng(seed), dtype=torch.float64) - 1, levels
    )


def last(moments):
    *_, moment = moments
    return moment.x


@LEVELS
def test_a_pixel_sees_all_of_its_past_and_nothing_else(levels):
    model, labels = small(levels), torch.tensor([3])
    x = pictures(1, levels).requires_grad_()
    logits = model(x, labels)
    for place in range(25):
        (gradient,) = torch.autograd.grad(logits.flatten(2)[0, :, place].square().sum(), x, retain_graph=True)
        seen = gradient.flatten() != 0
        assert seen.tolist() == [i < place for i in range(25)]


@LEVELS
def test_changing_the_future_changes_no_logit(levels):
    """Also what has no gradient, such as whether a pixel has ink, comes from the past alone."""
    model, labels = small(levels), torch.tensor([3])
    x, other = pictures(1, levels), -pictures(1, levels)
    before = model(x, labels).flatten(2)
    for place in range(25):
        mixed = torch.cat([x.flatten()[:place], other.flatten()[place:]]).view_as(x)
        after = model(mixed, labels).flatten(2)
        torch.testing.assert_close(after[..., : place + 1], before[..., : place + 1], rtol=0, atol=1e-12)
        if place < 24:
            assert not torch.allclose(after[..., place + 1 :], before[..., place + 1 :])


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_the_whole_cone_of_the_past_is_in_reach(spec):
    """Every row adds what one layer sees: 7 rows and columns at the input, 1 of each in every later layer."""
    model = spec.build().double()
    torch.nn.init.normal_(model.logits.weight)
    far = spec.config.reach + spec.config.num_layers - 1
    x = pictures(1, 2, 28, 28).requires_grad_()
    model(x, torch.tensor([3]))[0, :, 20, 14].square().sum().backward()
    seen, row, column = x.grad[0, 0] != 0, torch.arange(28)[:, None], torch.arange(28)
    near = (row >= 20 - far) & ((column - 14).abs() <= far)
    past = (row < 20) | ((row == 20) & (column < 14))
    assert torch.equal(seen, near & past)


def test_the_gate_is_a_tanh_times_a_sigmoid():
    a = torch.randn(2, 6, 3, generator=rng())
    torch.testing.assert_close(gate(a), torch.tanh(-a[:, :3] / 2) * torch.sigmoid(a[:, 3:]))


@pytest.mark.parametrize("labelled", [True, False])
def test_the_probabilities_of_all_pictures_sum_to_one(labelled):
    model = small(2, 3, 3)
    x = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=9)), dtype=torch.float64).view(-1, 1, 3, 3)
    labels = torch.full((len(x),), 7) if labelled else None
    log_prob = model.log_prob(x, labels)
    assert log_prob.exp().sum().item() == pytest.approx(1, abs=1e-9)
    assert log_prob.std() > 0.1


@LEVELS
def test_the_likelihood_is_the_product_of_the_pixels_and_the_mean_over_classes(levels):
    model, x = small(levels), pictures(3, levels)
    given = []
    for label in range(10):
        labels = torch.full((3,), label)
        log_p = model(x, labels).log_softmax(dim=1)
        target = ((x + 1) * (levels - 1) / 2).round().long()
        given.append(log_p.gather(1, target).sum(dim=(1, 2, 3)))
        torch.testing.assert_close(model.log_prob(x, labels), given[-1])
    torch.testing.assert_close(model.log_prob(x), torch.stack(given).exp().mean(dim=0).log())


@LEVELS
def test_a_likelihood_of_pixels_between_the_levels_is_refused(levels):
    x = pictures(1, levels)
    x[0, 0, 2, 2] = 0.002
    with pytest.raises(ValueError, match=f"{levels} grey levels"):
        small(levels).log_prob(x, torch.tensor([0]))


@LEVELS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cached_sampling_equals_the_naive_loop(levels, dtype):
    model, labels = small(levels, 7, 6, 3, dtype), torch.arange(12) % 10
    moments = list(model.sample(12, labels=labels, generator=rng(5), temperature=0.8))
    uniforms = torch.rand(12, 7, 6, generator=rng(5)).to(dtype)
    assert torch.equal(moments[-1].x, write_naively(model, labels, uniforms, temperature=0.8))
    assert len(moments[-1].x.unique()) > 1
    assert [(m.step, m.nfe, m.num_steps) for m in moments] == [(i, i, 42) for i in range(1, 43)]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_cached_sampling_of_full_size_equals_one_pass_over_its_result(spec):
    """The naive loop's logits at a pixel depend on the pixels before it only, so one pass has all of them."""
    model = spec.build().double().requires_grad_(False).eval()
    torch.nn.init.normal_(model.logits.weight, std=0.5)
    labels = torch.arange(3)
    x = last(model.sample(3, labels=labels, generator=rng(1)))
    uniforms = torch.rand(3, 28, 28, generator=rng(1)).double()
    logits = model(x, labels).permute(0, 2, 3, 1).flatten(0, 2)
    assert torch.equal(draw(logits, uniforms.flatten(), 1.0), x.flatten())


def test_drawing_follows_the_probabilities():
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log().expand(100_000, 4)
    values, counts = draw(logits, torch.rand(100_000, generator=rng()), 1.0).unique(return_counts=True)
    torch.testing.assert_close(values, torch.tensor([-1.0, -1 / 3, 1 / 3, 1.0]))
    torch.testing.assert_close(counts / 100_000, logits[0].exp(), rtol=0, atol=0.01)
    cold = draw(logits, torch.rand(100_000, generator=rng()), 0.05)
    assert (cold == 1).float().mean() > 0.99


@LEVELS
def test_the_same_seed_draws_the_same_pictures(levels):
    model = small(levels)
    one, two, other = (last(model.sample(4, generator=rng(seed))) for seed in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other)


@LEVELS
def test_completion_keeps_what_is_given_and_uses_it(levels):
    model, labels, x = small(levels), torch.arange(4), pictures(4, levels)
    mask = torch.ones_like(x)
    mask[:2, :, 3:], mask[2:, :, 2, 1:4] = 0, 0
    moments = list(model.complete(x, mask, labels=labels, generator=rng()))
    result = moments[-1].x
    assert torch.equal(result[mask == 1], x[mask == 1]) and not torch.equal(result, x)
    assert [m.step for m in moments] == list(range(1, 14)) and moments[0].num_steps == 13
    uniforms = torch.rand(4, 5, 5, generator=rng()).double()
    logits = model(result, labels).permute(0, 2, 3, 1).flatten(0, 2)
    drawn = draw(logits, uniforms.flatten(), 1.0).view_as(x)
    assert torch.equal(result[mask == 0], drawn[mask == 0])


class Told(PixelCNN):
    """Tells classes apart loudly and keeps the labels that it writes with."""

    def __init__(self, config):
        super().__init__(config)
        self.load_state_dict(small(2).state_dict())
        for layer in self.layers:
            torch.nn.init.normal_(layer.label.weight, std=3, generator=rng(4))
        self.double().requires_grad_(False).logits.weight.mul_(5)

    def write(self, x, mask, labels, *rest):
        self.labels = labels
        return super().write(x, mask, labels, *rest)


def told(x, mask, seed=0):
    """The labels that unlabelled completions are written with, and the evaluations they report."""
    model = Told(small(2).config)
    *_, moment = model.complete(x, mask, generator=rng(seed))
    return model.labels, moment.nfe


def test_without_a_label_each_completion_draws_its_class_from_the_belief():
    x = pictures(1, 2).expand(4000, -1, -1, -1)
    mask = torch.ones_like(x)
    mask[:, :, 4:] = 0
    belief = Told(small(2).config).belief(x[:1], mask[:1])[0]
    assert belief.max() > 0.3, "else a uniform draw would pass"
    labels, nfe = told(x, mask)
    shares = labels.bincount(minlength=10) / len(labels)
    torch.testing.assert_close(shares.double(), belief, atol=0.03, rtol=0)
    assert torch.equal(labels, told(x, mask)[0]) and not torch.equal(labels, told(x, mask, 1)[0])
    assert nfe == 5 + 10  # five pixels, and one evaluation for each class


def test_where_nothing_is_kept_before_every_class_is_as_likely():
    x = pictures(1, 2).expand(4000, -1, -1, -1)
    mask = torch.ones_like(x)
    mask[:, :, :1] = 0
    labels, nfe = told(x, mask)
    shares = labels.bincount(minlength=10) / len(labels)
    torch.testing.assert_close(shares, torch.full((10,), 0.1), atol=0.03, rtol=0)
    assert nfe == 5


def test_completing_a_whole_picture_returns_it():
    x = pictures(2, 256)
    moments = list(small(256).complete(x, torch.ones_like(x), generator=rng()))
    assert [(m.step, m.num_steps, m.nfe) for m in moments] == [(1, 1, 0)] and torch.equal(moments[0].x, x)


@LEVELS
def test_training_reaches_every_parameter_and_lowers_the_loss(levels):
    model, spec = small(levels, dtype=torch.float32), SPECS[levels == 2]
    x, labels = pictures(8, levels).float(), torch.arange(8)
    optimizers = model.make_optimizers(spec.recipe)
    losses = []
    for _ in range(3):
        losses += model.train_step(Batch(x, labels, rng(), 0.0), optimizers).values()
    assert losses[0] > losses[1] > losses[2] > 0
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name


def test_the_reported_losses_are_those_of_the_likelihood():
    for spec, levels in zip(SPECS, (256, 2), strict=True):
        model = small(levels, dtype=torch.float32)
        x, labels = pictures(8, levels).float(), torch.arange(8)
        nats = -model.log_prob(x, labels).mean().item()
        (loss,) = model.train_step(Batch(x, labels, rng(), 0.0), model.make_optimizers(spec.recipe)).values()
        assert loss == pytest.approx(nats if levels == 2 else nats / 25 / math.log(2), rel=1e-4)
