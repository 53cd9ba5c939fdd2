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

from playground import checkpoint, data, device, distributed, freezing, registry, replay, weights
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
    free: str | None = None,
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
        free: go on from the shipped weights, and only the parameters whose names this regular expression
            finds learn and are written (`freezing`); the replay stays that of the training before.

    Raises:
        WeightsError: if the checkpoint does not fit.
        ValueError: if `free` finds no parameter.
        TrainingDiverged: if a loss is not finite.
    """
    spec = registry.spec(name)
    images = data.load(spec.dataset, "train")
    path = checkpoint_path(name)
    with distributed.together() as where:
        training = Training(spec, images, seed=seed, device=where, minutes=minutes, switches=switches)
        recorder = _stand(training, path, resume, from_weights, free)
        yield from _run(training, recorder, path)
        _keep(training, recorder, path)
        if distributed.is_main():
            _write(training, recorder, free)


def _stand(
    training: Training, path: Path, resume: bool, from_weights: bool, free: str | None
) -> replay.Recorder:
    """Put a fresh run where it goes on from: its checkpoint, the shipped weights or the beginning."""
    if resume and path.is_file():
        recorder = replay.Recorder(checkpoint.resume(training, path)["replay"])
        _same(training, free, path)
    else:
        recorder = _go_on_from_weights(training) if from_weights or free else replay.Recorder()
        if free or training.freed:
            training.freed = [*training.freed, (training.step, free or "")]  # "" finds every name
    if free:
        freezing.freeze(training.model, free)
    return recorder


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


def _same(training: Training, free: str | None, path: Path) -> None:
    """Refuse a checkpoint whose run had other parameters free, or went on from other weights."""
    if (training.freed[-1][1] if training.freed else "") != (free or ""):
        raise weights.WeightsError("errors.checkpoint_other", path=path, what="--free")
    if free and weights.read_card(training.spec.name)["sha256"] != training.origin:
        raise weights.WeightsError("errors.checkpoint_other", path=path, what="sha256")


def _write(training: Training, recorder: replay.Recorder, free: str | None) -> None:
    """Write weights, card and replay, or the shipped weights with only what was free in them anew."""
    name, state, said = training.spec.name, training.best_model().state_dict(), card(training)
    if not free:
        weights.save(name, state, said)
        recorder.write(name)
        return
    said["precision"] = weights.read_card(name).get("precision", "float32")
    before = training.spec.build(0)
    weights.load_state(name, before)
    weights.save(name, freezing.merge(before, before.state_dict(), state, free), said)


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
        "freed": training.freed,
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
    freed = (
        (f", in part with `--free '{pattern}'`" if pattern else ", whole again") + f" from update {step:,} on"
        for step, pattern in training.freed
    )
    by = f"`python -m playground pretrain {spec.name}`"
    return f"trained {start} by {by}{''.join(turned)}{''.join(freed)}"


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
