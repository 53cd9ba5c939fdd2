"""The Flow section without a browser: the way to z and back, what it adds up to, edited latents, refusals."""

import copy
import json
import re

import gradio as gr
import pytest
import torch
from app_helpers import asked, opened, refused
from contract_helpers import fresh, rng

from playground import data, flowing, locale, registry
from playground.flowing import KEEP, NOISE, OTHER, ZERO
from playground.spec import FlowStep
from playground.tabs import flow_panel
from playground.tabs import likelihood_flow as section
from playground.validation import InvalidInput

FLOWS = registry.names("Flows")
NAME = FLOWS[0]
NOT_A_FLOW = next(name for name in registry.names("HasLatent") if name not in FLOWS)


def digit(index=0):
    return data.to_float(data.load("mnist", "test").images[index : index + 1])


def look(name=NAME, pad="test:0", other="test:1", edit="", seed=0):
    return section.look(name, pad, other, edit, seed, asked())


# The way


@pytest.mark.parametrize("name", FLOWS)
def test_the_layers_add_up_to_the_models_density(name):
    model, x = fresh(name), digit()
    found = flowing.travel(model, x, seed=3)
    expected = model.log_prob(x, generator=rng(3)).item()
    assert found.nats == pytest.approx(expected, rel=1e-5, abs=0.05)
    assert found.nats == pytest.approx(found.log_normal + sum(layer.log_det for layer in found.layers))
    assert found.log_normal < 0 and len(found.layers) == len(list(model.through(x)))


@pytest.mark.parametrize("name", FLOWS)
def test_the_picture_comes_back(name):
    """In double precision: how far rounding carries untrained weights depends on the machine."""
    model, x = copy.deepcopy(fresh(name)).double(), digit(4).double()
    found = flowing.travel(model, x)
    torch.testing.assert_close(found.z, model.encode(x), rtol=1e-4, atol=1e-4)  # of a batch of two
    assert torch.equal(found.again, model.decode(found.z))
    assert found.error == pytest.approx((found.again - x).abs().max().item()) and found.error < 1e-8


def test_density_and_noise_are_of_the_seed():
    model, x = fresh(NAME), digit()
    one, same, other = (flowing.travel(model, x, seed=seed) for seed in (1, 1, 2))
    assert one.nats == same.nats != other.nats
    assert torch.equal(one.z, other.z), "the way is the picture's own, without noise"


def test_variables_are_drawn_where_they_come_from():
    places = torch.randperm(16, generator=rng())
    h = torch.zeros(1, 16)
    h[0, 5] = 1.0
    drawn = flowing.picture(FlowStep("x", h, torch.zeros(1), places), (4, 4))
    assert drawn.shape == (1, 1, 4, 4) and drawn.view(-1).argmax() == places[5]
    plain = flowing.picture(FlowStep("x", h, torch.zeros(1)), (4, 4))
    assert plain.view(-1).argmax() == 5 and plain.max() <= 1 and plain.min() == -1


def test_the_way_is_sent_as_one_strip_with_a_bar_for_every_layer(untrained):
    way, _ = look()
    got, layers = json.loads(way), len(list(fresh(NAME).through(digit())))
    strip = opened(got["strip"])
    assert strip.size == (28 * (layers + 2), 28)
    assert len(got["titles"]) == len(got["says"]) == layers + 2 and len(got["bars"]) == layers + 1
    assert "bits/dim" in got["sum"] and "784" in got["sum"] and "dequantised" in got["sum"]
    assert 'lang="zh"' in got["error"]
    assert re.search(r"network evaluations: <b>2</b> · <b>[\d.,]+</b> ms", got["status"]), "there and back"


@pytest.mark.parametrize("name", FLOWS)
def test_every_layer_has_a_name_and_a_reason_in_both_languages(name):
    for step in fresh(name).through(digit()):
        said = flow_panel.layer_name(step.name)
        assert 'lang="en"' in said and 'lang="zh"' in said and flow_panel.layer_about(step.name)
        assert step.name.rpartition(" ")[2] in said or not step.name[-1].isdigit()
    assert flow_panel.layer_name("<b>") == "&lt;b&gt;" and flow_panel.layer_about("unknown 3") == ""


# Edited latents


@pytest.mark.parametrize("name", FLOWS)
def test_groups_take_their_numbers_from_where_they_are_told(name):
    model = fresh(name)
    z, other = torch.randn(2, 1, *model.latent_shape, generator=rng())
    groups = model.latent_groups()
    same = flowing.edited(model, z, other, [KEEP] * len(groups))
    assert torch.equal(same, z)
    choices = [OTHER, ZERO] + [KEEP] * (len(groups) - 2)
    made = flowing.edited(model, z, other, choices, scale=0.5)
    assert torch.equal(made[:, groups[0]], 0.5 * other[:, groups[0]]) and not made[:, groups[1]].any()
    assert torch.equal(made[:, groups[2]], 0.5 * z[:, groups[2]])
    noisy, again = (flowing.edited(model, z, other, [NOISE] * len(groups), seed=s) for s in (1, 1))
    assert torch.equal(noisy, again) and (noisy != z).all()


def test_taking_all_of_the_other_gives_the_other_picture(untrained):
    model = registry.load(NAME)
    x = torch.cat([digit(0), digit(1)])
    _, made = section.edited_latents(model, x, [OTHER] * len(model.latent_groups()), 1.0, 0)
    assert (flowing.decoded(model, made) - x[1:]).abs().max() < 1e-3


