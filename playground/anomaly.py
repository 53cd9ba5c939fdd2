"""Does a likelihood notice what it has never seen? Digits, clothing, noise and even sheets under one model.

A model trained on digits should give them more probability than anything else. Nalisnick et al. 2018
(arXiv:1810.09136) found that models often do not: trained on CIFAR-10 they find house numbers likelier,
trained on Fashion-MNIST digits likelier, for a smooth and simple picture is easy to predict whatever it
shows. So the numbers here answer two questions: how surely the likelihood tells another kind of picture from
digits (`auroc`), and which share of the other kind it even finds likelier than the median digit (`above`).
"""

import math
import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from playground import data, judge, scoring
from playground.spec import ModelSpec

DIGITS, CLOTHES, NOISE, EVEN = SETS = ("mnist", "fashion_mnist", "noise", "even")
CHUNK = 10  # pictures at a time: a conditional model looks at each once for every class
_SEED = 0
_FEW = 4  # noise and even sheets are all alike: so many times fewer of them do
_FEWEST = 20


def sizes(num: int) -> dict[str, int]:
    """How many pictures of each kind there are when `num` digits are asked for."""
    few = max(min(num, _FEWEST), num // _FEW)
    return {key: few if key in (NOISE, EVEN) else num for key in SETS}


def pictures(key: str, num: int, levels: int) -> Tensor:
    """One of `SETS`: (num, 1, 28, 28) in [-1, 1] on `levels` grey levels, always the same ones.

    ``mnist`` and ``fashion_mnist`` are test pictures; ``noise`` draws every pixel evenly from all levels;
    ``even`` draws one level for a whole picture.

    Raises:
        DataUnavailable: if the clothes are not on this machine.
    """
    if key in (DIGITS, CLOTHES):
        images = data.load(key, "test").images
        return scoring.on_levels(data.to_float(images[judge.some(len(images), num)]), levels)
    shape = (num, 1, 28, 28) if key == NOISE else (num, 1, 1, 1)
    drawn = torch.randint(levels, shape, generator=torch.Generator().manual_seed(_SEED))
    return (2 * drawn / (levels - 1) - 1).float().expand(num, 1, 28, 28).contiguous()


def auroc(inside: Tensor, outside: Tensor) -> float:
    """The chance that a picture from inside gets more likelihood than one from outside; ties count half.

    It is the area under the curve of true against false alarms: 1 tells all apart, 0.5 is a coin, and below
    that the outside is found likelier.

    Args:
        inside: (N,) log-likelihoods, N > 0; minus infinity is allowed.
        outside: (M,), M > 0.
    """
    ordered = outside.sort().values
    below, up_to = (torch.searchsorted(ordered, inside, right=right) for right in (False, True))
    return float((below + up_to).double().mean() / (2 * len(outside)))


@dataclass(frozen=True)
class Finding:
    """What is known of one kind of pictures under one model.

    Attributes:
        num: pictures scored.
        nats: their mean log-likelihood, over the finite ones.
        error: its standard error.
        num_lost: pictures without a finite log-likelihood.
        auroc: how surely digits are told from them, None for the digits themselves.
        above: the share that is likelier than the median digit, None for the digits themselves.
    """

    num: int
    nats: float
    error: float
    num_lost: int = 0
    auroc: float | None = None
    above: float | None = None


@dataclass
class Scorer:
    """One model's way through the kinds of pictures, a few of each at a time.

    Attributes:
        spec: of the model.
        model: it.
        sets: the kinds that are scored, digits first, each (num, 1, 28, 28) on the model's grey levels.
        values: log-likelihoods so far, for every kind.
        black: log-likelihood of the picture without any ink, once it is known.
        seconds: computed so far.
    """

    spec: ModelSpec
    model: Any
    sets: dict[str, Tensor]
    values: dict[str, Tensor] = field(default_factory=dict)
    black: float | None = None
    seconds: float = 0.0

    @property
    def done(self) -> bool:
        """Whether every picture has its number."""
        return self.black is not None and self._next() is None

    @property
    def share(self) -> float:
        """How much is done, 0 to 1."""
        return sum(map(len, self.values.values())) / max(1, sum(map(len, self.sets.values())))

    def _next(self) -> str | None:
        """The kind with the smallest share done, the first of equals; None if all are."""
        shares = {key: len(self.values.get(key, ())) / len(x) for key, x in self.sets.items()}
        key = min(shares, key=shares.__getitem__, default=None)
        return key if key is not None and shares[key] < 1 else None

    def advance(self) -> None:
        """Score the next few pictures, of each kind in turn; before all others the black one."""
        started, key = time.perf_counter(), self._next()
        if self.black is None:
            black = torch.full((1, 1, 28, 28), -1.0)
            self.black = float(scoring.log_prob(self.model, black))
        elif key is not None:
            before = self.values.get(key, torch.empty(0, dtype=torch.float64))
            start = len(before)
            part = scoring.log_prob(self.model, self.sets[key][start : start + CHUNK], seed=start)
            self.values[key] = torch.cat([before, part])
        self.seconds += time.perf_counter() - started

    def findings(self) -> dict[str, Finding]:
        """What is known so far, by kind."""
        inside = self.values.get(DIGITS)
        return {key: _find(values, None if key == DIGITS else inside) for key, values in self.values.items()}

    def black_above(self) -> float | None:
        """The share of digits that are less likely than a black sheet, if both are known."""
        digits = self.values.get(DIGITS)
        if self.black is None or digits is None:
            return None
        return float((digits < self.black).double().mean())


def _find(values: Tensor, inside: Tensor | None) -> Finding:
    finite = values[values.isfinite()]
    nats = float(finite.mean()) if len(finite) else -math.inf
    error = float(finite.std()) / math.sqrt(len(finite)) if len(finite) > 1 else 0.0
    found = Finding(len(values), nats, error, len(values) - len(finite))
    if inside is None:
        return found
    above = float((values > inside.median()).double().mean())
    return Finding(found.num, nats, error, found.num_lost, auroc(inside, values), above)
