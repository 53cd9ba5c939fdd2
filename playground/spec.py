"""What a generative model is here: its specification, its controls and what it can do.

A model file (``models/*.py``) defines a subclass of `GenerativeModel`, mixes in the capabilities it has and
lists its variants in ``SPECS``. Everything else (drop-downs, sliders, tabs, command line, tests) follows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from playground.capabilities import (
    CAPABILITIES,
    Classifies,
    Completes,
    Denoises,
    DenoiseStep,
    Encodes,
    Flows,
    FlowStep,
    HasCodes,
    HasLatent,
    HasLikelihood,
    HasPosterior,
    HasScore,
    HasStyles,
    Jumps,
    PredictsPixels,
    Samples,
    SampleStep,
)
from playground.capabilities_translation import JudgesPatches, Translates
from playground.capabilities_words import FollowsWords, WordStep
from playground.seeding import seeded

__all__ = [
    "CAPABILITIES", "About", "Batch", "Classifies", "Completes", "Control", "DenoiseStep", "Denoises",
    "Encodes", "FlowStep", "Flows", "FollowsWords", "GenerativeModel", "HasCodes", "HasLatent",
    "HasLikelihood", "HasPosterior", "HasScore", "HasStyles", "JudgesPatches", "Jumps", "ModelSpec",
    "PredictsPixels", "Published", "Recipe", "SampleStep", "Samples", "Switch", "Translates", "WordStep",
    "Words",
]  # fmt: skip


class Words(NamedTuple):
    """One phrase in the languages of the interface."""

    en: str
    zh: str


@dataclass(frozen=True)
class Control:
    """One knob of a model's sampler: a slider (numbers), drop-down (choices), tick box (bool) or words."""

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
        """One of ``choice``, ``bool``, ``int``, ``float`` and ``str``, which is words."""
        if self.choices:
            return "choice"
        return type(self.default).__name__


@dataclass(frozen=True)
class Switch(Control):
    """One technique of a training.

    Attributes:
        live: whether it may be turned while the training runs.
        needs: keys of other switches, and the values of each at which alone this one has an effect.
    """

    live: bool = True
    needs: tuple[tuple[str, tuple[Any, ...]], ...] = ()


@dataclass(frozen=True)
class Recipe:
    """Every hyper-parameter of a training run.

    Attributes:
        num_steps: updates of a full run; `minutes` given to the trainer replaces it by wall-clock time.
        batch_size: images an update.
        lr: peak learning rate of every optimiser that does not set its own.
        betas: Adam's decay rates. A GAN's optimisers go by its techniques instead, which switches turn;
            its recipe repeats what they start from.
        weight_decay: AdamW's decoupled weight decay.
        warmup: updates over which the learning rate rises linearly to its peak.
        decay: how it falls to ``final_lr * lr``: ``cosine``, ``linear``, ``linear, second half`` (at its
            peak until the middle of the run) or ``none``.
        final_lr: the last learning rate as a fraction of the peak.
        ema: decay of the exponential moving average of the weights, 0 for none.
        max_norm: gradients are clipped to this norm, 0 for no clipping.
        extra: read by no model, and empty; it stays because every card and checkpoint has it.
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
class Published:
    """Where weights lie that others trained and published; they are downloaded on first use.

    Attributes:
        page: what a person opens to read about them.
        licence: under which they are published.
        num_bytes: to download, about.
        files: their names, those of the folder that `GenerativeModel.take_over` reads.
        repo: of the Hugging Face Hub, where they lie there.
        revision: the commit of that repository that is meant.
        url: what stands before their names on the web, where they lie elsewhere.
        num_pictures: a sensible number to draw at once on a small machine.
    """

    page: str
    licence: str
    num_bytes: int
    files: tuple[str, ...]
    repo: str = ""
    revision: str = ""
    url: str = ""
    num_pictures: int = 16


@dataclass(frozen=True)
class About:
    """What a visitor reads about a model."""

    summary: Words  # three sentences
    formula: str  # LaTeX, without the dollar signs
    strengths: Words
    weaknesses: Words


class Batch(NamedTuple):
    """What one update sees.

    Attributes:
        x: (B, C, H, W) in [-1, 1], on the training device.
        labels: (B,) int64, on the training device.
        generator: the source of all randomness of the update, on the training device.
        progress: how much of the training is done, 0 to 1.
        step: updates before this one.
    """

    x: Tensor
    labels: Tensor
    generator: torch.Generator
    progress: float
    step: int = 0


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

    def tune(self, values: Mapping[str, Any]) -> None:
        """Turn switches of the spec, by key, to values already checked; the rest stay as they are."""
        if values:
            raise TypeError(f"{type(self).__name__} has no switches.")

    def learn_from(self, teacher: "GenerativeModel") -> None:
        """Before a training that starts from a shipped model: take over what fits by name and shape.

        The teacher is shared and read-only; a model that needs it while it trains keeps a copy.
        """
        own, known = self.state_dict(), teacher.state_dict()
        fitting = {key: v for key, v in known.items() if key in own and v.shape == own[key].shape}
        self.load_state_dict(own | fitting)

    def memory(self) -> dict[str, Tensor]:
        """What a training keeps beside the weights (old fakes, say), for a checkpoint; by default nothing."""
        return {}

    def remember(self, memory: Mapping[str, Tensor]) -> None:
        """Take over what `memory` returned before the checkpoint."""

    def take_over(self, files: Path) -> None:
        """Become the published model whose files lie in a folder; raises whatever a damaged file leads to."""
        raise TypeError(f"{type(self).__name__} has no published weights.")

    def recalibrate(self, batches: Iterator[Batch]) -> None:
        """Recompute what averaged weights invalidate (batch norm's statistics); by default nothing."""


@dataclass(frozen=True)
class ModelSpec:
    """One row of every list of models: what it is, how it is built, trained and steered.

    Attributes:
        name: what the command line and ``pretrained/`` call it.
        title: what people call it.
        family: ``vae``, ``gan``, ``autoregressive``, ``flow``, ``diffusion``, ``hybrid`` (of GAN and
            diffusion) or ``classifier``.
        year: of the paper.
        paper: its arXiv number, empty where it is not there.
        model: the class; ``model(config)`` builds it.
        config: its frozen config dataclass.
        recipe: how the shipped weights are trained.
        about: what a visitor reads.
        controls: the knobs of ``sample``.
        switches: the knobs of its training.
        preview: control values for quick pictures while it trains.
        dataset: the data set of the shipped weights.
        conditional: whether it takes labels.
        exemplary: whether it stands for its family where there is room for one of each.
        levels: grey levels of its pictures, 256 or 2.
        starts_from: the shipped model from whose weights a training starts (distillation), or nothing.
        published: where its weights come from if others trained them; it is then not trained here.
        citation: of a paper that is not on arXiv.
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
    switches: tuple[Switch, ...] = ()
    preview: Mapping[str, Any] = field(default_factory=dict)
    dataset: str = "mnist"
    conditional: bool = False
    exemplary: bool = False
    levels: int = 256
    starts_from: str = ""
    published: Published | None = None
    citation: str = ""

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
