"""What a generative model is here: its specification, its controls and what it can do.

A model file (``models/*.py``) defines a subclass of `GenerativeModel`, mixes in the capabilities it has and
lists its variants in ``SPECS``. Everything else (drop-downs, sliders, tabs, command line, tests) follows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from playground.seeding import seeded


class Words(NamedTuple):
    """One phrase in the languages of the interface."""

    en: str
    zh: str


@dataclass(frozen=True)
class Control:
    """One knob of a model's sampler: a slider (numbers), a drop-down (choices) or a tick box (bool)."""

    key: str
    label: Words
    default: float | int | str | bool
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    info: Words | None = None

    @property
    def kind(self) -> str:
        """One of ``choice``, ``bool``, ``int`` and ``float``."""
        if self.choices:
            return "choice"
        return type(self.default).__name__


@dataclass(frozen=True)
class Recipe:
    """Every hyper-parameter of a training run.

    Attributes:
        num_steps: updates of a full run; `minutes` given to the trainer replaces it by wall-clock time.
        batch_size: images an update.
        lr: peak learning rate of every optimiser that does not set its own.
        betas: Adam's decay rates.
        weight_decay: AdamW's decoupled weight decay.
        warmup: updates over which the learning rate rises linearly to its peak.
        decay: how it falls to ``final_lr * lr``: ``cosine``, ``linear`` or ``none``.
        final_lr: the last learning rate as a fraction of the peak.
        ema: decay of the exponential moving average of the weights, 0 for none.
        max_norm: gradients are clipped to this norm, 0 for no clipping.
        extra: the model's own hyper-parameters by name.
    """

    num_steps: int
    batch_size: int = 128
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    warmup: int = 0
    decay: str = "cosine"
    final_lr: float = 0.0
    ema: float = 0.0
    max_norm: float = 0.0
    extra: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class About:
    """What a visitor reads about a model."""

    summary: Words  # three sentences
    formula: str  # LaTeX, without the dollar signs
    strengths: Words
    weaknesses: Words


class SampleStep(NamedTuple):
    """One moment of sampling; the last one of an iterator is the result.

    Attributes:
        step: moments so far, 1 to num_steps.
        num_steps: moments in all.
        x: (B, C, H, W) in [-1, 1], what there is to see now.
        nfe: evaluations of the network so far.
    """

    step: int
    num_steps: int
    x: Tensor
    nfe: int


class DenoiseStep(NamedTuple):
    """One reverse step of a diffusion model: t, x_t and the predictions made from it, all (B, C, H, W)."""

    t: int
    xt: Tensor
    x0_hat: Tensor
    eps_hat: Tensor


class Batch(NamedTuple):
    """What one update sees.

    Attributes:
        x: (B, C, H, W) in [-1, 1], on the training device.
        labels: (B,) int64, on the training device.
        generator: the source of all randomness of the update, on the training device.
        progress: how much of the training is done, 0 to 1.
    """

    x: Tensor
    labels: Tensor
    generator: torch.Generator
    progress: float


class GenerativeModel(nn.Module):
    """A model that can be trained; capabilities are mixed in beside it.

    The constructor takes the frozen config dataclass that stands beside the model.
    """

    def make_optimizers(self, hp: Recipe) -> dict[str, Optimizer]:
        """The optimisers by the name of the network they update."""
        raise TypeError(f"{type(self).__name__} defines no optimisers.")

    def train_step(self, batch: Batch, optimizers: dict[str, Optimizer]) -> dict[str, float]:
        """One update of every network; returns the losses by name."""
        raise TypeError(f"{type(self).__name__} defines no training step.")

    def recalibrate(self, batches: Iterator[Batch]) -> None:
        """Recompute what averaged weights invalidate (batch norm's statistics); by default nothing."""


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

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, *latent_shape) standard normal latents -> (B, C, H, W) pictures in [-1, 1]."""
        raise TypeError(f"{type(self).__name__} does not decode.")


class Encodes:
    """Maps a picture to its latent."""

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, C, H, W) pictures in [-1, 1] -> (B, *latent_shape)."""
        raise TypeError(f"{type(self).__name__} does not encode.")


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

    def add_noise(self, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """x_t ~ q(x_t | x_0): (B, C, H, W), (B, C, H, W), (B,) int64 -> (B, C, H, W)."""
        raise TypeError(f"{type(self).__name__} adds no noise.")

    def denoise(
        self, xt: Tensor, *, labels: Tensor | None = None, generator: torch.Generator, **controls: Any
    ) -> Iterator[DenoiseStep]:
        """The reverse process from x_T, a step at a time."""
        raise TypeError(f"{type(self).__name__} does not denoise.")


class Completes:
    """Fills in the erased part of a picture."""

    def complete(
        self, x: Tensor, mask: Tensor, *, labels: Tensor | None, generator: torch.Generator, **controls: Any
    ) -> Iterator[SampleStep]:
        """Keep x where the (B, 1, H, W) mask is 1, draw the rest."""
        raise TypeError(f"{type(self).__name__} does not complete.")


class Translates:
    """Maps pictures of one domain to another."""

    def translate(self, x: Tensor, direction: str) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W); direction is ``ab`` or ``ba``."""
        raise TypeError(f"{type(self).__name__} does not translate.")


class Classifies:
    """Says which class a picture shows; its features are what quality is measured on."""

    def features(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1] -> (B, F)."""
        raise TypeError(f"{type(self).__name__} has no features.")

    def logits(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1] -> (B, K)."""
        raise TypeError(f"{type(self).__name__} does not classify.")


CAPABILITIES = (Samples, HasLatent, Encodes, HasLikelihood, Denoises, Completes, Translates, Classifies)


@dataclass(frozen=True)
class ModelSpec:
    """One row of every list of models: what it is, how it is built, trained and steered.

    Attributes:
        name: what the command line and ``pretrained/`` call it.
        title: what people call it.
        family: ``vae``, ``gan``, ``autoregressive``, ``flow``, ``diffusion`` or ``classifier``.
        year: of the paper.
        paper: its arXiv number.
        model: the class; ``model(config)`` builds it.
        config: its frozen config dataclass.
        recipe: how the shipped weights are trained.
        about: what a visitor reads.
        controls: the knobs of ``sample``.
        preview: control values for quick pictures while it trains.
        dataset: the data set of the shipped weights.
        conditional: whether it takes labels.
        levels: grey levels of its pictures, 256 or 2.
    """

    name: str
    title: str
    family: str
    year: int
    paper: str
    model: type[GenerativeModel]
    config: Any
    recipe: Recipe
    about: About
    controls: tuple[Control, ...] = ()
    preview: Mapping[str, Any] = field(default_factory=dict)
    dataset: str = "mnist"
    conditional: bool = False
    levels: int = 256

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Names of the capabilities its class mixes in."""
        return tuple(c.__name__ for c in CAPABILITIES if issubclass(self.model, c))

    def build(self, seed: int = 0) -> GenerativeModel:
        """A fresh, untrained model; the same seed builds the same weights."""
        with seeded(seed):
            return self.model(self.config)

    def defaults(self) -> dict[str, Any]:
        """The controls at their defaults."""
        return {control.key: control.default for control in self.controls}
