"""Models that were trained in the page on clothes: no tab takes them for models of digits."""

import json
from weakref import WeakKeyDictionary

import gradio as gr
import pytest
from app_helpers import asked, refused
from contract_helpers import fresh

from playground import anomaly, data, directions, judge, locale, mending, registry
from playground.data import idx
from playground.job import Job, Request
from playground.roster import Roster
from playground.tabs import (
    common,
    compare,
    diffuse_refine,
    diffuse_restore_request,
    diffuse_reverse,
    jumps_request,
    latent,
    latent_request,
    latent_sections,
    likelihood_anomaly,
    likelihood_families,
    likelihood_flow,
    likelihood_vae,
    mine,
    pieces,
    pixels_complete,
    sample,
)

CLOTHES = "fashion_mnist"
ENCODES = next(n for n in registry.names("HasPosterior") if "Encodes" in registry.spec(n).capabilities)
SCORE = registry.names("HasScore")[0]
GAME = jumps_request.first("one")
FLOW = registry.names("Flows")[0]
WRITES = registry.names("Completes")[0]


def own(name, dataset=CLOTHES):
    """What a model trained in the page is called."""
    return mine.MARK + Request(registry.spec(name), dataset, registry.spec(name).recipe, 0).called


@pytest.fixture(autouse=True)
def clothes(monkeypatch):
    """Pictures that are no digits in place of clothes, which may not be on this machine."""
    real = data.load
    images = real("mnist", "test")
    upside_down = data.Images(CLOTHES, images.images.flip(2), images.labels, idx._ARTICLES)
    monkeypatch.setattr(data, "load", lambda name, split="train": (
        upside_down if name == CLOTHES else real(name, split)
    ))  # fmt: skip
    return upside_down


@pytest.fixture(autouse=True)
def trained(monkeypatch):
    """The session has trained one model of each kind, on clothes."""
    models = {own(name).removeprefix(mine.MARK): fresh(name) for name in (ENCODES, SCORE, GAME, FLOW)}
    monkeypatch.setattr(common.jobs, "trained", lambda session: models)
    return models


def test_a_session_keeps_a_model_of_each_data_set():
    roster, spec = Roster(), registry.spec(ENCODES)
    for dataset, model in ((CLOTHES, "clothes"), ("mnist", "digits"), (CLOTHES, "newer clothes")):
        job = Job(Request(spec, dataset, spec.recipe, 0), ["me"], model=model)
        roster[job.id] = job
    assert roster.trained("me") == {f"{ENCODES}@{CLOTHES}": "newer clothes", ENCODES: "digits"}


def test_the_spec_of_an_own_model_names_what_it_was_trained_on(trained):
    spec = common.look_up(own(ENCODES), "HasLatent")
    assert spec.name == ENCODES and spec.dataset == CLOTHES and judge.of(spec.dataset) is None
    assert common.look_up(own(ENCODES, "mnist"), "HasLatent") == registry.spec(ENCODES)
    assert common.look_up(ENCODES, "HasLatent").dataset == registry.spec(ENCODES).dataset == "mnist"
    assert common.offered("HasLatent")[0] == (f"★ {spec.title} · Fashion-MNIST", own(ENCODES))
    assert common.obtain(own(ENCODES), "me") is trained[f"{ENCODES}@{CLOTHES}"]
    assert mine.plain(own(ENCODES)) == mine.plain(ENCODES) == ENCODES


@pytest.mark.parametrize(
    "name", [f"mine:{ENCODES}@", f"mine:{ENCODES}@emoji", "mine:@", f"{ENCODES}@{CLOTHES}"]
)
def test_a_data_set_it_cannot_be_of_gets_a_sentence(name):
    refused(lambda: common.guarded(common.look_up)(name, "HasLatent"))


def test_who_asks_for_the_model_of_digits_is_not_given_that_of_clothes():
    with pytest.raises(common.InvalidInput, match=f"ask for it as mine:{ENCODES}@{CLOTHES}"):
        common.obtain(own(ENCODES, "mnist"), "me")


