"""Are GANs obsolete? Sentences are filled from the cards, and what they claim holds of the shipped models."""

import pytest

from playground import listing, registry, scoring, verdict
from playground.locale import LANGUAGES, text
from playground.tabs import verdict_panel

SPEAKERS = {spec.family: spec for spec in map(registry.spec, registry.names("Samples")) if spec.exemplary}
FAMILIES = {registry.spec(name).family for name in registry.names("Samples")}


def metrics(times, recall, milliseconds, nfe, **more):
    return {
        "fid": {"value": times * 0.02, "num": 10_000, "times_floor": times},
        "recall": {"value": recall, "num": 5_000},
        "ms_per_image_64": {"value": milliseconds, "num": 64},
        "nfe": {"value": nfe, "num": 64},
    } | more


@pytest.fixture
def cards(monkeypatch):
    """Metrics by family in place of the cards on disk; a model without them is not shipped."""
    given = {}
    monkeypatch.setattr(registry, "shipped", lambda name: registry.spec(name).family in given)
    monkeypatch.setattr(registry, "card", lambda name: {"metrics": given[registry.spec(name).family]})
    return given


def test_the_answer_compares_what_was_measured(cards):
    cards |= {"gan": metrics(5.25, 0.88, 0.15, 1), "diffusion": metrics(4.0, 0.93, 100.0, 100)}
    for language in LANGUAGES:
        said = getattr(verdict.answer(), language)
        for number in ("670", "5.25", "4", "93.0%", "88.0%"):
            assert number in said
        assert SPEAKERS["gan"].title in said and SPEAKERS["diffusion"].title in said
    assert [finding.family.en for finding in verdict.findings()] == ["GAN", "diffusion"]


def test_what_is_not_measured_has_no_sentence(cards):
    assert verdict.answer() is None and verdict.findings() == [] and verdict_panel.section() == ""
    cards["diffusion"] = metrics(4.0, 0.93, 100.0, 100)
    assert verdict.answer() is None and len(verdict.findings()) == 1
    cards["gan"] = metrics(5.0, 0.88, 0.15, 1)
    del cards["gan"]["ms_per_image_64"]
    assert verdict.answer() is None and len(verdict.findings()) == 1
    cards["gan"] = metrics(5.0, 0.88, 0.15, 1, fid={"value": 0.1, "num": 10_000})
    assert verdict.answer() is None and len(verdict.findings()) == 1
    cards["flow"] = metrics(400.0, 0.8, 1.5, 1)
    assert len(verdict.findings()) == 1, "its sentence tells a likelihood"


def test_the_section_is_told_in_both_languages(cards):
    cards |= {"gan": metrics(5.0, 0.88, 0.15, 1), "diffusion": metrics(4.0, 0.93, 100.0, 100)}
    html = verdict_panel.section()
    assert html.count("<article") == 2
    for language in LANGUAGES:
        assert text("verdict.title", language) in html and text("verdict.note", language) in html
        assert getattr(verdict.answer(), language) in html


def test_a_readme_without_the_markers_is_refused():
    with pytest.raises(ValueError, match="models"):
        listing.with_tables("nothing")
    with pytest.raises(ValueError, match="answer"):
        listing.with_tables(f"{listing.BEGIN}\n{listing.END}")


def test_every_family_speaks():
    assert {finding.spec.family for finding in verdict.findings()} == FAMILIES
    assert verdict.answer() is not None


def measured(family):
    return registry.card(SPEAKERS[family].name)["metrics"]


def test_what_the_sentences_claim_holds_of_the_shipped_models():
    """Words that no number of the sentence carries; where a better model makes one fail, rewrite it."""
    fid = {family: measured(family)["fid"]["times_floor"] for family in FAMILIES}
    recall = {family: measured(family)["recall"]["value"] for family in FAMILIES}
    speed = {family: measured(family)["ms_per_image_64"]["value"] for family in FAMILIES}
    assert fid["gan"] < 1.5 * fid["diffusion"] and speed["gan"] < speed["diffusion"] / 100, "not obsolete"
    assert recall["diffusion"] > recall["gan"], "variety"
    assert speed["hybrid"] < speed["diffusion"] / 10, "time back"
    assert fid["hybrid"] > max(fid["gan"], fid["diffusion"]), "both parents are nearer"
    assert min(fid["vae"], fid["flow"], fid["autoregressive"]) > 4 * fid["gan"], "soft, weak, adding up"
    assert all(measured(family)["nfe"]["value"] == 1 for family in ("vae", "gan", "flow")), "one pass"
    assert measured("hybrid")["nfe"]["value"] <= 8 < measured("diffusion")["nfe"]["value"]


def test_what_the_sentences_say_of_abilities_is_what_the_models_have():
    can = {family: set(spec.capabilities) for family, spec in SPEAKERS.items()}
    assert not can["gan"] & {"Encodes", "HasLikelihood"}
    assert {"Encodes", "HasLikelihood"} <= can["vae"] & can["flow"]
    kinds = {family: scoring.kind(SPEAKERS[family]) for family in ("vae", "flow", "autoregressive")}
    assert kinds == {"vae": "bound", "flow": "dequantised", "autoregressive": "exact"}
