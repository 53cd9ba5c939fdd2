r"""One step from noise to picture, with the average velocity of MeanFlow (2505.13447).

Flow matching learns the velocity v at a point; to draw, one follows it in small steps. Here a network learns
where those steps lead: the average velocity u between the time t of a point and an earlier time r. With
x_t = (1 - t) x_0 + t eps, t = 0 data and t = 1 noise, as in `flow_matching`,

    u(x_t, r, t) = 1 / (t - r) * integral of v(x_s, s) ds from r to t = (x_t - x_r) / (t - r)      (eq. 3)
    u(x_t, r, t) = v(x_t, t) - (t - r) du/dt,          du/dt = v . grad_x u + du/dt at fixed x     (eq. 6, 8)
    x_r = x_t - (t - r) u_hat(x_t, r, t)                                                          (eq. 12)

so one step from t = 1 to r = 0 draws a picture; two or four follow the way in pieces. Guidance is
in v already while u is learnt (2207.12598, eq. 6), so drawing needs no second evaluation.

There are two ways to learn u. With flow matching's weights as a teacher, eq. 3 is taken at its word: the
teacher walks from noise to data in a few Euler steps, and u_hat is fitted to what lies between any two points
of its way, as when flow maps are distilled (2406.07507). Without a teacher u_hat is fitted to the right side
of eq. 6, which holds u_hat itself (eq. 9 and 10, algorithm 1). At equal time of a CPU the first gave the
better pictures in one step, as its targets stand still and need no derivative of the network, and a way
that has been walked serves several updates.

A regression's answer is a mean, and a mean is paler than the pictures it is of, before a background not quite
black: `contrast` about the middle grey, cut off at black and white, mends both (FID of 10,000 pictures: 0.128
with the ink alone 1.1 times as strong, 0.091 so). An error of second order: jumps of half the length get a
quarter of that.

A second objective mends more: that what one step draws be distributed as the teacher's pictures
(`_matching`). An adapter learns it (2106.09685), which only the step over the whole way has.

Differences from the paper: the teacher; times spread evenly instead of log-normally, every second r being 0,
where one step ends; the second objective.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from playground.models._matching import Matching
from playground.models._ways import Ways
from playground.models.flow_matching import FlowMatching, FlowMatchingConfig
from playground.nn import UNet, UNetConfig, adam, rand, randint, randn, spread, time_embedding, update
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
    Switch,
    Words,
)

TIMES = 64  # width of the embedding of t - r
CONTRAST = 1.25  # about the middle grey, of one jump, unless a sampler is told otherwise
INK = 1.1  # how many times as strong as drawn the ink is while the distribution is learnt
OBJECTIVES = ("ways", "distribution")


@dataclass(frozen=True)
class OneStepConfig(FlowMatchingConfig):
    """Shape of the model: flow matching's, told t - r besides.

    Attributes:
        guidance: scale of the guidance that is built in.
        walk: Euler steps of the teacher from noise to data.
        fresh: ways that it walks in every update.
        pool: ways that are kept to learn from, the newest: walking one costs more than learning from it.
        same: without a teacher, share of a batch with r = t, where the loss is flow matching's.
        power: p of the loss's weights 1 / (error^2 + c)^p (eq. 22); 1/2 gives the error's norm.
        rank: of the adapter that the step over the whole way has, 0 for none.
    """

    unet: UNetConfig = UNetConfig(extra=TIMES)
    guidance: float = 1.3
    walk: int = 8
    fresh: int = 16
    pool: int = 1024
    same: float = 0.5
    power: float = 0.5
    rank: int = 5


class OneStep(GenerativeModel, Samples, HasLatent):
    """Class-conditional average velocity with flow matching's U-Net."""

    objective, max_norm = OBJECTIVES[0], 0.0

    def __init__(self, config: OneStepConfig) -> None:
        """The denoiser is the average velocity; it starts without regard to r, as flow matching's is."""
        super().__init__()
        self.config = config
        self.latent_shape = (config.unet.in_channels, config.image_size, config.image_size)
        self.denoiser = UNet(config.unet, config.rank)
        self.tune({})
        self.ways: Ways | None = None  # with a teacher, as the next; neither holds weights of this model
        self.matching: Matching | None = None
        if self.denoiser.extra is not None:
            nn.init.zeros_(self.denoiser.extra.weight)
            nn.init.zeros_(self.denoiser.extra.bias)

    def __deepcopy__(self, memo: dict[int, Any]) -> "OneStep":
        """A copy draws, it does not learn: teacher and ways, larger than the model, are left behind."""
        memo[id(self.ways)] = memo[id(self.matching)] = None
        fresh = memo[id(self)] = type(self).__new__(type(self))
        fresh.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return fresh

    def make_optimizers(self, hp: Recipe) -> dict[str, Optimizer]:
        """One AdamW each for the denoiser, its adapter and, with a teacher, the copy that learns beside."""
        self.max_norm = hp.max_norm
        adapter = self.denoiser.adapter()
        own = set(adapter)
        found = {"denoiser": adam([p for p in self.denoiser.parameters() if p not in own], hp)}
        found |= {"adapter": adam(adapter, hp)} if adapter else {}
        return found | ({"copy": self.matching.optimizer(hp)} if self.matching else {})

    def tune(self, values: Mapping[str, Any]) -> None:
        """Choose what is learnt from the teacher; but for the distribution the adapter is fixed."""
        self.objective = values.get("objective", self.objective)
        for parameter in self.denoiser.adapter():
            parameter.requires_grad_(self.objective == OBJECTIVES[1])

    def learn_from(self, teacher: GenerativeModel) -> None:
        """Take over flow matching's weights, and keep a copy of it to walk with."""
        super().learn_from(teacher)
        if isinstance(teacher, FlowMatching):
            c = self.config
            self.ways = Ways(teacher, steps=c.walk, fresh=c.fresh, pool=c.pool, guidance=c.guidance)
            self.matching = Matching(self.ways.teacher, c.guidance)

    def average(
        self, xt: Tensor, r: Tensor, t: Tensor, labels: Tensor | None, adapted: bool = False
    ) -> Tensor:
        """u_hat at (B, C, H, W), (B,) times r <= t in [0, 1], (B,) labels, num_classes meaning none."""
        scale = self.config.time_scale
        return self.denoiser(xt, scale * t, labels, time_embedding(scale * (t - r), TIMES), adapted=adapted)

    def errors(self, xt: Tensor, r: Tensor, t: Tensor, labels: Tensor, target: Tensor) -> Tensor:
        """(B,) squared errors of u_hat, summed over the picture."""
        return (self.average(xt, r, t, labels) - target).square().flatten(1).sum(1)

    def train_step(self, batch: Batch, optimizers: dict[str, Optimizer]) -> dict[str, float]:
        """One update of the whole network, or of the adapter where the distribution is what is learnt."""
        x, rng = batch.x, batch.generator
        hidden = rand((len(x),), rng, x.device) < self.config.label_dropout
        labels = batch.labels.masked_fill(hidden, self.config.unet.num_classes)
        if self.matching and "adapter" in optimizers and self.objective == OBJECTIVES[1]:
            loss = self.matching.loss(partial(self._drawn, labels, rng), labels, rng, optimizers["copy"])
            if loss is not None:
                update(loss, optimizers["adapter"], self.max_norm)
            return {"distance": self.matching.distance}
        errors = self.from_teacher(self.ways, labels, rng) if self.ways else self.from_itself(x, labels, rng)
        weights = (errors.detach() + 1e-3) ** -self.config.power  # adaptive (eq. 22)
        update((weights * errors).mean(), optimizers["denoiser"], self.max_norm)
        return {"loss": errors.mean().item() / x[0].numel()}

    def memory(self) -> dict[str, Tensor]:
        """The ways that are kept, and the copy of the teacher."""
        return (self.ways.known if self.ways else {}) | (self.matching.state() if self.matching else {})

    def remember(self, memory: Mapping[str, Tensor]) -> None:
        """Take over what `memory` returned."""
        for teaching in (part for part in (self.ways, self.matching) if part):
            teaching.restore(memory)

    def from_teacher(self, ways: Ways, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Errors against what the teacher's ways say of eq. 3."""
        pairs = ways.pairs((len(labels), *self.latent_shape), labels, generator)
        target = (pairs.xt - pairs.xr) / (pairs.t - pairs.r).view(-1, 1, 1, 1)
        return self.errors(pairs.xt, pairs.r, pairs.t, pairs.labels, target)

    def from_itself(self, x0: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Errors against eq. 6 (algorithm 1), where r = t those of flow matching."""
        num, device = len(x0), x0.device
        t = spread(num, generator, device)
        r = t * (2 * rand((num,), generator, device) - 1).clamp(min=0)
        r = torch.where(rand((num,), generator, device) < self.config.same, t, r)
        eps, mix = randn(x0.shape, generator, device), t.view(-1, 1, 1, 1)
        xt = (1 - mix) * x0 + mix * eps
        v = self.guided(xt, eps - x0, t, labels)
        target = v - (t - r).view(-1, 1, 1, 1) * self.rate(xt, v, r, t, labels)
        return self.errors(xt, r, t, labels, target)

    @torch.no_grad()
    def guided(self, xt: Tensor, v: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """The velocity eps - x_0 guided (eq. 19): u_hat(x_t, t, t) knows it without a label."""
        without = (labels == self.config.unet.num_classes).view(-1, 1, 1, 1)
        unconditional = self.average(xt, t, t, None)
        return torch.where(without, v, unconditional + self.config.guidance * (v - unconditional))

    @torch.no_grad()
    def rate(self, xt: Tensor, v: Tensor, r: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """du_hat/dt along the way that x_t takes with the velocity v, while r stays (eq. 8)."""

        def u(xt: Tensor, t: Tensor) -> Tensor:
            return self.average(xt, r, t, labels)

        return torch.func.jvp(u, (xt, t), (v, torch.ones_like(t)))[1]

    def _jump(self, xt: Tensor, labels: Tensor | None, num_steps: int) -> Iterator[Tensor]:
        """From t = 1 to 0 in equal steps (eq. 12); a single one has the adapter."""
        labels = None if labels is None else labels.to(xt.device)
        for k in range(num_steps):
            t, r = (xt.new_full((len(xt),), 1 - i / num_steps) for i in (k, k + 1))
            xt = xt - self.average(xt, r, t, labels, adapted=num_steps == 1) / num_steps
            yield xt

    def _drawn(self, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Pictures of (B,) labels in one step, cut nowhere: haze has a gradient."""
        (x,) = self._jump(randn((len(labels), *self.latent_shape), generator, labels.device), labels, 1)
        return INK * (x + 1) - 1

    @torch.no_grad()
    def sample(
        self, num: int, *, labels: Tensor | None = None, generator: torch.Generator, **controls: Any
    ) -> Iterator[SampleStep]:
        """Draw `num` pictures, one evaluation a step; what is shown is x_t at that ``contrast``."""
        eps = randn((num, *self.latent_shape), generator, next(self.parameters()).device)
        if labels is None:
            labels = randint(self.config.unet.num_classes, num, generator)
        num_steps, strength = controls.get("num_steps", 1), controls.get("contrast", CONTRAST)
        for step, x in enumerate(self._jump(eps, labels, num_steps), 1):
            yield SampleStep(step, num_steps, contrasted(x, strength**num_steps**-2), step)

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The picture that one evaluation makes of the noise z; no labels: no label."""
        *_, x0 = self._jump(z, labels, 1)
        return contrasted(x0, CONTRAST)


def contrasted(x: Tensor, strength: float) -> Tensor:
    """(B, C, H, W) further from the middle grey by a factor, cut to [-1, 1]."""
    return (strength * x).clamp(-1, 1)


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
            num_steps=2000, lr=2e-3, betas=(0.9, 0.99), weight_decay=0.01, warmup=100, ema=0.998, max_norm=1.0
        ),
        about=About(
            summary=Words(
                "MeanFlow learns the average velocity of a whole stretch of the way from noise to picture, "
                "where flow matching learns the velocity at a point. "
                "One step over the whole way then draws a picture with a single run of the network. "
                "Where flow matching's weights are shipped, its training starts from them and learns from "
                "the ways that they walk; an adapter for the single step then learns from their scores.",
                "流匹配学习某一点的速度，而 MeanFlow 学习从噪声到图片的一整段路的平均速度。于是只需一步走完"
                "全程，运行一次网络就能画出图片。如果有流匹配的权重，训练就从这些权重开始，先学习它们走过的路，"
                "再由专用于一步生成的适配器学习它们的分数。",
            ),
            formula=r"u_\theta(x_t, r, t) \approx \frac{x_t - x_r}{t - r} = \frac{1}{t - r} "
            r"\int_r^t v(x_s, s)\,\mathrm{d}s, \quad x_0 = \epsilon - u_\theta(\epsilon, 0, 1)",
            strengths=Words(
                "One evaluation a picture, as a GAN, with the guidance already in it, yet trained without a "
                "discriminator.",
                "与 GAN 一样，每张图片只运行一次网络，引导已包含在内；而训练不需要判别器。",
            ),
            weaknesses=Words(
                "It can be no better than its teacher, which has to be trained first and asked in every "
                "update; and the adapter serves one step alone, so two or four are no better.",
                "它不会比老师更好，而老师要先训练好，并且每次更新都要问它；适配器只用于一步生成，走两步或四步并不会更好。",
            ),
        ),
        controls=(
            Control("num_steps", Words("Steps", "步数"), 1, 1, 8, 1,
                    info=Words("One draws at once, by the adapter; more go the way in pieces, without it.",
                               "一步即可画成，用到适配器；更多步则不用它，分段走完全程。")),
            Control("contrast", Words("Contrast", "对比度"), CONTRAST, 1.0, 1.5, 0.05,
                    info=Words("One jump draws paler ink than the data's, and haze behind it. 1 leaves both.",
                               "一步画出的墨色比数据更淡，背景上还有一层薄雾。1 表示不改变。")),
        ),
        switches=(
            Switch("objective", Words("What is learnt", "学习目标"), OBJECTIVES[0], choices=OBJECTIVES,
                   info=Words("The ways that the teacher walks; or, by an adapter, that the pictures of one "
                              "step have the distribution of the teacher's, which makes them sharp.",
                              "学习老师走过的路；或者由适配器学习让一步画出的图片与老师的图片分布相同，笔画更锐利。")),
        ),
        preview={"num_steps": 1},
        conditional=True,
        starts_from="flow_matching",
    ),
)  # fmt: skip
