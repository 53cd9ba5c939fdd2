"""What a variational autoencoder knows of one picture: q(z|x), its bound's two terms, how tight it is.

    log p(x) >= E_q[log p(x|z)] - KL(q(z|x) || p(z))  (1312.6114),  L_k = E[log 1/k sum_i w_i]  (1509.00519),

with w = p(x|z) p(z) / q(z|x). L_1 is the bound itself, L_k rises with k towards log p(x), and the distance
that is left is what the encoder's Gaussian misses of the true posterior.
"""

import math
import time
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from playground import data
from playground.judge import device_of
from playground.nn import kl_to_prior
from playground.spec import ModelSpec

NUM_CODES = 64  # behind the bound while one draws: an error of about one nat
NUM_WEIGHTS = 500
_NUM_GROUPS = 300
STOPS = (1, 2, 5, 10, 25, 50, 100, 150, 200, 250, 300, 400, 500)  # the k of L_k
_NUM_PICTURES = 500  # test pictures that say which dimensions carry information
_USED: "WeakKeyDictionary[Any, Tensor]" = WeakKeyDictionary()
_MAX_KEPT = 100  # measured pictures of a model
_MEASURED: "WeakKeyDictionary[Any, dict[tuple[int | None, bytes], Estimate]]" = WeakKeyDictionary()


@dataclass(frozen=True)
class Estimate:
    """A mean over some codes z ~ q(z|x).

    Attributes:
        value: in nats.
        error: standard error of the mean.
        num: codes.
    """

    value: float
    error: float
    num: int


@dataclass(frozen=True)
class Seen:
    """What a model sees in one picture.

    Attributes:
        x: (1, C, H, W), black and white, as the model was given it.
        label: what a conditional model took it for, None for another model.
        mu: (D,) of q(z|x).
        std: (D,) of q(z|x).
        kl: (D,) nats that each dimension spends.
        elbo: the bound E_q[log w] in nats: a mean over some codes, so an estimate with an error.
        again: (1, C, H, W), decoded from the mean code.
        nfe: network evaluations behind `again`: the encoder's and those of decoding.
        seconds: that these took.
    """

    x: Tensor
    label: int | None
    mu: Tensor
    std: Tensor
    kl: Tensor
    elbo: Estimate
    again: Tensor
    nfe: int
    seconds: float

    @property
    def log_px(self) -> float:
        """E_q[log p(x|z)] in nats: what is left of the bound, its exact KL aside, with the bound's error."""
        return self.elbo.value + float(self.kl.sum())


@torch.no_grad()
def informative(model: Any, spec: ModelSpec) -> Tensor:
    """Dimensions of z by the nats they carry in the mean over test pictures, most first: (D,) int64.

    The order belongs to the model, not to the picture, so that a panel does not reshuffle while one draws.
    """
    if model not in _USED:
        images, where = data.load(spec.dataset, "test"), device_of(model)
        x = data.to_float(images.images[:_NUM_PICTURES])
        x = data.binarise(x, torch.Generator().manual_seed(0)).to(where)
        labels = images.labels[:_NUM_PICTURES].to(where) if spec.conditional else None
        _USED[model] = kl_to_prior(*model.posterior(x, labels)).mean(dim=0).argsort(descending=True).cpu()
    return _USED[model]


@torch.no_grad()
def look(model: Any, x: Tensor, label: int | None = None, num: int = NUM_CODES) -> Seen:
    """Encode one picture, (1, C, H, W) with pixels -1 or 1, and decode its mean code.

    Args:
        model: with `HasPosterior`.
        x: the picture.
        label: for a conditional model; None lets it decide.
        num: codes behind the bound, unless it was measured already (`keep`) from more.
    """
    where = device_of(model)
    x = x.to(where)
    labels = model.guess(x) if label is None else torch.tensor([label], device=where)
    started = time.perf_counter()
    mu, logvar = model.posterior(x, labels)
    again = model.decode(mu, labels).cpu()
    seconds, nfe = time.perf_counter() - started, 1 + model.decode_nfe
    taken = None if labels is None else int(labels[0])
    elbo = _MEASURED.get(model, {}).get(_key(x, taken))
    if elbo is None or elbo.num < num:
        elbo = estimate(model.log_weights(x, num, torch.Generator().manual_seed(0), labels))
    std, kl = (0.5 * logvar).exp()[0].cpu(), kl_to_prior(mu, logvar)[0].cpu()
    return Seen(x.cpu(), taken, mu[0].cpu(), std, kl, elbo, again, nfe, seconds)


def estimate(log_weights: Tensor) -> Estimate:
    """The bound from (N,) log-weights, N > 1: their mean is an unbiased estimate of it."""
    found, num = log_weights.double(), len(log_weights)
    return Estimate(float(found.mean()), float(found.std()) / math.sqrt(num), num)


def keep(model: Any, seen: Seen, log_weights: Tensor) -> Seen:
    """What is seen with the bound measured from (N,) log-weights; `look` says the same from now on."""
    kept = _MEASURED.setdefault(model, {})
    while len(kept) >= _MAX_KEPT:
        kept.pop(next(iter(kept)), None)
    elbo = kept[_key(seen.x, seen.label)] = estimate(log_weights)
    return replace(seen, elbo=elbo)


def _key(x: Tensor, label: int | None) -> tuple[int | None, bytes]:
    return label, (x > 0).cpu().numpy().tobytes()


def tightness(log_weights: Tensor) -> dict[int, float]:
    """L_k for every k of `STOPS`, in nats, from (N,) log-weights, N >= the largest k.

    A mean over random groups of k of them; L_1 is the mean of all, so the same as `estimate` says.
    """
    found, generator = {}, torch.Generator().manual_seed(0)
    for k in STOPS:
        order = torch.rand(_NUM_GROUPS, len(log_weights), generator=generator).argsort(dim=1)
        groups = log_weights.double()[order[:, :k] if k > 1 else torch.arange(len(log_weights))[:, None]]
        found[k] = float((groups.logsumexp(dim=1) - math.log(k)).mean())
    return found
