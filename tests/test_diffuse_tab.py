"""The Diffuse tab without a browser: its frame, its Forward and Refine sections, its panel."""

import base64
import json
import math
import re

import gradio as gr
import numpy as np
import pytest
import torch
from app_helpers import asked, opened, refused, updates

from playground import judge, noising, registry, tabs
from playground.tabs import common, diffuse_forward, diffuse_lanes, diffuse_refine, diffuse_request, pieces
from playground.tabs.diffuse_forward_panel import curves
from playground.validation import InvalidInput

DENOISES, SCORE = registry.names("Denoises"), registry.names("HasScore")[0]


@pytest.fixture(autouse=True)
def little_work(monkeypatch):
    monkeypatch.setattr(diffuse_forward, "NUM_VALUES", 2000)
    monkeypatch.setattr(judge, "NUM_QUICK", 100)


# The frame


def test_sections_are_found_in_their_order():
    found = tabs.sections("diffuse")
    assert [m.SECTION for m in found] == sorted(m.SECTION for m in found)
    names = [m.__name__.rpartition(".")[2] for m in found]
    assert names[:4] == ["diffuse_forward", "diffuse_reverse", "diffuse_restore", "diffuse_refine"]
    assert not {m.__name__ for m in found} & {m.__name__ for m in tabs.modules()}
    assert all(callable(m.build) and m.SECTION_TITLE for m in found)


# Forward


def test_the_page_gets_what_the_models_noise_with():
    tables = json.loads(diffuse_forward.tables())
    for name, one in tables["schedules"].items():
        snr = np.frombuffer(base64.b64decode(one["snr"]), "<f4")
        np.testing.assert_allclose(
            1 / (1 + np.exp(-snr)), noising.alphas_cumprod(name).numpy(), rtol=1e-4, atol=1e-8
        )
    scene = diffuse_forward.scene(torch.full((1, 3, 64, 64), 1.0), 5)
    assert scene["side"] == 64 and scene["channels"] == 3
    eps = np.frombuffer(base64.b64decode(scene["eps"]), "<i2") / tables["scale"]
    assert eps.std() == pytest.approx(1, abs=0.02) and set(base64.b64decode(scene["x0"])) == {255}


def test_the_plots_show_all_of_every_schedule_in_both_languages():
    plots = curves().split("<figure>")[1:]
    for plot in plots:
        top, bottom = (float(y) for y in re.search(r'pg-axis" d="M52 ([\d.]+)V([\d.]+)', plot).groups())
        for line in re.findall(r'pg-line" d="M([^"]*)"', plot):
            assert all(top < float(point.split()[1]) < bottom for point in re.split("[LM]", line))
        assert all(f'<tspan lang="zh">{name}</tspan>' in plot for name in ("线性", "余弦", "S 形"))
    assert len(plots) == 3


def test_digits_emoji_and_pictures_can_be_noised():
    address = pieces.address(torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(0)))
    assert diffuse_request.picture("test:3").shape == (1, 1, 28, 28)
    assert diffuse_request.picture("emoji:3").shape == (1, 3, 64, 64)
    assert diffuse_request.picture(address, colour=True).shape == (1, 3, 64, 64)
    assert diffuse_request.picture(address).shape == (1, 1, 28, 28)


def test_a_digit_takes_the_place_of_an_emoji_and_the_other_way_round():
    pick, update = diffuse_forward.take_digit("test:3", 0, asked())
    assert pick == "" and json.loads(update)["picture"]["side"] == 28
    assert diffuse_forward.take_digit("", 0, asked()) == ["", gr.skip()]
    assert json.loads(diffuse_forward.look("test:3", "emoji:12", 0, asked()))["picture"]["side"] == 64
    digit = diffuse_forward.look("test:3", "", 0, asked())
    assert json.loads(digit)["picture"]["side"] == 28 and digit != diffuse_forward.look(
        "test:3", "", 1, asked()
    )


def test_both_ways_are_compared_for_every_schedule():
    found = updates(diffuse_forward.compare(asked(), "test:3", "", 0))
    assert found[0]["busy"] and set(found[-1]["ways"]) == set(noising.SCHEDULES)
    for way in found[-1]["ways"].values():
        assert way["t"] == diffuse_forward.STOPS and way["t"][-1] == 999
        assert all(len(h) == 2 and abs(sum(h[0]) - 1e4) < 60 for h in way["histograms"])
        assert opened(way["steps"]).size == opened(way["jump"]).size == (13 * 28, 28)


