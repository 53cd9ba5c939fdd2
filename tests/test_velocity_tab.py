"""The Paths section: fields for every toy, any two models side by side, stopping and refusals."""

import base64
import json

import pytest
from app_helpers import asked, opened, refused, updates
from contract_helpers import fresh

from playground import registry, velocity
from playground.tabs import common, diffuse_velocity, mine, velocity_field
from playground.velocity import MIXES

DENOISES, SCORES = registry.names("Denoises"), registry.names("HasScore")


@pytest.fixture
def few(monkeypatch):
    """Untrained models none of whose weights is zero, and short paths."""
    monkeypatch.setattr(common, "obtain", lambda name, owner: fresh(name.removeprefix(mine.MARK)))
    for key, value in {"STEPS": 4, "FEW": (1, 2), "NUM_PATHS": 2, "NUM_PICTURES": 4, "NUM_TEST": 2}.items():
        monkeypatch.setattr(diffuse_velocity, key, value)


def walk(first, second, label="any", seed=3):
    return updates(diffuse_velocity.walk(asked(), first, second, label, seed))


def compare(first, second, seed=3):
    return updates(diffuse_velocity.compare(asked(), first, second, seed))


def size(packed):
    return len(base64.b64decode(packed)) // 2


@pytest.mark.parametrize("name", velocity_field.TOYS)
def test_every_toy_has_fields_walks_and_numbers(name):
    scene = json.loads(diffuse_velocity.field(name, asked()))
    frames, grid, num = scene["frames"], scene["grid"], scene["num"]
    assert set(scene["ways"]) == set(MIXES)
    for way in scene["ways"].values():
        assert size(way["arrows"]) == frames * grid * grid * 2
        for key, walk in way["walks"].items():
            nodes = frames if key == velocity_field.EXACT else int(key) + 1
            assert size(walk) == nodes * num * 2
        missed = {key: float(value) for key, value in way["missed"].items()}
        assert missed["1"] > missed["4"] >= missed[velocity_field.EXACT]
        assert missed[velocity_field.EXACT] < 3 * float(scene["chance"]) + 0.03
        assert float(way["detour"]) >= 1 and float(way["bend"]) > 0


@pytest.mark.parametrize("name", ["circle", None, 3, "mnist"])
def test_unknown_toys_get_a_sentence(name):
    refused(lambda: diffuse_velocity.field(name, asked()))


def test_the_models_shown_first_are_two_that_differ():
    paths, denoisers = diffuse_velocity.pair("Denoises"), diffuse_velocity.pair("HasScore")
    assert len(set(paths)) == len(set(denoisers)) == 2
    assert all(name in DENOISES for name in paths) and all(name in SCORES for name in denoisers)
    conditional = [registry.spec(name).conditional for name in denoisers]
    assert conditional == [True, False]


@pytest.mark.parametrize("name", DENOISES)
def test_any_model_that_denoises_walks_beside_another(name, few):
    other = next(n for n in DENOISES if n != name)
    found = walk(name, other)
    last = found[-1]
    assert found[0]["busy"] and "pg-done" in last["status"]
    assert [lane["title"] for lane in last["lanes"]] == [registry.spec(n).title for n in (name, other)]
    assert all(len(lane["rows"]) == 2 for lane in last["lanes"])
    assert "NaN" not in last["note"] and "nan" not in last["note"]
    first = [opened(lane["rows"][1]["strip"]).crop((0, 0, 28, 28)).tobytes() for lane in last["lanes"]]
    assert first[0] == first[1], "the same noise"


def test_the_same_seed_walks_the_same_paths(few):
    one, two, other = (walk(*DENOISES[:2], seed=seed)[-1]["lanes"] for seed in (3, 3, 4))
    assert one == two != other


def test_pupils_stand_below_their_teachers(few, monkeypatch):
    pupils = [n for n in registry.names("Samples") if registry.spec(n).starts_from in DENOISES]
    able = [n for n in pupils if "num_steps" in registry.spec(n).defaults()]
    assert able, "a model that starts from another and draws in steps"
    teacher = registry.spec(able[0]).starts_from
    assert able[0] in diffuse_velocity.pupils([teacher])
    note = walk(teacher, next(n for n in DENOISES if n != teacher))[-1]["note"]
    assert registry.spec(able[0]).title in note


@pytest.mark.parametrize("name", SCORES)
def test_any_two_models_with_a_score_are_compared(name, few):
    other = next(n for n in SCORES if n != name)
    last = compare(name, other)[-1]
    assert "pg-done" in last["status"] and len(last["lanes"]) == 2 and len(last["marks"]) == 13
    assert last["note"].count("<svg") == 2
    first = [opened(lane["rows"][0]["strip"]).crop((0, 0, 28, 28)).tobytes() for lane in last["lanes"]]
    assert first[0] == first[1], "the same noise"


def test_bad_requests_get_a_sentence():
    one, two = DENOISES[:2]
    without = next(n for n in registry.names() if "Denoises" not in registry.spec(n).capabilities)
    for first, second, label, seed in (
        (one, one, "any", 0), (one, without, "any", 0), (one, "nothing", "any", 0), (None, two, "any", 0),
        (one, two, "12", 0), (one, two, "any", -1), (one, two, "any", "many"),
    ):  # fmt: skip
        refused(lambda a=first, b=second, c=label, d=seed: walk(a, b, c, d))
    refused(lambda: compare(SCORES[0], SCORES[0]))
    refused(lambda: compare(SCORES[0], without))


@pytest.mark.parametrize("which", ["walk", "compare"])
def test_stopping_ends_it_with_a_word(which, few):
    stream = (
        diffuse_velocity.walk(asked(), *DENOISES[:2], "any", 0)
        if which == "walk"
        else diffuse_velocity.compare(asked(), *SCORES[:2], 0)
    )
    next(stream)
    stop = diffuse_velocity.stop_walk if which == "walk" else diffuse_velocity.stop_compare
    stop(asked())
    assert "pg-stopped" in updates(stream)[-1]["status"]


def test_trails_of_every_model_have_finite_numbers(few):
    for name in DENOISES:
        spec = registry.spec(name)
        trail = velocity.Trail(fresh(name), spec)
        list(trail.walk(velocity.noise_of(spec, 2, 0), None, 4, 1.0))
        for found in (trail.as_walked(), trail.as_straight_mixture()):
            assert found.bend >= 0 and found.detour >= 1 - 1e-6
