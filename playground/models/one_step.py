r"""MeanFlow (2505.13447): noise to picture in one evaluation of the network.

Flow matching learns the velocity v at a point; to draw, one follows it in small steps. MeanFlow learns where
those steps would lead: the average velocity u between the time t of a point and an earlier time r. With
x_t = (1 - t) x_0 + t eps, t = 0 data and t = 1 noise, as in `flow_matching`,

    u(x_t, r, t) = 1 / (t - r) * integral of v(x_s, s) ds from r to t                     (eq. 3)
    u(x_t, r, t) = v(x_t, t) - (t - r) du/dt,    du/dt = v . grad_x u + du/dt at fixed x   (eq. 6 and 8)
    loss = |u_hat - stopgrad(v - (t - r) du_hat/dt)|^2                                     (eq. 9 and 10)
    x_r = x_t - (t - r) u_hat(x_t, r, t)                                                   (eq. 12)

so one step from t = 1 to r = 0 draws a picture; two or four correct what the first leaves wrong. Guidance is
built into v while training (app. B, "improved CFG"), so drawing needs no second evaluation:

    v = omega (eps - x_0) + kappa u_hat(x_t, t, t, y) + (1 - omega - kappa) u_hat(x_t, t, t, none)

Its scale is omega / (1 - kappa); a large kappa also makes v vary less from one eps to the next.

Differences from the paper: training starts from the weights of flow matching, to which u(x_t, t, t) is equal,
so v is a known velocity from the first update on; times are spread evenly instead of log-normally, and every
second r is 0, where one step ends; du/dt is a central difference of two evaluations, which agrees with
`torch.func.jvp` to three digits and takes half its time on a CPU.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from playground.models.flow_matching import FlowMatchingConfig
from playground.nn import UNet, UNetConfig, adam, rand, randint, randn, time_embedding, update
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

TIMES = 64  # width of the embedding of t - r


@dataclass(frozen=True)
class OneStepConfig(FlowMatchingConfig):
    """Shape of the model: flow matching's, told t - r besides.

    Attributes:
        guidance: scale omega / (1 - kappa) of the guidance that is built in.
        kappa: how much of v is the model's own velocity.
        same: share of every batch that has r = t, where the loss is flow matching's.
        power: p of the loss's weights 1 / (error^2 + c)^p (eq. 22).
        difference: h, half of the time between the two evaluations that give du/dt.
    """

    unet: UNetConfig = UNetConfig(extra=TIMES)
    guidance: float = 1.5
    kappa: float = 0.9
    same: float = 0.25
    power: float = 1.0
    difference: float = 0.005


class OneStep(GenerativeModel, Samples, HasLatent):
    """Class-conditional MeanFlow with flow matching's U-Net."""

    def __init__(self, config: OneStepConfig) -> None:
        """The denoiser is the average velocity; it starts without regard to r, as flow matching's is."""
        super().__init__()
        self.config = config
        self.latent_shape = (config.unet.in_channels, config.image_size, config.image_size)
        self.max_norm = 0.0
        self.denoiser = UNet(config.unet)
        if self.denoiser.extra is not None:
            nn.init.zeros_(self.denoiser.extra.weight)
            nn.init.zeros_(self.denoiser.extra.bias)

    def make_optimizers(self, hp: Recipe) -> dict[str, Optimizer]:
        """One AdamW for the denoiser."""
        self.max_norm = hp.max_norm
        return {"denoiser": adam(self.denoiser.parameters(), hp)}

    def average(self, xt: Tensor, r: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        """u_hat at (B, C, H, W), (B,) times r <= t in [0, 1], (B,) labels, num_classes meaning none."""
        scale = self.config.time_scale
        return self.denoiser(xt, scale * t, labels, time_embedding(scale * (t - r), TIMES))

    @torch.no_grad()
    def velocity(self, xt: Tensor, v: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """The guided v (app. B) at x_t, where v = eps - x_0; without a label it is v itself."""
        kappa = self.config.kappa
        omega = (1 - kappa) * self.config.guidance
        none = torch.full_like(labels, self.config.unet.num_classes)
        both = self.average(torch.cat([xt, xt]), t.repeat(2), t.repeat(2), torch.cat([labels, none]))
        conditional, unconditional = both.chunk(2)
        guided = omega * v + kappa * conditional + (1 - omega - kappa) * unconditional
        own = (1 - kappa) * v + kappa * unconditional
        return torch.where((labels == none).view(-1, 1, 1, 1), own, guided)

    @torch.no_grad()
    def rate(self, xt: Tensor, v: Tensor, r: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """du_hat/dt on the way that x_t takes with the velocity v, while r stays (eq. 8); exact up to h^2."""
        h = self.config.difference
        after, before = self.average(
            torch.cat([xt + h * v, xt - h * v]), r.repeat(2), torch.cat([t + h, t - h]), labels.repeat(2)
        ).chunk(2)
        return (after - before) / (2 * h)

    def target(self, xt: Tensor, v: Tensor, r: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """What u_hat should be (eq. 10), at r = t the velocity alone: v = eps - x_0, labels (B,)."""
        v = self.velocity(xt, v, t, labels)
        apart = (t > r).nonzero()[:, 0]
        if len(apart):
            change = self.rate(xt[apart], v[apart], r[apart], t[apart], labels[apart])
            v[apart] = v[apart] - (t - r)[apart].view(-1, 1, 1, 1) * change
        return v

    def errors(self, x0: Tensor, labels: Tensor, eps: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """(B,) squared errors of u_hat, summed over the picture."""
        mix = t.view(-1, 1, 1, 1)
        xt = (1 - mix) * x0 + mix * eps
        target = self.target(xt, eps - x0, r, t, labels)
        return (self.average(xt, r, t, labels) - target).square().flatten(1).sum(1)

    def times(self, num: int, generator: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
        """(num,) r and t: t spread evenly; r is t for some, else 0 as often as uniform between 0 and t."""
        t = (rand((1,), generator, device) + torch.arange(num, device=device) / num) % 1
        r = t * (2 * rand((num,), generator, device) - 1).clamp(min=0)
        return torch.where(rand((num,), generator, device) < self.config.same, t, r), t

    def train_step(self, batch: Batch, optimizers: dict[str, Optimizer]) -> dict[str, float]:
        """One update with adaptive weights (eq. 22); the loss told is the plain mean squared error."""
        x0, num, device = batch.x, len(batch.x), batch.x.device
        r, t = self.times(num, batch.generator, device)
        hidden = rand((num,), batch.generator, device) < self.config.label_dropout
        labels = batch.labels.masked_fill(hidden, self.config.unet.num_classes)
        errors = self.errors(x0, labels, randn(x0.shape, batch.generator, device), r, t)
        weights = (errors.detach() + 1e-3) ** -self.config.power
        update((weights * errors).mean(), optimizers["denoiser"], self.max_norm)
        return {"loss": errors.mean().item() / x0[0].numel()}

    def _jump(self, xt: Tensor, labels: Tensor | None, num_steps: int) -> Iterator[Tensor]:
        """From t = 1 to 0 in equal steps (eq. 12)."""
        labels = None if labels is None else labels.to(xt.device)
        for k in range(num_steps):
            t, r = (xt.new_full((len(xt),), 1 - i / num_steps) for i in (k, k + 1))
            xt = xt - self.average(xt, r, t, labels) / num_steps
            yield xt

    @torch.no_grad()
    def sample(
        self, num: int, *, labels: Tensor | None = None, generator: torch.Generator, **controls: Any
    ) -> Iterator[SampleStep]:
        """Draw `num` pictures, one evaluation a step; what is shown is x_t clipped to [-1, 1]."""
        eps = randn((num, *self.latent_shape), generator, next(self.parameters()).device)
        if labels is None:
            labels = randint(self.config.unet.num_classes, num, generator)
        num_steps = controls.get("num_steps", 1)
        for step, x in enumerate(self._jump(eps, labels, num_steps), 1):
            yield SampleStep(step, num_steps, x.clamp(-1, 1), step)

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The picture that one evaluation makes of the noise z; no labels: no label."""
        *_, x0 = self._jump(z, labels, 1)
        return x0.clamp(-1, 1)


SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="one_step",
        title="MeanFlow (one step)",
        family="diffusion",
        year=2025,
        paper="2505.13447",
        model=OneStep,
        config=OneStepConfig(),
        recipe=Recipe(
            num_steps=4000, batch_size=64, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.01, warmup=100,
            ema=0.998, max_norm=1.0,
        ),
        about=About(
            summary=Words(
                "MeanFlow learns the average velocity of a whole stretch of the way from noise to picture, "
                "where flow matching learns the velocity at a point. "
                "One step over the whole way then draws a picture with a single run of the network. "
                "Its training starts from the weights of flow matching, where they are there.",
                "流匹配学习某一点的速度,而 MeanFlow 学习从噪声到图片的一整段路的平均速度。于是只需一步走完"
                "全程,运行一次网络就能画出图片。训练从流匹配的权重开始(如果有的话)。",
            ),
            formula=r"\mathcal{L} = \mathbb{E} \lVert u_\theta(x_t, r, t) - \mathrm{sg}\left(v - (t - r) "
            r"\frac{\mathrm{d}}{\mathrm{d}t} u_\theta(x_t, r, t)\right) \rVert^2, \quad "
            r"x_0 = \epsilon - u_\theta(\epsilon, 0, 1)",
            strengths=Words(
                "As fast as a GAN, one evaluation a picture with the guidance already in it, yet trained by "
                "a plain regression; two or four steps trade time for quality.",
                "与 GAN 一样快:每张图片只运行一次网络,引导已包含在内;而训练只是简单的回归。用两步或四步可以用"
                "时间换质量。",
            ),
            weaknesses=Words(
                "Every update costs more than twice flow matching's, it chases a target made of its own "
                "predictions, and in one step its strokes are softer.",
                "每次更新的开销是流匹配的两倍多;它追逐的目标由自己的预测构成;只走一步时笔画较为模糊。",
            ),
        ),
        controls=(
            Control("num_steps", Words("Steps", "步数"), 1, 1, 8, 1,
                    info=Words("One draws at once; more correct what the first leaves wrong.",
                               "一步即可画成;更多步会修正第一步的不足。")),
        ),
        preview={"num_steps": 1},
        conditional=True,
        starts_from="flow_matching",
    ),
)  # fmt: skip
