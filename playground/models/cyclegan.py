"""CycleGAN: translation without pairs (Zhu et al. 2017, arXiv:1703.10593).

Two generators, G_ab and G_ba, each against a discriminator of the domain it draws in. A game alone would
allow any B for an A; what ties them together is that there and back again is where one started (eq. 2, 3):

    L = L_lsgan(G_ab, D_b) + L_lsgan(G_ba, D_a) + lambda_cyc (|G_ba(G_ab(A)) - A| + |G_ab(G_ba(B)) - B|),

and that a picture that is already in the domain stays as it is, lambda_idt (|G_ab(B) - B| + |G_ba(A) - A|)
(section 5.2). Least squares instead of a log (1611.04076), a pool of 50 old fakes for the discriminators,
Adam with beta_1 = 0.5, a learning rate that falls linearly to zero over the second half: as in the paper.

Like the paper: both networks layer by layer, so that the published generators load (`load_official`).
Different: they are narrower and have six blocks (the paper has six at 128x128), two pictures an update and
twice the learning rate for it, and translations are made by a moving average of the weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from playground.models._image_pool import ImagePool
from playground.models._translation_networks import PatchDiscriminator, ResnetConfig, ResnetGenerator
from playground.nn import update
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


@dataclass(frozen=True)
class Game:
    """What is played for.

    Attributes:
        lambda_cycle: weight of there and back again.
        lambda_identity: weight of staying as one is; only where both domains have as many channels.
        pool_size: old fakes that the discriminators are shown too.
        lr_d: the discriminators' learning rate, as a multiple of the recipe's.
    """

    lambda_cycle: float = 10.0
    lambda_identity: float = 5.0
    pool_size: int = 50
    lr_d: float = 1.0


@dataclass(frozen=True)
class CycleGANConfig:
    """Shape of the four networks.

    Attributes:
        channels: of A's pictures and of B's.
        width: of the generators at full resolution.
        num_blocks: residual blocks of a generator.
        d_width: of the discriminators after their first layer.
        d_layers: of a discriminator; 3 see 70x70 pixels, 2 see 34x34.
        game: weights of the losses.
    """

    channels: tuple[int, int] = (3, 3)
    width: int = 16
    num_blocks: int = 6
    d_width: int = 32
    d_layers: int = 3
    game: Game = Game()


class CycleGAN(GenerativeModel, Translates, JudgesPatches):
    """Two generators and two discriminators."""

    def __init__(self, config: CycleGANConfig) -> None:
        """Build the four networks."""
        super().__init__()
        self.config, self.game, self.channels = config, config.game, (config.channels[0], config.channels[1])
        a, b = config.channels
        shape = ResnetConfig(a, b, config.width, config.num_blocks)
        self.generator_ab = ResnetGenerator(shape)
        self.generator_ba = ResnetGenerator(replace(shape, in_channels=b, out_channels=a))
        self.discriminator_a = PatchDiscriminator(a, config.d_width, config.d_layers)
        self.discriminator_b = PatchDiscriminator(b, config.d_width, config.d_layers)
        self.pools = {"a": ImagePool(self.game.pool_size), "b": ImagePool(self.game.pool_size)}
        self.to(memory_format=torch.channels_last)

    def tune(self, values: Mapping[str, Any]) -> None:
        """Change the weights of the losses, the size of the pools or the discriminators' learning rate."""
        self.game = replace(self.game, **values)
        for pool in self.pools.values():
            pool.size = self.game.pool_size

    def memory(self) -> dict[str, Tensor]:
        """The two pools."""
        states = {key: pool.state() for key, pool in self.pools.items()}
        return {key: state for key, state in states.items() if state is not None}

    def remember(self, memory: Mapping[str, Tensor]) -> None:
        """Fill the two pools."""
        for key, pool in self.pools.items():
            pool.restore(memory.get(key))

    def make_optimizers(self, hp: Recipe) -> dict[str, Optimizer]:
        """One for both generators, one for both discriminators."""
        players = {
            "generators": ((self.generator_ab, self.generator_ba), hp.lr),
            "discriminators": ((self.discriminator_a, self.discriminator_b), hp.lr * self.game.lr_d),
        }
        return {
            name: Adam([p for network in networks for p in network.parameters()], lr=lr, betas=hp.betas)
            for name, (networks, lr) in players.items()
        }

    def train_step(self, batch: Batch, optimizers: dict[str, Optimizer]) -> dict[str, float]:
        """One update of both generators, then one of both discriminators on the same or older fakes."""
        real_a, real_b = (x.contiguous(memory_format=torch.channels_last) for x in self.split(batch.x))
        fake_a, fake_b, metrics = self._update_generators(real_a, real_b, optimizers["generators"])
        loss_d_a = self._loss_d("a", real_a, fake_a, batch.generator)
        loss_d_b = self._loss_d("b", real_b, fake_b, batch.generator)
        update(loss_d_a + loss_d_b, optimizers["discriminators"])
        return {"loss_d_a": loss_d_a.item(), "loss_d_b": loss_d_b.item()} | metrics

    def _update_generators(
        self, real_a: Tensor, real_b: Tensor, optimizer: Optimizer
    ) -> tuple[Tensor, Tensor, dict[str, float]]:
        game = self.game
        discriminators = (self.discriminator_a, self.discriminator_b)
        for network in discriminators:
            network.requires_grad_(False)  # their weights need no gradient here, only their input does
        fake_b, idt_b = self._draw(self.generator_ab, real_a, real_b)
        fake_a, idt_a = self._draw(self.generator_ba, real_b, real_a)
        losses = {
            "loss_g_ab": (self.discriminator_b(fake_b) - 1).square().mean(),
            "loss_g_ba": (self.discriminator_a(fake_a) - 1).square().mean(),
            "cycle_a": F.l1_loss(self.generator_ba(fake_b), real_a),
            "cycle_b": F.l1_loss(self.generator_ab(fake_a), real_b),
        }
        loss = losses["loss_g_ab"] + losses["loss_g_ba"]
        loss = loss + game.lambda_cycle * (losses["cycle_a"] + losses["cycle_b"])
        if idt_a is not None and idt_b is not None:
            losses |= {"idt_a": F.l1_loss(idt_a, real_a), "idt_b": F.l1_loss(idt_b, real_b)}
            loss = loss + game.lambda_identity * (losses["idt_a"] + losses["idt_b"])
        update(loss, optimizer)
        for network in discriminators:
            network.requires_grad_(True)
        return fake_a.detach(), fake_b.detach(), {key: value.item() for key, value in losses.items()}

    def _draw(self, generator: nn.Module, real: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """The translation of `real` and of what is in the target domain already, in one go if both fit."""
        if real.shape != target.shape or not self.game.lambda_identity:
            return generator(real), None
        fake, idt = generator(torch.cat([real, target])).chunk(2)
        return fake, idt

    def _loss_d(self, domain: str, real: Tensor, fake: Tensor, generator: torch.Generator) -> Tensor:
        """Half of (D(real) - 1)^2 + D(fake)^2; halved, so that it learns slower than the generators."""
        discriminator = self.discriminator_a if domain == "a" else self.discriminator_b
        score_real, score_fake = discriminator(
            torch.cat([real, self.pools[domain].swap(fake, generator)])
        ).chunk(2)
        return 0.5 * ((score_real - 1).square().mean() + score_fake.square().mean())

    def translate(self, x: Tensor, direction: str, generator: torch.Generator | None = None) -> Tensor:
        """G_ab(x) or G_ba(x); (B, C, H, W) -> (B, C', H, W). Nothing in it is random."""
        self.check_direction(direction)
        return (self.generator_ab if direction == "ab" else self.generator_ba)(x)

    def judge_patches(self, x: Tensor, y: Tensor, direction: str) -> Tensor:
        """D of the domain of y, (B, 1, h, w), trained to say 1 of real and 0 of made; x is not looked at."""
        self.check_direction(direction)
        return (self.discriminator_b if direction == "ab" else self.discriminator_a)(y)

    def receptive_field(self) -> int:
        """Pixels along an edge that one judgement is about."""
        return self.discriminator_b.receptive_field


_SWITCHES = (
    Switch(
        "lambda_cycle",
        Words("Weight of the cycle", "循环损失的权重"),
        10.0,
        0.0,
        50.0,
        0.5,
        info=Words(
            "How much it matters that there and back again is where one started. At 0 nothing ties a "
            "translation to its picture.",
            "来回翻译一次要回到原图，这一要求有多重要。设为 0 时，译图与原图之间没有任何约束。",
        ),
    ),
    Switch(
        "lambda_identity",
        Words("Weight of the identity", "恒等损失的权重"),
        5.0,
        0.0,
        50.0,
        0.5,
        info=Words(
            "How much it matters that a picture that is already in the other style stays as it is; it keeps "
            "colours.",
            "已经属于目标风格的图片应保持不变，这一要求有多重要；它有助于保住颜色。",
        ),
    ),
    Switch(
        "pool_size",
        Words("Pool of old fakes", "旧假图缓存的大小"),
        50,
        0,
        500,
        10,
        info=Words(
            "Pictures that the discriminators are shown again later, so that they forget no trick; 0: none.",
            "稍后再次展示给判别器的旧图数量，使它不忘记以前的伎俩；0 表示不用。",
        ),
    ),
    Switch(
        "lr_d",
        Words("Discriminators' learning rate, times", "判别器学习率的倍数"),
        1.0,
        0.0,
        10.0,
        0.1,
        info=Words("A multiple of the learning rate.", "学习率的倍数。"),
    ),
)
FORMULA = (
    r"\mathcal{L} = \mathcal{L}_{GAN}(G_{AB}, D_B) + \mathcal{L}_{GAN}(G_{BA}, D_A) + \lambda\, "
    r"\mathbb{E}\left[\|G_{BA}(G_{AB}(a)) - a\|_1 + \|G_{AB}(G_{BA}(b)) - b\|_1\right]"
)
_ABOUT = About(
    summary=Words(
        en="Two generators learn to turn pictures of one style into the other and back without ever seeing "
        "the same picture in both. Two discriminators ask of each result whether it could be a real one of "
        "its style. That there and back again must lead to the first picture keeps what the picture shows.",
        zh="两个生成器学习在两种风格之间互相转换图片，却从未见过同一张图的两种版本。"
        "两个判别器判断每个结果像不像该风格的真图。来回转换一次必须回到原图，这一要求保住了图片的内容。",
    ),
    formula=FORMULA,
    strengths=Words(
        en="Needs two piles of pictures and no pairs; one pass makes a translation; goes both ways.",
        zh="只需要两堆图片，不需要配对；一次计算就得到译图；两个方向都能走。",
    ),
    weaknesses=Words(
        en="Changes colours and texture readily and shapes hardly; it can hide in a translation what it "
        "needs for the way back; four networks train at once.",
        zh="容易改变颜色和质感，很难改变形状；会把返回时需要的信息藏进译图；要同时训练四个网络。",
    ),
)
_RECIPE = Recipe(10_000, 2, 4e-4, (0.5, 0.999), decay="linear, second half", ema=0.999)


def _spec(name: str, title: str, dataset: str, config: CycleGANConfig, recipe: Recipe = _RECIPE) -> ModelSpec:
    one_kind = config.channels[0] == config.channels[1]
    switches = tuple(s for s in _SWITCHES if one_kind or s.key != "lambda_identity")
    return ModelSpec(
        name=name,
        title=title,
        family="gan",
        year=2017,
        paper="1703.10593",
        model=CycleGAN,
        config=config,
        recipe=recipe,
        about=_ABOUT,
        switches=switches,
        dataset=dataset,
    )


SPECS = (
    _spec("cyclegan", "CycleGAN", "emoji_styles_unpaired", CycleGANConfig()),
    _spec(
        "cyclegan_sketch",
        "CycleGAN (sketches)",
        "emoji_sketches_unpaired",
        CycleGANConfig(channels=(1, 3), game=Game(lambda_identity=0.0)),
    ),
    _spec(
        "cyclegan_digits",
        "CycleGAN (digits)",
        "mnist_outlines_unpaired",
        CycleGANConfig(channels=(1, 1), num_blocks=3, d_width=16, d_layers=2),
        replace(_RECIPE, num_steps=4_000, batch_size=8, lr=1e-3),
    ),
)
