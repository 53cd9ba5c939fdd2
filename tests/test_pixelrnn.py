"""PixelRNN: the recurrence and its written-out gradient, causality, the exact likelihood, cached sampling."""

import itertools
import math

import pytest
import torch
from torch.nn import functional as F

from playground.models._autoregressive import draw, write_naively
from playground.models._diagonal import cell, diagonals, scan
from playground.models.pixelrnn import SPECS, PixelRNN, PixelRNNConfig
from playground.spec import Batch

LEVELS = pytest.mark.parametrize("levels", [2, 5, 256])
SIZES = pytest.mark.parametrize(("height", "width"), [(3, 4), (4, 3), (1, 3), (3, 1), (1, 1), (4, 4)])


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def small(levels, height=5, width=5, layers=2, dtype=torch.float64):
    """A network for small pictures, shaken so that no part of it is silent."""
    config = PixelRNNConfig(levels, 6, 5, layers, 2, 7, height=height, width=width)
    torch.manual_seed(3)
    model = PixelRNN(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    return model.to(dtype)


def pictures(num, levels, height=5, width=5):
    """Noise on the grey levels."""
    return torch.randint(levels, (num, 1, height, width), generator=rng(4)).double() * (2 / (levels - 1)) - 1


def recurrence(u, weight, bias, height, width):
    """The paper's equation 3 place by place: (H * W, B, C) -> (H * W, B, 2h)."""
    hidden, out = bias.shape[2] // 4, []
    for side in (0, 1):
        zero = u.new_zeros(u.shape[1], hidden)
        h, c = {}, {}
        for row in range(height):
            for column in range(width) if side == 0 else reversed(range(width)):
                here, beside = (row, column), (row, column - 1 if side == 0 else column + 1)
                past = torch.cat(
                    [u[row * width + column], h.get(beside, zero), h.get((row - 1, column), zero)], 1
                )
                o, f, i, g = (past @ weight[side] + bias[side]).chunk(4, dim=1)
                c[here] = f.sigmoid() * c.get(beside, zero) + i.sigmoid() * (g / 2).tanh()
                h[here] = o.sigmoid() * c[here].tanh()
        down = side  # what comes from the right is that of the row above
        out.append([h.get((row - down, column), zero) for row in range(height) for column in range(width)])
    return torch.stack([torch.cat(pair, dim=1) for pair in zip(*out, strict=True)])


def leaves(height, width):
    """Inputs, weights and biases of a small recurrence."""
    shapes = ((height * width, 2, 3), (2, 7, 8), (2, 1, 8))
    return [
        torch.randn(s, generator=rng(i), dtype=torch.float64).requires_grad_() for i, s in enumerate(shapes)
    ]


@SIZES
def test_the_diagonals_compute_the_recurrence_of_the_paper(height, width):
    u, weight, bias = leaves(height, width)
    found = scan(u, weight, bias, diagonals(height, width), width)
    torch.testing.assert_close(found, recurrence(u, weight, bias, height, width))


@SIZES
def test_its_gradient_is_that_of_automatic_differentiation(height, width):
    parts, path = leaves(height, width), diagonals(height, width)
    assert torch.autograd.gradcheck(lambda *p: scan(*p, path, width), parts)


@SIZES
def test_every_place_lies_on_one_diagonal_from_either_side(height, width):
    for side in ("left", "right"):
        visited = [place for step in diagonals(height, width)
                   for place in torch.arange(height * width)[getattr(step, side)].tolist()]  # fmt: skip
        assert sorted(visited) == list(range(height * width))


def test_the_cell_is_an_lstm():
    reference = torch.nn.LSTMCell(3, 4).double()
    x, h, c = (torch.randn(5, n, generator=rng(n), dtype=torch.float64) for n in (3, 4, 4))
    a = x @ reference.weight_ih.T + reference.bias_ih + h @ reference.weight_hh.T + reference.bias_hh
    i, f, g, o = a.chunk(4, dim=1)
    found = cell(torch.cat([o, f, i, 2 * g], dim=1).sigmoid(), c)
    for mine, theirs in zip(found, reference(x, (h, c)), strict=True):
        torch.testing.assert_close(mine, theirs)


@LEVELS
def test_a_pixel_depends_on_its_past_and_on_nothing_else(levels):
    """On all of it but for the last pixel of the row above, which only the first layer shows."""
    model, (height, width), reach = small(levels, 4, 5, layers=1), (4, 5), 2
    x = torch.zeros(1, 1, height, width, dtype=torch.float64).requires_grad_()
    logits = model(x, torch.tensor([2]))
    for place in range(height * width):
        row, column = divmod(place, width)
        expected = torch.arange(height * width) < place
        if row and column + reach < width - 1:
            expected[row * width - 1] = False
        (grad,) = torch.autograd.grad(logits[0, :, row, column].square().sum(), x, retain_graph=True)
        assert torch.equal(grad.flatten() != 0, expected), place


@pytest.mark.parametrize("labelled", [True, False])
def test_the_probabilities_of_all_pictures_sum_to_one(labelled):
    model = small(2, 3, 3)
    x = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=9)), dtype=torch.float64).view(-1, 1, 3, 3)
    log_prob = model.log_prob(x, torch.full((len(x),), 7) if labelled else None)
    assert log_prob.exp().sum().item() == pytest.approx(1, abs=1e-9)
    assert log_prob.std() > 0.1


@LEVELS
def test_the_label_matters_and_without_it_the_classes_are_averaged(levels):
    model, x = small(levels), pictures(3, levels)
    given = torch.stack([model.log_prob(x, torch.full((3,), y)) for y in range(10)])
    assert (given.std(dim=0) > 1e-3).all()
    torch.testing.assert_close(model.log_prob(x), given.logsumexp(0) - math.log(10))


@LEVELS
@pytest.mark.parametrize("layers", [1, 3])
def test_cached_sampling_equals_the_naive_loop(levels, layers):
    model, labels = small(levels, 7, 6, layers), torch.arange(12) % 10
    moments = list(model.sample(12, labels=labels, generator=rng(5), temperature=0.8))
    uniforms = torch.rand(12, 7, 6, generator=rng(5)).double()
    assert torch.equal(moments[-1].x, write_naively(model, labels, uniforms, temperature=0.8))
    assert len(moments[-1].x.unique()) > 1
    assert [(m.step, m.nfe, m.num_steps) for m in moments] == [(i, i, 42) for i in range(1, 43)]


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


def test_completing_a_whole_picture_returns_it():
    x = pictures(2, 256)
    moments = list(small(256).complete(x, torch.ones_like(x), generator=rng()))
    assert [(m.step, m.num_steps, m.nfe) for m in moments] == [(1, 1, 0)] and torch.equal(moments[0].x, x)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_the_reported_loss_is_that_of_the_likelihood(spec):
    model = small(spec.levels, dtype=torch.float32)
    x, labels = pictures(8, spec.levels).float(), torch.arange(8)
    nats = -model.log_prob(x, labels).mean().item()
    (loss,) = model.train_step(Batch(x, labels, rng(), 0.0), model.make_optimizers(spec.recipe)).values()
    assert loss == pytest.approx(nats if spec.levels == 2 else nats / 25 / math.log(2), rel=1e-4)


def test_untrained_every_pixel_is_black_at_the_odds_of_a_digit():
    for spec in SPECS:
        logits = spec.build()(torch.zeros(1, 1, 28, 28), torch.tensor([3]))
        black = F.softmax(logits, dim=1)[:, 0]
        torch.testing.assert_close(black, torch.full_like(black, 0.8))
