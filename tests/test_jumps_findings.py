"""What is said of the draws behind one noisy picture follows from the draws."""

import torch
from jumps_helpers import FEW, heaps

from playground import guesses, registry
from playground.guesses import Guesses


def bumpy(key, x, classes):
    """A way whose draws are given."""
    way = Guesses(key, registry.spec(FEW), iter(()), 1, x)
    way.classes = classes
    return way


def test_two_heaps_are_two_bumps_and_one_bump_cut_in_two_is_one():
    x, classes = heaps([-3.0, 3.0])
    two = bumpy("few", x, classes + 4)
    found = guesses.line(x, two.classes)
    assert guesses.num_bumps(two, found) == 2
    wide = torch.randn(400, 1, 28, 28, generator=torch.Generator().manual_seed(1)) * 0.1
    wide[:, 0, 5, 5] *= 30
    cut = bumpy("few", wide, 4 + (wide[:, 0, 5, 5] > 0).long())
    assert cut.num_kinds == 2 and guesses.num_bumps(cut, guesses.line(wide, cut.classes)) == 1
    assert guesses.num_bumps(bumpy("bump", *heaps([-3.0])), found) == 1, "all of it at one end"
    level, one = torch.full((60, 1, 28, 28), 0.0), torch.full((60,), 7)
    filled = bumpy("few", torch.cat([x, level]), torch.cat([two.classes, one]))
    assert guesses.num_bumps(filled, found) == 3, "a heap in the valley is one too"


def test_what_is_said_of_the_jump_is_what_was_drawn():
    x, classes = heaps([-3.0, 3.0])
    many = bumpy("many", x, classes + 4)
    blob = x.clone()
    blob[:, 0, 5, 5] = 2 * torch.randn(len(x), generator=torch.Generator().manual_seed(5))
    cut = 4 + (blob[:, 0, 5, 5] > 0).long()
    still = 0.001 * torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
    draws = {
        "several": bumpy("few", x, classes + 4),
        "one": bumpy("few", blob, cut),
        "overlooked": bumpy("few", still, torch.full((len(x),), 4)),
    }
    assert {key: guesses.finding([way, many]) for key, way in draws.items()} == {key: key for key in draws}
    assert guesses.finding([draws["overlooked"], bumpy("many", still, draws["overlooked"].classes)]) is None


def way_of(key, values):
    x0 = torch.tensor(values).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    return Guesses(key, registry.spec(FEW), iter(()), 1, x0)


def test_a_jump_that_overlooks_its_latent_is_found_out():
    many = way_of("many", [-1.0, 1.0, -1.0, 1.0])
    assert many.apart == 1.0
    assert guesses.heeds_latent([way_of("few", [0.5, -0.5, 0.5, -0.5]), many]) is True
    assert guesses.heeds_latent([way_of("few", [0.1, 0.101, 0.1, 0.1]), many]) is False
    sure = way_of("many", [0.5, 0.501, 0.5, 0.5])
    assert guesses.heeds_latent([way_of("few", [0.1, 0.1, 0.1, 0.1]), sure]) is None
    assert guesses.heeds_latent([Guesses("few", registry.spec(FEW), iter(()), 1), many]) is None
