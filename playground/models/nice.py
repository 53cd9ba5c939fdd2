"""NICE: non-linear independent components estimation (Dinh, Krueger & Bengio 2014, arXiv:1410.8516).

The first flow: a stack of additive couplings, each of which leaves some pixels alone and adds to the others
what a network makes of the first, and at the end one learned scale for each variable (section 3.3). A
coupling's Jacobian is triangular with ones on its diagonal, so all that changes volume is the scales S, and
with independent logistic variables h = S f(x) (section 3.4) the density is

    log p(x) = sum_i [log p_H(h_i) + log |S_ii|],    log p_H(h) = -log(1 + exp(h)) - log(1 + exp(-h)).

A pixel is moved by as much as its neighbours say, but how sure they are cannot matter: scales that depend on
the picture are what RealNVP adds.

**The paper's protocol** for its 1980.50 nats: the log-density, over the test images, of pixels spread evenly
over their grey level and divided by 256, so that they lie in [0, 1]. `log_prob` is the density of the same
pixels in [0, 256), as everywhere here: D log 256 nats less for D = 784, or 8 bits a pixel, which makes the
paper's number 8 - 1980.50 / (784 log 2) = 4.36 bits/dim. Nothing else is done to the pixels: no logit.

What differs from the paper:

* Couplings follow grids that become coarser (`pattern`), instead of taking turns between even and odd pixels:
  what one coupling has left alone the next can split again.
* Their networks are narrower, and speak in units of the last layer's scale, y_b = x_b + m(x_a) / S_b. What
  can be computed is the same, but one learning rate suits pixels that vary by 1/256 and by 1.
* Scales and last biases start from the statistics of the first batch.

The paper's h is logistic and stays so in `to_logistic` and in the loss. Who asks for a *latent* (`encode`,
`decode`, `through`) gets z = Phi^-1(sigmoid(h)), the same quantile of a normal variable, so that latents mean
the same in every model; it is a fixed bijection of single variables and its Jacobian is counted.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from playground.models._flow import TEMPERATURE, Flow, dequantise
from playground.models._logistic import logistic_log_prob, logistic_to_normal, normal_to_logistic
from playground.spec import About, FlowStep, ModelSpec, Recipe, Words

LOGISTIC_STD = math.pi / math.sqrt(3)
SCALE_UNIT = 5.0  # of log S in its parameter: with Adam's equal steps the scales learn five times as fast


@dataclass(frozen=True)
class NICEConfig:
    """Sizes of the flow.

    Attributes:
        size: side of the picture.
        couplings: additive couplings, at least 2.
        hidden: layers of a coupling's network.
        width: their units.
        least_std: of a pixel, in [0, 1], as the first batch sets its scale.
    """

    size: int = 28
    couplings: int = 6
    hidden: int = 2
    width: int = 370
    least_std: float = 0.01


def pattern(size: int, index: int, num: int) -> Tensor:
    """Which pixels coupling `index` of `num` moves, (size * size,) of bool.

    In turn one colour of a chequerboard and every other row; then the same of fields of 2x2, of 4x4, ...
    The last coupling moves what the one before it keeps, so that every pixel is moved at least once.
    """
    if index == num - 1:
        return ~pattern(size, index - 1, num)
    fields = torch.arange(size) >> (index // 2)
    rows, columns = fields[:, None].expand(size, size), fields.expand(size, size)
    return ((rows + columns if index % 2 == 0 else rows) % 2 == 1).flatten()


class Coupling(nn.Module):
    """Additive coupling (section 3.2): the pixels it moves get a shift computed from those it keeps."""

    keep: Tensor
    move: Tensor

    def __init__(self, moved: Tensor, hidden: int, width: int) -> None:
        """`moved` (D,) of bool; a network of `hidden` layers of `width` rectified units makes the shift."""
        super().__init__()
        self.register_buffer("keep", (~moved).nonzero().flatten(), persistent=False)
        self.register_buffer("move", moved.nonzero().flatten(), persistent=False)
        sizes = [len(self.keep), *[width] * hidden]
        layers = [(nn.Linear(a, b), nn.ReLU()) for a, b in zip(sizes, sizes[1:], strict=False)]
        self.last = nn.Linear(width, len(self.move))
        self.network = nn.Sequential(*(layer for pair in layers for layer in pair))
        nn.init.zeros_(self.last.weight)  # the flow starts as scale and shift alone
        nn.init.zeros_(self.last.bias)

    def shift(self, x: Tensor, log_scale: Tensor) -> Tensor:
        """(B, D), log S (D,) -> m(x_a) / S_b for the pixels that move."""
        return self.last(self.network(x[:, self.keep])) * torch.exp(-log_scale[self.move])

    def forward(self, x: Tensor, log_scale: Tensor) -> Tensor:
        """(B, D) -> (B, D); the Jacobian's determinant is 1."""
        return x.index_add(1, self.move, self.shift(x, log_scale))

    def inverse(self, y: Tensor, log_scale: Tensor) -> Tensor:
        """The x that `forward` maps to y."""
        return y.index_add(1, self.move, self.shift(y, log_scale), alpha=-1)


