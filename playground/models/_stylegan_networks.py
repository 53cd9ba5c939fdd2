"""StyleGAN's networks (arXiv:1812.04948): mapping, synthesis and discriminator, each of a size that grows.

`growth` says how far: 0 for 7x7 pixels, 1 for 14x14, 2 for 28x28; between two of them the larger size is
faded in, its picture mixed with the smaller one, doubled (1710.10196, figure 2).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from playground.models._gan_networks import minibatch_layer, one_hot
from playground.models._gan_switches import Techniques
from playground.models._resample import conv_halve, double, double_conv, halve
from playground.nn import randn

SIZES = (7, 14, 28)
_NOISE_SEED = 1812


@dataclass(frozen=True)
class StyleGANConfig:
    """Shape of the networks, and when they grow.

    Attributes:
        latent_dim: length of z and of w.
        mapping_layers: of the mapping network.
        num_classes: labels both are told.
        channels: of the picture.
        generator_widths: channels on 7, 14 and 28 pixels.
        discriminator_widths: channels on 7, 14 and 28 pixels.
        mixing: share of the training pictures with two styles.
        growth: progress at which 14x14 begins to be faded in and is there, then the same for 28x28.
        techniques: how it is trained.
    """

    latent_dim: int = 64
    mapping_layers: int = 4
    num_classes: int = 10
    channels: int = 1
    generator_widths: tuple[int, int, int] = (64, 32, 16)
    discriminator_widths: tuple[int, int, int] = (64, 32, 8)
    mixing: float = 0.9
    growth: tuple[float, float, float, float] = (0.05, 0.1, 0.2, 0.3)
    techniques: Techniques = Techniques(
        penalty="R1", penalty_weight=2.0, minibatch="stddev", beta1=0.0, beta2=0.99
    )


class Latents(NamedTuple):
    """What a picture is made of: z (B, num_styles, latent_dim), one a layer, and each layer's noise."""

    z: Tensor
    noise: tuple[Tensor, ...]


def growth_at(progress: float, marks: Sequence[float]) -> float:
    """0 to 2: how far the networks are grown; see `StyleGANConfig.growth`."""
    a, b, c, d = marks
    return min(max((progress - a) / (b - a), 0.0), 1.0) + min(max((progress - c) / (d - c), 0.0), 1.0)


