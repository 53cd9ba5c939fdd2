"""The numbers on every card: quality, coverage, likelihood and speed.

Quality and coverage are measured on the features of this repository's own digit classifier, against the
training images: **these numbers compare only with each other**, never with published ones, and only at equal
numbers of samples. Beside each distance stands its floor, the same distance between as many test images and
the training images. Every entry is ``{"value": ..., "num": samples behind it, ...}``, ready for JSON.
"""

import math
import statistics
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor

from playground import (
    data,
    judge,
    metrics,
    reconstruction,
    registry,
    translation_scores,
    truncation,
    weights,
    wording,
)
from playground.device import title
from playground.judge import K, Metrics, class_entries, entry
from playground.measuring import BATCH, SEED, Clock, EvalEvent, Part, draw, labels_for
from playground.nn import rand
from playground.spec import (
    Classifies,
    FollowsWords,
    GenerativeModel,
    HasLatent,
    HasLikelihood,
    ModelSpec,
    Samples,
    Translates,
)

__all__ = ["EvalEvent", "evaluate_steps", "write_card"]

MIN_NUM, MAX_NUM = 16, 10_000
MAX_NEIGHBOURS = 5_000  # samples a side for those four
IWAE_SAMPLES = 500
PARTS = (
    "speed",
    "samples",
    "truncation",
    "likelihood",
    "iwae",
    "reconstruction",
    "accuracy",
    "wording",
    "translation",
)
_IWAE_BATCH = 10  # pictures at a time: 5,000 latents
_SPEED_RUNS, _SPEED_SECONDS = 5, 20.0  # at most, for one batch size


def evaluate_steps(
    name: str,
    num: int = MAX_NUM,
    *,
    model: GenerativeModel | None = None,
    only: tuple[str, ...] = PARTS,
) -> Iterator[EvalEvent]:
    """Everything that can be measured of a model, on `num` samples and `num` test images.

    Args:
        name: of the model.
        num: 16 to 10,000; all samples come from one pass with the controls at their defaults.
        model: other weights than the shipped ones, such as those of a run that has just ended.
        only: the parts to compute.

    Yields:
        Events; the last carries the metrics.

    Raises:
        ValueError: if `num` is out of range or the model draws something that is not finite.
        UnknownModel, WeightsError: as `registry.load`.
    """
    if isinstance(num, bool) or not isinstance(num, int) or not MIN_NUM <= num <= MAX_NUM:
        raise ValueError(f"An evaluation takes {MIN_NUM} to {MAX_NUM:,} samples; got {num!r}.")
    spec = registry.spec(name)
    model = registry.load(name) if model is None else model
    result = yield from _measured(spec, model, num, only)
    yield EvalEvent("done", num, num, 0.0, result)


def _measured(spec: ModelSpec, model: GenerativeModel, num: int, only: tuple[str, ...]) -> Part:
    """Those of the parts asked for that fit the model."""
    result: Metrics = {}
    if "speed" in only and isinstance(model, Samples):
        result |= yield from _speed(spec, model)
    if "samples" in only and isinstance(model, Samples) and judge.of(spec.dataset) is not None:
        result |= yield from _samples(spec, model, min(num, len(data.load(spec.dataset, "test"))))
    if "truncation" in only and truncation.applies(spec):
        result |= yield from truncation.measure(spec, model, min(num, truncation.MAX_NUM))
    if "likelihood" in only and isinstance(model, HasLikelihood):
        result |= (yield from _likelihood(spec, model, num)) | _round_trip(spec, model)
    if "iwae" in only and hasattr(model, "iwae"):
        result |= yield from _iwae(spec, model, num)
    if "reconstruction" in only and reconstruction.applies(spec):
        result |= yield from reconstruction.measure(spec, model, num)
    if "accuracy" in only and isinstance(model, Classifies):
        result |= yield from _accuracy(spec, model, num)
    if "wording" in only and isinstance(model, FollowsWords):
        result |= yield from wording.measure(spec, model, num)
    if "translation" in only and isinstance(model, Translates):
        result |= yield from translation_scores.measure(spec, model, num)
    return result


