"""Sets of pairs: what their halves show, that training sees no pair, and drawings made of pictures."""

import pytest
import torch

from playground import data
from playground.data import emoji, pairs, sketches

SMALL = [name for name in pairs.LOADERS if not name.startswith("mnist")]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("split", ["train", "test"])
def test_rows_hold_both_looks(name, split):
    images, pair = data.load(name, split), pairs.pair(name)
    assert images.images.dtype == torch.uint8
    assert images.images.shape[1] == pair.a.channels + pair.b.channels
    assert images.images.shape[2:] == (pair.a.side, pair.a.side) == (pair.b.side, pair.b.side)
    assert len(images) == len(images.labels) == len(emoji.indices(split))
    a, b = pairs.halves(name, images.images)
    assert a.shape[1] == pair.a.channels and b.shape[1] == pair.b.channels


def test_styles_are_the_two_sheets():
    a, b = pairs.halves("emoji_styles", data.load("emoji_styles", "test").images)
    assert torch.equal(a, data.load("emoji_noto", "test").images)
    assert torch.equal(b, data.load("emoji_twemoji", "test").images)


@pytest.mark.parametrize("name", ["emoji_styles", "emoji_sketches"])
def test_unpaired_training_sees_no_pair_and_the_test_split_stays_paired(name):
    paired, unpaired = data.load(name).images, data.load(f"{name}_unpaired").images
    (a, b), (x, y) = pairs.halves(name, paired), pairs.halves(name, unpaired)
    assert torch.equal(a, x)
    order = pairs.derangement(len(b))
    assert torch.equal(y, b[order]) and torch.equal(order.sort().values, torch.arange(len(b)))
    assert not (order == torch.arange(len(b))).any()
    assert torch.equal(data.load(name, "test").images, data.load(f"{name}_unpaired", "test").images)


@pytest.mark.parametrize("num", [2, 3, 7, 100])
def test_derangements_leave_nothing_in_place(num):
    order = pairs.derangement(num, seed=num)
    assert sorted(order.tolist()) == list(range(num)) and torch.equal(order, pairs.derangement(num, num))
    assert not (order == torch.arange(num)).any()


def test_a_set_that_is_no_pairs_is_named():
    with pytest.raises(ValueError, match="emoji_styles"):
        pairs.pair("mnist")


def test_the_edge_of_a_disc_is_a_ring():
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    far = ((rows - 31.5).square() + (columns - 31.5).square()).sqrt()
    disc = torch.where(far < 20, 0, 255).to(torch.uint8).expand(1, 3, 64, 64)
    drawn = sketches.edges(disc)[0, 0].float()
    assert (drawn[(far > 24) | (far < 16)] == 255).all(), "white but for the line"
    ink = drawn < 128
    assert 100 < ink.sum() < 420 and ((far[ink] - 20).abs() < 3).all()
    spokes = [ink[32, 40:64], ink[32, :24], ink[40:64, 32], ink[:24, 32]]
    assert all(1 <= spoke.sum() <= 4 for spoke in spokes), "the line goes all around"


def test_a_picture_that_touches_the_border_has_an_edge_there():
    full = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    drawn = sketches.edges(full)[0, 0]
    assert (drawn[0] < 255).all() and (drawn[10:50, 10:50] == 255).all()
    assert (sketches.edges(torch.full_like(full, 255)) == 255).all(), "paper has none"


def test_colours_of_equal_brightness_have_an_edge():
    halves = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    halves[:, 0, :, :16], halves[:, 1, :, 16:] = 100, 100
    assert (sketches.edges(halves)[0, 0, 10:20, 13:19] < 255).any()


def test_an_outline_is_hollow():
    digit = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    digit[:, :, 8:20, 12:16] = 255
    drawn = sketches.outline(digit)[0, 0]
    assert (
        (drawn[8:20, 12:16] == 0).all() and (drawn[7, 11:17] == 255).all() and (drawn[7:21, 11] == 255).all()
    )
    assert int((drawn > 0).sum()) == 14 * 6 - 12 * 4