@cache
def fixed_noise(num: int, device: torch.device) -> tuple[Tensor, ...]:
    """Each of the first `num` layers' noise (1, 1, H, W), always the same: two layers a size."""
    generator = torch.Generator().manual_seed(_NOISE_SEED)
    return tuple(randn((1, 1, SIZES[i // 2], SIZES[i // 2]), generator, device) for i in range(num))


def adain(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Every channel of every picture with deviation `scale` and mean `shift` (eq. 1).

    x is (B, C, H, W), scale and shift are (B, C).
    """
    return torch.addcmul(shift[:, :, None, None], F.instance_norm(x, eps=1e-8), scale[:, :, None, None])


class Equalised(nn.Module):
    """A layer whose weights ~ N(0, 1) are scaled in use, so that all learn at one pace (1710.10196, 4.1)."""

    def __init__(self, shape: tuple[int, ...], gain: float = math.sqrt(2), pace: float = 1.0) -> None:
        """`gain` as He's initialisation has it; `pace` multiplies the learning rate."""
        super().__init__()
        self.scale, self.pace = gain / math.sqrt(math.prod(shape[1:])) * pace, pace
        self.raw = nn.Parameter(torch.randn(shape) / pace)
        self.raw_bias = nn.Parameter(torch.zeros(shape[0]))

    @property
    def weight(self) -> Tensor:
        """The weights as they are used."""
        return self.raw * self.scale

    @property
    def bias(self) -> Tensor:
        """The bias as it is used."""
        return self.raw_bias * self.pace

    def forward(self, x: Tensor) -> Tensor:
        """A linear layer for a matrix of weights, else a convolution that keeps the size."""
        if self.raw.ndim == 2:
            return F.linear(x, self.weight, self.bias)
        return F.conv2d(x, self.weight, self.bias, padding=self.raw.shape[2] // 2)


class Mapping(nn.Module):
    """z, label -> w: z normalised, the label embedded beside it; its layers learn a hundredth as fast."""

    def __init__(self, dim: int, num_layers: int, num_classes: int) -> None:
        """`dim` numbers from the first layer on."""
        super().__init__()
        self.num_classes = num_classes
        self.embedding = nn.Parameter(torch.randn(num_classes, dim))
        widths = [2 * dim] + [dim] * num_layers
        self.layers = nn.ModuleList(
            Equalised((out, width), pace=0.01) for width, out in zip(widths, widths[1:], strict=False)
        )

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, ..., dim), (B,) -> (B, ..., dim); no label: an embedding of zeros."""
        w = z * torch.rsqrt(z.square().mean(dim=-1, keepdim=True) + 1e-8)
        y = one_hot(labels, len(z), self.num_classes, z) @ self.embedding
        w = torch.cat([w, y.view(len(z), *[1] * (z.ndim - 2), -1).expand_as(w)], dim=-1)
        for layer in self.layers.children():
            w = F.leaky_relu(layer(w), 0.2)
        return w


class StyleLayer(nn.Module):
    """(doubled, blurred) convolution, noise, bias, leaky ReLU, AdaIN: half a row of figure 1b."""

    def __init__(self, in_width: int, width: int, style: int, kind: str) -> None:
        """`kind` is ``constant`` (no convolution), ``double`` or ``keep``."""
        super().__init__()
        self.kind = kind
        self.conv = None if kind == "constant" else Equalised((width, in_width, 3, 3))
        self.bias = nn.Parameter(torch.zeros(width, 1, 1)) if kind == "constant" else None
        self.strength = nn.Parameter(torch.zeros(width, 1, 1))  # of the noise, channel by channel
        self.style = Equalised((2 * width, style), gain=1.0)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        """(B, in_width, H, W), (B, style), (B or 1, 1, H', W') -> (B, width, H', W')."""
        if self.conv is None:
            x = x + self.bias
        elif self.kind == "double":
            x = double_conv(x, self.conv.weight, self.conv.bias, smooth=True)
        else:
            x = self.conv(x)
        x = F.leaky_relu(x + self.strength * noise, 0.2)
        scale, shift = self.style(w).chunk(2, dim=1)
        return adain(x, 1 + scale, shift)


class Growing(nn.Module):
    """Knows how far it is grown; the number is part of its state."""

    growth: Tensor

    def __init__(self) -> None:
        """Grown up, until a training says otherwise."""
        super().__init__()
        self.register_buffer("growth", torch.tensor(float(len(SIZES) - 1)))

    @property
    def top(self) -> int:
        """The largest size in use, an index of `SIZES`."""
        return math.ceil(self.growth.item())

    @property
    def alpha(self) -> float:
        """How far that size is faded in, above 0 to 1."""
        return 1 - (self.top - self.growth.item())


class StyleGenerator(Growing):
    """Mapping and synthesis."""

    w_mean: Tensor

    def __init__(self, config: StyleGANConfig) -> None:
        """Two styled layers and an output for each size."""
        super().__init__()
        dim, widths = config.latent_dim, config.generator_widths
        self.mapping = Mapping(dim, config.mapping_layers, config.num_classes)
        self.constant = nn.Parameter(
            torch.randn(1, widths[0], SIZES[0], SIZES[0])
        )  # even planes have no deviation
        self.layers = nn.ModuleList()
        for i, width in enumerate(widths):
            self.layers.append(StyleLayer(widths[i - 1], width, dim, "double" if i else "constant"))
            self.layers.append(StyleLayer(width, width, dim, "keep"))
        self.outs = nn.ModuleList(Equalised((config.channels, width, 1, 1), gain=1.0) for width in widths)
        self.register_buffer("w_mean", torch.zeros(config.num_classes, dim))  # of each label

    def draw_noise(self, num: int, generator: torch.Generator, device: torch.device) -> tuple[Tensor, ...]:
        """Fresh noise for every layer in use: (num, 1, H, W) each."""
        sizes = [size for size in SIZES[: self.top + 1] for _ in range(2)]
        return tuple(randn((num, 1, size, size), generator, device) for size in sizes)

    def synthesise(self, w: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """(B, num_styles, dim) and each layer's noise -> (B, C, H, W) of the size it is grown to."""
        x = self.constant.expand(len(w), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        smaller, top, alpha = x, self.top, self.alpha
        for i in range(2 * top + 2):
            smaller = x if i == 2 * top else smaller
            x = self.layers[i](x, w[:, i], noise[i])
        out = self.outs[top](x)
        return out if alpha == 1 else torch.lerp(double(self.outs[top - 1](smaller)), out, alpha)

    def forward(self, latents: Latents, labels: Tensor | None = None) -> Tensor:
        """Pictures (B, C, H, W), unbounded."""
        return self.synthesise(self.mapping(latents.z, labels), latents.noise)


class StyleDiscriminator(Growing):
    """The plain one of progressive growing (1710.10196, table 2), with blurred halving.

    The label enters at the output, as a projection: see `biggan`.
    """

    def __init__(self, config: StyleGANConfig) -> None:
        """An input and, but for the smallest, two convolutions for each size."""
        super().__init__()
        widths = config.discriminator_widths
        self.ins = nn.ModuleList(Equalised((width, config.channels, 1, 1)) for width in widths)
        self.convs = nn.ModuleList(Equalised((width, width, 3, 3)) for width in widths[1:])
        self.downs = nn.ModuleList(
            Equalised((small, width, 3, 3)) for small, width in zip(widths, widths[1:], strict=False)
        )
        self.conv = Equalised((widths[0], widths[0] + 1, 3, 3))  # the further channel: the deviation
        self.hidden = Equalised((widths[0], widths[0] * SIZES[0] ** 2))
        self.num_classes = config.num_classes
        self.out = Equalised((1 + config.num_classes, widths[0]), gain=1.0)  # whatever the label, and by it
        self.set_minibatch("stddev")

    def set_minibatch(self, kind: str) -> None:
        """Let it see the batch: ``stddev`` as a plane, as in the paper; ``discrimination``, ``none``."""
        self.sees_deviation = kind == "stddev"
        num = self.hidden.raw.shape[0]
        self.minibatch = minibatch_layer(kind, num) if kind == "discrimination" else None

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, C, H, W) of the size it is grown to, (B,) -> (B,)."""
        top, alpha = self.top, self.alpha
        x = x.contiguous(memory_format=torch.channels_last)
        h = F.leaky_relu(self.ins[top](x), 0.2)
        for level in range(top, 0, -1):
            h = F.leaky_relu(self.convs[level - 1](h), 0.2)
            down = self.downs[level - 1]
            h = F.leaky_relu(conv_halve(h, down.weight, down.bias, smooth=True), 0.2)
            if level == top and alpha < 1:
                h = torch.lerp(F.leaky_relu(self.ins[top - 1](halve(x)), 0.2), h, alpha)
        deviation = (
            (h.var(dim=0, unbiased=False) + 1e-8).sqrt().mean() if self.sees_deviation else h.new_zeros(())
        )
        h = torch.cat([h, deviation.expand(len(h), 1, *h.shape[2:])], dim=1)
        h = F.leaky_relu(self.conv(h), 0.2).flatten(1)
        h = F.leaky_relu(self.hidden(h), 0.2)
        every, of_label = self.out(h).split([1, self.num_classes], dim=1)
        out = every.flatten() + (of_label * one_hot(labels, len(h), self.num_classes, h)).sum(dim=1)
        return out if self.minibatch is None else out + self.minibatch(h)
