"""VQ-VAE: a picture as 49 words of a learned vocabulary (van den Oord et al. 2017, arXiv:1711.00937).

An encoder shrinks the picture to a grid of 7 x 7 vectors, each is replaced by the nearest of K code vectors,
and a decoder paints the picture from those (eq. 1 and 2):

    z_q = e_k, k = argmin_j |z_e(x) - e_j|;    L = -log p(x | z_q) + beta |z_e(x) - sg(e_k)|^2.

The nearest code has no gradient, so the decoder's is handed to the encoder as it is (straight through). Code
vectors are moving averages of the vectors they replace (appendix A.1). Once that is learned, the codes are
frozen and a small Gated PixelCNN learns which codes stand beside which, p(codes | y): a picture is then 49
decisions and one pass of the decoder instead of 784 decisions. That is why latent models are fast.

Differences from the paper: both parts are learned in one run, the first `autoencoder` of it and the rest;
each has its own cosine decay of the learning rate; -log p(x | z) is the cross-entropy of grey levels taken as
probabilities of ink, whose best answer is the mean; codes that are hardly ever used start again at a vector
of the batch, as all unused ones do at the beginning.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from playground.models._autoregressive import TEMPERATURE
from playground.models._vae_networks import Block
from playground.models.pixelcnn import PixelCNN, PixelCNNConfig
from playground.nn import adam, rand, update
from playground.spec import (
    About,
    Batch,
    GenerativeModel,
    HasCodes,
    ModelSpec,
    Recipe,
    Samples,
    SampleStep,
    Words,
)


@dataclass(frozen=True)
class VQVAEConfig:
    """Shape of the three networks.

    Attributes:
        code_dim: length of a code vector.
        channels: of the picture.
        widths: channels on 14 and on 7 pixels.
        beta: weight of the commitment, eq. 3.
        decay: of the moving averages behind the code vectors.
        min_count: a code used less often than this in a batch, on average, starts again.
        autoencoder: share of the training that goes to encoder, decoder and codes.
        prior: the network over the codes; its levels are the vocabulary.
    """

    code_dim: int = 16
    channels: int = 1
    widths: tuple[int, int] = (32, 64)
    beta: float = 0.25
    decay: float = 0.99
    min_count: float = 0.5
    autoencoder: float = 0.35
    prior: PixelCNNConfig = field(
        default_factory=lambda: PixelCNNConfig(
            levels=64, channels=48, num_layers=6, reach=3, head=96, height=7, width=7
        )
    )


class CodePrior(PixelCNN):
    """A Gated PixelCNN whose pixels are codes: names without an order, so it sees them one-hot."""

    # A rare word spoils a whole patch: the Frechet distance is little more than half of that at 1.
    temperature = 0.6

    def __init__(self, config: PixelCNNConfig) -> None:
        """As the PixelCNN's; untrained, every code is as likely."""
        super().__init__(config)
        nn.init.zeros_(self.logits.bias)

    def features(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) codes as grey levels in [-1, 1] -> (B, levels, H, W), 1 at the code, else 0."""
        return F.one_hot(self.codes(x), self.levels).permute(0, 3, 1, 2).to(x.dtype)

    def codes(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) grey levels in [-1, 1] -> (B, H, W) int64."""
        return ((x[:, 0] + 1) * ((self.levels - 1) / 2)).round().long()

    def levels_of(self, codes: Tensor) -> Tensor:
        """The way back: (B, H, W) int64 -> (B, 1, H, W) in [-1, 1]."""
        return codes[:, None].to(self.logits.weight.dtype) * (2 / (self.levels - 1)) - 1


