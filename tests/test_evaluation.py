"""The metrics against known answers and brute force; the evaluation end to end on toy models."""

import json
import math
import shutil
from dataclasses import dataclass

import pytest
import torch

from playground import data, evaluation, judge, metrics, registry, weights
from playground.models.classifier import SPECS as CLASSIFIER
from playground.spec import (
    About,
    Encodes,
    GenerativeModel,
    HasLatent,
    HasLikelihood,
    ModelSpec,
    Recipe,
    Samples,
    SampleStep,
    Words,
)


def normal(num, dims=4, seed=0):
    return torch.randn(num, dims, generator=torch.Generator().manual_seed(seed))


# --- metrics


def test_fid_of_equal_sets_is_zero_and_of_a_shift_its_square():
    x = normal(2000)
    shift = torch.tensor([1.0, -2.0, 0.5, 0.0])
    assert abs(metrics.fid(x, x)) < 1e-6
    assert metrics.fid(x, x + shift) == pytest.approx(shift.square().sum().item(), rel=1e-5)


def test_fid_of_a_scaling():
    x = normal(2000) - normal(2000).mean(0)  # tr(S + 9 S - 2 * 3 S) = 4 tr S
    assert metrics.fid(x, 3 * x) == pytest.approx(4 * x.var(0).sum().item(), rel=1e-5)


def test_kid_tells_other_from_same_and_leaves_no_trace():
    state = torch.random.get_rng_state()
    same, other = (
        metrics.kid(normal(500), normal(500, seed=1)),
        metrics.kid(normal(500), normal(500, seed=1) + 1),
    )
    assert abs(same) < 0.02 < 0.2 < other
    assert metrics.kid(normal(2500), normal(2500, seed=1)) == metrics.kid(normal(2500), normal(2500, seed=1))
    assert torch.equal(state, torch.random.get_rng_state())


def test_inception_score_of_sure_and_unsure_answers():
    sure = 50.0 * torch.nn.functional.one_hot(torch.arange(2000) % 10).float()
    assert metrics.inception_score(sure) == pytest.approx(10, abs=0.5)  # parts of 200 are a little uneven
    assert metrics.inception_score(torch.zeros(2000, 10)) == pytest.approx(1, abs=1e-4)


def brute_force(real, fake, k):
    """The definitions of the two papers, word by word."""
    d = lambda a, b: (a - b).double().norm().item()  # noqa: E731
    reach = lambda x, own: sorted(d(x, y) for y in own)[k]  # noqa: E731  (index 0 is x itself)
    balls_real, balls_fake = [reach(x, real) for x in real], [reach(x, fake) for x in fake]
    inside = [[d(f, r) <= b for r, b in zip(real, balls_real, strict=True)] for f in fake]
    recalled = [any(d(f, r) <= b for f, b in zip(fake, balls_fake, strict=True)) for r in real]
    return (
        sum(any(row) for row in inside) / len(fake),
        sum(recalled) / len(real),
        sum(map(sum, inside)) / (k * len(fake)),
        sum(any(row[i] for row in inside) for i in range(len(real))) / len(real),
    )


@pytest.mark.parametrize("shift", [0.0, 1.0, 50.0])
def test_neighbours_equal_brute_force(shift, monkeypatch):
    monkeypatch.setattr(metrics, "_CHUNK", 7)
    real, fake = normal(40), 0.7 * normal(33, seed=1) + shift
    assert tuple(metrics.neighbours(real, fake, k=3)) == pytest.approx(brute_force(real, fake, 3))


def test_coverage_of_a_dropped_mode_is_the_share_kept():
    centres = 100 * torch.eye(4)
    real = normal(800) + centres.repeat(200, 1)
    fake = normal(600, seed=1) + centres[:3].repeat(200, 1)
    found = metrics.neighbours(real, fake)
    assert found.coverage == pytest.approx(0.75, abs=0.05) and found.recall == pytest.approx(0.75, abs=0.05)
    assert found.precision > 0.9 and found.density == pytest.approx(1, abs=0.15)


def test_a_memoriser_of_one_mode_has_precision_without_recall():
    real = normal(300)
    found = metrics.neighbours(real, real[:1] + 1e-3 * normal(300, seed=1))
    assert found.precision > 0.9 and found.recall < 0.1 and found.coverage < 0.1


def test_ideal_coverage_is_what_equal_sets_get():
    found = [metrics.neighbours(normal(60, seed=s), normal(60, seed=s + 99)).coverage for s in range(20)]
    assert sum(found) / 20 == pytest.approx(metrics.ideal_coverage(60), abs=0.03)


