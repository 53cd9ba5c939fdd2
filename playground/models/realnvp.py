"""RealNVP: an invertible network between pictures and Gaussian noise (Dinh et al. 2016, arXiv:1605.08803).

A stack of affine couplings maps a picture x to a latent z of the same size. Each coupling leaves half the
variables alone and scales and shifts the other half by amounts computed from the first, so it inverts exactly
whatever the network inside, and its Jacobian is triangular. The change of variables gives the density:

    log p(x) = log N(z; 0, I) + log |det dz/dx|    (eq. 3),    y_b = x_b * exp(s(x_a)) + t(x_a)    (eq. 5)

What differs from the paper:

* Squeezing comes first: a checkerboard mask on 28x28 is a split of the four channels of the squeezed 14x14
  picture, and the networks then run on a quarter of the positions.
* The grey scale is stretched before the logit. Four pixels in five of a digit are exactly black, a sliver in
  which couplings can hardly shape the dequantisation noise: that level takes `black` of the unit interval and
  the 255 others share the rest. It is a fixed bijection and its Jacobian is counted.
* Normalisation set from the first batch (1807.03039, here one scale and shift for each pixel) stands in for
  batch norm, so that the density of a picture does not depend on its batch.
* The couplings' networks see the position: a learned bias for each place.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from playground.models._flow import TEMPERATURE, Flow, dequantise
from playground.models._realnvp_layers import PATTERNS, ActNorm, Coupling
from playground.nn import has_double
from playground.spec import About, FlowStep, ModelSpec, Recipe, Words


@dataclass(frozen=True)
class RealNVPConfig:
    """Sizes of the flow.

    Attributes:
        size: side of the picture, a multiple of 4.
        couplings: couplings at each of the three scales.
        widths: channels of their networks.
        black: share of the unit interval that the black level takes before the logit.
        alpha: the logit sees alpha + (1 - 2 alpha) p, away from its poles.
    """

    size: int = 28
    couplings: tuple[int, int, int] = (8, 8, 6)
    widths: tuple[int, int, int] = (32, 64, 64)
    black: float = 0.9
    alpha: float = 1e-3


class RealNVP(Flow):
    """Three scales of couplings; half of the variables leave for z after each of the first two (sec. 3.6)."""

    temperature = 0.8

    def __init__(self, config: RealNVPConfig) -> None:
        """An identity, until the first batch and the first update."""
        super().__init__(config.size)
        self.config = config
        half, quarter = config.size // 2, config.size // 4
        self.shapes = ((4, half, half), (8, quarter, quarter), (4, quarter, quarter))
        self.scales = nn.ModuleList()
        for shape, num, width in zip(self.shapes, config.couplings, config.widths, strict=True):
            couplings = (Coupling(shape, PATTERNS[i // 2 % 3], i % 2 == 1, width) for i in range(num))
            self.scales.append(nn.ModuleList([ActNorm(shape), *couplings]))
        self.to(memory_format=torch.channels_last)

    def layers(self, i: int) -> list[Any]:
        """The layers of scale i, in order."""
        return list(cast(nn.ModuleList, self.scales[i]))

    def to_logit(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures to the real line: (B, 1, H, W) -> the same shape, and the (B,) log-determinant."""
        black, alpha = self.config.black, self.config.alpha
        v = (x + 1) * 127.5 + 0.5  # in (0, 256): x holds the centres of the grey levels
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

    def _layers_of(self, x: Tensor) -> Iterator[tuple[str, list[Tensor], Tensor, Tensor]]:
        """Each layer's name, what has left for z before it, its output h and its log-determinant."""
        h, change = self.to_logit(x)
        outs: list[Tensor] = []
        yield "logit", outs, h, change
        number = 0
        for i in range(3):
            layers = self.layers(i)
            h = F.pixel_unshuffle(h, 2) if i < 2 else h
            h = h.contiguous(memory_format=torch.channels_last)
            for layer in layers:
                h, change = layer(h)
                number += isinstance(layer, Coupling)
                name = f"coupling {number}" if isinstance(layer, Coupling) else f"normalisation {i + 1}"
                yield name, outs, h, change
            if i < 2:  # what the last coupling moved leaves, what it looked at goes on
                h, out = layers[-1].split(h)
                outs.append(out.flatten(1))

    def flow(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, H, W) in [-1, 1] -> z (B, H * W) and log |det dz/dx| (B,)."""
        log_det = x.new_zeros(len(x))
        for layer in self._layers_of(x):
            log_det = log_det + layer[3]
        _, outs, h, _ = layer
        return torch.cat([*outs, h.flatten(1)], dim=1), log_det

    def through(self, x: Tensor) -> Iterator[FlowStep]:
        """The logit, then normalisation and couplings of every scale."""
        places = self.places()
        for name, outs, h, change in self._layers_of(_exactly(x)):
            after = None if name == "logit" else places[len(outs)]
            yield FlowStep(name, torch.cat([*outs, h.flatten(1)], dim=1), change.expand(len(x)), after)

    def places(self) -> list[Tensor]:
        """The pixel that each variable comes from, (H * W,) int64 for each scale's layers."""
        size, outs = self.config.size, list[Tensor]()
        index = torch.arange(size**2, device=self.layers(0)[0].shift.device).view(1, 1, size, size)
        found = []
        for i in range(3):
            index = F.pixel_unshuffle(index, 2) if i < 2 else index
            found.append(torch.cat([*outs, index.flatten(1)], dim=1)[0])
            if i < 2:
                index, out = self.layers(i)[-1].split(index)
                outs.append(out.flatten(1))
        return found

    def latent_groups(self) -> list[Tensor]:
        """The variables of the last scale, which every layer has seen, of the second and of the first."""
        sizes = [math.prod(shape) // 2 for shape in self.shapes[:2]]
        parts = torch.arange(self.num_dims).split([*sizes, self.num_dims - sum(sizes)])
        return list(reversed(parts))

    def inverse(self, z: Tensor) -> Tensor:
        """(B, H * W) -> x (B, 1, H, W), the exact inverse of `flow`; beyond [-1, 1] where z asks for it."""
        sizes = [math.prod(shape) // 2 for shape in self.shapes[:2]]
        *outs, h = z.split([*sizes, self.num_dims - sum(sizes)], dim=1)
        h = h.view(-1, *self.shapes[2])
        for i in (2, 1, 0):
            layers = self.layers(i)
            h = layers[-1].merge(h, outs[i].view(h.shape)) if i < 2 else h
            h = h.contiguous(memory_format=torch.channels_last)
            for layer in reversed(layers):
                h = layer.inverse(h)
            h = F.pixel_shuffle(h, 2) if i < 2 else h
        return self.from_logit(h)

    def log_prob(
        self, x: Tensor, labels: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Log-density of the dequantised pixels v in [0, 256), eq. 3; its mean bounds log P(x) from below."""
        generator = generator or torch.Generator().manual_seed(0)
        z, log_det = self.flow(dequantise(x, generator))
        log_normal = -0.5 * (z**2 + math.log(2 * math.pi)).sum(dim=1)
        return log_normal + log_det - self.num_dims * math.log(127.5)  # dx = dv / 127.5

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, 1, H, W) in [-1, 1] -> its exact latent (B, H * W), of double precision where there is any.

        In single precision a latent leads back to its picture up to 2e-4 only: rounding grows layer by layer.
        """
        return self.flow(_exactly(x))[0]


def _exactly(x: Tensor) -> Tensor:
    return x.double() if has_double(x.device) else x


_ABOUT = About(
    summary=Words(
        "RealNVP is one invertible network: forwards it turns a picture into Gaussian noise of its size, "
        "backwards it turns noise into a picture. It is a chain of affine couplings, each of which scales "
        "and shifts half of the variables by amounts computed from the other half, so it is undone exactly. "
        "As the change in volume is known, it gives any picture's density and is trained on that alone.",
        "RealNVP 是一个可逆网络：正向把图片变成同样大小的高斯噪声，反向把噪声变成图片。"
        "它由一串仿射耦合层组成，每层用一半变量算出的系数去缩放和平移另一半，因此可以精确地还原。"
        "由于体积的变化也是已知的，它能给出任意图片的密度，训练也只靠最大化这个密度。",
    ),
    formula=(
        r"\log p(x) = \log \mathcal{N}(z; 0, I) + \log\left|\det\frac{\partial z}{\partial x}\right|,"
        r"\quad y_a = x_a,\; y_b = x_b \odot e^{s(x_a)} + t(x_a)"
    ),
    strengths=Words(
        "Exact density, exact latents, exact reconstruction, sampling in a single pass, and stable training.",
        "密度、隐变量和重建都是精确的，一次前向就能采样，训练稳定。",
    ),
    weaknesses=Words(
        "The latent must be as large as the picture and each affine layer bends space only a little, so "
        "it needs many of them; strokes of samples often break or blur together.",
        "隐变量必须和图片一样大，每个仿射层的变形能力又很弱，因此需要很多层；样本的笔画常常断裂或粘连。",
    ),
)
_RECIPE = Recipe(15000, 32, lr=1.5e-3, betas=(0.9, 0.99), warmup=200, ema=0.998, max_norm=100.0)

SPECS = (
    ModelSpec(
        name="realnvp",
        title="RealNVP",
        family="flow",
        year=2016,
        paper="1605.08803",
        model=RealNVP,
        config=RealNVPConfig(),
        recipe=_RECIPE,
        about=_ABOUT,
        controls=(replace(TEMPERATURE, default=RealNVP.temperature),),
        exemplary=True,
    ),
)
