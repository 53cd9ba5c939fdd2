"""Background training: stop, pause, step, fairness, failures, coming back, and what is kept afterwards."""

import time
from dataclasses import replace

import pytest
import torch
from jobs_helpers import RECIPE, make_squares, make_worker, request, until  # noqa: F401  (fixtures)

from playground import data, jobs
from playground.data import DataUnavailable
from playground.validation import InvalidInput


def test_a_training_runs_to_its_end_and_leaves_model_card_curves_and_samples(worker):
    job_id = worker.submit("a", request(recipe=replace(RECIPE, num_steps=40)))
    view = until(worker, job_id, "done")
    assert view.event.step == view.event.num_steps == 40
    assert [step for step, _ in view.losses["loss"]] == list(range(1, 41))
    assert view.moments[-1][0] == 40 and view.moments[-1][1].shape == (16, 1, 2, 2)
    model, card = worker.result(job_id)
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    assert card["num_steps"] == 40 and card["seed"] == 3
    assert list(worker.trained("a")) == ["tiny"] and worker.trained("b") == {}


def test_stop_acts_within_one_update_and_does_not_say_done(worker):
    job_id = worker.submit("a", request(seconds=0.1))
    until(worker, job_id, "running", steps=2)
    worker.stop(job_id)
    at_most = worker.view(job_id).event.step + 1  # the update under way
    view = until(worker, job_id, "stopped")
    assert view.event.step <= at_most
    assert view.usable and worker.result(job_id)[1]["num_steps"] == view.event.step


def test_stop_of_a_job_in_the_middle_of_another_ones_turn(worker, monkeypatch):
    monkeypatch.setattr(jobs, "SLICE", 60.0)
    first = worker.submit("a", request(seconds=0.05))
    second = worker.submit("b", request(seconds=0.05))
    until(worker, first, "running", steps=1)
    worker.stop(second)
    at_most = worker.view(first).event.step + 1
    until(worker, second, "stopped")
    assert worker.view(first).event.step <= at_most + 1


def test_pause_lets_the_others_work_and_resume_goes_on_where_it_was(worker):
    job_id = worker.submit("a", request())
    until(worker, job_id, "running", steps=5)
    worker.pause(job_id)
    time.sleep(0.05)
    paused = worker.view(job_id)
    assert paused.state == "paused"
    other = worker.submit("b", request(recipe=replace(RECIPE, num_steps=20)))
    until(worker, other, "done")
    assert worker.view(job_id).event.step == paused.event.step
    worker.resume(job_id)
    until(worker, job_id, "running", steps=paused.event.step + 3)


def test_one_step_is_one_step(worker):
    job_id = worker.submit("a", request(), updates=1)
    assert until(worker, job_id, "paused", steps=1).event.step == 1
    for expected in (2, 3):
        worker.step(job_id)
        until(worker, job_id, "paused", steps=expected)
        time.sleep(0.02)
        assert worker.view(job_id).event.step == expected


def test_one_step_does_not_wait_for_a_line_of_others(worker):
    others = [worker.submit(str(n), request(seconds=0.02)) for n in range(jobs.SHARING + 2)]
    until(worker, others[0], "running", steps=1)
    job_id = worker.submit("a", request(), updates=1)
    until(worker, job_id, "paused", steps=1, seconds=2)


def test_two_users_get_the_same_share(worker):
    first = worker.submit("a", request(seconds=0.005))
    until(worker, first, "running", steps=10)
    start = worker.view(first).event.step
    second = worker.submit("b", request(seconds=0.005))
    until(worker, second, "running", steps=60)
    mine, theirs = worker.view(first).event.step - start, worker.view(second).event.step
    assert 0.5 < mine / theirs < 2


def test_who_waits_sees_the_place_in_line_and_gets_a_turn(worker, monkeypatch):
    monkeypatch.setattr(jobs, "TURN", 0.1)
    ids = [worker.submit(str(n), request(seconds=0.005)) for n in range(jobs.SHARING + 2)]
    states = [(worker.view(i).state, worker.view(i).position) for i in ids]
    assert states == [("running", 0)] * jobs.SHARING + [("queued", 1), ("queued", 2)]
    for job_id in ids:
        until(worker, job_id, "running", "queued", steps=1)


def test_a_session_has_one_training_at_a_time(worker):
    job_id = worker.submit("a", request())
    with pytest.raises(InvalidInput, match="stop it before you start another"):
        worker.submit("a", request())
    worker.stop(job_id)
    second = worker.submit("a", request())
    until(worker, job_id, "stopped")
    until(worker, second, "running", steps=1)


def test_the_newest_training_of_a_model_replaces_the_older_one(worker):
    short = replace(RECIPE, num_steps=3)
    models = []
    for _ in range(2):
        until(worker, worker.submit("a", request(recipe=short)), "done")
        models.append(worker.trained("a")["tiny"])
    assert models[0] is not models[1]
    until(worker, worker.submit("a", request("other", recipe=short)), "done")
    assert set(worker.trained("a")) == {"tiny", "other"}


def test_a_session_keeps_a_bounded_number(worker):
    short = replace(RECIPE, num_steps=2)
    for n in range(jobs.MAX_FINISHED + 2):
        until(worker, worker.submit("a", request(f"tiny{n}", recipe=short)), "done")
    assert list(worker.trained("a")) == [f"tiny{n}" for n in range(2, jobs.MAX_FINISHED + 2)]


