"""The Latent tab's sections on models with labels or styles: the class that is held, the spread of styles."""

import json

import pytest
import torch
from contract_helpers import fresh
from test_latent import Styled
from test_latent_tab import ENCODES, NAMES, address, digit, request, shown

from playground import families, latent, locale, registry
from playground.tabs import latent_panel, latent_request, latent_sections

HELD = [n for n in registry.names("Encodes") if registry.spec(n).conditional and n in NAMES]
LABELLED = next(n for n in HELD if "map" in latent_request.sections(registry.spec(n)))


@pytest.fixture(autouse=True)
def little_work(monkeypatch):
    monkeypatch.setattr(latent_sections, "NUM_CODES", 60)
    monkeypatch.setattr(latent_sections, "NUM_CELLS", 4)


@pytest.fixture
def strips(monkeypatch):
    """The pictures of every row that a section draws, by its title."""
    drawn = {}

    def row(title, x, *rest, **more):
        drawn[title] = x
        return {"frames": len(x)}

    monkeypatch.setattr(latent_panel, "row", row)
    return drawn


@pytest.mark.parametrize("name", HELD)
def test_an_own_digit_decides_the_class_that_is_held(name, monkeypatch):
    spec, three, eight = registry.spec(name), address(digit(0)), address(digit(1))
    read = [(latent_request.picture(three, spec), 3), (latent_request.picture(eight, spec), 8)]
    known = lambda x: next((label, 0.9) for seen, label in read if torch.equal(x, seen))  # noqa: E731
    monkeypatch.setattr(families, "read", known)
    for start, end, label in ((three, eight, 3), (eight, "", 8), ("", eight, 8), ("", "", 7)):
        assert latent_request.check(name, "any", 27, 0, 1.0, start, end).label == label
    assert latent_request.check(name, "5", 27, 0, 1.0, three, eight).label == 5
    assert latent_request.check(ENCODES, "any", 27, 0, 1.0, three).label is None


def test_arithmetic_decodes_with_the_label_that_the_code_was_found_with(strips):
    model, middle = fresh(LABELLED), len(latent_sections.STRENGTHS) // 2
    *_, last = latent_sections.arithmetic(model, request(LABELLED, label=7), 3, 8)
    z, _, labels = latent_sections._CODES[model]
    base = z[(labels == 3).nonzero()[0, 0]][None]
    again, other = (model.decode(base, torch.tensor([label]))[0] for label in (3, 7))
    for strip in strips.values():
        torch.testing.assert_close(strip[middle], again, atol=1e-4, rtol=1e-3)
        assert not torch.allclose(strip[middle], other, atol=1e-3)
    said = json.loads(last)
    assert locale.both("latent.class_held", label=3) in said["status"]
    assert locale.both("latent.arithmetic_held", label=3) in said["note"]


def test_arithmetic_on_an_own_digit_keeps_to_the_class_that_is_held(strips):
    model, middle, held = fresh(LABELLED), len(latent_sections.STRENGTHS) // 2, torch.tensor([5])
    own = request(LABELLED, label=5, pictures=(digit(2), None))
    *_, last = latent_sections.arithmetic(model, own, 3, 8)
    again = model.decode(model.encode(digit(2), held), held)[0]
    for strip in strips.values():
        torch.testing.assert_close(strip[middle], again, atol=1e-4, rtol=1e-3)
    assert locale.both("latent.to_class", source=5, target=8) in strips
    assert locale.both("latent.class_held", label=5) in json.loads(last)["status"]


def test_the_map_says_which_class_is_held(untrained):
    said = locale.both("latent.class_held", label=4)
    assert said in shown("map", LABELLED, label="4")[-1]["status"]
    assert "all the way" not in shown("map", ENCODES)[-1]["status"]


def test_mixing_and_directions_heed_the_spread_of_styles(strips):
    model, pulled = Styled(), request(spread=0.5)
    first, second = next(latent.decode(model, latent_request.ends(model, pulled), None, 2, spread=0.5))
    list(latent_sections.styles(model, pulled))
    crossed = strips.pop(locale.both("latent.crossed"))
    torch.testing.assert_close(torch.stack([crossed[0], crossed[-1]]), torch.stack([first, second]))
    strips.clear()
    list(latent_sections.principal(model, pulled))
    assert strips
    for strip in strips.values():
        torch.testing.assert_close(strip[len(latent_sections.SIGMAS) // 2], first)
