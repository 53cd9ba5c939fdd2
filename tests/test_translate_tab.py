"""The Translate tab without a browser: the picker, what is drawn, the endpoint, what is refused."""

import json
import re

import pytest
import torch
from app_helpers import asked, is_sentence, opened, pictures, refused

from playground import data, registry, translating
from playground.tabs import common, translate, translate_panel, translate_request, translate_source
from playground.validation import InvalidInput

BOTH_WAYS = next(
    n for n in registry.names("Translates") if len(translating.directions(registry.spec(n))) == 2
)
ONE_WAY = next(n for n in registry.names("Translates") if translating.directions(registry.spec(n)) == ("ab",))
ROUTES = list(translating.routes())


def shown(route="noto-twemoji", pick="emoji:0,10", session="test"):
    value = json.dumps({"route": route, "pick": pick})
    *_, last = translate.show(value, asked(session=session))
    return json.loads(last)


def fields(name):
    """What one judgement of a model's discriminator is about, and its pictures, in pixels along an edge."""
    side = translating.route(registry.spec(name), "ab").target.side
    return registry.load(name).receptive_field(), side


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_shows_every_model_that_goes_it(route, untrained):
    way = translating.routes()[route]
    found = shown(route, translate_request.FIRST[translate_request.kind(way)])
    assert "pg-done" in found["status"] and not found["busy"]
    for name in translating.models(way):
        assert registry.spec(name).title in found["body"]
    num, lanes = 4, len(translating.models(way))
    assert found["body"].count("<tr data-show=") == found["body"].count("<section data-of=") == num
    assert found["body"].count('type="range"') == num * lanes == found["body"].count('class="before"')
    assert len(pictures(found["body"])) >= num * (2 + lanes + 3 * lanes)
    noisy = sum(registry.spec(name).model.has_noise for name in translating.models(way))
    assert found["body"].count('class="figures draws"') == num * noisy
    for field, side in {fields(name) for name in translating.models(way)}:
        assert f"a window of {field} × {field} pixels; the picture has {side} × {side}" in found["body"]
    assert found["body"].count("<a download=") == 1 + lanes
    costs = re.findall(r"network evaluations: <b>1</b> · <b>[\d.,]+</b> ms", found["body"])
    assert len(costs) == num * lanes


def test_names_are_said_and_scores_come_from_the_cards(untrained, monkeypatch):
    entry = {"value": 0.25, "num": 191, "nothing": 0.35, "neighbour": 0.4, "lower": 0.286}
    metrics = {f"{key}_ab": entry for key in ("l1", "ssim")} | {"ms_per_image_1": {"value": 31.0, "num": 1}}
    metrics["spread_ab"] = {"value": 0.0567, "num": 32, "draws": 4}
    monkeypatch.setattr(registry, "card", lambda name: {"metrics": metrics})
    body = shown()["body"]
    assert "grinning face" in body and "melting face" in body
    assert "0.350" in body and "29%" in body and "191" in body and ">31<" in body
    assert ">0.057<" in body and body.count("spread of its draws") == 1


@pytest.mark.parametrize("route", ROUTES)
def test_the_models_that_go_a_way_explain_themselves(route):
    said = translate.explain(json.dumps({"route": route, "pick": ""}), asked())
    for name in translating.models(translating.routes()[route]):
        spec = registry.spec(name)
        assert spec.about.formula in said and spec.paper in said and f"### {spec.title}" in said
        for words in (spec.about.summary, spec.about.strengths, spec.about.weaknesses):
            assert words.en in said and words.zh in said
    refused(lambda: translate.explain("{}", asked()))


def test_stop_ends_the_translating_before_the_next_model(untrained, monkeypatch):
    first, work = [], translate.work

    def stop_then_work(model, asked_for):
        first.append(model)
        translate.stop(asked(session="stopper"))
        return work(model, asked_for)

    monkeypatch.setattr(translate, "work", stop_then_work)
    assert len(translating.models(translating.routes()["noto-twemoji"])) > 1
    found = shown(session="stopper")
    assert len(first) == 1 and "pg-stopped" in found["status"] and "pg-done" not in found["status"]
    assert found["body"].count("<a download=") == 2, "what was done by then is there"


def test_a_refusal_takes_away_what_was_shown():
    stream = translate.show(json.dumps({"route": "noto-twemoji", "pick": ""}), asked())
    assert json.loads(next(stream))["busy"] and json.loads(next(stream))["body"] == ""
    refused(lambda: next(stream))


def test_stopped_before_the_first_model_keeps_what_was_there(untrained):
    stream = translate.show(json.dumps({"route": "noto-twemoji", "pick": "emoji:0"}), asked(session="early"))
    assert json.loads(next(stream))["busy"]
    translate.stop(asked(session="early"))
    found = json.loads(next(stream))
    assert "pg-stopped" in found["status"] and not found["busy"] and "body" not in found


def test_a_picture_of_ones_own_has_no_truth(untrained):
    address = translate_panel.address(torch.zeros(1, 3, 64, 64))
    body = shown(pick=address)["body"]
    assert body.count("<tr data-show=") == 1 and "SSIM" not in body.split("<section")[0]


