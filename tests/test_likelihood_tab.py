"""The Likelihood tab without a browser: its frame, Anomaly, one digit through every family."""

import threading

import gradio as gr
import numpy as np
import pytest
import torch
from app_helpers import asked, refused

from playground import anomaly, data, families, locale, registry, scoring, tabs
from playground.anomaly import CLOTHES, DIGITS
from playground.tabs import anomaly_panel
from playground.tabs import likelihood_anomaly as section
from playground.tabs import likelihood_families as digits

LIKELY = registry.names("HasLikelihood")
ENCODER = next(n for n in LIKELY if families.approach(registry.spec(n)) == "encode")
FLOW = next(n for n in LIKELY if families.approach(registry.spec(n)) == "exact")
WRITER = next(n for n in registry.names("Completes") if registry.spec(n).levels == 2)
PLAIN = next(
    n for n in registry.names("HasLatent") if n not in LIKELY and registry.spec(n).dataset == "mnist"
)


@pytest.fixture(autouse=True)
def little_work(monkeypatch):
    """Few pictures, and clothes that need no download."""
    monkeypatch.setattr(anomaly, "CHUNK", 5)
    monkeypatch.setattr(families.inversion, "NUM_STEPS", 3)
    monkeypatch.setattr(families, "NUM_RESTORING", 2)
    real = data.load

    def load(name, split="train"):
        return real("mnist", "train") if name == CLOTHES else real(name, split)

    monkeypatch.setattr(data, "load", load)


def boards(names=(ENCODER, FLOW), num=10):
    return [u for u in section.run_anomaly(list(names), num, asked()) if isinstance(u, str)]


def given(names, value="test:1", seed=0):
    return [u for u in digits.run_families(value, list(names), seed, asked()) if isinstance(u, str)]


def test_the_frame_finds_its_sections():
    found = [module.__name__.rpartition(".")[2] for module in tabs.sections("likelihood")]
    assert found[-3:] == ["likelihood_anomaly", "likelihood_families", "likelihood_cards"]
    assert [m.SECTION for m in tabs.sections("likelihood")] == sorted(
        m.SECTION for m in tabs.sections("likelihood")
    )


# Anomaly


def test_the_board_ends_with_numbers_of_both_groups(untrained):
    updates = boards()
    assert "pg-running" in updates[0] and "pg-done" in updates[-1] and "100%" in updates[-1]
    last = updates[-1]
    assert last.count("<article>") == 2 and last.count("<svg") == 2
    for spec in map(registry.spec, (ENCODER, FLOW)):
        assert spec.title in last and locale.text(f"likelihood.kind_{scoring.kind(spec)}") in last
    assert last.count(locale.text("anomaly.set_fashion_mnist")) > 2 and "missing" not in last


def test_groups_never_share_a_column(untrained):
    last = boards()[-1]
    sections = last.split("<section>")[1:]
    assert len(sections) == 2
    titles = [registry.spec(n).title for n in (ENCODER, FLOW)]
    for block in sections:  # each group holds the models of one kind of numbers only
        assert sum(f"<h4>{title}</h4>" in block for title in titles) == 1
    assert all(block.count("<table>") == block.count("<article>") for block in sections)


def test_without_clothes_one_sentence_and_the_rest_goes_on(untrained, monkeypatch):
    load = data.load

    def gone(name, split="train"):
        if name == CLOTHES:
            raise data.DataUnavailable("not here")
        return load(name, split)

    monkeypatch.setattr(data, "load", gone)
    last = boards([ENCODER])[-1]
    assert "pg-done" in last and locale.text("anomaly.no_clothes") in last
    assert locale.text("anomaly.set_mnist") in last and locale.text("anomaly.set_fashion_mnist") not in last


def test_clothes_that_come_late_join_in(untrained, monkeypatch):
    load, come = data.load, threading.Event()

    def late(name, split="train"):
        if name == CLOTHES:
            assert come.wait(60)
        return load(name, split)

    monkeypatch.setattr(data, "load", late)
    monkeypatch.setattr(section, "_AT_ONCE", 0.01)
    monkeypatch.setattr(section, "_PER_SECOND", 1e6)
    title, seen = locale.text("anomaly.set_fashion_mnist"), []
    for update in section.run_anomaly([ENCODER], 10, asked()):
        seen.append(update.count(title))
        if "50%" in update or "100%" in update:
            come.set()  # the digits have been scored without waiting
    assert come.is_set() and seen[-1] > seen[0] and "missing" not in update


def test_a_model_without_weights_says_so_and_the_others_go_on(untrained, tmp_path, monkeypatch):
    (tmp_path / ENCODER).symlink_to(untrained / ENCODER)
    (tmp_path / "classifier").symlink_to(untrained / "classifier")
    monkeypatch.setenv("PLAYGROUND_PRETRAINED", str(tmp_path))
    registry.unload()
    last = boards()[-1]
    assert "pg-done" in last and f"pretrain {FLOW}" in last and last.count("<svg") == 1


@pytest.mark.parametrize(
    "names, num",
    [
        ([], 10), (None, 10), ([ENCODER] * 2, 10), ([PLAIN], 10), (ENCODER, 10), (["nothing"], 10),
        ([ENCODER], 9), ([ENCODER], 10**6), ([ENCODER], None), ([ENCODER], "10"), ([ENCODER], float("nan")),
        (["mine:" + ENCODER], 10),
    ],
)  # fmt: skip
def test_bad_requests_for_the_board_get_a_sentence(names, num, untrained):
    if names == ["mine:" + ENCODER]:  # of a session that trained nothing: said on its card
        assert locale.text("common.gone") in boards(names, num)[-1]
    else:
        refused(lambda: list(section.run_anomaly(names, num, asked())))


