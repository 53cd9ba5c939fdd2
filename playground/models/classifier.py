"""The digit classifier: the eye that judges every other model of the playground.

Inception's features mean nothing on 28x28 digits, so quality is measured on the features of a small residual
network (He et al. 2015, arXiv:1512.03385) trained here on MNIST by cross-entropy,

    loss = -log softmax(W h(x))[label],    h(x) = relu(...) in R^128, the features.

Differences from the paper: three stages for 28x28 pixels, the first two without blocks, and training pictures
that are slightly moved, turned, scaled and made noisy, so that the features do not punish what no eye sees:
on those of a network trained on clean pictures, faint background noise moves the Frechet distance a
thousandfold.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import update_bn

from playground.nn import adam, update
from playground.spec import About, Batch, Classifies, GenerativeModel, ModelSpec, Recipe, Words


@dataclass(frozen=True)
class ClassifierConfig:
    """Shape of the network.

    Attributes:
        num_classes: labels to tell apart.
        channels: of the picture.
        width: channels of the first stage; the next ones have twice and three times as many.
        num_features: length of the feature vector.
        num_blocks: residual blocks on 14 and on 7 pixels.
        noise, shift, angle: how far `augment` goes in training.
    """

    num_classes: int = 10
    channels: int = 1
    width: int = 32
    num_features: int = 128
    num_blocks: tuple[int, int] = (0, 1)
    noise: float = 0.3
    shift: float = 1.5
    angle: float = 0.12


def augment(x: Tensor, generator: torch.Generator, *, noise: float, shift: float, angle: float) -> Tensor:
    """Move, turn, scale and shear the pictures a little, and add noise to two in three.

    Args:
        x: (B, C, H, W) in [-1, 1].
        generator: on the device of x.
        noise: the largest standard deviation; it is relu(U(-1/2, 1)) times this, one for each picture.
        shift: pixels, both ways.
        angle: radians, both ways; scale and shear vary by the same number.

    Returns:
        The same shape, in [-1, 1].
    """
    u = torch.rand(x.shape[0], 7, generator=generator, device=x.device)
    turn, sx, sy, shear = (angle * (2 * u[:, :4] - 1)).unbind(1)
    move = 2 * shift / x.shape[-1] * (2 * u[:, 4:6] - 1)  # affine_grid measures in half pictures
    cos, sin = turn.cos(), turn.sin()
    rows = torch.stack([(1 + sx) * cos, shear - sin, move[:, 0], sin, (1 + sy) * cos, move[:, 1]], dim=1)
    grid = F.affine_grid(rows.view(-1, 2, 3), list(x.shape), align_corners=False)
    moved = F.grid_sample(x + 1, grid, align_corners=False) - 1  # outside is 0, so black has to be 0
    std = noise * (1.5 * u[:, 6] - 0.5).clamp(min=0).view(-1, 1, 1, 1)
    eps = torch.randn(x.shape, generator=generator, device=x.device)
    return (moved + std * eps).clamp(-1, 1)


class Block(nn.Module):
    """A residual block, relu(x + f(x)), f two 3x3 convolutions with batch norm (1512.03385, eq. 1)."""

    def __init__(self, width: int) -> None:
        """Both convolutions keep `width` channels."""
        super().__init__()
        self.body = nn.Sequential(conv(width, width), nn.ReLU(), conv(width, width))
        for parameter in cast(nn.Sequential, self.body[2])[1].parameters():
            nn.init.zeros_(parameter)  # the block starts as the identity

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) -> the same shape."""
        return torch.relu(x + self.body(x))


def conv(in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution that keeps the size (divided by its stride), and batch norm."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
    )


class Classifier(GenerativeModel, Classifies):
    """A residual network on 28, 14 and 7 pixels; its last hidden layer is the feature vector."""

    def __init__(self, config: ClassifierConfig) -> None:
        """Build it."""
        super().__init__()
        self.config = config
        self.num_classes, self.num_features = config.num_classes, config.num_features
        self.trunk = self.build_trunk()
        self.head = nn.Linear(config.num_features, config.num_classes)
        self.to(memory_format=torch.channels_last)

    def build_trunk(self) -> nn.Module:
        """(B, C, 28, 28) -> (B, F, 7, 7)."""
        c, width, (early, late) = self.config, self.config.width, self.config.num_blocks
        return nn.Sequential(
            conv(c.channels, width, 5), nn.ReLU(), nn.MaxPool2d(2),
            conv(width, 2 * width), nn.ReLU(), *(Block(2 * width) for _ in range(early)),
            conv(2 * width, 3 * width, 3, 2), nn.ReLU(), *(Block(3 * width) for _ in range(late)),
            conv(3 * width, c.num_features, 1), nn.ReLU(),
        )  # fmt: skip

    def features(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1] -> (B, F), not negative: the mean of the last stage over the picture."""
        return self.trunk(x.contiguous(memory_format=torch.channels_last)).mean(dim=(2, 3))

    def classify(self, features: Tensor) -> Tensor:
        """(B, F) features -> (B, K) logits."""
        return self.head(features)

    def forward(self, x: Tensor) -> Tensor:
        """The same as `logits`."""
        return self.logits(x)

    def make_optimizers(self, hp: Recipe) -> dict[str, Optimizer]:
        """One for the whole network."""
        return {"classifier": adam(self.parameters(), hp)}

    def augment(self, batch: Batch) -> Tensor:
        """The pictures of a batch as training sees them."""
        c = self.config
        return augment(batch.x, batch.generator, noise=c.noise, shift=c.shift, angle=c.angle)

    def train_step(self, batch: Batch, optimizers: dict[str, Optimizer]) -> dict[str, float]:
        """Cross-entropy on augmented pictures; the accuracy is of the same, augmented, batch."""
        logits = self.logits(self.augment(batch))
        loss = F.cross_entropy(logits, batch.labels)
        update(loss, optimizers["classifier"])
        accuracy = (logits.argmax(1) == batch.labels).float().mean()
        return {"loss": loss.item(), "accuracy": accuracy.item()}

    @torch.no_grad()
    def recalibrate(self, batches: Iterator[Batch]) -> None:
        """Batch norm's running statistics anew, as the mean over `batches` of augmented pictures."""
        update_bn((self.augment(batch) for batch in batches), self)


SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="classifier",
        title="Digit classifier",
        family="classifier",
        year=2015,
        paper="1512.03385",
        model=Classifier,
        config=ClassifierConfig(),
        recipe=Recipe(
            num_steps=4700, batch_size=128, lr=4e-3, weight_decay=0.02, warmup=100, decay="cosine", ema=0.998
        ),
        about=About(
            summary=Words(
                "A small residual network that reads digits. It judges the pictures of the other models: "
                "distances are measured on its 128 features; its answers say whether the asked digit came "
                "out. It was trained with mild noise and small movements, so that it overlooks what an eye "
                "overlooks.",
                "一个识别数字的小型残差网络。它为其他模型的图片打分：各种距离都在它的 128 维特征上计算，"
                "它的判断也用来检查生成的数字是否正确。训练时加入了轻微的噪声和位移，因此人眼忽略的差异它也会忽略。",
            ),
            formula=r"\mathcal{L} = -\log \operatorname{softmax}(W h(x))_{y}",
            strengths=Words(
                "Made for these pictures, fast, and trained here from the same data.",
                "专为这些图片训练，速度快，数据与其他模型相同。",
            ),
            weaknesses=Words(
                "It knows digits only, so its numbers compare with each other and with no published ones.",
                "它只认识数字，因此得到的指标只能互相比较，不能与论文中的数值比较。",
            ),
        ),
    ),
)
