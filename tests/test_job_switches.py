"""Background training under someone's hands: switches turned while it runs, slow motion, diagnoses."""

import time
from dataclasses import replace

import pytest
import torch
from jobs_helpers import RECIPE, TinyLatent, make_squares, make_worker, request, until  # noqa: F401  (fixtures)

from playground import diagnosis, job, judge
from playground.diagnosis import Diagnosis, Watched
from playground.validation import InvalidInput


def test_a_switch_is_turned_before_the_next_update_and_remembered(worker):
    job_id = worker.submit("a", request(), updates=1)
    until(worker, job_id, "paused", steps=1)
    worker.change(job_id, {"weight": 4.0})
    waiting = worker.view(job_id)
    assert waiting.switches["weight"] == 4.0 and waiting.changes == ()
    assert waiting.losses["weight"][-1][1] == 1.0
    worker.step(job_id)
    view = until(worker, job_id, "paused", steps=2)
    assert view.changes == ((1, {"weight": 4.0}),)
    assert view.losses["weight"] == [[1, 1.0], [2, 4.0]]


def test_a_change_reaches_a_training_that_runs(worker):
    job_id = worker.submit("a", request(seconds=0.002))
    until(worker, job_id, "running", steps=3)
    worker.change(job_id, {"weight": 2.0, "lr": 1e-4})
    ((step, values),) = until_changed(worker, job_id, 1).changes
    assert step >= 3 and values == {"weight": 2.0, "lr": 1e-4}
    worker.change(job_id, {"weight": 2.0})  # it stands so already
    worker.change(job_id, {"decay": "none"})
    assert [v for _, v in until_changed(worker, job_id, 2).changes] == [values, {"decay": "none"}]
    worker.stop(job_id)
    over = until(worker, job_id, "stopped")
    assert over.switches["decay"] == "none" and len(over.changes) == 2
    card = worker.result(job_id)[1]
    assert card["switches"]["weight"] == 2.0 and len(card["changes"]) == 2


def until_changed(worker, job_id, num):
    deadline = time.monotonic() + 20
    while len((view := worker.view(job_id)).changes) < num:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return view


def test_switches_of_the_request_stand_from_the_start(worker):
    short = replace(RECIPE, num_steps=2)
    job_id = worker.submit("a", request(recipe=short, switches={"weight": 7.0}))
    assert worker.view(job_id).switches["weight"] == 7.0
    view = until(worker, job_id, "done")
    assert view.losses["weight"] == [[1, 7.0], [2, 7.0]] and view.changes == ((0, {"weight": 7.0}),)
    assert view.switches == {"lr": RECIPE.lr, "decay": RECIPE.decay, "weight": 7.0, "layers": 1}


@pytest.mark.parametrize(
    "values",
    [{"weight": 11}, {"weight": "1"}, {"weight": None}, {"weight": float("nan")}, {"layers": 2}, {"x": 1}, 5,
     [("weight", 1.0)], {None: 1}, {"lr": 0}, {"decay": "never"}],
)  # fmt: skip
def test_a_change_that_cannot_be_is_refused_and_nothing_happens(worker, values):
    job_id = worker.submit("a", request(), updates=1)
    until(worker, job_id, "paused", steps=1)
    before = worker.view(job_id).switches
    with pytest.raises(InvalidInput):
        worker.change(job_id, values)
    assert worker.view(job_id).switches == before


def test_what_is_over_cannot_be_changed_or_slowed(worker):
    job_id = worker.submit("a", request(recipe=replace(RECIPE, num_steps=1)))
    until(worker, job_id, "done")
    for call in (lambda: worker.change(job_id, {"weight": 2.0}), lambda: worker.pace(job_id, 1.0)):
        with pytest.raises(InvalidInput, match="is over"):
            call()


