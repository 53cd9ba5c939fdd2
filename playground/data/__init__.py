"""Data sets: whole in memory as uint8, indexed by number.

An embedded set needs no network. Loading is cached, checksums are verified the first time, and a set that
cannot be found raises `DataUnavailable` with the command that would put it where.
"""

import threading
from collections.abc import Callable

import torch
from torch import Tensor

from playground.data import emoji, idx, pairs, toys
from playground.data.images import DataUnavailable, Images

__all__ = [
    "DataUnavailable",
    "Images",
    "binarise",
    "in_proportion",
    "in_turn",
    "load",
    "names",
    "pictures_of",
    "to_float",
    "to_uint8",
]

_LOADERS: dict[str, Callable[[str], Images]] = {
    "mnist": idx.load_mnist,
    "fashion_mnist": idx.load_fashion_mnist,
    "emoji_noto": emoji.load_noto,
    "emoji_twemoji": emoji.load_twemoji,
    "emoji": emoji.load_both,
    "emoji_named": emoji.load_named,
    **toys.LOADERS,
    **pairs.LOADERS,
}
# Sets whose pictures are those of another, in part or under other labels: one classifier judges them all.
_PICTURES_OF = {"emoji_noto": "emoji", "emoji_twemoji": "emoji", "emoji_named": "emoji"}
_LOADED: dict[tuple[str, str], Images] = {}
_LOCK = threading.Lock()  # guards the dictionary below
_LOCKS: dict[tuple[str, str], threading.Lock] = {}  # one loads, perhaps for long, and others load other sets


def names() -> list[str]:
    """Every data set there is."""
    return list(_LOADERS)


def load(name: str, split: str = "train") -> Images:
    """One split of a data set, read once and shared.

    Args:
        name: one of `names()`.
        split: ``train`` or ``test``.

    Raises:
        ValueError: for an unknown name or split.
        DataUnavailable: if its files are not here and cannot be fetched, or are damaged.
    """
    if name not in _LOADERS:
        raise ValueError(f"There is no data set {name!r}; choose one of: {', '.join(_LOADERS)}.")
    if split not in ("train", "test"):
        raise ValueError(f"A data set has a 'train' and a 'test' split; got {split!r}.")
    with _LOCK:
        lock = _LOCKS.setdefault((name, split), threading.Lock())
    with lock:
        if (name, split) not in _LOADED:
            _LOADED[name, split] = _LOADERS[name](split)
        return _LOADED[name, split]


def pictures_of(name: str) -> str:
    """The data set that holds all the pictures of which these are some, perhaps under other labels."""
    return _PICTURES_OF.get(name, name)


def in_turn(num: int, num_classes: int = 10) -> Tensor:
    """(num,) int64 labels for pictures of which no class was asked: picture i shows i mod num_classes."""
    return torch.arange(num) % num_classes


def in_proportion(name: str, num: int) -> Tensor:
    """(num,) int64 labels, each class as often as among the training images.

    They make a model of p(picture | label) one of p(picture), which can be compared with the data. The first
    100 are `in_turn`, for a grid; each further one is the class that is then most behind its share, so that
    none is a whole picture off. A longer run begins like a shorter one.
    """
    counts = load(name).labels.bincount()
    first = in_turn(min(num, 100), num_classes=len(counts))
    off = len(first) * counts - first.bincount(minlength=len(counts)) * counts.sum()
    labels, shares, total, behind = first.tolist(), counts.numpy(), int(counts.sum()), off.numpy()
    for _ in range(len(labels), num):  # in NumPy: on ten numbers torch is several times slower
        behind += shares
        labels.append(int(behind.argmax()))
        behind[labels[-1]] -= total
    return torch.tensor(labels)


def to_float(images: Tensor) -> Tensor:
    """Uint8 in [0, 255] -> float32 in [-1, 1], same shape."""
    return images.to(torch.float32).mul_(2 / 255).sub_(1)


def to_uint8(x: Tensor) -> Tensor:
    """Float in [-1, 1] -> uint8 in [0, 255], rounded to the nearest of the 256 levels, same shape."""
    return x.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def binarise(x: Tensor, generator: torch.Generator) -> Tensor:
    """Stochastic binarisation (Salakhutdinov & Murray 2008): a pixel is 1 with its intensity as probability.

    Args:
        x: (B, C, H, W) in [-1, 1].
        generator: source of the coin flips, on any device.

    Returns:
        The same shape, values -1 and 1.
    """
    flips = torch.rand(x.shape, generator=generator, device=generator.device).to(x.device)
    return torch.where(flips < (x + 1) / 2, 1.0, -1.0)
