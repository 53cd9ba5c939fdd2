"""BigGAN's networks (arXiv:1809.11096): residual, conditional, with attention; spectral norm comes later."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from playground.models._gan_networks import minibatch_layer
from playground.models._gan_switches import Techniques
from playground.models._resample import conv_halve, double, double_conv, halve


@dataclass(frozen=True)
class BigGANConfig:
    """Shape of the two networks.

    Attributes:
        latent_dim: length of z, a multiple of 3: one chunk for the input, one for each block.
        embedding: width of the shared embedding of the label.
        num_classes: labels there are.
        channels: of the picture.
        generator_widths: channels on 7, 14 and 28 pixels.
        discriminator_widths: channels of the blocks that end on 14, 7 and 7 pixels.
        orthogonal: beta of the orthogonal regularisation of G (eq. 3).
        techniques: how it is trained.
    """

    latent_dim: int = 48
    embedding: int = 32
    num_classes: int = 10
    channels: int = 1
    generator_widths: tuple[int, int, int] = (64, 32, 16)
    discriminator_widths: tuple[int, int, int] = (16, 32, 64)
    orthogonal: float = 1e-4
    techniques: Techniques = Techniques(loss="hinge", spectral_norm=True, d_steps=2, beta1=0.0, beta2=0.999)


class ConditionalBatchNorm(nn.Module):
    """Batch norm whose scale and shift are linear in a condition (1707.00683); the scale is centred at 1."""

    def __init__(self, width: int, condition: int) -> None:
        """`width` channels, told by `condition` numbers."""
        super().__init__()
        self.norm = nn.BatchNorm2d(width, affine=False)
        self.modulation = nn.Linear(condition, 2 * width, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, width, H, W), (B, condition) -> (B, width, H, W)."""
        scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, self.norm(x), 1 + scale)


class UpBlock(nn.Module):
    """G's residual block, twice the size (1809.11096, figure 15b)."""

    def __init__(self, in_width: int, width: int, condition: int) -> None:
        """`condition` numbers tell both batch norms."""
        super().__init__()
        self.norm1 = ConditionalBatchNorm(in_width, condition)
        self.conv1 = nn.Conv2d(in_width, width, 3, padding=1)
        self.norm2 = ConditionalBatchNorm(width, condition)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.skip = nn.Conv2d(in_width, width, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, in_width, H, W), (B, condition) -> (B, width, 2H, 2W)."""
        h = double_conv(F.relu(self.norm1(x, condition)), self.conv1.weight, self.conv1.bias)
        h = self.conv2(F.relu(self.norm2(h, condition)))
        return h + double(self.skip(x))


def leaky(x: Tensor) -> Tensor:
    """What D has in place of the paper's ReLU.

    Spectral norm leaves signals faint, and a ReLU whose bias drifts below them is dead for good.
    """
    return F.leaky_relu(x, 0.2)


class DownBlock(nn.Module):
    """D's residual block (1809.11096, figure 15c), half the size if `down`."""

    def __init__(self, in_width: int, width: int, *, first: bool = False, down: bool = True) -> None:
        """The first block sees the picture itself, so nothing comes before its convolution."""
        super().__init__()
        self.first, self.down = first, down
        self.conv1 = nn.Conv2d(in_width, width if first else in_width, 3, padding=1)
        self.conv2 = nn.Conv2d(self.conv1.out_channels, width, 3, padding=1)
        self.skip = nn.Conv2d(in_width, width, 1) if in_width != width else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_width, H, W) -> (B, width, H / 2, W / 2), or H and W."""
        h = leaky(self.conv1(x if self.first else leaky(x)))
        if not self.down:
            return self.conv2(h) + self.skip(x)
        return conv_halve(h, self.conv2.weight, self.conv2.bias) + self.skip(halve(x))


class SelfAttention(nn.Module):
    """x + gamma o(attention over all places): far places see each other (1805.08318, eq. 1 to 3)."""

    def __init__(self, width: int) -> None:
        """Queries and keys of an eighth of the width, values of half of it; gamma starts at 0."""
        super().__init__()
        self.query = nn.Conv2d(width, width // 8, 1, bias=False)
        self.key = nn.Conv2d(width, width // 8, 1, bias=False)
        self.value = nn.Conv2d(width, width // 2, 1, bias=False)
        self.out = nn.Conv2d(width // 2, width, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) -> the same shape; keys and values are pooled to a quarter of the places."""
        query = self.query(x).flatten(2)
        key, value = (F.max_pool2d(part(x), 2).flatten(2) for part in (self.key, self.value))
        weights = (query.transpose(1, 2) @ key).softmax(dim=2)  # (B, HW, HW / 4)
        seen = (weights @ value.transpose(1, 2)).transpose(1, 2)
        return x + self.gamma * self.out(seen.reshape(len(x), -1, *x.shape[2:]))


