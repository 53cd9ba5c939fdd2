"""The two layers of RealNVP: affine coupling, and normalisation that the first batch sets.

The variables may be of double precision while the weights are of single: the networks then see them rounded,
the same both ways, and what inverts them loses nothing.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Shape = tuple[int, int, int]

# Which of four squeezed sub-pixels (0 1 / 2 3) a coupling leaves alone: a checkerboard, a row, a column.
PATTERNS = ((0, 3), (0, 1), (0, 2))


class ActNorm(nn.Module):
    """y = exp(log_scale) * x + shift for each variable; the first batch leaves with mean 0 and variance 1."""

    initialised: Tensor

    def __init__(self, shape: Shape) -> None:
        """The identity, until `initialise`."""
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
        if self.training and not self.initialised:
            self.initialise(x)
        return x * self.log_scale.to(x.dtype).exp() + self.shift, self.log_scale.sum()

    def inverse(self, y: Tensor) -> Tensor:
        """The x that `forward` maps to y."""
        return (y - self.shift) * torch.exp(-self.log_scale.to(y.dtype))


class Coupling(nn.Module):
    """Affine coupling on a fixed split of the channels (eq. 4, 5); a residual network computes s and t."""

    order: Tensor

    def __init__(self, shape: Shape, pattern: tuple[int, int], swap: bool, width: int) -> None:
        """Of every four channels those in `pattern` stay and the others move; `swap` exchanges the two."""
        super().__init__()
        keep = [c for c in range(shape[0]) if (c % 4 in pattern) != swap]
        move = [c for c in range(shape[0]) if c not in keep]
        self.register_buffer("order", torch.tensor(keep + move), persistent=False)
        self.place = nn.Parameter(torch.zeros(width, *shape[1:]))
        self.first = nn.Conv2d(len(keep), width, 3, padding=1)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, 2 * len(move), 3, padding=1)
        self.log_scale = nn.Parameter(torch.zeros(len(move), 1, 1))
        for parameter in self.last.parameters():  # the flow starts as the identity
            nn.init.zeros_(parameter)

    def scale_shift(self, xa: Tensor) -> tuple[Tensor, Tensor]:
        """What stays -> s and t for what moves; s is bounded, a learned scale times tanh."""
        h = self.first(xa.to(self.place.dtype)) + self.place
        h = h + self.conv2(F.relu(self.conv1(F.relu(h))))
        s, t = self.last(F.relu(h)).chunk(2, dim=1)
        return (self.log_scale.exp() * torch.tanh(s)).to(xa.dtype), t.to(xa.dtype)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The variables that stay and those that move."""
        xa, xb = x[:, self.order].chunk(2, dim=1)
        return xa, xb

    def merge(self, xa: Tensor, xb: Tensor) -> Tensor:
        """The x that `split` took apart."""
        return torch.cat([xa, xb], dim=1)[:, self.order.argsort()]

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