def test_defaults_have_weights_and_every_kind_of_number():
    names = section.default_names()
    assert all(map(registry.shipped, names))
    groups = {scoring.group(registry.spec(n)) for n in LIKELY if registry.shipped(n)}
    assert {scoring.group(registry.spec(n)) for n in names} == groups


def test_stopping_leaves_what_there_is(untrained):
    run = section.run_anomaly([ENCODER], 1000, asked())
    next(run), next(run)
    section.stop(asked())
    last = list(run)[-1]
    assert "pg-stopped" in last and "pg-done" not in last


def test_a_new_run_takes_the_place_of_the_old_one(untrained):
    old = section.run_anomaly([ENCODER], 1000, asked())
    next(old), next(old)
    assert "pg-done" in boards([ENCODER])[-1]
    assert list(old)[-1] == gr.skip()


def test_the_axis_reaches_from_rare_clothes_to_the_likeliest():
    class Given:
        values = {DIGITS: torch.arange(-100.0, 0.0), CLOTHES: torch.arange(-1000.0, -500.0, 5)}
        black = 50.0

    scale = anomaly_panel.axis(Given())
    assert -1050 < scale.low < -950 and 50 < scale.high < 100
    assert scale.second(-784 * np.log(2)) == pytest.approx(1)
    assert anomaly_panel.axis(None).low < anomaly_panel.axis(None).high


@pytest.mark.parametrize("value, key", [(0.99, "told"), (0.8, "partly"), (0.5, "coin"), (0.1, "likelier")])
def test_an_area_is_said_in_words(value, key):
    assert anomaly_panel._judged(value) == locale.both(f"anomaly.{key}")


def test_an_own_model_and_its_shipped_twin_are_told_apart():
    spec, digits_, clothes = registry.spec(FLOW), torch.arange(-100.0, 0.0), torch.arange(-1000.0, -900.0)

    def row(title, even, black):
        values = {DIGITS: digits_, CLOTHES: even, anomaly.EVEN: even}
        return anomaly_panel.Row(title, spec, anomaly.Scorer(spec, None, {}, values, black))

    own, shipped = row(f"★ {spec.title}", digits_ + 5, 50.0), row(spec.title, clothes, -500.0)
    for rows in ([own, shipped], [shipped, own]):
        said = anomaly_panel._conclusion(anomaly_panel.Board(rows, 100, "done"))
        assert locale.both("anomaly.fooled", models=own.title, num=2) in said
        assert locale.both("anomaly.black_wins", models=own.title, some=1, num=2) in said
        assert locale.both("anomaly.even_fools", models=own.title) in said


# One digit through every family


def test_every_card_ends_with_its_lesson(untrained):
    names = [ENCODER, FLOW, PLAIN]
    updates = given(names)
    assert "pg-running" in updates[0] and "pg-done" in updates[-1]
    last = updates[-1]
    assert last.count("<article") == 3 and last.count('class="why"') == 3 and "3 of 3" in last
    for how in map(families.approach, map(registry.spec, names)):
        assert (
            locale.text(f"families.why_{how}", **dict.fromkeys(("pixels", "dims"), "§")).split("§")[-1]
            in last
        )
    assert locale.text("families.unlikely_search") in last
    assert last.count("bits/dim") == 2  # the generator has no likelihood


@pytest.mark.parametrize("how", families.APPROACHES)
def test_every_approach_has_its_words_in_both_languages(how):
    facts = dict.fromkeys(("pixels", "variants", "starts", "updates", "back", "dims", "noise", "jumps"), 1)
    for part in ("how", "why", "short", "unlikely"):
        english, chinese = locale.words(f"families.{part}_{how}", **facts)
        assert english and chinese and "{" not in english + chinese


@pytest.mark.parametrize(
    "value, names, seed",
    [
        ("", [ENCODER], 0), (None, [ENCODER], 0), ("test:x", [ENCODER], 0), ("test:1", [], 0),
        ("test:1", ["nothing"], 0), ("test:1", [ENCODER] * 2, 0), ("test:1", [ENCODER], -1),
        ("test:1", ENCODER, 0), ("test:1", None, 0), ("test:1", ["classifier"], 0),
    ],
)  # fmt: skip
def test_bad_requests_for_the_cards_get_a_sentence(value, names, seed, untrained):
    refused(lambda: list(digits.run_families(value, names, seed, asked())))


def test_the_cards_are_stopped_between_two_steps(untrained):
    run = digits.run_families("test:1", [PLAIN, FLOW], 0, asked())
    next(run)
    digits.stop(asked())
    last = list(run)[-1]
    assert "pg-stopped" in last and 'class="stopped"' in last


def test_default_models_are_one_for_every_family_and_approach():
    names = digits.default_names()
    specs = [registry.spec(n) for n in names]
    kinds = [(spec.family, families.approach(spec)) for spec in specs]
    assert len(kinds) == len(set(kinds)) and all(map(registry.shipped, names))
    assert {"vae", "gan", "flow", "autoregressive", "diffusion"} <= {spec.family for spec in specs}


def test_a_picture_in_the_making_is_seen(untrained, monkeypatch):
    seen = threading.Event()
    monkeypatch.setattr(digits.common.Throttle, "due", lambda self: True)  # however fast it is made
    for update in digits.run_families("test:1", [WRITER], 0, asked()):
        if isinstance(update, str) and 'class="running"' in update and 'class="main"' in update:
            seen.set()
            digits.stop(asked())
    assert seen.is_set()
