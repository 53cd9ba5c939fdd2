"""Compare and Sample without a browser: results, missing models, stopping, fairness, restoring."""

import base64
import json
import re
import threading
import time

import gradio as gr
import pytest
import torch
from app_helpers import NAMES, QUICK, asked, last_race, pictures, refused

import app
from playground import figures, judge, registry, validation, weights
from playground.spec import Samples, SampleStep
from playground.tabs import about, common, compare, film, sample


@pytest.fixture(autouse=True)
def few_real_pictures(monkeypatch):
    """The classifier compares with fewer real pictures: what it says is tested elsewhere."""
    monkeypatch.setattr(judge, "NUM_QUICK", 100)


# Compare


def test_race_ends_done_with_speeds_and_same_seed_same_pictures(untrained):
    updates = list(compare.run_race(QUICK, 3, "any", 2, asked()))
    cards = [cards for cards, _ in updates if isinstance(cards, str)]
    summaries = [below for _, below in updates if isinstance(below, str)]
    assert (
        "pg-chip pg-running" in cards[0] and "pg-chip pg-done" in cards[-1] and len(pictures(cards[-1])) == 2
    )
    assert summaries[-1].count("<tr>") == 3 and "4.0×" in summaries[-1] and "10,000" in summaries[-1]
    assert pictures(cards[-1]) == pictures(last_race(QUICK)[-1])
    assert pictures(cards[-1]) != pictures(last_race(QUICK, seed=4)[-1])


def test_race_goes_on_without_the_models_that_cannot(untrained_folder, tmp_path, monkeypatch):
    for name in QUICK:
        (tmp_path / name).mkdir()
        for path in (untrained_folder / name).iterdir():
            (tmp_path / name / path.name).write_bytes(path.read_bytes())
    damaged = tmp_path / QUICK[1] / "model.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\7")
    monkeypatch.setenv("PLAYGROUND_PRETRAINED", str(tmp_path))
    registry.unload()
    missing = next(name for name in NAMES if name not in QUICK)
    last = last_race([*QUICK, missing])[-1]
    assert "pg-chip pg-done" in last and len(pictures(last)) == 1
    assert "damaged" in last and f"pretrain {missing}" in last
    registry.unload()


def test_models_without_a_class_say_so(untrained):
    plain = next(name for name in NAMES if not registry.spec(name).conditional)
    lanes = compare.lanes_of([plain, next(n for n in NAMES if registry.spec(n).conditional)], 3)
    assert len(lanes[0].notes) == 1 and not lanes[1].notes


def test_nothing_shipped_breaks_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_PRETRAINED", str(tmp_path))
    registry.unload()
    assert len(app.build().blocks) > 20
    last = last_race(NAMES[:2])[-1]
    assert last.count("python -m playground pretrain") >= 2
    assert not any(m["shipped"] for m in compare.models())
    refused(lambda: common.guarded(sample.sample)(NAMES[0], request=asked()))


def test_compare_endpoint_agrees_with_the_page(untrained):
    found = compare.compare(QUICK, 3, "any", 2, asked())
    shown = pictures(last_race(QUICK)[-1])
    assert [m["png"] for m in found["models"]] == shown
    assert all(m["done"] and m["nfe"] >= 1 and m["milliseconds_per_image"] > 0 for m in found["models"])
    json.dumps(found)


def test_models_endpoint_lists_what_a_program_needs(untrained):
    listed = compare.models()
    assert [m["name"] for m in listed if m["published"] is None] == NAMES + registry.names("Translates")
    published = [m for m in listed if m["published"] is not None]
    assert [m["name"] for m in published] == registry.published("Samples") + registry.published("Translates")
    assert all(m["published"]["megabytes"] > 1 and m["published"]["licence"] for m in published)
    for entry in listed:
        defaults = {c["key"]: c["default"] for c in entry["controls"]}
        assert validation.controls(registry.spec(entry["name"]), defaults) == defaults
    json.dumps(listed)


# Stopping and fairness


class Endless(Samples):
    """Counts its steps and never hurries."""

    def __init__(self):
        self.steps, self.begun = 0, threading.Event()

    def sample(self, num, *, labels=None, generator, **controls):
        for step in range(1, 100_001):
            self.steps = step
            self.begun.set()
            time.sleep(0.005)
            yield SampleStep(step, 100_000, torch.zeros(num, 1, 4, 4), step)


