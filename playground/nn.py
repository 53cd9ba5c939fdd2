"""Blocks and small tools that several models share."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from playground import distributed, graphs
from playground.spec import Recipe


def randn(shape: Sequence[int], generator: torch.Generator, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal noise drawn where `generator` lives, then moved: the same seed, the same noise."""
    return torch.randn(tuple(shape), generator=generator, device=generator.device).to(device)


def rand(shape: Sequence[int], generator: torch.Generator, device: torch.device | str = "cpu") -> Tensor:
    """Uniform noise on [0, 1) drawn where `generator` lives, then moved."""
    return torch.rand(tuple(shape), generator=generator, device=generator.device).to(device)


def spread(num: int, generator: torch.Generator, device: torch.device | str = "cpu") -> Tensor:
    """(num,) on [0, 1), evenly spread from a random start: times of a batch (2107.00630, app. I.1)."""
    return (rand((1,), generator, device) + torch.arange(num, device=device) / num) % 1


def randint(high: int, num: int, generator: torch.Generator, device: torch.device | str = "cpu") -> Tensor:
    """(num,) int64, uniform on 0 to high - 1, drawn where `generator` lives, then moved."""
    return torch.randint(high, (num,), generator=generator, device=generator.device).to(device)


def has_double(device: torch.device) -> bool:
    """Whether a device computes in double precision: Apple's GPUs do not."""
    return device.type != "mps"


def doubled(x: Tensor) -> Tensor:
    """The same numbers in double precision, on the CPU if their own device has none."""
    return (x if has_double(x.device) else x.cpu()).double()


def adam(parameters: Iterable[nn.Parameter], hp: Recipe) -> Optimizer:
    """Adam (1412.6980), or AdamW (1711.05101) when the recipe asks for weight decay."""
    if hp.weight_decay:
        return AdamW(parameters, lr=hp.lr, betas=hp.betas, weight_decay=hp.weight_decay)
    return Adam(parameters, lr=hp.lr, betas=hp.betas)


def backward(loss: Tensor, optimizer: Optimizer) -> None:
    """Give the optimiser's parameters the gradient of `loss`, or the mean of all processes that train."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    distributed.average_gradients(p for group in optimizer.param_groups for p in group["params"])


def update(loss: Tensor, optimizer: Optimizer, max_norm: float = 0.0) -> None:
    """Descend `loss` once; with `max_norm` the gradient is clipped to that norm first."""
    backward(loss, optimizer)
    if max_norm:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, max_norm)
    optimizer.step()


def kl_to_prior(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) || N(0, 1)) of every number in nats (1312.6114, appendix B), the same shape."""
    return 0.5 * (logvar.exp() + mu.square() - 1 - logvar)


@dataclass(frozen=True)
class UNetConfig:
    """A U-Net: its defaults put the work at 14x14 and 7x7, where a CPU multiplies fastest.

    Attributes:
        in_channels: channels of the input.
        out_channels: channels of the prediction.
        widths: channels at full, half, quarter, ... resolution; multiples of 8.
        blocks: residual blocks at each resolution, on the way down and again on the way up.
        num_classes: labels 0 to num_classes - 1; num_classes itself is the null label, "no label given".
        embedding: width of the embedding of time and label.
        extra: width of an additional conditioning vector, 0 for none.
    """

    in_channels: int = 1
    out_channels: int = 1
    widths: tuple[int, ...] = (16, 64, 112)
    blocks: tuple[int, ...] = (0, 1, 2)
    num_classes: int = 10
    embedding: int = 128
    extra: int = 0


