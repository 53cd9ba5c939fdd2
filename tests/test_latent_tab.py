"""The Latent tab without a browser: its sections, its endpoint, what it refuses, stopping."""

import base64
import io
import json
import threading

import gradio as gr
import pytest
import torch
from app_helpers import asked, refused
from contract_helpers import fresh, rng
from PIL import Image
from test_latent import Planted, Styled

from playground import data, directions, families, judge, locale, registry
from playground.tabs import common, latent, latent_panel, latent_request, latent_sections, latent_truncation
from playground.tabs.latent_request import Asked
from playground.tabs.pieces import address
from playground.validation import InvalidInput

NAMES = registry.names("HasLatent")
ENCODES = next(n for n in NAMES if "map" in latent_request.sections(registry.spec(n)))
PLAIN = next(n for n in NAMES if "Encodes" not in registry.spec(n).capabilities)
SLOW = next(n for n in NAMES if "Denoises" in registry.spec(n).capabilities)


@pytest.fixture(autouse=True)
def little_work(monkeypatch):
    monkeypatch.setattr(latent_sections, "NUM_CODES", 60)
    monkeypatch.setattr(latent_sections, "NUM_CELLS", 4)
    monkeypatch.setattr(latent_truncation, "NUM_SPREAD", 4)


def digit(index=0):
    return data.to_float(data.load("mnist", "test").images[index : index + 1])


def values(name, **changes):
    found = {"label": "any", "seed": 3, "seed_to": 8, "spread": 1.0, "start": "", "end": ""} | changes
    return [name, *found.values()]


def shown(key, name, *own, **changes):
    """All that a section's button sends to its panel."""
    return [
        json.loads(u)
        for u in latent.drawer(key)(asked(), *values(name, **changes), *own)
        if isinstance(u, str)
    ]


OWN = {"interpolate": (4,), "grid": (3, "4", 5, 6), "arithmetic": ("3", "8")}


@pytest.mark.parametrize("key", [k for k in latent.SECTIONS if k != "styles"])
def test_every_section_ends_with_a_picture(key, untrained):
    updates = shown(key, ENCODES, *OWN.get(key, ()))
    assert updates[0]["busy"] and not updates[-1]["busy"] and "pg-done" in updates[-1]["status"]
    last = updates[-1]
    if key in latent.PLANES:
        sheet = Image.open(io.BytesIO(base64.b64decode(last["sheet"].split(",")[1])))
        assert sheet.size == (28 * last["cells"],) * 2
    else:
        assert all(row["frames"] == len(last["marks"]) for row in last["rows"]) and last["rows"]
    again = shown(key, ENCODES, *OWN.get(key, ()))[-1]
    assert again | {"status": ""} == last | {"status": ""}  # the same request, the same pictures


def test_a_stepwise_model_interpolates_but_is_not_mapped(untrained):
    assert latent_request.sections(registry.spec(SLOW))[:2] == ["interpolate", "grid"]
    assert not {"map", "directions"} & set(latent_request.sections(registry.spec(SLOW)))
    updates = shown("interpolate", SLOW, 3)
    rows = updates[-1]["rows"]
    assert len(rows) == 2 and rows[0]["frames"] == 3 and rows[0]["strip"] != rows[1]["strip"]
    assert f"network evaluations: <b>{registry.load(SLOW).decode_nfe}</b>" in updates[-1]["status"]


@pytest.mark.parametrize("name", NAMES)
def test_sections_follow_capabilities(name):
    spec = registry.spec(name)
    keys = latent_request.sections(spec)
    assert ("styles" in keys) == ("HasStyles" in spec.capabilities)
    assert ("map" in keys) <= ("Encodes" in spec.capabilities)
    for key in latent.SECTIONS:
        assert (f'data-section="{key}"' in latent.navigation(spec)) == (key in keys)
    assert 0 < latent_request.usual_spread(spec) <= latent_request.MAX_SPREAD


def test_endpoint_measures_what_the_page_shows(untrained):
    found = latent.interpolate(ENCODES, 3, 8, "any", 5, "lerp", 1.0, None, None, asked())
    assert len(found["steps"]) == 4 and found["path_length"] == pytest.approx(sum(found["steps"]))
    assert found["unevenness"] >= 0 and found["detour"] >= 1 - 1e-9 and found["seen_by"] == "features"
    rows = shown("interpolate", ENCODES, 5)[-1]["rows"]
    assert found["png"] == rows[1]["strip"] != rows[0]["strip"]
    film = Image.open(io.BytesIO(base64.b64decode(found["gif"].split(",")[1])))
    assert film.n_frames >= 2 and film.format == "GIF"
    json.dumps(found)


