r"""Flow matching, or rectified flow (2210.02747, 2209.03003), that is told which digit to draw.

Data and noise are joined by straight lines walked at constant speed; a U-Net learns the mean velocity of all
the lines that pass through a point, and a picture is drawn by following that velocity from noise to data. As
everywhere in the playground x_0 is data and time runs with the noise, t = 0 data, t = 1 noise:

    x_t = (1 - t) x_0 + t eps,                               eps ~ N(0, I)             (2209.03003, eq. 1)
    v   = dx_t/dt = eps - x_0,                               loss = |v - v_hat|^2      (2210.02747, eq. 23)
    x0_hat = x_t - t v_hat,                                  eps_hat = x_t + (1 - t) v_hat
    dx/dt = v_hat(x, t)       solved from t = 1 to 0 draws a picture, from 0 to 1 finds a picture's noise

The papers call the noise X_0 and the data X_1, so their time is 1 - t and their velocity X_1 - X_0 is -v.

Differences from the papers: a label, dropped at random in training for classifier-free guidance
(2207.12598, eq. 6); times spread evenly over each batch (2107.00630, app. I.1); fixed-step solvers instead of
RK45, their steps smaller near the noise, where the paths bend most (2403.03206, eq. 23); and the network is
told t / 50, so that its prediction is a smooth function of t (2410.11081, section 4.1), which matters to a
one-step model that starts from this one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from playground.nn import UNet, UNetConfig, adam, rand, randint, randn, spread, update
from playground.spec import (
    About,
    Batch,
    Control,
    Denoises,
    DenoiseStep,
    Encodes,
    GenerativeModel,
    HasLatent,
    ModelSpec,
    Recipe,
    Samples,
    SampleStep,
    Words,
)

GUIDANCE = 1.2  # by default: closer to the data than 1 and 1.3; 99.0% of labels are right
SHIFT = 2.0  # by default: with ten steps of Euler a little closer to the data than 1

Velocity = Callable[[Tensor, float], Tensor]


@dataclass(frozen=True)
class FlowMatchingConfig:
    """Shape of the model.

    Attributes:
        unet: the denoiser.
        image_size: pixels, both ways.
        num_timesteps: T, into how many whole numbers `Denoises` divides the time from 0 to 1.
        label_dropout: how often training hides the label, so that the model can do without.
        time_scale: what times are multiplied by before the network embeds them.
    """

    unet: UNetConfig = field(default_factory=UNetConfig)
    image_size: int = 28
    num_timesteps: int = 1000
    label_dropout: float = 0.1
    time_scale: float = 0.02


def euler(f: Velocity, v: Tensor, x: Tensor, t: float, s: float) -> Tensor:
    """From x at time t to x at time s, v being f(x, t): one evaluation, error O(|t - s|^2)."""
    return x + (s - t) * v


def midpoint(f: Velocity, v: Tensor, x: Tensor, t: float, s: float) -> Tensor:
    """The velocity half-way, found by half an Euler step: two evaluations, error O(|t - s|^3)."""
    return x + (s - t) * f(x + (s - t) / 2 * v, (t + s) / 2)


def heun(f: Velocity, v: Tensor, x: Tensor, t: float, s: float) -> Tensor:
    """The mean of the velocities here and where Euler's step ends: two evaluations, error O(|t - s|^3).

    The step to s = 0 is Euler's (2206.00364, algorithm 1): a finished picture shows nothing of its noise, so
    the velocity jumps there, and the mean would leave half of the last noise in place.
    """
    ahead = euler(f, v, x, t, s)
    return ahead if s == 0 else x + (s - t) / 2 * (v + f(ahead, s))


SOLVERS = {"Euler": (euler, 1), "Midpoint": (midpoint, 2), "Heun": (heun, 2)}  # evaluations a step


def instants(start: float, end: float, num_steps: int, shift: float) -> list[float]:
    """The num_steps + 1 times from `start` to `end`, both in [0, 1], at which steps begin and end.

    Even steps in u make those in t = shift u / (1 + (shift - 1) u), 2403.03206, eq. 23: equal for shift 1,
    smaller near the noise for more; 0 and 1 stay where they are.
    """
    first, last = (t / (shift + (1 - shift) * t) for t in (start, end))
    us = (first + (last - first) * (k / num_steps) for k in range(num_steps + 1))
    return [shift * u / (1 + (shift - 1) * u) for u in us]


def integrate(
    f: Velocity, x: Tensor, start: float, end: float, num_steps: int, solver: str, shift: float = 1.0
) -> Iterator[tuple[float, Tensor, Tensor, Tensor]]:
    """Solve dx/dt = f(x, t) in the steps of `instants`.

    Yields:
        t, x_t, the velocity there, and the x that the step from t leads to.

    Raises:
        ValueError: if the solver is unknown, num_steps < 1 or shift <= 0.
    """
    if solver not in SOLVERS:
        raise ValueError(f"solver must be one of {', '.join(SOLVERS)}; got {solver!r}.")
    if num_steps < 1:
        raise ValueError(f"num_steps must be at least 1; got {num_steps}.")
    if shift <= 0:
        raise ValueError(f"shift must be above 0; got {shift}.")
    for t, s in pairwise(instants(start, end, num_steps, shift)):
        v = f(x, t)
        after = SOLVERS[solver][0](f, v, x, t, s)
        yield t, x, v, after
        x = after


class FlowMatching(GenerativeModel, Samples, HasLatent, Encodes, Denoises):
    """Class-conditional rectified flow with a U-Net that predicts the velocity."""

    decode_nfe = 19  # 10 steps of Heun

    def __init__(self, config: FlowMatchingConfig) -> None:
        """The denoiser is the velocity field."""
        super().__init__()
        self.config = config
        self.num_timesteps = config.num_timesteps
        self.latent_shape = (config.unet.in_channels, config.image_size, config.image_size)
        self.max_norm = 0.0
        self.denoiser = UNet(config.unet)

    def make_optimizers(self, hp: Recipe) -> dict[str, Optimizer]:
        """One AdamW for the denoiser."""
        self.max_norm = hp.max_norm
        return {"denoiser": adam(self.denoiser.parameters(), hp)}

    def field(self, xt: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        """v_hat at (B, C, H, W), (B,) times in [0, 1] and (B,) labels, of which num_classes means none."""
        return self.denoiser(xt, self.config.time_scale * t, labels)

    def loss(self, x0: Tensor, labels: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """Mean squared error of v_hat (2210.02747, eq. 23): t (B,) in [0, 1]."""
        mix = t.view(-1, 1, 1, 1)
        v_hat = self.field((1 - mix) * x0 + mix * eps, t, labels)
        return (v_hat - (eps - x0)).square().mean()

    def train_step(self, batch: Batch, optimizers: dict[str, Optimizer]) -> dict[str, float]:
        """One update on noise of every strength, one label in ten hidden (2207.12598, algorithm 1)."""
        x0, num, device = batch.x, len(batch.x), batch.x.device
        t = spread(num, batch.generator, device)
        hidden = rand((num,), batch.generator, device) < self.config.label_dropout
        labels = batch.labels.masked_fill(hidden, self.config.unet.num_classes)
        loss = self.loss(x0, labels, randn(x0.shape, batch.generator, device), t)
        update(loss, optimizers["denoiser"], self.max_norm)
        return {"loss": loss.item()}

    @torch.no_grad()
    def velocity(self, xt: Tensor, t: float, labels: Tensor | None = None, guidance: float = 1.0) -> Tensor:
        """Guided v_hat (2207.12598, eq. 6), both branches in one forward pass.

        xt is (B, C, H, W), t in [0, 1], labels (B,) int64 or None for no label at all; guidance 0 ignores
        the label, 1 is the plain conditional model, more exaggerates the label.
        """
        time = torch.full((len(xt),), t, device=xt.device)
        if labels is None or guidance == 0:
            return self.field(xt, time, None)
        if guidance == 1:
            return self.field(xt, time, labels)
        none = torch.full_like(labels, self.config.unet.num_classes)
        v_hat = self.field(torch.cat([xt, xt]), torch.cat([time, time]), torch.cat([labels, none]))
        conditional, unconditional = v_hat.chunk(2)
        return unconditional + guidance * (conditional - unconditional)

    def solve(
        self, x: Tensor, labels: Tensor | None = None, *, start: float = 1.0, end: float = 0.0,
        num_steps: int = 10, solver: str = "Euler", guidance: float = GUIDANCE, shift: float = SHIFT,
    ) -> Iterator[tuple[float, Tensor, Tensor, Tensor]]:  # fmt: skip
        """Follow the velocity from time `start` to time `end`; yields as `integrate`."""
        labels = None if labels is None else labels.to(x.device)
        return integrate(
            lambda xt, t: self.velocity(xt, t, labels, guidance), x, start, end, num_steps, solver, shift
        )

    def _evaluations(
        self, step: int, labels: Tensor | None, num_steps: int = 10, solver: str = "Euler",
        guidance: float = GUIDANCE, **controls: Any,
    ) -> int:  # fmt: skip
        """Of the network, in the first `step` of the `num_steps` steps to a picture."""
        each = 1 if labels is None or guidance in (0, 1) else 2
        return each * (step * SOLVERS[solver][1] - (solver == "Heun" and step == num_steps))

    def sample(
        self, num: int, *, labels: Tensor | None = None, generator: torch.Generator, **controls: Any
    ) -> Iterator[SampleStep]:
        """Draw `num` pictures, one step a moment; what is shown is x_t clipped to [-1, 1]."""
        eps = randn((num, *self.latent_shape), generator, next(self.parameters()).device)
        if labels is None:
            labels = randint(self.config.unet.num_classes, num, generator)
        for step, (_, _, _, x) in enumerate(self.solve(eps, labels, **controls), 1):
            nfe = self._evaluations(step, labels, **controls)
            yield SampleStep(step, controls.get("num_steps", 10), x.clamp(-1, 1), nfe)

    def time(self, t: Tensor) -> Tensor:
        """(B,) int64 timesteps 0 to T - 1 -> (B,) times; T - 1 is pure noise, 0 almost pure data."""
        return (t + 1) / self.num_timesteps

    def add_noise(self, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """The point at t on the line from data to noise: x0 and eps (B, C, H, W), t (B,) in 0 to T - 1."""
        mix = self.time(t).view(-1, 1, 1, 1)
        return (1 - mix) * x0 + mix * eps

    def denoise(
        self, xt: Tensor, *, labels: Tensor | None = None, generator: torch.Generator, **controls: Any
    ) -> Iterator[DenoiseStep]:
        """Every step's x_t and the ends of its straight line; no labels: no label. `generator` is not used.

        x0_hat is clipped to [-1, 1] and eps_hat is what then leads to x_t, at the nearest whole timestep.
        """
        for step, (time, x, v_hat, _) in enumerate(self.solve(xt, labels, **controls), 1):
            x0_hat = (x - time * v_hat).clamp(-1, 1)
            mix = (whole := round(time * self.num_timesteps)) / self.num_timesteps
            eps_hat, nfe = (x - (1 - mix) * x0_hat) / mix, self._evaluations(step, labels, **controls)
            yield DenoiseStep(whole - 1, x, x0_hat, eps_hat, nfe)

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The picture that the ODE makes of the noise z, without guidance; no labels: no label."""
        *_, (_, _, _, x0) = self.solve(z, labels, solver="Heun", guidance=1.0, shift=1.0)
        return x0.clamp(-1, 1)

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """The noise of which the ODE makes the picture x: `decode` walked backwards."""
        *_, (_, _, _, z) = self.solve(x, labels, start=0.0, end=1.0, solver="Heun", guidance=1.0, shift=1.0)
        return z


