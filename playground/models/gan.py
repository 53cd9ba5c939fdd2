"""GAN: the first one, of fully connected layers (Goodfellow et al. 2014, arXiv:1406.2661).

A generator G turns noise into a picture, a discriminator D says how likely a picture is real, and both play

    min over G, max over D of E[log D(x)] + E[log(1 - D(G(z)))],    z ~ N(0, I).

D climbs that value. G would descend it (the `saturating` loss), but early on D rejects every fake with
confidence and log(1 - D) is flat there, so the paper already trains G to climb log D(G(z)) instead (the
`non-saturating` loss, section 3). Both are a switch of the Train tab.

As it is taught: 100-256-512-1024-784 units with ReLU and tanh against 784-1024-512-256-1 units with leaky
ReLU of slope 0.2, Adam of 2e-4 with betas 0.5 and 0.999. Differences from the paper: these layers and Adam
instead of maxout, dropout and momentum. Nothing tames it: no norm, no smoothing, no average of the weights,
no decay of the learning rate; what it drops and repeats is part of the lesson.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from playground.models._gan import TRUNCATION, AdversarialModel
from playground.models._gan_networks import minibatch_layer
from playground.models._gan_switches import Techniques, switches
from playground.spec import About, ModelSpec, Recipe, Words


@dataclass(frozen=True)
class GANConfig:
    """Shape of the two networks, and how they are trained.

    Attributes:
        latent_dim: length of z.
        size: height and width of the picture.
        generator_widths: units between z and the picture.
        discriminator_widths: units between the picture and the output.
        techniques: of the training.
    """

    latent_dim: int = 100
    size: int = 28
    generator_widths: tuple[int, ...] = (256, 512, 1024)
    discriminator_widths: tuple[int, ...] = (1024, 512, 256)
    techniques: Techniques = Techniques()


class Generator(nn.Module):
    """z -> picture."""

    def __init__(self, config: GANConfig) -> None:
        """Fully connected layers with ReLU; tanh at the end."""
        super().__init__()
        self.size = config.size
        layers: list[nn.Module] = []
        width = config.latent_dim
        for out in config.generator_widths:
            layers += [nn.Linear(width, out), nn.ReLU()]
            width = out
        self.body = nn.Sequential(*layers, nn.Linear(width, config.size**2), nn.Tanh())

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, latent_dim) -> (B, 1, 28, 28) in [-1, 1]; labels are ignored."""
        return self.body(z).view(len(z), 1, self.size, self.size)


class Discriminator(nn.Module):
    """Picture -> logit of its being real."""

    def __init__(self, config: GANConfig) -> None:
        """Fully connected layers with leaky ReLU."""
        super().__init__()
        layers: list[nn.Module] = []
        width = config.size**2
        for out in config.discriminator_widths:
            layers += [nn.Linear(width, out), nn.LeakyReLU(0.2)]
            width = out
        self.body = nn.Sequential(*layers)
        self.out = nn.Linear(width, 1)
        self.minibatch: nn.Module | None = None

    def set_minibatch(self, kind: str) -> None:
        """Let it see the batch in a way of `minibatch_layer`."""
        self.minibatch = minibatch_layer(kind, self.out.in_features)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, 1, 28, 28) in [-1, 1] -> (B,) logits, positive for real; labels are ignored."""
        h = self.body(x.flatten(1))
        out = self.out(h).flatten()
        return out if self.minibatch is None else out + self.minibatch(h)


class GAN(AdversarialModel):
    """A generator and a discriminator of fully connected layers."""

    def __init__(self, config: GANConfig) -> None:
        """Build both networks, with PyTorch's own initial weights."""
        super().__init__(config.latent_dim, config.techniques)
        self.config = config
        self.generator = Generator(config)
        self.discriminator = Discriminator(config)
        self.prepare()


_ABOUT = About(
    summary=Words(
        en="The game that started it all: a generator turns 100 random numbers into a picture, a "
        "discriminator guesses whether a picture is real, and each learns from the other. "
        "Both are plain fully connected networks that know nothing of pixels being neighbours. "
        "Nothing tames the game here, so you see what later GANs had to solve.",
        zh="一切由此开始：生成器把 100 个随机数变成一张图，判别器猜测图片是真是假，双方互相学习。"
        "两个网络都只是普通的全连接网络，并不知道像素之间的相邻关系。"
        "这里没有任何稳定技巧，因此可以看到后来的 GAN 需要解决的问题。",
    ),
    formula=r"\min_G \max_D \; \mathbb{E}_{x}[\log D(x)] + "
    r"\mathbb{E}_{z \sim \mathcal{N}(0, I)}[\log(1 - D(G(z)))]",
    strengths=Words(
        en="The simplest of all GANs, in a few lines; trains in minutes; one pass draws a picture.",
        zh="所有 GAN 中最简单的一个，只需几行代码；几分钟即可训练；一次计算就能画出一张图。",
    ),
    weaknesses=Words(
        en="Specks around the strokes, since no layer knows what is near what; whole styles go missing; its "
        "losses say nothing about quality; no likelihood, no encoder.",
        zh="没有哪一层知道像素的位置关系，所以笔画周围会有斑点；会漏掉整类样式；损失值不反映质量；没有似然，也没有编码器。",
    ),
)
_CONFIG = GANConfig()

SPECS = (
    ModelSpec(
        name="gan",
        title="GAN",
        family="gan",
        year=2014,
        paper="1406.2661",
        model=GAN,
        config=_CONFIG,
        recipe=Recipe(num_steps=40000, batch_size=128, lr=2e-4, betas=_CONFIG.techniques.betas, decay="none"),
        about=_ABOUT,
        controls=(TRUNCATION,),
        switches=switches(_CONFIG.techniques),
    ),
)