def write_card(name: str, result: Metrics) -> None:
    """Put metrics on a shipped model's card, in place of those of the same name; its texts are the spec's."""
    card = registry.card(name)
    summary = registry.spec(name).about.summary.en
    weights.write_card(name, card | {"summary": summary, "metrics": card.get("metrics", {}) | result})


@torch.no_grad()
def _samples(spec: ModelSpec, model: GenerativeModel, num: int) -> Part:
    """One pass of sampling and all that is computed on it."""
    fake, answers = yield from draw(spec, model, num, Clock("samples", num))
    for split in ("train", "test"):
        clock = Clock("reference", len(data.load(spec.dataset, split)))
        for done in judge.features_steps(spec.dataset, split, spec.levels):
            yield clock.event(done)
    real, held_out = (judge.features(spec.dataset, split, spec.levels) for split in ("train", "test"))
    held_out = held_out[judge.some(len(held_out), num)]
    result = _distances(real, held_out, fake) | class_entries(answers)
    result["inception_score"] = entry(metrics.inception_score(answers), num)
    if (asked := labels_for(spec, num, answers.device)) is not None:
        result["label_accuracy"] = entry((answers.argmax(1) == asked).double().mean().item(), num)
    return result


def _distances(real: Tensor, held_out: Tensor, fake: Tensor) -> Metrics:
    """Frechet and kernel distance and the neighbours' four, each beside the value of real test images."""
    num, num_real = len(fake), len(real)
    floor, distance = metrics.fid(real, held_out), metrics.fid(real, fake)
    floors = {"num_real": num_real, "floor": round(floor, 5), "times_floor": round(distance / floor, 2)}
    kernel_floor = round(metrics.kid(real, held_out), 6)
    result = {
        "fid": entry(distance, num, **floors),
        "kid": entry(metrics.kid(real, fake), num, num_real=num_real, floor=kernel_floor),
    }
    few = min(num, MAX_NEIGHBOURS)
    most = min(num_real, MAX_NEIGHBOURS)  # among few real ones the balls would be large, and anything precise
    for size, keys in ((most, ("precision", "density")), (few, ("recall", "coverage"))):
        subset = real[judge.some(num_real, size)]
        reach = metrics.radii(subset, K)
        found, best = (metrics.neighbours(subset, x[:few], K, reach)._asdict() for x in (fake, held_out))
        for key in keys:
            result[key] = entry(found[key], few, num_real=size, k=K, real=round(best[key], 4))
    return result


@torch.no_grad()
def _likelihood(spec: ModelSpec, model: GenerativeModel, num: int) -> Part:
    """Negative log-likelihood of test images in nats and bits per dimension; lower is better."""
    clock, generator = Clock("likelihood", num), torch.Generator().manual_seed(SEED)
    scorer, values = cast(HasLikelihood, model), []
    for x, labels in _test_batches(spec, model, num, BATCH):
        given = labels if spec.conditional else None
        values.append(-scorer.log_prob(x, given, generator=generator).cpu().double())
        yield clock.event(sum(map(len, values)))
    facts = {"kind": scorer.likelihood, "levels": scorer.levels, "given_label": spec.conditional}
    return _nats("nll", torch.cat(values), math.prod(x.shape[1:]), facts)


@torch.no_grad()
def _iwae(spec: ModelSpec, model: GenerativeModel, num: int) -> Part:
    """The importance-weighted bound (Burda et al. 2015, arXiv:1509.00519, eq. 8), tighter than the ELBO."""
    clock, generator, values = Clock("iwae", num), torch.Generator().manual_seed(SEED), []
    for x, labels in _test_batches(spec, model, num, _IWAE_BATCH):
        given = {"labels": labels} if spec.conditional else {}
        values.append(-cast(Any, model).iwae(x, IWAE_SAMPLES, generator, **given).cpu().double())
        yield clock.event(sum(map(len, values)))
    facts = {"kind": "bound", "levels": cast(HasLikelihood, model).levels, "num_latents": IWAE_SAMPLES}
    facts["given_label"] = spec.conditional
    return _nats("iwae", torch.cat(values), math.prod(x.shape[1:]), facts)


