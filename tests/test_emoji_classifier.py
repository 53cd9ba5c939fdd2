"""The emoji classifier, the colours it learns through, and which judge a data set finds."""

import pytest
import torch

from playground import data, judge, registry
from playground.data import emoji
from playground.models._emoji_colours import COLOURS, angle_to, recoloured, turn_hues, without_colour
from playground.models.emoji_classifier import SPECS
from playground.spec import Batch

SPEC = SPECS[0]


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(num=8, split="test"):
    return data.to_float(data.load("emoji", split).images[:num])


def test_both_hands_are_in_one_set_and_nothing_held_out_is_trained_on():
    train, test, named = (data.load(*of) for of in (("emoji",), ("emoji", "test"), ("emoji_named",)))
    assert (len(train), len(test)) == (2 * 1715, 2 * 191) and len(train.classes) == 9
    assert torch.equal(train.images, named.images)
    assert not (named.labels % len(emoji.entries()) % 10 == 0).any()
    style, index = divmod(int(named.labels[1800]), len(emoji.entries()))
    assert named.classes[named.labels[1800]] == f"{emoji.entries()[index]['name']}, {emoji.STYLES[style]}"
    assert train.classes[train.labels[1800]] == emoji.entries()[index]["category"]


def test_turning_hues_keeps_brightness_and_greys():
    x = 0.4 * torch.rand(3, 3, 8, 8, generator=rng()) - 0.2  # far from the limits, where colours are clipped
    turned = turn_hues(x, torch.tensor([0.0, 1.0, 3.0]))
    weights = torch.tensor([0.299, 0.587, 0.114])
    assert torch.allclose(turned[0], x[0], atol=1e-3) and not torch.allclose(turned[1], x[1], atol=1e-2)
    before, after = (torch.einsum("c,bchw->bhw", weights, part) for part in (x, turned))
    assert torch.allclose(before, after, atol=2e-3)
    grey = torch.full((1, 3, 4, 4), 0.3)
    assert torch.allclose(turn_hues(grey, torch.tensor([2.0])), grey, atol=1e-3)
    assert without_colour(x).std(dim=1).max() < 1e-5


@pytest.mark.parametrize("colour", COLOURS)
def test_a_picture_takes_the_colour_that_it_is_told(colour):
    x = torch.zeros(1, 3, 8, 8)
    x[:, 0, 2:6, 2:6] = 0.3  # a dull red square on grey
    angle, coloured = angle_to(x, colour)
    assert bool(coloured)
    again, _ = angle_to(turn_hues(x, angle), colour)
    assert abs(float(torch.sin(again / 2))) < 0.02  # nothing is left to turn


def test_what_has_no_colour_keeps_its_name():
    import random

    grey = torch.zeros(3, 8, 8)
    for seed in range(8):
        x, name = recoloured(grey, random.Random(seed))
        assert torch.allclose(x, grey) and name in ("", "grey", "gray", "black and white")


def test_augmented_paper_is_white():
    x = torch.ones(4, 3, 64, 64)
    augmented = SPEC.build().augment(Batch(x, torch.zeros(4).long(), rng(3), 0.0))
    assert augmented.shape == x.shape and augmented.max() <= 1
    assert augmented.mean() > 0.9 and not torch.equal(augmented, pictures(4))


def test_features_are_not_negative_and_labels_are_the_categories():
    model, x = SPEC.build().eval(), pictures()
    assert model.features(x).shape == (8, model.num_features) and model.features(x).min() >= 0
    assert model.logits(x).shape == (8, len(data.load("emoji", "test").classes))


def test_every_set_of_emoji_has_the_same_judge_and_digits_have_theirs():
    names = {judge.of(name) for name in ("emoji", "emoji_named", "emoji_noto", "emoji_twemoji")}
    assert len(names) == 1 and registry.spec(names.pop()).dataset == "emoji"
    assert judge.of("mnist") == judge.NAME and judge.of("fashion_mnist") is None


@pytest.mark.parametrize("split", ["test"])
def test_the_shipped_weights_know_most_held_out_emoji(split):
    name = judge.of("emoji")
    if not registry.shipped(name):
        pytest.skip("no weights yet")
    images = data.load("emoji", split)
    with torch.no_grad():
        read = registry.load(name).logits(data.to_float(images.images[::4])).argmax(1)
    assert (read == images.labels[::4]).float().mean() > 0.5  # the largest category has 20%
