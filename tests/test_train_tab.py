"""The Train tab without a browser: requests, watching, pausing, files, replay, endpoint, refusals."""

import asyncio
import hashlib
import json
import math
import re
import time
from types import SimpleNamespace

import gradio as gr
import pytest
import torch
from safetensors.torch import load_file
from tiny import RECIPE, SPEC

from playground import data, job, jobs, locale, registry, replay, training, weights
from playground.data import Images
from playground.job import FINAL, JobView, Request
from playground.tabs import common, train, train_panel, train_request
from playground.validation import InvalidInput, Term

HOSTILE = [
    None, True, False, math.nan, math.inf, -math.inf, -1, 1.5, 0, 1e308, 2**64, 10**5000, "", " ", "12",
    "nan", "../../etc/passwd", "mnist\0", "x" * 10_000, "<script>", "{model}", "\ud800", [], [1], {},
    {"a": 1}, b"x", object(),
]  # fmt: skip
IDS = [f"{type(v).__name__}-{n}" for n, v in enumerate(HOSTILE)]
FORM = ("tiny", "mnist", 3, 5, 0, 0.01, 8)


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
    watcher = train.watch(job_id, request)
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


@pytest.mark.parametrize("place", range(len(FORM)))
@pytest.mark.parametrize("value", HOSTILE, ids=IDS)
def test_hostile_values_are_refused_in_one_sentence(value, place):
    form = list(FORM)
    form[place] = value
    try:
        got = train_request.check(*form)
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
def test_no_handler_breaks_on_a_hostile_job_or_model(value):
    for handler in (train.pause_or_resume, train.stop, train.replayed):
        try:
            handler(value, request=asked("hostile", "zh"))
        except gr.Error as error:
            assert error.message != locale.text("common.unexpected", "zh") and error.message.isprintable()
    with pytest.raises(gr.Error):
        train.one_step(value, value, value, value, value, value, value, value, asked("hostile"))
    with pytest.raises(gr.Error):
        list(common.guarded(train.train)(value, request=asked("hostile")))
    assert len(train.chosen(value)) == 3
    assert [all(v == gr.skip() for v in u) for u in asyncio.run(collect(value, asked("hostile")))] == [True]


def test_start_watch_and_the_end():
    job_id = train.start(*FORM, request=asked("a"))
    updates = asyncio.run(collect(job_id, asked("a")))
    live, _, weights_file, card_file = updates[-1]
    film = [update[1] for update in updates if isinstance(update[1], str)][-1]  # skipped while it is the same
    assert 'data-state="done"' in live and "Completed" in live and "已完成" in live and "5 / 5" in live
    assert "data:image/png;base64," in live and "<svg" in live
    reel = json.loads(film)
    assert reel["steps"][-1] == 5 and reel["sprite"].startswith("data:image/png")
    assert weights_file["interactive"] and card_file["interactive"]
    assert not updates[0][2].get("interactive") or len(updates) == 1
    assert ("★ Tiny", "mine:tiny") in common.offered("Samples", "a")
    assert ("★ Tiny", "mine:tiny") not in common.offered("Samples", "someone else")
    assert next(common.obtain("mine:tiny", "a").sample(2, generator=torch.Generator())).x.shape == (
        2,
        1,
        4,
        4,
    )


def test_stopped_never_says_completed():
    job_id = train.start("tiny", "mnist", 3, 100_000, 0, 0.01, 8, request=asked("b"))
    settle(job_id, "running")
    while jobs.worker().view(job_id).event is None:
        time.sleep(0.005)
    train.stop(job_id, request=asked("b"))
    settle(job_id, "stopped")
    live = asyncio.run(collect(job_id, asked("b")))[-1][0]
    assert "Stopped" in live and "Completed" not in live and "已完成" not in live


def test_one_session_one_training_and_what_is_said_about_it():
    job_id = train.start("tiny", "mnist", 3, 100_000, 0, 0.01, 8, request=asked("c"))
    with pytest.raises(gr.Error, match="Tiny"):
        train.start(*FORM, request=asked("c"))
    with pytest.raises(gr.Error, match="请先停止"):
        train.start(*FORM, request=asked("c", "zh"))
    train.stop(job_id, request=asked("c"))
    settle(job_id, "stopped")


def test_pause_resume_and_single_steps():
    request = asked("d")
    job_id = train.one_step("", *FORM, request=request)
    assert settle(job_id, "paused").event.step == 1
    assert train.one_step(job_id, *FORM, request=request) == job_id
    assert settle(job_id, "paused").event is not None
    train.pause_or_resume(job_id, request=request)
    assert settle(job_id, "done").event.step == 5
    again = train.one_step(job_id, *FORM, request=request)
    assert again != job_id and settle(again, "paused").event.step == 1
    train.stop(again, request=request)


def test_a_reloaded_page_attaches_again():
    job_id = train.start("tiny", "mnist", 3, 100_000, 0, 0.01, 8, request=asked("old"))
    first = asyncio.run(collect(job_id, asked("old"), until=lambda updates: len(updates) == 2))
    assert 'data-state="running"' in first[-1][0]
    back = asyncio.run(collect(job_id, asked("new"), until=lambda updates: len(updates) == 2))
    assert 'data-state="running"' in back[-1][0]
    train.stop(job_id, request=asked("new"))
    settle(job_id, "stopped")
    assert ("★ Tiny", "mine:tiny") in common.offered("Samples", "new")


