"""How well pictures follow words: are drawings of names that were never seen of the right kind?

Every tenth emoji is held out of all training. Its name and a style make a caption, the model draws it, and
the emoji classifier, which has not seen it either, says which of nine categories the drawing shows. What it
says of the real pictures of the same emoji is the most that can be expected, and the share of the largest
category is what saying always the same would give. A second number does without categories: among the real
held-out pictures of the same style, is the one that was asked for among the five whose features are nearest?
"""

from collections.abc import Collection
from functools import cache
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from playground import data, judge
from playground.data import emoji
from playground.data import words as vocabulary
from playground.data.emoji import STYLES
from playground.judge import Metrics, entry
from playground.measuring import SEED, Clock, Part, Steps
from playground.spec import FollowsWords, GenerativeModel, ModelSpec

NAMED = "emoji_named"
TOP = 5
SIDE = 32  # pixels at which a drawing is compared with training emoji: ragged outlines count for less
_BATCH = 96
_MAX_SEEN = 192  # captions of training emoji that are drawn for comparison


class Neighbour(NamedTuple):
    """A training emoji that resembles a picture.

    Attributes:
        place: in `emoji.load_named`.
        name: of the emoji.
        style: whose hand it is.
        distance: root mean square of the differences of all pixels, from 0 (the same picture) to 255.
        named: whether the words name it.
        image: (3, 64, 64) uint8.
    """

    place: int
    name: str
    style: str
    distance: float
    named: bool
    image: Tensor


def caption(name: str, style: str) -> str:
    """A prompt that asks for a thing in a style; no style leaves it to the model."""
    return f"{name}, {style}" if style else name


def places(split: str) -> list[int]:
    """The places in `emoji.load_named` of a split's pictures, Noto's first."""
    return data.load(NAMED, split).labels.tolist()


def named(prompt: str, style: str = "") -> set[int]:
    """The places of all emoji that a prompt is the name of, in a style or in both; held-out ones too."""
    asked, num, found = vocabulary.split(prompt), len(emoji.entries()), set()
    for index, one in enumerate(emoji.entries()):
        if asked in (vocabulary.split(one["name"]), vocabulary.split(one["short_name"])):
            found |= {number * num + index for number, hand in enumerate(STYLES) if style in ("", hand)}
    return found


def nearest(x: Tensor, num: int = 3, known_as: Collection[int] = ()) -> list[Neighbour]:
    """The training emoji that a person would hold beside a picture: by pixels, for features see a kind only.

    Args:
        x: (1, 3, 64, 64) in [-1, 1].
        num: how many, the nearest first.
        known_as: places of emoji that the words name (`named`); the nearest of them goes before the others.
    """
    distances = (_small() - _shrunk(data.to_uint8(x.cpu()))).square().mean(dim=1).sqrt()
    images, labels = data.load(NAMED).images, places("train")
    order = distances.argsort().tolist()
    first = [row for row in order if labels[row] in known_as][:1]
    rows = first + [row for row in order if row not in first][:num]
    return [_neighbour(labels[row], images[row], float(distances[row]), row in first) for row in rows]


@cache
def apart() -> float:
    """The median distance of two training emoji taken at random, which says what is far."""
    small = _small()
    other = small[torch.randperm(len(small), generator=torch.Generator().manual_seed(SEED))]
    return float((small - other).square().mean(dim=1).sqrt().median())


@cache
def _small() -> Tensor:
    """All training emoji as they are compared, (N, 3 SIDE SIDE)."""
    return _shrunk(data.load(NAMED).images)


