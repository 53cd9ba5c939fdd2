"""The Break it tab: its experiments as data, and the way from the prediction to a repair, on a tiny model."""

import time
from collections import OrderedDict
from dataclasses import replace
from types import SimpleNamespace

import gradio as gr
import pytest
import torch
from app_helpers import awaited
from tiny import SPEC, Tiny

from playground import breaking, data, jobs, locale, registry, symptoms, validation
from playground.breaking import FINE, Experiment, Symptom
from playground.data import Images
from playground.job import FINAL
from playground.spec import Switch, Words
from playground.tabs import break_it, break_it_memory, break_it_panel, common
from playground.tabs.break_it_panel import Progress


class Dial(Tiny):
    """A model whose one curve of interest is what its switch stands at; slow enough to be watched."""

    level = 1.0

    def tune(self, values):
        self.level = values.get("level", self.level)

    def train_step(self, batch, optimizers):
        time.sleep(0.02)
        return super().train_step(batch, optimizers) | {"dial": self.level}


DIAL = replace(
    SPEC, name="dial", title="Dial", model=Dial, switches=(Switch("level", Words("L", "L"), 1.0, 0.0, 9.0),)
)
BREAKS = Experiment(
    "vanishing", "dial", {"batch_size": 8}, ((4, {}), (6, {"level": 0.0})), Symptom("dial", 0.5, above=True),
    "vanish", ("vanish", "swing", FINE), {"steps": {"level": 0.2}, "loss": {"level": 1.0}}, 6,
)  # fmt: skip