CONTROLS = (
    Control("num_steps", Words("Steps", "步数"), 10, 1, 200, 1,
            info=Words("Into how many straight pieces the path is cut.", "把路径切成多少段直线。")),
    Control("solver", Words("Solver", "求解器"), "Euler", choices=tuple(SOLVERS),
            info=Words("Midpoint and Heun run the network twice a step and follow a curve more closely.",
                       "中点法和 Heun 法每步运行两次网络，能更贴近弯曲的路径。")),
    Control("guidance", Words("Guidance", "引导强度"), GUIDANCE, 0.0, 6.0, 0.05,
            info=Words("0 ignores the label, more than 1 exaggerates it.", "0 忽略标签，大于 1 则夸大。")),
    Control("shift", Words("Time shift", "时间偏移"), SHIFT, 0.5, 4.0, 0.1,
            info=Words("1 makes all steps equal; more makes them smaller near the noise, where the path "
                       "bends most, and larger near the picture.",
                       "1 表示每步等长；大于 1 时，在路径最弯的噪声一端步子更小，靠近图片处步子更大。")),
)  # fmt: skip

SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="flow_matching",
        title="Flow matching",
        family="diffusion",
        year=2022,
        paper="2210.02747",
        model=FlowMatching,
        config=FlowMatchingConfig(),
        recipe=Recipe(
            num_steps=9600, lr=2e-3, betas=(0.9, 0.99), weight_decay=0.01, warmup=200, ema=0.999, max_norm=1.0
        ),
        about=About(
            summary=Words(
                "Flow matching joins every picture to some noise by a straight line and learns the average "
                "speed and direction at every point on the way. "
                "It draws by following that velocity from noise to a picture. "
                "Because the paths are nearly straight, a few large steps are enough.",
                "流匹配用直线把每张图片与一份噪声连起来，学习途中每一点的平均速度与方向。生成时，它从噪声出发，"
                "沿着这个速度走到图片。由于路径近乎笔直，只需几大步即可。",
            ),
            formula=r"\mathcal{L} = \mathbb{E}_{x_0, \epsilon, t} \lVert v_\theta(x_t, t, y) - "
            r"(\epsilon - x_0) \rVert^2, \quad x_t = (1 - t)\,x_0 + t\,\epsilon",
            strengths=Words(
                "The plainest loss of the diffusion family and good pictures in about ten steps; the same "
                "path walked backwards turns a picture into its noise.",
                "扩散家族中最简单的损失函数，大约十步就能得到好图片；把同一条路径倒着走，就能把图片变回噪声。",
            ),
            weaknesses=Words(
                "One step still gives a blur, the average of all pictures the noise could become; every "
                "further step is one more run of the network.",
                "只走一步仍然得到模糊的图，即这份噪声可能变成的所有图片的平均；每多一步就要多运行一次网络。",
            ),
        ),
        controls=CONTROLS,
        preview={"num_steps": 10, "guidance": 1.0},
        conditional=True,
    ),
)
