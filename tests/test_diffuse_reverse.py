"""The Reverse section: frames that are kept, ways side by side, every model that denoises, refusals."""

import itertools
import json
import math
import threading

import pytest
import torch
from app_helpers import asked, opened, refused, updates
from contract_helpers import fresh

from playground import data, judge, registry, reversing
from playground.reversing import Frame, Way
from playground.spec import DenoiseStep
from playground.tabs import common, diffuse_reverse, diffuse_reverse_request

DENOISES, SCORE = registry.names("Denoises"), registry.names("HasScore")[0]
SAMPLERS = reversing.knob(registry.spec(SCORE), "sampler").choices


class Stepper:
    """Goes back in a fixed number of steps without computing anything."""

    def __init__(self, num_timesteps=1000):
        self.num_timesteps = num_timesteps

    def walk(self, num_steps):
        x = torch.zeros(1, 1, 28, 28)
        for i in range(num_steps):
            yield DenoiseStep(round(self.num_timesteps * (1 - i / num_steps)) - 1, x, x, x, i + 1)


def way(num_steps):
    made = Way(Stepper(), torch.zeros(1, 1, 28, 28), None, Stepper().walk(num_steps), num_steps)
    while not made.done:
        made.advance()
    return made


@pytest.mark.parametrize("num_steps", [1, 2, 50, 99, 100, 101, 250, 1000])
def test_a_way_keeps_every_step_up_to_a_hundred_and_of_more_evenly_spread_ones(num_steps):
    made, most = way(num_steps), reversing.MAX_FRAMES
    assert len(made.frames) == num_steps if num_steps <= most else most // 2 < len(made.frames) <= most + 1
    gaps = {earlier.t - later.t for earlier, later in itertools.pairwise(made.frames[:-1])}
    assert max(gaps, default=0) - min(gaps, default=0) <= 1
    assert made.frames[0].t == 999 and made.frames[-1].t == made.last.t
    assert made.nfe == made.num_steps == num_steps and made.share == 1 and made.left == 0


def test_ways_of_different_length_share_one_slider():
    coarse, fine = way(4), way(100)
    moments, places = reversing.aligned([coarse, fine])
    assert len(moments) == len(fine.frames) == len(places[0]) and places[1] == list(range(len(moments)))
    assert places[0] == sorted(places[0]) and places[0][0] == 0 and places[0][-1] == 3
    for moment, place in zip(moments[:-1], places[0][:-1], strict=True):
        assert coarse.frames[place].t / 1000 >= moment


def test_the_class_is_decided_where_it_stays():
    def seen(classes):
        return torch.nn.functional.one_hot(torch.tensor(classes), 10).float()

    assert reversing.decided(seen([1, 2, 3, 3, 3])) == 2
    assert reversing.decided(seen([3, 2, 3])) == 2
    assert reversing.decided(seen([3, 3])) == 0


def reverse(name, **changes):
    spec = registry.spec(name)
    values = {"label": "any", "seed": 3, "first": None, "second": None, "steps": 3, "steps_b": 2,
              "guidance": 1.0, "eta": 0.0} | changes  # fmt: skip
    knob = reversing.knob(spec, "sampler")
    values["first"] = values["first"] or (knob.default if knob else diffuse_reverse.NONE)
    return updates(diffuse_reverse.draw(asked(), name, *values.values()))


@pytest.mark.parametrize("name", DENOISES)
def test_every_model_that_denoises_goes_back(name, untrained):
    found = reverse(name)
    lane = found[-1]["lanes"][0]
    assert found[0]["busy"] and not found[-1]["busy"] and "pg-done" in found[-1]["status"]
    assert len(lane["rows"]) == 3 and len(lane["says"]) == len(found[-1]["marks"]) >= 1
    assert reverse(name)[-1]["lanes"][0]["rows"] == lane["rows"]  # the same seed, the same pictures


def test_all_steps_of_the_default_are_shown_and_the_page_says_when_not(untrained, monkeypatch):
    steps = reversing.knob(registry.spec(SCORE), "num_steps").default
    found = reverse(SCORE, steps=steps)[-1]
    assert len(found["marks"]) == found["lanes"][0]["rows"][0]["frames"] == steps
    assert "steps are shown" not in found["lanes"][0]["facts"] and len(json.dumps(found)) < 400_000
    monkeypatch.setattr(reversing, "MAX_FRAMES", 3)
    found = reverse(SCORE, steps=8)[-1]
    assert len(found["marks"]) == 4 and "4 of 8 steps are shown" in found["lanes"][0]["facts"]