def test_the_editor_is_obeyed_and_shows_three_pictures(untrained):
    groups = section.num_groups(NAME)
    edit = json.dumps({"choices": [OTHER] * groups, "scale": 1.0})
    plain, changed = (section.edit(NAME, "test:0", "test:1", e, 0, asked()) for e in ("", edit))
    assert plain.count("<img") == changed.count("<img") == 6 and plain != changed
    mine, made, others = changed.split("<figure>")[1:]
    assert re.search(r"network evaluations: <b>1</b> · <b>[\d.,]+</b> ms", made), "the one that is decoded"
    assert "ms" not in re.sub(r'src="[^"]*"', "", mine + others)
    assert flow_panel.editor(groups).count('aria-pressed="true"') == groups
    assert flow_panel.editor(groups).count("data-choice") == groups * len(flowing.CHOICES)
    assert flow_panel.editor(5).count("data-group") == 5


@pytest.mark.parametrize(
    "edit",
    ["x", "[]", "{}", '{"choices": ["keep"], "scale": 1}', '{"choices": 3, "scale": 1}', "9" * 5000, 7,
     json.dumps({"choices": ["steal"] * 4, "scale": 1}), json.dumps({"choices": [KEEP] * 4, "scale": 9}),
     json.dumps({"choices": [KEEP] * 4, "scale": None}), json.dumps({"choices": [[]] * 4, "scale": 1})],
)  # fmt: skip
def test_bad_edits_are_refused(edit):
    with pytest.raises(InvalidInput):
        section.read_edit(edit, 4)


# Samples


def test_temperatures_share_their_latents(untrained):
    model = registry.load(NAME)
    columns = dict(flowing.by_temperature(model, 3, seed=2))
    assert tuple(columns) == flowing.TEMPERATURES
    assert torch.equal(columns[0.0][0], columns[0.0][1]), "z = 0 is one picture"
    *_, drawn = model.sample(3, generator=rng(2), temperature=0.8)
    assert torch.equal(columns[0.8], drawn.x)


def test_samples_appear_column_by_column(untrained):
    shown = [update for update in section.draw(NAME, 0, asked()) if isinstance(update, str)]
    assert len(shown) == len(flowing.TEMPERATURES)
    assert [update.count("<img") for update in shown] == list(range(1, len(shown) + 1))
    assert "pg-running" in shown[0] and "pg-done" in shown[-1]
    assert all(re.search(r"network evaluations: <b>1</b> · <b>[\d.,]+</b> ms", update) for update in shown)


def test_stopping_keeps_what_was_drawn(untrained):
    stream = section.draw(NAME, 0, asked())
    first = next(stream)
    section.stop(asked())
    rest = list(stream)
    assert first.count("<img") == 1 and rest[-1].count("<img") <= 2
    assert "pg-stopped" in rest[-1] and "pg-done" not in rest[-1]


# Requests


def test_an_empty_sheet_leaves_what_is_shown(untrained):
    assert look(pad="") == [gr.skip(), gr.skip()]
    way, changed = look(other="")
    assert json.loads(way)["titles"] and changed == gr.skip()
    assert section.edit(NAME, "", "test:1", "", 0, asked()) == gr.skip()


def test_another_model_brings_its_own_groups(untrained):
    for name in FLOWS:
        way, changed, update = section.choose(name, "test:0", "test:1", "", 0, asked())
        assert json.loads(way)["titles"] and changed.count("<img") == 6
        assert update["groups"].count("data-group") == len(fresh(name).latent_groups())


@pytest.mark.parametrize(
    "change",
    [{"name": NOT_A_FLOW}, {"name": "nothing"}, {"name": None}, {"pad": "test:99999"}, {"pad": "x"},
     {"seed": -1}, {"seed": "1"}, {"edit": "{"}, {"other": "test:x"}],
)  # fmt: skip
def test_bad_requests_get_one_sentence(change, untrained):
    refused(lambda: look(**change))


def test_a_model_without_weights_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_PRETRAINED", str(tmp_path))
    registry.unload()
    assert "pretrain" in refused_text(lambda: look())


def refused_text(call):
    with pytest.raises(gr.Error) as caught:
        call()
    return caught.value.message


def test_the_endpoint_says_of_what_kind_its_numbers_are(untrained):
    answer = section.flow(NAME, "test:0", "test:1", None, 1.0, 0, asked())
    assert answer["kind"] == "dequantised" and answer["num"] == 1
    total = answer["log_normal"] + sum(layer["log_det"] for layer in answer["layers"])
    assert answer["nats"] == pytest.approx(total)
    assert answer["bits_per_dim"] == pytest.approx(-answer["nats"] / (784 * 0.6931471805599453))
    assert opened(answer["png"]).size == (28, 28) and answer["groups"] == section.num_groups(NAME)
    kept = section.flow(NAME, "test:0", "test:1", [KEEP] * answer["groups"], 1.0, 0, asked())
    assert kept["png"] == answer["png"]
    json.dumps(answer, allow_nan=False)


@pytest.mark.parametrize("choices", [["keep"], "keep", [1, 2, 3, 4], [None] * 4])
def test_the_endpoint_refuses_wrong_choices(choices, untrained):
    with pytest.raises(InvalidInput):
        section.flow(NAME, "test:0", "test:1", choices, 1.0, 0, asked())


def test_words_for_what_a_latent_is_made_of():
    for names in flow_panel.NAMES.values():
        assert all(f"flow.{name}" in locale.table("zh") for name in names)
    assert all(f"flow.{choice}" in locale.table("zh") for choice in flowing.CHOICES)
