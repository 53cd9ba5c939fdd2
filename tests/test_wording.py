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


def test_only_an_autoencoder_alone_is_judged_by_what_it_draws_again():
    judged = [name for name in registry.names() if reconstruction.applies(registry.spec(name))]
    assert judged and all("Samples" not in registry.spec(name).capabilities for name in judged)