def test_the_newest_watcher_of_a_page_ends_the_others():
    async def both():
        job_id = train.start("tiny", "mnist", 3, 100_000, 0, 0.01, 8, request=asked("e"))
        older = asyncio.create_task(collect(job_id, asked("e")))
        await asyncio.sleep(0.3)
        newer = asyncio.create_task(collect(job_id, asked("e")))
        await asyncio.wait_for(older, 10)
        assert not newer.done()
        train.stop(job_id, request=asked("e"))
        return (await asyncio.wait_for(newer, 20))[-1]

    assert 'data-state="stopped"' in asyncio.run(both())[0]
    assert not train._WATCHER


def test_updates_are_few_and_light():
    job_id = train.start("tiny", "mnist", 3, 100_000, 0, 0.01, 8, request=asked("f"))
    start = time.monotonic()
    updates = asyncio.run(collect(job_id, asked("f"), until=lambda _: time.monotonic() - start > 3))
    train.stop(job_id, request=asked("f"))
    rate = len(updates) / (time.monotonic() - start)
    assert rate <= common.UPDATES_PER_SECOND + 1
    assert max(len(live) for live, *_ in updates) < 30_000
    assert sum(film != gr.skip() for _, film, *_ in updates) <= 3


def test_the_files_are_the_model():
    job_id = train.start(*FORM, request=asked("g"))
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
        train.replayed("tiny", asked("h"))
    run = training.Training(SPEC, data.load("mnist"), RECIPE)
    recorder = replay.Recorder()
    for event in training.train(run, preview="moments"):
        recorder.record(event)
    card = {"name": "tiny", "title": "Tiny", "family": "vae", "summary": "", "licence": "", "source": ""}
    weights.save(
        "tiny", run.model.state_dict(), card | {"num_steps": 12, "training_minutes": 61.5, "device": "x<y"}
    )
    recorder.write("tiny")
    film = json.loads(train.replayed("tiny", asked("h")))
    assert film["play"] and film["steps"] == sorted(film["steps"]) and film["end"] == 12
    assert "<svg" in film["curves"] and "61.5" in film["about"] and "x&lt;y" in film["about"]


def test_the_endpoint_streams_and_leaves_a_usable_model():
    reports = list(common.guarded(train.train)("tiny", "mnist", 3, 8, None, 4, asked("i")))
    assert json.loads(json.dumps(reports[-1])) == reports[-1]
    last = reports[-1]
    assert last["state"] == "done" and last["step"] == last["num_steps"] == 8 and last["message"] is None
    assert set(last["losses"]) == {"loss"} and last["samples"].startswith("data:image/png")
    assert common.obtain("mine:tiny", "i") is not None


def test_who_stops_listening_to_the_endpoint_stops_the_training():
    stream = common.guarded(train.train)("tiny", "mnist", 3, 2000, None, 4, asked("j"))
    next(stream)
    stream.close()
    replaced = list(common.guarded(train.train)("tiny", "mnist", 3, 2, None, 4, asked("j")))
    assert replaced[-1]["state"] == "done"


def view(**changes):
    request = Request(SPEC, "mnist", RECIPE, 3)
    given = {
        "id": "x", "request": request, "state": "running", "position": 0, "event": None, "eta": math.nan,
        "losses": {}, "moments": (), "message": None, "usable": False, "version": 0,
    }  # fmt: skip
    return JobView(**(given | changes))


@pytest.mark.parametrize("said", [
    Term("jobs.diverged", {"step": 7, "lr": "0.1"}), Term("jobs.memory", {"batch_size": 512, "smaller": 256}),
    Term("jobs.broken", {"kind": "KeyError"}), Term("jobs.unwatched"), Term("jobs.memory_model"),
    "Put <it> there.",
])  # fmt: skip
def test_a_failure_is_said_in_both_languages(said):
    html = train_panel.live(view(state="failed", message=said), "")
    assert 'data-state="failed"' in html and "Failed" in html and "失败" in html
    if isinstance(said, str):
        assert "Put &lt;it&gt; there." in html
    else:
        for language in locale.LANGUAGES:
            assert locale.text(said.key, language, **said.params) in html
    assert "<it>" not in html


def test_the_place_in_line_is_shown_and_the_panel_keeps_its_parts():
    queued = train_panel.live(view(state="queued", position=3), "")
    assert "Number 3 in line" in queued and "Waiting" in queued
    parts = [re.findall(r'class="(curves|shot|pg-bar|said)"', html) for html in (queued, train_panel.empty())]
    assert parts[0] == parts[1] == ["curves", "shot", "pg-bar", "said"]


@pytest.mark.parametrize(("seconds", "text"), [
    (0, "0:00"), (59.6, "1:00"), (125, "2:05"), (3725, "1:02:05"), (math.nan, "–"), (math.inf, "–"),
])  # fmt: skip
def test_clock(seconds, text):
    assert train_panel.clock(seconds) == text


def test_the_film_is_bounded_and_keeps_first_and_last():
    film = job.Film()
    for step in range(1, 1001):
        film.add(step, torch.zeros(1, 1, 2, 2))
    steps = [step for step, _ in film.moments()]
    assert len(steps) <= job.MAX_MOMENTS + 1 and steps[0] == 1 and steps[-1] == 1000
    assert steps == sorted(set(steps))
