"""The race: whose turn it is, whose clock runs, and that nothing but the request decides the pictures."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from tiny import SPEC

from playground import race
from playground.spec import Samples, SampleStep


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Time that only `Paced` moves."""
    Paced.now = 100.0
    monkeypatch.setattr(race, "time", SimpleNamespace(perf_counter=lambda: Paced.now))


class Paced(Samples):
    """Takes a fixed time for every step; its pictures come from its generator alone."""

    def __init__(self, num_steps, seconds):
        self.num_steps, self.seconds, self.seen = num_steps, seconds, []

    def sample(self, num, *, labels=None, generator, **controls):
        self.seen.append((labels, controls))
        x = torch.randn(num, 1, 2, 2, generator=generator)
        for step in range(1, self.num_steps + 1):
            Paced.now += self.seconds
            yield SampleStep(step, self.num_steps, x * step, 2 * step)


def run(racers):
    order = []
    while (racer := race.next_up(racers)) is not None:
        racer.advance()
        order.append(racer.name)
    return order


def test_the_smallest_clock_goes_next():
    racers = [
        race.enter("quick", Paced(8, 0.002), 2, None, 0),
        race.enter("slow", Paced(2, 0.02), 2, None, 0),
    ]
    order = run(racers)
    assert order[:2] == ["quick", "slow"]
    assert order[2:9] == ["quick"] * 7  # until its clock shows as much as the slow one's, or it is done
    assert all(racer.done and racer.share == 1 and racer.left == 0 for racer in racers)


def test_anything_with_a_clock_takes_turns():
    clocks = [
        SimpleNamespace(done=done, seconds=s) for done, s in ((True, 0), (False, 2), (False, 1), (False, 1))
    ]
    assert race.next_up(clocks) is clocks[2], "the first of equals"
    assert race.next_up(clocks[:1]) is None and race.next_up(iter(())) is None


def test_a_clock_counts_its_own_model_only():
    racers = [race.enter("quick", Paced(5, 0.0), 4, None, 0), race.enter("slow", Paced(3, 0.05), 4, None, 0)]
    run(racers)
    quick, slow = racers
    assert quick.seconds == 0 and slow.seconds == pytest.approx(0.15)
    assert slow.milliseconds == pytest.approx(1000 * slow.seconds / 4)
    assert quick.last.nfe == 10


def test_time_left_is_at_the_pace_so_far():
    racer = race.enter("slow", Paced(4, 0.02), 1, None, 0)
    assert racer.left is None and racer.milliseconds is None and racer.share == 0
    racer.advance()
    assert racer.left == pytest.approx(3 * racer.seconds)


def test_everyone_gets_the_same_request():
    first, second = Paced(1, 0), Paced(3, 0)
    labels = torch.tensor([7, 7, 7])
    racers = [race.enter("a", first, 3, labels, 5, {"k": 1}), race.enter("b", second, 3, None, 5)]
    run(racers)
    assert torch.allclose(racers[0].last.x, racers[1].last.x / 3)
    assert first.seen[0][0] is labels and first.seen[0][1] == {"k": 1} and second.seen[0][0] is None


def test_labels_are_for_models_that_take_them():
    plain, conditional = (replace(SPEC, conditional=takes) for takes in (False, True))
    assert race.labels_of(plain, 3, None) is None and race.labels_of(plain, 3, 7) is None
    asked = race.labels_of(conditional, 3, 7)
    assert asked.tolist() == [7, 7, 7] and asked.dtype == torch.int64
    assert race.labels_of(conditional, 3, None).tolist() == [0, 1, 2]


def test_a_rehearsal_does_not_change_the_pictures_or_the_clock():
    model = Paced(3, 0)
    plain = race.enter("a", model, 2, None, 1)
    race.rehearse(model, 2)
    rehearsed = race.enter("a", model, 2, None, 1)
    run([plain])
    run([rehearsed])
    assert torch.equal(plain.last.x, rehearsed.last.x)


def test_an_iterator_that_ends_early_is_done():
    class Short(Samples):
        def sample(self, num, *, labels=None, generator, **controls):
            yield SampleStep(1, 9, torch.zeros(num, 1, 2, 2), 1)

    racer = race.enter("short", Short(), 1, None, 0)
    assert run([racer]) == ["short", "short"] and racer.done and racer.last.step == 1