def test_own_pictures_are_the_ends(untrained):
    model = fresh(ENCODES)
    spec = registry.spec(ENCODES)
    x = digit(3), digit(8)
    request = Asked(ENCODES, spec, None, (0, 1), 1.0, x)
    ends = latent_request.ends(model, request)
    torch.testing.assert_close(ends, model.encode(torch.cat(x)).float(), atol=1e-4, rtol=1e-3)
    thumbs = shown("interpolate", ENCODES, 4, start=address(x[0]))[-1]["thumbs"]
    assert len(thumbs) == 2 and thumbs[0]["picture"] == address(latent_request.picture(address(x[0]), spec))


def test_the_class_is_held_and_the_seed_decides_where_none_is_asked():
    name = next(n for n in NAMES if registry.spec(n).conditional)
    assert latent_request.check(name, "any", 27, 0).label == 7
    assert latent_request.check(name, "4", 27, 0).labels(3).tolist() == [4, 4, 4]
    plain = next(n for n in NAMES if not registry.spec(n).conditional)
    assert latent_request.check(plain, "any", 27, 0).labels(3) is None


BAD = [
    {"label": "12"}, {"label": "3"}, {"seed": -1}, {"seed": "0"}, {"seed_to": None}, {"spread": 9},
    {"spread": float("nan")}, {"spread": "1"}, {"start": "x"}, {"start": 5},
    {"end": "data:image/png;base64,AAAA"},
    {"end": "data:image/svg+xml;base64," + base64.b64encode(b"<svg/>").decode()},
]  # fmt: skip


@pytest.mark.parametrize("change", BAD, ids=str)
def test_bad_values_get_a_sentence(change, untrained):
    refused(lambda: shown("interpolate", ENCODES, 4, **change))


@pytest.mark.parametrize(
    "key, own",
    [
        ("interpolate", (2,)), ("interpolate", (None,)), ("interpolate", (4.5,)), ("grid", (99, "4", 0, 0)),
        ("grid", (3, "3", 0, 0)), ("grid", (3, "4", None, 0)), ("arithmetic", ("x", "8")), ("styles", ()),
        ("arithmetic", (3, "8")),
    ],
)  # fmt: skip
def test_bad_values_of_a_section_get_a_sentence(key, own, untrained):
    refused(lambda: shown(key, ENCODES, *own))


def test_a_model_that_does_not_encode_says_so(untrained):
    with pytest.raises(InvalidInput, match="encodes"):
        latent_request.check(PLAIN, "any", 0, 1, 1.0, address(digit()))
    for key in ("map", "arithmetic"):
        refused(lambda key=key: shown(key, PLAIN, *OWN.get(key, ())))
    assert (
        shown("interpolate", PLAIN, 4, start=address(digit()))[-1]["thumbs"] == []
    )  # a hidden pad is overlooked


def test_nothing_shipped_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_PRETRAINED", str(tmp_path))
    registry.unload()
    refused(lambda: shown("interpolate", PLAIN, 4))
    assert latent_request.start_name() in NAMES


def test_stop_ends_it_between_two_parts(monkeypatch):
    begun = threading.Event()

    def endless(model):
        while True:
            begun.set()
            yield 0.5

    monkeypatch.setattr(common, "obtain", lambda name, owner: None)
    updates = []
    thread = threading.Thread(target=lambda: updates.extend(latent.follow(endless, PLAIN, "test")))
    thread.start()
    assert begun.wait(10)
    latent.stop(asked())
    thread.join(10)
    assert not thread.is_alive() and "pg-stopped" in updates[-1] and "pg-done" not in "".join(updates)


def test_a_superseded_section_draws_no_more(monkeypatch):
    monkeypatch.setattr(common, "obtain", lambda name, owner: None)
    old = latent.follow(lambda model: iter([0.5, "the end"]), PLAIN, "test")
    next(old)
    assert list(latent.follow(lambda model: iter(["the end"]), PLAIN, "test"))[-1] == "the end"
    assert list(old) == [gr.skip()]


# What the sections say


def request(spec_of=PLAIN, **changes):
    made = {
        "name": spec_of,
        "spec": registry.spec(spec_of),
        "label": None,
        "seeds": (0, 1),
        "spread": 1.0,
    } | changes
    return Asked(**made)