@pytest.mark.parametrize("tab", ["compare", "sample"])
def test_stop_acts_within_one_step(tab, monkeypatch, untrained):
    model, updates = Endless(), []
    monkeypatch.setattr(common, "obtain", lambda name, owner: model)
    runs = {
        "compare": lambda: compare.run_race(QUICK, 0, "any", 1, asked()),
        "sample": lambda: sample.run_sample(QUICK[0], 0, "any", 1, {}, "test"),
    }
    thread = threading.Thread(target=lambda: updates.extend(runs[tab]()))
    thread.start()
    assert model.begun.wait(10)
    time.sleep(0.3)
    {"compare": compare.stop_race, "sample": sample.stop_sample}[tab](asked())
    before = model.steps
    thread.join(5)
    assert not thread.is_alive() and model.steps <= before + 1
    final = str(updates[-1] if tab == "sample" else [u for u, _ in updates if isinstance(u, str)][-1])
    assert "pg-stopped" in final and "pg-chip pg-done" not in final


def test_a_superseded_race_draws_no_more(untrained):
    old = compare.run_race(QUICK, 0, "any", 1, asked())
    next(old)
    assert last_race(QUICK)[-1].count("pg-chip pg-done") == 1
    assert list(old) == [(gr.skip(), gr.skip())]


def test_throttle_lets_a_bounded_number_through():
    throttle, started, passed = common.Throttle(50), time.perf_counter(), 0
    while time.perf_counter() - started < 0.3:
        passed += throttle.due()
    assert 2 <= passed <= 16


# Sample


def drawn(name, **changes):
    request = {"seed": 5, "label": "any", "num": 2, "controls": {}} | changes
    return list(
        sample.run_sample(
            name, request["seed"], request["label"], request["num"], request["controls"], "test"
        )
    )


def test_sample_is_restored_from_its_png(untrained):
    name = next(n for n in NAMES if registry.spec(n).conditional and registry.spec(n).preview)
    spec = registry.spec(name)
    final = drawn(name, label="3", controls=dict(spec.preview))[-1]
    links = re.findall(r'href="(data:[^"]+)" download="([^"]+)"', final)
    assert {filename.rpartition(".")[2] for _, filename in links} == {"png", "gif"}
    content = base64.b64decode(links[0][0].split(",")[1])
    found = sample.read_upload(content)
    assert found["spec"] == spec and found["seed"] == 5 and found["label"] == 3 and found["n"] == 2
    assert found["controls"] == validation.controls(spec, dict(spec.preview))
    embedded = figures.read_request(content)
    assert embedded["weights_sha256"] == registry.card(name)["sha256"] and "torch" in embedded["versions"]


def test_a_request_from_outside_is_checked(untrained):
    image = figures.grid(torch.zeros(1, 1, 4, 4))
    good = {"model": QUICK[0], "seed": 0, "label": None, "n": 1, "controls": {}}
    assert sample.read_upload(figures.png_with_request(image, good))["spec"].name == QUICK[0]
    for change in (
        {"model": "../x"}, {"model": None}, {"seed": -1}, {"seed": "0"}, {"n": 10**9}, {"controls": {"x": 1}},
        {"controls": 3}, {"label": 11}, {"label": [1]},
    ):  # fmt: skip
        with pytest.raises(validation.InvalidInput):
            sample.read_upload(figures.png_with_request(image, good | change))


def test_sample_endpoint_embeds_its_request(untrained):
    found = sample.sample(QUICK[0], 5, "any", 2, None, asked())
    assert figures.read_request(base64.b64decode(found["png"].split(",")[1])) == found["request"]
    assert found["png"] == sample.sample(QUICK[0], 5, "any", 2, None, asked())["png"]
    assert found["done"] and found["nfe"] >= 1


@pytest.mark.parametrize("num_steps", [1, 2, 7, 24, 25, 50, 784, 1000])
@pytest.mark.parametrize("num", [16, 64])
def test_film_is_short_and_ends_with_the_end(num_steps, num):
    kept = film.Film(num)
    for step in range(1, num_steps + 1):
        kept.add(SampleStep(step, num_steps, torch.zeros(1, 1, 2, 2), step))
    steps = [step for step, _ in kept.frames]
    assert (
        len(steps) <= film.MAX_FRAMES
        and steps[0] == 1
        and steps[-1] == num_steps
        and steps == sorted(set(steps))
    )
    assert len(steps) >= min(num_steps, kept.limit) - 1


def test_texts_of_every_model_are_in_both_languages():
    for name in NAMES:
        spec = registry.spec(name)
        text = about.text([spec])
        assert 'lang="en"' in text and 'lang="zh"' in text and "$$" in text
        assert text.count(f"(https://arxiv.org/abs/{spec.paper})") == (2 if spec.paper else 0)
        assert spec.paper or ("arxiv.org" not in text and text.count(spec.citation) == 2)


def test_damaged_weights_are_one_sentence(untrained, monkeypatch):
    def fails(name):
        raise weights.WeightsError("errors.weights_damaged", name="x", path="y")

    monkeypatch.setattr(registry, "load", fails)
    refused(lambda: list(common.guarded(sample.run_sample)(QUICK[0], 0, "any", 1, {}, "test")))