def test_clothes_neither_race_digits_nor_are_judged_as_digits(untrained):
    names = [own(ENCODES), own(GAME)]
    found = compare.compare(names, 0, "any", 1, asked())["models"]
    assert [one["run"] for one in found] == [{}, {}] and all("Fashion" in one["title"] for one in found)
    with pytest.raises(gr.Error, match="· Fashion-MNIST"):
        list(compare.run_race([ENCODES, own(ENCODES)], 0, "any", 1, asked()))


def test_the_latent_tab_sees_clothes(clothes, monkeypatch):
    monkeypatch.setattr(judge, "look", lambda *_: pytest.fail("the digit classifier looks at clothes"))
    monkeypatch.setattr(latent_sections, "NUM_CODES", 60)
    monkeypatch.setattr(latent_sections, "NUM_CELLS", 3)
    monkeypatch.setattr(latent_sections, "_CODES", WeakKeyDictionary())  # a model of another test may be here
    encode, encoded = directions.encode, []
    monkeypatch.setattr(
        directions, "encode", lambda model, images, num: encoded.append(images) or encode(model, images, num)
    )
    picture = pieces.address(data.to_float(clothes.images[:1]))
    asked_for = latent_request.check(own(ENCODES), None, 0, 1, start=picture)
    assert (asked_for.pictures[0] - data.to_float(clothes.images[:1])).abs().max() < 0.05
    model = common.obtain(own(ENCODES), "me")
    chart = json.loads(list(latent_sections.chart(model, asked_for))[-1])
    assert chart["names"] == list(clothes.classes)
    assert encoded == [clothes]
    moved = json.loads(list(latent_sections.arithmetic(model, asked_for, 3, 8))[-1])
    assert "Dress → Bag" in json.dumps(moved, ensure_ascii=False)
    walked = latent.interpolate(own(ENCODES), frames=3, request=asked())
    assert walked["seen_by"] == "pixels"


def test_what_is_about_digits_refuses_clothes_in_one_sentence():
    for call in (
        lambda: likelihood_vae.check(own(ENCODES), "any"),
        lambda: likelihood_flow.check(own(FLOW)),
        lambda: likelihood_families.check([own(ENCODES)]),
        lambda: pixels_complete.check(own(WRITES), "test:0", "", "any", 1, 1.0, 0),
        lambda: diffuse_restore_request.check(own(SCORE), mending.TASKS[0], "test:0", "", "any", 0, {}),
        lambda: diffuse_refine.check(own(ENCODES), SCORE, 0.4, 4, 0),
        lambda: diffuse_refine.check(ENCODES, own(SCORE), 0.4, 4, 0),
        lambda: jumps_request.models(own(GAME), None, None),
    ):
        refused(common.guarded(call))
    for names in (jumps_request.offered("one"), diffuse_refine.sources(), likelihood_families.offered("")):
        assert not [name for _, name in names if CLOTHES in name]


def test_a_denoiser_of_clothes_is_walked_without_a_verdict(monkeypatch):
    monkeypatch.setattr(judge, "look", lambda *_: pytest.fail("the digit classifier looks at clothes"))
    found = diffuse_reverse.denoise(own(SCORE), steps=2, request=asked())
    assert found["classes"] is None and found["decided_at"] is None and found["nfe"]


def test_the_anomaly_board_takes_them_for_that_is_its_lesson(untrained, monkeypatch):
    monkeypatch.setattr(anomaly, "CHUNK", 5)
    assert own(ENCODES) in [name for _, name in likelihood_anomaly.offered("me")]
    boards = list(likelihood_anomaly.run_anomaly([own(ENCODES)], 10, asked()))
    assert "pg-done" in boards[-1] and "· Fashion-MNIST" in boards[-1]


def test_sample_draws_with_them(untrained):
    found = sample.sample(own(ENCODES), 0, "any", 1, None, asked())
    assert found["done"] and found["request"]["model"] == ENCODES


def test_clothes_that_are_gone_are_one_sentence(monkeypatch):
    def gone(name, split="train"):
        raise data.DataUnavailable("errors.no_fashion", folder="there")

    monkeypatch.setattr(data, "load", gone)
    with pytest.raises(gr.Error) as caught:
        list(latent.drawer("map")(asked(), own(ENCODES), "any", 0, 1, 1.0, "", ""))
    assert caught.value.message == locale.text("errors.no_fashion", folder="there")
