"""Diagnoses of a model in training, and the training pictures closest to samples."""

import math
from dataclasses import replace

import pytest
import torch
from tiny import RECIPE, SPEC, Tiny

from playground import data, diagnosis, judge, registry, symptoms
from playground.data import Images
from playground.diagnosis import Watched, diagnose, nearest
from playground.metrics import spread
from playground.spec import HasLatent, SampleStep
from playground.training import Training, train
from playground.trends import Run


class OneShot(Tiny, HasLatent):
    """The tiny model, which draws in one pass."""


SHOT = replace(SPEC, model=OneShot)


def pictures(num, side=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (num, 1, side, side), dtype=torch.uint8, generator=generator)


@pytest.fixture
def seen(monkeypatch):
    """A classifier that takes a picture's first pixel for its class, and all of them for its features."""

    def look(x):
        classes = (x[:, 0, 0, 0] * 10).round().long() % 10
        return x.flatten(1), torch.nn.functional.one_hot(classes, 10).float()

    monkeypatch.setattr(judge, "look", look)
    monkeypatch.setattr(diagnosis, "possible", lambda spec, dataset: True)


def test_spread_is_the_mean_distance_of_pairs():
    assert spread(torch.zeros(5, 3)) == 0
    points = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])
    assert spread(points) == pytest.approx(10 / 3)


@pytest.mark.parametrize(("classes", "entropy"), [([3] * 20, 0.0), (list(range(10)) * 2, math.log2(10)),
                                                  ([0, 1] * 10, 1.0)])  # fmt: skip
def test_entropy_falls_as_classes_go_missing(seen, classes, entropy):
    x = (torch.tensor(classes) / 10).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    found = diagnose(x, real_spread=1.0)
    assert found.class_entropy == pytest.approx(entropy, abs=1e-6)
    assert sum(found.counts) == 20 and len(found.counts) == 10
    assert found.counts[classes[0]] == classes.count(classes[0])
    assert 0 <= found.distinct <= 1


def test_distinct_is_a_share_of_the_real_spread_and_at_most_one(seen):
    x = torch.tensor([[0.0], [0.5]]).view(2, 1, 1, 1)
    assert diagnose(x, real_spread=2.0).distinct == pytest.approx(0.25)
    assert diagnose(x, real_spread=0.1).distinct == 1.0
    assert diagnose(x * 0, real_spread=2.0).distinct == 0.0


def test_pictures_of_one_class_are_compared_where_classes_are_asked_for(seen):
    x, labels = torch.tensor([0.0, 0.1, 0.9, 0.9, 0.5]).view(5, 1, 1, 1), torch.tensor([0, 0, 1, 1, 2])
    assert spread(x.flatten(1), labels) == pytest.approx(0.05), "one alone is not compared"
    assert diagnose(x, 0.1, labels).distinct == pytest.approx(0.5)
    assert diagnose(x[labels], 0.1, labels).distinct == 0.0, "one picture of each class"


def test_one_picture_of_each_class_is_a_collapse_to_the_coach():
    """Every class is there, and the pictures differ; yet all of a class are the same."""
    if not registry.shipped(judge.NAME):
        pytest.skip("no weights of the classifier")
    images = data.load("mnist", "train")
    of_class = [data.to_float(images.images[images.labels == label][:50]) for label in range(10)]

    class Drawn(OneShot):
        num = 50  # pictures of each class that it can draw

        def sample(self, num, *, labels=None, generator, **controls):
            turn = torch.arange(num) // 10 % self.num
            yield SampleStep(
                1, 1, torch.stack([of_class[k][i] for k, i in zip(labels, turn, strict=True)]), 1
            )

    class Collapsed(Drawn):
        num = 1

    found = {}
    for model in (Drawn, Collapsed):
        watched = Watched(replace(SHOT, model=model, conditional=True), images, RECIPE)
        watched.preview()
        found[model] = watched.diagnosis
    assert found[Drawn].distinct > 0.8 and found[Collapsed].distinct < 0.01
    assert found[Collapsed].class_entropy > symptoms.VARIED
    seen = {
        model: {name: [(50, 1.0), (100, value), (150, value)] for name, value in what.metrics().items()}
        for model, what in found.items()
    }
    assert symptoms.collapse(Run(seen[Collapsed], {})).evidence["distinct"] < symptoms.ALIKE
    assert symptoms.collapse(Run(seen[Drawn], {})) is None


