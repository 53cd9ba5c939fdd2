"""PixelRNN: a picture written pixel by pixel, remembered by LSTMs that run along its diagonals (1601.06759).

Each pixel is drawn from a distribution that a network computes from the pixels before it, so the probability
of a whole picture is exact. What a convolution sees is bounded, what a recurrent state remembers is not: the
Diagonal BiLSTM (van den Oord et al. 2016, arXiv:1601.06759, section 3.2) carries a state from the upper left
corner to the lower right one and another from the upper right to the lower left. At each place the state
comes from the place beside it and the place above it, so all places of a diagonal are computed at once (eq.
3):

    [o, f, i, g] = K_ss * h + K_is * u,    c = f . c_beside + i . g,    h = o . tanh(c).

The state from the right is taken from the row above, for beside a pixel it has already seen the future; the
two together have seen the whole past and nothing else (but for the last pixel of the row above, which no
feature of that row may see: it is known only where the window of the first layer shows it).

Differences from the paper: the first layer sees a wide window of past pixels by half kernels, with a learned
bias for each place, and the class; the two directions are joined by one matrix and have a residual
connection; grey pixels also say if there is any and full ink; the binary variant sees pixels binarised anew
every time. Sampling computes nothing twice: `_pixelrnn_cache`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from playground.models import _pixelrnn_cache as cache
from playground.models._autoregressive import TEMPERATURE, Autoregressive, digit_odds, ink_features
from playground.models._diagonal import diagonals, scan
from playground.spec import About, ModelSpec, Recipe, SampleStep, Words


@dataclass(frozen=True)
class PixelRNNConfig:
    """Shape of the network.

    Attributes:
        levels: grey levels a pixel may have, 256 or 2.
        channels: between the layers.
        hidden: of each direction's state.
        num_layers: BiLSTM layers.
        reach: rows above and pixels to the left that the first layer sees.
        head: channels between the last layer and the logits.
        num_classes: labels to condition on.
        height: of the picture.
        width: of the picture.
    """

    levels: int = 256
    channels: int = 64
    hidden: int = 48
    num_layers: int = 1
    reach: int = 7
    head: int = 64
    num_classes: int = 10
    height: int = 28
    width: int = 28


class Window(nn.Module):
    """The first layer (mask A): the rows above, to both sides, and the pixels to the left; nothing else."""

    def __init__(self, config: PixelRNNConfig, in_channels: int) -> None:
        """Half kernels; the present row and column are cropped, which hides them."""
        super().__init__()
        c, reach = config.channels, config.reach
        self.above = nn.Conv2d(in_channels, c, (reach, 2 * reach + 1), bias=False)
        self.beside = nn.Conv2d(in_channels, c, (1, reach), bias=False)
        for conv in (self.above, self.beside):
            nn.init.normal_(conv.weight, std=1 / math.sqrt(conv.weight[0].numel()))
        self.label = nn.Embedding(config.num_classes, c)
        nn.init.normal_(self.label.weight, std=0.1)
        self.place = nn.Parameter(torch.zeros(c, config.height, config.width))
        self.above_pad = (reach, reach, reach, -1)  # left, right, top, bottom
        self.beside_pad = (reach, -1)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """(B, F, H, W), (B,) -> (B, C, H, W)."""
        above, beside = self.above(F.pad(x, self.above_pad)), self.beside(F.pad(x, self.beside_pad))
        return above + beside + (self.label(labels)[:, :, None, None] + self.place)

    def from_above(self, rows: Tensor, labels: Tensor, row: int) -> Tensor:
        """What one row receives but for the pixels to the left.

        (B, F, reach, W + 2 reach), the rows above and their padding, (B,) -> (B, C, W).
        """
        bias = self.label(labels)[:, :, None] + self.place[:, row]
        return self.above(rows)[:, :, 0] + bias


class DiagonalBiLSTM(nn.Module):
    """One layer: both directions in one batched step a diagonal, then joined."""

    def __init__(self, config: PixelRNNConfig) -> None:
        """Weights of unit gain; the forget gates start open."""
        super().__init__()
        c, h = config.channels, config.hidden
        self.width, self.path = config.width, diagonals(config.height, config.width)
        self.weight = nn.Parameter(torch.randn(2, c + 2 * h, 4 * h) / math.sqrt(c + 2 * h))
        self.bias = nn.Parameter(torch.zeros(2, 1, 4 * h))
        with torch.no_grad():
            self.bias[..., h : 2 * h] = 1.0
        self.out = nn.Linear(2 * h, c)

    def forward(self, u: Tensor) -> Tensor:
        """(H * W, B, C), places in reading order -> the same shape."""
        return u + self.out(scan(u, self.weight, self.bias, self.path, self.width))


class PixelRNN(Autoregressive):
    """Class-conditional PixelRNN with Diagonal BiLSTM layers."""

    def __init__(self, config: PixelRNNConfig) -> None:
        """Build the layers; untrained, every pixel is black at the odds of a digit's picture, 4 to 1."""
        super().__init__(config.levels, config.num_classes, (config.height, config.width))
        self.config = config
        num_features = ink_features(torch.zeros(1, 1, 1, 1), config.levels).shape[1]
        self.window = Window(config, num_features)
        self.layers = nn.ModuleList(DiagonalBiLSTM(config) for _ in range(config.num_layers))
        self.hidden = nn.Linear(config.channels, config.head)
        self.logits = nn.Linear(config.head, config.levels)
        nn.init.zeros_(self.logits.weight)
        self.logits.bias = nn.Parameter(digit_odds(config.levels))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Logits of every pixel given its past: (B, 1, H, W) in [-1, 1], (B,) -> (B, levels, H, W)."""
        h = self.window(ink_features(x, self.levels), labels)
        h = h.permute(2, 3, 0, 1).flatten(0, 1)  # (H * W, B, C): a diagonal is a slice
        for layer in self.layers:
            h = layer(h)
        h = h.view(*x.shape[2:], len(x), -1).permute(2, 0, 1, 3)
        return self.head(h).permute(0, 3, 1, 2)

    def head(self, h: Tensor) -> Tensor:
        """Features of the last layer to logits: (..., C) -> (..., levels)."""
        return self.logits(F.relu(self.hidden(F.relu(h))))

    def write(
        self, x: Tensor, mask: Tensor, labels: Tensor, uniforms: Tensor, temperature: float
    ) -> Iterator[SampleStep]:
        """Pixel by pixel with remembered states: see `_pixelrnn_cache.write`."""
        return cache.write(self, x, mask, labels, uniforms, temperature)


_ABOUT = About(
    summary=Words(
        en="The picture is written pixel by pixel, and what has been written is remembered by recurrent "
        "networks instead of being looked at through a window. "
        "One memory travels from the upper left corner to the lower right one, another from the upper right "
        "to the lower left, a diagonal at a time; together they know almost the whole past of a pixel. "
        "From them comes the probability of every grey level, and the product over all pixels is the exact "
        "probability of the picture.",
        zh="图像逐像素写成，已写内容不是透过一个窗口去看，而是由循环网络记住。"
        "一份记忆从左上角走向右下角，另一份从右上角走向左下角，每次推进一条对角线，合起来几乎掌握了一个像素之前的全部内容。"
        "由此得到每个灰度级的概率，所有像素的概率相乘，就是整张图的精确概率。",
    ),
    formula=r"p(x \mid y) = \prod_{i} p(x_i \mid x_1, \dots, x_{i-1}, y), \quad "
    r"c_{r,k} = f \odot c_{r,k-1} + i \odot \tanh(g), \quad h_{r,k} = o \odot \tanh(c_{r,k})",
    strengths=Words(
        en="The likelihood is exact; hardly anything of the past is out of sight, however far away; few "
        "weights and few pictures are enough for a good likelihood.",
        zh="似然是精确值；过去的像素无论多远，几乎都在视野之内；参数少，看过的图不多就能得到好的似然。",
    ),
    weaknesses=Words(
        en="Training is slow, because a memory must walk along 55 diagonals one after the other; writing "
        "is as slow as with any model that goes pixel by pixel, and no pixel can be corrected later.",
        zh="训练慢，因为记忆要依次走过 55 条对角线；生成也和所有逐像素模型一样慢，写下的像素无法再改。",
    ),
)

_RECIPE = Recipe(8_000, batch_size=16, lr=3e-3, betas=(0.9, 0.99), warmup=200, ema=0.999, max_norm=1.0)


def _spec(name: str, title: str, levels: int, recipe: Recipe) -> ModelSpec:
    return ModelSpec(
        name=name,
        title=title,
        family="autoregressive",
        year=2016,
        paper="1601.06759",
        model=PixelRNN,
        config=PixelRNNConfig(levels=levels),
        recipe=recipe,
        about=_ABOUT,
        controls=(TEMPERATURE,),
        conditional=True,
        levels=levels,
    )


SPECS = (
    _spec("pixelrnn", "PixelRNN", 256, replace(_RECIPE, num_steps=10_000)),
    _spec("pixelrnn_binary", "PixelRNN (binary)", 2, _RECIPE),
)
