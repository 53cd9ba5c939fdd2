"""Streaming handlers that fail on their way: the panel says so, and is not left computing for good."""

import ast
import json
from pathlib import Path

import gradio as gr
import pytest
import torch
from app_helpers import QUICK, asked
from PIL import Image

from playground import figures, flowing, hub, registry
from playground.spec import SampleStep
from playground.tabs import (
    common,
    compare,
    likelihood_anomaly,
    likelihood_families,
    likelihood_flow,
    likelihood_pixels,
    likelihood_vae,
    pieces,
    pixels_complete,
    sample,
    translate_published,
    words_between,
    words_draw,
)
from playground.validation import InvalidInput

WORDS = registry.names("FollowsWords")[0]
PIXELS = next(n for n in registry.names("PredictsPixels") if registry.spec(n).levels == 2)
POSTERIOR, FLOW = registry.names("HasPosterior")[0], registry.names("Flows")[0]
ELSEWHERE = registry.published("Samples")[0]
PHOTOGRAPH = figures.png(Image.new("RGB", (9, 9)))
WAY = next(iter(translate_published.offered()))
# What reaches the page and then finds no model.
WITHOUT_A_MODEL = {
    "words": lambda: words_draw.draw(asked(), WORDS, "red cat", "Noto", 2.0, 3, 1, ""),
    "words between": lambda: words_between.walk(asked(), WORDS, "red cat", "house", 3, "any", 2.0, 2, 0),
    "completions": lambda: pixels_complete.fill(PIXELS, "test:3", "lower", "any", 2, 1.0, 0, asked()),
    "published": lambda: translate_published.show(WAY, PHOTOGRAPH, asked()),
    "sample": lambda: common.guarded(sample.run_sample)(QUICK[0], 0, "any", 1, {}, "test"),
    "compare": lambda: compare.run_race(QUICK, 0, "any", 1, asked()),
    "families": lambda: likelihood_families.run_families("test:0", [POSTERIOR], 0, asked()),
    "anomaly": lambda: likelihood_anomaly.run_anomaly([POSTERIOR], 10, asked()),
}
BOARDS = ("compare", "families", "anomaly")
# What fails later, in the midst of its work.
IN_THE_MIDST = {
    "pixels": lambda: likelihood_pixels.write(PIXELS, "7", 1.0, 0, asked()),
    "posterior": lambda: likelihood_vae.measure(POSTERIOR, "any", "test:0", asked()),
    "flow": lambda: likelihood_flow.draw(FLOW, 0, asked()),
    "compare": lambda: compare.run_race(QUICK, 0, "any", 1, asked()),
}


def told(stream):
    """Everything a stream sends before the sentence that it must end with."""
    sent = []
    with pytest.raises(gr.Error):
        for value in stream:
            sent.append(value if isinstance(value, str) else value[0])
    return sent


def computes(sent):
    """Whether a panel shows that it computes."""
    return "pg-running" in sent or "pg-loading" in sent


@pytest.mark.parametrize("name", WITHOUT_A_MODEL)
def test_a_panel_without_a_model_is_not_left_computing(name, untrained, monkeypatch):
    def obtain(*_):
        raise MemoryError if name in BOARDS else InvalidInput("latent.was_stopped")  # others go on without

    monkeypatch.setattr(common, "obtain", obtain)
    monkeypatch.setattr(hub, "fetch", lambda spec: iter([0.5]))
    sent = told(WITHOUT_A_MODEL[name]())
    assert computes(sent[0]) and not computes(sent[-1]), sent[-1][:200]


@pytest.mark.parametrize("name", ["published", "sample"])
def test_what_was_shown_of_a_download_that_fails_is_taken_back(name, monkeypatch):
    def fetch(spec):
        yield 0.5
        raise hub.HubError("errors.hub_forbidden", model=spec.title)

    monkeypatch.setattr(hub, "fetch", fetch)
    draw = common.guarded(sample.run_sample)
    streams = WITHOUT_A_MODEL | {"sample": lambda: draw(ELSEWHERE, 0, "any", 1, {}, "test")}
    sent = told(streams[name]())
    assert len(sent) == 2 and computes(sent[0]) and not computes(sent[1])


class Failing:
    """A model that breaks down after its first step."""

    decode_nfe = 1

    def sample(self, num, **rest):
        yield SampleStep(1, 784, torch.zeros(num, 1, 28, 28), 1)
        raise MemoryError


@pytest.mark.parametrize("name", IN_THE_MIDST)
def test_a_panel_that_fails_in_the_midst_is_not_left_computing(name, untrained, monkeypatch):
    def fails(*_):
        yield 0.5, torch.zeros(2, 1, 28, 28)
        raise MemoryError

    obtain, model = common.obtain, Failing()
    monkeypatch.setattr(common, "obtain", lambda *a: obtain(*a) if name == "posterior" else model)
    monkeypatch.setattr(compare.race, "rehearse", lambda *_: None)
    monkeypatch.setattr(flowing, "by_temperature", fails)
    monkeypatch.setattr(likelihood_vae, "weigh", lambda *_: (one for _, one in fails()))
    sent = told(IN_THE_MIDST[name]())
    assert computes(sent[0]) and not computes(sent[-1]), sent[-1][:200]


def test_a_handler_that_fails_at_once_sends_nothing():
    @pieces.settled
    def fails(after):
        for share in range(after):
            yield pieces.busy(share / 10)
        raise ValueError("no weights")

    for after, sent in ((0, []), (2, [True, True, False])):
        stream, got = fails(after), []
        with pytest.raises(ValueError, match="no weights"):
            for value in stream:
                got.append(json.loads(value)["busy"])
        assert got == sent


def test_no_streaming_handler_is_forgotten():
    for path in Path(common.__file__).parent.glob("*.py"):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            by = [ast.unparse(decorator) for decorator in function.decorator_list]
            streams = any(isinstance(node, ast.Yield) for node in ast.walk(function))
            if streams and "common.guarded" in by:
                assert any("settl" in one for one in by), f"{path.name}: {function.name}"
