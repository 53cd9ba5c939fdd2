"""The Likelihood tab's endpoints: how likely pictures are under a model, and filling in what is erased."""

import math
import time
from collections.abc import Iterator
from typing import Any

import gradio as gr
import torch
from torch import Tensor

from playground import figures, judge, scoring, validation
from playground.families import NUM_DRAWS
from playground.spec import ModelSpec, SampleStep
from playground.tabs import common, digit_pad
from playground.tabs.likelihood_anomaly import is_digits
from playground.tabs.runs import Run
from playground.validation import InvalidInput

KIND = "likelihood"
MAX_PICTURES = 16


def look_up(name: Any, capability: str) -> ModelSpec:
    """The spec of a model of digits with a capability; lacking it is another refusal than not existing."""
    spec = common.look_up(name, "Samples")
    if capability not in spec.capabilities:
        raise InvalidInput(f"likelihood.lacks_{capability}", model=spec.title)
    if not is_digits(spec):
        raise InvalidInput("likelihood.not_digits", model=spec.title)
    return spec


def likelihood(
    name: str,
    pictures: list[str],
    label: str = "any",
    seed: int = 0,
    request: gr.Request | None = None,
) -> dict[str, Any]:
    """Measure how likely digits are under one model.

    Args:
        name: of a model with a likelihood, as `/models` lists them.
        pictures: 1 to 16 digits, each a PNG, JPEG or WebP file as a data URI, or "test:INDEX" of MNIST's test
            set; they are centred and scaled as MNIST's are, and put on the model's grey levels.
        label: "any" (log p(x), every class as likely; a diffusion model is told none), or one, 0 to 9.
        seed: of what is random: coin flips for two grey levels, a bound's and dequantisation's noise.
        request: filled in by the server.

    Returns:
        {"model", "kind": "exact", "bound" (a lower one) or "dequantised", "levels": 2 or 256, "group": only
        numbers of one group compare, "label", "draws": that each number is the mean of, "num": pictures,
        "pictures": for each {"nats": log-likelihood, "bits_per_dim"}, "mean_nats", "mean_bits_per_dim"}.
        A number that is not finite is null.
    """
    spec = look_up(name, "HasLikelihood")
    wanted, seed = validation.label(label, spec), validation.seed(seed)
    if not isinstance(pictures, list | tuple) or not 1 <= len(pictures) <= MAX_PICTURES:
        got = len(pictures) if isinstance(pictures, list | tuple) else validation.shown(pictures)
        raise InvalidInput("likelihood.pictures", maximum=MAX_PICTURES, value=got)
    x = [scoring.on_levels(digit_pad.read(one), scoring.levels(spec), seed) for one in pictures]
    session = common.session(request)
    with common.RUNS.open(session, KIND) as run:
        nats = list(scored(name, spec, x, wanted, seed, run, session))
    if len(nats) < len(x):
        raise InvalidInput("likelihood.was_stopped")
    return {
        "model": spec.name, "kind": scoring.kind(spec), "levels": scoring.levels(spec),
        "group": scoring.group(spec), "label": wanted, "draws": draws(spec), "num": len(x),
        "pictures": [numbers(value, x[0]) for value in nats],
        **{f"mean_{key}": value for key, value in numbers(sum(nats) / len(nats), x[0]).items()},
    }  # fmt: skip


def draws(spec: ModelSpec) -> int:
    """How many draws a number of a model's likelihood is the mean of; one if nothing is random."""
    return 1 if scoring.kind(spec) == "exact" else NUM_DRAWS


def scored(
    name: str, spec: ModelSpec, x: list[Tensor], label: int | None, seed: int, run: Run, session: str
) -> Iterator[float]:
    """Each picture's log-likelihood in nats; fewer of them if the run is stopped."""
    with run.turn():
        model = common.obtain(name, session)
    num = draws(spec)
    labels = None if label is None else torch.full((num,), label)
    for one in x:
        if run.stopped:
            return
        with run.turn():
            yield float(scoring.log_prob(model, one.expand(num, -1, -1, -1), labels, seed).mean())


def numbers(nats: float, x: Tensor) -> dict[str, float | None]:
    """A log-likelihood in both units; what is not finite has no place in JSON."""
    if not math.isfinite(nats):
        return {"nats": None, "bits_per_dim": None}
    return {"nats": nats, "bits_per_dim": scoring.bits_per_dim(nats, x[0].numel())}


def complete(
    name: str,
    picture: str,
    mask: str = "lower",
    label: str = "any",
    seed: int = 0,
    n: int = 1,
    controls: dict[str, Any] | None = None,
    request: gr.Request | None = None,
) -> dict[str, Any]:
    """Fill in the erased part of a digit with a model that can.

    Args:
        name: of a model that completes, as `/models` lists them.
        picture: the digit, a PNG, JPEG or WebP file as a data URI, or "test:INDEX" of MNIST's test set.
        mask: the half to erase, "lower", "upper", "right" or "left"; or 784 characters, row by row, 0 for a
            pixel that is erased and 1 for one that is kept.
        label: "any", or one, 0 to 9, for a model that takes it. For "any" an autoregressive model draws each
            completion's from what it believes after the kept pixels before the first erased one.
        seed: 0 to 4294967295; the same seed fills it in the same way.
        n: ways to fill it in, 1 to 16.
        controls: of the model, as `/models` lists them; of diffusion only num_steps and guidance count here.
        request: filled in by the server.

    Returns:
        {"model", "request", "picture": the digit as the model sees it, "erased": the same without what was
        erased, "png": the ways to fill it in, side by side, all three data URIs, "nfe": network evaluations,
        "milliseconds": measured here}.
    """
    spec = look_up(name, "Completes")
    asked: dict[str, Any] = {
        "label": validation.label(label, spec), "seed": validation.seed(seed),
        "n": validation.count(n, 1, MAX_PICTURES), "controls": validation.controls(spec, controls),
    }  # fmt: skip
    kept = digit_pad.read_mask(mask)
    x = scoring.on_levels(digit_pad.read(picture), scoring.levels(spec), asked["seed"])
    last, seconds = filled(name, x, kept, asked, common.session(request))
    shown = {"picture": x, "erased": torch.where(kept > 0, x, 0.0), "png": last.x}
    seen = {key: figures.png_data_uri(figures.grid(one)) for key, one in shown.items()}
    return {"model": spec.name, "request": asked, **seen, "nfe": last.nfe, "milliseconds": 1000 * seconds}


def filled(
    name: str, x: Tensor, kept: Tensor, asked: dict[str, Any], session: str
) -> tuple[SampleStep, float]:
    """The last moment of a completion and the seconds it took; raises InvalidInput if it was stopped."""
    with common.RUNS.open(session, KIND) as run:
        with run.turn():
            model = common.obtain(name, session)
        where, num = judge.device_of(model), asked["n"]
        labels = None if asked["label"] is None else torch.full((num,), asked["label"], device=where)
        many, mask = (one.to(where).expand(num, -1, -1, -1) for one in (x, kept))
        generator = torch.Generator().manual_seed(asked["seed"])
        steps = model.complete(many, mask, labels=labels, generator=generator, **asked["controls"])
        last, seconds = None, 0.0
        while not run.stopped:
            with run.turn():
                started = time.perf_counter()
                moment = next(steps, None)
                seconds += time.perf_counter() - started
            if moment is None:
                break
            last = moment
        if last is not None and not run.stopped:
            return last, seconds
    raise InvalidInput("likelihood.was_stopped")
