"""The classifiers as judges: what they see in real pictures, and in a handful of new ones at once.

A data set's judge is the classifier that was trained on its pictures (`of`); where nothing else is said,
digits are meant. The features of real pictures are computed once a process and kept; they belong to one
loaded classifier.
"""

import math
import threading
from collections.abc import Iterator
from typing import Any, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from playground import data, metrics, registry
from playground.spec import Classifies, GenerativeModel, ModelSpec

NAME = "classifier"  # of digits
K = 5  # neighbours, in precision, recall, density and coverage
NUM_QUICK = 2_000  # real pictures that a handful is compared with

Metrics = dict[str, dict[str, Any]]

_BATCH = 500
_MAX_PEERS = 150  # real pictures of one label there are among 2,000
_SEED = 0
_KEPT: "WeakKeyDictionary[nn.Module, dict[tuple[Any, ...], Any]]" = WeakKeyDictionary()
_LOCK = threading.Lock()


def spec() -> ModelSpec:
    """Of the digit classifier; only models of its data set can be judged by it."""
    return registry.spec(NAME)


def of(dataset: str) -> str | None:
    """The classifier that knows a data set's pictures, if there is one."""
    pictures = data.pictures_of(dataset)
    known = [
        n for n in registry.names("Classifies") if data.pictures_of(registry.spec(n).dataset) == pictures
    ]
    return known[0] if known else None


def device_of(model: nn.Module) -> torch.device:
    """Where a model's weights are."""
    return next(model.parameters()).device


def entry(value: float, num: int, **more: Any) -> dict[str, Any]:
    """One number as the card has it, to five digits, with the number of samples behind it."""
    return {"value": value if isinstance(value, int) else float(f"{value:.5g}"), "num": num, **more}


def some(total: int, num: int) -> Tensor:
    """(num,) different indices below `total`, at random but always the same; MNIST's test set is ordered."""
    return torch.randperm(total, generator=torch.Generator().manual_seed(_SEED))[:num]


def pictures(images: Tensor, levels: int) -> Iterator[Tensor]:
    """(N, C, H, W) uint8 -> batches in [-1, 1], in order; on two levels by one fixed binarisation."""
    generator = torch.Generator().manual_seed(_SEED)
    for batch in images.split(_BATCH):
        x = data.to_float(batch)
        yield data.binarise(x, generator) if levels == 2 else x


def look(x: Tensor, name: str = NAME) -> tuple[Tensor, Tensor]:
    """(B, C, H, W) in [-1, 1] -> (B, F) features and (B, K) logits of a classifier, on the CPU.

    Raises:
        ValueError: if a pixel is not finite.
        WeightsError: if the classifier's weights cannot be used.
    """
    if not torch.isfinite(x).all():
        raise ValueError("A picture holds values that are not finite, so it cannot be judged.")
    return seen_by(registry.load(name), x)


@torch.no_grad()
def seen_by(model: GenerativeModel, x: Tensor) -> tuple[Tensor, Tensor]:
    """(B, C, H, W) in [-1, 1] -> (B, F) features and (B, K) logits of a given classifier, on the CPU."""
    seer = cast(Classifies, model)
    found = seer.features(x.to(device_of(model), torch.float32))
    return found.float().cpu(), seer.classify(found).float().cpu()


def features_steps(dataset: str, split: str, levels: int) -> Iterator[int]:
    """Look at all real pictures of a split, unless they are kept already; yields how many are done."""
    model = registry.load(of(dataset) or NAME)
    kept, key = _kept(model), (dataset, split, levels)
    if key in kept:
        return
    found: list[Tensor] = []
    for x in pictures(data.load(dataset, split).images, levels):
        with torch.no_grad():
            found.append(cast(Classifies, model).features(x.to(device_of(model))).float().cpu())
        yield sum(map(len, found))
    kept[key] = torch.cat(found)


def features(dataset: str, split: str, levels: int) -> Tensor:
    """(N, F) features of all real pictures of a split, on the CPU; computed by the first who asks."""
    for _ in features_steps(dataset, split, levels):
        pass
    return _kept(registry.load(of(dataset) or NAME))[dataset, split, levels]


