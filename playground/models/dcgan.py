"""DCGAN: a generator and a discriminator, each the other's teacher (Radford et al. 2015, arXiv:1511.06434).

A generator turns noise into a picture, a discriminator says how likely a picture is real, and each is
trained on the other's mistakes. Nobody ever says what a digit is: all the generator learns from is the
gradient of the discriminator. The losses are those of Goodfellow et al. 2014 (arXiv:1406.2661), the
generator's being the non-saturating one,

    loss_d = -E[log D(x)] - E[log(1 - D(G(z)))],    loss_g = -E[log D(G(z))],    z ~ N(0, I).

Like the paper: strides and transposed convolutions instead of pooling, batch norm, ReLU and tanh in the
generator, leaky ReLU of slope 0.2 in the discriminator, weights from N(0, 0.02), Adam with beta_1 = 0.5.
The networks stand in `_gan_networks`, the game in `_gan`. Differences: 28x28 pixels, so sizes 4, 7, 14, 28;
z is normal, not uniform; the real label is 0.9 (one-sided smoothing, Salimans et al. 2016, arXiv:1606.03498);
the learning rate falls to zero; pictures are drawn by a moving average of the generator's weights, and then
corrected by the discriminator, unless one asks for the generator alone (`_langevin`: FID falls to a quarter).
"""

from dataclasses import dataclass

from playground.models._gan import TRUNCATION
from playground.models._gan_networks import ConvConfig
from playground.models._gan_switches import Techniques, switches
from playground.models._langevin import LangevinGAN, langevin_control
from playground.spec import About, ModelSpec, Recipe, Words


@dataclass(frozen=True)
class DCGANConfig(ConvConfig):
    """Shape of the two networks, and how they are trained.

    Attributes:
        techniques: of the training.
    """

    generator_widths: tuple[int, int, int] = (256, 128, 64)
    discriminator_widths: tuple[int, int, int] = (48, 96, 192)
    techniques: Techniques = Techniques(real_label=0.9)


class DCGAN(LangevinGAN):
    """A convolutional generator and a convolutional discriminator."""

    langevin = 30
    step_size = 0.005


_ABOUT = About(
    summary=Words(
        en="Two networks play against each other: a generator turns 64 random numbers into a picture, and a "
        "discriminator learns to tell its pictures from real ones. "
        "The generator never sees a real digit and improves only by the discriminator's objections. "
        "One pass through the generator draws a picture, and the discriminator's gradient then corrects it "
        "in a few steps.",
        zh="两个网络相互对抗：生成器把 64 个随机数变成一张图，判别器学习区分生成的图与真实的图。"
        "生成器从未见过真实的数字，只靠判别器的反对意见来改进。"
        "生成器只需计算一次就能画出一张图，判别器的梯度再分几步加以修正。",
    ),
    formula=r"\min_G \max_D \; \mathbb{E}_{x}[\log D(x)] + "
    r"\mathbb{E}_{z \sim \mathcal{N}(0, I)}[\log(1 - D(G(z)))]",
    strengths=Words(
        en="Crisp strokes, because a blurred digit is easily found out; the generator alone needs a "
        "single pass; neighbouring latents give neighbouring pictures.",
        zh="笔画清晰，因为模糊的数字很容易被识破；只用生成器时画一张图只需一次计算；相邻的隐变量给出相邻的图。",
    ),
    weaknesses=Words(
        en="Its losses do not say how good it is; training is a balance that can tip; styles of digits can "
        "go missing unnoticed (mode collapse); it has no likelihood and cannot encode a given picture.",
        zh="损失值并不反映质量；训练是一种可能失衡的博弈；"
        "可能悄悄漏掉某些样式（模式崩塌）；没有似然，也不能编码给定的图。",
    ),
)

_CONFIG = DCGANConfig()

SPECS = (
    ModelSpec(
        name="dcgan",
        title="DCGAN",
        family="gan",
        year=2015,
        paper="1511.06434",
        model=DCGAN,
        config=_CONFIG,
        recipe=Recipe(
            num_steps=42000,
            batch_size=64,
            lr=4e-4,
            betas=_CONFIG.techniques.betas,
            decay="linear",
            ema=0.999,
        ),
        about=_ABOUT,
        controls=(TRUNCATION, langevin_control(DCGAN.langevin)),
        preview={"langevin": 0},
        switches=switches(_CONFIG.techniques),
    ),
)
