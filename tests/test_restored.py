"""A PNG dropped back into the Sample tab: what comes back, and whether the same pictures can."""

import json
from importlib import metadata

import gradio as gr
import pytest
import torch
from app_helpers import QUICK, asked
from contract_helpers import fresh

from playground import figures, locale, registry
from playground.tabs import common, mine, sample

PUBLISHED = registry.published("Samples")[0]


def png(name, **changes):
    """A PNG that holds a request, as the tab makes it of a name."""
    request = sample.request_of(name, registry.spec(name), 5, None, 3, registry.spec(name).defaults())
    return figures.png_with_request(figures.grid(torch.zeros(1, 1, 4, 4)), request | changes)


@pytest.fixture(scope="module")
def tab():
    """The handlers of the tab that others start: by name, with the components they fill."""
    with gr.Blocks() as page:
        sample.build()
    return {fn.name: fn for fn in page.fns.values()}


def filled(fn, *values):
    """What a handler fills: by component, skipped ones left out."""
    found = zip(fn.outputs, fn.fn(*values, request=asked()), strict=True)
    return {component: value for component, value in found if value != gr.skip()}


def said(tab, content):
    return next(iter(filled(tab["restore"], content).values()))


def test_the_same_weights_are_promised_and_others_are_not(tab, untrained):
    name = QUICK[0]
    title = registry.spec(name).title
    own = sample.request_of(mine.MARK + name, registry.spec(name), 5, None, 3, {})["weights_sha256"]
    assert own is None
    for sha256, key in (
        (registry.card(name)["sha256"], "sample.restored"), ("0" * 64, "sample.restored_other"),
        (own, "sample.restored_own"), (["hostile"], "sample.restored_other"),
    ):  # fmt: skip
        html = said(tab, png(name, weights_sha256=sha256))
        for code in locale.LANGUAGES:
            assert locale.text(key, code, model=title, seed=5) in html
    assert "same pictures" not in locale.text("sample.restored_own", model=title, seed=5)


def test_published_weights_are_always_the_same(tab):
    assert sample.read_upload(png(PUBLISHED))["told"] == "sample.restored"


def test_weights_that_are_not_here_are_not_promised(tab, tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_PRETRAINED", str(tmp_path))
    content = png(QUICK[0], weights_sha256="0" * 64)
    assert sample.read_upload(content)["told"] == "sample.restored_other"


def test_a_restored_count_survives_what_the_model_brings_along(tab):
    restored = filled(tab["restore"], png(PUBLISHED))
    name, counted = tab["choose"].inputs
    count = next(one for one in restored if isinstance(one, gr.Slider))  # above the models' own
    assert count.maximum == sample.MAX_NUM
    assert restored[count] == 3 and restored[name] == PUBLISHED

    brought = filled(tab["choose"], restored[name], restored[counted])  # the name has changed
    assert count not in brought and brought[counted] == PUBLISHED

    chosen = filled(tab["choose"], PUBLISHED, QUICK[0])  # by a person
    assert chosen[count]["value"] == registry.spec(PUBLISHED).published.num_pictures
    again = filled(tab["choose"], QUICK[0], chosen[counted])
    assert count not in again and again[counted] == QUICK[0]


def test_a_model_of_the_page_is_restored_by_its_plain_name(tab, untrained, monkeypatch):
    spec = registry.spec(QUICK[0])
    monkeypatch.setattr(common.jobs, "trained", lambda session: {spec.name: fresh(spec.name)})
    found = sample.sample(mine.MARK + spec.name, 5, "any", 1, None, asked())["request"]
    assert json.loads(json.dumps(found)) == found and found["weights_sha256"] is None
    assert locale.text("sample.restored_own", model=spec.title, seed=5) in said(tab, png(spec.name, **found))


def test_the_request_names_who_did_the_steps(untrained):
    found = sample.request_of(QUICK[0], registry.spec(QUICK[0]), 5, None, 3, {})["versions"]
    assert found == figures.versions() and found["diffusers"] == metadata.version("diffusers")
    assert set(found) == {"playground", "torch", "diffusers"}
