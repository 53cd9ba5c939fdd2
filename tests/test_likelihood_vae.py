"""The VAE section without a browser: q(z|x), the bound's terms, its tightness, labels, refusals."""

import copy
import json
import math
import re
import statistics
from weakref import WeakKeyDictionary

import gradio as gr
import pytest
import torch
from app_helpers import asked, opened, refused
from contract_helpers import fresh, pictures, rng
from torch.distributions import Normal, kl_divergence

from playground import bounds, data, registry, scoring
from playground.nn import kl_to_prior
from playground.tabs import likelihood_vae as section
from playground.tabs import pieces, posterior_panel
from playground.validation import InvalidInput

NAMES = registry.names("HasPosterior")
NAME = NAMES[0]
LABELLED = next(name for name in NAMES if registry.spec(name).conditional)
NO_POSTERIOR = next(name for name in registry.names("HasLatent") if name not in NAMES)


@pytest.fixture(autouse=True)
def little_work(monkeypatch):
    monkeypatch.setattr(bounds, "_NUM_PICTURES", 20)


def measured(name=NAME, label="any", pad="test:0"):
    return [update for update in section.measure(name, label, pad, asked()) if isinstance(update, str)]


# What is seen


@pytest.mark.parametrize("name", NAMES)
def test_the_terms_are_the_models_bound(name):
    model = fresh(name)
    x, labels = pictures(name, 1)
    label = None if labels is None else int(labels)
    seen = bounds.look(model, x, label, num=300)
    mu, logvar = model.posterior(x, labels)
    assert torch.equal(seen.mu, mu[0]) and seen.label == label
    torch.testing.assert_close(seen.std, (0.5 * logvar[0]).exp())
    prior = Normal(torch.zeros_like(mu[0]), 1.0)
    torch.testing.assert_close(seen.kl, kl_divergence(Normal(seen.mu, seen.std), prior), rtol=1e-3, atol=1e-4)
    many = None if labels is None else labels.expand(200)
    bound = model.log_prob(x.expand(200, -1, -1, -1), many, generator=rng(1))
    spread = 6 * bound.std().item() / 200**0.5 + 0.05
    assert seen.elbo.value == pytest.approx(bound.mean().item(), abs=spread)
    assert seen.elbo.value == pytest.approx(seen.log_px - seen.kl.sum().item(), rel=1e-6)
    log_px, *_ = model.draws(x, 200, rng(2), labels)
    assert seen.log_px == pytest.approx(log_px.mean().item(), abs=spread + log_px.std().item() / 2)


@pytest.mark.parametrize("name", NAMES)
def test_a_drawing_the_model_finds_impossible_costs_what_the_model_says(name):
    """Two bars, where every pixel is all but surely black: the bound is the mean log-weight, L_1."""
    model = copy.deepcopy(fresh(name))
    *_, last = (layer for layer in model.decoder.modules() if getattr(layer, "bias", None) is not None)
    last.bias.fill_(-60.0)
    x = torch.full((1, 1, 28, 28), -1.0)
    x[..., 4:24, 8:11] = x[..., 4:24, 17:20] = 1
    label = 1 if registry.spec(name).conditional else None
    seen = bounds.look(model, x, label)
    weights = model.log_weights(x, 500, rng(1), None if label is None else torch.tensor([label]))
    assert seen.log_px == pytest.approx(-60 * 120, rel=0.05)
    assert seen.elbo.value == pytest.approx(weights.mean().item(), abs=5 * seen.elbo.error)
    assert seen.elbo.value == pytest.approx(bounds.tightness(weights)[1], rel=0.01)


def test_a_model_with_labels_decides_where_none_is_given():
    model = fresh(LABELLED)
    x, _ = pictures(LABELLED, 1)
    seen = bounds.look(model, x)
    assert seen.label == int(model.guess(x))
    assert bounds.look(model, x, label=(seen.label + 1) % 10).elbo != seen.elbo


def test_the_error_is_the_spread_of_the_estimates():
    weights = 7 * torch.randn(400, bounds.NUM_CODES, generator=rng(), dtype=torch.float64) - 100
    found = [bounds.estimate(row) for row in weights]
    error = statistics.mean(one.error for one in found)
    assert error == pytest.approx(statistics.stdev(one.value for one in found), rel=0.15)
    assert error < 1 and all(one.num == bounds.NUM_CODES for one in found)


