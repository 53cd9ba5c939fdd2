"""Reading pixel by pixel: surprises that add up, beliefs, receptive fields and blind spots."""

import math

import pytest
import torch
from contract_helpers import fresh, having, pictures, rng

from playground import pixels, registry
from playground.models.pixelcnn import PixelCNN, PixelCNNConfig

BINARY = next(n for n in registry.names("PredictsPixels") if registry.spec(n).levels == 2)


def small(levels=2, layers=3, reach=2):
    """A gated network without blind spots, shaken so that nothing is silent."""
    torch.manual_seed(1)
    model = PixelCNN(PixelCNNConfig(levels, 4, layers, reach, 5, height=9, width=9))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return model.double()


def noise(levels, side=9):
    return torch.randint(levels, (1, 1, side, side), generator=rng(2)).double() * (2 / (levels - 1)) - 1


@having("PredictsPixels")
@pytest.mark.parametrize("label", [None, 4])
def test_the_surprises_add_up_to_the_likelihood(name, label):
    model, x = fresh(name), pictures(name, 1)[0]
    reading = pixels.read(model, x, label)
    expected = -model.log_prob(x, None if label is None else torch.tensor([label])).item()
    assert reading.total == pytest.approx(expected, rel=1e-4)
    assert (reading.belief is None) == (label is not None)


@pytest.mark.parametrize("levels", [2, 32])
def test_beliefs_follow_bayes_rule(levels):
    model, x = small(levels), noise(levels)
    belief = pixels.read(model, x).belief
    torch.testing.assert_close(belief.sum(1), torch.ones(82).double())
    torch.testing.assert_close(belief[0], torch.full((10,), 0.1).double())
    given = torch.stack([model.log_prob(x, torch.tensor([y]))[0] for y in range(10)])
    torch.testing.assert_close(belief[-1], given.softmax(0))


@pytest.mark.parametrize("levels", [2, 32])
def test_a_completion_believes_what_a_reading_does_before_the_first_erased_pixel(levels):
    model, x = small(levels), noise(levels)
    masks = torch.ones(4, 81)
    masks[0, 40:], masks[1, 13:20], masks[2, 0] = 0, 0, 0  # the rest; a hole; the first; nothing
    masks = masks.view(4, 1, 9, 9)
    many = x.expand(4, -1, -1, -1).clone()
    many[masks == 0] *= -1  # what is erased is not looked at
    read, belief = pixels.read(model, x).belief, model.belief(many, masks)
    torch.testing.assert_close(belief, read[torch.tensor([40, 13, 0, 81])])


@pytest.mark.parametrize(("levels", "bins"), [(2, 2), (32, 16), (256, 16)])
def test_distributions_are_those_of_the_logits_at_a_temperature(levels, bins):
    model, x = small(levels), noise(levels)
    reading = pixels.read(model, x, 3, temperature=0.5)
    p = (model(x, torch.tensor([3]))[0].flatten(1) / 0.5).softmax(0)
    assert reading.shares.shape == (81, bins)
    torch.testing.assert_close(reading.shares, p.view(bins, -1, 81).sum(1).T)
    torch.testing.assert_close(reading.ink.flatten(), 1 - p[0])
    level = ((x.flatten() + 1) * (levels - 1) / 2).round().long()
    torch.testing.assert_close(reading.nats.flatten(), -p[level, torch.arange(81)].log())


def test_the_gated_network_has_no_blind_spot():
    model, x = small(), noise(2)
    found = pixels.field(lambda probes: model(probes, torch.zeros(len(probes)).long()), x, 6, 4)
    rows, columns = torch.meshgrid(torch.arange(9), torch.arange(9), indexing="ij")
    reach = 2 + 2  # the first layer's, and one more for each further layer
    past = rows * 9 + columns < 6 * 9 + 4
    near = (6 - rows <= reach) & ((columns - 4).abs() <= reach)
    assert torch.equal(found.seen, past & near)
    assert not found.blind.any() and pixels.future(found.seen, 6, 4) == 0
    assert torch.equal(found.strength > 0, found.seen)


@pytest.mark.parametrize("depth", [0, 1, 4])
def test_the_stack_of_masked_kernels_has_one(depth):
    """To the right it sees a column more for every row further up; what lies below that line is blind."""
    stack, (row, column) = pixels.MaskedStack(depth), (20, 12)
    found = pixels.field(stack, torch.zeros(1, 1, 28, 28), row, column)
    rows, columns = torch.meshgrid(torch.arange(28), torch.arange(28), indexing="ij")
    up, right, reach = row - rows, columns - column, 3 + depth
    near = (up >= 0) & (up <= reach) & (right.abs() <= reach)
    past = rows * 28 + columns < row * 28 + column
    expected = past & near & (right <= torch.where(up > 0, (up - 1).clamp(max=depth) + 3, 0))
    assert torch.equal(found.seen, expected)
    assert torch.equal(found.blind, past & near & ~expected) and found.blind.any() == (depth > 0)
    assert stack.reach == reach and pixels.future(found.seen, row, column) == 0


def test_the_stack_is_the_same_every_time_and_leaves_random_numbers_alone():
    before = torch.get_rng_state()
    one, two = pixels.MaskedStack(2), pixels.MaskedStack(2)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_a_pixel_that_sees_the_future_is_found_out():
    found = pixels.field(lambda x: torch.cat([x, x.flip(3)], 1), torch.zeros(1, 1, 4, 4), 1, 1)
    assert pixels.future(found.seen, 1, 1) == 2


def test_the_first_pixel_sees_nothing():
    found = pixels.field(pixels.MaskedStack(2), torch.zeros(1, 1, 6, 6), 0, 0)
    assert not found.seen.any() and not found.blind.any() and math.isclose(found.strength.sum(), 0)
