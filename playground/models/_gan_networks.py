"""The networks that the plain GANs share: DCGAN's (1511.06434), with or without labels; minibatch layers.

That GANs which differ only in their game use the same networks is what makes them comparable.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from playground.models._gan_switches import Techniques


@dataclass(frozen=True)
class ConvConfig:
    """Shape of the two networks.

    Attributes:
        latent_dim: length of z.
        channels: of the picture.
        generator_widths: channels on 4, 7 and 14 pixels.
        discriminator_widths: channels on 14, 7 and 4 pixels.
        discriminator_norm: ``batch``, ``instance`` (each picture on its own) or ``none``.
        num_classes: labels both are told, 0 for none.
        techniques: of the training.
    """

    latent_dim: int = 64
    channels: int = 1
    generator_widths: tuple[int, int, int] = (128, 64, 32)
    discriminator_widths: tuple[int, int, int] = (32, 64, 128)
    discriminator_norm: str = "batch"
    num_classes: int = 0
    techniques: Techniques = Techniques()


class Generator(nn.Module):
    """z -> picture, through 4, 7, 14 and 28 pixels (1511.06434, figure 1)."""

    def __init__(self, config: ConvConfig) -> None:
        """Each transposed convolution doubles the size; batch norm everywhere but at the output."""
        super().__init__()
        self.num_classes = config.num_classes
        a, b, c = config.generator_widths
        self.project = nn.Linear(config.latent_dim + config.num_classes, 4 * 4 * a, bias=False)
        self.body = nn.Sequential(
            nn.BatchNorm2d(a), nn.ReLU(),
            nn.ConvTranspose2d(a, b, 3, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU(),
            nn.ConvTranspose2d(b, c, 4, 2, 1, bias=False), nn.BatchNorm2d(c), nn.ReLU(),
            nn.ConvTranspose2d(c, config.channels, 4, 2, 1), nn.Tanh(),
        )  # fmt: skip

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, latent_dim), labels (B,) where there are classes -> (B, C, 28, 28) in [-1, 1]."""
        if self.num_classes:
            z = torch.cat([z, one_hot(labels, len(z), self.num_classes, z)], dim=1)
        h = self.project(z).view(z.shape[0], 4, 4, -1)  # channels last already: no copy
        return self.body(h.permute(0, 3, 1, 2))


class Discriminator(nn.Module):
    """Picture -> output, positive for real, through 14, 7 and 4 pixels."""

    def __init__(self, config: ConvConfig) -> None:
        """No norm at the input; batch norm is always of the batch at hand, real and fake apart."""
        super().__init__()
        self.num_classes = config.num_classes
        a, b, c = config.discriminator_widths
        norm: Any = {
            "batch": partial(nn.BatchNorm2d, track_running_stats=False),
            "instance": partial(nn.GroupNorm, 1),
            "none": lambda width: nn.Identity(),
        }[config.discriminator_norm]
        bias = config.discriminator_norm == "none"
        self.body = nn.Sequential(
            nn.Conv2d(config.channels + config.num_classes, a, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(a, b, 4, 2, 1, bias=bias), norm(b), nn.LeakyReLU(0.2),
            nn.Conv2d(b, c, 3, 2, 1, bias=bias), norm(c), nn.LeakyReLU(0.2),
            nn.Conv2d(c, 1, 4),
        )  # fmt: skip
        self.minibatch: nn.Module | None = None

    def set_minibatch(self, kind: str) -> None:
        """Let it see the batch in a way of `minibatch_layer`."""
        self.minibatch = minibatch_layer(kind, 16 * self.body[-1].in_channels)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, C, 28, 28) in [-1, 1], labels (B,) where there are classes -> (B,)."""
        if self.num_classes:
            planes = one_hot(labels, len(x), self.num_classes, x)[:, :, None, None]
            x = torch.cat([x, planes.expand(-1, -1, *x.shape[2:])], dim=1)
        h = self.body[:-1](x)
        out = self.body[-1](h).flatten()
        return out if self.minibatch is None else out + self.minibatch(h.flatten(1))


def one_hot(labels: Tensor | None, num: int, num_classes: int, like: Tensor) -> Tensor:
    """(num,) labels -> (num, K) in the type and on the device of `like`; without labels all zero."""
    if labels is None:
        return like.new_zeros(num, num_classes)
    return F.one_hot(labels, num_classes).to(like)


def init_dcgan(module: nn.Module) -> None:
    """Weights ~ N(0, 0.02), batch norm's scale ~ N(1, 0.02) (1511.06434, section 4)."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.BatchNorm2d):
            nn.init.normal_(part.weight, float(isinstance(part, nn.BatchNorm2d)), 0.02)


class MinibatchStdDev(nn.Module):
    """What the mean standard deviation over the batch adds to the output (1710.10196, section 3).

    The paper appends it to the features as a constant plane; the last layer being linear, that plane's share
    of the output is a weight times it, which is what stands here.
    """

    def __init__(self) -> None:
        """One weight."""
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, h: Tensor) -> Tensor:
        """(B, F) features -> (B,), the same for every picture."""
        deviation = (h.var(dim=0, unbiased=False) + 1e-8).sqrt().mean()
        return (self.weight * deviation).expand(len(h))


class MinibatchDiscrimination(nn.Module):
    """What closeness to the other pictures of the batch adds to the output (1606.03498, section 3.2).

    The paper sums over the others; the mean does not grow with the batch, and adds next to nothing at first.
    """

    def __init__(self, num_features: int, num_kernels: int = 16, size: int = 8) -> None:
        """`num_kernels` closenesses, each in a space of its own of `size` dimensions."""
        super().__init__()
        self.num_kernels = num_kernels
        self.project = nn.Linear(num_features, num_kernels * size, bias=False)
        self.out = nn.Linear(num_kernels, 1, bias=False)
        nn.init.normal_(self.out.weight, 0.0, 0.001)

    def forward(self, h: Tensor) -> Tensor:
        """(B, F) features -> (B,)."""
        m = self.project(h).view(len(h), self.num_kernels, -1)
        distance = (m[:, None] - m[None]).abs().sum(dim=3)  # (B, B, num_kernels)
        closeness = (-distance).exp().sum(dim=1) - 1  # without the picture itself
        return self.out(closeness / max(1, len(h) - 1)).flatten()


def minibatch_layer(kind: str, num_features: int) -> nn.Module | None:
    """What a discriminator sees of its batch: nothing (``none``), ``stddev`` or ``discrimination``."""
    if kind == "discrimination":
        return MinibatchDiscrimination(num_features)
    return MinibatchStdDev() if kind == "stddev" else None
