"""VAE: an encoder and a decoder climb a bound of the likelihood (Kingma & Welling 2013, arXiv:1312.6114).

The encoder says which codes could have produced a picture, the decoder how likely each pixel is white given a
code, and both climb the evidence lower bound (ELBO). Codes are noisy in training, so nearby codes decode to
similar pictures. With q(z|x) = N(mu, diag exp(logvar)) and p(z) = N(0, I) (eq. 10 and appendix B),

    log p(x) >= E_q[log p(x|z)] - KL(q(z|x) || p(z)),    KL = 1/2 sum(exp(logvar) + mu^2 - 1 - logvar).

Differences from the paper: residual convolutions (1512.03385) instead of one hidden layer; pixels are made
black or white anew every time a picture is seen (Salakhutdinov & Murray 2008); the weight of KL grows from 0
to 1 at the start (1602.02282), after which the loss is the bound. A switch multiplies KL by beta (the
beta-VAE, Higgins et al. 2017, analysed in arXiv:1804.03599); another climbs the tighter, importance-weighted
bound of k codes (Burda et al. 2015, arXiv:1509.00519), with which `vae`'s shipped training ends.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer

from playground.data import binarise
from playground.models._vae_networks import build_decoder, build_encoder
from playground.nn import adam, kl_to_prior, randn, update
from playground.spec import (
    About,
    Batch,
    Control,
    Encodes,
    GenerativeModel,
    HasLatent,
    HasLikelihood,
    HasPosterior,
    ModelSpec,
    Recipe,
    Samples,
    SampleStep,
    Switch,
    Words,
)


@dataclass(frozen=True)
class VAEConfig:
    """Shape of the two networks.

    Attributes:
        latent_dim: length of z.
        channels: of the picture.
        encoder_widths: channels on 14 and on 7 pixels.
        decoder_widths: channels on 7 and on 14 pixels.
        encoder_blocks: residual blocks on 14 and on 7 pixels.
        decoder_blocks: residual blocks on 7 and on 14 pixels.
        warmup: fraction of the training over which KL's weight grows to 1.
    """

    latent_dim: int = 48
    channels: int = 1
    encoder_widths: tuple[int, int] = (32, 64)
    decoder_widths: tuple[int, int] = (64, 48)
    encoder_blocks: tuple[int, int] = (1, 1)
    decoder_blocks: tuple[int, int] = (2, 1)
    warmup: float = 0.05


def bernoulli_log_prob(logits: Tensor, x: Tensor) -> Tensor:
    """Sum over pixels of log sigmoid(x * logit), x in {-1, 1}, in nats: two (B, C, H, W) -> (B,)."""
    return -F.softplus(-x * logits).flatten(1).sum(dim=1)


def lower_bound(log_px: Tensor, log_ratio: Tensor, kl: Tensor, beta: float = 1.0) -> Tensor:
    """(B,) bounds of log p(x) from what `VAE.draws` gives: L_k (1509.00519, eq. 8), with one code the ELBO.

    The ELBO takes the exact KL, which varies less than a draw of it; `beta` weighs log p(z) / q(z|x).
    """
    if len(log_px) == 1:
        return log_px[0] - beta * kl
    return (log_px + beta * log_ratio).logsumexp(dim=0) - math.log(len(log_px))


class VAE(GenerativeModel, Samples, HasLatent, Encodes, HasLikelihood, HasPosterior):
    """A convolutional variational autoencoder with Bernoulli pixels.

    Labels are passed to `posterior` and `logits`, which ignore them: the place for a conditional model's.
    """

    likelihood = "bound"
    levels = 2
    beta = 1.0  # weight of KL
    num_samples = 1  # codes of a picture in training, k
    temperature = 1.0  # of samples, where none is asked for

    def __init__(self, config: VAEConfig) -> None:
        """Build both networks."""
        super().__init__()
        self.config = config
        self.latent_shape = (config.latent_dim,)
        sizes = config.latent_dim, config.channels
        self.encoder = build_encoder(*sizes, config.encoder_widths, config.encoder_blocks)
        self.decoder = build_decoder(*sizes, config.decoder_widths, config.decoder_blocks)
        self.to(memory_format=torch.channels_last)

    def tune(self, values: Mapping[str, Any]) -> None:
        """Set ``beta`` and ``num_samples``; no part of the state_dict, for they matter to training only."""
        self.beta = float(values.get("beta", self.beta))
        self.num_samples = int(values.get("num_samples", self.num_samples))

    def make_optimizers(self, hp: Recipe) -> dict[str, Optimizer]:
        """One for both networks: they climb the same bound."""
        self.max_norm = hp.max_norm
        return {"vae": adam(self.parameters(), hp)}

    def posterior(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, C, 28, 28) in [-1, 1] -> mu and logvar of q(z|x), each (B, latent_dim); grey is allowed."""
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        return mu, logvar

    def logits(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, latent_dim) -> (B, C, 28, 28) log-odds of each pixel's being white."""
        return self.decoder(z)

    def draws(
        self, x: Tensor, num: int, generator: torch.Generator, labels: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draw `num` codes z ~ q(z|x) of each picture: what every bound is made of.

        Args:
            x: (B, C, H, W), every pixel -1 or 1.
            num: codes of each picture.
            generator: source of eps in z = mu + std * eps.
            labels: (B,) int64 for a conditional model.

        Returns:
            log p(x|z) and log p(z) / q(z|x), each (num, B), and the exact KL, (B,), all in nats.
        """
        mu, logvar = self.posterior(x, labels)
        eps = randn((num, *mu.shape), generator, x.device)
        z = mu + (0.5 * logvar).exp() * eps
        logits = self.logits(z.flatten(0, 1), None if labels is None else labels.repeat(num))
        log_px = bernoulli_log_prob(logits, x.repeat(num, 1, 1, 1)).view(num, -1)
        log_ratio = 0.5 * (eps.square() + logvar - z.square()).sum(dim=2)  # 2 pi cancels
        return log_px, log_ratio, kl_to_prior(mu, logvar).sum(dim=1)

    def train_step(self, batch: Batch, optimizers: dict[str, Optimizer]) -> dict[str, float]:
        """Climb the bound once, on freshly binarised pictures; ``loss`` is the bound whatever beta is."""
        x = binarise(batch.x, batch.generator)
        terms = self.draws(x, self.num_samples, batch.generator, batch.labels)
        warm = min(1.0, batch.progress / self.config.warmup) if self.config.warmup else 1.0
        update(-lower_bound(*terms, self.beta * warm).mean(), optimizers["vae"], self.max_norm)
        with torch.no_grad():
            log_px, _, kl = (term.mean().item() for term in terms)
            return {"loss": -lower_bound(*terms).mean().item(), "reconstruction": -log_px, "kl": kl}

    @torch.no_grad()
    def log_prob(
        self, x: Tensor, labels: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """The ELBO with one z for each picture and the exact KL; `iwae` is a tighter bound.

        (B, C, H, W), every pixel -1 or 1 (anything else is a ValueError) -> (B,) nats.
        """
        return lower_bound(*self.draws(_binary(x), 1, generator or torch.Generator().manual_seed(0), labels))

    @torch.no_grad()
    def iwae(
        self,
        x: Tensor,
        num_samples: int,
        generator: torch.Generator | None = None,
        chunk: int = 500,
        labels: Tensor | None = None,
    ) -> Tensor:
        """The importance-weighted bound L_k (1509.00519, eq. 8), k = `num_samples`.

        L_k = E[log 1/k sum_i p(x|z_i) p(z_i) / q(z_i|x)], z_i ~ q(z|x): from the ELBO (k = 1) up to log p(x).

        Args:
            x: (B, C, H, W), every pixel -1 or 1.
            num_samples: k, at least 1.
            generator: source of the z_i; None draws with seed 0.
            chunk: codes decoded at a time, which bounds the memory.
            labels: (B,) int64 for a conditional model.

        Returns:
            (B,) nats.

        Raises:
            ValueError: if a pixel is neither -1 nor 1, or k < 1.
        """
        if num_samples < 1:
            raise ValueError(f"The number of importance samples must be at least 1; got {num_samples}.")
        x, generator = _binary(x), generator or torch.Generator().manual_seed(0)
        nums = [min(chunk, num_samples - start) for start in range(0, num_samples, chunk)]
        bounds = []
        for i in range(len(x)):  # one picture, its codes in chunks
            label = None if labels is None else labels[i, None]
            weights = [self.log_weights(x[i, None], num, generator, label) for num in nums]
            bounds.append(torch.cat(weights).logsumexp(dim=0) - math.log(num_samples))
        return torch.stack(bounds)

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, C, 28, 28) in [-1, 1] -> (B, latent_dim), the mean of q(z|x); grey pictures are allowed."""
        return self.posterior(x, labels)[0]

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, latent_dim) standard normal -> (B, C, 28, 28), the mean of each pixel given z, in [-1, 1]."""
        return 2 * self.logits(z, labels).sigmoid() - 1

    @torch.no_grad()
    def sample(
        self, num: int, *, labels: Tensor | None = None, generator: torch.Generator, **controls: Any
    ) -> Iterator[SampleStep]:
        """Draw z from the prior, its standard deviation times ``temperature``, and decode it."""
        device = next(self.parameters()).device
        temperature = controls.get("temperature", self.temperature)
        z = temperature * randn((num, *self.latent_shape), generator, device)
        yield SampleStep(1, 1, self.decode(z, labels), 1)


def _binary(x: Tensor) -> Tensor:
    """The same x, once every pixel is known to be -1 or 1."""
    if not bool((x.abs() == 1).all()):
        raise ValueError("This likelihood is of pixels that are -1 or 1; got grey ones: binarise them first.")
    return x


_ABOUT = About(
    summary=Words(
        en="An encoder turns a picture into a small cloud of codes, and a decoder turns any code of that "
        "cloud back into the picture. "
        "Together the clouds are made to fill one round cloud of random numbers, so a fresh random code "
        "decodes to a new digit. "
        "What is trained is a lower bound of the log-likelihood, so the loss itself says how good it is.",
        zh="编码器把一张图变成一小团编码，解码器再把其中任何一个编码变回这张图。"
        "所有小团合起来被拉近同一个标准正态分布，所以新抽取的随机编码也能解码成新的数字。"
        "训练的目标是对数似然的下界，因此损失本身就说明模型有多好。",
    ),
    formula=r"\log p(x) \ge \mathbb{E}_{q(z|x)}[\log p(x|z)] - \mathrm{KL}(q(z|x) \,\|\, p(z))",
    strengths=Words(
        en="Stable training with one honest loss; every picture has a code, so pictures can be mixed and "
        "compared; it covers all kinds of digits; a picture costs a single pass.",
        zh="训练稳定，损失可信；每张图都有编码，可以混合和比较；覆盖各种数字；画一张图只需一次计算。",
    ),
    weaknesses=Words(
        en="Soft strokes, because pixels are independent given the code and doubt becomes grey; the "
        "likelihood is known only as a bound; codes between the clouds decode to things that are no digit.",
        zh="笔画偏软，因为给定编码后各像素相互独立，不确定就变成灰色；"
        "似然只有下界；各团编码之间的空隙会解码成不像数字的图。",
    ),
)

_INFO = Words(
    en="Standard deviation of z: below 1 the digits are more typical and less varied.",
    zh="z 的标准差：小于 1 时数字更典型、变化更少。",
)

_BETA = Switch(
    "beta", Words("Weight of KL (beta)", "KL 项的权重（beta）"), 1.0, 0.0, 20.0, step=0.5,
    info=Words(
        en="1 is the bound itself. Above it codes are pressed towards the prior until they say nothing "
        "of the picture (posterior collapse); at 0 a plain autoencoder is left, whose samples are no digits.",
        zh="1 就是下界本身。大于 1 时编码被压向先验，直到不再携带图片的信息（后验崩塌）；"
        "等于 0 时只剩普通的自编码器，采样得不到数字。",
    ),
)  # fmt: skip

_NUM_SAMPLES = Switch(
    "num_samples", Words("Codes of a picture (k)", "每张图的编码数（k）"), 1, 1, 50, step=1,
    info=Words(
        en="1 is the evidence lower bound. More codes, weighed by how well they explain the picture, make "
        "the bound tighter (the importance-weighted autoencoder) and an update as many times slower.",
        zh="1 就是证据下界。多取几个编码，并按它们对图片的解释程度加权，下界会更紧"
        "（重要性加权自编码器），但每次更新也会相应变慢。",
    ),
)  # fmt: skip

SPECS = (
    ModelSpec(
        name="vae",
        title="VAE",
        family="vae",
        year=2013,
        paper="1312.6114",
        model=VAE,
        config=VAEConfig(),
        recipe=Recipe(num_steps=24000, batch_size=32, lr=2e-3, warmup=200, ema=0.999, max_norm=200.0),
        about=_ABOUT,
        controls=(
            Control(
                "temperature", Words("Temperature", "温度"), VAE.temperature, 0.0, 1.5, step=0.05, info=_INFO
            ),
        ),
        switches=(_BETA, _NUM_SAMPLES),
    ),
)