def test_the_classifier_tells_real_digits_from_one_digit_again_and_again():
    if not registry.shipped(judge.NAME):
        pytest.skip("no weights of the classifier")
    real = data.to_float(data.load("mnist", "test").images[:128])
    spread_ = spread(judge.look(real)[0])
    varied, collapsed = diagnose(real, spread_), diagnose(real[:1].expand(128, -1, -1, -1), spread_)
    assert varied.distinct == 1.0 and varied.class_entropy > 3.1
    assert collapsed.distinct < 0.01 and collapsed.class_entropy == 0.0 and max(collapsed.counts) == 128


def test_only_fast_models_of_digits_are_diagnosed(untrained):
    for name in registry.names("Samples"):
        spec = registry.spec(name)
        fast = "HasLatent" in spec.capabilities and "Denoises" not in spec.capabilities
        assert diagnosis.possible(spec, "mnist") == fast
        assert not diagnosis.possible(spec, "fashion_mnist")


def run(kind, recipe=RECIPE, spec=SHOT):
    images = Images("mnist", pictures(200), torch.zeros(200, dtype=torch.int64), ("square",))
    return kind(spec, images, recipe, seed=5)


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_watching_changes_neither_the_training_nor_its_samples(seen, ema):
    recipe = replace(RECIPE, ema=ema)
    plain, watched = run(Training, recipe), run(Watched, recipe)
    for a, b in zip(train(plain, preview="moments"), train(watched, preview="moments"), strict=True):
        assert a.metrics == b.metrics
        assert (a.samples is None) == (b.samples is None)
        assert a.samples is None or torch.equal(a.samples, b.samples)
    assert watched.model.training and watched.diagnosis is not None
    assert sum(watched.diagnosis.counts) == diagnosis.NUM
    for key, value in plain.model.state_dict().items():
        assert torch.equal(value, watched.model.state_dict()[key])


def test_nobody_waits_for_a_diagnosis(seen):
    watched = run(Watched)
    watched.hurry = True
    watched.preview()
    assert watched.diagnosis is None


def test_pixels_that_are_not_finite_are_no_diagnosis(monkeypatch):
    class Broken(OneShot):
        def sample(self, num, *, labels=None, generator, **controls):
            yield SampleStep(1, 1, torch.full((num, 1, 4, 4), math.nan), 1)

    monkeypatch.setattr(diagnosis, "possible", lambda spec, dataset: True)
    monkeypatch.setattr(Watched, "_real_spread", 1.0)
    watched = run(Watched, spec=replace(SHOT, model=Broken))
    assert watched.preview() is not None and watched.diagnosis is None


def test_the_nearest_picture_is_the_one_a_plain_search_finds(monkeypatch):
    monkeypatch.setattr(diagnosis, "_CHUNK", 7)  # the last part is shorter than the others
    images, x = pictures(40), pictures(6, seed=1)
    rows, distances = nearest(x, images)
    plain = (x[:, None].float() - images[None].float()).square().mean((2, 3, 4)).sqrt()
    assert torch.equal(rows, plain.argmin(1))
    assert torch.allclose(distances, plain.amin(1), atol=0.05)


def test_the_closest_to_one_sample_come_in_order(monkeypatch):
    monkeypatch.setattr(diagnosis, "_CHUNK", 7)
    images, x = pictures(40), pictures(1, seed=1)[0]
    rows, distances = diagnosis.closest(x, images, 5)
    plain = (x[None].float() - images.float()).square().mean((1, 2, 3)).sqrt()
    assert rows.tolist() == plain.argsort()[:5].tolist()
    assert torch.allclose(distances, plain.sort().values[:5], atol=1e-3)
    assert diagnosis.closest(images[29], images, 1)[0].tolist() == [29]


def test_a_copy_has_no_distance():
    images = pictures(30)
    rows, distances = nearest(images[[29, 4]], images)
    assert rows.tolist() == [29, 4] and distances.max() < 0.1


def test_passing_samples_take_a_few_batches_and_the_final_model_all(monkeypatch):
    counted = []
    monkeypatch.setattr(OneShot, "recalibrate", lambda self, batches: counted.append(len(list(batches))))
    watched = run(Watched)
    watched.preview()
    assert counted == [diagnosis._FEW]
    watched.step = RECIPE.num_steps
    watched.preview()
    watched.best_model()
    assert counted[1] == counted[2] > counted[0]
