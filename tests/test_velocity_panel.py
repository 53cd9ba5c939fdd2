"""What the Paths section draws of two models: films, few steps, error curves; and how handlers end."""

import json
from types import SimpleNamespace

import torch
from app_helpers import opened

from playground import registry
from playground.locale import both
from playground.tabs import pieces, velocity_panel
from playground.tabs.velocity_panel import Denoiser, Short
from playground.velocity import Trail

NAME = registry.names("Denoises")[0]


def trail(num=9, steps=26):
    """A straight path that was walked already, darker and darker."""
    found = Trail(SimpleNamespace(when=lambda t: (t + 1) / 1000), registry.spec(NAME))
    found.timesteps = [round(1000 * (1 - k / (steps - 1))) - 1 for k in range(steps - 1)]
    found.xs = [torch.full((num, 1, 28, 28), 1 - 2 * k / (steps - 1)) for k in range(steps)]
    return found


def test_a_film_has_equal_times_from_noise_to_picture():
    film, marks = velocity_panel._film(trail()), velocity_panel.marks()
    assert len(film) == len(marks) == velocity_panel.NUM_FRAMES
    assert marks[0] == "t = 1.00" and marks[-1] == "t = 0.00" and marks[6] == "t = 0.50"
    levels = [float(x.mean()) for x in film]
    assert levels == sorted(levels, reverse=True) and (levels[0], levels[-1]) == (1, -1)


def test_while_they_walk_only_models_that_have_begun_are_shown():
    idle = trail()
    idle.xs = []
    said = json.loads(velocity_panel.walking([trail(), idle], 0.25))
    assert said["busy"] and "25" in said["status"] and len(said["lanes"]) == 1
    assert opened(said["lanes"][0]["rows"][0]["strip"]).size == (28, 28)


def test_a_table_of_few_steps_leaves_out_what_a_model_cannot():
    x = torch.zeros(4, 1, 28, 28)
    rows = {
        "Left": {1: Short(x, 1, 0.5, 0.75), 50: Short(x, 100, None, None)},
        "Right": {1: Short(x, 1, None, 1.0)},
    }
    shown = velocity_panel.few(rows)
    assert shown.count("<tr>") == 3 and shown.count("<img") == 3 and shown.count(f"<td>{pieces.DASH}") == 1
    assert "0.50" in shown and "75%" in shown and "100%" in shown
    assert shown.count("100%") == 2, "one cell, in every language"
    assert [shown.count(both("velocity.nfe", num=num)) for num in (1, 100)] == [2, 1]


def test_two_denoisers_of_one_title_stay_apart_in_the_legend():
    errors = [(50, 0.1, 0.2), (950, 0.4, 0.9)]
    metrics = {key: {"value": 0.5, "num": 4} for key in ("confidence", "precision", "class_entropy")}
    one = Denoiser(registry.spec(NAME), trail(4), errors, metrics)
    said = json.loads(velocity_panel.compared([one, one], 3, 64))
    assert len(said["lanes"]) == 2 and said["note"].count("<svg") == 2
    assert said["note"].count("<polyline") + said["note"].count("<path") >= 4, "two curves in each plot"
    assert "50%" in said["note"] and "0.50" in said["note"]