@pytest.mark.parametrize(
    "value",
    ["", "null", "[]", "5", "{}", "[" * 2000, None, 7, json.dumps({"route": "noto-twemoji"}),
     json.dumps({"route": "up", "pick": "emoji:0"}), json.dumps({"route": "noto-twemoji", "pick": "emoji:3"}),
     json.dumps({"route": "noto-twemoji", "pick": "emoji:99990"}),
     json.dumps({"route": "noto-twemoji", "pick": "test:1"}),
     json.dumps({"route": "digit-outline", "pick": "emoji:0"}),
     json.dumps({"route": "digit-outline", "pick": "test:10000"}),
     json.dumps({"route": "noto-twemoji", "pick": "emoji:" + ",".join(["0"] * 9)}),
     json.dumps({"route": "noto-twemoji", "pick": "data:image/gif;base64,R0lGODlh"}),
     json.dumps({"route": "noto-twemoji", "pick": {"a": 1}})],
)  # fmt: skip
def test_what_cannot_be_translated_is_refused_in_a_sentence(value, untrained):
    refused(lambda: list(translate.show(value, asked())))


def test_without_weights_the_sentence_says_what_makes_them(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_PRETRAINED", str(tmp_path))
    registry.unload()
    with pytest.raises(Exception, match="pretrain") as caught:
        shown()
    assert is_sentence(caught.value)


def test_a_model_trained_in_the_page_stands_beside_the_shipped_ones(untrained, monkeypatch):
    own = registry.build(BOTH_WAYS, seed=9).eval()
    monkeypatch.setattr(common.jobs, "trained", lambda session: {BOTH_WAYS: own} if session == "me" else {})
    route = translating.route(registry.spec(BOTH_WAYS), "ab").key
    pick = translate_request.FIRST[translate_request.kind(translating.routes()[route])]
    assert "★" in shown(route, pick, session="me")["body"] and "★" not in shown(route, pick)["body"]


@pytest.mark.parametrize("name", registry.names("Translates"))
def test_the_endpoint_answers_for_every_model_in_every_direction(name, untrained):
    spec = registry.spec(name)
    for direction in translating.directions(spec):
        way = translating.route(spec, direction)
        picture = "emoji:10" if translate_request.kind(way) == "emoji" else "test:1"
        found = translate.translate(name, picture, direction, asked())
        side = way.target.side
        assert opened(found["png"]).size == opened(found["truth"]).size == (side, side)
        assert opened(found["given"]).size == (way.source.side,) * 2
        assert 0 <= found["l1"] <= 2 and -1 <= found["ssim"] <= 1 and found["milliseconds"] > 0
        assert (found["back"] is None) == (found["cycle"] is None) == (len(translating.directions(spec)) == 1)
        assert len(found["patches"]) == len(found["patches"][0]) > 1
        assert (found["draws"] is not None) == spec.model.has_noise
        json.dumps(found)


def test_the_endpoint_takes_files_and_says_no(untrained):
    address = translate_panel.address(torch.zeros(1, 3, 64, 64))
    found = translate.translate(BOTH_WAYS, address, "ab", asked())
    assert found["truth"] is None and found["l1"] is None
    call = common.guarded(translate.translate)
    for values in ((ONE_WAY, "emoji:0", "ba"), (BOTH_WAYS, "emoji:0", "up"), ("vae", "emoji:0", "ab"),
                   (BOTH_WAYS, "emoji:1", "ab"), (BOTH_WAYS, "noise", "ab"), (BOTH_WAYS, "", "ab"),
                   (BOTH_WAYS, "emoji:0,10", "ab"), (BOTH_WAYS, None, None),
                   (5, "emoji:0", "ab")):  # fmt: skip
        refused(lambda values=values: call(*values, request=asked()))


def test_published_generators_take_pictures_of_ones_own_only():
    name = registry.published("Translates")[0]
    with pytest.raises(InvalidInput, match="data URI"):
        translate._one(registry.spec(name), "emoji:0", "ab")
    x, truth = translate._one(registry.spec(name), translate_panel.address(torch.zeros(1, 3, 9, 9)), "ba")
    assert x.shape == (1, 3, 256, 256) and truth is None


def test_the_picker_offers_held_out_emoji_only_and_every_one_by_its_words():
    skeleton = translate_source._skeleton()
    num = len(data.load("emoji_noto", "test"))
    assert skeleton.count('data-pick="emoji:') == num == 191
    assert 'data-pick="emoji:560" data-words="dog' in skeleton and 'data-pick="emoji:561"' not in skeleton
    assert all(f'data-route="{route}"' in skeleton for route in ROUTES)
    assert len(skeleton) < 400_000, "it is sent with every page"


def test_patch_maps_go_from_orange_over_grey_to_blue():
    x = translate_panel.patch_map(torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0]).view(1, 1, 1, 5))[0, :, 0]
    assert torch.equal(x[:, 0], x[:, 1]) and torch.equal(x[:, 3], x[:, 4])
    assert x[0, 0] > x[2, 0] and x[2, 3] > x[0, 3] and (x[:, 2] - x[0, 2]).abs().max() < 1e-6
    assert x.min() >= -1 and x.max() <= 1
