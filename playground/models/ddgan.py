r"""Denoising diffusion GAN: four large steps, each the jump of a GAN (Xiao et al. 2021, arXiv:2112.07804).

A diffusion model may take each step back as a Gaussian only while the steps are small: given a very noisy
picture, what it came from is one of many, and one bump cannot say so. Here the steps are few and large, and a
generator with a latent z of its own draws what a step leads to. With a_t = alphas_cumprod[t], a_0 = 1,

    x0_hat = G(x_t, z, t),  z ~ N(0, I),      x_{t-1} ~ q(x_{t-1} | x_t, x0_hat)              (eq. 6)
    G      = sqrt(a_t) x_t - sqrt(1 - a_t) v_hat(x_t, z, t), clipped to [-1, 1]
    loss_d = E[-log D(x_{t-1}, x_t, t)] + E[-log(1 - D(x'_{t-1}, x_t, t))]                     (eq. 5)
    loss_g = E[-log D(x'_{t-1}, x_t, t)],     x'_{t-1} the drawn one, x_{t-1} that of the data

and every few updates D pays R1, gamma / 2 |grad D|^2 in x_{t-1} (1801.04406; lazily: 1912.04958, appendix B).

Differences from the paper: both networks are told the digit, which some batches' rows hide, so that the model
also does without; so that D minds it, it also sees what is real with a wrong digit, which it is to call fake
(1605.05396, algorithm 1); the U-Net is a small one of `ddpm`'s kind, without attention; D is a plain
convolutional network; both players learn from the same draws; timesteps are spread evenly over each batch.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from playground.models._ddgan_discriminator import Discriminator
from playground.models._gan import descend, discriminator_loss, slope, turns, update_generator
from playground.models._gan_switches import Techniques, switches
from playground.models._solvers import vp_alphas_cumprod
from playground.nn import UNet, UNetConfig, rand, randint, randn
from playground.spec import (
    About,
    Batch,
    DenoiseStep,
    GenerativeModel,
    Jumps,
    ModelSpec,
    Recipe,
    Samples,
    SampleStep,
    Switch,
    Words,
)


@dataclass(frozen=True)
class DDGANConfig:
    """Shape of the model.

    Attributes:
        unet: the generator; `extra` is the width of what it is told of z.
        discriminator_widths: channels on 14, 7 and 4 pixels.
        num_features: what D makes of them before it decides.
        latent_dim: length of z, drawn anew at every step.
        image_size: pixels, both ways.
        num_steps: T, jumps from noise to data, unless `tune` says otherwise.
        label_dropout: how often training hides the label.
        penalty_every: updates from one R1 to the next.
        techniques: of the training.
    """

    unet: UNetConfig = field(
        default_factory=lambda: UNetConfig(widths=(16, 48, 80), blocks=(0, 1, 1), extra=64)
    )
    discriminator_widths: tuple[int, int, int] = (32, 64, 128)
    num_features: int = 256
    latent_dim: int = 64
    image_size: int = 28
    num_steps: int = 4
    label_dropout: float = 0.15
    penalty_every: int = 12
    techniques: Techniques = Techniques(penalty="R1", penalty_weight=0.05, real_label=0.9)


class DDGAN(GenerativeModel, Samples, Jumps):
    """Few steps of diffusion whose reverse is drawn by a conditional GAN; x_0 is the data, x_T is noise."""

    alphas_cumprod: Tensor

    def __init__(self, config: DDGANConfig) -> None:
        """Both networks and the schedule, which is computed, not stored with the weights."""
        super().__init__()
        self.config, self.techniques = config, config.techniques
        width = config.unet.extra
        self.mapping = nn.Sequential(
            nn.Linear(config.latent_dim, width), nn.SiLU(), nn.Linear(width, width),
            nn.LayerNorm(width, elementwise_affine=False),
        )  # fmt: skip
        self.denoiser = UNet(config.unet)
        extra = cast(nn.Linear, self.denoiser.extra)
        nn.init.normal_(extra.weight, 0, width**-0.5)  # z is told as loudly as the label, or it is not heard
        self.discriminator = Discriminator(
            config.discriminator_widths, config.num_features, config.unet.in_channels, config.num_steps,
            config.unet.num_classes,
        )  # fmt: skip
        self._set_jumps(config.num_steps)
        self.to(memory_format=torch.channels_last)

    def _set_jumps(self, num: int) -> None:
        self.num_jumps, self.num_timesteps = num, num + 1  # level of noise 0 is the clean picture
        schedule = torch.cat([torch.ones(1), vp_alphas_cumprod(num)])
        self.register_buffer("alphas_cumprod", schedule, persistent=False)

    def tune(self, values: Mapping[str, Any]) -> None:
        """Turn techniques by name; another number of ``jumps`` only before the training."""
        techniques = dict(values)
        if (jumps := techniques.pop("jumps", self.num_jumps)) != self.num_jumps:
            self._set_jumps(jumps)
            self.discriminator.set_num_steps(jumps)
        self.techniques = replace(self.techniques, **techniques)

    def make_optimizers(self, hp: Recipe) -> dict[str, Optimizer]:
        """One Adam for each player, each with its own learning rate."""
        t = self.techniques
        return {
            "generator": Adam(self.generator_parameters(), lr=hp.lr * t.lr_g, betas=t.betas),
            "discriminator": Adam(self.discriminator.parameters(), lr=hp.lr * t.lr_d, betas=t.betas),
        }

    def generator_parameters(self) -> list[nn.Parameter]:
        """The weights of G: the U-Net and what makes of z what the U-Net is told."""
        return [*self.denoiser.parameters(), *self.mapping.parameters()]

    def _a(self, t: Tensor) -> Tensor:
        return self.alphas_cumprod[t].view(-1, 1, 1, 1)

    def add_noise(self, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """x_t ~ q(x_t | x_0): x0 and eps (B, C, H, W), t (B,) in 0 (the picture itself) to T (noise)."""
        a = self._a(t)
        return a.sqrt() * x0 + (1 - a).sqrt() * eps

    def posterior(self, x0: Tensor, xt: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """x_{t-1} ~ q(x_{t-1} | x_t, x_0), its noise eps (B, C, H, W); t (B,) in 1 to T (2006.11239, eq. 7).

        At t = 1 the posterior has no spread and x_0 itself is its mean.
        """
        a, before = self._a(t), self._a(t - 1)
        alpha = a / before
        mean = (before.sqrt() * (1 - alpha) * x0 + alpha.sqrt() * (1 - before) * xt) / (1 - a)
        return mean + ((1 - before) / (1 - a) * (1 - alpha)).sqrt() * eps

    def jump(self, xt: Tensor, t: Tensor, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """x0_hat drawn by z (B, latent_dim) given x_t (B, C, H, W), t (B,) in 1 to T; no labels: no label."""
        v_hat = self.denoiser(xt, t / self.num_jumps, labels, self.mapping(z))
        a = self._a(t)
        return (a.sqrt() * xt - (1 - a).sqrt() * v_hat).clamp(-1, 1)

    def draw_x0(
        self, xt: Tensor, t: int, labels: Tensor | None = None, *, generator: torch.Generator
    ) -> Tensor:
        """x0_hat behind x_t (B, C, H, W), t in 1 to T, each row with a z of its own; no labels: no label."""
        num, device = len(xt), xt.device
        z = randn((num, self.config.latent_dim), generator, device)
        asked = None if labels is None else labels.to(device)
        return self.jump(xt, torch.full((num,), t, device=device), z, asked)

    def train_step(self, batch: Batch, optimizers: dict[str, Optimizer]) -> dict[str, float]:
        """One update of the discriminator and, every `d_steps` of them, one of the generator."""
        x0, source, device, num = batch.x, batch.generator, batch.x.device, len(batch.x)
        t = 1 + (torch.arange(num, device=device) + randint(num, 1, source, device)) % self.num_jumps
        hidden = rand((num,), source, device) < self.config.label_dropout
        labels = batch.labels.masked_fill(hidden, self.config.unet.num_classes)
        real = self.add_noise(x0, randn(x0.shape, source, device), t - 1)
        alpha = self._a(t) / self._a(t - 1)
        xt = alpha.sqrt() * real + (1 - alpha).sqrt() * randn(x0.shape, source, device)
        z, eps = randn((num, self.config.latent_dim), source, device), randn(x0.shape, source, device)
        turn_d, turn_g = turns(self.techniques, batch.step)
        with torch.set_grad_enabled(turn_g):
            fake = self.posterior(self.jump(xt, t, z, labels), xt, t, eps)
        seen = (xt, t, labels)
        wrong = labels + 1 + randint(self.config.unet.num_classes - 1, num, source, device)
        wrong = (wrong % self.config.unet.num_classes).masked_fill(hidden, self.config.unet.num_classes)
        metrics: dict[str, float] = {}
        if turn_d:
            lazy = batch.step % self.config.penalty_every == 0
            metrics |= self._update_discriminator(
                real, fake.detach(), seen, wrong, lazy, optimizers["discriminator"]
            )
        if turn_g:  # on the same draws, judged by the discriminator that has just learnt from them
            metrics |= update_generator(
                self.techniques, self.discriminator, (fake, *seen), optimizers["generator"]
            )
        return metrics

    def _update_discriminator(
        self, real: Tensor, fake: Tensor, seen: tuple[Tensor, ...], wrong: Tensor, lazy: bool,
        optimizer: Optimizer,
    ) -> dict[str, float]:  # fmt: skip
        """`seen` is what D sees beside a picture; `wrong` are labels that are not the pictures', where shown.

        With `lazy` it pays R1 for all updates since the last.
        """
        k = self.techniques
        real.requires_grad_(lazy)
        score_real, score_fake = self.discriminator(real, *seen), self.discriminator(fake, *seen)
        *beside, labels = seen
        told = (wrong != labels).nonzero().flatten()  # a hidden label cannot be wrong
        score_wrong = self.discriminator(real.detach(), *beside, wrong)[told]
        rejected = torch.cat([score_fake, score_wrong])
        loss = discriminator_loss(k.loss, score_real, rejected, k.real_label)
        metrics, total = {"loss_d": loss.item()}, loss
        if lazy and k.penalty_weight:
            penalty = 0.5 * k.penalty_weight * slope(score_real, real).square().mean()
            metrics["penalty"], total = penalty.item(), loss + self.config.penalty_every * penalty
        metrics["grad_d"] = descend(total, optimizer)
        return metrics | k.reading("real", score_real) | k.reading("fake", score_fake)

    @torch.no_grad()
    def _reverse(
        self, xt: Tensor, labels: Tensor | None, generator: torch.Generator
    ) -> Iterator[tuple[DenoiseStep, Tensor]]:
        """From x_T to x_0: what each jump sees and draws, and the x_{t-1} it leads to."""
        for step in range(self.num_jumps, 0, -1):
            t = torch.full((len(xt),), step, device=xt.device)
            x0_hat = self.draw_x0(xt, step, labels, generator=generator)
            eps_hat = (xt - self._a(t).sqrt() * x0_hat) / (1 - self._a(t)).sqrt()
            prediction = DenoiseStep(step, xt, x0_hat, eps_hat, self.num_timesteps - step)
            xt = self.posterior(x0_hat, xt, t, randn(xt.shape, generator, xt.device))
            yield prediction, xt

    def sample(
        self, num: int, *, labels: Tensor | None = None, generator: torch.Generator, **controls: Any
    ) -> Iterator[SampleStep]:
        """Draw `num` pictures, one jump a moment; what is shown is x_t clipped to [-1, 1]."""
        size, unet = self.config.image_size, self.config.unet
        xt = randn((num, unet.in_channels, size, size), generator, self.alphas_cumprod.device)
        labels = randint(unet.num_classes, num, generator) if labels is None else labels
        for step, (_, x) in enumerate(self._reverse(xt, labels, generator), 1):
            yield SampleStep(step, self.num_jumps, x.clamp(-1, 1), step)

    def denoise(
        self, xt: Tensor, *, labels: Tensor | None = None, generator: torch.Generator, **controls: Any
    ) -> Iterator[DenoiseStep]:
        """Every jump's x_t and the x0_hat drawn from it, t from T to 1. No labels: no label."""
        yield from (prediction for prediction, _ in self._reverse(xt, labels, generator))


