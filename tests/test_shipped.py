"""What is shipped: every model has weights, a card whose numbers say what they come from, and a replay."""

import dataclasses
import hashlib
import json
import math
import re
from pathlib import Path

import pytest

from playground import listing, registry, replay, weights

ROOT = Path(__file__).resolve().parent.parent
NAMES = registry.names()
LIMIT = 10 * 2**20  # plain git refuses larger files on Spaces
FACTS = ("name", "sha256", "source", "licence", "dataset", "recipe", "config", "seed", "num_steps",
         "training_minutes", "device", "libraries", "metrics", "num_parameters", "shapes")  # fmt: skip


def as_json(value):
    """What a value looks like after it has been on a card."""
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_there_and_are_the_cards(name):
    content = (weights.folder(name) / "model.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() == registry.card(name)["sha256"]
    assert len(content) < LIMIT
    model = registry.load(name)
    assert not model.training and registry.load(name) is model


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_complete_and_is_of_this_recipe(name):
    card, spec = registry.card(name), registry.spec(name)
    assert all(card.get(fact) not in (None, "") for fact in FACTS), [
        f for f in FACTS if card.get(f) in (None, "")
    ]
    assert card["name"] == name and card["dataset"] == spec.dataset
    assert card["summary"] == spec.about.summary.en, "`evaluate --write` puts the text on the card"
    assert card["recipe"] == as_json(dataclasses.asdict(spec.recipe)) and card["config"] == as_json(
        dataclasses.asdict(spec.config)
    )
    assert card["num_steps"] > 0 and card["training_minutes"] > 0
    assert re.fullmatch(r"[0-9.]+\S*", card["libraries"]["torch"])


@pytest.mark.parametrize("name", NAMES)
def test_every_number_on_the_card_says_what_it_was_computed_on(name):
    metrics = registry.card(name)["metrics"]
    assert metrics
    for key, entry in metrics.items():
        assert math.isfinite(entry["value"]), key
        assert isinstance(entry["num"], int) and entry["num"] >= 1, key


@pytest.mark.parametrize("name", NAMES)
def test_the_model_card_is_readable(name):
    text = (weights.folder(name) / "README.md").read_text(encoding="utf-8")
    assert text.startswith("---\n") and registry.card(name)["sha256"] in text
    assert all(key in text for key in registry.card(name)["metrics"])


@pytest.mark.parametrize("name", registry.names("Samples"))
def test_the_training_can_be_replayed(name):
    recorded = replay.read(name)
    assert recorded["losses"] and all(2 <= len(p) <= replay.MAX_POINTS for p in recorded["losses"].values())
    for points in recorded["losses"].values():
        steps = [step for step, _ in points]
        assert steps == sorted(set(steps)) and all(math.isfinite(value) for _, value in points)
    assert 6 <= len(recorded["frames"]) <= 16
    assert [step for step, _ in recorded["frames"]] == sorted({step for step, _ in recorded["frames"]})
    files = [p for p in weights.folder(name).iterdir() if p.name.startswith("replay")]
    assert sum(p.stat().st_size for p in files) < 200_000


def test_the_readme_has_the_table_of_the_cards():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert listing.with_tables(text) == text, "run `python -m playground list --readme README.md`"
    assert all(f"`{name}`" in text for name in registry.names())


def test_the_front_matter_is_that_of_the_requirements():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    front = dict(
        line.split(": ", 1) for line in text.split("---\n")[1].splitlines() if re.match(r"\w+: ", line)
    )
    assert (
        front["sdk"] == "gradio" and front["app_file"] == "app.py" and len(front["short_description"]) <= 60
    )
    assert f"gradio=={front['sdk_version']}\n" in (ROOT / "requirements.txt").read_text()
    picture = re.search(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert picture and (ROOT / picture[1]).is_file()
