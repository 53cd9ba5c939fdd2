"""RealNVP: an invertible network between pictures and Gaussian noise (Dinh et al. 2016, arXiv:1605.08803).

A stack of affine couplings maps a picture x to a latent z of the same size. Each coupling leaves half the variables
alone and scales and shifts the other half by amounts computed from the first, so it inverts exactly whatever the
network inside, and its Jacobian is triangular. The change of variables then gives the exact density (eq. 2):

    log p(x) = log N(z; 0, I) + log |det dz/dx|,    y_b = x_b * exp(s(x_a)) + t(x_a)    (eq. 4, 5)

What differs from the paper:

* Squeezing comes first: a checkerboard mask on 28x28 is a split of the four channels of the squeezed 14x14 picture,
  and the networks then run on a quarter of the positions.
* The grey scale is stretched before the logit. Four pixels in five of a digit are exactly black, a sliver of the
  scale in which affine couplings can hardly shape the dequantisation noise: the black level takes `black` of the
  unit interval and the 255 others share the rest. It is a fixed bijection and its Jacobian is counted.
* Activation normalisation set from the first batch (1807.03039, here one scale and shift for each pixel) stands in
  for batch norm, so that the density of a picture does not depend on its batch.
* The couplings' networks see the position: a learned bias for each place.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from playground.nn import adam, rand, randn, update
from playground.spec import (
    About, Batch, Control, Encodes, GenerativeModel, HasLatent, HasLikelihood, ModelSpec, Recipe, Samples, SampleStep,
    Words,
)  # fmt: skip

# Which of four squeezed sub-pixels (0 1 / 2 3) a coupling leaves alone: a checkerboard, a row, a column.
PATTERNS = ((0, 3), (0, 1), (0, 2))


@dataclass(frozen=True)
class RealNVPConfig:
    """Sizes of the flow.

    Attributes:
        size: side of the picture, a multiple of 4.
        couplings: couplings at each of the three scales.
        widths: channels of their networks.
        blocks: residual blocks of their networks.
        black: share of the unit interval that the black level takes before the logit.
        alpha: the logit sees alpha + (1 - 2 alpha) p, away from its poles.
    """

    size: int = 28
    couplings: tuple[int, int, int] = (8, 8, 6)
    widths: tuple[int, int, int] = (64, 96, 96)
    blocks: tuple[int, int, int] = (1, 1, 1)
    black: float = 0.8
    alpha: float = 1e-3


class ActNorm(nn.Module):
    """y = exp(log_scale) * x + shift for each variable; the first batch leaves with mean 0 and variance 1."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(shape))
        self.shift = nn.Parameter(torch.zeros(shape))
        self.register_buffer("initialised", torch.tensor(False))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set scale and shift from the first (B, C, H, W) batch of training."""
        self.log_scale.copy_(-x.std(0, correction=0).clamp(min=1e-2).log())
        self.shift.copy_(-x.mean(0) * self.log_scale.exp())
        self.initialised.fill_(True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> the same shape and the log-determinant, a scalar."""
        return x * self.log_scale.exp() + self.shift, self.log_scale.sum()

    def inverse(self, y: Tensor) -> Tensor:
        """The x that `forward` maps to y."""
        return (y - self.shift) * torch.exp(-self.log_scale)


class ResBlock(nn.Module):
    """x + conv(relu(conv(relu(x)))): (B, C, H, W) -> the same shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


class Coupling(nn.Module):
    """Affine coupling on a fixed split of the channels (eq. 4 and 5).

    Args:
        shape: (C, H, W) of the variables, C even.
        pattern: which of every four channels stay (see PATTERNS).
        swap: exchange the two halves.
        width, blocks: size of the network that computes s and t.
    """

    def __init__(self, shape: tuple[int, int, int], pattern: tuple[int, int], swap: bool, width: int, blocks: int):
        super().__init__()
        num_channels, height, side = shape
        keep = [c for c in range(num_channels) if (c % 4 in pattern) != swap]
        move = [c for c in range(num_channels) if c not in keep]
        order = torch.tensor(keep + move)
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("undo", order.argsort(), persistent=False)
        self.num_keep, num_move = len(keep), len(move)
        self.place = nn.Parameter(torch.zeros(width, height, side))
        self.first = nn.Conv2d(self.num_keep, width, 3, padding=1)
        self.blocks = nn.Sequential(*(ResBlock(width) for _ in range(blocks)))
        self.last = nn.Conv2d(width, 2 * num_move, 3, padding=1)
        self.log_scale = nn.Parameter(torch.zeros(num_move, 1, 1))
        nn.init.zeros_(self.last.weight)  # the flow starts as the identity
        nn.init.zeros_(self.last.bias)

    def scale_shift(self, xa: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C/2, H, W) that stay -> s and t for the others; s is bounded by a learned scale times tanh."""
        h = self.blocks(self.first(xa) + self.place)
        s, t = self.last(F.relu(h)).chunk(2, dim=1)
        return self.log_scale.exp() * torch.tanh(s), t

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The variables that stay and those that move."""
        x = x[:, self.order]
        return x[:, : self.num_keep], x[:, self.num_keep :]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> the same shape and the (B,) log-determinant."""
        xa, xb = self.split(x)
        s, t = self.scale_shift(xa)
        return torch.cat([xa, xb * s.exp() + t], dim=1)[:, self.undo], s.sum(dim=(1, 2, 3))

    def inverse(self, y: Tensor) -> Tensor:
        """The x that `forward` maps to y."""
        ya, yb = self.split(y)
        s, t = self.scale_shift(ya)
        return torch.cat([ya, (yb - t) * torch.exp(-s)], dim=1)[:, self.undo]


class Scale(nn.Module):
    """The layers at one resolution: normalisation, then couplings that go through the patterns in turn."""

    def __init__(self, shape: tuple[int, int, int], couplings: int, width: int, blocks: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [ActNorm(shape)]
        for i in range(couplings):
            layers.append(Coupling(shape, PATTERNS[i // 2 % 3], i % 2 == 1, width, blocks))
        self.layers = nn.ModuleList(layers)
