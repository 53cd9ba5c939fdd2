r"""A denoising diffusion model (Ho et al. 2020, arXiv:2006.11239) that is told which digit to draw.

Noise is mixed into a picture in 1000 small steps until nothing else is left; a U-Net learns to undo it, and
sampling starts from pure noise and walks back. With a_t = alphas_cumprod[t],

    x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) eps,                 eps ~ N(0, I)             (2006.11239, eq. 4)
    v   = sqrt(a_t) eps - sqrt(1 - a_t) x_0,                 loss = |v - v_hat|^2      (2202.00512, app. D)
    x0_hat = sqrt(a_t) x_t - sqrt(1 - a_t) v_hat,            eps_hat = sqrt(1 - a_t) x_t + sqrt(a_t) v_hat
    v_hat = v_hat(none) + guidance (v_hat(label) - v_hat(none)),                       (2207.12598, eq. 6)

the last being classifier-free guidance: 1 is the plain conditional model, w of the paper is guidance - 1.

Differences from the paper: the cosine schedule of Nichol & Dhariwal (arXiv:2102.09672, eq. 17), v instead of
eps, timesteps spread evenly over each batch (arXiv:2107.00630, app. I.1), no attention and no dropout. The
walk back is done by diffusers' schedulers: DDPM, DDIM (arXiv:2010.02502), DPM-Solver++ (arXiv:2211.01095),
or by our own Euler and Heun on the probability-flow ODE (`_solvers`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from playground.models._bound import variational_bound
from playground.models._solvers import (
    SAMPLERS,
    SOLVERS,
    clipped,
    cosine_alphas_cumprod,
    level,
    make_scheduler,
    probability_flow,
    repaint,
    timesteps,
    trailing,
)
from playground.nn import UNet, UNetConfig, adam, rand, randint, randn, spread, update
from playground.spec import (
    About,
    Batch,
    Completes,
    Control,
    DenoiseStep,
    Encodes,
    GenerativeModel,
    HasLatent,
    HasLikelihood,
    HasScore,
    ModelSpec,
    Recipe,
    Samples,
    SampleStep,
    Words,
)

GUIDANCE = 1.25  # by default: nearer to the data than 1.3, and still 99% of labels are right


@dataclass(frozen=True)
class DDPMConfig:
    """Shape of the model.

    Attributes:
        unet: the denoiser.
        image_size: pixels, both ways.
        num_timesteps: T, steps from data to noise.
        label_dropout: how often training hides the label, so that the model can do without.
    """

    unet: UNetConfig = field(default_factory=UNetConfig)
    image_size: int = 28
    num_timesteps: int = 1000
    label_dropout: float = 0.1


class DDPM(GenerativeModel, Samples, HasLatent, Encodes, HasScore, HasLikelihood, Completes):
    """Class-conditional diffusion with a U-Net that predicts v."""

    denoiser: nn.Module
    decode_nfe = 100  # 50 steps, with the label and without
    likelihood = "bound"
    levels = 256

    def __init__(self, config: DDPMConfig) -> None:
        """The denoiser and its schedule; the schedule is computed, not stored with the weights."""
        super().__init__()
        self.config = config
        self.num_timesteps = config.num_timesteps
        self.latent_shape = (config.unet.in_channels, config.image_size, config.image_size)
        self.max_norm = 0.0
        self.denoiser = self.build_denoiser()
        self.register_buffer("alphas_cumprod", cosine_alphas_cumprod(config.num_timesteps), persistent=False)

    def build_denoiser(self) -> nn.Module:
        """The network of `config`; a subclass may put another in its place."""
        return UNet(self.config.unet)

    def make_optimizers(self, hp: Recipe) -> dict[str, Optimizer]:
        """One AdamW for the denoiser."""
        self.max_norm = hp.max_norm
        return {"denoiser": adam(self.denoiser.parameters(), hp)}

    def _signal_noise(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) timesteps -> sqrt(a_t) and sqrt(1 - a_t), each (B, 1, 1, 1)."""
        a = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        return a.sqrt(), (1 - a).sqrt()

    def add_noise(self, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """x_t ~ q(x_t | x_0) in one go (2006.11239, eq. 4): x0 and eps (B, C, H, W), t (B,) in 0 to T - 1."""
        signal, noise = self._signal_noise(t)
        return signal * x0 + noise * eps

    def loss(self, x0: Tensor, labels: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """Mean squared error of v_hat; the label num_classes means none."""
        signal, noise = self._signal_noise(t)
        v_hat = self.denoiser(self.add_noise(x0, eps, t), t / self.num_timesteps, labels)
        return (v_hat - (signal * eps - noise * x0)).square().mean()

    def train_step(self, batch: Batch, optimizers: dict[str, Optimizer]) -> dict[str, float]:
        """One update on noise of every strength, one label in ten hidden (2207.12598, algorithm 1)."""
        x0, num, device = batch.x, len(batch.x), batch.x.device
        u = spread(num, batch.generator, device)  # a steadier loss than independent draws
        t = (u * self.num_timesteps).long()
        hidden = rand((num,), batch.generator, device) < self.config.label_dropout
        labels = batch.labels.masked_fill(hidden, self.config.unet.num_classes)
        loss = self.loss(x0, labels, randn(x0.shape, batch.generator, device), t)
        update(loss, optimizers["denoiser"], self.max_norm)
        return {"loss": loss.item()}

    def velocity(self, xt: Tensor, t: int, labels: Tensor | None, guidance: float) -> Tensor:
        """Guided v_hat (2207.12598, eq. 6), both branches in one forward pass.

        xt is (B, C, H, W), t in 0 to T - 1, labels (B,) int64 or None for no label at all; guidance 0
        ignores the label, 1 is the plain conditional model, more exaggerates the label.
        """
        time = torch.full((len(xt),), t / self.num_timesteps, device=xt.device)
        if labels is None or guidance == 0:
            return self.denoiser(xt, time)
        if guidance == 1:
            return self.denoiser(xt, time, labels)
        none = torch.full_like(labels, self.config.unet.num_classes)
        v_hat = self.denoiser(torch.cat([xt, xt]), torch.cat([time, time]), torch.cat([labels, none]))
        conditional, unconditional = v_hat.chunk(2)
        return unconditional + guidance * (conditional - unconditional)

    def predict(self, xt: Tensor, t: int, labels: Tensor | None = None, guidance: float = 1.0) -> DenoiseStep:
        """x0_hat and eps_hat as the network has them, x0_hat not clipped."""
        v_hat = self.velocity(xt, t, None if labels is None else labels.to(xt.device), guidance)
        return self._predictions(xt, t, v_hat)

    def _predictions(self, xt: Tensor, t: int, v_hat: Tensor) -> DenoiseStep:
        """(2202.00512, app. D)."""
        signal, noise = self._signal_noise(torch.tensor([t], device=xt.device))
        return DenoiseStep(t, xt, signal * xt - noise * v_hat, noise * xt + signal * v_hat)

    @torch.no_grad()
    def _reverse(
        self, xt: Tensor, labels: Tensor | None, generator: torch.Generator | None, watched: bool = False,
        scheduler: str = "DDIM", num_steps: int = 50, guidance: float = GUIDANCE, eta: float = 0.0,
    ) -> Iterator[tuple[DenoiseStep | None, Tensor, int]]:  # fmt: skip
        """From x_T to x_0: each step's predictions, where it leads to, and the network evaluations so far.

        Predictions have x0_hat clipped, as the schedulers do; only when `watched` are they always there.
        """
        labels = None if labels is None else labels.to(xt.device)
        each, nfe = 1 if labels is None or guidance in (0, 1) else 2, 0
        if scheduler in SOLVERS:

            def predict(xt: Tensor, t: int) -> DenoiseStep:
                return clipped(self.predict(xt, t, labels, guidance), level(self, t))

            times = [*trailing(num_steps, self.num_timesteps), -1]
            for found, ahead, num in probability_flow(predict, xt, times, self.alphas_cumprod, scheduler):
                nfe += num * each
                yield found, ahead, nfe
            return
        solver = make_scheduler(scheduler, num_steps, self.num_timesteps)
        options: dict[str, Any] = {} if scheduler == "DPM-Solver++" else {"generator": generator}
        if scheduler == "DDIM":  # eps_hat from the clipped x0_hat: eta = 1 is then DDPM's step
            options |= {"eta": eta, "use_clipped_model_output": True}
        for t in timesteps(solver):
            v_hat = self.velocity(xt, t, labels, guidance)
            seen = clipped(self._predictions(xt, t, v_hat), level(self, t)) if watched else None
            xt, nfe = solver.step(v_hat, t, xt, return_dict=False, **options)[0], nfe + each
            yield seen, xt, nfe

    def sample(
        self, num: int, *, labels: Tensor | None = None, generator: torch.Generator, **controls: Any
    ) -> Iterator[SampleStep]:
        """Draw `num` pictures, one step a moment; what is shown is x_t clipped to [-1, 1]."""
        xt = randn((num, *self.latent_shape), generator, self.alphas_cumprod.device)
        if labels is None:
            labels = randint(self.config.unet.num_classes, num, generator)
        num_steps = controls.get("num_steps", 50)
        for step, (_, x, nfe) in enumerate(self._reverse(xt, labels, generator, **controls), 1):
            yield SampleStep(step, num_steps, x.clamp(-1, 1), nfe)

    def denoise(
        self, xt: Tensor, *, labels: Tensor | None = None, generator: torch.Generator, **controls: Any
    ) -> Iterator[DenoiseStep]:
        """Every step's x_t and what is read from it; the last x0_hat is the picture. No labels: no label."""
        for seen, _, nfe in self._reverse(xt, labels, generator, watched=True, **controls):
            if seen is not None:
                yield seen._replace(nfe=nfe)

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The picture that 50 deterministic DDIM steps make of the noise z; no labels: no label."""
        *_, (_, x0, _) = self._reverse(z, labels, None)
        return x0.clamp(-1, 1)

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """The noise of which `decode` makes about the picture x: the same ODE walked upwards, by Heun."""
        times = [-1, *reversed(trailing(25, self.num_timesteps))]

        def predict(xt: Tensor, t: int) -> DenoiseStep:
            return self.predict(xt, t, labels, GUIDANCE)

        *_, (_, z, _) = probability_flow(predict, x, times, self.alphas_cumprod, "Heun")
        return z

    def log_prob(
        self, x: Tensor, labels: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """A lower bound in nats, estimated without bias from 32 timesteps (`variational_bound`)."""
        return variational_bound(self, x, labels, generator or torch.Generator().manual_seed(0))

    def complete(
        self, x: Tensor, mask: Tensor, *, labels: Tensor | None, generator: torch.Generator, **controls: Any
    ) -> Iterator[SampleStep]:
        """RePaint; of the controls it heeds steps and guidance, its own step replaces the scheduler's."""
        known = {key: controls[key] for key in ("num_steps", "guidance") if key in controls}
        yield from repaint(self, x, mask, labels=labels, generator=generator, **known)


CONTROLS = (
    Control("scheduler", Words("Sampler", "采样器"), "DDIM", choices=SAMPLERS,
            info=Words("How each step goes back.", "每一步如何往回走。")),
    Control("num_steps", Words("Steps", "步数"), 50, 1, 1000, 1,
            info=Words("More is slower and, up to a point, better.", "步数越多越慢，在一定范围内质量越好。")),
    Control("guidance", Words("Guidance", "引导强度"), GUIDANCE, 0.0, 6.0, 0.05,
            info=Words("0 ignores the label, more than 1 exaggerates it.", "0 忽略标签，大于 1 则夸大。")),
    Control("eta", Words("Fresh noise (DDIM's eta)", "新增噪声（DDIM 的 eta）"), 0.0, 0.0, 1.0, 0.05,
            info=Words("0 is deterministic, 1 is as random as DDPM.", "0 为确定性，1 与 DDPM 一样随机。")),
)  # fmt: skip

SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="ddpm",
        title="DDPM",
        family="diffusion",
        year=2020,
        paper="2006.11239",
        model=DDPM,
        config=DDPMConfig(),
        recipe=Recipe(
            num_steps=9600, lr=2e-3, betas=(0.9, 0.99), weight_decay=0.01, warmup=200, ema=0.999, max_norm=1.0
        ),
        about=About(
            summary=Words(
                "A diffusion model learns to take a little noise away from a noisy picture. "
                "It draws by starting from pure noise and cleaning it up step by step. "
                "Guidance pushes every step towards the digit that was asked for.",
                "扩散模型学习从带噪图片中去掉一点噪声。生成时，它从纯噪声出发，一步一步地把图片清理出来。引导会"
                "把每一步都推向所要求的数字。",
            ),
            formula=r"\mathcal{L} = \mathbb{E}_{x_0, \epsilon, t} \lVert \sqrt{\bar\alpha_t}\,\epsilon - "
            r"\sqrt{1 - \bar\alpha_t}\,x_0 - v_\theta(x_t, t, y) \rVert^2, \quad "
            r"x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1 - \bar\alpha_t}\,\epsilon",
            strengths=Words(
                "Among the best pictures, nearly the full variety of the data, a plain and stable loss; "
                "steps, sampler and guidance can be chosen after training.",
                "图片质量名列前茅，几乎覆盖数据的全部多样性，损失函数简单稳定；步数、采样器和引导强度可以在训练后再选。",
            ),
            weaknesses=Words(
                "Slow: every picture takes dozens of network evaluations, twice that with any guidance "
                "but 0 and 1; strong guidance makes the pictures alike.",
                "慢：每张图片都要运行网络几十次；使用引导时计算量加倍，引导过强还会让图片变得雷同。",
            ),
        ),
        controls=CONTROLS,
        preview={"scheduler": "DPM-Solver++", "num_steps": 10, "guidance": 1.0},
        conditional=True,
        exemplary=True,
    ),
)