def test_numbers_are_no_finer_than_their_error():
    assert [posterior_panel.nats(101.27, error) for error in (0.0, 0.3, 0.5, 1.8)] == [
        "101.3", "101.3", "101", "101",
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_dimensions_are_ordered_by_what_they_carry(name):
    model, spec = registry.build(name).eval(), registry.spec(name)
    order = bounds.informative(model, spec)
    assert sorted(order.tolist()) == list(range(model.latent_shape[0]))
    images = data.load("mnist", "test")
    x = data.binarise(data.to_float(images.images[:20]), rng())
    with torch.no_grad():
        mu, logvar = model.posterior(x, images.labels[:20] if spec.conditional else None)
    carried = kl_to_prior(mu, logvar).mean(0)[order]
    assert (carried.diff() <= 0).all() and bounds.informative(model, spec) is order


def test_tightness_rises_from_the_mean_weight_to_their_log_mean():
    log_weights = 3 * torch.randn(500, generator=rng(), dtype=torch.float64)
    found = bounds.tightness(log_weights)
    assert list(found) == list(bounds.STOPS)
    assert found[1] == pytest.approx(log_weights.mean().item()), "the ELBO that the terms show"
    assert found[500] == pytest.approx((log_weights.logsumexp(0) - math.log(500)).item())
    values = list(found.values())
    assert all(b > a - 0.15 for a, b in zip(values, values[1:], strict=False))
    assert values[-1] > values[0] + 2
    flat = bounds.tightness(torch.full((500,), -7.0))
    assert all(value == pytest.approx(-7.0) for value in flat.values()), "nothing to gain: q is the posterior"


# What is sent


def test_drawing_moves_the_panel(untrained):
    got, other = (json.loads(section.look(NAME, "any", pad, asked())) for pad in ("test:0", "test:1"))
    assert len(got["dims"]) == len(got["mu"]) == len(got["std"]) == posterior_panel.NUM_DIMS
    assert got["dims"] == other["dims"] and got["of"] == other["of"], "tiles stay where they are"
    assert got["mu"] != other["mu"] and got["again"] != other["again"]
    assert opened(got["x"]).size == opened(got["again"]).size == (28, 28)
    assert set(opened(got["x"]).getdata()) == {0, 255}, "black and white, as the encoder sees it"
    assert "bits/dim" in got["terms"] and "nats" in got["terms"] and "ELBO" in got["terms"]
    assert got["label"] == ""
    assert re.search(r"network evaluations: <b>2</b> · <b>[\d.,]+</b> ms", got["cost"]), "there and back"
    assert 'class="cost"' in posterior_panel.skeleton() and "got.cost" in pieces.page("posterior.js")
    labelled = json.loads(section.look(LABELLED, "3", "test:0", asked()))
    assert "<b>3</b>" in labelled["label"] and labelled["of"] != got["of"]


def test_an_empty_sheet_leaves_what_is_shown(untrained):
    assert section.look(NAME, "any", "", asked()) == gr.skip()


def test_another_model_switches_the_label(untrained):
    shown, label = section.choose(NAME, "4", "test:0", asked())
    assert json.loads(shown)["dims"] and label["value"] == "any" and not label["interactive"]
    shown, label = section.choose(LABELLED, "4", "test:0", asked())
    assert "<b>4</b>" in json.loads(shown)["label"] and label["interactive"]


def test_measuring_ends_with_a_curve_and_the_cards(untrained):
    updates = measured()
    assert "pg-running" in updates[0] and "pg-done" in updates[-1]
    assert "<svg" in updates[-1] and "500" in updates[-1] and 'class="classes"' not in updates[-1]
    assert updates[-1].count("<tr>") == 1 + len(NAMES)
    assert 'class="classes"' in measured(LABELLED)[-1]


def costs(terms):
    """Number and error of reconstruction, KL and bound, and the codes behind them, as a panel shows them."""
    found = re.findall(r"<b>([-\d.]+) nats(?:<small>± ([\d.]+)</small>)?</b>", terms)
    return found, int(re.search(r"from (\d+) codes", terms)[1])


@pytest.mark.parametrize("name", NAMES)
def test_both_places_show_the_same_bound_once_it_is_measured(name, untrained, monkeypatch):
    monkeypatch.setattr(bounds, "_MEASURED", WeakKeyDictionary())

    def shown(pad):
        return costs(json.loads(section.look(name, "any", pad, asked()))["terms"])

    (paid, kl, whole), codes = shown("test:1")
    other = shown("test:2")
    assert codes == bounds.NUM_CODES >= 64 and paid[1] == whole[1] != "" and kl[1] == ""
    said = re.search(r"ELBO <b>([-\d.]+) ± ([\d.]+)</b>", measured(name, pad="test:1")[-1])
    (_, _, after), codes = shown("test:1")
    assert codes == bounds.NUM_WEIGHTS and after == (said[1].removeprefix("-"), said[2])
    assert abs(float(whole[0]) - float(after[0])) <= 4 * float(whole[1]) + 1, "the estimate held"
    assert shown("test:2") == other, "another picture keeps its own"
    answer = section.posterior(name, "test:1", "any", asked())
    assert answer["elbo"] == pytest.approx(answer["iwae"]["1"]) and answer["error"] > 0
    assert posterior_panel.nats(-answer["elbo"], answer["error"]) == after[0]


def test_measured_pictures_do_not_pile_up(monkeypatch):
    monkeypatch.setattr(bounds, "_MEASURED", WeakKeyDictionary())
    monkeypatch.setattr(bounds, "_MAX_KEPT", 3)
    model, found = fresh(NAME), pictures(NAME, 1)[0]
    for place in range(5):
        x = torch.where(torch.arange(784).view(1, 1, 28, 28) < place, 1.0, found)
        seen = bounds.keep(model, bounds.look(model, x), torch.randn(500, generator=rng()))
        assert bounds.look(model, x).elbo == seen.elbo and seen.elbo.num == 500
    assert len(bounds._MEASURED[model]) == 3


def test_after_measuring_the_panel_above_is_sent_again():
    with gr.Blocks() as page:
        section.build()
    one = next(f for f in page.fns.values() if f.name == "measure")
    then = [f for f in page.fns.values() if f.name == "look" and f.trigger_after == one._id]
    assert len(then) == 1 and then[0].trigger_only_on_success


def test_stopping_shows_the_cards_again(untrained):
    stream = section.measure(NAME, "any", "test:0", asked())
    next(stream)
    section.stop(asked())
    last = [update for update in stream if isinstance(update, str)][-1]
    assert last == posterior_panel.before()


def test_numbers_of_cards_say_what_they_are(untrained_folder, untrained, monkeypatch):
    card = registry.card(NAME)
    entry = {"value": 91.08, "num": 10_000, "kind": "bound", "levels": 2}
    metrics = {
        "nll_nats": entry, "nll_bits_per_dim": {"value": 0.1676, "num": 10_000},
        "iwae_nats": {"value": 86.21, "num": 1000, "num_latents": 500},
        "iwae_bits_per_dim": {"value": 0.1587, "num": 1000},
    }  # fmt: skip
    cells = [posterior_panel._cell(metrics, key) for key in ("nll", "iwae")]
    assert "91.08" in cells[0] and "10,000" in cells[0] and "0.1676" in cells[0] and "bound" in cells[0]
    assert "86.21" in cells[1] and "1,000" in cells[1] and "500" in cells[1]
    assert posterior_panel._cell(card["metrics"], "nll") == "–"
    monkeypatch.setattr(registry, "shipped", lambda name: True)
    monkeypatch.setattr(registry, "card", lambda name: {"metrics": metrics})
    assert "<b>4.9</b>" in posterior_panel._row(NAME), "of different pictures, so no finer"
    assert "approximate" in posterior_panel.table()


# Requests


@pytest.mark.parametrize(
    ("name", "label", "pad"),
    [(NO_POSTERIOR, "any", "test:0"), ("nothing", "any", "test:0"), (None, "any", "test:0"),
     (LABELLED, "12", "test:0"), (NAME, "any", "test:77777"), (NAME, "any", b"x"), (NAME, "any", 3)],
)  # fmt: skip
def test_bad_requests_get_one_sentence(name, label, pad, untrained):
    refused(lambda: section.look(name, label, pad, asked()))
    refused(lambda: list(section.measure(name, label, pad, asked())))


def test_measuring_nothing_is_refused(untrained):
    refused(lambda: list(section.measure(NAME, "any", "", asked())))


@pytest.mark.parametrize("name", NAMES)
def test_the_endpoint_says_of_what_kind_its_numbers_are(name, untrained):
    answer = section.posterior(name, "test:0", "any", asked())
    assert answer["kind"] == "bound" and answer["num"] == 1
    assert answer["elbo"] == pytest.approx(answer["log_px"] - sum(answer["kl"]), rel=1e-5)
    assert answer["bits_per_dim"] == pytest.approx(scoring.bits_per_dim(answer["elbo"], 784))
    assert answer["iwae"]["500"] >= answer["iwae"]["1"] and opened(answer["png"]).size == (28, 28)
    labelled = registry.spec(name).conditional
    assert len(answer["classes"]) == (10 if labelled else 0) and (answer["label"] is not None) == labelled
    json.dumps(answer, allow_nan=False)


def test_the_endpoint_refuses_a_label_that_does_not_exist(untrained):
    with pytest.raises(InvalidInput):
        section.posterior(LABELLED, "test:0", "11", asked())
