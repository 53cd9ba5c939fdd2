"""Two-dimensional toy distributions, whose density can be seen whole: points in [-1, 1]^2, (N, 2, 1, 1)."""

import math

import torch
from torch import Tensor

from playground.data.images import Images

_NUM_POINTS = {"train": 20_000, "test": 5_000}


def _eight_gaussians(num: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Eight modes on a circle: what a GAN that drops modes drops."""
    labels = torch.randint(8, (num,), generator=generator)
    angle = labels * (2 * math.pi / 8)
    centre = 0.75 * torch.stack([angle.cos(), angle.sin()], 1)
    return centre + 0.04 * torch.randn(num, 2, generator=generator), labels


def _two_moons(num: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two interlocking half circles."""
    labels = torch.randint(2, (num,), generator=generator)
    angle = math.pi * torch.rand(num, generator=generator)
    upper = torch.stack([angle.cos() - 0.5, angle.sin() - 0.25], 1)
    lower = torch.stack([0.5 - angle.cos(), 0.25 - angle.sin()], 1)
    points = torch.where(labels[:, None] == 0, upper, lower) * 0.6
    return points + 0.03 * torch.randn(num, 2, generator=generator), labels


def _checkerboard(num: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The dark squares of a four by four board."""
    square = torch.randint(8, (num,), generator=generator)
    row = square // 2
    column = 2 * (square % 2) + row % 2
    corner = torch.stack([column, row], 1) / 2 - 1
    return corner + 0.5 * torch.rand(num, 2, generator=generator), square


def _spiral(num: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two arms turning one and a half times."""
    labels = torch.randint(2, (num,), generator=generator)
    radius = torch.rand(num, generator=generator).sqrt()
    angle = 3 * math.pi * radius + math.pi * labels
    points = 0.85 * radius[:, None] * torch.stack([angle.cos(), angle.sin()], 1)
    return points + 0.015 * torch.randn(num, 2, generator=generator), labels


_SHAPES = {
    "eight_gaussians": (_eight_gaussians, 8),
    "two_moons": (_two_moons, 2),
    "checkerboard": (_checkerboard, 8),
    "spiral": (_spiral, 2),
}


def _load(name: str, split: str) -> Images:
    draw, num_classes = _SHAPES[name]
    generator = torch.Generator().manual_seed(0 if split == "train" else 1)
    points, labels = draw(_NUM_POINTS[split], generator)
    classes = tuple(f"mode {k + 1}" for k in range(num_classes))
    return Images(name, points.clamp(-1, 1)[:, :, None, None], labels, classes)


LOADERS = {name: (lambda split, name=name: _load(name, split)) for name in _SHAPES}
