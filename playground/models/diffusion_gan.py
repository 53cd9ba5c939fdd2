r"""Diffusion-GAN: a GAN whose discriminator sees everything through diffusion (Wang et al. 2022, 2206.02262).

Real and drawn pictures are noised alike before the discriminator D judges them, and D is told how much. Where
the two kinds hardly overlap, noise makes them overlap, so that D's gradient keeps telling the generator where
to go. With a_t = alphas_cumprod[t] and s the scale of the noise,

    y = sqrt(a_t) x + sqrt(1 - a_t) s eps,                  eps ~ N(0, I)                      (eq. 1)
    min over G, max over D of E[log D(y, t)] + E[log(1 - D(y_fake, t))]                         (eq. 5)
    r_d = E[sign(D(y, t) - 1/2)],     T <- T + sign(r_d - 0.6) step, every 4 updates            (eq. 9)

t is 0 for half of the pictures and else drawn from 1 to T with probability proportional to t ("priority",
eq. 10); T grows while D is too sure of real pictures and shrinks when it is not. The generator is one jump.

This is the conditional GAN of `cgan` with nothing changed but that: its networks (D has one more plane, t),
its matching-aware loss, its recipe; what the noise buys can be read from the two cards, as far as the minutes
of training, which they tell too, allow. Differences from the paper: its networks are StyleGAN2's or projected
GANs'; r_d is a moving average instead of one over 4 updates; the noise is ten times that of the authors'
code (0.5, not 0.05), whose schedule is stretched over the T of the moment, where here T moves along it.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from playground.models._gan import TRUNCATION
from playground.models._gan_networks import Discriminator, Generator, init_dcgan
from playground.models._gan_switches import switches
from playground.models.cgan import CGANConfig, MatchingAware
from playground.nn import rand, randn
from playground.spec import About, Batch, ModelSpec, Recipe, Words


@dataclass(frozen=True)
class DiffusionGANConfig(CGANConfig):
    """Shape of the two networks, how they are trained, and the noise.

    Attributes:
        noise: s, the standard deviation of pure noise.
        min_reach: the smallest T, with which a training starts.
        max_reach: the largest, the end of the schedule.
        target: what r_d is steered to.
        crossing: pictures after which T, always moving the same way, has crossed its range.
    """

    noise: float = 0.5
    min_reach: int = 5
    max_reach: int = 1000
    target: float = 0.6
    crossing: int = 50_000


_EVERY = 4  # updates from one step of T to the next
_MEMORY = 0.75  # of the moving average of r_d, an update


class DiffusionGAN(MatchingAware):
    """A conditional GAN; what its discriminator sees is diffused by up to T steps, T adapting itself."""

    alphas_cumprod: Tensor
    reach: Tensor
    r_d: Tensor

    def __init__(self, config: DiffusionGANConfig) -> None:
        """Both networks; T and r_d are stored with the weights, so that a training can go on."""
        super().__init__(config.latent_dim, config.techniques)
        self.config, self.num_classes = config, config.num_classes
        self.picture_channels = config.channels  # no penalty on how D's output changes with t
        self.generator = Generator(config)
        self.discriminator = Discriminator(replace(config, channels=config.channels + 1))
        init_dcgan(self)
        self.prepare()
        betas = torch.linspace(1e-4, 2e-2, config.max_reach, dtype=torch.float64)
        schedule = torch.cat([torch.ones(1), (1 - betas).cumprod(0).float()])
        self.register_buffer("alphas_cumprod", schedule, persistent=False)  # a_0 = 1: the picture itself
        self.register_buffer("reach", torch.tensor(float(config.min_reach)))
        self.register_buffer("r_d", torch.tensor(0.0))

    def diffuse(self, x: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """What D sees: y of (B, C, H, W) x and eps, t (B,) in 0 to max_reach, and t as a further plane."""
        a = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        y = a.sqrt() * x + (1 - a).sqrt() * self.config.noise * eps
        plane = (t / self.config.max_reach).view(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:])
        return torch.cat([y, plane], dim=1)

    def draw_t(self, num: int, generator: torch.Generator, device: torch.device) -> Tensor:
        """(num,) int64: 0 for half of them on average, else 1 to T with probability proportional to t."""
        reach = int(self.reach.round())
        u = rand((num,), generator, device) * reach * (reach + 1)  # t where t (t - 1) <= u < t (t + 1)
        ts = (((1 + 4 * u).sqrt() - 1) / 2).long().clamp(max=reach - 1) + 1
        return ts * (rand((num,), generator, device) < 0.5)

    def adapt(self, score_real: Tensor, step: int) -> None:
        """Move T by what D says of real pictures, outputs (B,), in update `step`."""
        config = self.config
        sure = score_real.detach() - self.techniques.undecided
        self.r_d.lerp_(sure.sign().mean(), 1 - _MEMORY)
        if step % _EVERY == _EVERY - 1:
            stride = _EVERY * len(score_real) / config.crossing * (config.max_reach - config.min_reach)
            moved = self.reach + stride * (self.r_d - config.target).sign()
            self.reach.copy_(moved.clamp(config.min_reach, config.max_reach))

    def _noise(self, batch: Batch) -> Any:
        """Diffusion in place of instance noise: one t for all that it is called on, noise of their own."""
        t = self.draw_t(len(batch.x), batch.generator, batch.x.device)
        return lambda x: self.diffuse(x, randn(x.shape, batch.generator, x.device), t)

    def discriminator_loss(self, batch: Batch, score_real: Tensor, score_fake: Tensor) -> Tensor:
        """That of the conditional GAN; D has just judged the real pictures, which is what T goes by."""
        self.adapt(score_real, batch.step)
        return super().discriminator_loss(batch, score_real, score_fake)

    def _update_discriminator(self, batch: Batch, fake: Tensor, optimizer: Optimizer) -> dict[str, float]:
        metrics = super()._update_discriminator(batch, fake, optimizer)
        return metrics | {"reach": self.reach.item(), "r_d": self.r_d.item()}


_CONFIG = DiffusionGANConfig()
_ABOUT = About(
    summary=Words(
        en="A GAN whose discriminator never quite sees the picture: real and drawn digits are noised alike, "
        "by an amount that adapts itself, and it is told how much. "
        "Noise makes the two kinds overlap, so the generator is always told which way is better. "
        "Its networks and its recipe are those of the conditional GAN beside it, so the two can be compared; "
        "how long each was trained is on its card.",
        zh="这个 GAN 的判别器看不清图片：真实数字和生成的数字都加上同样强度的噪声，"
        "强度自动调整，并且会告诉判别器。"
        "噪声让两类图片相互重叠，所以生成器总能得知该往哪个方向改进。"
        "它的网络和训练方案与旁边的条件 GAN 相同，因此两者可以比较；各自的训练时间见模型卡。",
    ),
    formula=r"\min_G \max_D \; \mathbb{E}[\log D(y, t)] + \mathbb{E}[\log(1 - D(y_G, t))], \quad "
    r"y = \sqrt{\bar\alpha_t}\, x + \sqrt{1 - \bar\alpha_t}\, \sigma \epsilon, \quad t \le T",
    strengths=Words(
        en="One pass draws a picture; the noise keeps the discriminator from being too sure of itself, and "
        "how much is needed is found during the training.",
        zh="一次计算就能画出一张图；噪声使判别器不会过于自信，而需要多少噪声由训练过程自动确定。",
    ),
    weaknesses=Words(
        en="The generator is still a single jump, with what a GAN may drop or repeat; half of the "
        "discriminator's effort goes into pictures nobody will see; no likelihood.",
        zh="生成器仍然只有一次跳跃，可能像其他 GAN 一样遗漏或重复；"
        "判别器有一半精力花在没有人会看到的图片上；没有似然。",
    ),
)

SPECS = (
    ModelSpec(
        name="diffusion_gan",
        title="Diffusion-GAN",
        family="hybrid",
        year=2022,
        paper="2206.02262",
        model=DiffusionGAN,
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
        switches=switches(_CONFIG.techniques, instance_noise=None),  # the diffusion is in its place
        conditional=True,
    ),
)
