"""Distribution matching: its gradient, what it does to a generator, and its place in MeanFlow's training."""

import copy

import pytest
import torch
from test_one_step import SMALL, noise, seeded, shaken, student, teacher
from torch import nn

from playground import freezing
from playground.models._matching import AHEAD, Matching
from playground.models.one_step import OBJECTIVES
from playground.nn import AdaptedConv2d, UNet, UNetConfig
from playground.spec import Batch, Recipe


class Gaussian(nn.Module):
    """The flow-matching model of single numbers with N(mean, deviation^2): 2210.02747, eq. 12, is exact.

    With a label the mean is another.
    """

    def __init__(self, mean: float, deviation: float, told: float | None = None):
        super().__init__()
        self.mean, self.deviation, self.told = mean, deviation, mean if told is None else told
        self.config = student().config

    def field(self, xt, t, labels):
        mean = torch.where(labels == 10, self.mean, self.told).view(-1, 1, 1, 1)
        mix = t.view(-1, 1, 1, 1)
        gain = (1 - mix) * self.deviation**2 / (((1 - mix) * self.deviation) ** 2 + mix**2)
        x0_hat = mean + gain * (xt - (1 - mix) * mean)
        return (xt - x0_hat) / mix


def numbers(num: int = 4000, seed: int = 0) -> torch.Tensor:
    return torch.randn(num, 1, 1, 1, generator=seeded(seed))


def matching(of: nn.Module, beside: nn.Module, guidance: float = 1.0) -> Matching:
    made = Matching(of, guidance)
    made.copy = beside
    return made


LABELS = torch.zeros(4000, dtype=torch.long)


def test_pictures_of_the_right_distribution_are_left_alone():
    same = matching(Gaussian(0.5, 0.3), Gaussian(0.5, 0.3))
    assert same.gradient(0.5 + 0.3 * numbers(), LABELS, seeded(1)).abs().max() < 1e-4


def test_the_gradient_points_away_from_where_the_generator_is_denser():
    x = numbers()
    right = matching(Gaussian(1.0, 1.0), Gaussian(0.0, 1.0)).gradient(x, LABELS, seeded(1))
    assert (right < 0).all(), "descending moves each to the right"
    wider = matching(Gaussian(0.0, 1.0), Gaussian(0.0, 0.5)).gradient(0.5 * x, LABELS, seeded(1))
    assert (wider * x).mean() < 0, "descending moves them apart"
    guided = matching(Gaussian(0.0, 1.0, told=1.0), Gaussian(0.0, 1.0), guidance=2.0)
    steeper = guided.gradient(x, LABELS, seeded(1)) / right
    assert steeper.median() > 1, "guidance 2 wants a mean of 2"


def test_descending_makes_the_generators_distribution_the_teachers():
    place = torch.tensor([-1.0, 1.5], requires_grad=True)  # mean and deviation of the generator
    optimizer = torch.optim.Adam([place], 0.05)
    for step in range(300):
        mean, deviation = place.tolist()
        found = matching(Gaussian(0.6, 0.4), Gaussian(mean, deviation))  # the copy has learnt all there is
        x = place[0] + place[1] * numbers(500, step)
        optimizer.zero_grad()
        (x * found.gradient(x.detach(), LABELS[:500], seeded(step))).mean().backward()
        optimizer.step()
    assert place.tolist() == pytest.approx([0.6, 0.4], abs=0.08)


def learner(rank: int = 2):
    model = student(fresh=4, rank=rank)
    model.learn_from(teacher())
    model.tune({"objective": OBJECTIVES[1]})
    return model


def batch(seed: int = 5) -> Batch:
    return Batch(noise(16, seed=1).clamp(-1, 1), torch.arange(16) % 10, seeded(seed), 0.0)


