"""BigGAN: a class-conditional GAN that gathered what works, at scale (Brock et al. 2018, arXiv:1809.11096).

One embedding of the label is shared by all layers of the generator, and z is cut into chunks, each of which
joins the embedding: the first pair makes the coarsest layer, each of the others sets scale and shift of a
block's batch norms. The discriminator scores the picture and how well it fits its label y (projection,
Miyato & Koyama 2018, arXiv:1802.05637), with phi the network's features summed over the pixels:

    D(x, y) = v_y . phi(x) + psi(phi(x)),    v_y the label's embedding, psi linear.

Both networks are residual, see far by self-attention (1805.08318) and have spectral norm (1802.05957); they
play for the hinge loss, and G keeps its filters apart (eq. 3). Pictures are drawn from a truncated normal by
averaged weights. Scaled down: 28x28 pixels, so two blocks instead of four to six; 64 to 16 channels instead
of 1536 to 96; attention at 14x14 in G and at 7x7 in D; leaky ReLU in D; batches of 32, not 2048; the label
enters the first layer too (as in BigGAN-deep), there being so few others; fakes have the labels of the real
batch; learning rates are higher, the same for both, and fall.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized

from playground.models._biggan_networks import BigGANConfig, Discriminator, Generator
from playground.models._gan import AdversarialModel
from playground.models._gan_switches import switches
from playground.nn import randint, randn
from playground.spec import (
    About,
    Batch,
    Control,
    ModelSpec,
    Recipe,
    SampleStep,
    Words,
)

TRUNCATION = 2.7  # by default: on its curve nothing comes closer to the data


def truncated_normal(shape: tuple[int, ...], threshold: float, generator: torch.Generator) -> Tensor:
    """N(0, 1) noise whose numbers beyond +-threshold are drawn again until they are within (section 3.1)."""
    z = randn(shape, generator)
    while (outside := z.abs() > threshold).any():
        z[outside] = randn((int(outside.sum()),), generator)
    return z


class BigGAN(AdversarialModel):
    """A conditional generator and a projection discriminator."""

    def __init__(self, config: BigGANConfig) -> None:
        """Build both, with orthogonal weights (section 3) and spectral norm on all but G's embedding."""
        super().__init__(config.latent_dim, config.techniques)
        self.config = config
        self.generator = Generator(config)
        self.discriminator = Discriminator(config)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
                nn.init.orthogonal_(module.weight)
        for module in list(self.generator.modules()):
            if isinstance(module, nn.Conv2d | nn.Linear):
                spectral_norm(module, eps=1e-6)
        self.prepare()

    def regulariser(self) -> Tensor:
        """Orthogonal regularisation."""
        return self.config.orthogonal * self.generator.orthogonality()

    @torch.no_grad()
    def recalibrate(self, batches: Iterator[Batch]) -> None:
        """The singular vectors and the batch-norm statistics anew, for the weights that were averaged."""
        for module in self.generator.modules():
            if is_parametrized(module, "weight"):
                u, _, v = torch.linalg.svd(
                    module.parametrizations.weight.original.flatten(1), full_matrices=False
                )
                module.parametrizations.weight[0]._u.copy_(u[:, 0])
                module.parametrizations.weight[0]._v.copy_(v[0])
        super().recalibrate(batches)

    @torch.no_grad()
    def sample(
        self, num: int, *, labels: Tensor | None = None, generator: torch.Generator, **controls: Any
    ) -> Iterator[SampleStep]:
        """Draw z from the normal truncated at ``truncation``, decode it: one evaluation of the network."""
        device = self.generator.embed.weight.device
        z = truncated_normal((num, *self.latent_shape), controls.get("truncation", TRUNCATION), generator)
        if labels is None:
            labels = randint(self.config.num_classes, num, generator)
        yield SampleStep(1, 1, self.decode(z.to(device), labels.to(device)), 1)


_ABOUT = About(
    summary=Words(
        en="A GAN that is told which digit to draw: the label steers every layer of the generator, and the "
        "discriminator judges the picture and whether it fits the label. "
        "Both networks are residual, look at far places by attention, and are kept smooth by spectral "
        "normalisation. "
        "After training, truncation trades variety for quality: extreme latent numbers are drawn again.",
        zh="这个 GAN 会被告知要画哪个数字：标签影响生成器的每一层，判别器既判断图片，也判断它是否与标签相符。"
        "两个网络都是残差网络，用注意力看到远处，并用谱归一化保持平滑。"
        "训练之后可以用截断在多样性与质量之间取舍：过于极端的隐变量会重新抽取。",
    ),
    formula=r"D(x, y) = v_y^\top \phi(x) + \psi(\phi(x)), \quad R(W) = \beta \lVert W^\top W \odot "
    r"(\mathbf{1} - I) \rVert_F^2",
    strengths=Words(
        en="Draws the digit that is asked for; steady training, thanks to spectral norm and the hinge loss; "
        "one pass a picture; quality and variety can be traded after training.",
        zh="能画指定的数字；谱归一化和合页损失使训练稳定；画一张图只需一次计算；训练后可在质量与多样性之间取舍。",
    ),
    weaknesses=Words(
        en="Its strength lay in its size: the paper's has several hundred times as many weights; many parts "
        "to set right; it has no likelihood and cannot encode a given picture.",
        zh="它的优势来自规模：论文中的模型参数是这里的几百倍；需要调好的部件很多；没有似然，也不能编码给定的图。",
    ),
)

_INFO = Words(
    en="Numbers of the latent beyond this are drawn again: less makes digits more typical and more alike.",
    zh="隐变量中超出该值的数会重新抽取：值越小，数字越典型、变化越少。",
)
_CONFIG = BigGANConfig()

SPECS = (
    ModelSpec(
        name="biggan",
        title="BigGAN",
        family="gan",
        year=2018,
        paper="1809.11096",
        model=BigGAN,
        config=_CONFIG,
        recipe=Recipe(
            num_steps=24000, batch_size=32, lr=1e-3, betas=_CONFIG.techniques.betas, decay="linear", ema=0.999
        ),
        about=_ABOUT,
        controls=(Control("truncation", Words("Truncation", "截断"), TRUNCATION, 0.1, 4.0, 0.1, info=_INFO),),
        switches=switches(_CONFIG.techniques, spectral_norm=True),
        conditional=True,
    ),
)
