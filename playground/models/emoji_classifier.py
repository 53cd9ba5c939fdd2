"""The emoji classifier: the eye that judges pictures of emoji, in either hand.

A small residual network (He et al. 2015, arXiv:1512.03385) tells the nine categories of emoji apart, from
faces to flags, on both styles at once,

    loss = -log softmax(W h(x))[category],    h(x) = relu(...) in R^128, the features.

What the digit classifier is to digits, this one is to emoji: distances are measured on its features, and its
answers say whether a picture drawn from words shows a thing of the right kind. Differences from the paper:
strides instead of pooling, one block at 8x8 and one at 4x4; softened labels (1512.00567, section 7), for
1,715 emoji are few; and training pictures that are moved, turned, mirrored, tinted and made a little noisy.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from playground.models._emoji_colours import turn_hues
from playground.models.classifier import Block, Classifier, ClassifierConfig, augment, conv
from playground.nn import rand, update
from playground.spec import About, Batch, ModelSpec, Recipe, Words


@dataclass(frozen=True)
class EmojiClassifierConfig(ClassifierConfig):
    """Shape of the network.

    Attributes:
        num_classes: categories to tell apart.
        width: channels on 32 pixels.
        widths: channels on 16, 8 and 4 pixels.
        num_blocks: residual blocks on 8 and on 4 pixels.
        dropout: share of the features hidden while it learns.
        smoothing: share of a label that is spread over all categories.
        tint: radians by which hues turn in training, both ways.
    """

    num_classes: int = 9
    channels: int = 3
    width: int = 24
    widths: tuple[int, int, int] = (64, 128, 192)
    num_blocks: tuple[int, int] = (1, 1)
    dropout: float = 0.2
    smoothing: float = 0.1
    noise: float = 0.2
    shift: float = 4.0
    angle: float = 0.2
    tint: float = 0.6


class EmojiClassifier(Classifier):
    """A residual network on 64x64 pixels in colour; its last hidden layer is the feature vector."""

    config: EmojiClassifierConfig

    def build_trunk(self) -> nn.Module:
        """(B, C, 64, 64) -> (B, F, 4, 4)."""
        config, (b, c, d), (early, late) = self.config, self.config.widths, self.config.num_blocks
        return nn.Sequential(
            conv(config.channels, config.width, 5, 2), nn.ReLU(),  # 32
            conv(config.width, b, 3, 2), nn.ReLU(),  # 16
            conv(b, c, 3, 2), nn.ReLU(), *(Block(c) for _ in range(early)),  # 8
            conv(c, d, 3, 2), nn.ReLU(), *(Block(d) for _ in range(late)),  # 4
            conv(d, config.num_features, 1), nn.ReLU(),
        )  # fmt: skip

    def augment(self, batch: Batch) -> Tensor:
        """The pictures of a batch as training sees them: paper stays white where a picture moves away."""
        c, num, generator = self.config, len(batch.x), batch.generator
        mirrored = (rand((num,), generator, batch.x.device) < 0.5).view(-1, 1, 1, 1)
        x = torch.where(mirrored, batch.x.flip(3), batch.x)
        x = turn_hues(x, c.tint * (2 * rand((num,), generator, x.device) - 1))
        return -augment(-x, generator, noise=c.noise, shift=c.shift, angle=c.angle)

    def train_step(self, batch: Batch, optimizers: dict[str, Optimizer]) -> dict[str, float]:
        """Cross-entropy on augmented pictures; the accuracy is of the same, augmented, batch."""
        features = self.features(self.augment(batch))
        kept = rand(features.shape, batch.generator, features.device) >= self.config.dropout
        logits = self.head(features * kept / (1 - self.config.dropout))
        loss = F.cross_entropy(logits, batch.labels, label_smoothing=self.config.smoothing)
        update(loss, optimizers["classifier"])
        accuracy = (logits.argmax(1) == batch.labels).float().mean()
        return {"loss": loss.item(), "accuracy": accuracy.item()}


SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="emoji_classifier",
        title="Emoji classifier",
        family="classifier",
        year=2015,
        paper="1512.03385",
        model=EmojiClassifier,
        config=EmojiClassifierConfig(),
        recipe=Recipe(
            num_steps=2700, batch_size=64, lr=3e-3, weight_decay=0.05, warmup=100, decay="cosine", ema=0.998
        ),
        about=About(
            summary=Words(
                "A small residual network that tells the nine categories of emoji apart, in either style. "
                "It judges the pictures of the models that draw emoji: distances are measured on its 128 "
                "features, and its answers say whether words led to a thing of the right kind. "
                "It has never seen the held-out emoji, every tenth one.",
                "一个区分九类表情符号的小型残差网络，两种画风都认得。它为绘制表情符号的模型打分：距离在它的"
                " 128 维特征上计算，它的判断说明文字是否画出了正确种类的东西。"
                "它从未见过留出的表情符号，即每十个中的一个。",
            ),
            formula=r"\mathcal{L} = -\log \operatorname{softmax}(W h(x))_{y}",
            strengths=Words(
                "Made for these pictures, fast, and trained here from the same data.",
                "专为这些图片训练，速度快，数据与其他模型相同。",
            ),
            weaknesses=Words(
                "It learnt from 1,715 emoji only, so it is far from sure of things it has never seen; "
                "what it gets right of real held-out pictures is the most that drawn ones can be expected "
                "to reach.",
                "它只学过 1,715 个表情符号，对没见过的东西并无把握；它在真实的留出图片上的正确率，就是画出的"
                "图片所能期望的上限。",
            ),
        ),
        dataset="emoji",
    ),
)