def test_the_copy_learns_the_pictures_it_is_shown_and_the_teacher_stays():
    model = learner()
    optimizers = model.make_optimizers(Recipe(1, lr=5e-2))
    labels, drawn = torch.arange(16) % 10, torch.full((16, 1, 8, 8), 0.5)

    def error():
        t = torch.full((16,), 0.5)
        return model.matching.copy.loss(drawn, labels, noise(16, seed=3), t).item()

    before, kept = error(), copy.deepcopy(model.matching.teacher.state_dict())
    for step in range(30):
        model.matching.learn(drawn, labels, seeded(step), optimizers["copy"])
    assert error() < 0.8 * before
    assert all(torch.equal(value, kept[key]) for key, value in model.matching.teacher.state_dict().items())


def test_the_generator_waits_for_the_copy_and_a_checkpoint_keeps_it():
    model, other = learner(), learner()
    optimizers = model.make_optimizers(Recipe(1, lr=1e-3))
    told = []
    model.matching.gradient = lambda x, *_: told.append(len(x)) or torch.zeros_like(x)
    for _ in range(AHEAD):
        model.train_step(batch(), optimizers)
    assert not told
    model.train_step(batch(), optimizers)
    assert told == [16]
    other.remember(copy.deepcopy(model.memory()))
    assert other.matching.num_updates == AHEAD + 1
    assert other.matching.copy is not model.matching.copy
    ours, theirs = (m.matching.copy.state_dict() for m in (model, other))
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    assert not any("copy" in key or "matching" in key for key in model.state_dict())


def test_without_a_teacher_the_distribution_has_nothing_to_match():
    model = student()
    model.tune({"objective": OBJECTIVES[1]})
    optimizers = model.make_optimizers(Recipe(1, lr=1e-3))
    assert set(optimizers) == {"denoiser", "adapter"} and model.train_step(batch(), optimizers)["loss"] > 0


def test_an_adapter_starts_at_nothing_and_serves_the_second_task_alone():
    torch.manual_seed(0)
    conv, x = AdaptedConv2d(6, 4, 2, 3), torch.randn(2, 6, 8, 8)
    torch.testing.assert_close(conv(x, adapted=True), conv(x))
    before = conv(x)
    with torch.no_grad():
        conv.up.normal_()
        conv.shift.normal_()
    merged = nn.Conv2d(6, 4, 3, 2, 1)
    whole = conv.weight + torch.einsum("or,ri->oi", conv.up, conv.down).reshape(4, 6, 3, 3)
    merged.load_state_dict({"weight": whole, "bias": conv.bias + conv.shift})
    torch.testing.assert_close(conv(x, adapted=True), merged(x))
    assert torch.equal(conv(x), before)


def test_only_the_adapter_learns_and_only_one_step_has_it():
    model, labels = shaken(learner()), torch.arange(3)
    model.matching.num_updates += AHEAD
    freezing.freeze(model, r"\.(up|down|shift)$")
    before, optimizers = copy.deepcopy(model), model.make_optimizers(Recipe(1, lr=1e-2))
    assert model.train_step(batch(), optimizers)["distance"] > 0
    old, new = before.state_dict(), model.state_dict()
    moved = {key for key, value in new.items() if not torch.equal(value, old[key])}
    assert moved == {key for key in new if key.endswith((".up", ".down", ".shift"))}
    drawn = [
        [m.sample(3, labels=labels, generator=seeded(), num_steps=num) for m in (before, model)]
        for num in (1, 2)
    ]
    changed = [not torch.equal(*([*moments][-1].x for moments in each)) for each in drawn]
    assert changed == [True, False]


def test_without_a_rank_the_network_is_as_before():
    config = UNetConfig(**SMALL)
    assert UNet(config).state_dict().keys() < UNet(config, 2).state_dict().keys()
    assert not any(key.endswith((".up", ".down", ".shift")) for key in UNet(config).state_dict())
    plain, x, t = shaken(UNet(config)), noise(), torch.ones(3)
    assert torch.equal(plain(x, t, adapted=True), plain(x, t))
