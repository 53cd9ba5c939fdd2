"""Where a training goes on: from its own checkpoint, or from the weights that are shipped.

A switch that is given to a run that goes on wins over how the earlier part left it, and counts from there on.
"""

from collections.abc import Mapping
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from playground import distributed, weights
from playground.training import Training
from playground.weights import WeightsError


def save(training: Training, path: Path, extra: Mapping[str, Any] | None = None) -> None:
    """Write a run's whole state and `extra`, whole or not at all."""
    buffer = BytesIO()
    state = {
        "spec": training.spec.name, "dataset": training.dataset, "seed": training.seed,
        "recipe": asdict(training.planned), "step": training.step, "elapsed": training.elapsed,
        "budgets": training.budgets, "changes": training.changes, "num_images": training.num_images,
        "model": training.model.state_dict(), "memory": training.model.memory(),
        "ema": training.ema.state_dict() if training.ema is not None else None,
        "optimizers": {name: o.state_dict() for name, o in training.optimizers.items()},
        "generator": training.generator.get_state(), "origin": training.origin, "teacher": training.teacher,
        "freed": training.freed, "extra": dict(extra or {}),
    }  # fmt: skip
    torch.save(state, buffer)
    weights.atomic_write(path, buffer.getvalue())


def resume(training: Training, path: Path) -> dict[str, Any]:
    """Put a fresh run where a checkpoint was written; returns what was saved beside its state.

    Raises:
        WeightsError: if it cannot be read or belongs to another model, recipe, data set or seed.
    """
    try:
        state = torch.load(path, map_location=training.device, weights_only=True)
    except Exception as error:  # torch.load raises whatever the damaged bytes lead it to
        why = type(error).__name__
        raise WeightsError("errors.checkpoint_unreadable", path=path, why=why) from error
    if not isinstance(state, dict):
        raise WeightsError("errors.checkpoint_unreadable", path=path, why=type(state).__name__)
    own = {"spec": training.spec.name, "dataset": training.dataset, "seed": training.seed}
    for key, value in (own | {"recipe": asdict(training.planned)}).items():
        if state.get(key) != value:
            raise WeightsError("errors.checkpoint_other", path=path, what=key)
    turned = training.continue_from(state.get("changes", []))
    training.model.load_state_dict(state["model"])
    training.model.remember(state.get("memory", {}))
    if training.ema is not None:
        training.ema.load_state_dict(state["ema"])
    for name, optimizer in training.optimizers.items():
        optimizer.load_state_dict(state["optimizers"][name])
    training.step, training.elapsed = state["step"], state["elapsed"]
    training.num_images = state.get("num_images", training.step * training.recipe.batch_size)
    training.generator.set_state(state["generator"].cpu())
    if distributed.rank():  # the state is the main process's
        training.generator.manual_seed(distributed.stream(training.seed + training.step))
    training.origin, training.teacher = state.get("origin"), state.get("teacher", "")
    training.freed = state.get("freed", [])
    training.budgets = state["budgets"] + [m for m in training.budgets if m != state["budgets"][-1]]
    _turn(training, turned)
    return state["extra"]


def from_weights(training: Training) -> None:
    """Put a fresh run where the shipped weights were left, with optimisers that start anew.

    Raises:
        WeightsError: if the weights are missing, damaged or do not fit.
    """
    card = weights.read_card(training.spec.name)
    turned = training.continue_from(card.get("changes", []), card.get("switches", {}))
    weights.load_state(training.spec.name, training.model)
    if training.ema is not None:
        training.ema.module.load_state_dict(training.model.state_dict())
        training.ema.n_averaged.fill_(card["num_steps"])
    training.step, training.elapsed = card["num_steps"], 60 * card["training_minutes"]
    training.num_images, training.origin = card["num_images"], card["sha256"]
    training.budgets, training.freed = card["minutes"] + training.budgets, card.get("freed", [])
    _turn(training, turned)


def _turn(training: Training, switches: Mapping[str, Any]) -> None:
    """Tune what can be tuned in the middle of a run."""
    fixed = [s.key for s in training.spec.switches if s.key in switches and not s.live]
    if fixed:
        raise WeightsError("errors.switch_fixed", what=", ".join(fixed))
    if switches:
        training.tune(switches)
