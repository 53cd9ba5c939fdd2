"""What the Translate tab is asked for, checked: a way to go, and pictures with their true counterparts."""

import json
import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from playground import data, registry, translating
from playground.data import emoji
from playground.spec import ModelSpec
from playground.tabs import common, mine
from playground.translating import Route
from playground.validation import InvalidInput, Term, choice, shown

MAX_PICTURES = 8
FIRST = {"emoji": "emoji:0,560,720,1360", "test": "test:0,1,2,7"}
_PICK = re.compile(r"(emoji|test):(\d{1,5}(?:,\d{1,5}){0,31})")


@dataclass(frozen=True)
class Asked:
    """Pictures to translate.

    Attributes:
        way: from which look to which.
        x: (B, C, H, W) in [-1, 1].
        truth: (B, C', H, W) the true counterparts; None for pictures of the reader's own.
        names: what each shows; empty for pictures of the reader's own.
    """

    way: Route
    x: Tensor
    truth: Tensor | None
    names: tuple[str, ...]


def kind(way: Route) -> str:
    """What held-out pictures of a way are called: ``emoji`` by their place, or ``test`` digits."""
    return "emoji" if way.target.side == emoji.SIDE else "test"


def way_of(spec: ModelSpec, direction: Any) -> Route:
    """Where a model goes in a direction; raises InvalidInput if it does not."""
    return translating.route(spec, choice(direction, "direction", translating.directions(spec)))


def asked(value: Any) -> Asked:
    """What the page's picker holds; raises InvalidInput."""
    return pictures(*chosen(value))


def chosen(value: Any) -> tuple[Route, Any]:
    """The way and the text of the pictures in the picker's JSON; raises InvalidInput."""
    try:
        request = json.loads(value) if isinstance(value, str) else None
    except (ValueError, RecursionError):
        request = None
    if not isinstance(request, dict):
        raise InvalidInput("translate.pick_first")
    routes = translating.routes()
    key = choice(request.get("route"), Term("translate.route"), routes)
    return routes[key], request.get("pick")


def pictures(way: Route, value: Any, spec: ModelSpec | None = None) -> Asked:
    """Pictures by a text: ``emoji:0,10``, ``test:5``, or the data URI of a file or a drawing.

    Args:
        way: from which look to which.
        value: the text.
        spec: of the model that is asked, by default any one that goes that way.

    Raises:
        InvalidInput: in one sentence.
    """
    if value is None or value == "":
        raise InvalidInput("translate.pick_first")
    if isinstance(value, str) and (found := _PICK.fullmatch(value)):
        return _held_out(way, found[1], [int(number) for number in found[2].split(",")])
    if isinstance(value, str) and not value.startswith("data:"):
        raise InvalidInput("translate.picture", kind=kind(way), value=shown(value))
    spec = spec or registry.spec(translating.models(way)[0])
    return Asked(way, translating.read(spec, way.direction, value), None, ())


def _held_out(way: Route, named: str, numbers: list[int]) -> Asked:
    x, truth = translating.held_out(way)
    every = emoji.HELD_OUT_EVERY if named == "emoji" else 1
    if named != kind(way):
        raise InvalidInput("translate.picture", kind=kind(way), value=named)
    if not 1 <= len(numbers) <= MAX_PICTURES:
        raise InvalidInput("translate.many", maximum=MAX_PICTURES, value=len(numbers))
    wrong = [number for number in numbers if number % every or number // every >= len(x)]
    if wrong:
        highest = every * (len(x) - 1)
        raise InvalidInput(f"translate.no_{named}", maximum=highest, value=wrong[0])
    rows = torch.tensor([number // every for number in numbers])
    names = tuple(name_of(way, number) for number in numbers)
    return Asked(way, data.to_float(x[rows]), data.to_float(truth[rows]), names)


def name_of(way: Route, number: int) -> str:
    """What a held-out picture shows."""
    if kind(way) == "emoji":
        return emoji.entries()[number]["name"]
    return str(int(data.load(way.dataset, "test").labels[number]))


def lanes(way: Route, owner: str) -> list[tuple[str, ModelSpec]]:
    """The models that go a way and can be used: those trained in the session, then the shipped ones.

    Raises:
        InvalidInput: if there is none, saying how the first one is made.
    """
    known = translating.models(way)
    own = [name for _, name in common.offered("Translates", owner) if mine.is_own(name)]
    found = [name for name in own if mine.plain(name) in known]
    found += [name for name in known if registry.shipped(name)]
    if not found:
        raise InvalidInput("common.no_weights", model=registry.spec(known[0]).title, name=known[0])
    return [(name, common.look_up(name, "Translates")) for name in found]
