"""The average velocity: its definition, its identity, and what the teacher's ways teach."""

import copy
import dataclasses

import pytest
import torch
from torch import Tensor

from playground import data, pretrain, registry, training
from playground.models.flow_matching import FlowMatching, FlowMatchingConfig
from playground.models.one_step import CONTRAST, OneStep, OneStepConfig
from playground.nn import UNetConfig
from playground.spec import Batch, Recipe

SMALL = {"widths": (8, 16), "blocks": (1, 1), "embedding": 16}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shaken(model, scale: float = 0.2):
    """None of its weights is zero, so that every input matters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=scale)
    return model


def student(**changes) -> OneStep:
    return OneStep(OneStepConfig(unet=UNetConfig(extra=64, **SMALL), image_size=8, **changes))


def teacher() -> FlowMatching:
    return shaken(FlowMatching(FlowMatchingConfig(unet=UNetConfig(**SMALL), image_size=8))).requires_grad_(
        False
    )


def noise(num: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(num, 1, 8, 8, generator=seeded(seed))


def times(*values: float) -> Tensor:
    return torch.tensor(values)


def test_a_student_starts_as_its_teacher_whatever_r_is():
    learner, master, x, labels = student(), teacher(), noise(), torch.arange(3)
    learner.learn_from(master)
    t = times(1.0, 0.6, 0.2)
    for r in (t, torch.zeros(3)):
        torch.testing.assert_close(learner.average(x, r, t, labels), master.field(x, t, labels))
    assert not any(key.startswith("teacher") for key in learner.state_dict())
    assert learner.ways.teacher is not master, "the shared one stays as it is"


def test_the_teachers_ways_are_its_own_pictures():
    learner, master, labels = student(guidance=2.0), teacher(), torch.tensor([3, 1, 4])
    learner.learn_from(master)
    ways = learner.ways.walk(noise(), labels)
    *_, (_, _, _, end) = master.solve(noise(), labels, num_steps=8, guidance=2.0, shift=1.0)
    assert ways.shape == (9, 3, 1, 8, 8)
    torch.testing.assert_close(ways[-1], end)


def test_average_velocities_lead_along_the_ways():
    """u (t - r) over a pair of points is the sum of what the steps between them go: eq. 3."""
    learner, seen = student(fresh=4), {}
    learner.learn_from(teacher())

    def remember(xt, r, t, labels, target):
        seen.update(xt=xt, r=r, t=t, labels=labels, target=target)
        return (learner.average(xt, r, t, labels) - target).square().flatten(1).sum(1)

    learner.errors = remember
    learner.from_teacher(learner.ways, torch.arange(16) % 10, seeded(3))
    ways = learner.ways.walk(torch.randn(4, 1, 8, 8, generator=seeded(3)), torch.arange(4))
    xr = seen["xt"] - (seen["t"] - seen["r"]).view(-1, 1, 1, 1) * seen["target"]
    first, last = ((8 * (1 - seen[key])).round().long() for key in ("t", "r"))
    torch.testing.assert_close(seen["xt"], ways[first, seen["labels"]])  # labels tell the four apart
    torch.testing.assert_close(xr, ways[last, seen["labels"]], atol=1e-5, rtol=1e-5)
    assert (last > first).all()
    assert (first[:4] == 0).all() and (last[:8] == 8).all(), "whole ways are among them"


def test_a_copy_has_the_weights_and_neither_teacher_nor_ways():
    learner = shaken(student(fresh=4))
    learner.learn_from(teacher())
    learner.from_teacher(learner.ways, torch.zeros(8, dtype=torch.long), seeded())
    twin = copy.deepcopy(learner)
    assert learner.ways.known and twin.ways is None and twin.matching is None
    assert twin.denoiser is not learner.denoiser
    labels = torch.arange(3)
    torch.testing.assert_close(twin.decode(noise(), labels), learner.decode(noise(), labels))


def test_the_newest_ways_are_kept_and_survive_a_checkpoint():
    learner, other = student(fresh=4, pool=6), student(fresh=4, pool=6)
    master = teacher()
    for model in (learner, other):
        model.learn_from(master)
    for turn in range(2):
        learner.from_teacher(learner.ways, torch.full((8,), turn), seeded(turn))
    assert learner.ways.known["labels"].tolist() == [0, 0, 1, 1, 1, 1]
    newest = learner.ways.walk(torch.randn(4, 1, 8, 8, generator=seeded(1)), torch.ones(4, dtype=torch.long))
    torch.testing.assert_close(learner.ways.known["ways"][2:], newest.transpose(0, 1))
    other.remember(copy.deepcopy(learner.memory()))
    for model in (learner, other):
        model.from_teacher(model.ways, torch.full((8,), 2), seeded(2))
    assert torch.equal(learner.ways.known["ways"], other.ways.known["ways"])


def test_the_derivative_is_that_of_finite_differences():
    model, labels = shaken(student()), torch.tensor([1, 10, 3])
    x, v, r, t = noise(), noise(seed=1), times(0.0, 0.3, 0.5), times(0.9, 0.6, 0.5)
    exact = model.rate(x, v, r, t, labels)
    with torch.no_grad():
        wrong = []
        for h in (0.08, 0.04, 0.01):
            after, before = (model.average(x + s * h * v, r, t + s * h, labels) for s in (1, -1))
            wrong.append(((after - before) / (2 * h) - exact).norm() / exact.norm())
    assert wrong[0] > 2.5 * wrong[1] > 0, "the error falls with the square of h"
    assert wrong[2] < 0.01


def test_the_identity_holds_for_a_known_field():
    """v = x has the ways x_r = x_t exp(r - t), so u = x_t (1 - exp(r - t)) / (t - r), and eq. 6 holds."""

    class Known(OneStep):
        def average(self, xt, r, t, labels):
            gone = (t - r).view(-1, 1, 1, 1)
            return xt * (1 - torch.exp(-gone)) / gone

    model = Known(OneStepConfig(unet=UNetConfig(extra=64, **SMALL), image_size=8))
    x, r, t = noise(), times(0.1, 0.3, 0.0), times(0.9, 0.6, 1.0)
    change = model.rate(x, x, r, t, torch.zeros(3, dtype=torch.long))
    torch.testing.assert_close(
        x - (t - r).view(-1, 1, 1, 1) * change, model.average(x, r, t, None), atol=1e-5, rtol=1e-4
    )


def test_where_r_is_t_the_loss_is_flow_matchings():
    model, x0 = shaken(student(same=1.0, guidance=1.0)), noise(4, seed=1).clamp(-1, 1)
    labels = torch.arange(4)
    errors = model.from_itself(x0, labels, seeded(7))
    generator = seeded(7)
    t = (torch.rand(1, generator=generator) + torch.arange(4) / 4) % 1
    torch.rand(4, generator=generator), torch.rand(4, generator=generator)
    eps = torch.randn(x0.shape, generator=generator)
    mix = t.view(-1, 1, 1, 1)
    v_hat = model.average((1 - mix) * x0 + mix * eps, t, t, labels)
    torch.testing.assert_close(errors, (v_hat - (eps - x0)).square().flatten(1).sum(1))


def test_guidance_is_built_in_for_labels_alone():
    model, x, v = shaken(student(guidance=3.0)), noise(), noise(seed=1)
    t, none = times(0.2, 0.5, 0.9), torch.full((3,), 10)
    with torch.no_grad():
        unconditional = model.average(x, t, t, None)
    torch.testing.assert_close(
        model.guided(x, v, t, torch.arange(3)), unconditional + 3 * (v - unconditional)
    )
    assert torch.equal(model.guided(x, v, t, none), v)


def test_steps_follow_the_average_velocity():
    model, labels = shaken(student()).eval(), torch.arange(3)
    (one,) = model.sample(3, labels=labels, generator=seeded())
    average = model.average(noise(), torch.zeros(3), torch.ones(3), labels, adapted=True)
    x1 = (noise() - average).detach()
    torch.testing.assert_close(one.x, (CONTRAST * x1).clamp(-1, 1))
    (plain,) = model.sample(3, labels=labels, generator=seeded(), contrast=1.0)
    torch.testing.assert_close(plain.x, x1.clamp(-1, 1))
    torch.testing.assert_close(model.decode(noise(), labels), one.x)
    moments = list(model.sample(3, labels=labels, generator=seeded(), num_steps=4))
    assert [m.nfe for m in moments] == [1, 2, 3, 4]


@pytest.mark.parametrize("taught", [True, False])
def test_training_lowers_the_loss(taught):
    model, x = student(), noise(32, seed=1).clamp(-1, 1)
    if taught:
        model.learn_from(teacher())
    before = copy.deepcopy(model.ways.teacher.state_dict()) if taught else {}
    optimizers = model.make_optimizers(Recipe(1, lr=3e-3))
    losses = [
        model.train_step(Batch(x, torch.arange(32) % 10, seeded(5), 0.0), optimizers)["loss"]
        for _ in range(12)
    ]
    assert losses[-1] < 0.9 * losses[0]
    if taught:
        after = model.ways.teacher.state_dict()
        assert all(torch.equal(after[key], value) for key, value in before.items())


@pytest.fixture
def few_pictures() -> data.Images:
    images = data.load("mnist", "train")
    return dataclasses.replace(images, images=images.images[:16], labels=images.labels[:16])


SPEC = registry.spec("one_step")


def test_a_training_starts_from_the_shipped_teacher_and_the_card_says_so(few_pictures):
    run = training.Training(SPEC, few_pictures, dataclasses.replace(SPEC.recipe, batch_size=8))
    shipped, own = registry.load(SPEC.starts_from).state_dict(), run.model.state_dict()
    assert shipped.keys() < own.keys() and all(torch.equal(own[key], shipped[key]) for key in shipped)
    sha = registry.card(SPEC.starts_from)["sha256"]
    made = pretrain.card(run)
    assert made["started_from"] == sha and sha in made["source"] and SPEC.starts_from in made["source"]


def test_without_a_shipped_teacher_a_training_starts_from_scratch(few_pictures, monkeypatch, tmp_path):
    monkeypatch.setenv("PLAYGROUND_PRETRAINED", str(tmp_path))
    run = training.Training(SPEC, few_pictures, dataclasses.replace(SPEC.recipe, batch_size=8))
    fresh = SPEC.build().state_dict()
    assert all(torch.equal(value, fresh[key]) for key, value in run.model.state_dict().items())
    assert run.teacher == "" and "from scratch" in pretrain.card(run)["source"]
    metrics, _ = run.update()
    assert metrics["loss"] > 0


def test_every_model_that_starts_from_another_names_one_that_fits():
    students = [registry.spec(name) for name in registry.names() if registry.spec(name).starts_from]
    assert SPEC in students
    for spec in students:
        student, teacher = spec.build(1), registry.build(spec.starts_from, 2)
        before = {key: value.clone() for key, value in student.state_dict().items()}
        student.learn_from(teacher)
        taken = [key for key, value in student.state_dict().items() if not torch.equal(before[key], value)]
        known = len(teacher.state_dict())
        assert len(taken) > known / 4, f"{spec.name} takes over {len(taken)} of {known} tensors"
