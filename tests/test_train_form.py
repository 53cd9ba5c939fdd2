"""The Train tab's switches: which are shown, what they send, turning them while it runs, taking advice."""

import re
import time
from types import SimpleNamespace

import gradio as gr
import pytest
from app_helpers import refused
from test_train_tab import asked, form, settle, small_world  # noqa: F401  (fixtures)
from tiny import SPEC

from playground import coach, jobs, locale, registry, schedules
from playground.coach import Advice
from playground.job import FINAL
from playground.spec import Switch, Words
from playground.tabs import train_actions, train_coach, train_form
from playground.validation import InvalidInput

SWITCHES = (
    Switch("players", Words("Who learns", "谁在学习"), "both", choices=("both", "generator")),
    Switch("noise", Words("Noise", "噪声"), 0.0, 0.0, 1.0, step=0.1),
    Switch("layers", Words("Layers", "层"), False, live=False),
)


class Turned(SPEC.model):
    """The tiny model, which remembers what its switches stand at."""

    def tune(self, values):
        self.standing = getattr(self, "standing", {}) | dict(values)


@pytest.fixture(autouse=True)
def switched(monkeypatch):
    """A tiny model with switches beside the one without."""
    spec = SPEC.__class__(**(SPEC.__dict__ | {"name": "switched", "model": Turned, "switches": SWITCHES}))
    monkeypatch.setitem(registry._specs(), "switched", spec)
    return spec


@pytest.fixture
def page(switched, request):
    """The form, built when the model with switches is there."""
    return request.getfixturevalue("form")


@pytest.fixture
def running(page):
    """A training of the model with switches that is under way."""
    job_id = page.start(asked("z"), model="switched", num_steps=100_000)
    yield job_id
    jobs.worker().stop(job_id)
    settle(job_id, *FINAL)


def knob(page, key):
    return [knob for knob in page.form.knobs if knob.switch.key == key]


def test_a_switch_that_models_share_is_one_component(page):
    assert len(knob(page, "lr")) == len(knob(page, "decay")) == 1
    keys = [(k.switch.key, k.switch.kind, k.switch.label, k.switch.choices) for k in page.form.knobs]
    assert len({train_form._same(k.switch) for k in page.form.knobs}) == len(keys)
    for name in registry.names("Samples"):
        for switch in schedules.switches_of(registry.spec(name), registry.spec(name).recipe):
            assert any(train_form._same(switch) == train_form._same(k.switch) for k in page.form.knobs)


def test_only_the_chosen_models_switches_are_shown_at_its_defaults(page, switched):
    for spec, own in ((switched, {"lr", "decay", "players", "noise", "layers"}), (SPEC, {"lr", "decay"})):
        *knobs, slow, late = page.form.chosen(spec)
        shown = {
            k.switch.key: u["value"] for k, u in zip(page.form.knobs, knobs, strict=True) if u["visible"]
        }
        assert shown == {s.key: s.default for s in train_form.own_switches(spec)} and set(shown) == own
        assert slow["visible"] == late["visible"] == ("players" in own)


def test_components_fit_the_kinds_and_say_what_waits_for_the_start(page):
    kinds = {
        "players": gr.Radio, "noise": gr.Slider, "layers": gr.Checkbox, "lr": gr.Number, "decay": gr.Dropdown,
    }  # fmt: skip
    for key, kind in kinds.items():
        assert all(type(k.component) is kind for k in knob(page, key))
    (layers,), (noise,) = knob(page, "layers"), knob(page, "noise")
    assert "before the start" in str(layers.component.info)
    assert noise.component.info is None


def test_every_choice_of_every_switch_is_said_in_both_languages_and_keeps_its_value(page):
    for switch in {s for name in registry.names() for s in train_form.own_switches(registry.spec(name))}:
        for value in switch.choices:
            assert all(f"train.choice.{value}" in locale.table(code) for code in locale.LANGUAGES), value
        spoken = train_form.choices_of(switch)
        assert [value for _, value in spoken] == list(switch.choices)
        assert not any(isinstance(word, str) for word, _ in spoken), "the browser translates them"
    for key in ("decay", "players"):
        for one in knob(page, key):
            assert [value for _, value in one.component.choices] == list(one.switch.choices)
    other = Switch("made", Words("Made", "造"), "here", choices=("here",))
    assert train_form.choices_of(other) == [("here", "here")], "a new model needs no file but its own"


def test_the_request_holds_what_differs_from_the_model(page):
    request, pace = page.form.request(page.values(model="switched", noise=0.5, layers=True, pace=2))
    assert request.switches == {"noise": 0.5, "layers": True} and pace == 2.0
    assert page.form.request(page.values(lr=0.5))[0].recipe.lr == 0.5
    assert page.form.request(page.values(noise=0.9))[0].switches == {}  # not a switch of this model