def test_mixing_starts_with_one_latent_and_ends_with_the_other(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        latent_panel, "row", lambda title, x, *rest, **more: drawn.append(x) or {"frames": len(x)}
    )
    model = Styled()
    *_, last = latent_sections.styles(model, request())
    crossed, single = drawn
    ends = model.decode(latent_request.ends(model, request())).detach()
    torch.testing.assert_close(torch.stack([crossed[0], crossed[-1]]), ends)
    torch.testing.assert_close(single[0], ends[0])
    torch.testing.assert_close(single[1], crossed[1])  # of two layers, the first alone is the first crossing
    assert json.loads(last)["marks"] == ["0 / 2", "1 / 2", "2 / 2"]


def test_styles_of_two_digits_mix(monkeypatch):
    monkeypatch.setattr(latent_panel, "row", lambda title, x, *rest, **more: {"frames": len(x)})
    told, model = [], Styled()
    plain = model.styles
    monkeypatch.setattr(model, "styles", lambda z, labels=None: told.append(labels) or plain(z))
    for other, to in ((None, 1), (8, 8)):
        *_, last = latent_sections.styles(model, request(label=3), other)
        assert told.pop().tolist() == [3, to] and f"class 3 → class {to}" in json.loads(last)["status"]
    *_, last = latent_sections.styles(model, request())
    assert told.pop() is None and "→ class" not in json.loads(last)["status"]


def test_arithmetic_adds_the_difference_of_means(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        latent_panel, "row", lambda title, x, *rest, **more: drawn.append(x) or {"frames": len(x)}
    )
    model, spec = fresh(ENCODES), registry.spec(ENCODES)
    *_, last = latent_sections.arithmetic(model, request(ENCODES), 3, 8)
    z, _, labels = latent_sections._CODES[model]
    means = directions.class_means(z, labels)
    base = z[(labels == 3).nonzero()[0, 0]][None]
    at_one = latent_sections.STRENGTHS.tolist().index(1.0)
    torch.testing.assert_close(
        drawn[0][at_one], model.decode(base + means[8] - means[3])[0], atol=1e-3, rtol=1e-3
    )
    torch.testing.assert_close(drawn[0][6], model.decode(base)[0], atol=1e-3, rtol=1e-3)
    assert len(drawn) == 4 and spec.title in json.loads(last)["status"]


def test_codes_are_computed_once():
    model = Planted()
    assert len(list(latent_sections.codes(model, request()))) > 0
    assert list(latent_sections.codes(model, request())) == []


def test_a_picture_that_is_no_digit_is_told_so(monkeypatch):
    for sure, key in ((0.99, "latent.read"), (0.2, "latent.no_digit")):
        monkeypatch.setattr(families, "read", lambda x, sure=sure: (4, sure))
        said = latent_sections._read_as(torch.zeros(1, 1, 28, 28), request())
        assert said.strip() == locale.both(key, label=4, sure=f"{sure:.0%}")


def test_the_classifier_reads_real_digits():
    if not registry.shipped(judge.NAME):
        pytest.skip("no classifier")
    labels = data.load("mnist", "test").labels
    right = sum(families.read(digit(i))[0] == labels[i] for i in range(10))
    assert right >= 9


def test_the_map_places_its_points_inside(untrained):
    last = shown("map", ENCODES)[-1]
    points = torch.tensor(last["points"])
    assert len(points) > 40 and points[:, :2].min() >= 0 and points[:, :2].max() <= 1000
    assert set(points[:, 2].tolist()) <= set(range(10)) and len(last["names"]) == 10


def test_two_corners_and_four(untrained):
    two, four = (shown("grid", ENCODES, 3, number, 5, 6)[-1] for number in ("2", "4"))
    assert two["sheet"] != four["sheet"]
    assert two["corners"][1] == two["corners"][2] == "" and all(four["corners"])


def test_truncation_at_nothing_has_no_diversity(untrained):
    last = shown("truncation", ENCODES)[-1]
    assert (
        "diversity 0.00" in last["rows"][0]["says"][0] and "diversity 0.00" not in last["rows"][0]["says"][-1]
    )


def test_choosing_a_model_sets_its_controls():
    changes = latent.choose(SLOW, asked())
    assert len(changes) == 6 and changes[4] < latent.choose(PLAIN, asked())[4]
    assert rng().initial_seed() == 0 and latent.refresh(asked())["choices"]
