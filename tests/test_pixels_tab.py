"""The Pixels section without a browser: reading, writing, completing, receptive fields, what is refused."""

import base64
import io
import json
import math
import re
import threading

import gradio as gr
import pytest
import torch
from app_helpers import asked, pictures, refused, updates
from PIL import Image

from playground import pixels, registry, scoring
from playground.tabs import common, digit_pad, likelihood_pixels, pixels_complete, pixels_field, pixels_panel

BINARY = next(n for n in registry.names("PredictsPixels") if registry.spec(n).levels == 2)
GREY = next(n for n in registry.names("PredictsPixels") if registry.spec(n).levels == 256)
OTHER = next(n for n in registry.names("Samples") if "PredictsPixels" not in registry.spec(n).capabilities)
DIGIT = "test:3"


def look(name=BINARY, label="any", pad=DIGIT):
    return json.loads(likelihood_pixels.look(name, label, pad, asked()))


@pytest.mark.parametrize("name", [BINARY, GREY])
def test_a_reading_holds_what_the_page_scrubs(name, untrained):
    found, spec = look(name), registry.spec(name)
    assert "pg-done" in found["status"] and spec.title in found["status"]
    assert len(found["x"]) == len(found["ink"]) == len(found["nats"]) == 784
    assert len(found["shares"]) == 784 * found["bins"] and len(found["belief"]) == 785 * found["classes"]
    assert found["bins"] == min(spec.levels, pixels.MAX_BINS) and found["classes"] == 10
    rows = torch.tensor(found["shares"]).view(784, -1).sum(1)
    assert ((rows - 1000).abs() <= found["bins"]).all()
    x = scoring.on_levels(digit_pad.read(DIGIT), spec.levels)
    total = -registry.load(name).log_prob(x).item()
    assert sum(found["nats"]) / 100 == pytest.approx(total, abs=0.005 * 784)
    assert f"{total:.2f}" in found["total"]


def test_with_a_label_there_is_no_belief(untrained):
    found = look(label="3")
    assert found["belief"] is None and found["classes"] == 0
    assert found["total"] != look()["total"]


def test_an_empty_sheet_leaves_what_was_shown(untrained):
    assert isinstance(likelihood_pixels.look(BINARY, "any", "", asked()), dict)  # gradio's skip
    assert isinstance(pixels_field.look(BINARY, "any", "", 2, "3 4", asked()), dict)


def costs(said):
    """Network evaluations a picture, and how often they and the milliseconds are said."""
    found = re.findall(r"network evaluations: <b>([\d,]+)</b> · <b>[\d.,]+</b> ms, for each picture", said)
    return found[0], len(found)


def test_a_model_writes_and_its_picture_is_what_it_would_sample(untrained, monkeypatch):
    monkeypatch.setattr(common, "UPDATES_PER_SECOND", 1000)
    found = updates(likelihood_pixels.write(BINARY, "7", 0.8, 5, asked()))
    assert [one["busy"] for one in found[:-1]] == [True] * (len(found) - 1) and found[0]["at"] >= 1
    last = found[-1]
    model = registry.load(BINARY)
    generator = torch.Generator().manual_seed(5)
    *_, sampled = model.sample(1, labels=torch.tensor([7]), generator=generator, temperature=0.8)
    assert last["x"] == [255 if value > 0 else 0 for value in sampled.x.flatten().tolist()]
    p = (model.pixel_logits(sampled.x, torch.tensor([7]))[0].double() / 0.8).softmax(0)[1].flatten()
    assert max(abs(a / 1000 - b) for a, b in zip(last["ink"], p.tolist(), strict=True)) < 1e-3
    assert last["belief"] is None and "0.80" in last["status"]
    assert costs(last["status"]) == ("784", 1)


def test_without_a_label_the_seed_draws_one(untrained):
    one, same, other = (
        updates(likelihood_pixels.write(BINARY, "any", 1.0, s, asked()))[-1] for s in (1, 1, 4)
    )
    assert one["x"] == same["x"] != other["x"]


def test_writing_stops_at_once(untrained):
    steps = likelihood_pixels.write(BINARY, "any", 1.0, 0, asked(session="stopper"))
    next(steps)
    likelihood_pixels.stop(asked(session="stopper"))
    rest = updates(steps)
    assert len(rest) == 1 and "pg-stopped" in rest[0]["status"]


