"""The digit classifier: the eye that judges every other model of the playground.

Inception's features mean nothing on 28x28 digits, so quality is measured on the features of a small residual
network (He et al. 2015, arXiv:1512.03385) trained here on MNIST by cross-entropy,

    loss = -log softmax(W h(x))[label],    h(x) = relu(...) in R^128, the features.

Differences from the paper: three stages on 28x28, pooling instead of strides at the input, and training pictures that are
slightly moved, turned, scaled and made noisy, so that the features do not punish what an eye does not see: a
network trained on clean MNIST moves the Frechet distance a thousandfold for an invisible grey background.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

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
    num_blocks: tuple[int, int] = (1, 1)
    noise: float = 0.3
    shift: float = 2.0
    angle: float = 0.15


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
        nn.init.zeros_(self.body[2][1].weight)  # starts as the identity

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
        self.config, width = config, config.width
        self.num_classes, self.num_features = config.num_classes, config.num_features
        self.trunk = nn.Sequential(
            conv(config.channels, width, 5), nn.ReLU(), nn.MaxPool2d(2),
            conv(width, 2 * width), nn.ReLU(), *(Block(2 * width) for _ in range(config.num_blocks[0])),
            conv(2 * width, 3 * width, 3, 2), nn.ReLU(), *(Block(3 * width) for _ in range(config.num_blocks[1])),
            conv(3 * width, config.num_features, 1), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(config.num_features, config.num_classes)
        self.to(memory_format=torch.channels_last)

    def features(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1] -> (B, F), not negative: the mean of the last stage over the picture."""
        return self.trunk(x.contiguous(memory_format=torch.channels_last)).mean(dim=(2, 3))

    def logits(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1] -> (B, K)."""
        return self.head(self.features(x))

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
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
        norms = [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]
        momenta, training = [norm.momentum for norm in norms], self.training
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over all batches
        self.train()
        for batch in batches:
            self.features(self.augment(batch))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        self.train(training)
