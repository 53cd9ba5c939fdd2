"""Gated PixelCNN: a picture written pixel by pixel (van den Oord et al. 2016, arXiv:1606.05328).

Each pixel is drawn from a distribution that a network computes from the pixels above it and to its left, so
the probability of a whole picture is exact, a product of 784 conditionals:

    p(x | y) = prod_i p(x_i | x_1, ..., x_{i-1}, y).

Two stacks of convolutions see the past and nothing else: the vertical one all rows above, the horizontal one
the pixels to the left; the first feeds the second: within their reach there is no blind spot.
Every layer is gated and knows the class y (eq. 4): tanh(W_f * x + V_f y) . sigmoid(W_g * x + V_g y).

Differences from the paper: the future is kept out by where the kernels stand (half kernels on shifted
pictures), not by masking full ones; the shift is made once, at the input, so later layers may look at their
own place; the vertical stack has residual connections too; the first layer has a learned bias for each place.
The binary variant sees pixels binarised anew, at random, every time. Sampling computes nothing twice:
`_pixelcnn_cache`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from playground.models import _pixelcnn_cache as cache
from playground.models._autoregressive import TEMPERATURE, Autoregressive, digit_odds, ink_features
from playground.spec import About, ModelSpec, Recipe, SampleStep, Words


@dataclass(frozen=True)
class PixelCNNConfig:
    """Shape of the network.

    Attributes:
        levels: grey levels a pixel may have, 256 or 2.
        channels: of both stacks.
        num_layers: gated layers, the first one included.
        reach: rows above and pixels to the left that the first layer sees.
        head: channels between the stacks and the logits.
        num_classes: labels to condition on.
        height: of the picture.
        width: of the picture.
    """

    levels: int = 256
    channels: int = 32
    num_layers: int = 8
    reach: int = 7
    head: int = 64
    num_classes: int = 10
    height: int = 28
    width: int = 28


def gate(a: Tensor) -> Tensor:
    """The gated activation (eq. 2): (B, 2C, ...) -> (B, C, ...), tanh(-f / 2) * sigmoid(g) where f, g = a.

    tanh(-f / 2) = 1 - 2 sigmoid(f), so one sigmoid serves both halves, several times as fast as a tanh;
    the weights before f take up the factor -1/2.
    """
    f, g = a.sigmoid().chunk(2, dim=1)
    return torch.addcmul(g, f, g, value=-2.0)


class GatedLayer(nn.Module):
    """One layer of both stacks (fig. 2); the first one sees past pixels, the others features."""

    def __init__(self, config: PixelCNNConfig, in_channels: int, first: bool) -> None:
        """Half kernels: rows up to this one, a bit to both sides; columns up to this one."""
        super().__init__()
        c, reach = config.channels, config.reach
        rows, columns = (reach, 2 * reach + 1) if first else (2, 3)
        self.vertical = nn.Conv2d(in_channels, 2 * c, (rows, columns), bias=False)
        self.horizontal = nn.Conv2d(in_channels, 2 * c, (1, reach if first else 2), bias=False)
        self.link = nn.Conv2d(c, 2 * c, 1, bias=False)
        for conv in (self.vertical, self.horizontal, self.link):  # 2: see `gate`
            nn.init.normal_(conv.weight, std=2 / math.sqrt(conv.weight[0].numel()))
        self.out = nn.Conv2d(c, c, 1)
        self.label = nn.Embedding(config.num_classes, 4 * c)
        nn.init.normal_(self.label.weight, std=0.1)
        self.place = nn.Parameter(torch.zeros(4 * c, config.height, config.width)) if first else None
        # left, right, top, bottom; -1 crops the present row or column: the shift that hides it
        self.vertical_pad = (reach, reach, reach, -1) if first else (1, 1, 1, 0)
        self.horizontal_pad = (reach, -1) if first else (1, 0)

    def biases(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """V y of both stacks (eq. 4), in the first layer for each place: each (B, 2C, 1 or H, 1 or W)."""
        bias = self.label(labels)[..., None, None]
        vertical, horizontal = (bias if self.place is None else bias + self.place).chunk(2, dim=1)
        return vertical, horizontal

    def forward(self, v: Tensor, h: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Features of both stacks, each (B, in_channels, H, W), to the next layer's, each (B, C, H, W)."""
        vertical_bias, horizontal_bias = self.biases(labels)
        above = gate(self.vertical(F.pad(v, self.vertical_pad)) + vertical_bias)
        left = self.horizontal(F.pad(h, self.horizontal_pad))
        out = self.out(gate(left + self.link(above) + horizontal_bias))
        return (above, out) if self.place is not None else (v + above, h + out)


