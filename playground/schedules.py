"""What goes by a timetable in a training: the learning rate, the average's decay, the moments of samples.

The learning rate and its decay are also the switches that every training has.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from playground.spec import GenerativeModel, ModelSpec, Recipe, Switch, Words

# of progress, when recording
_MOMENTS = (0.0, 0.01, 0.03, 0.07, 0.13, 0.21, 0.31, 0.43, 0.56, 0.7, 0.85, 1.0)
_LIVE_SHARE = 0.05  # of the time may go into live previews
DECAYS = ("cosine", "linear", "linear, second half", "none")
SWITCHES = (
    Switch("lr", Words("Learning rate", "学习率"), 1e-3, 1e-6, 1.0),
    Switch(
        "decay",
        Words("Decay of the learning rate", "学习率的衰减"),
        "cosine",
        choices=DECAYS,
        info=Words("How the learning rate falls over the training.", "训练过程中学习率如何下降。"),
    ),
)


def switches_of(spec: ModelSpec, recipe: Recipe) -> tuple[Switch, ...]:
    """Every switch of a model's training: those of all trainings as the recipe has them, then its own."""
    return (*(replace(switch, default=getattr(recipe, switch.key)) for switch in SWITCHES), *spec.switches)


def idle(spec: ModelSpec, recipe: Recipe, standing: Mapping[str, Any]) -> list[tuple[Switch, Switch]]:
    """The switches that were turned and have no effect, each with the other one that is the reason.

    Args:
        spec: of the model.
        recipe: of the training.
        standing: what every switch stands at, by key.
    """
    own = {switch.key: switch for switch in switches_of(spec, recipe)}
    turned = [switch for switch in own.values() if standing[switch.key] != switch.default]
    found = {
        switch.key: (switch, own[other])
        for switch in turned
        for other, values in switch.needs
        if other in own and standing[other] not in values
    }
    return list(found.values())


def lr_factor(recipe: Recipe, step: int, progress: float) -> float:
    """Linear warm-up, then decay to `final_lr` by progress; multiplies every optimiser's learning rate."""
    warm = min(1.0, (step + 1) / recipe.warmup) if recipe.warmup else 1.0
    shape = {
        "cosine": (1 + math.cos(math.pi * min(progress, 1.0))) / 2,
        "linear": 1 - min(progress, 1.0),
        "linear, second half": min(1.0, 2 - 2 * min(progress, 1.0)),
        "none": 1.0,
    }[recipe.decay]
    return warm * (recipe.final_lr + (1 - recipe.final_lr) * shape)


def average_model(model: GenerativeModel, decay: float) -> AveragedModel:
    """Exponential moving average whose decay rises from 0 to `decay`, so that the start fades soon."""

    def lerp(averaged: Any, current: Any, num_averaged: Tensor | int) -> None:
        n = float(num_averaged)
        torch._foreach_lerp_(list(averaged), list(current), 1 - min(decay, (1 + n) / (10 + n)))

    return AveragedModel(model, multi_avg_fn=lerp)


class PreviewClock:
    """Decides when it is time for samples."""

    def __init__(self, mode: str | None, progress: float, step: int) -> None:
        """`mode` as `training.train` has it, from where a run stands."""
        self.mode, self.next_at = mode, 0.0
        self.moments = [m for m in _MOMENTS if m > progress] if step else list(_MOMENTS)

    def due(self, progress: float, elapsed: float) -> bool:
        """Whether samples are wanted now."""
        if self.mode == "moments":
            passed = [m for m in self.moments if m <= progress]
            self.moments = self.moments[len(passed) :]
            return bool(passed)
        return self.mode == "live" and elapsed >= self.next_at

    def spent(self, seconds: float, elapsed: float) -> None:
        """Space the next live samples so that they take no more than their share."""
        self.next_at = elapsed + max(0.5, seconds / _LIVE_SHARE)
