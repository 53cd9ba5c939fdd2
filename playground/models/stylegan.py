"""StyleGAN: a generator steered by a style at every layer (Karras et al. 2018, arXiv:1812.04948).

The latent never enters the generator as a picture would: a mapping network turns z into w, and w sets the
mean and the deviation of every layer's channels, from the coarse layers to the fine ones. The picture itself
grows out of a learned constant, with fresh noise at every layer for what is left to chance. With mu(x) and
sigma(x) of each channel of each picture, adaptive instance normalisation is (eq. 1)

    AdaIN(x, y) = y_scale (x - mu(x)) / sigma(x) + y_shift,    y = A(w),    w = f(z / |z|, label).

Like the paper: style mixing, truncation towards the mean w, the non-saturating loss with R1 (Mescheder et al.
2018, arXiv:1801.04406), and from progressive growing (Karras et al. 2017, arXiv:1710.10196) the equalised
learning rate, the minibatch's standard deviation and sizes that are faded in, here 7, 14 and 28 pixels, timed
by the progress of the training. Where the paper has no labels, they enter as in StyleGAN2-ADA (Karras et al.
2020, arXiv:2006.06676): embedded beside z into the mapping, and as a projection (1802.05637) at D's output; w
is truncated towards the mean of its label. Much smaller: 64 to 8 channels instead of 512 to 16, w of 64
numbers instead of 512, four layers of mapping instead of eight; R1 is taken of an eighth of every batch; the
learned constant starts as noise; the learning rate falls.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from playground.models._gan import AdversarialModel, slope
from playground.models._gan_switches import switches
from playground.models._resample import double, halve
from playground.models._stylegan_networks import (
    Latents,
    StyleDiscriminator,
    StyleGANConfig,
    StyleGenerator,
    fixed_noise,
    growth_at,
)
from playground.nn import rand, randint, randn
from playground.spec import (
    About,
    Batch,
    Control,
    HasStyles,
    ModelSpec,
    Recipe,
    SampleStep,
    Words,
)

TRUNCATION = 0.95  # by default: closer to the data than 1 and 0.9; 98.9% of labels are right


class StyleGAN(AdversarialModel, HasStyles):
    """A mapping and a synthesis network against a discriminator that grows with them."""

    def __init__(self, config: StyleGANConfig) -> None:
        """Build both networks, grown up."""
        super().__init__(config.latent_dim, config.techniques)
        self.config, self.num_classes = config, config.num_classes
        self.num_styles = 2 * len(config.generator_widths)
        self.generator = StyleGenerator(config)
        self.discriminator = StyleDiscriminator(config)
        self.prepare()

    def train_step(self, batch: Batch, optimizers: dict[str, Optimizer]) -> dict[str, float]:
        """Grow as far as it is time for, then one update of both."""
        growth = growth_at(batch.progress, self.config.growth)
        self.generator.growth.fill_(growth)
        self.discriminator.growth.fill_(growth)
        return super().train_step(batch, optimizers)

    def draw(self, num: int, generator: torch.Generator, device: torch.device) -> Any:
        """`Latents` to train on: most pictures take their styles from two latents (section 3.1).

        The crossover is the first layer of the second latent, uniform on 1 to the last of the layers in use.
        """
        last = 2 * self.generator.top + 1
        z1, z2 = randn((2, num, 1, *self.latent_shape), generator, device)
        crossover = 1 + randint(last, num, generator, device)
        alone = rand((num,), generator, device) >= self.config.mixing
        crossover = torch.where(alone, self.num_styles, crossover)
        layers = torch.arange(self.num_styles, device=device)
        z = torch.where((layers < crossover[:, None])[:, :, None], z1, z2)
        return Latents(z, self.generator.draw_noise(num, generator, device))

    def real(self, batch: Batch) -> Tensor:
        """At the size of the moment; while that is faded in, so are the real pictures' details."""
        x = batch.x
        for _ in range(len(self.config.generator_widths) - 1 - self.generator.top):
            x = halve(x)
        if self.generator.alpha < 1:
            x = torch.lerp(double(halve(x)), x, self.generator.alpha)
        return x.detach()

    def _penalty(self, batch: Batch, real: Tensor, fake: Tensor, score_real: Tensor) -> Tensor | float:
        """R1 (1801.04406, eq. 9) of some of the pictures: of all it would cost as much as the rest."""
        if self.techniques.penalty != "R1":
            return super()._penalty(batch, real, fake, score_real)
        some = real[: max(4, len(real) // 8)].detach().requires_grad_(True)
        norm = slope(self.discriminator(some, batch.labels[: len(some)]), some)
        return 0.5 * self.techniques.penalty_weight * norm.square().mean()

    @torch.no_grad()
    def recalibrate(self, batches: Iterator[Batch]) -> None:
        """Each label's mean w, of these weights."""
        means = []
        for batch in batches:
            z = randn((1024, *self.latent_shape), batch.generator, batch.x.device)
            labels = torch.arange(self.num_classes, device=z.device)
            means.append(torch.stack([self.generator.mapping(z, y.expand(len(z))).mean(0) for y in labels]))
        self.generator.w_mean.copy_(torch.stack(means).mean(0))

    def styles(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, latent_dim) -> (B, num_styles, latent_dim), the same w for every layer."""
        return self.generator.mapping(z, labels)[:, None].expand(-1, self.num_styles, -1)

    def synthesise(self, w: Tensor) -> Tensor:
        """(B, num_styles, latent_dim) -> (B, C, 28, 28) in [-1, 1], always with the same noise."""
        return self.paint(w, fixed_noise(self.num_styles, w.device))

    def paint(self, w: Tensor, noise: tuple[Tensor, ...]) -> Tensor:
        """Styles and noise -> (B, C, 28, 28) in [-1, 1]; until the model is grown its pixels are large."""
        x = self.generator.synthesise(w, noise)
        while x.shape[2] < 28:
            x = double(x)
        return x.clamp(-1, 1)

    def truncate(self, w: Tensor, psi: float, labels: Tensor | None = None) -> Tensor:
        """To mean + psi (w - mean), with each label's own mean: rare styles are pulled to it (appendix B)."""
        means = self.generator.w_mean
        mean = means.mean(dim=0, keepdim=True) if labels is None else means[labels]
        return torch.lerp(mean[:, None], w, psi)

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, latent_dim) standard normal, (B,) -> (B, C, 28, 28) in [-1, 1], always with the same noise."""
        return self.synthesise(self.styles(z, labels))

    @torch.no_grad()
    def sample(
        self, num: int, *, labels: Tensor | None = None, generator: torch.Generator, **controls: Any
    ) -> Iterator[SampleStep]:
        """Draw z and, if none were asked for, labels; truncate w; paint with ``noise`` times fresh noise."""
        device = self.generator.w_mean.device
        z = randn((num, *self.latent_shape), generator, device)
        labels = (randint(self.num_classes, num, generator) if labels is None else labels).to(device)
        w = self.truncate(self.styles(z, labels), controls.get("truncation", TRUNCATION), labels)
        noise = self.generator.draw_noise(num, generator, device)
        noise = tuple(controls.get("noise", 1.0) * n for n in noise)
        yield SampleStep(1, 1, self.paint(w, noise), 1)


_ABOUT = About(
    summary=Words(
        en="A small network first turns the label and 64 random numbers into a style, and the style then "
        "sets the contrast of every layer of a second network that grows a picture out of a learned "
        "constant. "
        "Coarse layers take the digit and its pose from it, fine layers take the stroke, and each may "
        "take its style from another latent. "
        "It is trained on 7 by 7 pixels first, then on 14 and on 28, each size faded in.",
        zh="一个小网络先把标签和 64 个随机数变成“风格”，风格再设定第二个网络每一层的对比度，"
        "而第二个网络从一个学到的常量出发长出一张图。"
        "粗糙的层决定是哪个数字、什么姿态，精细的层决定笔画，每一层都可以采用不同隐变量的风格。"
        "训练先用 7×7 像素，再用 14×14 和 28×28，每种尺寸都逐渐淡入。",
    ),
    formula=r"\mathrm{AdaIN}(x_i, y) = y_{s,i} \frac{x_i - \mu(x_i)}{\sigma(x_i)} + y_{b,i}, \quad "
    r"y = A(w), \quad w = f(z, \text{label})",
    strengths=Words(
        en="Its latent is untangled into styles by scale: the coarse style of one digit goes with the "
        "fine style of another; truncation trades variety for quality after training; one pass a picture.",
        zh="隐变量被分解为不同尺度的风格：可以把一个数字的粗糙风格与另一个数字的精细风格组合；"
        "训练后可用截断在多样性与质量之间取舍；画一张图只需一次计算。",
    ),
    weaknesses=Words(
        en="Many parts, and all of them needed tuning; normalising every layer can leave blobs in a picture; "
        "it has no likelihood and cannot encode a given picture.",
        zh="部件多，而且每个都要调；逐层归一化可能在图中留下斑点；没有似然，也不能编码给定的图。",
    ),
)

_PSI = Words(
    en="Pulls every style towards the mean: below 1 the digits are more typical, at 0 all are the same.",
    zh="把每个风格拉向平均风格：小于 1 时数字更典型，等于 0 时所有图都相同。",
)
_NOISE = Words(
    en="Strength of the fresh noise at every layer: what it changes was left to chance.",
    zh="每一层新噪声的强度：它所改变的，就是模型交给偶然的部分。",
)
_CONFIG = StyleGANConfig()

SPECS = (
    ModelSpec(
        name="stylegan",
        title="StyleGAN",
        family="gan",
        year=2018,
        paper="1812.04948",
        model=StyleGAN,
        config=_CONFIG,
        recipe=Recipe(
            num_steps=24000, batch_size=32, lr=2e-3, betas=_CONFIG.techniques.betas, decay="linear", ema=0.999
        ),
        about=_ABOUT,
        controls=(
            Control(
                "truncation", Words("Truncation (psi)", "截断（ψ）"), TRUNCATION, 0.0, 1.5, 0.05, info=_PSI
            ),
            Control("noise", Words("Noise", "噪声"), 1.0, 0.0, 2.0, 0.1, info=_NOISE),
        ),
        switches=switches(_CONFIG.techniques, spectral_norm=False),
        conditional=True,
    ),
)