def fill(name=BINARY, mask="lower", label="any", num=3, session="test"):
    return list(pixels_complete.fill(name, DIGIT, mask, label, num, 1.0, 0, asked(session=session)))


def opened(address):
    return Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))


def test_completions_keep_what_is_kept_and_are_ranked(untrained):
    last = fill()[-1]
    found = [torch.tensor(list(opened(one).convert("L").tobytes())).view(28, 28) for one in pictures(last)]
    assert len(found) == 2 + 3  # what is kept, the mean, the draws
    x = (scoring.on_levels(digit_pad.read(DIGIT), 2)[0, 0] > 0) * 255
    assert all(torch.equal(one[:14], x[:14]) for one in found)
    assert len({tuple(one.flatten().tolist()) for one in found[2:]}) == 3
    numbers = [float(n.replace("−", "-")) for n in re.findall(r'lang="en">([−\d.]+) nats<', last)]
    levels = torch.stack(found[2:])[:, None].float() / 127.5 - 1
    expected = registry.load(BINARY).log_prob(levels).tolist()
    assert numbers == pytest.approx(expected, abs=0.06)
    assert last.count("cell best") == 1 and "pg-done" in last and costs(last)[1] == 1


def test_completions_without_a_label_are_of_the_class_that_is_believed(untrained, monkeypatch):
    model, written = registry.load(BINARY), []
    monkeypatch.setattr(model, "belief", lambda x, mask: torch.eye(10)[[6] * len(x)])
    plain = model.write
    monkeypatch.setattr(
        model, "write", lambda x, m, labels, *rest: written.append(labels) or plain(x, m, labels, *rest)
    )
    fill(num=3)
    fill(num=2, label="4")
    assert [labels.tolist() for labels in written] == [[6, 6, 6], [4, 4]]


@pytest.mark.parametrize(
    "name", [n for n in registry.names("Completes") if registry.spec(n).dataset == "mnist"]
)
def test_every_model_that_completes_can_be_asked(name, untrained):
    steps = pixels_complete.fill(name, DIGIT, "right", "any", 1, 1.0, 0, asked(session=name))
    first, second = next(steps), next(steps)
    assert len(pictures(first)) == 1 and len(pictures(second)) == 3
    steps.close()


def test_an_erased_place_is_coloured_as_the_brush():
    kept = torch.ones(1, 1, 28, 28)
    kept[..., 5] = 0
    shown = pixels_panel.tinted(torch.zeros(1, 1, 28, 28), kept)
    colour = ((shown[0, :, 3, 5] + 1) * 127.5).round().int().tolist()
    assert tuple(colour) == pixels_panel.ERASED and shown[0, :, 3, 4].tolist() == [0, 0, 0]


@pytest.fixture
def shaken(untrained):
    """As it is built, a network answers the same whatever it sees: its last layer starts at zero."""
    torch.nn.init.normal_(registry.load(BINARY).logits.weight, generator=torch.Generator().manual_seed(0))


def test_fields_show_the_blind_spot_of_the_stack_alone(shaken):
    found = json.loads(pixels_field.look(BINARY, "any", DIGIT, 6, "14 13", asked())["maps"])
    own, stack = (torch.tensor(one["shades"]).view(28, 28) for one in found["maps"])
    assert (found["row"], found["column"]) == (14, 13)
    assert not (own == -2).any() and (stack == -2).sum() > 20
    for shades in (own, stack):
        assert (shades.flatten()[14 * 28 + 13 :] == -1).all(), "nothing comes from the future"
        assert shades.max() <= 100 and (shades >= 0).any()
    x = scoring.on_levels(digit_pad.read(DIGIT), 2)
    measured = pixels.field(pixels.MaskedStack(6), x, 14, 13)
    assert torch.equal(stack == -2, measured.blind) and torch.equal(stack >= 0, measured.seen)


