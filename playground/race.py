"""A race between models: each draws the same request, and the one that has computed least goes next.

Every model has its own clock, which runs only while that model computes, so one that is slow does not slow
the others' clocks down. The first step of each is rehearsed before the clocks start: what a library sets up
once (kernels chosen, memory laid out) is not the model's time.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from playground import data
from playground.spec import ModelSpec, Samples, SampleStep


class Timed(Protocol):
    """What takes turns with others of its kind."""

    @property
    def done(self) -> bool:
        """Whether it needs no more turns."""

    @property
    def seconds(self) -> float:
        """Computed so far, on its own clock."""


T = TypeVar("T", bound=Timed)


@dataclass
class Racer:
    """One model's way through the race.

    Attributes:
        name: what the request called it.
        steps: the iterator of its `sample`.
        num: pictures it draws.
        seconds: its own clock.
        last: its latest moment.
        done: whether that one is the result.
    """

    name: str
    steps: Iterator[SampleStep]
    num: int
    seconds: float = 0.0
    last: SampleStep | None = None
    done: bool = False

    def advance(self) -> None:
        """One more moment, on its own clock."""
        started = time.perf_counter()
        with torch.no_grad():
            step = next(self.steps, None)
        if step is not None:
            wait_for(step.x)
            self.last = step
        self.seconds += time.perf_counter() - started
        if step is None or step.step >= step.num_steps:
            self.done = True
            close(self.steps)

    @property
    def share(self) -> float:
        """How much is done, 0 to 1."""
        return 1.0 if self.done else (self.last.step / self.last.num_steps if self.last else 0.0)

    @property
    def milliseconds(self) -> float | None:
        """Computed so far, by picture."""
        return 1000 * self.seconds / self.num if self.last else None

    @property
    def left(self) -> float | None:
        """Seconds of its own clock until it is done, at its pace so far."""
        if self.done:
            return 0.0
        return self.seconds * (1 / self.share - 1) if self.share else None


def enter(
    name: str,
    model: Samples,
    num: int,
    labels: Tensor | None,
    seed: int,
    controls: dict[str, Any] | None = None,
) -> Racer:
    """A racer at the start line; `labels` are those of `labels_of`."""
    return Racer(name, start(model, num, labels, seed, controls or {}), num)


def start(
    model: Samples, num: int, labels: Tensor | None, seed: int, controls: dict[str, Any]
) -> Iterator[SampleStep]:
    """A model's iterator for a request: its own generator, seeded alike for everyone."""
    return model.sample(num, labels=labels, generator=torch.Generator().manual_seed(seed), **controls)


def labels_of(spec: ModelSpec, num: int, label: int | None) -> Tensor | None:
    """(num,) int64: the label that was asked for, otherwise every class in turn; None if it takes none."""
    if not spec.conditional:
        return None
    return data.in_turn(num) if label is None else torch.full((num,), label)


def rehearse(
    model: Samples, num: int, labels: Tensor | None = None, controls: dict[str, Any] | None = None
) -> None:
    """Do one step that does not count."""
    steps = start(model, num, labels, 0, controls or {})
    with torch.no_grad():
        next(steps, None)
    close(steps)


def next_up(racers: Iterable[T]) -> T | None:
    """Who goes next: of those that are not done the first whose clock shows least; None if all are."""
    return min((one for one in racers if not one.done), key=lambda one: one.seconds, default=None)


def close(steps: Iterator[Any]) -> None:
    """End an iterator early; what it held is freed."""
    ending: Callable[[], None] | None = getattr(steps, "close", None)
    if ending is not None:
        with contextlib.suppress(RuntimeError):
            ending()


def wait_for(x: Tensor) -> None:
    """A GPU answers before it is done; the clock must not."""
    if x.device.type == "cuda":
        torch.cuda.synchronize(x.device)
    elif x.device.type == "mps":
        torch.mps.synchronize()
