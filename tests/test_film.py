"""Films: which moments of a long way are kept, by the three that keep some."""

import itertools

import pytest
import torch

from playground import illustrating, mending, race, registry
from playground.slots import Slots
from playground.spec import SampleStep, WordStep
from playground.tabs import film

X = torch.zeros(1, 1, 2, 2)


def of_restoring(steps, num_steps):
    kept = mending.Film()
    for step in steps:
        kept.add(SampleStep(step, num_steps, X, step))
    return [int(mark.split(" / ")[0]) for mark in kept.marks], mending.MAX_FRAMES


def of_sampling(steps, num_steps, num=1):
    kept = film.Film(num)
    for step in steps:
        kept.add(SampleStep(step, num_steps, X, step))
    return [step for step, _ in kept.frames], kept.limit


def of_many_samples(steps, num_steps):
    return of_sampling(steps, num_steps, 64)


def of_words(steps, num_steps):
    kept = illustrating.Film()
    for step in steps:
        kept.add(WordStep(step, num_steps, X, X, torch.zeros(1, 2, 2, 2), step))
    return [moment.step for moment in kept.moments], illustrating.MAX_FRAMES


FILMS = [of_restoring, of_sampling, of_many_samples, of_words]


@pytest.mark.parametrize("num_steps", [1, 2, 11, 12, 13, 24, 25, 26, 39, 40, 41, 80, 784, 1000])
@pytest.mark.parametrize("shoot", FILMS, ids=lambda shoot: shoot.__name__)
def test_a_film_is_full_before_it_leaves_anything_out(shoot, num_steps):
    kept, limit = shoot(range(1, num_steps + 1), num_steps)
    assert len(kept) == min(num_steps, limit) and kept[0] == 1 and kept[-1] == num_steps
    gaps = {later - earlier for earlier, later in itertools.pairwise(kept)}
    assert max(gaps, default=1) - min(gaps, default=1) <= 1, "evenly spread"


@pytest.mark.parametrize("shoot", [of_sampling, of_words], ids=lambda shoot: shoot.__name__)
def test_a_way_may_leave_steps_out(shoot):
    steps = [*range(28, 784, 28), 784]
    kept, limit = shoot(steps, 784)
    assert set(kept) <= set(steps) and kept[-1] == 784 and limit // 2 < len(kept) <= limit


def test_where_it_was_stopped_is_the_last_picture():
    kept, racer = film.Film(1), race.Racer("any", iter(()), 1)
    for step in range(1, 571):
        racer.last = SampleStep(step, 1000, X, step)
        kept.add(racer.last)
    assert kept.frames[-1][0] < 570
    request = {"label": None, "n": 1, "seed": 0}
    shown = film.final(kept, racer, registry.spec(registry.names("Samples")[0]), request)
    assert "570" in shown and f'max="{len(kept.frames)}"' in shown, "one picture more than the film's"
    assert "– ms" in shown, "no speed of pictures that were not finished"


def test_the_last_moment_is_kept_in_any_case():
    slots = Slots(3)
    assert [slots.wants(step, 9) for step in (1, 2, 5, 6, 9)] == [True, False, True, False, True]
    assert slots.wants(10, 9), "one more than was announced"
    with pytest.raises(ValueError, match="got a limit of 1"):
        Slots(1)