def test_the_endpoints_answer_with_numbers(shaken):
    found = likelihood_pixels.pixel_surprise(BINARY, DIGIT, request=asked())
    assert found["total_nats"] == pytest.approx(sum(found["nats"])) and len(found["ink"]) == 784
    assert found["bits_per_dim"] == pytest.approx(found["total_nats"] / 784 / math.log(2))
    assert sum(found["classes"]) == pytest.approx(1) and found["kind"] == "exact" and found["num"] == 1
    assert likelihood_pixels.pixel_surprise(BINARY, DIGIT, "4", request=asked())["classes"] is None
    seen = pixels_field.receptive_field(BINARY, 20, 5, DIGIT, depth=3, request=asked())
    assert seen["model"]["num_blind"] == 0 < min(seen["stack"]["num_blind"], seen["model"]["num_seen"])
    assert all(one["num_future"] == 0 and sum(one["seen"]) == one["num_seen"] for one in seen.values())
    assert seen["model"]["num_past"] == 20 * 28 + 5
    json.dumps([found, seen])


def test_speeds_are_those_of_the_cards_of_models_that_write_piece_by_piece(untrained, monkeypatch):
    numbers = {"nfe": {"value": 784}, "ms_per_image_1": {"value": 621.6}, "fid": {"times_floor": 8.48}}
    card = {"metrics": numbers}
    cards = {BINARY: card, OTHER: {"metrics": {"nfe": {"value": 1}}}}
    monkeypatch.setattr(registry, "card", lambda name: cards.get(name, {}))
    assert pixels_panel.sequential() == [BINARY]
    shown = pixels_panel.speeds()
    assert [cell in shown for cell in ("<td>784</td>", "<td>622</td>", "<td>8.5</td>", "<td>–</td>")] == [
        True
    ] * 4
    assert registry.spec(OTHER).title not in shown


@pytest.mark.parametrize(
    "values",
    [
        {"name": "nothing"}, {"name": OTHER}, {"name": None}, {"label": "10"}, {"label": 3.5}, {"pad": "x"},
        {"pad": "test:99999"}, {"pad": "data:image/png;base64,AAAA"}, {"pad": 7},
    ],
)  # fmt: skip
def test_a_bad_request_is_one_sentence(values, untrained):
    asks = {"name": BINARY, "label": "any", "pad": DIGIT} | values
    refused(lambda: likelihood_pixels.look(*asks.values(), asked()))
    refused(lambda: pixels_field.look(*asks.values(), 2, "3 4", asked()))


@pytest.mark.parametrize(
    "place", ["", "3", "3 28", "-1 4", "3 x", "3 4 5", None, 7, "٣ 4", "1" * 50, "1.0 2"]
)
def test_a_bad_place_is_one_sentence(place, untrained):
    refused(lambda: pixels_field.look(BINARY, "any", DIGIT, 2, place, asked()))


@pytest.mark.parametrize(
    "values",
    [
        {"mask": "1" * 784}, {"mask": "0" * 784}, {"mask": "01"}, {"mask": None}, {"num": 0}, {"num": 17},
        {"num": "many"}, {"temperature": 0}, {"temperature": math.nan}, {"seed": -1}, {"name": OTHER},
        {"label": "x"}, {"pad": ""},
    ],
)  # fmt: skip
def test_a_bad_completion_is_one_sentence(values, untrained):
    asks = {"name": BINARY, "pad": DIGIT, "mask": "lower", "label": "any", "num": 1, "temperature": 1.0,
            "seed": 0} | values  # fmt: skip
    refused(lambda: list(pixels_complete.fill(*asks.values(), asked())))


@pytest.mark.parametrize("depth", [-1, 13, 1.5, "deep", None])
def test_a_bad_depth_is_one_sentence(depth, untrained):
    refused(lambda: pixels_field.look(BINARY, "any", DIGIT, depth, "3 4", asked()))


@pytest.mark.parametrize("temperature", [0.1, 9, "hot", None])
def test_a_bad_temperature_is_one_sentence(temperature, untrained):
    refused(lambda: list(likelihood_pixels.write(BINARY, "any", temperature, 0, asked())))


def test_a_newer_completion_takes_the_place_of_an_older(untrained):
    steps = pixels_complete.fill(BINARY, DIGIT, "lower", "any", 1, 1.0, 0, asked(session="twice"))
    next(steps)
    thread = threading.Thread(target=fill, kwargs={"num": 1, "session": "twice"})
    thread.start()
    thread.join(60)
    *_, last = steps
    assert last == gr.skip()