def quick(images: Tensor, labels: Tensor | None = None, levels: int = 256) -> Metrics:
    """What can be said of a handful of pictures, in a fraction of a second once the first call has warmed up.

    A Frechet distance means nothing for 16 pictures. These do, each with its sample size:

    - ``confidence``: the mean probability of the most probable digit;
    - ``precision``: the share that lies among real pictures (within the reach of one of 2,000);
    - ``coverage`` (from 2 k + 1 pictures on, of the first 150): the share of as many real pictures, of the
      asked labels if there are any, with one of these within reach, counting only those that lie among real
      ones, for the reach is long when there are few; ``ideal`` is what real pictures get;
    - ``class_entropy`` and ``num_classes``, of those that could be there;
    - ``label_accuracy``, if labels were asked for.

    Args:
        images: (n, C, H, W) in [-1, 1], n > 0.
        labels: (n,) what was asked for, or None.
        levels: 2 compares with binarised real pictures.

    Raises:
        ValueError: if a pixel is not finite.
        WeightsError: if the classifier's weights cannot be used.
    """
    found, logits = look(images)
    num = len(found)
    real, real_labels, reach = _quick_reference(levels)
    near = (torch.cdist(found, real) <= reach).any(1)
    result = {
        "confidence": entry(logits.softmax(1).max(1).values.mean().item(), num),
        "precision": entry(near.double().mean().item(), num, num_real=len(real), k=K),
    }
    asked = None if labels is None else labels.cpu()
    peers = _peers(real, real_labels, asked, min(num, _MAX_PEERS))
    if len(peers) > 2 * K:
        result["coverage"] = _quick_coverage(peers, found[: len(peers)][near[: len(peers)]])
    result |= class_entries(logits, None if asked is None else len(asked.unique()))
    if asked is not None:
        result["label_accuracy"] = entry((logits.argmax(1) == asked).double().mean().item(), num)
    return result


def _quick_coverage(peers: Tensor, realistic: Tensor) -> dict[str, Any]:
    """The share of real pictures (M, F) with one of the realistic samples (R, F) within reach."""
    held = (torch.cdist(peers, realistic) <= metrics.radii(peers, K)[:, None]).any(1)
    ideal = round(metrics.ideal_coverage(len(peers), K), 4)
    return entry(held.double().mean().item(), len(peers), num_real=len(peers), k=K, ideal=ideal)


def class_entries(logits: Tensor, of: int | None = None) -> Metrics:
    """How evenly a set's predicted classes are spread: entropy in bits, at most log2(of), and their number.

    Args:
        logits: (N, K) of the classifier.
        of: how many classes could be there, K by default.
    """
    classes, num_classes = logits.argmax(1), logits.shape[1]
    num, of = len(classes), min(of or num_classes, len(classes))
    entropy = metrics.entropy_bits(classes, num_classes)
    return {
        "class_entropy": entry(entropy, num, unit="bits", max=round(math.log2(of), 4)),
        "num_classes": entry(metrics.num_covered(classes, num_classes), num, of=of),
    }


def _kept(model: GenerativeModel) -> dict[tuple[Any, ...], Any]:
    with _LOCK:
        return _KEPT.setdefault(model, {})


def _quick_reference(levels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Features, labels and reach of some real training pictures: (2000, F), (2000,), (2000,)."""
    kept, dataset = _kept(registry.load(NAME)), spec().dataset
    if ("quick", levels) not in kept:
        images = data.load(dataset)
        rows = some(len(images), NUM_QUICK)
        real = torch.cat([look(x)[0] for x in pictures(images.images[rows], levels)])
        kept["quick", levels] = real, images.labels[rows], metrics.radii(real, K)
    return kept["quick", levels]


def _peers(real: Tensor, real_labels: Tensor, labels: Tensor | None, num: int) -> Tensor:
    """(num, F) real features, of the same labels as asked for."""
    if labels is None:
        return real[:num]
    asked = labels[:num]
    rows = [(real_labels == label).nonzero()[: int((asked == label).sum()), 0] for label in asked.unique()]
    return real[torch.cat(rows)]