def test_a_full_memory_forgets_the_model_asked_for_longest_ago(worker, monkeypatch):
    monkeypatch.setattr(jobs, "MAX_BYTES", 2 * (16 + 4) * 4)
    for n, session in enumerate("abc"):
        until(
            worker, worker.submit(session, request(f"tiny{n}", recipe=replace(RECIPE, num_steps=2))), "done"
        )
        worker.trained("a")
    assert [list(worker.trained(session)) for session in "abc"] == [["tiny0"], [], ["tiny2"]]


def test_a_page_that_comes_back_attaches_by_the_id(worker):
    done = worker.submit("before", request("first", recipe=replace(RECIPE, num_steps=2)))
    until(worker, done, "done")
    job_id = worker.submit("before", request())
    seen = until(worker, job_id, "running", steps=1).event.step
    back = worker.attach(job_id, "after")
    assert back.id == job_id and back.event.step >= seen
    worker.stop(job_id)
    until(worker, job_id, "stopped")
    assert set(worker.trained("after")) == {"first", "tiny"}
    for wrong in ("", "x" * 22, None, 5, ["a"], float("nan"), {}):
        with pytest.raises(InvalidInput, match="no longer here"):
            worker.attach(wrong, "after")


def test_a_loss_that_is_not_finite_says_where_and_keeps_the_last_good_state(worker):
    job_id = worker.submit("a", request(fails_at=7))
    view = until(worker, job_id, "failed")
    assert view.message.params["step"] == 7 and view.message.params["lr"] == "0.001"
    model, card = worker.result(job_id)
    assert card["num_steps"] == 6
    assert all(bool(t.isfinite().all()) for t in model.state_dict().values())
    until(worker, worker.submit("a", request(recipe=replace(RECIPE, num_steps=2))), "done")


@pytest.mark.parametrize(
    "text", ["CUDA out of memory. Tried to allocate 2 GiB", "can't allocate memory: 8 bytes"]
)
def test_out_of_memory_names_a_batch_size_and_the_app_goes_on(worker, text):
    job_id = worker.submit("a", request(fails_at=3, failure=text))
    view = until(worker, job_id, "failed")
    assert view.message.key == "jobs.memory"
    assert view.message.params == {"batch_size": 96, "smaller": 64}
    until(worker, worker.submit("b", request(recipe=replace(RECIPE, num_steps=2))), "done")


def test_an_error_nobody_thought_of_fails_one_job_and_not_the_worker(worker, caplog):
    job_id = worker.submit("a", request(fails_at=1, failure="boom"))
    assert until(worker, job_id, "failed").message.key == "jobs.broken"
    assert "boom" in caplog.text
    with pytest.raises(InvalidInput, match="no trained model"):
        worker.result(job_id)
    until(worker, worker.submit("b", request(recipe=replace(RECIPE, num_steps=2))), "done")


def test_missing_data_is_said_in_its_own_sentence(worker, monkeypatch):
    def nowhere(name, split="train"):
        raise DataUnavailable("errors.no_fashion", folder="there")

    monkeypatch.setattr(data, "load", nowhere)
    message = until(worker, worker.submit("a", request()), "failed").message
    assert message.key == "errors.no_fashion" and message.params == {"folder": "there"}


def test_what_nobody_watches_is_paused_and_later_forgotten(worker, monkeypatch):
    job_id = worker.submit("a", request(seconds=0.005))
    until(worker, job_id, "running", steps=1)
    monkeypatch.setattr(jobs, "LEASE", 0.1)
    time.sleep(0.4)
    view = worker.view(job_id)
    assert view.state == "paused" and view.message.key == "jobs.unwatched"
    monkeypatch.setattr(jobs, "KEEP", 1.0)
    time.sleep(1.2)
    until(worker, worker.submit("b", request(recipe=replace(RECIPE, num_steps=2))), "done")
    with pytest.raises(InvalidInput, match="no longer here"):
        worker.view(job_id)


def test_too_many_open_trainings_that_nobody_watches_are_ended_and_keep_their_model(worker, monkeypatch):
    ids = [worker.submit(name, request(), updates=1) for name in "ab"]
    for job_id in ids:
        until(worker, job_id, "paused")
    monkeypatch.setattr(jobs, "MAX_OPEN", 1)
    worker._jobs[ids[0]].seen -= 2 * jobs.LEASE
    until(worker, worker.submit("c", request(recipe=replace(RECIPE, num_steps=2))), "done")
    assert [worker.view(job_id).state for job_id in ids] == ["stopped", "paused"]
    assert worker.trained("a")


def test_a_job_that_is_over_stays_over(worker):
    job_id = worker.submit("a", request(recipe=replace(RECIPE, num_steps=2)))
    until(worker, job_id, "done")
    worker.stop(job_id)
    worker.pause(job_id)
    assert worker.view(job_id).state == "done"
    for again in (worker.resume, worker.step):
        with pytest.raises(InvalidInput, match="is over"):
            again(job_id)


def test_closing_ends_the_thread():
    made = jobs.Worker(torch.device("cpu"))
    until(made, made.submit("a", request(seconds=0.02)), "running", steps=2)
    made.close()
    assert not made._thread.is_alive()
