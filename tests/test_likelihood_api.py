"""The endpoints /likelihood and /complete: what they answer, and what they refuse in one sentence."""

import base64
import io
import json

import gradio as gr
import numpy as np
import pytest
import torch
from app_helpers import asked, refused
from PIL import Image

from playground import families, locale, registry, scoring
from playground.tabs import common, digit_pad, likelihood_api

LIKELY = registry.names("HasLikelihood")
FLOW = next(n for n in LIKELY if families.approach(registry.spec(n)) == "exact")
WRITER = next(n for n in registry.names("Completes") if registry.spec(n).levels == 2)
PLAIN = next(n for n in registry.names("HasLatent") if n not in LIKELY and n in registry.names("Samples"))


def likelihood(*args):
    return likelihood_api.likelihood(*args, request=asked())


def complete(*args, **more):
    return likelihood_api.complete(*args, **more, request=asked())


def image(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def test_likelihoods_are_those_of_the_model(untrained):
    found = likelihood(WRITER, ["test:3", "test:4"], "any", 0)
    spec, model = registry.spec(WRITER), registry.load(WRITER)
    x = torch.cat([scoring.on_levels(digit_pad.read(f"test:{i}"), 2) for i in (3, 4)])
    nats = model.log_prob(x).tolist()
    assert [one["nats"] for one in found["pictures"]] == pytest.approx(nats, rel=1e-4)
    assert found["mean_nats"] == pytest.approx(sum(nats) / 2, rel=1e-4)
    assert found["pictures"][0]["bits_per_dim"] == pytest.approx(scoring.bits_per_dim(nats[0], 784), rel=1e-4)
    assert (found["kind"], found["levels"], found["group"]) == ("exact", 2, "binary")
    assert (
        found["draws"] == 1 and found["num"] == 2 and found["label"] is None and spec.name == found["model"]
    )
    json.dumps(found)


def test_a_label_is_heeded_and_none_asks_for_every_class(untrained, monkeypatch):
    model, heard = registry.load(WRITER), []

    def log_prob(x, labels=None, *, generator=None):
        heard.append(labels)
        return -torch.ones(len(x))

    monkeypatch.setattr(model, "log_prob", log_prob)
    assert (
        likelihood(WRITER, ["test:3"], "4")["label"] == 4 and likelihood(WRITER, ["test:3"])["label"] is None
    )
    assert heard[0].tolist() == [4] and heard[1] is None


def test_random_likelihoods_are_means_of_draws_and_repeat(untrained):
    first, again = (likelihood(FLOW, ["test:3"], "any", 5) for _ in range(2))
    assert first == again and first["draws"] == families.NUM_DRAWS and first["kind"] == "dequantised"
    assert first != likelihood(FLOW, ["test:3"], "any", 6)


def test_numbers_that_are_not_finite_are_null():
    assert likelihood_api.numbers(float("-inf"), torch.zeros(1, 1, 28, 28)) == {
        "nats": None,
        "bits_per_dim": None,
    }


def test_completions_keep_what_is_kept(untrained):
    found = complete(WRITER, "test:1", "right", "any", 3, 2)
    picture, filled = image(found["picture"]), image(found["png"])
    assert picture.shape == (28, 28) and filled.shape == (28, 57)
    assert (filled[:, :14] == picture[:, :14]).all() and (filled[:, 29:43] == picture[:, :14]).all()
    assert (image(found["erased"])[:, 14:] == 128).all() and found["nfe"] > 0 and found["milliseconds"] > 0
    assert complete(WRITER, "test:1", "right", "any", 3, 2)["png"] == found["png"]
    json.dumps(found)


HUGE = (
    "data:image/png;base64,"
    + base64.b64encode(
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (13_000).to_bytes(4, "big") * 2 + b"\x08\0\0\0\0" + bytes(60)
    ).decode()
)


@pytest.mark.parametrize(
    "call",
    [
        lambda: likelihood(PLAIN, ["test:1"]), lambda: likelihood("classifier", ["test:1"]),
        lambda: likelihood(WRITER, []), lambda: likelihood(WRITER, ["test:1"] * 17),
        lambda: likelihood(WRITER, "test:1"), lambda: likelihood(WRITER, [HUGE]),
        lambda: likelihood(WRITER, [None]), lambda: likelihood(WRITER, ["test:1"], "10"),
        lambda: likelihood(FLOW, ["test:1"], "3"), lambda: likelihood(WRITER, ["test:1"], "any", -1),
        lambda: complete(PLAIN, "test:1"), lambda: complete(WRITER, "test:1", "1" * 784),
        lambda: complete(WRITER, "test:1", "0" * 784), lambda: complete(WRITER, "test:1", "middle"),
        lambda: complete(WRITER, HUGE), lambda: complete(WRITER, ""),
        lambda: complete(WRITER, "test:1", n=17), lambda: complete(WRITER, "test:1", label="x"),
        lambda: complete(WRITER, "test:1", controls={"nothing": 1}),
        lambda: complete(WRITER, "test:1", controls={"temperature": -1}),
    ],
)  # fmt: skip
def test_bad_input_gets_a_sentence(call, untrained):
    refused(common.guarded(call))


def test_a_model_that_cannot_is_told_what_it_lacks(untrained):
    title = registry.spec(PLAIN).title
    for call, key in (
        (lambda: likelihood(PLAIN, ["test:1"]), "likelihood.lacks_HasLikelihood"),
        (lambda: complete(PLAIN, "test:1"), "likelihood.lacks_Completes"),
    ):
        with pytest.raises(gr.Error) as caught:
            common.guarded(call)()
        assert caught.value.message == locale.text(key, model=title)
