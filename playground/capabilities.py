"""What a model can do beside being trained: the capabilities that its class mixes in.

Tabs, command line and tests ask the registry for a capability, never for a model's name. Models import
them from `playground.spec`, with everything else they need.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from playground.capabilities_translation import JudgesPatches, Translates
from playground.capabilities_words import FollowsWords


class SampleStep(NamedTuple):
    """One moment of sampling; the last one of an iterator is the result.

    Attributes:
        step: moments so far, 1 to num_steps.
        num_steps: moments in all.
        x: (B, C, H, W) in [-1, 1], what there is to see now.
        nfe: evaluations of the network so far.
        captions: what each picture was asked to show, where the model chose it or was told in words.
    """

    step: int
    num_steps: int
    x: Tensor
    nfe: int
    captions: tuple[str, ...] = ()


class DenoiseStep(NamedTuple):
    """One reverse step of a diffusion model: t, x_t and the predictions made from it, all (B, C, H, W).

    `nfe` counts evaluations of the network so far, this step's included; 0 where nobody counted.
    """

    t: int
    xt: Tensor
    x0_hat: Tensor
    eps_hat: Tensor
    nfe: int = 0


class Samples:
    """Draws pictures. One-shot models yield once; the others yield as they go."""

    def sample(
        self, num: int, *, labels: Tensor | None = None, generator: torch.Generator, **controls: Any
    ) -> Iterator[SampleStep]:
        """Draw `num` pictures.

        Args:
            num: pictures to draw.
            labels: (num,) int64 for conditional models; None draws the labels from `generator`.
            generator: a CPU generator; the same seed draws the same pictures.
            controls: values of the spec's controls, each at its default when left out.
        """
        raise TypeError(f"{type(self).__name__} does not sample.")


class HasLatent:
    """Maps a latent to a picture."""

    latent_shape: tuple[int, ...]  # of one z, without the batch
    decode_nfe: int = 1  # network evaluations of a decoding, with a label where there are labels

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, *latent_shape) standard normal latents -> (B, C, H, W) pictures in [-1, 1]."""
        raise TypeError(f"{type(self).__name__} does not decode.")


class Encodes:
    """Maps a picture to its latent."""

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, C, H, W) pictures in [-1, 1] -> (B, *latent_shape)."""
        raise TypeError(f"{type(self).__name__} does not encode.")


class HasCodes:
    """Turns a picture into a grid of words of a vocabulary it has learnt, and back."""

    def codes(self, x: Tensor) -> Tensor:
        """(B, C, H, W) pictures in [-1, 1] -> (B, h, w) int64, the place of each word in the vocabulary."""
        raise TypeError(f"{type(self).__name__} has no codes.")

    def paint(self, codes: Tensor) -> Tensor:
        """(B, h, w) int64 -> (B, C, H, W) pictures in [-1, 1]."""
        raise TypeError(f"{type(self).__name__} has no codes.")


class HasLikelihood:
    """Assigns a log-likelihood to pictures."""

    likelihood: (
        str  # "exact", "bound" (a lower bound) or "dequantised" (exact, of uniformly dequantised pixels)
    )
    levels: int  # grey levels of the pictures it is defined on: 2 (x in {-1, 1}) or 256

    def log_prob(
        self, x: Tensor, labels: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """(B, C, H, W) in [-1, 1] on `levels` grey levels -> (B,) log-likelihood of the picture in nats.

        `generator` feeds what is random in a bound or in dequantisation.
        """
        raise TypeError(f"{type(self).__name__} has no likelihood.")


class Denoises:
    """Goes from data to noise and back."""

    num_timesteps: int

    def when(self, t: int) -> float:
        """At what time a timestep stands, from 0, the picture, to 1, noise."""
        return (t + 1) / self.num_timesteps

    def add_noise(self, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """x_t ~ q(x_t | x_0): (B, C, H, W), (B, C, H, W), (B,) int64 -> (B, C, H, W)."""
        raise TypeError(f"{type(self).__name__} adds no noise.")

    def denoise(
        self, xt: Tensor, *, labels: Tensor | None = None, generator: torch.Generator, **controls: Any
    ) -> Iterator[DenoiseStep]:
        """The reverse process from x_T, a step at a time."""
        raise TypeError(f"{type(self).__name__} does not denoise.")


class HasScore(Denoises):
    """Predicts clean picture and noise at any x_t; with it pictures are restored without retraining.

    Data and noise mix as x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) eps, a_t = alphas_cumprod[t]; the score of x_t
    is -eps_hat / sqrt(1 - a_t) (2011.13456, section 3).
    """

    alphas_cumprod: Tensor  # (num_timesteps,)

    def predict(self, xt: Tensor, t: int, labels: Tensor | None = None, guidance: float = 1.0) -> DenoiseStep:
        """x0_hat and eps_hat at x_t (B, C, H, W); labels (B,) int64, None for no label; differentiable."""
        raise TypeError(f"{type(self).__name__} has no score.")


class Jumps(Denoises):
    """Draws the clean picture behind a noisy one in one large jump, each time another that may be there.

    Data and noise mix as in `HasScore`; level 0 is the picture itself, so alphas_cumprod[0] = 1.
    """

    alphas_cumprod: Tensor  # (num_timesteps,)

    def when(self, t: int) -> float:
        """At what time a level stands, from 0, the picture, to 1, noise."""
        return t / (self.num_timesteps - 1)

    def draw_x0(
        self, xt: Tensor, t: int, labels: Tensor | None = None, *, generator: torch.Generator
    ) -> Tensor:
        """x_0 given x_t (B, C, H, W), t in 1 to num_timesteps - 1; labels (B,) int64, None for no label."""
        raise TypeError(f"{type(self).__name__} does not jump.")


class PredictsPixels:
    """An autoregressive model: every pixel's distribution given those before it, in reading order."""

    def pixel_logits(self, x: Tensor, labels: Tensor) -> Tensor:
        """(B, 1, H, W) on `levels` grey levels, (B,) int64 -> (B, levels, H, W); differentiable."""
        raise TypeError(f"{type(self).__name__} predicts no pixels.")