_ABOUT = About(
    summary=Words(
        en="A diffusion model that walks back from noise in four large jumps, each drawn by a GAN. "
        "A small step may be a single Gaussian bump, but behind a large one lie many pictures, so the "
        "generator draws one of them with a latent of its own. "
        "It aims at all three at once: quality, variety and speed.",
        zh="这个扩散模型只用四次大跳跃从噪声走回图片，每次跳跃由一个 GAN 完成。"
        "小步可以用单个高斯峰描述，大步之后却有许多种可能的图片，所以生成器用自己的隐变量从中抽取一种。"
        "它的目标是同时得到质量、多样性和速度。",
    ),
    formula=r"\hat x_0 = G(x_t, z, t), \quad x_{t-1} \sim q(x_{t-1} \mid x_t, \hat x_0), \quad "
    r"\min_G \max_D \sum_{t} \mathbb{E}[\log D(x_{t-1}, x_t, t)] + \mathbb{E}[\log(1 - D(x'_{t-1}, x_t, t))]",
    strengths=Words(
        en="Pictures as sharp as a GAN's with four network evaluations instead of diffusion's dozens; the "
        "noise that the discriminator sees through keeps the game steady.",
        zh="图片像 GAN 的一样清晰，只需运行网络四次，而不是扩散模型的几十次；"
        "判别器看到的图片带有噪声，使博弈更稳定。",
    ),
    weaknesses=Words(
        en="Two networks that play a game are harder to train than one with a plain loss; the number of "
        "jumps is fixed by the training; it has no likelihood.",
        zh="两个网络的博弈比单一的普通损失更难训练；跳跃次数在训练时就已固定；没有似然。",
    ),
)
_CONFIG = DDGANConfig()
_LEFT_OUT = dict.fromkeys(("penalty", "clip", "instance_noise", "spectral_norm", "minibatch"))
_JUMPS = Switch("jumps", Words("Jumps from noise to data", "从噪声到数据的跳跃次数"), 4, 1, 8, 1, live=False)

SPECS = (
    ModelSpec(
        name="ddgan",
        title="Denoising diffusion GAN",
        family="hybrid",
        year=2021,
        paper="2112.07804",
        model=DDGAN,
        config=_CONFIG,
        recipe=Recipe(
            num_steps=40000, batch_size=64, lr=4e-4, betas=_CONFIG.techniques.betas, decay="linear", ema=0.999
        ),
        about=_ABOUT,
        switches=(_JUMPS, *switches(_CONFIG.techniques, **_LEFT_OUT)),
        conditional=True,
        exemplary=True,
    ),
)