def noise(**changes):
    values = {"picture": "test:0", "t": 300, "schedule": "cosine", "seed": 1, "colour": False} | changes
    return common.guarded(diffuse_forward.noise)(**values, request=asked())


def test_the_noise_endpoint_says_what_it_did():
    found = noise()
    json.dumps(found)
    a = found["alpha_cumprod"]
    assert found["snr"] == pytest.approx(a / (1 - a)) and found["log_snr"] == pytest.approx(
        math.log(found["snr"])
    )
    assert sum(found["histogram"]) == pytest.approx(1) and 0 < found["distance_from_normal"] < 1
    assert found["both_ways"]["distance"] < 0.2 and found["both_ways"]["num"] >= 1568
    eps = torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    xt = noising.jump(diffuse_request.picture("test:0"), a, eps)
    assert found["png"] == pieces.address(xt)
    assert noise(t=0)["distance_from_normal"] > noise(t=999)["distance_from_normal"]


@pytest.mark.parametrize(
    "change",
    [
        {"t": -1}, {"t": 1000}, {"t": 1.5}, {"t": None}, {"t": "3"}, {"t": math.nan}, {"schedule": "none"},
        {"schedule": 3}, {"seed": -1}, {"picture": ""}, {"picture": "emoji:191"}, {"picture": "emoji:x"},
        {"picture": "test:10000"}, {"picture": "data:image/png;base64,AAAA"}, {"colour": "yes"},
    ],
    ids=str,
)  # fmt: skip
def test_bad_noise_gets_a_sentence(change):
    refused(lambda: noise(**change))


def test_a_timestep_outside_the_schedule_is_named_in_both_languages():
    with pytest.raises(InvalidInput) as caught:
        diffuse_request.timestep(1000)
    assert "0 to 999" in caught.value.sentence("en") and "999" in caught.value.sentence("zh")
    assert "Timestep" in caught.value.sentence("en") and "时间步" in caught.value.sentence("zh")


# Refine


def refined(**changes):
    source = next(n for _, n in diffuse_refine.sources() if registry.spec(n).conditional)
    values = {"source": source, "refiner": SCORE, "strength": 0.05, "num": 12, "seed": 0} | changes
    return updates(diffuse_refine.refine(asked(), *values.values()))


def test_refining_shows_the_same_numbers_before_and_after(untrained):
    last = refined()[-1]
    assert len(last["lanes"][0]["rows"]) == 2 and last["note"].count("<tr>") >= 4
    assert last["lanes"][0]["rows"][0]["strip"] != last["lanes"][0]["rows"][1]["strip"]


def test_only_fast_models_of_digits_are_refined(untrained):
    names = [name for _, name in diffuse_refine.sources()]
    assert names and not set(names) & set(DENOISES) and diffuse_refine.start_name() in names
    for change in ({"source": DENOISES[0]}, {"source": "x"}, {"refiner": names[0]}, {"strength": 0},
                   {"strength": 2}, {"num": 3}, {"num": 65}, {"seed": None}):  # fmt: skip
        refused(lambda change=change: refined(**change))


# The panel


def test_a_field_of_classes_has_a_cell_for_what_is_probable():
    seen = torch.zeros(3, 10)
    seen[0, 1], seen[0, 7], seen[1, 7], seen[2, 7] = 0.6, 0.4, 1.0, 1.0
    drawn = diffuse_lanes.classes(seen, 1)
    assert drawn.count("<rect") == 4 and 'd="M1 0V10"' in drawn


def test_a_film_is_thinned():
    frames = [torch.full((1, 1, 4, 4), i / 50 - 1) for i in range(100)]
    made = diffuse_lanes.row("x", frames, film=True)
    assert opened(made["film"]).width == 4 * diffuse_lanes.NUM_THUMBS and made["frames"] == 100
    pixels = np.asarray(opened(made["film"]))
    assert pixels[0, 0] == 0 and pixels[0, -1] == round(127.5 * 99 / 50)