def time_embedding(t: Tensor, width: int) -> Tensor:
    """(B,) times in [0, 1] -> (B, width) sines and cosines of 1000 t (1706.03762, section 3.5)."""
    frequencies = torch.exp(-math.log(1e4) * torch.arange(width // 2, device=t.device) / (width // 2))
    angles = 1000 * t[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class AdaptedConv2d(nn.Conv2d):
    """A convolution with an adapter for a second task: W + up down, of low rank (2106.09685, eq. 3)."""

    def __init__(self, width_in: int, width_out: int, stride: int, rank: int) -> None:
        """3x3, of these channels; the adapter adds nothing at first."""
        super().__init__(width_in, width_out, 3, stride, 1)
        num = self.weight[0].numel()
        self.up = nn.Parameter(torch.zeros(self.out_channels, rank))
        self.down = nn.Parameter(torch.randn(rank, num) / num**0.5)
        self.shift = nn.Parameter(torch.zeros(self.out_channels))

    def adapter(self) -> list[nn.Parameter]:
        """What learns the second task."""
        return [self.up, self.down, self.shift]

    def forward(self, x: Tensor, adapted: bool = False) -> Tensor:
        """(B, C, H, W) as of `nn.Conv2d`; adapted: for the second task."""
        if not adapted or self.bias is None:
            return super().forward(x)
        weight = self.weight + (self.up @ self.down).view_as(self.weight)
        return self._conv_forward(x, weight, self.bias + self.shift)


def _conv(width_in: int, width_out: int, stride: int = 1, rank: int = 0) -> nn.Conv2d:
    if rank:
        return AdaptedConv2d(width_in, width_out, stride, rank)
    return nn.Conv2d(width_in, width_out, 3, stride, 1)


class ResBlock(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))), the second norm scaled and shifted by the embedding."""

    def __init__(self, width: int, embedding: int, rank: int = 0) -> None:
        """`width` channels in and out, told about by an embedding of that width."""
        super().__init__()
        self.norm1 = nn.GroupNorm(8, width)
        self.conv1 = _conv(width, width, rank=rank)
        self.modulation = nn.Linear(embedding, 2 * width)
        self.norm2 = nn.GroupNorm(8, width)
        self.conv2 = _conv(width, width, rank=rank)
        nn.init.zeros_(self.conv2.weight)  # every block starts as the identity

    def forward(self, x: Tensor, embedding: Tensor, **task: bool) -> Tensor:
        """(B, C, H, W), (B, E) -> (B, C, H, W); `task` is what `AdaptedConv2d` is told."""
        h = self.conv1(F.silu(self.norm1(x)), **task)
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        h = torch.addcmul(shift, self.norm2(h), 1 + scale)
        return x + self.conv2(F.silu(h), **task)


class UNet(nn.Module):
    """A lean U-Net (1505.04597) told the time, the label and, if asked, a further vector.

    Skips are added, not concatenated, and there is no attention: the convolutions at 7x7 already see
    nearly the whole picture, and on a CPU a 1x1 convolution costs almost as much as a 3x3 one.
    """

    def __init__(self, config: UNetConfig, rank: int = 0) -> None:
        """A network of that shape; its last convolution starts at zero.

        The convolutions within have adapters of that rank, if any, for a second task.
        """
        super().__init__()
        self.config, self.has_adapters = config, rank > 0
        width, widths = config.embedding, config.widths
        pairs = list(zip(widths, widths[1:], strict=False))  # neighbouring resolutions
        self.time = nn.Sequential(nn.Linear(width // 2, width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(config.num_classes + 1, width)
        self.extra = nn.Linear(config.extra, width) if config.extra else None
        self.conv_in = nn.Conv2d(config.in_channels, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(self._blocks(level, rank) for level in range(len(widths)))
        self.downs = nn.ModuleList(_conv(fine, coarse, 2, rank) for fine, coarse in pairs)
        self.norms = nn.ModuleList(nn.GroupNorm(8, coarse) for _, coarse in pairs)
        self.ups = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 2, 2) for fine, coarse in pairs)
        self.up_blocks = nn.ModuleList(self._blocks(level, rank) for level in range(len(pairs)))
        self.conv_out = nn.Conv2d(widths[0], config.out_channels, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        self.to(memory_format=torch.channels_last)  # twice as fast on a CPU

    def _blocks(self, level: int, rank: int) -> nn.ModuleList:
        width, num = self.config.widths[level], self.config.blocks[level]
        return nn.ModuleList(ResBlock(width, self.config.embedding, rank) for _ in range(num))

    def adapter(self) -> list[nn.Parameter]:
        """What learns the second task; nothing without adapters."""
        convs = [part for part in self.modules() if isinstance(part, AdaptedConv2d)]
        return [parameter for conv in convs for parameter in conv.adapter()]

    def embed(self, t: Tensor, labels: Tensor | None, extra: Tensor | None) -> Tensor:
        """Time, label and further vector -> (B, E); no labels means the null label."""
        if labels is None:
            labels = torch.full(t.shape, self.config.num_classes, device=t.device)
        embedding = self.time(time_embedding(t, self.config.embedding // 2)) + self.label(labels)
        if self.extra is not None and extra is not None:
            embedding = embedding + self.extra(extra)
        return F.silu(embedding)

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        labels: Tensor | None = None,
        extra: Tensor | None = None,
        adapted: bool = False,
    ) -> Tensor:
        """(B, C, H, W), (B,) times in [0, 1], (B,) int64 or None, (B, extra) -> (B, out_channels, H, W).

        adapted: for the second task; without adapters there is none.
        """
        forward = self._adapted if adapted and self.has_adapters else self._pass
        return graphs.run(self, forward, x, t, labels, extra)

    def _adapted(self, x: Tensor, t: Tensor, labels: Tensor | None, extra: Tensor | None) -> Tensor:
        return self._pass(x, t, labels, extra, adapted=True)

    def _pass(
        self, x: Tensor, t: Tensor, labels: Tensor | None, extra: Tensor | None, **task: bool
    ) -> Tensor:
        embedding = self.embed(t, labels, extra)
        h = self.conv_in(x.contiguous(memory_format=torch.channels_last))
        skips: list[Tensor] = []
        for level, blocks in enumerate(self.down_blocks):
            for block in blocks.children():
                h = block(h, embedding, **task)
            if level < len(self.downs):
                skips.append(h)
                h = self.downs[level](h, **task)
        for level in reversed(range(len(self.ups))):
            h = self.ups[level](F.silu(self.norms[level](h))) + skips[level]
            for block in self.up_blocks[level].children():
                h = block(h, embedding, **task)
        return self.conv_out(F.silu(h))