@pytest.mark.parametrize("name", ["num_steps", "batch_size", "lr"])
def test_an_emptied_field_is_refused_and_is_not_the_recipes(page, name):
    with pytest.raises(InvalidInput, match="must be a .* got nothing"):
        page.form.request(page.values(**{name: None}))
    with pytest.raises(gr.Error, match="不能|必须"):
        page.start(asked("empty", "zh"), **{name: None})


def test_a_switch_is_turned_by_apply_and_what_must_wait_is_said(page, running, monkeypatch):
    said = []
    monkeypatch.setattr(gr, "Info", lambda text, **options: said.append(text))
    apply = page.own["apply"]
    apply(asked("z"), running, *page.values(model="switched", noise=0.5, layers=True))
    deadline = time.monotonic() + 20
    while not (view := jobs.worker().view(running)).changes:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert view.changes[-1][1] == {"noise": 0.5} and view.switches["layers"] is False
    assert len(said) == 1 and "Layers" in said[0]
    apply(asked("z"), running, *page.values(model="switched", noise=0.5))
    assert "already" in said[1]
    with pytest.raises(gr.Error, match="choose that model"):
        apply(asked("z"), running, *page.values(model="tiny"))


def test_who_learns_is_turned_at_once_and_only_in_a_training_of_that_model(page, running):
    page.own["players"](asked("z"), running, *page.values(model="switched", players="generator"))
    assert jobs.worker().view(running).switches["players"] == "generator"
    page.own["players"](asked("z"), running, *page.values(model="tiny", players="both"))
    assert jobs.worker().view(running).switches["players"] == "generator"
    page.own["players"](asked("z"), "no such job", *page.values(model="switched", players="both"))


def test_slow_motion_is_taken_along_and_changed(page):
    job_id = page.start(asked("y"), model="switched", num_steps=100_000, pace=5)
    assert jobs.worker().view(job_id).pace == 5.0
    train_actions.slow_down(job_id, 0, asked("y"))
    assert jobs.worker().view(job_id).pace == 0.0
    train_actions.stop(job_id, asked("y"))
    settle(job_id, *FINAL)
    train_actions.slow_down(job_id, 1, asked("y"))  # nothing is left to slow down


def test_advice_is_taken_in_the_training_and_in_the_form(page, running, monkeypatch, switched):
    advice = Advice("diverged", "bad", (), {"noise": 0.2, "layers": True}, {})
    monkeypatch.setattr(coach, "advise", lambda *given: (advice,))
    deadline = time.monotonic() + 20
    while not train_coach.advices(jobs.worker().view(running)):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    take = page.own["advise"]
    updates = take(asked("z"), SimpleNamespace(advice="diverged"), running, "switched")
    values = [u.get("value") for u in updates]
    assert jobs.worker().view(running).switches["noise"] == 0.2
    assert [k.switch.key for k, v in zip(page.form.knobs, values, strict=True) if v is not None] == [
        k.switch.key for k in page.form.knobs if k.switch.key in advice.changes
    ]
    assert all(u == gr.skip() for u in take(asked("z"), SimpleNamespace(advice="diverged"), running, "tiny"))
    with pytest.raises(gr.Error, match="no longer gives"):
        take(asked("z"), SimpleNamespace(advice="gone"), running, "switched")


def test_a_page_that_comes_back_finds_its_form(page, running, switched):
    jobs.worker().change(running, {"noise": 0.7})
    train_actions.slow_down(running, 2, asked("w"))
    updates = page.own["recall"](asked("w"), running)
    sent = dict(zip([*page.form.fields, *range(len(page.form.knobs)), "slow", "late"], updates, strict=True))
    assert sent["model"] == "switched" and sent["num_steps"] == 100_000 and sent["slow"]["visible"]
    (place,) = [n for n, k in enumerate(page.form.knobs) if k.switch.key == "noise"]
    assert sent[place]["value"] == 0.7 and sent["pace"] == 2.0


def test_the_nearest_training_pictures_of_all_samples_are_shown(running):
    deadline = time.monotonic() + 20
    while not jobs.worker().view(running).moments:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert len(re.findall("<img", train_actions.neighbours(running, asked("z")))) == 32
    one = train_actions.neighbours_of(running, SimpleNamespace(sample=3), asked("z"))
    assert len(re.findall("<img", one)) == 1 + train_actions.NUM_CLOSEST
    for wrong in (None, -1, 16, "3", 1.5):
        refused(
            lambda wrong=wrong: train_actions.neighbours_of(
                running, SimpleNamespace(sample=wrong), asked("z")
            )
        )