def test_radii_need_enough_neighbours():
    with pytest.raises(ValueError, match="more than 5"):
        metrics.radii(normal(5))


def test_entropy_and_classes():
    even, one = torch.arange(1000) % 10, torch.zeros(1000, dtype=torch.int64)
    assert metrics.entropy_bits(even, 10) == pytest.approx(math.log2(10))
    assert metrics.entropy_bits(one, 10) == 0
    assert metrics.num_covered(even, 10) == 10 and metrics.num_covered(one, 10) == 1
    rare = torch.cat([one[:995], torch.ones(5, dtype=torch.int64)])  # 5 of 1,000: below a tenth of 100
    assert metrics.num_covered(rare, 10) == 1


# --- the judge and the evaluation


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """The shipped classifier, or an untrained one, in a folder of its own."""
    folder = tmp_path_factory.mktemp("pretrained")
    original = weights.folder("classifier")
    if weights.shipped("classifier"):
        shutil.copytree(original, folder / "classifier")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_PRETRAINED", str(folder))
        patch.setenv("PLAYGROUND_DEVICE", "cpu")
        if not weights.shipped("classifier"):
            spec = CLASSIFIER[0]
            texts = {"title": spec.title, "summary": "", "licence": "", "source": "", "metrics": {}}
            weights.save(
                "classifier", spec.build().state_dict(), {"name": spec.name, "family": spec.family} | texts
            )
        registry.unload()
        yield folder
    registry.unload()


@dataclass(frozen=True)
class ToyConfig:
    levels: int = 256


class Toy(GenerativeModel, Samples, HasLatent, Encodes, HasLikelihood):
    """Draws training images of the asked class; its density is uniform, its latent the picture halved."""

    latent_shape = (1, 28, 28)
    likelihood = "dequantised"

    def __init__(self, config):
        super().__init__()
        self.levels, self.weight, self.calls = config.levels, torch.nn.Parameter(torch.zeros(1)), []

    def sample(self, num, *, labels=None, generator, **controls):
        self.calls.append((num, labels))
        images = data.load("mnist")
        order = torch.randperm(len(images), generator=generator)
        if labels is not None:
            order = torch.stack([order[images.labels[order] == label][i] for i, label in enumerate(labels)])
        x = data.to_float(images.images[order[:num]])
        yield SampleStep(1, 2, x, 1)
        yield SampleStep(2, 2, data.binarise(x, generator) if self.levels == 2 else x, 2)

    def encode(self, x, labels=None):
        return x / 2

    def decode(self, z, labels=None):
        return 2 * z + 1e-3

    def log_prob(self, x, labels=None, *, generator=None):
        assert set(x.unique().tolist()) == {-1.0, 1.0} or self.levels == 256
        return torch.full((len(x),), -784 * math.log(self.levels))

    def iwae(self, x, num_samples, generator, labels=None):
        return torch.full((len(x),), -float(num_samples))


def toy(levels=256, conditional=True):
    words = Words("toy", "toy")
    return ModelSpec(
        "toy", "Toy", "flow", 2020, "", Toy, ToyConfig(levels), Recipe(1), About(words, "", words, words),
        conditional=conditional, levels=levels,
    )  # fmt: skip


@pytest.fixture
def evaluate_toy(pretrained, monkeypatch):
    def run(spec, num=300):
        real_spec = registry.spec
        monkeypatch.setattr(registry, "spec", lambda name: spec if name == "toy" else real_spec(name))
        few = lambda dataset, split="train": small[split]  # noqa: E731
        monkeypatch.setattr(data, "load", few)
        judge._KEPT.clear()
        model = spec.build()
        return model, list(evaluation.evaluate_steps("toy", num, model=model))

    small = {}
    for split, num in (("train", 3000), ("test", 600)):
        full = data.load("mnist", split)
        rows = judge.some(len(full), num)
        small[split] = data.Images("mnist", full.images[rows], full.labels[rows], full.classes)
    return run