class NICE(Flow):
    """Additive couplings with fully connected networks, then a diagonal scaling, on logistic variables."""

    initialised: Tensor

    def __init__(self, config: NICEConfig) -> None:
        """The identity, until the first batch and the first update."""
        super().__init__(config.size)
        self.config = config
        moved = (pattern(config.size, index, config.couplings) for index in range(config.couplings))
        self.couplings = nn.ModuleList(Coupling(m, config.hidden, config.width) for m in moved)
        self.scale = nn.Parameter(torch.zeros(self.num_dims))
        self.register_buffer("initialised", torch.tensor(False))

    @property
    def log_scale(self) -> Tensor:
        """Log S, (D,)."""
        return SCALE_UNIT * self.scale

    @property
    def stack(self) -> list[Coupling]:
        """The couplings, in order."""
        return [cast(Coupling, coupling) for coupling in self.couplings]

    @torch.no_grad()
    def initialise(self, p: Tensor) -> None:
        """Scales and last biases from the first batch (B, D) in [0, 1]: mean 0, a logistic's deviation."""
        std = p.std(0, correction=0).clamp(min=self.config.least_std)
        self.scale.copy_((LOGISTIC_STD / std).log() / SCALE_UNIT)
        missing = -p.mean(0) * self.log_scale.exp()
        for coupling in self.stack:  # the first coupling that moves a pixel centres it
            coupling.last.bias.copy_(missing[coupling.move])
            missing[coupling.move] = 0
        self.initialised.fill_(True)

    def to_unit(self, x: Tensor) -> Tensor:
        """(B, 1, H, W), the grey levels' centres in [-1, 1] -> (B, D), their place in [0, 1]."""
        return ((x + 1) * 127.5 + 0.5).flatten(1) / 256

    def to_logistic(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) in [-1, 1] -> h (B, D), independent logistic variables if the model is right."""
        y = self.to_unit(x)
        if self.training and not self.initialised:
            self.initialise(y)
        for coupling in self.stack:
            y = coupling(y, self.log_scale)
        return y * self.log_scale.exp()

    def from_logistic(self, h: Tensor) -> Tensor:
        """(B, D) -> x (B, 1, H, W), the exact inverse; beyond [-1, 1] where h asks for it."""
        y = h * torch.exp(-self.log_scale)
        for coupling in reversed(self.stack):
            y = coupling.inverse(y, self.log_scale)
        return ((y * 256 - 0.5) / 127.5 - 1).view(-1, 1, self.config.size, self.config.size)

    def through(self, x: Tensor) -> Iterator[FlowStep]:
        """Pixels in [0, 1], every coupling (which adds nothing), the scales, and the change to normal z."""
        y = self.to_unit(x)
        none = y.new_zeros(len(y))
        yield FlowStep("unit", y, none + self.num_dims * math.log(127.5 / 256))
        for number, coupling in enumerate(self.stack, 1):
            y = coupling(y, self.log_scale)
            yield FlowStep(f"coupling {number}", y, none)
        h = y * self.log_scale.exp()
        yield FlowStep("scaling", h, none + self.log_scale.sum())
        z = logistic_to_normal(h)
        log_normal = -0.5 * (z**2 + math.log(2 * math.pi))
        yield FlowStep("normal", z, (logistic_log_prob(h) - log_normal).sum(dim=1))

    def latent_groups(self) -> list[Tensor]:
        """Four quarters of the variables by scale: a large S is a small 1 / S in the picture (sec. 3.3)."""
        return list(self.log_scale.detach().cpu().argsort().chunk(4))

    def inverse(self, z: Tensor) -> Tensor:
        """(B, D) -> x (B, 1, H, W), the exact inverse of `flow`; beyond [-1, 1] where z asks for it."""
        return self.from_logistic(normal_to_logistic(z))

    def log_prob(
        self, x: Tensor, labels: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Log-density of the dequantised pixels in [0, 256); D log 256 more is the paper's, in [0, 1]."""
        generator = generator or torch.Generator().manual_seed(0)
        h = self.to_logistic(dequantise(x, generator))
        return logistic_log_prob(h).sum(dim=1) + self.log_scale.sum() - self.num_dims * math.log(256)

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, 1, H, W) in [-1, 1] -> its exact latent (B, D), standard normal."""
        return logistic_to_normal(self.to_logistic(x))


_ABOUT = About(
    summary=Words(
        "NICE is the first deep flow: a stack of layers that each add to half of the pixels a shift computed "
        "from the other half, which is undone by subtracting it. "
        "Shifts change no volume, so the density follows from one scale for each variable at the end. "
        "Forwards a picture becomes 784 independent numbers, backwards such numbers become a picture.",
        "NICE 是最早的深度流模型：每一层用一半像素算出一个平移量，加到另一半像素上，减去它就能精确还原。"
        "平移不改变体积，所以密度只由最后每个变量的缩放决定。"
        "正向把图片变成 784 个相互独立的数，反向把这样的数变回图片。",
    ),
    formula=r"y_a = x_a,\; y_b = x_b + m(x_a), \quad \log p(x) = \sum_i \log p_H(h_i) + \log |S_{ii}|",
    strengths=Words(
        "Exact density, exact latents and exact reconstruction from the simplest layers there are; sampling "
        "is a single pass.",
        "用最简单的层就得到精确的密度、隐变量和重建；一次计算就能采样。",
    ),
    weaknesses=Words(
        "A shift cannot say how sure it is, so every variable keeps one scale for all pictures: samples are "
        "grainy, and its likelihood is far behind RealNVP's.",
        "平移无法表达把握的大小，每个变量在所有图片上只有同一个尺度：样本颗粒感强，似然远不如 RealNVP。",
    ),
)
_RECIPE = Recipe(10000, 128, lr=2e-3, betas=(0.9, 0.99), warmup=100, ema=0.998, max_norm=300.0)

SPECS = (
    ModelSpec(
        name="nice",
        title="NICE",
        family="flow",
        year=2014,
        paper="1410.8516",
        model=NICE,
        config=NICEConfig(),
        recipe=_RECIPE,
        about=_ABOUT,
        controls=(TEMPERATURE,),
    ),
)
