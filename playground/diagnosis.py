"""What can be seen of a model while it trains: which classes it draws, how different its pictures are.

A collapsing generator draws one digit, or one picture, over and over: the entropy of the classes and the mean
distance between its pictures fall, and both are measured here whenever samples are drawn anyway. One that is
told the classes may draw one picture of each, so there the distance is that between pictures of one class.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import cast

import torch
from torch import Tensor

from playground import data, judge, metrics, registry
from playground.spec import Batch, GenerativeModel, ModelSpec
from playground.training import Training
from playground.weights import WeightsError

NUM = 128  # pictures a diagnosis is made of
_FEW = 4  # batches that recompute batch norm's statistics for samples; they would cost more than the samples
_CANNOT = (ValueError, WeightsError)  # pixels that are not finite, or no classifier that can be used
_CHUNK = 6_000  # training pictures compared at a time: 19 MB as floats


@dataclass(frozen=True)
class Diagnosis:
    """A set of samples as the classifier sees it.

    Attributes:
        counts: pictures of each class.
        class_entropy: of those, in bits; log2 of the number of classes when all are equally frequent.
        distinct: mean distance between two samples' features, as a share of that between two real pictures';
            both of the same class, where classes were asked for.
    """

    counts: tuple[int, ...]
    class_entropy: float
    distinct: float

    def metrics(self) -> dict[str, float]:
        """Its curves by name."""
        return {"class_entropy": self.class_entropy, "distinct": self.distinct}


def one_shot(spec: ModelSpec) -> bool:
    """Whether a model draws in one pass, so that more pictures cost next to nothing."""
    return {"Samples", "HasLatent"} <= set(spec.capabilities) and "Denoises" not in spec.capabilities


def possible(spec: ModelSpec, dataset: str) -> bool:
    """Whether a model in training can be diagnosed: it draws fast, and the classifier knows what it draws."""
    return one_shot(spec) and dataset == judge.spec().dataset and registry.shipped(judge.NAME)


def diagnose(x: Tensor, real_spread: float, labels: Tensor | None = None) -> Diagnosis:
    """Look at some samples.

    Args:
        x: (N, C, H, W) in [-1, 1], N > 1.
        real_spread: `metrics.spread` of real pictures' features, within their classes if there are labels.
        labels: (N,) classes asked for, two of one at least.

    Raises:
        ValueError: if a pixel is not finite.
        WeightsError: if the classifier's weights cannot be used.
    """
    features, logits = judge.look(x)
    classes, num_classes = logits.argmax(1), logits.shape[1]
    counts = torch.bincount(classes, minlength=num_classes).tolist()
    distinct = min(1.0, metrics.spread(features, labels) / max(real_spread, 1e-9))
    return Diagnosis(tuple(counts), metrics.entropy_bits(classes, num_classes), distinct)


class Watched(Training):
    """A training that diagnoses its model whenever it draws samples, within the time those may take.

    Attributes:
        diagnosis: the latest; None before the first and where none is possible.
    """

    diagnosis: Diagnosis | None = None
    _real_spread: float | None = None
    _passing = False  # whether the model is wanted for samples that soon make room for others

    def get_ready(self) -> None:
        """Do before the first update what is done once; the first diagnosis is as quick as the others."""
        if possible(self.spec, self.dataset):
            try:
                self._reference()
            except _CANNOT:  # then there are no diagnoses
                return

    def preview(self) -> Tensor | None:
        """The samples of `Training.preview`, and a diagnosis of some more."""
        self._passing = self.progress < 1
        try:
            x = super().preview()
        finally:
            self._passing = False
        if x is not None and possible(self.spec, self.dataset):
            try:
                self.diagnosis = self._diagnose() or self.diagnosis
            except _CANNOT:  # say nothing
                self.diagnosis = None
        return x

    def _batches(self) -> Iterator[Batch]:
        return islice(super()._batches(), _FEW if self._passing else None)

    @torch.no_grad()
    def _diagnose(self) -> Diagnosis | None:
        reference = self._reference()
        # the samples have just recomputed what averaging invalidates
        model = self.model if self.ema is None else cast(GenerativeModel, self.ema.module)
        labels = data.in_turn(NUM) if self.spec.conditional else None
        generator = torch.Generator().manual_seed(self.seed + 1)  # other latents than the samples shown
        controls = self.spec.defaults() | dict(self.spec.preview)
        asked = None if labels is None else labels.to(self.device)
        *_, last = model.eval().sample(NUM, labels=asked, generator=generator, **controls)
        self.model.train()
        return None if self.hurry else diagnose(last.x, reference, labels)

    def _reference(self) -> float:
        """How different real pictures are from each other; of a class, for a model that is told classes."""
        if self._real_spread is None:
            rows = judge.some(len(self.images), NUM)
            real = torch.cat([judge.look(x)[0] for x in judge.pictures(self.images[rows], self.spec.levels)])
            labels = self.labels[rows].cpu() if self.spec.conditional else None
            self._real_spread = metrics.spread(real, labels)
        return self._real_spread


def closest(x: Tensor, images: Tensor, num: int) -> tuple[Tensor, Tensor]:
    """The training pictures closest to one sample, the closest first, by the same measure as `nearest`.

    Args:
        x: (C, H, W) uint8.
        images: (N, C, H, W) uint8, N >= num.
        num: pictures to find.

    Returns:
        (num,) rows of `images`, and (num,) distances from 0 (the same picture) to 255.
    """
    query = x.flatten().float()
    squares = torch.cat(
        [(part.flatten(1).float().cpu() - query).square().mean(1) for part in images.split(_CHUNK)]
    )
    best = squares.topk(num, largest=False)
    return best.indices, best.values.sqrt()


def nearest(x: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """The training picture closest to each sample, by the root mean square of the differences of the pixels.

    Args:
        x: (B, C, H, W) uint8.
        images: (N, C, H, W) uint8, N > 0.

    Returns:
        (B,) rows of `images`, and (B,) distances from 0 (the same picture) to 255.
    """
    query = x.flatten(1).float()
    best = torch.full((len(x),), torch.inf)
    rows = torch.zeros(len(x), dtype=torch.int64)
    for start in range(0, len(images), _CHUNK):
        part = images[start : start + _CHUNK].flatten(1).float().cpu()
        # |q - p|^2 = |q|^2 - 2 q.p + |p|^2, and |q|^2 is the same for all p
        distance = part.square().sum(1) - 2 * query @ part.T
        found, row = distance.min(1)
        rows = torch.where(found < best, row + start, rows)
        best = torch.minimum(found, best)
    squares = (best + query.square().sum(1)).clamp(min=0)
    return rows, (squares / query.shape[1]).sqrt()