@pytest.fixture
def small_world(monkeypatch):
    """The dial among the models, its experiment the only one, tiny pictures."""
    pixels = torch.randint(0, 256, (64, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator())
    images = Images("mnist", pixels, torch.zeros(64, dtype=torch.int64), ("square",))
    monkeypatch.setattr(data, "load", lambda name, split="train": images)
    monkeypatch.setitem(registry._specs(), "dial", DIAL)
    monkeypatch.setattr(breaking, "EXPERIMENTS", (BREAKS,))
    monkeypatch.setenv("PLAYGROUND_DEVICE", "cpu")


def asked(session, language="en"):
    return SimpleNamespace(session_hash=f"break {session}", headers={"accept-language": language}, cookies={})


def press(act, key):
    return SimpleNamespace(act=act, key=key)


def watched(progress, request):
    """The last of what a watcher yields, the progress filled in."""

    async def collect():
        return [update async for update in break_it.watch(progress, request)]

    updates = awaited(collect())
    ends = [update for update in updates if isinstance(update[0], Progress)]
    return updates, ends[-1] if ends else None


def begun(request, guess="vanish"):
    progress = break_it.pressed(break_it.first(), press("guess", guess), request)[0]
    return break_it.run(progress, request)[0]


def test_predict_run_reveal_and_repair(small_world):
    request = asked("a")
    progress = begun(request)
    updates, (progress, live, _, verdict) = watched(progress, request)
    assert progress.before == pytest.approx(0.0) and not progress.tried
    assert 'class="right"' in verdict and "data-act" in verdict and "Fixed" not in verdict
    assert "data:image/png" in live and 'data-state="paused"' in live and "★" not in live
    assert all(update[3] == gr.skip() for update in updates[:-1]), "nothing is revealed before the end"
    view = jobs.worker().view(progress.job)
    assert [dict(values) for _, values in view.changes] == [{"level": 0.0}]
    assert view.changes[0][0] == 4 and view.event.step == 10, "an act has the updates that it says"

    progress, verdict = break_it.repair(progress, press("fix", "steps"), request)
    assert "disabled" in verdict, "one change at a time"
    _, (progress, _, _, verdict) = watched(progress, request)
    assert jobs.worker().view(progress.job).event.step == progress.until
    assert [key for key, _ in progress.tried] == ["steps"] and progress.tried[0][1] == pytest.approx(0.2)
    assert "Not fixed" in verdict and 'class="lesson"' not in verdict

    progress, _ = break_it.repair(progress, press("fix", "loss"), request)
    _, (progress, _, _, verdict) = watched(progress, request)
    assert progress.tried[1] == ("loss", pytest.approx(1.0))
    assert 'class="fixed"' in verdict and 'class="lesson"' in verdict
    break_it.stop(progress, request)


def test_a_wrong_prediction_and_an_experiment_that_does_not_break(small_world, monkeypatch):
    request = asked("b")
    _, (progress, _, _, verdict) = watched(begun(request, "swing"), request)
    assert 'class="wrong"' in verdict
    break_it.stop(progress, request)
    monkeypatch.setattr(breaking, "EXPERIMENTS", (replace(BREAKS, acts=((6, {"level": 0.9}),)),))
    _, (progress, _, _, verdict) = watched(begun(request, FINE), request)
    assert 'class="right"' in verdict and "did not break" in verdict
    break_it.stop(progress, request)


def test_stopped_before_the_verdict_reveals_nothing(small_world):
    request = asked("c")
    progress = begun(request)
    break_it.stop(progress, request)
    _, (after, live, _, verdict) = watched(progress, request)
    assert after.before is None and "Stopped" in live
    assert "vanish" not in verdict and 'class="right"' not in verdict
    with pytest.raises(gr.Error, match="Wait"):
        break_it.repair(after, press("fix", "loss"), request)


def test_another_experiment_is_chosen_while_one_runs(small_world):
    request = asked("turned away")
    progress = begun(request)
    after, *_ = break_it.pressed(progress, press("choose", BREAKS.key), request)
    updates, ended = watched(progress, request)
    assert not after.job and not after.guess and jobs.worker().view(progress.job).state in FINAL
    assert ended is None and updates == [(gr.skip(),) * 4], "nothing is drawn over the new experiment"


def test_the_answer_is_not_always_the_first_choice():
    places = [experiment.outcomes.index(experiment.answer) for experiment in breaking.EXPERIMENTS]
    assert len(set(places)) == 3 and all(e.outcomes[-1] == FINE for e in breaking.EXPERIMENTS)


def test_experiments_share_nothing_with_the_train_tab(small_world):
    request = asked("nothing shared")
    progress = begun(request)
    watched(progress, request)
    break_it.stop(progress, request)
    while jobs.worker().view(progress.job).state not in FINAL:
        time.sleep(0.02)
    assert not jobs.trained(request.session_hash) and jobs.trained(break_it.owner(request))


def test_running_again_and_choosing_anew_end_what_runs(small_world):
    request = asked("e")
    old = begun(request)
    new = break_it.run(old, request)[0]
    assert new.job != old.job
    progress, board, *_ = break_it.pressed(new, press("choose", "vanishing"), request)
    assert progress == Progress("vanishing") and 'aria-pressed="true"' in board
    for job in (old.job, new.job):
        while jobs.worker().view(job).state not in FINAL:
            time.sleep(0.02)


def test_refusals(small_world):
    request, progress = asked("f"), break_it.first()
    with pytest.raises(gr.Error, match="first"):
        break_it.run(progress, request)
    with pytest.raises(gr.Error, match="请先选择"):
        break_it.run(progress, asked("f", "zh"))
    for bad in (None, 3, "x" * 999, ["vanish"], "<b>"):
        for act in ("choose", "guess", None):
            with pytest.raises(gr.Error):
                break_it.pressed(progress, press(act, bad), request)
        with pytest.raises(gr.Error):
            break_it.repair(progress, press("fix", bad), request)
        with pytest.raises(gr.Error):
            list(common.guarded(break_it.break_it)(bad, request=request))
        with pytest.raises(gr.Error):
            list(common.guarded(break_it.break_it)("vanishing", "", 0, bad, request=request))
    updates, end = watched(Progress("vanishing", "vanish", "no such job"), request)
    assert end is None and all(value == gr.skip() for value in updates[-1])


def test_the_endpoint_breaks_and_repairs(small_world):
    reports = list(common.guarded(break_it.break_it)("vanishing", "loss", request=asked("g")))
    last = reports[-1]
    assert (last["outcome"], last["fixed"], last["act"]) == ("vanish", True, "repairing")
    assert last["before"] == pytest.approx(0.0) and last["after"] == pytest.approx(1.0)
    assert {"breaking", "repairing"} == {report["act"] for report in reports}
    short = list(common.guarded(break_it.break_it)("vanishing", "", 0, 0.2, request=asked("g")))[-1]
    assert short["fixed"] is None and short["step"] <= 6


def test_without_its_model_an_experiment_is_hidden(monkeypatch):
    monkeypatch.setattr(breaking, "EXPERIMENTS", (BREAKS, *breaking.EXPERIMENTS))
    found = list(breaking.available().values())
    assert BREAKS not in found and found


@pytest.mark.parametrize("experiment", breaking.EXPERIMENTS, ids=lambda e: e.key)
def test_an_experiment_is_sound(experiment):
    if experiment.key not in breaking.available():
        pytest.skip("its model is not here")
    assert {experiment.answer, FINE} <= set(experiment.outcomes) and 3 <= len(experiment.outcomes) <= 4
    assert len(experiment.fixes) >= 3
    request = experiment.request(0)
    spec, recipe = request.spec, request.recipe
    assert recipe.num_steps >= experiment.num_steps + len(experiment.fixes) * experiment.fix_steps
    validation.switches(spec, recipe, experiment.acts[0][1])
    for switches in [switches for _, switches in experiment.acts[1:]] + list(experiment.fixes.values()):
        assert validation.switches(spec, recipe, switches, running=True) == switches
    standing = experiment.standing(experiment.num_steps)
    for key, changes in experiment.fixes.items():
        turned = experiment.fix(key)
        assert changes.items() <= turned.items()
        assert validation.switches(spec, recipe, turned, running=True) == turned
        broken = request.standing() | standing
        assert any(broken[name] != value for name, value in changes.items())
    keys = ["title", "setup", "why", "lesson", *(f"fix.{key}" for key in experiment.fixes)]
    for language in locale.LANGUAGES:
        words = locale.table(language)
        assert all(f"break_it.{experiment.key}.{key}" in words for key in keys)
        assert all(f"break_it.outcome.{outcome}" in words for outcome in experiment.outcomes)
    board = break_it_panel.board(Progress(experiment.key))
    assert board.count('data-act="guess"') == len(experiment.outcomes)
    for language in locale.LANGUAGES:
        usual = locale.text("break_it.as_usual", language)
        assert board.count(f">{usual}<") == sum(not switches for _, switches in experiment.acts)
        assert all(locale.text(f"break_it.recipe.{key}", language) in board for key in experiment.recipe)


def test_the_symptom_is_of_the_latest_act_and_on_its_side():
    flat = [(step, 5.0 if step <= 100 else 0.1) for step in range(1, 201)]
    mean = Symptom("a", 0.5, above=True)
    assert mean.measure({"a": flat}, 100) == pytest.approx(0.1) and not mean.healthy(0.1)
    assert mean.measure({"a": flat}, 200) is None and mean.measure({}, 0) is None
    to_and_fro = [(step, (step // 20) % 2) for step in range(1, 401)]
    swing = Symptom("a", 0.3, above=False, swing=True)
    assert not swing.healthy(swing.measure({"a": to_and_fro}, 0)) and swing.limit() == "< 0.3"


def test_thresholds_agree_with_the_coachs():
    """A broken experiment is not one that the coach would call healthy."""
    found = {experiment.key: experiment.symptom for experiment in breaking.EXPERIMENTS}
    assert found["runaway"].threshold == symptoms.FARTHEST
    assert symptoms.VERY_FEW <= found["collapse"].threshold <= symptoms.FEW
    assert found["posterior"].threshold >= symptoms.EMPTY
    assert found["vanishing"].threshold == symptoms.VANISHED


def test_a_discriminator_that_has_won_is_no_end_of_oscillation():
    """D(fake) lies still near 0 then, but the generator's loss still runs to and fro."""
    symptom = next(e.symptom for e in breaking.EXPERIMENTS if e.key == "oscillation")
    won = {"d_fake": [(step, 0.001) for step in range(1, 301)]}
    won["loss_g"] = [(step, 4.0 + 8.0 * ((step // 20) % 2)) for step in range(1, 301)]
    settled = {"loss_g": [(step, 0.8 + 0.2 * ((step // 20) % 2)) for step in range(1, 301)]}
    assert not symptom.healthy(symptom.measure(won, 0)) and symptom.healthy(symptom.measure(settled, 0))


def test_a_page_that_comes_back_finds_its_experiment_and_its_verdict(small_world):
    request, later = asked("first"), asked("reloaded")
    assert break_it.recalled("", request) == break_it.recalled("no such job", request) == (gr.skip(),) * 5
    progress = begun(request)
    back = break_it.recalled(progress.job, later)
    assert back[0] == progress and back[2:] == (gr.skip(),) * 3, "the watcher draws what still runs"

    async def watch_again(state):
        return [update async for update in break_it.watch_again(state, later)]

    ended = awaited(watch_again(back[0]))[-1]
    assert ended[0].before == pytest.approx(0.0) and 'class="right"' in ended[3]
    state, board, live, _, verdict = break_it.recalled(progress.job, later)
    assert state == ended[0] and verdict == ended[3] and "data:image/png" in live
    assert 'aria-pressed="true"' in board or "checked" in board
    assert awaited(watch_again(state)) == [(gr.skip(),) * 4], "nothing is measured twice"

    state, _ = break_it.repair(state, press("fix", "loss"), later)
    back = break_it.recalled(progress.job, asked("reloaded again"))[0]
    assert back == state and back.fix == "loss"
    _, (state, *_) = watched(back, later)
    assert break_it.recalled(progress.job, later)[0].tried == state.tried == (("loss", pytest.approx(1.0)),)
    break_it.stop(state, later)


def test_only_so_many_experiments_are_remembered(monkeypatch):
    monkeypatch.setattr(break_it_memory, "MAX_KEPT", 2)
    monkeypatch.setattr(break_it_memory, "_KEPT", OrderedDict())
    for job in ("a", "b", "c"):
        break_it_memory.keep(Progress("vanishing", job=job), True)
    assert list(break_it_memory._KEPT) == ["b", "c"]
    assert break_it_memory.recall(["a"], "someone") is None and break_it_memory.recall("b", "someone") is None
