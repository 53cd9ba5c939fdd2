"""The full run behind every shipped model: train by the recipe with checkpoints, write weights and card."""

import datetime
import importlib.metadata
import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from playground import checkpoint, data, device, distributed, registry, replay, weights
from playground.paths import cache_folder
from playground.training import TrainEvent, Training, TrainingDiverged, train

CHECKPOINT_SECONDS = 120.0
_LIBRARIES = ("torch", "numpy", "diffusers", "safetensors")


def checkpoint_path(name: str) -> Path:
    """Where the checkpoint of a model's run is kept."""
    return cache_folder() / "checkpoints" / f"{name}.pt"


def pretrain(
    name: str,
    *,
    minutes: float | None = None,
    resume: bool = False,
    from_weights: bool = False,
    seed: int = 0,
    switches: Mapping[str, Any] | None = None,
) -> Iterator[TrainEvent]:
    """Train a model by its recipe, yielding after every update; ends by writing weights, card and replay.

    Closing the iterator (or an interrupt) leaves a checkpoint from which ``resume`` goes on. Of several
    launched processes all train, and the main one writes.

    Args:
        name: of the model.
        minutes: train for this long instead of the recipe's number of steps; decay follows.
        resume: go on from the checkpoint, if there is one.
        from_weights: without a checkpoint, go on from the shipped weights, with optimisers that start anew.
        seed: of the initial weights, the order of the pictures and all noise.
        switches: checked values by key that differ from the spec's; the card tells of them.

    Raises:
        WeightsError: if the checkpoint does not fit.
        TrainingDiverged: if a loss is not finite.
    """
    spec = registry.spec(name)
    images = data.load(spec.dataset, "train")
    path = checkpoint_path(name)
    with distributed.together() as where:
        training = Training(spec, images, seed=seed, device=where, minutes=minutes, switches=switches)
        if resume and path.is_file():
            recorder = replay.Recorder(checkpoint.resume(training, path)["replay"])
        else:
            recorder = _go_on_from_weights(training) if from_weights else replay.Recorder()
        yield from _run(training, recorder, path)
        _keep(training, recorder, path)
        if distributed.is_main():
            weights.save(name, training.best_model().state_dict(), card(training))
            recorder.write(name)


def _run(training: Training, recorder: replay.Recorder, path: Path) -> Iterator[TrainEvent]:
    """Train to the end, with checkpoints, one of them when it is interrupted."""
    saved = time.monotonic()
    try:
        for event in train(training, preview="moments" if distributed.is_main() else None):
            recorder.record(event)
            yield event
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                _keep(training, recorder, path)
                saved = time.monotonic()
    except TrainingDiverged:
        raise  # the last checkpoint is better than this state
    except BaseException:
        _keep(training, recorder, path)
        raise


def _keep(training: Training, recorder: replay.Recorder, path: Path) -> None:
    """Write a checkpoint, one for all processes."""
    if distributed.is_main():
        checkpoint.save(training, path, {"replay": recorder.state()})


def _go_on_from_weights(training: Training) -> replay.Recorder:
    """Put a fresh run where the shipped weights stand; the replay so far is returned, to go on with."""
    checkpoint.from_weights(training)
    past = replay.read(training.spec.name)
    return replay.Recorder({"points": past["losses"], "frames": past["frames"], "every": past["every"]})


def card(training: Training) -> dict[str, Any]:
    """Everything about a run that its weights should say of themselves, but for the metrics."""
    spec = training.spec
    return {
        "name": spec.name,
        "title": spec.title,
        "family": spec.family,
        "year": spec.year,
        "paper": f"arXiv:{spec.paper}" if spec.paper else "",
        "summary": spec.about.summary.en,
        "source": source(training),
        "licence": "Apache-2.0",
        "dataset": training.dataset,
        "recipe": asdict(training.planned),
        "config": asdict(spec.config),
        "switches": training.switches,
        "changes": [[step, values] for step, values in training.changes],
        "num_parameters": sum(p.numel() for p in training.model.parameters()),
        "seed": training.seed,
        "num_steps": training.step,
        "num_processes": distributed.size(),
        "num_images": training.num_images,
        "minutes": training.budgets,
        "went_on_from": training.origin,
        "started_from": training.teacher,
        "training_minutes": round(training.elapsed / 60, 1),
        "device": device.title(training.device),
        "num_threads": torch.get_num_threads(),
        "date": datetime.date.today().isoformat(),
        "libraries": {library: _version(library) for library in _LIBRARIES}
        | {"python": platform.python_version()},
        "metrics": {},
    }


def source(training: Training) -> str:
    """What the training started from, by which command, and which switches were turned when."""
    spec, start = training.spec, "from scratch"
    if training.teacher:
        start = f"from the weights of {spec.starts_from} (sha256 {training.teacher})"
    turned = (
        f", with `--set {key}={value}` from update {step:,} on"
        for step, values in training.changes
        for key, value in values.items()
    )
    return f"trained {start} by `python -m playground pretrain {spec.name}`{''.join(turned)}"


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
