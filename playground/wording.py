"""How well pictures follow words: are drawings of names that were never seen of the right kind?

Every tenth emoji is held out of all training. Its name and a style make a caption, the model draws it, and
the emoji classifier, which has not seen it either, says which of nine categories the drawing shows. What it
says of the real pictures of the same emoji is the most that can be expected, and the share of the largest
category is what saying always the same would give. A second number does without categories: among the real
held-out pictures of the same style, is the one that was asked for among the five whose features are nearest?
"""

from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from playground import data, judge
from playground.data import emoji
from playground.data.emoji import STYLES
from playground.judge import Metrics, entry
from playground.measuring import SEED, Clock, Part, Steps
from playground.spec import FollowsWords, GenerativeModel, ModelSpec

NAMED = "emoji_named"
TOP = 5
_BATCH = 96
_MAX_SEEN = 192  # captions of training emoji that are drawn for comparison


class Neighbour(NamedTuple):
    """A training emoji that resembles a picture.

    Attributes:
        place: in `emoji.load_named`.
        name: of the emoji.
        style: whose hand it is.
        similarity: cosine of the classifier's features, 1 for the same picture.
        image: (3, 64, 64) uint8.
    """

    place: int
    name: str
    style: str
    similarity: float
    image: Tensor


def caption(name: str, style: str) -> str:
    """A prompt that asks for a thing in a style; no style leaves it to the model."""
    return f"{name}, {style}" if style else name


def places(split: str) -> list[int]:
    """The places in `emoji.load_named` of a split's pictures, Noto's first."""
    return data.load(NAMED, split).labels.tolist()


@torch.no_grad()
def nearest(x: Tensor, num: int = 3) -> list[list[Neighbour]]:
    """The training emoji whose features are nearest: (B, 3, 64, 64) -> `num` for each, the nearest first.

    Raises:
        WeightsError: if there is no emoji classifier.
    """
    known = F.normalize(judge.features(NAMED, "train", 256), dim=1)
    found = F.normalize(judge.look(x, _judge())[0], dim=1) @ known.T
    images, labels = data.load(NAMED).images, places("train")
    rows = []
    for similarities in found:
        best = similarities.topk(num)
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        rows.append([_neighbour(labels[i], images[i], value) for i, value in pairs])
    return rows


def _neighbour(place: int, image: Tensor, similarity: float) -> Neighbour:
    style, index = divmod(place, len(emoji.entries()))
    return Neighbour(place, emoji.entries()[index]["name"], STYLES[style], similarity, image)


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


__all__ = ["Metrics", "Neighbour", "caption", "measure", "nearest", "places"]
