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
        self.log_scale.copy_(-x.std(0, correction=0).clamp(min=0.1).log())
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

    def merge(self, xa: Tensor, xb: Tensor) -> Tensor:
        """The x that `split` took apart."""
        return torch.cat([xa, xb], dim=1)[:, self.undo]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> the same shape and the (B,) log-determinant."""
        xa, xb = self.split(x)
        s, t = self.scale_shift(xa)
        return self.merge(xa, xb * s.exp() + t), s.sum(dim=(1, 2, 3))

    def inverse(self, y: Tensor) -> Tensor:
        """The x that `forward` maps to y."""
        ya, yb = self.split(y)
        s, t = self.scale_shift(ya)
        return self.merge(ya, (yb - t) * torch.exp(-s))


class Scale(nn.Module):
    """The layers at one resolution: normalisation, then couplings that go through the patterns in turn."""

    def __init__(self, shape: tuple[int, int, int], num: int, width: int, blocks: int) -> None:
        super().__init__()
        self.norm = ActNorm(shape)
        self.couplings = nn.ModuleList(
            Coupling(shape, PATTERNS[i // 2 % 3], i % 2 == 1, width, blocks) for i in range(num)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> the same shape and the (B,) log-determinant."""
        if self.training and not self.norm.initialised:
            self.norm.initialise(x)
        x, log_det = self.norm(x)
        log_det = log_det.expand(x.shape[0])
        for coupling in self.couplings:
            x, change = coupling(x)
            log_det = log_det + change
        return x, log_det

    def inverse(self, y: Tensor) -> Tensor:
        """The x that `forward` maps to y."""
        for coupling in reversed(self.couplings):
            y = coupling.inverse(y)
        return self.norm.inverse(y)


class RealNVP(GenerativeModel, Samples, HasLatent, Encodes, HasLikelihood):
    """Three scales of couplings; half of the variables leave for z after each of the first two (section 3.6)."""

    likelihood = "dequantised"
    levels = 256

    def __init__(self, config: RealNVPConfig) -> None:
        super().__init__()
        self.config = config
        half, quarter = config.size // 2, config.size // 4
        self.shapes = ((4, half, half), (8, quarter, quarter), (4, quarter, quarter))
        self.latent_shape = (config.size**2,)
        sizes = zip(self.shapes, config.couplings, config.widths, config.blocks, strict=True)
        self.scales = nn.ModuleList(Scale(*size) for size in sizes)
        self.to(memory_format=torch.channels_last)

    def to_logit(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures to the real line: (B, 1, H, W) -> the same shape, and the (B,) log-determinant.

        x in [-1, 1] holds the centres of the grey levels, so v = 127.5 (x + 1) + 0.5 lies in (0, 256).
        """
        black, alpha = self.config.black, self.config.alpha
        v = (x + 1) * 127.5 + 0.5
        grey = (1 - black) / 255
        p = alpha + (1 - 2 * alpha) * torch.where(v < 1, black * v, black + grey * (v - 1))
        slope = torch.where(v < 1, math.log(black), math.log(grey)) + math.log(127.5 * (1 - 2 * alpha))
        log_det = slope - p.log() - torch.log1p(-p)
        return torch.logit(p), log_det.sum(dim=(1, 2, 3))

    def from_logit(self, u: Tensor) -> Tensor:
        """The x that `to_logit` maps to u."""
        black, alpha = self.config.black, self.config.alpha
        p = (torch.sigmoid(u) - alpha) / (1 - 2 * alpha)
        v = torch.where(p < black, p / black, 1 + (p - black) * 255 / (1 - black))
        return (v - 0.5) / 127.5 - 1

    def flow(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, H, W) in [-1, 1] -> z (B, H * W) and log |det dz/dx| (B,)."""
        h, log_det = self.to_logit(x)
        parts = []
        for i, scale in enumerate(self.scales):
            h = F.pixel_unshuffle(h, 2) if i < 2 else h
            h, change = scale(h.contiguous(memory_format=torch.channels_last))
            log_det = log_det + change
            if i < 2:  # what the last coupling moved leaves, what it looked at goes on
                h, out = scale.couplings[-1].split(h)
                parts.append(out.flatten(1))
        return torch.cat([*parts, h.flatten(1)], dim=1), log_det

    def inverse(self, z: Tensor) -> Tensor:
        """(B, H * W) -> x (B, 1, H, W), the exact inverse of `flow`; beyond [-1, 1] where z asks for it."""
        sizes = [math.prod(shape) // 2 for shape in self.shapes[:2]]
        *outs, h = z.split([*sizes, z.shape[1] - sum(sizes)], dim=1)
        h = h.view(-1, *self.shapes[2])
        for i in (2, 1, 0):
            scale = self.scales[i]
            if i < 2:
                h = scale.couplings[-1].merge(h, outs[i].view(h.shape))
            h = scale.inverse(h.contiguous(memory_format=torch.channels_last))
            h = F.pixel_shuffle(h, 2) if i < 2 else h
        return self.from_logit(h)

    def dequantise(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Spread each grey level evenly over its bin: (B, 1, H, W) -> the same shape, v uniform on [k, k + 1)."""
        return x + (rand(x.shape, generator, x.device) - 0.5) / 127.5

    def log_prob(
        self, x: Tensor, labels: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """log p(v) of the dequantised pixels v in [0, 256) (eq. 2); its mean bounds log P(x) from below.

        Without a generator the noise is that of seed 0.
        """
        if generator is None:
            generator = torch.Generator().manual_seed(0)
        z, log_det = self.flow(self.dequantise(x, generator))
        log_normal = -0.5 * (z**2 + math.log(2 * math.pi)).sum(dim=1)
        return log_normal + log_det - z.shape[1] * math.log(127.5)  # dx = dv / 127.5

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, 1, H, W) in [-1, 1] -> its exact latent (B, H * W)."""
        return self.flow(x)[0]

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, H * W) -> (B, 1, H, W) in [-1, 1]."""
        return self.inverse(z).clamp(-1, 1)

    @torch.no_grad()
    def sample(
        self,
        num: int,
        *,
        labels: Tensor | None = None,
        generator: torch.Generator,
        temperature: float = 0.8,
        **controls: Any,
    ) -> Iterator[SampleStep]:
        """One pass of the inverse from z ~ N(0, temperature^2 I)."""
        device = self.scales[0].norm.shift.device
        z = temperature * randn((num, *self.latent_shape), generator, device)
        yield SampleStep(1, 1, self.decode(z), 1)

    def make_optimizers(self, hp: Recipe) -> dict[str, Optimizer]:
        """One optimiser for the whole flow."""
        self.max_norm = hp.max_norm
        return {"flow": adam(self.parameters(), hp)}

    def train_step(self, batch: Batch, optimizers: dict[str, Optimizer]) -> dict[str, float]:
        """Maximise the likelihood of the dequantised pictures."""
        loss = -self.log_prob(batch.x, generator=batch.generator).mean()
        update(loss, optimizers["flow"], self.max_norm)
        nats = loss.item()
        return {"loss": nats, "bits_per_dim": nats / (math.log(2) * self.config.size**2)}
