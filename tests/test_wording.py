"""The scores of words, on a drawer that is known: the real pictures, or always the same one."""

from types import SimpleNamespace

import pytest
import torch

from playground import data, judge, reconstruction, registry, wording
from playground.data import emoji
from playground.spec import WordStep


class Draws:
    """Answers prompts with the real pictures of what they name, or with one picture for all."""

    def __init__(self, always=None):
        self.always = always
        self.known = {}
        for split in ("train", "test"):
            images = data.load(wording.NAMED, split)
            names = (images.classes[place] for place in images.labels.tolist())
            self.known |= dict(zip(names, images.images, strict=True))

    def illustrate(self, prompts, *, generator, **controls):
        found = [self.known[self.always or prompt] for prompt in prompts]
        x = data.to_float(torch.stack(found))
        yield WordStep(1, 1, x, x, torch.ones(len(x), 1, 8, 8), 1)


def scores(model, num=16):
    if not registry.shipped(judge.of(wording.NAMED)):
        pytest.skip("no weights yet")
    steps = wording.measure(SimpleNamespace(defaults=dict), model, num)
    events = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as ended:
            assert [e.done for e in events] == sorted(e.done for e in events)
            assert events[-1].done == events[-1].total
            return ended.value


def test_the_real_pictures_reach_the_ceiling():
    found = scores(Draws())
    assert found["wording_category"]["value"] == found["wording_category"]["real"]
    assert found["wording_category"]["num"] == 32 and found["wording_retrieval"]["value"] == 1
    assert found["wording_seen"]["num"] == 32
    styles = [found[f"wording_{style.lower()}"]["value"] for style in emoji.STYLES]
    assert sum(styles) / 2 == pytest.approx(found["wording_category"]["value"], abs=1e-4)


def test_always_the_same_picture_is_chance():
    found = scores(Draws(always="france flag, Noto"))
    assert found["wording_category"]["value"] <= found["wording_category"]["chance"]
    assert found["wording_retrieval"]["value"] <= wording.TOP / 16 + 1e-6


def test_held_out_captions_are_those_of_multiples_of_ten():
    num = len(emoji.entries())
    assert {place % num % 10 for place in wording.places("test")} == {0}
    assert all(place % num % 10 for place in wording.places("train"))
    assert (
        wording.caption("red cat", "Noto") == "red cat, Noto" and wording.caption("red cat", "") == "red cat"
    )


def picture(name, style="Noto"):
    """A training emoji, (1, 3, 64, 64) in [-1, 1], and its place."""
    (place,) = wording.named(name, style)
    return data.to_float(data.load(wording.NAMED).images[[wording.places("train").index(place)]]), place


def test_neighbours_are_training_emoji_and_a_training_picture_finds_itself():
    x, place = picture("green heart")
    first, *rest = wording.nearest(x, 4)
    assert first.place == place and first.distance == 0 and not first.named and len(rest) == 3
    assert 0 < rest[0].distance <= rest[-1].distance < wording.apart() < 255
    assert all(n.place % len(emoji.entries()) % 10 != 0 for n in rest)
    black = wording.nearest(-torch.ones(1, 3, 64, 64), 1)[0]
    small = data.to_float(black.image).add(1).mul(127.5).unfold(1, 2, 2).unfold(2, 2, 2).mean((3, 4))
    assert black.distance == pytest.approx(small.square().mean().sqrt().item(), rel=1e-3)


def test_a_rough_drawing_finds_the_shape_and_colour_that_a_person_sees():
    """As the model draws it: ragged, too bright, a little off its place. The classifier said flags."""
    x, _ = picture("green heart")
    inked = (x.mean(1, keepdim=True) < 0.9).float().roll((2, 1), (2, 3))
    ragged = (inked * (torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0)) < 0.9)) > 0
    neon = torch.tensor([-0.7, 0.9, -0.6]).view(1, 3, 1, 1)
    found = [n.name for n in wording.nearest(torch.where(ragged, neon, torch.ones(3, 64, 64)), 2)]
    assert found == ["green heart", "green heart"], "in both hands"


def test_the_emoji_that_the_words_name_comes_first():
    x, _ = picture("france flag")
    heart = picture("green heart")[1]
    first, *rest = wording.nearest(x, known_as=wording.named("Green heart!", "Noto"))
    assert first.place == heart and first.named and first.distance > rest[-1].distance
    assert rest[0].distance == 0 and [n.named for n in rest] == [False] * 3
    hands = wording.named("green heart")
    assert len(hands) == 2 and wording.nearest(x, known_as=hands)[0].distance <= first.distance
    assert wording.named("heart of a blue cat") == set() == wording.named("")
    assert wording.named("heavy black heart") == wording.named("heart"), "by its short name too"
    held_out = wording.named("octopus")
    assert held_out and not any(n.named for n in wording.nearest(x, known_as=held_out)), "never seen"


def test_only_an_autoencoder_alone_is_judged_by_what_it_draws_again():
    judged = [name for name in registry.names() if reconstruction.applies(registry.spec(name))]
    assert judged and all("Samples" not in registry.spec(name).capabilities for name in judged)
