"""DCGAN: a generator and a discriminator, each the other's teacher (Radford et al. 2015, arXiv:1511.06434).

A generator turns noise into a picture, a discriminator says how likely a picture is real, and each is
trained on the other's mistakes. Nobody ever says what a digit is: all the generator learns from is the
gradient of the discriminator. The losses are those of Goodfellow et al. 2014 (arXiv:1406.2661), the
generator's being the non-saturating one,

    loss_d = -E[log D(x)] - E[log(1 - D(G(z)))],    loss_g = -E[log D(G(z))],    z ~ N(0, I).

Like the paper: strides and transposed convolutions instead of pooling, batch norm, ReLU and tanh in the
generator, leaky ReLU of slope 0.2 in the discriminator, weights from N(0, 0.02), Adam with beta_1 = 0.5.
Differences: 28x28 pixels, so sizes 4, 7, 14, 28; z is normal, not uniform; the real label is 0.9 (one-sided
smoothing, Salimans et al. 2016, arXiv:1606.03498); the learning rate falls to zero; pictures are drawn by a
moving average of the generator's weights.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from playground.nn import adam, randn, update
from playground.spec import (
    About,
    Batch,
    Control,
    GenerativeModel,
    HasLatent,
    ModelSpec,
    Recipe,
    Samples,
    SampleStep,
    Words,
)


@dataclass(frozen=True)
class DCGANConfig:
    """Shape of the two networks.

    Attributes:
        latent_dim: length of z.
        channels: of the picture.
        generator_widths: channels on 4, 7 and 14 pixels.
        discriminator_widths: channels on 14, 7 and 4 pixels.
        real_label: what the discriminator is to say of a real picture; 1 for no smoothing.
    """

    latent_dim: int = 64
    channels: int = 1
    generator_widths: tuple[int, int, int] = (256, 128, 64)
    discriminator_widths: tuple[int, int, int] = (48, 96, 192)
    real_label: float = 0.9


class Generator(nn.Module):
    """z -> picture, through 4, 7, 14 and 28 pixels (1511.06434, figure 1)."""

    def __init__(self, config: DCGANConfig) -> None:
        """Each transposed convolution doubles the size; batch norm everywhere but at the output."""
        super().__init__()
        a, b, c = config.generator_widths
        self.project = nn.Linear(config.latent_dim, 4 * 4 * a, bias=False)
        self.body = nn.Sequential(
            nn.BatchNorm2d(a), nn.ReLU(),
            nn.ConvTranspose2d(a, b, 3, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU(),
            nn.ConvTranspose2d(b, c, 4, 2, 1, bias=False), nn.BatchNorm2d(c), nn.ReLU(),
            nn.ConvTranspose2d(c, config.channels, 4, 2, 1), nn.Tanh(),
        )  # fmt: skip

    def forward(self, z: Tensor) -> Tensor:
        """(B, latent_dim) -> (B, C, 28, 28) in [-1, 1]."""
        h = self.project(z).view(z.shape[0], 4, 4, -1)  # channels last already: no copy
        return self.body(h.permute(0, 3, 1, 2))


class Discriminator(nn.Module):
    """Picture -> logit of its being real, through 14, 7 and 4 pixels."""

    def __init__(self, config: DCGANConfig) -> None:
        """Batch norm everywhere but at the input; always of the batch at hand, real and fake apart."""
        super().__init__()
        a, b, c = config.discriminator_widths
        norm = partial(nn.BatchNorm2d, track_running_stats=False)
        self.body = nn.Sequential(
            nn.Conv2d(config.channels, a, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(a, b, 4, 2, 1, bias=False), norm(b), nn.LeakyReLU(0.2),
            nn.Conv2d(b, c, 3, 2, 1, bias=False), norm(c), nn.LeakyReLU(0.2),
            nn.Conv2d(c, 1, 4),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, 28, 28) in [-1, 1] -> (B,) logits, positive for real."""
        return self.body(x).flatten()


