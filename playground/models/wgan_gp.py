"""WGAN-GP: a Wasserstein critic kept smooth by a penalty (Gulrajani et al. 2017, arXiv:1704.00028).

WGAN's critic f must not change faster than the picture does. Instead of clipping weights, its gradient is
asked to have norm 1 on the lines between real and generated pictures (eq. 3),

    loss_d = E[f(G(z))] - E[f(x)] + 10 E[(|grad f(x_between)| - 1)^2],    loss_g = -E[f(G(z))].

The penalty is one of each picture, so the critic may not mix the pictures of a batch: it has no batch norm
(section 4), and no norm at all.

Like the paper: lambda = 10, Adam with beta_1 = 0, beta_2 = 0.9; and both networks are told the label, as in
its best model of CIFAR-10 (table 3), though as inputs in the way of `cgan`, whose networks these are, and
not by an auxiliary classifier. Differences: two critic updates for each of G instead of five, but of twice
G's learning rate (two time scales, 1706.08500, which reaches more in the same time); larger learning rates
that fall to zero; pictures are drawn by a moving average of the generator's weights and, unless one asks for
other ones, of latents 0.95 times as wide as in training (truncation: 1809.11096, section 3.1).
"""

from dataclasses import dataclass, replace

from playground.models._gan import TRUNCATION, ConvGAN
from playground.models._gan_networks import ConvConfig
from playground.models._gan_switches import Techniques, switches
from playground.spec import About, ModelSpec, Recipe, Words


@dataclass(frozen=True)
class WGANGPConfig(ConvConfig):
    """Shape of the two networks, and how they are trained.

    Attributes:
        techniques: of the training.
    """

    discriminator_norm: str = "none"
    num_classes: int = 10
    techniques: Techniques = Techniques(
        loss="wasserstein",
        penalty="gradient penalty",
        penalty_weight=10.0,
        d_steps=2,
        lr_g=0.5,
        beta1=0.0,
        beta2=0.9,
    )


class WGANGP(ConvGAN):
    """A generator and a critic whose gradient is held at norm 1, both told the label."""

    truncation = 0.95


_ABOUT = About(
    summary=Words(
        en="A Wasserstein GAN whose critic is kept smooth by a penalty instead of clipped weights: between a "
        "real and a generated picture its score may change only as fast as the picture does. "
        "The critic can then use all of its capacity, and it is told, as the generator is, which digit it is "
        "to be. "
        "The same settings train many architectures, which made it a standard for years.",
        zh="这是一个 Wasserstein GAN，但不裁剪权重，而是用惩罚项来约束评价网络："
        "在真实图与生成图之间，分数的变化不得快于图本身的变化。"
        "这样评价网络的能力可以充分发挥；它和生成器都知道要画的是哪个数字。同样的设置能训练许多不同的结构，多年来一直是标准做法。",
    ),
    formula=r"\mathbb{E}_{z}[f(G(z))] - \mathbb{E}_{x}[f(x)] + "
    r"\lambda \, \mathbb{E}_{\hat{x}}\left[(\|\nabla f(\hat{x})\|_2 - 1)^2\right]",
    strengths=Words(
        en="Stable over many architectures and settings; a loss that tracks quality; covers the modes well.",
        zh="对各种结构和设置都很稳定；损失能反映质量；对各种样式的覆盖较好。",
    ),
    weaknesses=Words(
        en="The penalty needs a second derivative, and the critic is updated several times for each update "
        "of the generator (five in the paper, two here): it is slow to train.",
        zh="惩罚项需要二阶导数，而且生成器每更新一次，评价网络要更新多次（论文中五次，这里两次），因此训练较慢。",
    ),
)
_CONFIG = WGANGPConfig()

SPECS = (
    ModelSpec(
        name="wgan_gp",
        title="WGAN-GP",
        family="gan",
        year=2017,
        paper="1704.00028",
        model=WGANGP,
        config=_CONFIG,
        recipe=Recipe(
            num_steps=50000,
            batch_size=64,
            lr=1e-3,
            betas=_CONFIG.techniques.betas,
            decay="linear",
            ema=0.998,
        ),
        about=_ABOUT,
        controls=(replace(TRUNCATION, default=WGANGP.truncation),),
        switches=switches(_CONFIG.techniques),
        conditional=True,
    ),
)