class VQVAE(GenerativeModel, Samples, HasCodes):
    """An autoencoder with a vocabulary and a class-conditional network that writes in it."""

    def __init__(self, config: VQVAEConfig) -> None:
        """Build the networks; all codes start unused, so the first batch sets them."""
        super().__init__()
        self.config = config
        (a, b), dim, num = config.widths, config.code_dim, config.prior.levels
        self.encoder = nn.Sequential(
            nn.Conv2d(config.channels, a, 5, 2, 2), Block(a), nn.SiLU(),
            nn.Conv2d(a, b, 3, 2, 1), Block(b), nn.SiLU(), nn.Conv2d(b, dim, 1),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Conv2d(dim, b, 3, 1, 1), Block(b), Block(b), nn.SiLU(),
            nn.ConvTranspose2d(b, a, 4, 2, 1), Block(a), nn.SiLU(),
            nn.ConvTranspose2d(a, config.channels, 4, 2, 1),
        )  # fmt: skip
        self.prior = CodePrior(config.prior)
        self.codebook: Tensor
        self.counts: Tensor
        self.register_buffer("codebook", torch.randn(num, dim))
        self.register_buffer("counts", torch.zeros(num))  # moving averages: uses of each code in a batch
        self.to(memory_format=torch.channels_last)

    def nearest(self, z: Tensor) -> Tensor:
        """The code of every vector (eq. 1): (B, code_dim, H, W) -> (B, H, W) int64."""
        flat = z.permute(0, 2, 3, 1).flatten(0, 2)
        distance = self.codebook.square().sum(dim=1) - 2 * flat @ self.codebook.T  # |z|^2 is the same for all
        return distance.argmin(dim=1).view(z.shape[0], *z.shape[2:])

    def codes(self, x: Tensor) -> Tensor:
        """(B, 1, 28, 28) in [-1, 1] -> (B, 7, 7) int64."""
        return self.nearest(self.encoder(x))

    def vectors(self, codes: Tensor) -> Tensor:
        """(B, H, W) int64 -> (B, code_dim, H, W)."""
        return self.codebook[codes].permute(0, 3, 1, 2)

    def paint(self, codes: Tensor) -> Tensor:
        """The mean picture given its codes: (B, 7, 7) int64 -> (B, 1, 28, 28) in [-1, 1]."""
        return 2 * self.decoder(self.vectors(codes)).sigmoid() - 1

    def make_optimizers(self, hp: Recipe) -> dict[str, Optimizer]:
        """One for encoder and decoder, one for the network over the codes."""
        self.max_norm = hp.max_norm
        both = [*self.encoder.parameters(), *self.decoder.parameters()]
        return {"autoencoder": adam(both, hp), "prior": adam(self.prior.parameters(), hp)}

    def train_step(self, batch: Batch, optimizers: dict[str, Optimizer]) -> dict[str, float]:
        """One update of what it is the turn of: the autoencoder first, then the network over its codes."""
        turn = self.config.autoencoder
        if batch.progress < turn:
            return self._autoencoder_step(batch, _annealed(optimizers["autoencoder"], batch.progress / turn))
        return self._prior_step(batch, _annealed(optimizers["prior"], (batch.progress - turn) / (1 - turn)))

    def _autoencoder_step(self, batch: Batch, optimizer: Optimizer) -> dict[str, float]:
        """Equation 3 without its second term, in place of which the code vectors are moving averages."""
        z_e = self.encoder(batch.x)
        self._learn_codes(z_e.detach(), batch.generator)
        codes = self.nearest(z_e.detach())
        z_q = self.vectors(codes)
        commitment = (z_e - z_q).square().flatten(1).sum(dim=1).mean()
        logits = self.decoder(z_e + (z_q - z_e).detach())  # straight through
        ink = (batch.x + 1) / 2
        nats = F.binary_cross_entropy_with_logits(logits, ink, reduction="sum") / len(ink)
        update((nats + self.config.beta * commitment) / ink[0].numel(), optimizer, self.max_norm)
        share = codes.flatten().bincount(minlength=len(self.counts)) / codes.numel()
        return {
            "reconstruction": nats.item(),
            "commitment": commitment.item(),
            "codes_used": torch.special.entr(share).sum().exp().item(),  # the perplexity of their use
        }

    def _prior_step(self, batch: Batch, optimizer: Optimizer) -> dict[str, float]:
        """Raise the likelihood of the codes; how well they still paint the picture is shown beside it."""
        with torch.no_grad():
            codes = self.codes(batch.x)
        nats = self.prior.pixel_nats(self.prior.levels_of(codes), batch.labels).sum(dim=1).mean()
        update(nats / codes[0].numel(), optimizer, self.max_norm)
        return {"prior_nats": nats.item()}

    @torch.no_grad()
    def _learn_codes(self, z: Tensor, generator: torch.Generator) -> None:
        """Move every code towards the mean of the vectors it replaces; wake those that replace none."""
        flat, decay = z.permute(0, 2, 3, 1).flatten(0, 2), self.config.decay
        chosen = F.one_hot(self.nearest(z).flatten(), len(self.counts)).to(flat.dtype)
        uses, sums = chosen.sum(dim=0), chosen.T @ flat
        before = decay * self.counts
        self.counts.copy_(before + (1 - decay) * uses)
        moved = (before[:, None] * self.codebook + (1 - decay) * sums) / self.counts.clamp(min=1e-6)[:, None]
        asleep = self.counts < self.config.min_count
        some = (rand((len(self.counts),), generator, z.device) * len(flat)).long()
        self.codebook.copy_(torch.where(asleep[:, None], flat[some], moved))
        self.counts.masked_fill_(asleep, 1.0)

    @torch.no_grad()
    def sample(
        self, num: int, *, labels: Tensor | None = None, generator: torch.Generator, **controls: Any
    ) -> Iterator[SampleStep]:
        """Write the codes one by one and paint them; one moment for each row of codes.

        Codes that are not yet written are those of an empty picture. An evaluation is one code or one
        painting.
        """
        height, width = self.config.prior.height, self.config.prior.width
        empty = self.codes(self.codebook.new_full((1, self.config.channels, 4 * height, 4 * width), -1.0))
        for moment in self.prior.sample(num, labels=labels, generator=generator, **controls):
            row, column = divmod(moment.step, width)
            if column == 0:
                codes = self.prior.codes(moment.x)
                codes[:, row:] = empty[:, row:]
                yield SampleStep(row, height, self.paint(codes), moment.step + row)


