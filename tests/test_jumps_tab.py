"""The Jumps section without a browser: ways under one slider, draws behind a noisy picture, refusals."""

import json

import gradio as gr
import pytest
from app_helpers import asked, opened, refused, updates
from contract_helpers import fresh

from playground import guesses, jumps, locale, registry, weights
from playground.tabs import common, diffuse_jumps, jumps_panel, jumps_request, mine

ONE, FEW, MANY = (jumps.names(key)[0] for key in jumps.KINDS)


@pytest.fixture
def few_draws(monkeypatch):
    for name, number in {"NUM_DRAWS": 8, "_BATCH": 4, "SMALL_STEPS": 2, "_NUM_SPREAD": 4}.items():
        monkeypatch.setattr(guesses, name, number)


def walk(**changes):
    values = {"one": ONE, "few": FEW, "many": MANY, "seed": 3, "label": "any", "num_steps": 6} | changes
    return updates(diffuse_jumps.walk(asked(), *values.values()))


def draw(**changes):
    values = {"one": ONE, "few": FEW, "many": MANY, "picture": "test:4", "t": 3, "seed": 0} | changes
    return [u for u in diffuse_jumps.draw(asked(), *values.values()) if isinstance(u, str)]


def test_three_ways_under_one_slider(untrained):
    last = walk()[-1]
    assert not last["busy"] and "pg-done" in last["status"] and last["start"] == 0
    assert len(last["lanes"]) == 3 and len(last["marks"]) == 7
    assert last["marks"][0] == "0/1 · 0/4 · 0/6" and last["marks"][-1] == "1/1 · 4/4 · 6/6"
    for lane in last["lanes"]:
        assert len(lane["rows"]) == 2 and len(lane["says"]) == 7
        assert opened(lane["rows"][0]["strip"]).size == (7 * 28, 28)
    strips = [opened(lane["rows"][0]["strip"]).crop((0, 0, 28, 28)).tobytes() for lane in last["lanes"]]
    assert len(set(strips)) == 1, "the same noise"


@pytest.mark.parametrize("label", ["any", "7"])
def test_a_label_is_optional(untrained, label):
    assert "pg-done" in walk(label=label, num_steps=1)[-1]["status"]


def test_the_board_fills_and_ends_with_the_lesson(untrained, few_draws):
    shown = draw()
    assert "pg-running" in shown[0] and "lesson" not in shown[0]
    assert "pg-done" in shown[-1] and "lesson" in shown[-1]
    assert shown[-1].count('class="bumps"') == shown[-1].count('class="digits"') == len(guesses.WAYS)


@pytest.mark.parametrize("seen", ["several", "one", "overlooked", None])
def test_the_words_follow_the_finding(untrained, few_draws, monkeypatch, seen):
    monkeypatch.setattr(guesses, "finding", lambda ways: seen)
    last, words = draw()[-1], locale.table("en")
    assert words[f"jumps.why_few_{seen}"] in last and words[f"jumps.lesson_{seen}"] in last
    others = {"several", "one", "overlooked", None} - {seen}
    assert not [other for other in others if words[f"jumps.lesson_{other}"] in last]


def test_the_endpoint_says_what_was_drawn(untrained, few_draws):
    found = diffuse_jumps.behind("test:4", t=2, seed=1)
    assert [way["way"] for way in found["ways"]] == list(guesses.WAYS) and found["t"] == 2
    for way in found["ways"]:
        assert way["num"] == sum(way["digits"]) == 8
        assert len(way["histogram"]) == guesses.BINS and sum(way["histogram"]) == pytest.approx(1)
        assert opened(way["png"]).size == (8 * 28, 28) and way["bumps"] in (1, 2)
    assert json.loads(json.dumps(found)) == found
    assert found["finding"] in ("several", "one", "overlooked", None)
    assert found["ways"][1]["digits"] == diffuse_jumps.behind("test:4", 2, 1)["ways"][1]["digits"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"t": 0}, {"t": 5}, {"t": "three"}, {"t": None}, {"picture": ""}, {"picture": "test:10000"},
        {"seed": -1}, {"one": MANY}, {"few": ONE}, {"many": FEW}, {"few": "nobody"},
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused_in_a_sentence(untrained, wrong):
    refused(lambda: draw(**wrong))


@pytest.mark.parametrize("wrong", [{"num_steps": 0}, {"num_steps": 1001}, {"label": "ten"}], ids=str)
def test_what_cannot_be_walked_is_refused_in_a_sentence(untrained, wrong):
    refused(lambda: walk(**wrong))