def _nats(key: str, nats: Tensor, num_dims: int, facts: dict[str, Any]) -> Metrics:
    """(N,) nats as two entries; the error is the standard error of the mean."""
    num, mean = len(nats), nats.mean().item()
    error = nats.std().item() / math.sqrt(num)
    bits = 1 / (num_dims * math.log(2))
    return {
        f"{key}_nats": entry(mean, num, error=float(f"{error:.2g}"), **facts),
        f"{key}_bits_per_dim": entry(mean * bits, num, error=float(f"{error * bits:.2g}"), **facts),
    }


def _test_batches(
    spec: ModelSpec, model: GenerativeModel, num: int, size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """`num` random test images on as many grey levels as the model's likelihood has, and their labels."""
    images, device = data.load(spec.dataset, "test"), judge.device_of(model)
    chosen = judge.some(len(images), num)
    x = torch.cat(list(judge.pictures(images.images, getattr(model, "levels", spec.levels))))
    for rows in chosen.split(size):
        yield x[rows].to(device), images.labels[rows].to(device)


@torch.no_grad()
def _round_trip(spec: ModelSpec, model: GenerativeModel) -> Metrics:
    """The largest |decode(encode(x)) - x| of a flow on dequantised pictures; nothing for other models."""
    if not isinstance(model, HasLatent) or cast(HasLikelihood, model).likelihood != "dequantised":
        return {}
    x, labels = next(_test_batches(spec, model, 256, 256))
    given, generator = labels if spec.conditional else None, torch.Generator().manual_seed(SEED)
    x = (x * 127.5 + 127.5 + rand(x.shape, generator, x.device)) / 128 - 1  # inside, where nothing is clamped
    again = model.decode(cast(Any, model).encode(x, given), given)
    return {"round_trip": entry((again - x).abs().max().item(), len(x))}


@torch.no_grad()
def _accuracy(spec: ModelSpec, model: GenerativeModel, num: int) -> Part:
    """How many test images a classifier gets right."""
    clock, right, done = Clock("accuracy", num), 0, 0
    for x, labels in _test_batches(spec, model, num, BATCH):
        right += int((cast(Classifies, model).logits(x).argmax(1) == labels).sum())
        done += len(x)
        yield clock.event(done)
    return {"accuracy": entry(right / done, done)}


def _speed(spec: ModelSpec, model: GenerativeModel) -> Part:
    """Milliseconds a picture, default controls: the median of five runs, or of what fits in 20 s."""
    clock, result, device = Clock("speed", 2 * _SPEED_RUNS), Metrics(), judge.device_of(model)
    facts = {"device": title(device), "num_threads": torch.get_num_threads()}
    for part, batch in enumerate((1, 64)):
        seconds, nfe = timed(spec, model, batch)
        runs = [] if seconds < _SPEED_SECONDS / 2 else [seconds]  # the first only warms up, unless it is slow
        while len(runs) < _SPEED_RUNS and (not runs or sum(runs) + runs[-1] < _SPEED_SECONDS):
            runs.append(timed(spec, model, batch)[0])
            yield clock.event(part * _SPEED_RUNS + len(runs))
        value = 1000 * statistics.median(runs) / batch
        result[f"ms_per_image_{batch}"] = entry(value, batch, num_runs=len(runs), **facts)
        result["nfe"] = entry(nfe, batch)
    return result


@torch.no_grad()
def timed(spec: ModelSpec, model: GenerativeModel, num: int) -> tuple[float, int]:
    """Seconds that `num` samples take, and evaluations of the network."""
    labels, generator = labels_for(spec, num, judge.device_of(model)), torch.Generator().manual_seed(SEED)
    start = time.perf_counter()
    sampler = cast(Samples, model).sample(num, labels=labels, generator=generator, **spec.defaults())
    last = deque(sampler, maxlen=1).pop()
    last.x.cpu()  # waits for the device
    return time.perf_counter() - start, last.nfe
