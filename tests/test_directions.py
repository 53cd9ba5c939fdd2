"""Principal directions of a generator: what is listened to, and where components lead in z."""

import pytest
import torch
from contract_helpers import rng
from torch import nn

from playground import data, directions
from playground.spec import Encodes, HasLatent


class Planted(nn.Module, HasLatent, Encodes):
    """Its first layer stretches two directions of z; everything after that is of no account."""

    latent_shape = (6,)

    def __init__(self):
        super().__init__()
        self.axes = torch.linalg.qr(torch.randn(6, 6, generator=rng()))[0].T
        self.first, self.rest = nn.Linear(6, 30), nn.Linear(30, 16)
        turned = torch.linalg.qr(torch.randn(30, 6, generator=rng(1)))[0]
        with torch.no_grad():
            self.first.weight.copy_(
                turned @ torch.diag(torch.tensor([5.0, 3, 0.1, 0.1, 0.1, 0.1])) @ self.axes
            )

    def decode(self, z, labels=None):
        return torch.tanh(self.rest(self.first(z))).view(-1, 1, 4, 4)

    def encode(self, x, labels=None):
        return x.flatten(1)[:, :6]


def test_ganspace_carries_components_back_to_z():
    model = Planted()
    found = directions.principal(model, 2, num_samples=1500)
    assert not found.in_styles and found.moves.shape == (2, 6) and found.share.sum() > 0.98
    for move, axis in zip(found.moves, model.axes, strict=False):
        assert abs(torch.dot(move, axis)) / move.norm() > 0.98
        assert move.norm() == pytest.approx(1, abs=0.1)  # one standard deviation of a standard normal
    assert not model.first._forward_hooks  # nobody who shares the model notices


class Timed(Planted):
    """It speaks of the time first, which is the same for every z; the two directions it then draws itself."""

    def __init__(self, told):
        super().__init__()
        self.time, self.told = nn.Linear(3, 8), told

    def decode(self, z, labels=None):
        brightness = self.time(torch.ones(len(z), 3)).mean(1)[:, None]
        seen = self.first(z) if self.told else z @ self.first.weight.T
        return (brightness + seen).view(-1, 1, 5, 6)


@pytest.mark.parametrize("told", [True, False], ids=["a later layer", "the pictures"])
def test_a_layer_that_says_the_same_of_every_latent_is_not_listened_to(told):
    model = Timed(told)
    found = directions.principal(model, 2, num_samples=1500)
    assert found.share[1] > 0.1 and found.share.sum() > 0.98
    for move, axis in zip(found.moves, model.axes, strict=False):
        assert abs(torch.dot(move, axis)) / move.norm() > 0.98


def test_a_walk_goes_through_the_picture_it_starts_from():
    model, z = Planted(), torch.randn(1, 6, generator=rng())
    found = directions.walk(
        model, z, directions.principal(model, 3, num_samples=100), torch.tensor([-2.0, 0, 2])
    )
    assert found.shape == (3, 3, 1, 4, 4)
    for row in found:
        torch.testing.assert_close(row[1], model.decode(z)[0].detach())
        assert not torch.equal(row[0], row[2])


def test_encoded_pictures_come_with_their_labels():
    images = data.load("mnist", "test")
    parts = list(directions.encode(Planted(), images, 300))
    z, x, labels = (torch.cat(found) for found in zip(*parts, strict=True))
    assert z.shape == (300, 6) and x.shape == (300, 1, 28, 28) and len(labels.unique()) == 10
    torch.testing.assert_close(z, x.flatten(1)[:, :6])
