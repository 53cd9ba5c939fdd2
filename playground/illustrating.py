"""Words as they are drawn: every step, who looked at which word, and what lies between two prompts."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from playground import judge, wording
from playground.nn import randn
from playground.slots import Slots
from playground.spec import FollowsWords, GenerativeModel, ModelSpec, WordStep

MAX_FRAMES = 25  # of a film; of longer ways some moments are left out
_SEEN_AT_ONCE = 0.5  # the part of a picture that stays visible under a map


@dataclass(frozen=True)
class Asked:
    """What is to be drawn, checked.

    Attributes:
        spec: of the model.
        prompt: as it goes to the model, without the style.
        style: one of `emoji.STYLES`, or nothing.
        negative: what to keep away from.
        seed: of the noise.
        controls: of the model, all of them.
        other: the second prompt, for pictures between two.
        num: how many of those.
    """

    spec: ModelSpec
    prompt: str
    style: str
    negative: str
    seed: int
    controls: dict[str, Any]
    other: str = ""
    num: int = 1

    @property
    def caption(self) -> str:
        """What the model is told."""
        return wording.caption(self.prompt, self.style)

    @property
    def other_caption(self) -> str:
        """The second prompt as the model is told it."""
        return wording.caption(self.other, self.style)


class Verdict(NamedTuple):
    """What the emoji classifier says of a picture.

    Attributes:
        category: that it sees.
        share: of its belief.
        nearest: training emoji, first the one that the words name, then those nearest by their pixels.
    """

    category: str
    share: float
    nearest: list[wording.Neighbour]


@dataclass
class Film:
    """The moments of a way, at most `MAX_FRAMES`, the last one among them."""

    moments: list[WordStep] = field(default_factory=list)
    _slots: Slots = field(default_factory=lambda: Slots(MAX_FRAMES))

    def add(self, moment: WordStep) -> None:
        """Keep a moment if `Slots` wants it."""
        if self._slots.wants(moment.step, moment.num_steps):
            self.moments.append(moment)

    def maps(self, word: int) -> list[Tensor]:
        """Where a word was looked at, (h, w) a moment: from 0, the least of that moment, to 1, the most."""
        found = torch.stack([moment.attention[0, word] for moment in self.moments])
        least, most = found.amin((1, 2), keepdim=True), found.amax((1, 2), keepdim=True)
        return list((found - least) / (most - least).clamp(min=1e-6))

    def share(self, word: int) -> float:
        """The part of all attention that a word got, over all places and moments."""
        return float(torch.stack([moment.attention[0, word] for moment in self.moments]).mean())


def way(model: GenerativeModel, asked: Asked) -> Iterator[WordStep]:
    """Draw one picture, or `num` between two prompts from the same noise."""
    generator = torch.Generator().manual_seed(asked.seed)
    drawer = cast(FollowsWords, model)
    more: dict[str, Any] = {}
    prompts = [asked.caption] * asked.num
    if asked.other:
        noise = randn((1, *drawer.latent_shape), generator)
        more = {
            "others": [asked.other_caption] * asked.num,
            "mix": torch.linspace(0, 1, asked.num),
            "noise": noise.expand(asked.num, -1, -1, -1),
        }
    return drawer.illustrate(prompts, negative=asked.negative, generator=generator, **more, **asked.controls)


def overlay(picture: Tensor, grid: Tensor) -> Tensor:
    """A faint grey picture (1, 3, H, W) with a map (h, w) in [0, 1] on it, as orange as the map is high."""
    size = picture.shape[2:]
    heat = torch.nn.functional.interpolate(grid[None, None], size, mode="bicubic").clamp(0, 1)
    faint = 1 - _SEEN_AT_ONCE * (1 - picture.mean(1, keepdim=True))
    orange = torch.tensor([0.84, -0.2, -0.9]).view(1, 3, 1, 1)
    return faint.expand(-1, 3, -1, -1) * (1 - 0.85 * heat) + orange * 0.85 * heat


def verdict(x: Tensor, asked: Asked, classes: tuple[str, ...]) -> Verdict:
    """What the classifier sees in a picture (1, 3, H, W), and the training emoji to hold beside it."""
    seen = judge.look(x, judge.of(wording.NAMED) or judge.NAME)[1].softmax(1)[0]
    best = int(seen.argmax())
    near = wording.nearest(x, known_as=wording.named(asked.prompt, asked.style))
    return Verdict(classes[best], float(seen[best]), near)