def _annealed(optimizer: Optimizer, progress: float) -> Optimizer:
    """The learning rate along a cosine of its own; whoever trains sets it anew before every update."""
    for group in optimizer.param_groups:
        group["lr"] *= (1 + math.cos(math.pi * progress)) / 2
    return optimizer


_ABOUT = About(
    summary=Words(
        en="An encoder describes the picture by 49 words, one for each field of a 7 by 7 grid, from a "
        "vocabulary of 64 that is learned along with it, and a decoder paints the picture from the words. "
        "A small network then learns which words stand beside which, for every class. "
        "A new picture is 49 words written one after the other and painted at once, where a network over "
        "pixels has to make 784 decisions.",
        zh="编码器用 49 个“词”描述一张图，7×7 的格子每格一个，词表共 64 个，与编码器一起学得；"
        "解码器再根据这些词把图画出来。"
        "随后由一个小网络学习每个类别里哪些词会挨在一起。"
        "生成新图时，先依次写出 49 个词，再一次画成，而逐像素的网络要做 784 次决定。",
    ),
    formula=r"k = \arg\min_j \lVert z_e(x) - e_j \rVert, \quad "
    r"L = -\log p(x \mid e_k) + \beta \lVert z_e(x) - \mathrm{sg}(e_k) \rVert^2, \quad p(k \mid y)",
    strengths=Words(
        en="Fast for a model that writes one thing after the other; codes that cannot be ignored, so the "
        "decoder never stops listening to them; the two parts can be improved separately.",
        zh="对逐个生成的模型来说很快；离散编码不会被忽视，解码器始终要听它的；两部分可以分别改进。",
    ),
    weaknesses=Words(
        en="What the codes leave out is lost, so fine strokes are soft; no latent space to move in smoothly; "
        "the quality depends on two networks that never see each other's mistakes.",
        zh="编码没有记下的细节就丢了，细笔画偏软；没有可以平滑移动的隐空间；质量取决于两个互不知道对方错误的网络。",
    ),
)

_TEMPERATURE = replace(
    TEMPERATURE,
    default=CodePrior.temperature,
    info=Words(
        "Below 1 the likelier words of the vocabulary are preferred.", "小于 1 时更偏向词表中概率高的词。"
    ),
)

SPECS = (
    ModelSpec(
        name="vqvae",
        title="VQ-VAE",
        family="vae",
        year=2017,
        paper="1711.00937",
        model=VQVAE,
        config=VQVAEConfig(),
        recipe=Recipe(
            12_000,
            batch_size=32,
            lr=2e-3,
            betas=(0.9, 0.99),
            warmup=100,
            decay="none",
            ema=0.998,
            max_norm=1.0,
        ),
        about=_ABOUT,
        controls=(_TEMPERATURE,),
        conditional=True,
    ),
)