def test_evaluation_of_a_model_that_draws_real_pictures(evaluate_toy):
    model, events = evaluate_toy(toy())
    asked = torch.cat([labels for num, labels in model.calls if num in (250, 50)])  # not for its speed
    assert torch.equal(asked, data.in_proportion("mnist", 300)) and (asked != data.in_turn(300)).any()
    result = events[-1].metrics
    assert json.loads(json.dumps(result)) == result and all("num" in item for item in result.values())
    assert [e.metrics for e in events[:-1]] == [None] * (len(events) - 1)
    assert all(0 <= e.done <= e.total and e.eta >= 0 for e in events)
    assert {e.what for e in events} == {"speed", "samples", "reference", "likelihood", "iwae", "done"}
    assert result["fid"]["num"] == 300 and result["fid"]["num_real"] == 3000
    assert result["fid"]["value"] < 3 * result["fid"]["floor"]
    assert result["precision"]["value"] > 0.7 and result["coverage"]["value"] > 0.7
    assert result["nll_nats"]["value"] == pytest.approx(784 * math.log(256), rel=1e-4)
    assert (
        result["nll_bits_per_dim"]["value"] == pytest.approx(8)
        and result["nll_nats"]["kind"] == "dequantised"
    )
    assert result["iwae_nats"]["value"] == 500 and result["iwae_nats"]["num_latents"] == 500
    assert result["round_trip"] == {"value": pytest.approx(1e-3, rel=1e-2), "num": 256}
    assert result["nfe"]["value"] == 2 and result["ms_per_image_64"]["num_runs"] >= 1


def test_evaluation_of_a_binary_model_uses_binarised_pictures(evaluate_toy):
    _, events = evaluate_toy(toy(levels=2, conditional=False))
    result = events[-1].metrics
    assert "label_accuracy" not in result and result["nll_bits_per_dim"]["value"] == pytest.approx(1)
    assert result["fid"]["value"] < 3 * result["fid"]["floor"]


def test_evaluation_is_reproducible_but_for_the_clock(evaluate_toy):
    first, second = (evaluate_toy(toy(), 64)[1][-1].metrics for _ in range(2))
    for key in first.keys() - {"ms_per_image_1", "ms_per_image_64"}:
        assert first[key] == second[key], key


@pytest.mark.parametrize("num", [0, 15, 10_001, True, 20.0, None])
def test_evaluation_refuses_a_wrong_number(num):
    with pytest.raises(ValueError, match="16 to 10,000"):
        next(evaluation.evaluate_steps("classifier", num))


def test_classifier_gets_its_accuracy_on_its_card(pretrained):
    *_, last = evaluation.evaluate_steps("classifier", 200)
    result = last.metrics
    assert set(result) == {"accuracy"} and result["accuracy"]["num"] == 200 and last.what == "done"
    evaluation.write_card("classifier", result)
    evaluation.write_card("classifier", {"other": {"value": 1.0, "num": 3}})
    assert registry.card("classifier")["metrics"] == result | {"other": {"value": 1.0, "num": 3}}


def test_quick_on_real_pictures_and_on_noise(pretrained):
    images = data.load("mnist", "test")
    rows = judge.some(len(images), 64)
    x, labels = data.to_float(images.images[rows]), images.labels[rows]
    good = judge.quick(x, labels)
    bad = judge.quick(torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1, labels)
    assert set(good) == {
        "confidence", "precision", "coverage", "class_entropy", "num_classes", "label_accuracy",
    }  # fmt: skip
    assert all(item["num"] == 64 for item in good.values()) and json.dumps(good)
    assert good["precision"]["value"] > 0.8 > bad["precision"]["value"]
    assert good["coverage"]["value"] > 0.8 * good["coverage"]["ideal"] > bad["coverage"]["value"]


def test_pictures_of_nothing_are_neither_precise_nor_cover_anything(pretrained, evaluate_toy, monkeypatch):
    grey = torch.rand(16, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = judge.quick(grey)
    assert found["precision"]["value"] < 0.1 and found["coverage"]["value"] < 0.1
    monkeypatch.setattr(
        Toy, "sample", lambda self, num, **rest: iter([SampleStep(1, 1, grey[torch.arange(num) % 16], 1)])
    )
    _, events = evaluate_toy(toy(), 16)
    assert (
        events[-1].metrics["precision"]["value"] < 0.1 and events[-1].metrics["precision"]["num_real"] == 3000
    )


def test_quick_on_few_pictures_and_one_label(pretrained):
    images = data.load("mnist", "test")
    threes = data.to_float(images.images[images.labels == 3][:16])
    found = judge.quick(threes, torch.full((16,), 3))
    assert found["num_classes"]["of"] == 1 and found["class_entropy"]["max"] == 0
    same = judge.quick(threes[:1].repeat(16, 1, 1, 1), torch.full((16,), 3))
    assert same["coverage"]["value"] < found["coverage"]["value"]  # sixteen times one picture covers little
    assert "coverage" not in judge.quick(threes[:1])
    binary = data.binarise(threes, torch.Generator().manual_seed(0))
    assert judge.quick(binary, levels=2)["precision"]["num"] == 16


def test_pictures_that_are_not_finite_are_refused(pretrained):
    with pytest.raises(ValueError, match="not finite"):
        judge.quick(torch.full((4, 1, 28, 28), float("nan")))