def _shrunk(images: Tensor) -> Tensor:
    """(B, 3, 64, 64) uint8 -> (B, 3 SIDE SIDE), from 0 to 255."""
    return F.avg_pool2d(images.float(), emoji.SIDE // SIDE).flatten(1)


def _neighbour(place: int, image: Tensor, distance: float, named: bool) -> Neighbour:
    style, index = divmod(place, len(emoji.entries()))
    return Neighbour(place, emoji.entries()[index]["name"], STYLES[style], distance, named, image)


def _judge() -> str:
    return judge.of(NAMED) or judge.NAME


def measure(spec: ModelSpec, model: GenerativeModel, num: int) -> Part:
    """Category and retrieval of drawings of held-out captions, at most `num` in a style, and of seen ones."""
    held_out, seen = places("test"), places("train")
    half = min(num, len(held_out) // 2)
    held_out = held_out[:half] + held_out[len(held_out) // 2 :][:half]
    seen = [seen[i] for i in judge.some(len(seen), min(len(held_out), _MAX_SEEN)).tolist()]
    clock = Clock("wording", len(held_out) + len(seen))
    drawn = yield from _draw(spec, model, held_out, clock)
    again = yield from _draw(spec, model, seen, clock)
    features, logits = judge.look(drawn, _judge())
    real_features, real_logits = judge.look(_real("test", held_out), _judge())
    truth, right = _categories(held_out), logits.argmax(1) == _categories(held_out)
    real = real_logits.argmax(1) == truth
    chance = (truth.bincount().max() / len(truth)).item()
    facts: dict[str, Any] = {"chance": round(chance, 4)}
    ranked = _ranks(features, real_features, half) < TOP
    result = {
        "wording_category": _share(right, real=_mean(real), **facts),
        "wording_retrieval": _share(ranked, top=TOP, of=half, chance=round(TOP / half, 4)),
        "wording_seen": _share(judge.look(again, _judge())[1].argmax(1) == _categories(seen), **facts),
    }
    for number, style in enumerate(STYLES):
        rows = slice(number * half, (number + 1) * half)
        result[f"wording_{style.lower()}"] = _share(right[rows], real=_mean(real[rows]), **facts)
    return result


def _draw(spec: ModelSpec, model: GenerativeModel, chosen: list[int], clock: Clock) -> Steps[Tensor]:
    """(N, 3, 64, 64): a drawing for each place's name and style, with the controls at their defaults."""
    generator, drawn, before = torch.Generator().manual_seed(SEED), list[Tensor](), clock.done
    for start in range(0, len(chosen), _BATCH):
        part = chosen[start : start + _BATCH]
        prompts = [data.load(NAMED).classes[place] for place in part]
        for moment in cast(FollowsWords, model).illustrate(prompts, generator=generator, **spec.defaults()):
            yield clock.event(before + start + len(part) * moment.step // moment.num_steps)
        drawn.append(moment.x0_hat.float().cpu())
    return torch.cat(drawn)


def _real(split: str, chosen: list[int]) -> Tensor:
    """The real pictures at some places of a split: (N, 3, 64, 64) in [-1, 1]."""
    row = {place: i for i, place in enumerate(places(split))}
    return data.to_float(data.load(NAMED, split).images[[row[place] for place in chosen]])


def _categories(chosen: list[int]) -> Tensor:
    """(N,) the category of the emoji at each place, as the classifier numbers them."""
    classes = data.load("emoji", "test").classes
    entries = emoji.entries()
    return torch.tensor([classes.index(entries[place % len(entries)]["category"]) for place in chosen])


def _ranks(drawn: Tensor, real: Tensor, half: int) -> Tensor:
    """(2 half,) how many real pictures of the same style are nearer to a drawing than the one asked for."""
    ranks = []
    for part, other in zip(drawn.split(half), real.split(half), strict=True):
        similar = F.normalize(part, dim=1) @ F.normalize(other, dim=1).T
        ranks.append((similar > similar.diag()[:, None]).sum(1))
    return torch.cat(ranks)


def _share(right: Tensor, **facts: Any) -> dict[str, Any]:
    return entry(_mean(right), len(right), **facts)


def _mean(right: Tensor) -> float:
    return round(right.double().mean().item(), 4)


__all__ = ["Metrics", "Neighbour", "apart", "caption", "measure", "named", "nearest", "places"]