class Generator(nn.Module):
    """z in chunks and a label -> picture, through 7, 14 and 28 pixels."""

    def __init__(self, config: BigGANConfig) -> None:
        """Attention at 14x14, before the last block as in the paper."""
        super().__init__()
        self.chunk = config.latent_dim // 3
        condition = self.chunk + config.embedding
        a, b, c = config.generator_widths
        self.embed = nn.Embedding(config.num_classes, config.embedding)
        self.project = nn.Linear(condition, 7 * 7 * a)
        self.up1 = UpBlock(a, b, condition)
        self.attention = SelfAttention(b)
        self.up2 = UpBlock(b, c, condition)
        self.norm = nn.BatchNorm2d(c)
        self.out = nn.Conv2d(c, config.channels, 3, padding=1)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, latent_dim), (B,) -> (B, C, 28, 28) in [-1, 1]; no label: the mean of all embeddings."""
        y = self.embed.weight.mean(0).expand(len(z), -1) if labels is None else self.embed(labels)
        first, one, two = (torch.cat([y, chunk], dim=1) for chunk in z.split(self.chunk, dim=1))
        h = self.project(first).view(len(z), 7, 7, -1).permute(0, 3, 1, 2)  # channels last already
        h = self.up2(self.attention(self.up1(h, one)), two)
        return self.out(F.relu(self.norm(h))).tanh()

    def orthogonality(self) -> Tensor:
        """Eq. 3: how far filters are from orthogonal, whatever their length, over all but the embedding."""
        weights = [p for name, p in self.named_parameters() if p.ndim > 1 and not name.startswith("embed")]
        return torch.stack([overlap(weight) for weight in weights]).sum()


class Discriminator(nn.Module):
    """Picture and label -> score, through 14 and 7 pixels."""

    def __init__(self, config: BigGANConfig) -> None:
        """Attention at 7x7, after the second block."""
        super().__init__()
        a, b, c = config.discriminator_widths
        self.body = nn.Sequential(
            DownBlock(config.channels, a, first=True),
            DownBlock(a, b),
            SelfAttention(b),
            DownBlock(b, c, down=False),
        )
        self.psi = nn.Linear(c, 1)
        self.embed = nn.Embedding(config.num_classes, c)
        self.minibatch: nn.Module | None = None

    def set_minibatch(self, kind: str) -> None:
        """Let it see the batch in a way of `minibatch_layer`."""
        self.minibatch = minibatch_layer(kind, self.psi.in_features)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """(B, C, 28, 28) in [-1, 1], (B,) -> (B,) scores."""
        x = x.contiguous(memory_format=torch.channels_last)
        phi = leaky(self.body(x)).sum(dim=(2, 3))
        out = self.psi(phi).flatten() + (self.embed(labels) * phi).sum(dim=1)
        return out if self.minibatch is None else out + self.minibatch(phi)


def overlap(weight: Tensor) -> Tensor:
    """|W^T W * (1 - I)|^2: the squared inner products of different filters; 0 if they are orthogonal.

    Filters are rows; a matrix with more rows than columns, which cannot be orthogonal, is taken by columns.
    """
    w = weight.flatten(1)
    w = w if w.shape[0] <= w.shape[1] else w.T
    gram = w @ w.T
    return (gram - gram.diag().diag()).square().sum()