@pytest.mark.parametrize("name", DENOISES)
def test_the_picture_is_the_one_that_sampling_draws(name, untrained):
    spec = registry.spec(name)
    controls = spec.defaults() | ({"num_steps": 3} if reversing.knob(spec, "num_steps") else {})
    label = 4 if spec.conditional else None
    model = registry.load(name)
    made = reversing.start(model, spec, 7, label, controls)
    with torch.no_grad():
        while not made.done:
            made.advance()
        labels = None if label is None else torch.tensor([label])
        *_, last = model.sample(1, labels=labels, generator=torch.Generator().manual_seed(7), **controls)
    torch.testing.assert_close(made.frames[-1].x0_hat, last.x, atol=2e-2, rtol=0)


def test_two_samplers_start_from_the_same_noise_and_labels_are_shown_apart(untrained, monkeypatch):
    monkeypatch.setattr(common, "obtain", lambda name, owner: fresh(name))  # whose weights are not zero
    found = reverse(SCORE, second=SAMPLERS[0], label="5")[-1]
    first, second = found["lanes"]
    assert len(first["rows"]) == 5 and first["title"] != second["title"]
    columns = [opened(lane["rows"][0]["strip"]).crop((0, 0, 28, 28)).tobytes() for lane in (first, second)]
    assert columns[0] == columns[1]
    assert first["rows"][3]["strip"] != first["rows"][4]["strip"]  # with the label and without
    assert len(first["classes"]) > 100


BAD_WAYS = [
    {"steps": 0}, {"steps": 1001}, {"steps": 2.5}, {"steps": None}, {"first": "Runge-Kutta"}, {"first": 3},
    {"second": "DDIM "}, {"seed": -1}, {"label": "12"}, {"guidance": 99}, {"guidance": math.nan},
    {"eta": -0.1}, {"second": SAMPLERS[0], "steps_b": 0},
]  # fmt: skip


@pytest.mark.parametrize("change", BAD_WAYS, ids=str)
def test_bad_ways_get_a_sentence(change, untrained):
    if change == {"steps": None}:
        change = {"steps": "ten"}  # nothing is the default, for programs that leave it out
    refused(lambda: reverse(SCORE, **change))


def test_a_sampler_or_a_number_that_a_model_does_not_have_is_refused(untrained):
    lacking = [n for n in DENOISES if reversing.knob(registry.spec(n), "sampler") is None]
    endpoint = common.guarded(diffuse_reverse.denoise)
    for name in lacking:
        refused(lambda name=name: endpoint(name, sampler="DDIM", request=asked()))
        refused(lambda name=name: endpoint(name, eta=0.5, request=asked()))
    refused(lambda: endpoint(SCORE, sampler="Runge-Kutta", request=asked()))
    refused(lambda: endpoint(registry.names("HasLikelihood")[0], request=asked()))


def test_the_denoise_endpoint_says_what_it_did(untrained):
    found = diffuse_reverse.denoise(SCORE, 3, "4", SAMPLERS[-1], 4, 2.0, None, asked())
    json.dumps(found)
    assert found["t"] == sorted(found["t"], reverse=True) and len(found["classes"]) == len(found["t"]) == 4
    assert found["nfe"] == 14  # Heun: two each but for the last step, and two branches
    assert found["decided_at"] in found["t"] and opened(found["films"]["xt"]).size == (4 * 28, 28)


@pytest.mark.parametrize("name", DENOISES)
def test_the_form_follows_the_model(name):
    spec = registry.spec(name)
    changes = diffuse_reverse.choose(name, asked())
    assert len(changes) == 7 and diffuse_reverse_request.start_name() in DENOISES
    sampler = reversing.knob(spec, "sampler")
    assert changes[1]["visible"] == changes[2]["visible"] == (sampler is not None)
    steps = reversing.knob(spec, "num_steps")
    assert changes[3]["visible"] == (steps is not None)
    assert steps is None or (changes[3]["minimum"], changes[3]["maximum"]) == (steps.minimum, steps.maximum)


def test_stop_ends_a_way_with_what_there_is(untrained):
    begun, found = threading.Event(), []

    def go():
        for update in diffuse_reverse.draw(
            asked(session="stopper"), SCORE, "any", 0, SAMPLERS[1], None, 1000, 2, 1.0, 0.0
        ):
            if isinstance(update, str):
                found.append(json.loads(update))
                if "lanes" in found[-1]:
                    begun.set()

    thread = threading.Thread(target=go)
    thread.start()
    assert begun.wait(60)
    diffuse_reverse.stop(asked(session="stopper"))
    thread.join(60)
    assert not thread.is_alive() and "pg-stopped" in found[-1]["status"] and found[-1]["lanes"]
    assert "pg-done" not in json.dumps(found)


def test_frames_hold_what_the_classifier_reads():
    if not registry.shipped(judge.NAME):
        pytest.skip("no classifier")
    images = data.load("mnist", "test")
    made = Way(Stepper(), torch.zeros(1, 1, 28, 28), None, iter(()), 4)
    for i in range(4):
        x = data.to_float(images.images[i : i + 1])
        made.frames.append(Frame(999 - i, x, x, x))
    assert (reversing.probabilities(made).argmax(1) == images.labels[:4]).sum() >= 3
