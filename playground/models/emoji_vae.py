r"""The emoji autoencoder: 64x64 pixels to 8x8 codes and back, among which diffusion is cheap (2112.10752).

The first of the two stages of latent diffusion (section 3.1): an encoder squeezes a picture into a small
latent, a decoder draws it again, and a faint pull towards N(0, I) keeps the latents smooth,

    L = |x - x_hat| + edges |grad x - grad x_hat| + pull KL(q(z|x) || N(0, I)),    q(z|x) = N(mu, sigma^2).

The pull is far too weak for z to be drawn from N(0, I), as a plain VAE's is: that is the second stage's work.
After training the latents are shifted and scaled to mean 0 and variance 1 in each channel (section G), so
that the noise of the second stage is of their size.

Differences from the paper: no discriminator and no perceptual loss, for emoji are flat shapes with sharp
edges, which the L1 distance of neighbouring pixels' differences keeps sharp; no attention; pictures are
mirrored and their hues turned in training, which makes more of 1,715 emoji.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from playground.models._emoji_colours import turn_hues
from playground.models._vae_networks import Block
from playground.nn import adam, kl_to_prior, rand, randn, update
from playground.spec import (
    About,
    Batch,
    Encodes,
    GenerativeModel,
    HasLatent,
    ModelSpec,
    Recipe,
    Words,
)


@dataclass(frozen=True)
class EmojiVAEConfig:
    """Shape of the autoencoder and weights of its loss.

    Attributes:
        latent_channels: of a code; there are 8x8.
        encoder_widths: channels on 32, 16 and 8 pixels.
        decoder_widths: channels on 8, 16 and 32 pixels.
        decoder_blocks: residual blocks on 8, 16 and 32 pixels.
        edges: weight of the differences between neighbouring pixels.
        pull: weight of the mean KL of one number of the latent, in nats.
        recoloured: share of the training pictures whose hues are turned.
    """

    latent_channels: int = 12
    encoder_widths: tuple[int, int, int] = (32, 64, 128)
    decoder_widths: tuple[int, int, int] = (128, 80, 40)
    decoder_blocks: tuple[int, int, int] = (2, 1, 1)
    edges: float = 1.0
    pull: float = 2e-3
    recoloured: float = 0.5


def build_encoder(config: EmojiVAEConfig) -> nn.Sequential:
    """(B, 3, 64, 64) in [-1, 1] -> (B, 2 latent_channels, 8, 8), mu beside logvar."""
    a, b, c = config.encoder_widths
    return nn.Sequential(
        nn.Conv2d(3, a, 4, 2, 1), nn.SiLU(),
        nn.Conv2d(a, b, 4, 2, 1), Block(b), nn.SiLU(),
        nn.Conv2d(b, c, 4, 2, 1), Block(c), nn.SiLU(),
        nn.Conv2d(c, 2 * config.latent_channels, 1),
    )  # fmt: skip


def build_decoder(config: EmojiVAEConfig) -> nn.Sequential:
    """(B, latent_channels, 8, 8) -> (B, 3, 64, 64), about in [-1, 1]."""
    (a, b, c), (num_a, num_b, num_c) = config.decoder_widths, config.decoder_blocks
    return nn.Sequential(
        nn.Conv2d(config.latent_channels, a, 3, 1, 1), *(Block(a) for _ in range(num_a)), nn.SiLU(),
        nn.ConvTranspose2d(a, b, 4, 2, 1), *(Block(b) for _ in range(num_b)), nn.SiLU(),
        nn.ConvTranspose2d(b, c, 4, 2, 1), *(Block(c) for _ in range(num_c)), nn.SiLU(),
        nn.ConvTranspose2d(c, 3, 4, 2, 1),
    )  # fmt: skip


def edge_error(x: Tensor, x_hat: Tensor) -> Tensor:
    """Mean L1 distance of the differences of neighbouring pixels: two (B, C, H, W) -> ()."""
    error = x_hat - x
    return (error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()) / 2


class EmojiVAE(GenerativeModel, HasLatent, Encodes):
    """A convolutional autoencoder with Gaussian codes; latents outside have variance 1."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: EmojiVAEConfig) -> None:
        """Build both networks; mean and std of the raw latents come with `recalibrate`."""
        super().__init__()
        self.config = config
        self.latent_shape = (config.latent_channels, 8, 8)
        self.encoder, self.decoder = build_encoder(config), build_decoder(config)
        self.register_buffer("mean", torch.zeros(config.latent_channels, 1, 1))
        self.register_buffer("std", torch.ones(config.latent_channels, 1, 1))
        self.to(memory_format=torch.channels_last)

    def make_optimizers(self, hp: Recipe) -> dict[str, Optimizer]:
        """One for both networks."""
        self.max_norm = hp.max_norm
        return {"vae": adam(self.parameters(), hp)}

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, 64, 64) in [-1, 1] -> mu and logvar of the raw latent, each (B, *latent_shape)."""
        mu, logvar = self.encoder(x.contiguous(memory_format=torch.channels_last)).chunk(2, dim=1)
        return mu, logvar.clamp(-12, 4)

    def augment(self, batch: Batch) -> Tensor:
        """The pictures of a batch, half of them mirrored, some in other colours."""
        num, device = len(batch.x), batch.x.device
        u = rand((3, num), batch.generator, device)
        x = torch.where((u[0] < 0.5).view(-1, 1, 1, 1), batch.x.flip(3), batch.x)
        return turn_hues(x, 6.2832 * u[1] * (u[2] < self.config.recoloured))

    def train_step(self, batch: Batch, optimizers: dict[str, Optimizer]) -> dict[str, float]:
        """One update of both networks; ``reconstruction`` is the mean L1 distance."""
        x = self.augment(batch)
        mu, logvar = self.moments(x)
        z = mu + (0.5 * logvar).exp() * randn(mu.shape, batch.generator, mu.device)
        x_hat = self.decoder(z)
        kl = kl_to_prior(mu, logvar).mean()
        distance, edges = (x - x_hat).abs().mean(), edge_error(x, x_hat)
        loss = distance + self.config.edges * edges + self.config.pull * kl
        update(loss, optimizers["vae"], self.max_norm)
        return {"loss": loss.item(), "reconstruction": distance.item(), "kl": kl.item()}

    @torch.no_grad()
    def recalibrate(self, batches: Iterator[Batch]) -> None:
        """Mean and standard deviation of each channel of the raw latents, from real pictures."""
        z = torch.cat([self.moments(batch.x)[0] for batch in batches])
        self.mean.copy_(z.mean(dim=(0, 2, 3)).view(-1, 1, 1))
        self.std.copy_(z.std(dim=(0, 2, 3)).view(-1, 1, 1))

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, 3, 64, 64) in [-1, 1] -> (B, *latent_shape), mean 0 and variance 1 over real pictures."""
        return (self.moments(x)[0] - self.mean) / self.std

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, *latent_shape) -> (B, 3, 64, 64) in [-1, 1]."""
        return self.decoder(z * self.std + self.mean).clamp(-1, 1)


SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="emoji_vae",
        title="Emoji autoencoder",
        family="vae",
        year=2021,
        paper="2112.10752",
        model=EmojiVAE,
        config=EmojiVAEConfig(),
        recipe=Recipe(num_steps=2500, batch_size=32, lr=2e-3, warmup=100, ema=0.995, max_norm=1.0),
        about=About(
            summary=Words(
                "An autoencoder squeezes an emoji of 64x64 pixels into 8x8 codes of twelve numbers and draws "
                "it again from them. "
                "It is the first half of latent diffusion, whose second half draws such codes from words. "
                "Random codes mean nothing to it, so it draws no new emoji by itself.",
                "自编码器把 64x64 像素的表情符号压缩成 8x8 个编码，每个编码有十二个数，再由它们重新画出图片。"
                "它是潜在扩散的前一半，后一半根据文字画出这样的编码。随机的编码对它没有意义，所以它自己画不出新的"
                "表情符号。",
            ),
            formula=r"\mathcal{L} = \lVert x - \hat x \rVert_1 + \lVert \nabla x - \nabla \hat x \rVert_1 + "
            r"\beta\, \mathrm{KL}(q(z|x) \,\|\, \mathcal{N}(0, I))",
            strengths=Words(
                "Sixteen numbers become one, so whatever works on its codes is many times faster.",
                "编码的数字个数只有像素数值的十六分之一，因此在编码上工作的模型会快许多倍。",
            ),
            weaknesses=Words(
                "What the codes lose is lost for good: small letters and thin lines come back blurred.",
                "编码丢掉的东西无法找回：小字和细线会变得模糊。",
            ),
        ),
        dataset="emoji",
    ),
)
