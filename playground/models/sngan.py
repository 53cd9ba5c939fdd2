"""SNGAN: every layer of the discriminator has a spectral norm of 1 (Miyato et al. 2018, arXiv:1802.05957).

A layer W stretches its input at most by its largest singular value sigma(W). Dividing each W of the
discriminator by its own sigma keeps the whole of it Lipschitz, with no penalty and no second derivative (a
kernel is taken as a matrix, as in the paper; as a convolution it may stretch up to twice as much); sigma is
tracked by a power iteration each time D looks (algorithm 1). The game is the hinge loss (eq. 16, 17),

    loss_d = E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))],    loss_g = -E[D(G(z))].

Like the paper: spectral norm on every layer of the discriminator and on none of the generator, no other norm
in the discriminator; and, as on ImageNet (section 4.2), both networks are told the label in the way of
Mirza & Osindero (1411.1784), here with the networks of `cgan`. Differences: batches of 32, two updates of the
discriminator for each of the generator (the paper has one and five) at twice its rate, beta_1 = 0.5, a larger
learning rate that falls to zero; pictures are drawn by a moving average of the generator's weights.
"""

from dataclasses import dataclass

from playground.models._gan import TRUNCATION, ConvGAN
from playground.models._gan_networks import ConvConfig
from playground.models._gan_switches import Techniques, switches
from playground.spec import About, ModelSpec, Recipe, Words


@dataclass(frozen=True)
class SNGANConfig(ConvConfig):
    """Shape of the two networks, and how they are trained.

    Attributes:
        techniques: of the training.
    """

    discriminator_norm: str = "none"
    num_classes: int = 10
    techniques: Techniques = Techniques(loss="hinge", spectral_norm=True, d_steps=2, lr_g=0.5)


class SNGAN(ConvGAN):
    """A generator and a discriminator of spectral norm 1 in every layer, both told the label."""


_ABOUT = About(
    summary=Words(
        en="A GAN whose discriminator cannot run away: the weights of each layer are divided by "
        "the most they can stretch anything, so its output cannot change arbitrarily fast. "
        "It costs almost nothing, and the loss ignores pictures judged well enough already (hinge). "
        "Many GANs since then use it; here both networks are told which digit it is to be.",
        zh="这个 GAN 的判别器不会失控：每一层的权重都除以其最大放大倍数，因此输出的变化不会任意地快。"
        "它几乎不增加计算量，而且合页损失会忽略已经判断得足够好的图。此后的许多 GAN 都采用它；"
        "这里的两个网络都知道要画的是哪个数字。",
    ),
    formula=r"\bar{W} = \frac{W}{\sigma(W)}, \quad "
    r"\mathcal{L}_D = \mathbb{E}[\max(0, 1 - D(x))] + \mathbb{E}[\max(0, 1 + D(G(z)))]",
    strengths=Words(
        en="Stability for nearly no cost and without settings to tune; crisp pictures in a single pass.",
        zh="几乎不花代价、也无需调参就能稳定训练；一次计算即可得到清晰的图。",
    ),
    weaknesses=Words(
        en="Scores are no probabilities and its losses do not say how good it is; a bound of 1 on every "
        "layer makes the discriminator weaker than it might be.",
        zh="分数不是概率，损失值也不反映质量；每层都限制为 1 会让判别器的能力打折扣。",
    ),
)
_CONFIG = SNGANConfig()

SPECS = (
    ModelSpec(
        name="sngan",
        title="SNGAN",
        family="gan",
        year=2018,
        paper="1802.05957",
        model=SNGAN,
        config=_CONFIG,
        recipe=Recipe(
            num_steps=60000,
            batch_size=32,
            lr=7e-4,
            betas=_CONFIG.techniques.betas,
            decay="linear",
            ema=0.999,
        ),
        about=_ABOUT,
        controls=(TRUNCATION,),
        switches=switches(_CONFIG.techniques),
        conditional=True,
    ),
)
