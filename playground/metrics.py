"""Distances between two clouds of features, and what a classifier's answers say about a set of pictures.

Pure functions of tensors. Frechet distance, kernel distance and Inception score are torchmetrics'; the rest
is short enough to read here. None of them compares across feature networks.
"""

import math
import warnings
from statistics import fmean
from typing import NamedTuple

import torch
from torch import Tensor, nn

from playground.seeding import seeded

_CHUNK = 1000  # rows of a distance matrix at a time: 20 MB against 5,000 columns


class Neighbours(NamedTuple):
    """How two sets of features lie in one another, each number in [0, 1] but the density."""

    precision: float
    recall: float
    density: float
    coverage: float


class _Seen(nn.Module):
    """Stands where torchmetrics expects the feature network: what it gets has been through it already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        """(N, F), unchanged."""
        return features


def fid(real: Tensor, fake: Tensor) -> float:
    """Frechet distance of the Gaussians fitted to two sets of features (Heusel et al. 2017, 1706.08500).

    |mu_r - mu_f|^2 + tr(S_r + S_f - 2 (S_r S_f)^(1/2)), eq. 6, in double precision.

    Args:
        real: (N, F), N > 1.
        fake: (M, F), M > 1. The distance falls with N and M, so compare at equal numbers.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=_Seen(real.shape[1]), normalize=True)
    metric.update(real.double(), real=True)
    metric.update(fake.double(), real=False)
    return float(metric.compute())


def kid(real: Tensor, fake: Tensor, *, subsets: int = 50, seed: int = 0) -> float:
    """Kernel distance, unbiased: MMD^2 with (x.y / F + 1)^3 (Binkowski et al. 2018, arXiv:1801.01401).

    The mean over `subsets` random subsets of at most 1,000. It may be a little below zero.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(1000, len(real), len(fake))
    with seeded(seed), warnings.catch_warnings():  # it draws the subsets from torch's global generator
        warnings.simplefilter("ignore", UserWarning)  # that it keeps all features: they are few
        metric = KernelInceptionDistance(
            feature=_Seen(real.shape[1]), subsets=subsets, subset_size=size, normalize=True
        )
        metric.update(real, real=True)
        metric.update(fake, real=False)
        return float(metric.compute()[0])


def inception_score(logits: Tensor, *, seed: int = 0) -> float:
    """Inception score, 1 to K, of a classifier's (N, K) logits (Salimans et al. 2016, arXiv:1606.03498).

    exp E KL(p(y|x) || p(y)); the mean over ten parts, or fewer where a part would have less than 100.
    """
    from torchmetrics.image.inception import InceptionScore

    splits = max(1, min(10, len(logits) // 100))
    with seeded(seed), warnings.catch_warnings():  # it shuffles with torch's global generator
        warnings.simplefilter("ignore", UserWarning)
        metric = InceptionScore(feature=_Seen(logits.shape[1]), splits=splits)
        metric.update(logits)
        return float(metric.compute()[0])


def radii(features: Tensor, k: int = 5) -> Tensor:
    """(N, F) -> (N,) the distance of each to its k-th nearest neighbour among the others.

    Raises:
        ValueError: if there are not more than k.
    """
    if len(features) <= k:
        raise ValueError(f"The {k}-th neighbour needs more than {k} samples; got {len(features)}.")
    # each is its own nearest, at distance 0, hence k + 1
    return torch.cat([torch.cdist(rows, features).kthvalue(k + 1).values for rows in features.split(_CHUNK)])


def neighbours(real: Tensor, fake: Tensor, k: int = 5, real_radii: Tensor | None = None) -> Neighbours:
    """Precision and recall (Kynkaanniemi et al. 2019, arXiv:1904.06991), density and coverage (2002.09797).

    With B(x) the ball around x that reaches to its k-th nearest neighbour in its own set,

        precision = P(fake in some B(real)),    recall   = P(real in some B(fake)),
        density   = E #(B(real) around fake)/k, coverage = P(B(real) holds some fake).

    Args:
        real: (N, F).
        fake: (M, F).
        k: more than neither N - 1 nor M - 1.
        real_radii: (N,) if `radii(real, k)` is known already.
    """
    reach_real = radii(real, k) if real_radii is None else real_radii
    reach_fake = radii(fake, k)
    in_some_real, num_around, holds = [], [], torch.zeros(len(real), dtype=torch.bool, device=real.device)
    in_some_fake = torch.zeros_like(holds)
    for rows, reach in zip(fake.split(_CHUNK), reach_fake.split(_CHUNK), strict=True):
        distance = torch.cdist(rows, real)  # (m, N)
        inside = distance <= reach_real
        in_some_real.append(inside.any(1))
        num_around.append(inside.sum(1))
        holds |= inside.any(0)
        in_some_fake |= (distance <= reach[:, None]).any(0)
    return Neighbours(
        torch.cat(in_some_real).float().mean().item(),
        in_some_fake.float().mean().item(),
        torch.cat(num_around).float().mean().item() / k,
        holds.float().mean().item(),
    )


def ideal_coverage(num: int, k: int = 5) -> float:
    """Coverage expected of `num` real samples against `num` others (2002.09797, lemma 2): about 1 - 2^-k."""
    return 1 - math.prod((num - i) / (2 * num - i) for i in range(1, k + 1))


def spread(features: Tensor, groups: Tensor | None = None) -> float:
    """(N, F), N > 1 -> the mean distance between two of them; with (N,) groups, the mean of that of each."""
    if groups is None:
        return torch.pdist(features).mean().item()
    members = [features[groups == group] for group in groups.unique()]
    return fmean(spread(each) for each in members if len(each) > 1)


def entropy_bits(classes: Tensor, num_classes: int) -> float:
    """Entropy of a set's (N,) classes in bits: log2(num_classes) when all are equally frequent."""
    share = torch.bincount(classes, minlength=num_classes).double() / len(classes)
    return float(torch.special.entr(share).sum() / math.log(2))


def num_covered(classes: Tensor, num_classes: int) -> int:
    """How many classes get at least a tenth of their fair share of the (N,) `classes`, and at least one."""
    counts = torch.bincount(classes, minlength=num_classes)
    return int((counts >= max(1.0, len(classes) / (10 * num_classes))).sum())