class PixelCNN(Autoregressive):
    """Class-conditional Gated PixelCNN of grey pictures with one channel."""

    def __init__(self, config: PixelCNNConfig) -> None:
        """Build the stacks; untrained, every pixel is black at the odds of a digit's picture, 4 to 1."""
        super().__init__(config.levels, config.num_classes, (config.height, config.width))
        self.config = config
        num_features = self.features(torch.zeros(1, 1, 1, 1)).shape[1]
        self.layers = nn.ModuleList(
            GatedLayer(config, config.channels if i else num_features, first=i == 0)
            for i in range(config.num_layers)
        )
        self.hidden = nn.Conv2d(config.channels, config.head, 1)
        self.logits = nn.Conv2d(config.head, config.levels, 1)
        nn.init.zeros_(self.logits.weight)
        self.logits.bias = nn.Parameter(digit_odds(config.levels))
        self.to(memory_format=torch.channels_last)

    def features(self, x: Tensor) -> Tensor:
        """What the first layer sees: (B, 1, H, W) -> (B, F, H, W)."""
        return ink_features(x, self.levels)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Logits of every pixel given its past.

        Args:
            x: (B, 1, H, W) in [-1, 1].
            labels: (B,) int64.

        Returns:
            (B, levels, H, W).
        """
        v = h = self.features(x).contiguous(memory_format=torch.channels_last)
        for layer in self.layers:
            v, h = layer(v, h, labels)
        return self.head(h)

    def head(self, h: Tensor) -> Tensor:
        """Features of the horizontal stack to logits: (B, C, H, W) -> (B, levels, H, W)."""
        return self.logits(F.relu(self.hidden(F.relu(h))))

    def write(
        self, x: Tensor, mask: Tensor, labels: Tensor, uniforms: Tensor, temperature: float
    ) -> Iterator[SampleStep]:
        """Pixel by pixel with remembered features: see `_pixelcnn_cache.write`."""
        return cache.write(self, x, mask, labels, uniforms, temperature)


_ABOUT = About(
    summary=Words(
        en="The picture is written like a text, pixel by pixel from the top left to the bottom right. "
        "For each pixel a network looks at those written so far and says how likely every grey level is; "
        "one is drawn, and it becomes part of the past of the next. "
        "Multiplied together, these probabilities are the exact probability of the whole picture, which is "
        "what training raises.",
        zh="像写字一样作画：从左上角到右下角，一个像素接着一个像素。"
        "每写一个像素，网络都看一遍附近已写好的像素，给出各灰度级的概率，从中抽取一个，它随即成为后面像素的依据。"
        "把这些概率乘起来，就是整张图的精确概率，训练所提高的正是它。",
    ),
    formula=r"p(x \mid y) = \prod_{i} p(x_i \mid x_1, \dots, x_{i-1}, y), \quad "
    r"h = \tanh(W_f * x + V_f y) \odot \sigma(W_g * x + V_g y)",
    strengths=Words(
        en="The likelihood is exact, not a bound; training is stable, with one loss that means what it says; "
        "strokes are sharp; it can finish a picture whose upper part is given.",
        zh="似然是精确值而不是下界；训练稳定，损失含义明确；笔画清晰；给出上半部分，它能把图补完。",
    ),
    weaknesses=Words(
        en="Writing is slow: 784 evaluations one after the other, even when nothing is computed twice; "
        "no latent code to mix pictures with; it cannot correct what it has written.",
        zh="生成很慢：即使不重复计算，也要依次计算网络 784 次；没有可以插值的隐编码；写下的像素无法再改。",
    ),
)

_RECIPE = Recipe(18_000, batch_size=16, lr=2e-3, betas=(0.9, 0.99), warmup=200, ema=0.999, max_norm=1.0)


def _spec(name: str, title: str, levels: int, recipe: Recipe) -> ModelSpec:
    return ModelSpec(
        name=name,
        title=title,
        family="autoregressive",
        year=2016,
        paper="1606.05328",
        model=PixelCNN,
        config=PixelCNNConfig(levels=levels),
        recipe=recipe,
        about=_ABOUT,
        controls=(TEMPERATURE,),
        conditional=True,
        exemplary=levels == 256,
        levels=levels,
    )


SPECS = (
    _spec("pixelcnn", "Gated PixelCNN", 256, replace(_RECIPE, num_steps=30_000)),
    _spec("pixelcnn_binary", "Gated PixelCNN (binary)", 2, _RECIPE),
)