def test_slow_motion_rests_between_updates_and_lets_the_others_work(worker):
    slow = worker.submit("a", request(seconds=0.002))
    until(worker, slow, "running", steps=1)
    worker.pace(slow, 0.2)
    other = worker.submit("b", request(seconds=0.002))
    start, begun = worker.view(slow).event.step, time.monotonic()
    quick = until(worker, other, "running", steps=20).event.step
    view = until(worker, slow, "running", steps=start + 4)
    assert time.monotonic() - begun > 0.5 and view.pace == 0.2
    assert worker.view(other).event.step > 20 >= quick - 20
    worker.pace(slow, 0)
    before, at = worker.view(slow).event.step, time.monotonic()
    until(worker, slow, "running", steps=before + 10)
    assert time.monotonic() - at < 1.9  # ten rests would take two seconds


def test_a_new_pace_does_not_wait_for_the_old_ones_rest(worker):
    job_id = worker.submit("a", request())
    worker.pace(job_id, 5.0)
    step = until(worker, job_id, "running", steps=1).event.step
    worker.pace(job_id, 0)
    until(worker, job_id, "running", steps=step + 3, seconds=3)
    worker.pace(job_id, 5.0)
    time.sleep(0.1)
    worker.pause(job_id)
    at = worker.view(job_id).event.step
    worker.step(job_id)  # nor does a click on "one step"
    until(worker, job_id, "paused", steps=at + 1, seconds=3)


@pytest.mark.parametrize("seconds", [-1, 5.1, float("nan"), float("inf"), None, "1", True, [1]])
def test_a_pace_that_cannot_be_is_refused(worker, seconds):
    job_id = worker.submit("a", request(), updates=1)
    with pytest.raises(InvalidInput):
        worker.pace(job_id, seconds)


def test_slow_motion_counts_in_the_time_left(worker):
    job_id = worker.submit("a", request(recipe=replace(RECIPE, num_steps=1000)), updates=1)
    until(worker, job_id, "paused", steps=1)
    before = worker.view(job_id).eta
    worker.pace(job_id, 2.0)
    assert worker.view(job_id).eta == pytest.approx(before + 2 * 999)


@pytest.mark.parametrize(("model", "expected"), [(TinyLatent, [1, 2, 3]), (None, [1])])
def test_one_step_at_a_time_shows_its_samples_where_they_cost_little(worker, model, expected):
    asked = request(model=model) if model else request()
    job_id = worker.submit("a", asked, updates=1)
    for step in (1, 2, 3):
        until(worker, job_id, "paused", steps=step)
        if step < 3:
            worker.step(job_id)
    assert [step for step, _ in worker.view(job_id).moments] == expected


def test_diagnoses_become_curves(worker, monkeypatch):
    found = iter(Diagnosis((n, 128 - n), float(n), n / 100) for n in range(100))
    monkeypatch.setattr(diagnosis, "possible", lambda spec, dataset: True)
    monkeypatch.setattr(Watched, "_diagnose", lambda self: next(found))
    job_id = worker.submit("a", request(model=TinyLatent), updates=1)
    for step in (1, 2, 3):
        until(worker, job_id, "paused", steps=step)
        if step < 3:
            worker.step(job_id)
    view = worker.view(job_id)
    assert view.losses["class_entropy"] == [[1, 0.0], [2, 1.0], [3, 2.0]]
    assert view.losses["distinct"][-1] == [3, 0.02] and view.diagnosis.counts == (2, 126)


def test_a_classifier_that_cannot_be_used_ends_no_training(worker, monkeypatch):
    def broken(x):
        raise ValueError("A picture holds values that are not finite, so it cannot be judged.")

    monkeypatch.setattr(diagnosis, "possible", lambda spec, dataset: True)
    monkeypatch.setattr(judge, "look", broken)
    job_id = worker.submit("a", request(model=TinyLatent, recipe=replace(RECIPE, num_steps=3)))
    view = until(worker, job_id, "done")
    assert view.diagnosis is None and view.moments


def test_the_film_is_bounded_and_keeps_first_and_last():
    film = job.Film()
    for step in range(1, 1001):
        film.add(step, torch.zeros(1, 1, 2, 2))
    steps = [step for step, _ in film.moments()]
    assert len(steps) <= job.MAX_MOMENTS + 1 and steps[0] == 1 and steps[-1] == 1000
    assert steps == sorted(set(steps))
