"""Conditional GAN: both players are told which digit it is to be (Mirza & Osindero 2014, arXiv:1411.1784).

The label goes into both networks, as further inputs of G and as further planes of D's picture. So that D
minds the label and not only the picture, it also sees real pictures with a wrong label, which it is to call
fake: the matching-aware discriminator of Reed et al. 2016 (arXiv:1605.05396, algorithm 1),

    loss_d = -E[log D(x, y)] - (E[log(1 - D(x, y_wrong))] + E[log(1 - D(G(z, y), y))]) / 2,
    loss_g = -E[log D(G(z, y), y)].

Differences from the papers: convolutional networks as in DCGAN, with fewer channels, instead of
fully-connected ones; the real label is 0.9; pictures are drawn by a moving average of the generator's
weights.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from playground.models._gan import TRUNCATION, AdversarialModel, ConvGAN
from playground.models._gan_networks import ConvConfig
from playground.models._gan_switches import Techniques, switches
from playground.nn import randint
from playground.spec import About, Batch, ModelSpec, Recipe, Words


@dataclass(frozen=True)
class CGANConfig(ConvConfig):
    """Shape of the two networks, and how they are trained.

    Attributes:
        techniques: of the training.
    """

    num_classes: int = 10
    techniques: Techniques = Techniques(real_label=0.9)


class MatchingAware(AdversarialModel):
    """A GAN whose discriminator minds the label."""

    def discriminator_loss(self, batch: Batch, score_real: Tensor, score_fake: Tensor) -> Tensor:
        """Real pictures with another label count as fakes, half and half (1605.05396, algorithm 1)."""
        shift = 1 + randint(self.num_classes - 1, len(batch.x), batch.generator, batch.x.device)
        wrong = (batch.labels + shift) % self.num_classes
        score_wrong = self.discriminator(self._noise(batch)(batch.x), wrong)
        rejected = torch.cat([score_fake, score_wrong])
        return super().discriminator_loss(batch, score_real, rejected)


class CGAN(MatchingAware, ConvGAN):
    """A generator and a discriminator that both know the label."""


_ABOUT = About(
    summary=Words(
        en="A GAN that draws what it is asked for: generator and discriminator are both told the digit. "
        "The discriminator also sees real digits with a wrong label and learns to reject them, so a fine 3 "
        "passed off as a 7 is found out. Ask for a label, and one pass draws it.",
        zh="这个 GAN 可以按要求作画：生成器和判别器都知道要画的数字。"
        "判别器还会看到标签错误的真实图片并学会拒绝它们，所以把一个漂亮的 3 当成 7 也会被识破。"
        "给出标签，一次计算就能画出来。",
    ),
    formula=r"\min_G \max_D \; \mathbb{E}[\log D(x, y)] + \tfrac{1}{2}\mathbb{E}[\log(1 - D(x, y'))] + "
    r"\tfrac{1}{2}\mathbb{E}[\log(1 - D(G(z, y), y))]",
    strengths=Words(
        en="You choose the digit; labels make the game easier and keep all ten classes alive; one pass draws "
        "a picture.",
        zh="可以指定数字；标签让博弈更容易，也保证十个类别都不会丢失；一次计算就能画出一张图。",
    ),
    weaknesses=Words(
        en="It needs labels; within a class it can still repeat itself; like every GAN it has no likelihood "
        "and its losses do not say how good it is.",
        zh="需要标签；同一类别内仍可能重复；和所有 GAN 一样没有似然，损失值也不反映质量。",
    ),
)
_CONFIG = CGANConfig()

SPECS = (
    ModelSpec(
        name="cgan",
        title="Conditional GAN",
        family="gan",
        year=2014,
        paper="1411.1784",
        model=CGAN,
        config=_CONFIG,
        recipe=Recipe(
            num_steps=60000,
            batch_size=64,
            lr=4e-4,
            betas=_CONFIG.techniques.betas,
            decay="linear",
            ema=0.999,
        ),
        about=_ABOUT,
        controls=(TRUNCATION,),
        switches=switches(_CONFIG.techniques),
        conditional=True,
        exemplary=True,
    ),
)
