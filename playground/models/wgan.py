"""WGAN: a critic that measures how far apart two distributions are (Arjovsky et al. 2017, arXiv:1701.07875).

The discriminator's verdict "real or fake" is replaced by a score without bounds, the critic f. If f is
1-Lipschitz, the best gap between its mean scores is the earth mover's (Wasserstein-1) distance between real
and generated pictures,

    W(p_r, p_g) = max over |f|_L <= 1 of E[f(x)] - E[f(G(z))],

which falls smoothly as the generator improves, even where the two do not overlap. f is kept Lipschitz by
clipping every weight to [-c, c] after each update, and is trained five times for each update of G, so that
the estimate (`wasserstein` among the curves, in units of the unknown Lipschitz constant) means something.

Like the paper: clipping, RMSprop, n_critic = 5 (algorithm 1), DCGAN's networks with their batch norm.
Differences: both networks are told the label, as inputs in the way of `cgan`, whose networks these are, so
what is estimated is the distance of pictures and labels together; a larger learning rate that falls to zero,
a larger clipping bound; pictures are drawn by a moving average of the generator's weights and, unless one
asks for other ones, of latents 0.85 times as wide as in training (truncation: 1809.11096, section 3.1). The
critic can correct them (`_langevin`): ten steps lower the FID by 13%, at 41 evaluations of a network for 1.
"""

from dataclasses import dataclass, replace

from playground.models._gan import TRUNCATION
from playground.models._gan_networks import ConvConfig
from playground.models._gan_switches import Techniques, switches
from playground.models._langevin import LangevinGAN, langevin_control
from playground.spec import About, ModelSpec, Recipe, Words


@dataclass(frozen=True)
class WGANConfig(ConvConfig):
    """Shape of the two networks, and how they are trained.

    Attributes:
        techniques: of the training.
    """

    num_classes: int = 10
    techniques: Techniques = Techniques(
        loss="wasserstein", penalty="weight clipping", clip=0.03, d_steps=5, rmsprop=True
    )


class WGAN(LangevinGAN):
    """A generator and a critic with clipped weights, both told the label."""

    truncation = 0.85
    step_size = 0.07
    weight = 4.0


_ABOUT = About(
    summary=Words(
        en="The discriminator becomes a critic: instead of a verdict it gives every picture a score, and the "
        "gap between the scores of real and generated pictures estimates a distance between the two. "
        "The generator makes that distance smaller; both are told which digit it is to be. "
        "It is the first GAN whose loss means something: it falls as the pictures get better.",
        zh="判别器变成了评价网络：它不再判断真假，而是给每张图打分，真实图与生成图的平均分之差就是两者之间距离的估计。"
        "生成器的任务是缩小这个距离；两者都知道要画的是哪个数字。"
        "这是第一个损失值有意义的 GAN：图越好，损失越低。",
    ),
    formula=r"\min_G \max_{\|f\|_L \le 1} \; \mathbb{E}_{x}[f(x)] - "
    r"\mathbb{E}_{z \sim \mathcal{N}(0, I)}[f(G(z))]",
    strengths=Words(
        en="A loss that tracks quality; gradients that do not vanish when the critic is good; little mode "
        "collapse.",
        zh="损失能反映质量；评价网络再好，梯度也不会消失；很少出现模式崩塌。",
    ),
    weaknesses=Words(
        en="Clipping weights is a crude way to keep the critic smooth: it learns slowly and only simple "
        "functions; five critic updates for each generator update cost time.",
        zh="裁剪权重是一种粗糙的约束：评价网络学得慢，只能学到简单的函数；生成器每更新一次，评价网络要更新五次，耗时较多。",
    ),
)
_CONFIG = WGANConfig()

SPECS = (
    ModelSpec(
        name="wgan",
        title="WGAN",
        family="gan",
        year=2017,
        paper="1701.07875",
        model=WGAN,
        config=_CONFIG,
        recipe=Recipe(
            num_steps=60000,
            batch_size=64,
            lr=5e-4,
            betas=_CONFIG.techniques.betas,
            decay="linear",
            ema=0.998,
        ),
        about=_ABOUT,
        controls=(replace(TRUNCATION, default=WGAN.truncation), langevin_control(WGAN.langevin)),
        switches=switches(_CONFIG.techniques),
        conditional=True,
    ),
)