def test_a_way_that_a_model_does_not_go_is_named(untrained):
    vae = next(n for n in registry.names("HasPosterior") if registry.spec(n).dataset == "mnist")
    with pytest.raises(gr.Error) as caught:
        draw(one=vae)
    assert registry.spec(vae).title in caught.value.message


def test_models_that_cannot_be_had_leave_no_board_at_work(untrained, monkeypatch):
    def gone(name, session):
        raise weights.WeightsError("errors.weights_damaged", name=name, path="there")

    monkeypatch.setattr(common, "obtain", gone)
    stream, got = diffuse_jumps.draw(asked(), ONE, FEW, MANY, "test:0", 3, 0), []
    with pytest.raises(gr.Error, match="are damaged"):
        for update in stream:
            got.append(update)
    assert "pg-running" in got[0] and got[-1] == jumps_panel.blank()


def test_stopping_ends_both_before_the_next_step(untrained, few_draws):
    stream = diffuse_jumps.walk(asked(), ONE, FEW, MANY, 0, "any", 1000)
    next(stream)
    next(stream)
    diffuse_jumps.stop_walk(asked())
    assert "pg-stopped" in list(stream)[-1]
    stream = diffuse_jumps.draw(asked(), ONE, FEW, MANY, "test:0", 3, 0)
    next(stream)
    diffuse_jumps.stop_draw(asked())
    assert "pg-stopped" in list(stream)[-1]


def test_models_of_the_page_can_be_chosen(untrained, monkeypatch):
    own = {name: fresh(name) for name in (ONE, FEW)}
    monkeypatch.setattr(common.jobs, "trained", lambda session: own)
    assert jumps_request.offered("few", "test")[0][1] == mine.MARK + FEW
    assert "pg-done" in walk(few=mine.MARK + FEW, num_steps=2)[-1]["status"]


def test_the_slider_has_the_levels_of_the_model(untrained):
    last = registry.build(FEW).num_timesteps - 1
    update = diffuse_jumps.levels(FEW, 99, asked())
    assert update["maximum"] == update["value"] == last == jumps_request.last_level(FEW, "test")


@pytest.fixture
def trained(monkeypatch):
    """A session that has trained a model with few jumps, with another number of them than the shipped one."""

    def train(num):
        model = registry.build(FEW)
        model.tune({"jumps": num})
        monkeypatch.setattr(common.jobs, "trained", lambda session: {FEW: model} if session == "test" else {})
        return mine.MARK + FEW

    return train


@pytest.mark.parametrize("num", [1, 2, 6])
def test_an_own_model_has_the_levels_it_was_trained_with(untrained, few_draws, trained, num):
    own = trained(num)
    update = diffuse_jumps.levels(own, 3, asked())
    assert update["maximum"] == num and update["value"] == min(3, num)
    assert "pg-done" in draw(few=own, t=num)[-1]
    with pytest.raises(gr.Error, match=f"from 1 to {num}; got {num + 1}"):
        draw(few=own, t=num + 1)
    call = common.guarded(diffuse_jumps.behind)
    assert call("test:4", num, few=own, request=asked())["t"] == num
    refused(lambda: call("test:4", num + 1, few=own, request=asked()))


def test_opening_the_tab_again_finds_the_levels_of_a_model_trained_anew(untrained, trained):
    own = trained(6)
    *choices, level = diffuse_jumps.refresh(own, 5, asked())
    assert len(choices) == len(jumps.KINDS) and (level["maximum"], level["value"]) == (6, 5)
    trained(2)
    assert diffuse_jumps.refresh(own, 5, asked())[-1]["value"] == 2
    for name in (own, None, ONE):  # of another session, nothing, no model with few jumps
        assert diffuse_jumps.refresh(name, 5, asked(session="other"))[-1] == gr.skip()


def test_opening_the_tab_loads_no_weights(monkeypatch):
    monkeypatch.setattr(common, "obtain", lambda *_: pytest.fail("weights were loaded"))
    assert diffuse_jumps.refresh(FEW, 3, asked())[-1] == gr.skip()


def test_a_way_without_draws_yet_is_an_empty_card(few_draws):
    wish = jumps_request.guesses(None, None, None, "test:4", 3, 0)
    models = {
        key: (fresh(name), registry.spec(name))
        for key, name in zip(jumps.KINDS, (ONE, FEW, MANY), strict=True)
    }
    xt, ways = guesses.enter(models, wish.x0, wish.t, wish.seed)
    shown = jumps_panel.board(wish, xt, ways, "running")
    assert shown.count("<section") == 4 and "bumps" not in shown