class HasPosterior:
    """Knows which latents could have produced a picture."""

    def posterior(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) in [-1, 1] -> mu and logvar of q(z|x) = N(mu, diag exp(logvar)), each (B, D)."""
        raise TypeError(f"{type(self).__name__} has no posterior.")

    def guess(self, x: Tensor) -> Tensor | None:
        """The labels that explain pictures best, (B,) int64; None where there are no labels."""
        return None

    def draws(
        self, x: Tensor, num: int, generator: torch.Generator, labels: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(B, C, H, W) -> log p(x|z) and log p(z) / q(z|x), z ~ q, each (num, B); and the exact KL, (B,)."""
        raise TypeError(f"{type(self).__name__} has no posterior.")

    def log_weights(
        self, x: Tensor, num: int, generator: torch.Generator, labels: Tensor | None = None
    ) -> Tensor:
        """(1, C, H, W) -> (num,) draws of log p(x|z) p(z) / q(z|x), z ~ q; their mean is the ELBO."""
        log_px, log_ratio, _ = self.draws(x, num, generator, labels)
        return (log_px + log_ratio)[:, 0]


class FlowStep(NamedTuple):
    """One layer of a flow.

    Attributes:
        name: of the layer, such as "coupling 3".
        h: (B, num_dims) all variables after it, those that have already left for z included.
        log_det: (B,) what the layer adds to log |det dz/dx|, in nats.
        places: (num_dims,) int64, the pixel, in reading order, that each variable comes from and that a
            picture of h shows it at; None where variables stand in that order.
    """

    name: str
    h: Tensor
    log_det: Tensor
    places: Tensor | None = None


class Flows:
    """Maps pictures to latents by invertible layers that can be watched one by one."""

    def through(self, x: Tensor) -> Iterator[FlowStep]:
        """(B, C, H, W) in [-1, 1] -> its way to z, a layer at a time; the last h is z."""
        raise TypeError(f"{type(self).__name__} does not flow.")

    def flow(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) in [-1, 1] -> z (B, num_dims) and log |det dz/dx| (B,)."""
        steps = list(self.through(x))
        return steps[-1].h, torch.stack([step.log_det for step in steps]).sum(dim=0)

    def latent_groups(self) -> list[Tensor]:
        """Indices into z, (n,) int64 each, all of them once: from what shapes the whole to fine detail."""
        raise TypeError(f"{type(self).__name__} does not flow.")


class Completes:
    """Fills in the erased part of a picture."""

    def complete(
        self, x: Tensor, mask: Tensor, *, labels: Tensor | None, generator: torch.Generator, **controls: Any
    ) -> Iterator[SampleStep]:
        """Keep x where the (B, 1, H, W) mask is 1, draw the rest."""
        raise TypeError(f"{type(self).__name__} does not complete.")


class HasStyles:
    """Draws from a stack of styles, coarse to fine, that may come from different latents."""

    num_styles: int

    def styles(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, *latent_shape) -> w (B, num_styles, D), one style a layer, coarse layers first."""
        raise TypeError(f"{type(self).__name__} has no styles.")

    def synthesise(self, w: Tensor) -> Tensor:
        """(B, num_styles, D) -> (B, C, H, W) pictures in [-1, 1]."""
        raise TypeError(f"{type(self).__name__} has no styles.")

    def truncate(self, w: Tensor, psi: float, labels: Tensor | None = None) -> Tensor:
        """Styles (B, num_styles, D) of labels (B,), pulled to their mean: mean + psi (w - mean)."""
        raise TypeError(f"{type(self).__name__} has no styles.")


class Classifies:
    """Says which class a picture shows; its features are what quality is measured on."""

    def features(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1] -> (B, F)."""
        raise TypeError(f"{type(self).__name__} has no features.")

    def classify(self, features: Tensor) -> Tensor:
        """(B, F) features -> (B, K) logits."""
        raise TypeError(f"{type(self).__name__} does not classify.")

    def logits(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1] -> (B, K)."""
        return self.classify(self.features(x))


CAPABILITIES = (
    Samples,
    HasLatent,
    HasStyles,
    Encodes,
    HasCodes,
    HasLikelihood,
    Denoises,
    HasScore,
    Jumps,
    PredictsPixels,
    HasPosterior,
    Flows,
    Completes,
    Translates,
    JudgesPatches,
    Classifies,
    FollowsWords,
)
