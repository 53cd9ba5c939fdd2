"""What an autoregressive model makes of every pixel: surprise, belief in a class, what it looks at.

A model that predicts each pixel from those before it says log p(x | y) = sum_i log p(x_i | x_<i, y). Without
a label the classes are weighed by what has been seen so far, which is Bayes' rule pixel by pixel:

    p(x_i | x_<i) = sum_y p(y | x_<i) p(x_i | x_<i, y),    p(y | x_<i) ~ p(x_<i | y),

so that the surprises -log p(x_i | x_<i) still add up to -log p(x). What a pixel's prediction looks at, its
receptive field, is measured: the pixels with a gradient that is not zero.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from playground.judge import device_of
from playground.seeding import seeded

NUM_CLASSES = 10
MAX_BINS = 16  # of grey levels, for a distribution that is shown
NUM_PROBES = 3  # pictures of noise beside the one asked about: a gradient may vanish by chance on one picture
MAX_DEPTH = 12
_STACK_WIDTH = 16


@dataclass(frozen=True)
class Reading:
    """A picture read pixel by pixel; everything on the CPU, places in reading order.

    Attributes:
        x: (H, W) in [-1, 1].
        ink: (H, W), the probability that the pixel is not black, given those before it.
        nats: (H, W), its surprise -log p(x_i | past); they add up to -log p(x).
        shares: (H * W, bins), the probabilities of all grey levels, neighbours taken together.
        belief: (H * W + 1, classes), p(y | the pixels before), the last row after all; None if y is given.
    """

    x: Tensor
    ink: Tensor
    nats: Tensor
    shares: Tensor
    belief: Tensor | None

    @property
    def total(self) -> float:
        """-log p(x), or -log p(x | y) for a given label, in nats."""
        return float(self.nats.sum())


@torch.no_grad()
def read(model: Any, x: Tensor, label: int | None = None, temperature: float = 1.0) -> Reading:
    """Read a picture as the model predicts it.

    Args:
        model: one that predicts pixels.
        x: (1, 1, H, W) on the model's grey levels.
        label: 0 to 9, or None to weigh the classes by what has been read.
        temperature: the logits' divisor.
    """
    where = device_of(model)
    labels = torch.arange(NUM_CLASSES) if label is None else torch.tensor([label])
    logits = model.pixel_logits(x.to(where).expand(len(labels), -1, -1, -1), labels.to(where))
    log_p = (logits.cpu().double().flatten(2) / temperature).log_softmax(dim=1)  # (classes, levels, H * W)
    num_levels, num_places = log_p.shape[1:]
    level = ((x.cpu().double().flatten() + 1) * ((num_levels - 1) / 2)).round().long()
    given = log_p[:, level, torch.arange(num_places)]  # (classes, H * W): log p(x_i | past, y)
    log_belief = F.pad(given.cumsum(dim=1), (1, 0)).log_softmax(dim=0)
    mixed = (log_belief[:, None, :-1] + log_p).logsumexp(dim=0)
    nats = -mixed[level, torch.arange(num_places)]
    bins = min(num_levels, MAX_BINS)
    size = x.shape[2:]
    return Reading(
        x=x[0, 0].cpu(),
        ink=(1 - mixed[0].exp()).view(size),
        nats=nats.view(size),
        shares=mixed.exp().view(bins, -1, num_places).sum(dim=1).T,
        belief=None if label is not None else log_belief.exp().T,
    )


class MaskedStack(nn.Module):
    """The PixelCNN of 1601.06759 (sections 3.4 and 3.5): masked convolutions, one after the other.

    A 7x7 kernel that does not see its own place (mask A), then 3x3 kernels that do (mask B), with residual
    connections. It is built to measure its receptive field, which the masks decide: its weights are
    random and it is never trained.
    """

    def __init__(self, depth: int, levels: int = 2) -> None:
        """`depth` layers of mask B; the same weights every time."""
        super().__init__()
        with seeded(0):
            self.first = nn.Conv2d(1, _STACK_WIDTH, 7, padding=3)
            self.layers = nn.ModuleList(
                nn.Conv2d(_STACK_WIDTH, _STACK_WIDTH, 3, padding=1) for _ in range(depth)
            )
            self.last = nn.Conv2d(_STACK_WIDTH, levels, 1)
        self.reach = 3 + depth
        with torch.no_grad():
            self.first.weight *= _mask(7, own_place=False)
            for layer in self.layers.children():
                layer.weight *= _mask(3, own_place=True)
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) in [-1, 1] -> (B, levels, H, W) logits."""
        h = self.first(x)
        for layer in self.layers:
            h = h + layer(F.silu(h))
        return self.last(h)


def _mask(side: int, own_place: bool) -> Tensor:
    """(side, side): 1 at what comes before the middle in reading order, and there if `own_place`."""
    return (torch.arange(side * side) < side * side // 2 + own_place).float().view(side, side)


@dataclass(frozen=True)
class Field:
    """What one pixel's prediction looks at, all (H, W).

    Attributes:
        strength: |d log odds of ink / d pixel| on the picture asked about.
        seen: whether there is a gradient at all, on that picture or on one of noise.
        blind: pixels of the past that it does not see though it sees others as far away or farther.
    """

    strength: Tensor
    seen: Tensor
    blind: Tensor


def field(network: Callable[[Tensor], Tensor], x: Tensor, row: int, column: int) -> Field:
    """The receptive field of one place, measured by gradient.

    Args:
        network: (B, 1, H, W) -> (B, levels, H, W) logits.
        x: (1, 1, H, W) in [-1, 1], on the network's device.
        row: of the place.
        column: of the place.
    """
    noise = torch.rand(NUM_PROBES, *x.shape[1:], generator=torch.Generator().manual_seed(0))
    probes = torch.cat([x, noise.to(x) * 2 - 1]).requires_grad_()
    with torch.enable_grad():
        logits = network(probes)[:, :, row, column]
        odds = logits[:, 1:].logsumexp(dim=1) - logits[:, 0]
        (gradient,) = torch.autograd.grad(odds.sum(), probes)
    strength = gradient.abs()[:, 0].cpu().double()
    seen = (strength > 0).any(dim=0)
    return Field(strength[0], seen, _blind(seen, row, column))


def _blind(seen: Tensor, row: int, column: int) -> Tensor:
    """Past pixels that are not seen within the farthest distance that is, counted as a king moves."""
    height, width = seen.shape
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None]
    distance = torch.maximum((rows - row).abs(), (columns - column).abs())
    past = rows * width + columns < row * width + column
    reach = int(distance[seen].max()) if bool(seen.any()) else 0
    return past & ~seen & (distance <= reach)


def future(seen: Tensor, row: int, column: int) -> int:
    """How many pixels that come after a place, or are it, have any influence on it: 0 for an honest model."""
    return int(seen.flatten()[row * seen.shape[1] + column :].sum())