class DCGAN(GenerativeModel, Samples, HasLatent):
    """A generator and a discriminator."""

    def __init__(self, config: DCGANConfig) -> None:
        """Build both; weights ~ N(0, 0.02), batch norm's scale ~ N(1, 0.02) (1511.06434, section 4)."""
        super().__init__()
        self.config = config
        self.latent_shape = (config.latent_dim,)
        self.generator = Generator(config)
        self.discriminator = Discriminator(config)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.BatchNorm2d):
                nn.init.normal_(module.weight, float(isinstance(module, nn.BatchNorm2d)), 0.02)
        self.to(memory_format=torch.channels_last)

    def make_optimizers(self, hp: Recipe) -> dict[str, Optimizer]:
        """One for each player."""
        return {
            "generator": adam(self.generator.parameters(), hp),
            "discriminator": adam(self.discriminator.parameters(), hp, hp.lr * hp.extra.get("lr_ratio", 1.0)),
        }

    def train_step(self, batch: Batch, optimizers: dict[str, Optimizer]) -> dict[str, float]:
        """One update of the discriminator, then one of the generator on the same fakes."""
        real, num = batch.x, batch.x.shape[0]
        fake = self.generator(randn((num, *self.latent_shape), batch.generator, real.device))

        # D learns to say real_label of real pictures and 0 of fakes; detach keeps G out of it.
        logits_real, logits_fake = self.discriminator(real), self.discriminator(fake.detach())
        labels = torch.full_like(logits_real, self.config.real_label)
        loss_d = F.binary_cross_entropy_with_logits(logits_real, labels) + F.softplus(logits_fake).mean()
        update(loss_d, optimizers["discriminator"])

        # G learns to make the updated D say "real": softplus(-logit) = -log D(G(z)).
        self.discriminator.requires_grad_(False)  # its weights need no gradient here, only its input does
        loss_g = F.softplus(-self.discriminator(fake)).mean()
        update(loss_g, optimizers["generator"])
        self.discriminator.requires_grad_(True)

        d_real, d_fake = logits_real.sigmoid().mean(), logits_fake.sigmoid().mean()
        return {
            "loss_d": loss_d.item(), "loss_g": loss_g.item(), "d_real": d_real.item(), "d_fake": d_fake.item()
        }  # fmt: skip

    @torch.no_grad()
    def recalibrate(self, batches: Iterator[Batch]) -> None:
        """The generator's batch-norm statistics anew: their mean over its own pictures.

        It draws as many batches as it is given, of the same sizes.

        The running statistics of the weights that were averaged do not fit the average: its pictures are dim.
        """
        norms = [module for module in self.generator.modules() if isinstance(module, nn.BatchNorm2d)]
        momenta, training = [norm.momentum for norm in norms], self.generator.training
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over all batches
        self.generator.train()
        for batch in batches:
            self.generator(randn((batch.x.shape[0], *self.latent_shape), batch.generator, batch.x.device))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        self.generator.train(training)

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, latent_dim) standard normal -> (B, C, 28, 28) pictures in [-1, 1]."""
        return self.generator(z)

    @torch.no_grad()
    def sample(
        self, num: int, *, labels: Tensor | None = None, generator: torch.Generator, **controls: Any
    ) -> Iterator[SampleStep]:
        """Draw z, shrink it by ``truncation``, decode it: one evaluation of the network."""
        device = next(self.parameters()).device
        z = controls.get("truncation", 1.0) * randn((num, *self.latent_shape), generator, device)
        yield SampleStep(1, 1, self.decode(z), 1)


_ABOUT = About(
    summary=Words(
        en="Two networks play against each other: a generator turns 64 random numbers into a picture, and a "
        "discriminator learns to tell its pictures from real ones. "
        "The generator never sees a real digit and improves only by the discriminator's objections. "
        "After training the discriminator is put aside, and one pass through the generator draws a picture.",
        zh="两个网络相互对抗：生成器把 64 个随机数变成一张图，判别器学习区分生成的图与真实的图。"
        "生成器从未见过真实的数字，只靠判别器的反对意见来改进。"
        "训练结束后判别器就不再使用，生成器只需计算一次就能画出一张图。",
    ),
    formula=r"\min_G \max_D \; \mathbb{E}_{x}[\log D(x)] + "
    r"\mathbb{E}_{z \sim \mathcal{N}(0, I)}[\log(1 - D(G(z)))]",
    strengths=Words(
        en="Crisp strokes, because a blurred digit is easily found out; a picture costs a single pass; "
        "neighbouring latents give neighbouring pictures.",
        zh="笔画清晰，因为模糊的数字很容易被识破；画一张图只需一次计算；相邻的隐变量给出相邻的图。",
    ),
    weaknesses=Words(
        en="Its losses do not say how good it is; training is a balance that can tip; styles of digits can "
        "go missing unnoticed (mode collapse); it has no likelihood and cannot encode a given picture.",
        zh="损失值并不反映质量；训练是一种可能失衡的博弈；"
        "可能悄悄漏掉某些样式（模式崩塌）；没有似然，也不能编码给定的图。",
    ),
)

_INFO = Words(
    en="Multiplies z: below 1 the digits are more typical and less varied.",
    zh="乘在 z 上：小于 1 时数字更典型、变化更少。",
)

SPECS = (
    ModelSpec(
        name="dcgan",
        title="DCGAN",
        family="gan",
        year=2015,
        paper="1511.06434",
        model=DCGAN,
        config=DCGANConfig(),
        recipe=Recipe(
            num_steps=42000,
            batch_size=64,
            lr=4e-4,
            betas=(0.5, 0.999),
            decay="linear",
            ema=0.999,
        ),
        about=_ABOUT,
        controls=(Control("truncation", Words("Truncation", "截断"), 1.0, 0.0, 1.5, step=0.05, info=_INFO),),
    ),
)
