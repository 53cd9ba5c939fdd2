"""pix2pix: translation learnt from pairs (Isola et al. 2017, arXiv:1611.07004).

A U-Net G draws B from A. It is to come close to the true B, and what an average of all possible B would leave
blurred is to look real to a discriminator that is shown A beside it (eq. 4):

    G* = arg min_G max_D  E[log D(a, b)] + E[log(1 - D(a, G(a, z)))] + lambda E|b - G(a, z)|,   lambda = 100.

Like the paper: the U-Net with a skip at every resolution, 4x4 convolutions of stride 2, normalisation by
each picture's own statistics but for the bottleneck, a 70x70 PatchGAN on (A, B), D's loss halved, and z in
the form of dropout at half of the three deepest decoder layers. The paper leaves dropout on when translating,
and finds that it varies little; here it is on when `translate` is given a generator to draw it from, and off
otherwise, so that the same picture has the same translation. Different: six levels for 64x64 instead of
eight, fewer channels, eight pairs an update and a larger learning rate for it, jitter by up to four pixels,
a moving average of the weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from playground.models._translation_networks import PatchDiscriminator, init_normal, instance_norm
from playground.nn import rand, update
from playground.spec import (
    About,
    Batch,
    GenerativeModel,
    JudgesPatches,
    ModelSpec,
    Recipe,
    Switch,
    Translates,
    Words,
)

_DROPPED = 3  # decoder layers with dropout, from the deepest one


@dataclass(frozen=True)
class Pix2PixConfig:
    """Shape of the two networks, and the weight of their losses.

    Attributes:
        channels: of A's pictures and of B's.
        widths: of the encoder, at half the resolution, a quarter, ... down to 1x1.
        d_width: of the discriminator after its first layer.
        d_layers: of the discriminator; 3 see 70x70 pixels.
        lambda_l1: weight of the distance to the true B.
        dropout: the share of numbers that is dropped.
        jitter: pictures are moved by up to so many pixels, A and B alike.
        not_mirrored: labels of pictures that would be others in a mirror.
    """

    channels: tuple[int, int] = (3, 3)
    widths: tuple[int, ...] = (24, 48, 96, 192, 192, 192)
    d_width: int = 32
    d_layers: int = 3
    lambda_l1: float = 100.0
    dropout: float = 0.5
    jitter: int = 4
    not_mirrored: tuple[int, ...] = ()


class UNetGenerator(nn.Module):
    """An encoder to 1x1, a decoder back, and at every resolution what the encoder saw beside it."""

    def __init__(self, config: Pix2PixConfig) -> None:
        """Weights from N(0, 0.02)."""
        super().__init__()
        self.dropout, widths = config.dropout, config.widths
        self.downs = nn.ModuleList(
            nn.Conv2d(narrow, wide, 4, 2, 1)
            for narrow, wide in zip((config.channels[0], *widths), widths, strict=False)
        )
        ins = [widths[-1], *(2 * width for width in widths[-2::-1])]
        outs = [*widths[-2::-1], config.channels[1]]
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(wide, narrow, 4, 2, 1) for wide, narrow in zip(ins, outs, strict=True)
        )
        init_normal(self)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """(B, C_A, H, W) -> (B, C_B, H, W) in [-1, 1]; `generator` draws what is dropped, None: nothing."""
        skips: list[Tensor] = []
        last = len(self.downs) - 1
        h = x
        for index, down in enumerate(self.downs):
            h = down(h if index == 0 else F.leaky_relu(h, 0.2))
            if 0 < index < last:  # at 1x1 every channel minus its own mean would be nothing
                h = instance_norm(h)
            skips.append(h)
        h = skips.pop()
        for index, up in enumerate(self.ups):
            h = up(F.relu(h))
            if index == last:
                break
            h = self._drop(instance_norm(h), generator) if index < _DROPPED else instance_norm(h)
            h = torch.cat([h, skips.pop()], dim=1)
        return h.tanh()

    def _drop(self, h: Tensor, generator: torch.Generator | None) -> Tensor:
        """Set each number to nothing with probability `dropout`, the others that much larger."""
        if generator is None or not self.dropout:
            return h
        kept = rand(h.shape, generator, h.device) >= self.dropout
        return h * kept / (1 - self.dropout)


class Pix2Pix(GenerativeModel, Translates, JudgesPatches):
    """A U-Net and a discriminator that sees what it was drawn from."""

    directions, has_noise = ("ab",), True

    def __init__(self, config: Pix2PixConfig) -> None:
        """Build both networks."""
        super().__init__()
        self.config, self.channels = config, (config.channels[0], config.channels[1])
        self.lambda_l1, self.lr_d = config.lambda_l1, 1.0
        self.generator = UNetGenerator(config)
        self.discriminator = PatchDiscriminator(sum(config.channels), config.d_width, config.d_layers)
        self.to(memory_format=torch.channels_last)

    def tune(self, values: Mapping[str, Any]) -> None:
        """Change the weight of the L1 distance, the dropout or the discriminator's learning rate."""
        self.lambda_l1 = values.get("lambda_l1", self.lambda_l1)
        self.lr_d = values.get("lr_d", self.lr_d)
        self.generator.dropout = values.get("dropout", self.generator.dropout)

    def make_optimizers(self, hp: Recipe) -> dict[str, Optimizer]:
        """One for each player."""
        return {
            "generator": Adam(self.generator.parameters(), lr=hp.lr, betas=hp.betas),
            "discriminator": Adam(self.discriminator.parameters(), lr=hp.lr * self.lr_d, betas=hp.betas),
        }

    def train_step(self, batch: Batch, optimizers: dict[str, Optimizer]) -> dict[str, float]:
        """One update of the discriminator, then one of the generator, on the same translations."""
        pairs = self._jittered(batch)
        real_a, real_b = (x.contiguous(memory_format=torch.channels_last) for x in self.split(pairs))
        fake_b = self.generator(real_a, batch.generator)
        both = torch.cat([torch.cat([real_a, real_b], 1), torch.cat([real_a, fake_b.detach()], 1)])
        score_real, score_fake = self.discriminator(both).chunk(2)
        loss_d = 0.5 * (F.softplus(-score_real).mean() + F.softplus(score_fake).mean())
        update(loss_d, optimizers["discriminator"])
        self.discriminator.requires_grad_(False)  # its weights need no gradient here, only its input does
        loss_g = F.softplus(-self.discriminator(torch.cat([real_a, fake_b], 1))).mean()
        l1 = F.l1_loss(fake_b, real_b)
        update(loss_g + self.lambda_l1 * l1, optimizers["generator"])
        self.discriminator.requires_grad_(True)
        return {
            "loss_d": loss_d.item(),
            "loss_g": loss_g.item(),
            "l1": l1.item(),
            "d_real": score_real.sigmoid().mean().item(),
            "d_fake": score_fake.sigmoid().mean().item(),
        }

    def _jittered(self, batch: Batch) -> Tensor:
        """The pairs moved a little and every second one mirrored (appendix 6.2), A and B alike."""
        x, reach = batch.x, self.config.jitter
        draws = rand((len(x), 3), batch.generator).tolist()
        wide = F.pad(x, (reach,) * 4, mode="replicate")
        height, width = x.shape[2:]
        moved = []
        for picture, label, (down, right, coin) in zip(wide, batch.labels.tolist(), draws, strict=True):
            top, left = int(down * (2 * reach + 1)), int(right * (2 * reach + 1))
            part = picture[:, top : top + height, left : left + width]
            moved.append(part.flip(-1) if coin < 0.5 and label not in self.config.not_mirrored else part)
        return torch.stack(moved)

    def translate(self, x: Tensor, direction: str, generator: torch.Generator | None = None) -> Tensor:
        """G(x), (B, C_A, H, W) -> (B, C_B, H, W); with a generator one of many, its dropout drawn from it."""
        self.check_direction(direction)
        return self.generator(x, generator)

    def judge_patches(self, x: Tensor, y: Tensor, direction: str) -> Tensor:
        """D(x, y), (B, 1, h, w): the probability that y is the true counterpart of x, patch by patch."""
        self.check_direction(direction)
        return self.discriminator(torch.cat([x, y], dim=1)).sigmoid()

    def receptive_field(self) -> int:
        """Pixels along an edge that one judgement is about."""
        return self.discriminator.receptive_field


