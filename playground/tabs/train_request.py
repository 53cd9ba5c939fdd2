"""What the Train tab is asked for and what it hands out: checked requests, reports, files."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from playground import figures, jobs, locale, previews, registry, scratch, validation, weights
from playground.data import pairs
from playground.job import JobView, Request
from playground.schedules import idle, switches_of
from playground.spec import ModelSpec, Words
from playground.validation import Term, say

DATASETS = ("mnist", "fashion_mnist")  # of one shape, so that a model of one can be trained on the other
MAX_STEPS, MAX_API_STEPS, MAX_MINUTES, MAX_BATCH = 100_000, 2_000, 120.0, 1024


def datasets(spec: ModelSpec) -> tuple[str, ...]:
    """What a model can be trained on."""
    return DATASETS if spec.dataset in DATASETS else (spec.dataset,)


def trainable(model: Any) -> ModelSpec:
    """A model that can be trained here: it draws or translates."""
    return registry.spec(validation.choice(model, "model", previews.names()))


def check(
    model: Any,
    dataset: Any,
    seed: Any,
    num_steps: Any,
    minutes: Any,
    lr: Any,
    batch_size: Any,
    switches: Any = None,
) -> Request:
    """A training as it was asked for, every value checked; what is None follows the model's recipe.

    `switches` is a mapping from names to values, as `validation.switches` takes them, or None.
    """
    spec = trainable(model)
    recipe = spec.recipe
    if num_steps is not None:
        recipe = replace(recipe, num_steps=validation.integer(num_steps, "num_steps", 1, MAX_STEPS))
    if lr is not None:
        recipe = replace(recipe, lr=validation.number(lr, "lr", 1e-6, 1.0))
    if batch_size is not None:
        recipe = replace(recipe, batch_size=validation.integer(batch_size, "batch_size", 1, MAX_BATCH))
    recipe = replace(recipe, warmup=min(recipe.warmup, recipe.num_steps // 10))
    if minutes is not None:
        minutes = validation.number(minutes, "minutes", 0, MAX_MINUTES) or None
    name = validation.dataset(dataset, datasets(spec))
    turned = validation.switches(spec, recipe, switches, running=False)
    return Request(spec, name, recipe, validation.seed(seed), minutes, turned)


def data_title(name: str) -> str:
    """What people call a data set."""
    if name in pairs.LOADERS:
        a, b = pairs.pair(name).domains
        return f"{a.title.en} / {b.title.en}" + (" (unpaired)" if name.endswith("_unpaired") else "")
    return {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}.get(name, name)


def notes(view: JobView) -> list[Term]:
    """A sentence for every switch that was turned and has no effect as the others stand."""
    asked = view.request
    standing, found = asked.standing() | dict(view.switches), []
    for switch, other in idle(asked.spec, asked.recipe, standing):
        value = called(standing[other.key])
        found.append(Term("train.no_effect", {"switch": switch.label, "other": other.label, "value": value}))
    return found


def called(choice: str) -> str | Words:
    """How a choice of a switch is called: by its value, if there is no phrase."""
    key = f"train.choice.{choice}"
    return locale.words(key) if key in locale.table("en") else choice


def turned(values: Mapping[str, Any], spec: ModelSpec) -> Words:
    """Switches, by key, and what they are turned to, as people call them: "Loss → hinge, Noise → 0.5"."""
    labels = {switch.key: switch.label for switch in switches_of(spec, spec.recipe)}
    told = [(labels[key], told_value(value)) for key, value in values.items()]
    return Words(
        ", ".join(f"{label.en} → {value.en}" for label, value in told),
        "，".join(f"{label.zh} → {value.zh}" for label, value in told),
    )


def told_value(value: Any) -> Words:
    """How what a switch stands at is called."""
    if isinstance(value, bool):
        return locale.words("train.on" if value else "train.off")
    told = called(value) if isinstance(value, str) else f"{value:g}"
    return told if isinstance(told, Words) else Words(told, told)


def report(view: JobView, language: str) -> dict[str, Any]:
    """A job as the web API tells it."""
    event, found = view.event, view.diagnosis
    message = None if view.message is None else say(view.message, language)
    picture = None
    if view.moments:
        picture = figures.png_data_uri(figures.grid(view.moments[-1][1].permute(0, 2, 3, 1).numpy()))
    return {
        "state": view.state,
        "position": view.position,
        "step": event.step if event else 0,
        "num_steps": event.num_steps if event else view.request.recipe.num_steps,
        "losses": dict(event.metrics) if event else {},
        "switches": dict(view.switches),
        "notes": [say(note, language) for note in notes(view)],
        "changes": [{"step": step, "values": values} for step, values in view.changes],
        "class_entropy": found.class_entropy if found else None,
        "class_counts": list(found.counts) if found else None,
        "distinct": found.distinct if found else None,
        "images_per_second": round(event.images_per_second, 1) if event else None,
        "seconds_left": round(view.eta, 1) if math.isfinite(view.eta) else None,
        "samples": picture,
        "message": message,
    }


def files(job_id: str) -> tuple[Path, Path]:
    """Weights and card of a job that is over, written where gradio may serve them; old ones go."""
    model, card = jobs.worker().result(job_id)
    content, card = weights.pack(model.state_dict(), card)
    root = scratch.folder("trained")
    scratch.sweep(root)
    stem = f"{card['name']}-{card['dataset']}-step{card['num_steps']}-{card['sha256'][:8]}"
    paths = root / f"{stem}.safetensors", root / f"{stem}.json"
    weights.atomic_write(paths[0], content)
    weights.atomic_write(paths[1], (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode())
    return paths
