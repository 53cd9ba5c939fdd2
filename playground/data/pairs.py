"""Two looks of the same pictures, for models that translate: the channels of A, then those of B, in one row.

Sets named ``..._unpaired`` are for models that must do without pairs: in their ``train`` split B's rows
stand in another order, fixed for good, in which no row has its own counterpart. The ``test`` split is paired
in all of them: held-out pictures (for emoji those whose index is a multiple of ten), and their counterparts,
which carry the scores.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from playground.data import emoji, idx, sketches
from playground.data.images import Images
from playground.spec import Words

_UNPAIRED = "_unpaired"


class Domain(NamedTuple):
    """One look of the pictures.

    Attributes:
        key: of it.
        title: what people call it.
        channels: 1 (grey) or 3 (red, green, blue).
        side: pixels along an edge.
        paper: what is there where nothing is drawn, in [-1, 1].
        judge: the data set whose classifier knows such pictures; none if empty.
    """

    key: str
    title: Words
    channels: int
    side: int
    paper: float
    judge: str = ""


@dataclass(frozen=True)
class Pair:
    """Two looks, and where their pictures come from."""

    a: Domain
    b: Domain
    load: Callable[[str], tuple[Tensor, Tensor, Images]]  # split -> A's, B's, and whose labels they have

    @property
    def domains(self) -> tuple[Domain, Domain]:
        """A and B."""
        return self.a, self.b


def _styles(split: str) -> tuple[Tensor, Tensor, Images]:
    noto = emoji.load_noto(split)
    return noto.images, emoji.load_twemoji(split).images, noto


def _sketches(split: str) -> tuple[Tensor, Tensor, Images]:
    drawn = emoji.load_twemoji(split)
    return _edges(split), drawn.images, drawn


@cache
def _edges(split: str) -> Tensor:
    """Some seconds of work, for the paired and the unpaired set alike."""
    return sketches.edges(emoji.load_twemoji(split).images)


def _outlines(split: str) -> tuple[Tensor, Tensor, Images]:
    digits = idx.load_mnist(split)
    return digits.images, sketches.outline(digits.images), digits


_TWEMOJI = Domain("twemoji", Words("Twemoji", "Twemoji"), 3, 64, 1.0, "emoji")
PAIRS = {
    "emoji_styles": Pair(Domain("noto", Words("Noto", "Noto"), 3, 64, 1.0, "emoji"), _TWEMOJI, _styles),
    "emoji_sketches": Pair(Domain("sketch", Words("Sketch", "线稿"), 1, 64, 1.0), _TWEMOJI, _sketches),
    "mnist_outlines": Pair(
        Domain("digit", Words("Digit", "数字"), 1, 28, -1.0, "mnist"),
        Domain("outline", Words("Outline", "空心轮廓"), 1, 28, -1.0),
        _outlines,
    ),
}


def pair(name: str) -> Pair:
    """What the two halves of a data set's rows show, paired or unpaired.

    Raises:
        ValueError: if it is no set of pairs.
    """
    try:
        return PAIRS[name.removesuffix(_UNPAIRED)]
    except KeyError:
        raise ValueError(f"{name!r} is no set of pairs; choose one of: {', '.join(LOADERS)}.") from None


def halves(name: str, x: Tensor) -> tuple[Tensor, Tensor]:
    """(B, C_A + C_B, H, W) rows of a set of pairs -> A's (B, C_A, H, W) and B's (B, C_B, H, W)."""
    first = pair(name).a.channels
    return x[:, :first], x[:, first:]


def derangement(num: int, seed: int = 0) -> Tensor:
    """(num,) int64: an order, the same for the same seed, in which nothing stays at its place; num >= 2."""
    ring = torch.randperm(num, generator=torch.Generator().manual_seed(seed))
    order = torch.empty_like(ring)
    order[ring] = ring.roll(-1)  # everyone's place goes to the next one of the ring
    return order


def _load(name: str, split: str) -> Images:
    a, b, source = pair(name).load(split)
    if split == "train" and name.endswith(_UNPAIRED):
        b = b[derangement(len(b))]
    return Images(name, torch.cat([a, b], dim=1), source.labels, source.classes)


LOADERS: dict[str, Callable[[str], Images]] = {
    name: (lambda split, name=name: _load(name, split))  # type: ignore[misc]  # mypy knows no such defaults
    for name in (*PAIRS, *(key + _UNPAIRED for key in PAIRS))
}