_SWITCHES = (
    Switch(
        "lambda_l1",
        Words("Weight of the distance", "距离的权重"),
        100.0,
        0.0,
        500.0,
        5.0,
        info=Words(
            "How much it matters to come close to the true picture, pixel by pixel. At 0 only the "
            "discriminator asks for anything.",
            "逐像素接近真图有多重要。设为 0 时，只有判别器提要求。",
        ),
    ),
    Switch(
        "dropout",
        Words("Dropout", "随机丢弃"),
        0.5,
        0.0,
        0.9,
        0.05,
        info=Words(
            "The share of numbers that is set to nothing in the deepest layers: the noise of this model.",
            "最深几层中被置零的数值比例：这就是该模型的噪声。",
        ),
    ),
    Switch(
        "lr_d",
        Words("Discriminator's learning rate, times", "判别器学习率的倍数"),
        1.0,
        0.0,
        10.0,
        0.1,
        info=Words("A multiple of the learning rate.", "学习率的倍数。"),
    ),
)
_ABOUT = About(
    summary=Words(
        en="A network learns from pairs of pictures to draw the second one from the first. It is told how "
        "far it is from the truth, and a discriminator that sees both asks whether they belong together. "
        "Where the first picture leaves open what the second looks like, it makes something up.",
        zh="网络从成对的图片中学习，由第一张画出第二张。它被告知离真图有多远，"
        "而同时看到两张图的判别器会问它们是否相配。第一张图没有说明的地方，它就自己编。",
    ),
    formula=r"\min_G \max_D\; \mathbb{E}[\log D(a, b)] + \mathbb{E}[\log(1 - D(a, G(a)))] "
    r"+ \lambda\, \mathbb{E}\,\|b - G(a)\|_1",
    strengths=Words(
        en="Pairs say exactly what is wanted, so shapes may change too; one pass of a small network.",
        zh="配对说清了想要什么，所以形状也能改变；小网络一次计算即可。",
    ),
    weaknesses=Words(
        en="Needs the same thing in both forms; goes one way; its noise hardly changes the picture, so it "
        "draws one answer where there are many.",
        zh="需要同一事物的两种形式；只能走一个方向；噪声几乎不改变图片，答案有很多时它也只画一个。",
    ),
)
_FLAGS = 8  # among the categories of emoji: their stripes have a left and a right
_RECIPE = Recipe(4_000, 8, 5e-4, (0.5, 0.999), decay="linear, second half", ema=0.999)


def _spec(name: str, title: str, dataset: str, config: Pix2PixConfig) -> ModelSpec:
    return ModelSpec(
        name=name,
        title=title,
        family="gan",
        year=2017,
        paper="1611.07004",
        model=Pix2Pix,
        config=replace(config, not_mirrored=(_FLAGS,)),
        recipe=_RECIPE,
        about=_ABOUT,
        switches=_SWITCHES,
        dataset=dataset,
    )


SPECS = (
    _spec("pix2pix", "pix2pix (sketches)", "emoji_sketches", Pix2PixConfig(channels=(1, 3))),
    _spec("pix2pix_styles", "pix2pix (styles)", "emoji_styles", Pix2PixConfig()),
)
