"""What the parts of an evaluation share: the events they yield, and samples drawn and looked at."""

import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from playground import data, judge
from playground.judge import Metrics
from playground.spec import GenerativeModel, ModelSpec, Samples

SEED = 0
BATCH = 250

T = TypeVar("T")


@dataclass(frozen=True)
class EvalEvent:
    """Where an evaluation is.

    Attributes:
        what: a part (`evaluation.PARTS`), ``reference`` while real pictures are looked at, at last ``done``.
        done: pictures (for ``speed``, runs) of this part so far.
        total: of this part.
        eta: seconds left of this part.
        metrics: the result, with the last event only.
    """

    what: str
    done: int
    total: int
    eta: float
    metrics: Metrics | None = None


Steps = Generator[EvalEvent, None, T]
Part = Steps[Metrics]


class Clock:
    """Makes the events of one part."""

    def __init__(self, what: str, total: int) -> None:
        """The part begins now."""
        self.what, self.total, self.start, self.done = what, total, time.perf_counter(), 0

    def event(self, done: int) -> EvalEvent:
        """`done` are behind us."""
        self.done = done
        elapsed = time.perf_counter() - self.start
        return EvalEvent(self.what, done, self.total, elapsed * (self.total - done) / max(done, 1))


def labels_for(spec: ModelSpec, num: int, device: torch.device) -> Tensor | None:
    """(num,) int64: what a conditional model is asked for, the classes as often as in the data."""
    return data.in_proportion(spec.dataset, num).to(device) if spec.conditional else None


@torch.no_grad()
def draw(
    spec: ModelSpec, model: GenerativeModel, num: int, clock: Clock, controls: dict[str, Any] | None = None
) -> Steps[tuple[Tensor, Tensor]]:
    """What the data set's classifier sees in `num` samples: features (num, F) and logits (num, K).

    The controls stand at their defaults but for those given.
    """
    generator, device = torch.Generator().manual_seed(SEED), judge.device_of(model)
    chosen, seen, before = spec.defaults() | (controls or {}), list[tuple[Tensor, Tensor]](), clock.done
    asked = labels_for(spec, num, device)
    for start in range(0, num, BATCH):
        size = min(BATCH, num - start)
        labels = None if asked is None else asked[start : start + size]
        for last in cast(Samples, model).sample(size, labels=labels, generator=generator, **chosen):
            yield clock.event(before + start + size * last.step // last.num_steps)
        seen.append(judge.look(last.x, judge.of(spec.dataset) or judge.NAME))
    features, logits = (torch.cat(parts) for parts in zip(*seen, strict=True))
    return features, logits
