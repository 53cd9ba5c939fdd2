"""The Train tab without a browser: requests, watching, pausing, files, replay, endpoint, refusals."""

import asyncio
import hashlib
import json
import math
import time
from types import SimpleNamespace

import gradio as gr
import pytest
import torch
from app_helpers import awaited
from safetensors.torch import load_file
from tiny import RECIPE, SPEC

from playground import data, jobs, locale, registry, replay, training, weights
from playground.data import Images
from playground.job import FINAL, Request
from playground.tabs import common, train, train_actions, train_form, train_request, train_watch
from playground.validation import InvalidInput

HOSTILE = [
    None, True, False, math.nan, math.inf, -math.inf, -1, 1.5, 0, 1e308, 2**64, 10**5000, "", " ", "12",
    "nan", "../../etc/passwd", "mnist\0", "x" * 10_000, "<script>", "{model}", "\ud800", [], [1], {},
    {"a": 1}, b"x", object(),
]  # fmt: skip
IDS = [f"{type(v).__name__}-{n}" for n, v in enumerate(HOSTILE)]
CHECKED = ("tiny", "mnist", 3, 5, 0, 0.01, 8)  # what `train_request.check` takes


@pytest.fixture(autouse=True)
def small_world(monkeypatch):
    """One tiny model among the others, and tiny pictures in place of every data set."""
    pixels = torch.randint(
        0, 256, (64, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    images = Images("mnist", pixels, torch.zeros(64, dtype=torch.int64), ("square",))
    monkeypatch.setattr(data, "load", lambda name, split="train": images)
    monkeypatch.setitem(registry._specs(), "tiny", SPEC)
    monkeypatch.setenv("PLAYGROUND_DEVICE", "cpu")


def asked(session, language="en"):
    """What gradio hands to a handler."""
    return SimpleNamespace(session_hash=session, headers={"accept-language": language}, cookies={})


@pytest.fixture
def form():
    """The tab's form, and its handlers as attributes; ``form.values(...)`` is what a page sends."""
    with gr.Blocks():
        made = train_form.build(registry.spec("tiny"))
        train_form.build_slow(made, registry.spec("tiny"))
    return Page(made)


class Page:
    def __init__(self, made):
        self.form, self.own = made, train.handlers(made)

    def values(self, **changed):
        """The form with its values, as the page sends them, some of them replaced."""
        sent = {"model": "tiny", "dataset": "mnist", "seed": 3, "num_steps": 5, "minutes": 0, "batch_size": 8}
        sent |= {"pace": 0, "lr": 0.01} | changed
        knobs = [sent.get(knob.switch.key, knob.component.value) for knob in self.form.knobs]
        return [*(sent[name] for name in self.form.fields), *knobs]

    def start(self, request, **changed):
        return self.own["start"](request, *self.values(**changed))

    def one_step(self, job_id, request, **changed):
        return self.own["one_step"](request, job_id, *self.values(**changed))


def settle(job_id, *states):
    """Wait until a job is in one of the states."""
    deadline = time.monotonic() + 20
    while (view := jobs.worker().view(job_id)).state not in states:
        assert time.monotonic() < deadline, view.state
        time.sleep(0.005)
    return view


async def collect(job_id, request, until=lambda updates: False):
    """What a watcher draws; `until` says when the page goes away."""
    updates = []
    watcher = train_watch.watch(job_id, request)
    async for update in watcher:
        updates.append(update)
        if until(updates):
            await watcher.aclose()
            break
    return updates


def test_a_request_keeps_the_recipe_but_for_what_was_asked():
    got = train_request.check("tiny", "fashion_mnist", 7, 20, None, None, 4)
    assert got.dataset == "fashion_mnist" and got.seed == 7 and got.minutes is None
    assert (got.recipe.num_steps, got.recipe.batch_size, got.recipe.lr) == (20, 4, RECIPE.lr)
    assert got.recipe.warmup == 2 and got.recipe.weight_decay == RECIPE.weight_decay
    assert train_request.check("tiny", "mnist", 7, 20, 1.5, None, None).minutes == 1.5
    assert train_request.check("tiny", "mnist", 7, 20, 0, None, None).minutes is None


@pytest.mark.parametrize("place", range(len(CHECKED)))
@pytest.mark.parametrize("value", HOSTILE, ids=IDS)
def test_hostile_values_are_refused_in_one_sentence(value, place):
    given = list(CHECKED)
    given[place] = value
    try:
        got = train_request.check(*given)
    except InvalidInput as error:
        for language in locale.LANGUAGES:
            said = error.sentence(language)
            assert said.isprintable() and 5 < len(said) < 400
        return
    assert isinstance(got, Request) and (value in (None, 0) or isinstance(value, int | float))
    assert 0 <= got.seed < 2**32 and 1 <= got.recipe.batch_size <= train_request.MAX_BATCH
    assert 1 <= got.recipe.num_steps <= train_request.MAX_STEPS and 1e-6 <= got.recipe.lr <= 1
    assert got.minutes is None or 0 < got.minutes <= train_request.MAX_MINUTES


@pytest.mark.parametrize("value", HOSTILE, ids=IDS)
def test_no_handler_breaks_on_a_hostile_job_or_model(value, form):
    guarded = [
        train_actions.pause_or_resume, train_actions.stop, train_actions.replayed, train_actions.neighbours,
    ]  # fmt: skip
    for handler in guarded:
        try:
            handler(value, request=asked("hostile", "zh"))
        except gr.Error as error:
            assert error.message != locale.text("common.unexpected", "zh") and error.message.isprintable()
    train_actions.slow_down(value, value, asked("hostile"))
    with pytest.raises(gr.Error):
        form.one_step(value, asked("hostile"), model=value)
    with pytest.raises(gr.Error):
        form.own["apply"](asked("hostile"), value, *form.values(model=value))
    with pytest.raises(gr.Error):
        list(common.guarded(train.train)(value, request=asked("hostile")))
    event = SimpleNamespace(advice=value)
    with pytest.raises(gr.Error):
        form.own["advise"](asked("hostile"), event, value, value)
    assert len(form.own["choose"](asked("hostile"), value, value)) == 3 + len(form.form.shown)
    assert set(map(str, form.own["recall"](asked("hostile"), value))) == {str(gr.skip())}
    assert [all(v == gr.skip() for v in u) for u in awaited(collect(value, asked("hostile")))] == [True]


def test_start_watch_and_the_end(form):
    job_id = form.start(asked("a"))
    updates = awaited(collect(job_id, asked("a")))
    live, *_, weights_file, card_file = updates[-1]
    film = [update[3] for update in updates if isinstance(update[3], str)][-1]  # skipped while it is the same
    assert 'data-state="done"' in live and "Completed" in live and "已完成" in live and "5 / 5" in live
    assert "data:image/png;base64," in live and "<svg" in live
    reel = json.loads(film)
    assert reel["steps"][-1] == 5 and reel["sprite"].startswith("data:image/png")
    assert weights_file["interactive"] and card_file["interactive"]
    assert not updates[0][4].get("interactive") or len(updates) == 1
    assert ("★ Tiny", "mine:tiny") in common.offered("Samples", "a")
    assert ("★ Tiny", "mine:tiny") not in common.offered("Samples", "someone else")
    assert next(common.obtain("mine:tiny", "a").sample(2, generator=torch.Generator())).x.shape == (
        2,
        1,
        4,
        4,
    )


def test_stopped_never_says_completed(form):
    job_id = form.start(asked("b"), num_steps=100_000)
    settle(job_id, "running")
    while jobs.worker().view(job_id).event is None:
        time.sleep(0.005)
    train_actions.stop(job_id, request=asked("b"))
    settle(job_id, "stopped")
    live = awaited(collect(job_id, asked("b")))[-1][0]
    assert "Stopped" in live and "Completed" not in live and "已完成" not in live


def test_one_session_one_training_and_what_is_said_about_it(form):
    job_id = form.start(asked("c"), num_steps=100_000)
    with pytest.raises(gr.Error, match="Tiny"):
        form.start(asked("c"))
    with pytest.raises(gr.Error, match="请先停止"):
        form.start(asked("c", "zh"))
    train_actions.stop(job_id, request=asked("c"))
    settle(job_id, "stopped")


def test_pause_resume_and_single_steps(form):
    request = asked("d")
    job_id = form.one_step("", request)
    assert settle(job_id, "paused").event.step == 1
    assert form.one_step(job_id, request) == job_id
    assert settle(job_id, "paused").event is not None
    train_actions.pause_or_resume(job_id, request=request)
    assert settle(job_id, "done").event.step == 5
    again = form.one_step(job_id, request)
    assert again != job_id and settle(again, "paused").event.step == 1
    train_actions.stop(again, request=request)


def test_a_reloaded_page_attaches_again(form):
    job_id = form.start(asked("old"), num_steps=100_000)
    first = awaited(collect(job_id, asked("old"), until=lambda updates: len(updates) == 2))
    assert 'data-state="running"' in first[-1][0]
    back = awaited(collect(job_id, asked("new"), until=lambda updates: len(updates) == 2))
    assert 'data-state="running"' in back[-1][0]
    train_actions.stop(job_id, request=asked("new"))
    settle(job_id, "stopped")
    assert ("★ Tiny", "mine:tiny") in common.offered("Samples", "new")


def test_the_newest_watcher_of_a_page_ends_the_others(form):
    async def both():
        job_id = form.start(asked("e"), num_steps=100_000)
        older = asyncio.create_task(collect(job_id, asked("e")))
        await asyncio.sleep(0.3)
        # a page that is still loading when its training has been started already watches nothing yet
        assert await collect("", asked("e")) == [(gr.skip(),) * train_watch.NUM_OUTPUTS]
        await asyncio.sleep(0.3)
        assert not older.done()
        newer = asyncio.create_task(collect(job_id, asked("e")))
        # gradio sends what came last once more: it must not be the panel, which the newer one draws now
        assert all(part == gr.skip() for part in (await asyncio.wait_for(older, 10))[-1])
        assert not newer.done()
        train_actions.stop(job_id, request=asked("e"))
        return (await asyncio.wait_for(newer, 20))[-1]

    assert 'data-state="stopped"' in awaited(both())[0]
    assert not train_watch._WATCHER


def test_updates_are_few_and_light(form):
    job_id = form.start(asked("f"), num_steps=100_000)
    start = time.monotonic()
    updates = awaited(collect(job_id, asked("f"), until=lambda _: time.monotonic() - start > 3))
    train_actions.stop(job_id, request=asked("f"))
    rate = len(updates) / (time.monotonic() - start)
    assert rate <= common.UPDATES_PER_SECOND + 1
    assert max(len(live) for live, *_ in updates if isinstance(live, str)) < 30_000
    for part, most in ((1, 3), (2, 5), (3, 3)):  # coach, small multiples, film
        assert sum(update[part] != gr.skip() for update in updates) <= most


def test_the_files_are_the_model(form):
    job_id = form.start(asked("g"))
    settle(job_id, *FINAL)
    weights_path, card_path = train_request.files(job_id)
    card = json.loads(card_path.read_text())
    assert hashlib.sha256(weights_path.read_bytes()).hexdigest() == card["sha256"]
    assert card["num_steps"] == 5 and card["seed"] == 3 and card["recipe"]["batch_size"] == 8
    fresh = SPEC.build(9)
    fresh.load_state_dict(load_file(weights_path))
    mine = common.obtain("mine:tiny", "g")
    pictures = [next(m.eval().sample(2, generator=torch.Generator().manual_seed(1))).x for m in (fresh, mine)]
    assert torch.equal(*pictures)


def test_the_shipped_training_is_replayed_and_its_absence_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_PRETRAINED", str(tmp_path))
    with pytest.raises(gr.Error, match="replay"):
        train_actions.replayed("tiny", asked("h"))
    run = training.Training(SPEC, data.load("mnist"), RECIPE)
    recorder = replay.Recorder()
    for event in training.train(run, preview="moments"):
        recorder.record(event)
    card = {"name": "tiny", "title": "Tiny", "family": "vae", "summary": "", "licence": "", "source": ""}
    weights.save(
        "tiny", run.model.state_dict(), card | {"num_steps": 12, "training_minutes": 61.5, "device": "x<y"}
    )
    recorder.write("tiny")
    film = json.loads(train_actions.replayed("tiny", asked("h")))
    assert film["play"] and film["steps"] == sorted(film["steps"]) and film["end"] == 12
    assert "<svg" in film["curves"] and "61.5" in film["about"] and "x&lt;y" in film["about"]


def test_the_endpoint_streams_and_leaves_a_usable_model():
    reports = list(common.guarded(train.train)("tiny", "mnist", 3, 8, None, 4, {"decay": "none"}, asked("i")))
    assert json.loads(json.dumps(reports[-1])) == reports[-1]
    last = reports[-1]
    assert last["state"] == "done" and last["step"] == last["num_steps"] == 8 and last["message"] is None
    assert set(last["losses"]) == {"loss"} and last["samples"].startswith("data:image/png")
    assert last["switches"]["decay"] == "none" and last["class_entropy"] is None
    assert last["changes"] == [{"step": 0, "values": {"decay": "none"}}]
    assert common.obtain("mine:tiny", "i") is not None


def test_who_stops_listening_to_the_endpoint_stops_the_training():
    stream = common.guarded(train.train)("tiny", "mnist", 3, 2000, None, 4, None, asked("j"))
    next(stream)
    stream.close()
    replaced = list(common.guarded(train.train)("tiny", "mnist", 3, 2, None, 4, None, asked("j")))
    assert replaced[-1]["state"] == "done"
