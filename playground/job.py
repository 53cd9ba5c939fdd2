"""One background training: what was asked for, what has become of it, and the view a page draws."""

import math
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from playground import data
from playground.replay import Recorder
from playground.spec import GenerativeModel, ModelSpec, Recipe
from playground.training import TrainEvent, Training
from playground.validation import Term

MAX_MOMENTS = 24  # of samples over time
FINAL = ("stopped", "done", "failed")


@dataclass(frozen=True)
class Request:
    """What to train: `minutes`, when given, replaces the recipe's number of steps."""

    spec: ModelSpec
    dataset: str
    recipe: Recipe
    seed: int
    minutes: float | None = None


@dataclass(frozen=True)
class JobView:
    """A job as it was at one moment.

    Attributes:
        state: ``queued``, ``running``, ``paused``, ``stopped``, ``done`` or ``failed``.
        position: 1 for the next in line, 0 when it has a place on the device or wants none.
        event: what the last update said, without its samples.
        eta: seconds left, the sharing of the device counted in.
        losses: {name: [[step, value], ...]}, decimated.
        moments: (step, (B, C, H, W) uint8) over time, the last one the latest.
        message: why it failed or was paused.
        usable: whether its model can be had.
        version: changes whenever anything else does.
    """

    id: str
    request: Request
    state: str
    position: int
    event: TrainEvent | None
    eta: float
    losses: dict[str, list[list[float]]]
    moments: tuple[tuple[int, Tensor], ...]
    message: Term | str | None
    usable: bool
    version: int


class Film:
    """Samples over time in at most `MAX_MOMENTS` moments: when they are full, every second one goes."""

    def __init__(self) -> None:
        """An empty film."""
        self._kept: list[tuple[int, Tensor]] = []
        self._latest: list[tuple[int, Tensor]] = []
        self._every, self._count = 1, 0

    def add(self, step: int, x: Tensor) -> None:
        """The samples (B, C, H, W) in [-1, 1] after an update."""
        self._latest = [(step, data.to_uint8(x))]
        if self._count % self._every == 0:
            self._kept += self._latest
        self._count += 1
        if len(self._kept) == MAX_MOMENTS:
            self._kept = self._kept[::2]
            self._every *= 2

    def moments(self) -> tuple[tuple[int, Tensor], ...]:
        """The moments kept, and the latest."""
        return tuple(self._kept + [m for m in self._latest if m[0] != self._kept[-1][0]])


@dataclass(eq=False)
class Job:
    """One training and who wants it; the worker's lock guards every field."""

    request: Request
    sessions: list[str]
    wanted: float = math.inf  # updates it may still do before it pauses: infinity, 1 or 0
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    state: str = "paused"  # one of FINAL, or paused; who is in line is queued or running
    stopping: bool = False
    message: Term | str | None = None
    training: Training | None = None
    events: Iterator[TrainEvent] | None = None
    event: TrainEvent | None = None
    recorder: Recorder = field(default_factory=Recorder)
    film: Film = field(default_factory=Film)
    model: GenerativeModel | None = None
    card: dict[str, Any] | None = None
    served: float = 0.0  # when it last had the device
    used: float = 0.0  # seconds of the device in this turn
    seen: float = field(default_factory=time.monotonic)
    version: int = 0

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in FINAL

    @property
    def num_bytes(self) -> int:
        """Of the finished model."""
        tensors = self.model.state_dict().values() if self.model is not None else ()
        return sum(t.numel() * t.element_size() for t in tensors)

    def record(self, event: TrainEvent) -> None:
        """Remember what an update said."""
        self.event = replace(event, samples=None)
        self.recorder.record(self.event)
        if event.samples is not None:
            self.film.add(event.step, event.samples)
        self.wanted -= 1
        self.version += 1

    def view(self, index: int, sharing: int, places: int) -> JobView:
        """The job as it is now.

        Args:
            index: in line, -1 when it is not there.
            sharing: how many take turns on the device.
            places: how many could.
        """
        state = self.state if index < 0 else "running" if index < places else "queued"
        eta = self.event.eta * max(1, sharing) if self.event else math.nan
        position = max(0, index - places + 1)
        return JobView(
            self.id, self.request, state, position, self.event, eta, self.recorder.losses(),
            self.film.moments(), self.message, self.model is not None, self.version,
        )  # fmt: skip


def surplus(jobs: list[Job], newest: Job, per_session: int, num_bytes: int) -> list[Job]:
    """The jobs that are over for which a session or the memory has no room, those asked for longest ago."""
    over = sorted((job for job in jobs if job.over and job is not newest), key=lambda job: job.seen)
    mine = [job for job in over if set(job.sessions) & set(newest.sessions)]
    gone = mine[: max(0, len(mine) + 1 - per_session)]
    kept = [job for job in over if job not in gone]
    while kept and sum(job.num_bytes for job in (*kept, newest)) > num_bytes:
        gone.append(kept.pop(0))
    return gone


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says so, on whichever device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "allocate memory" in text)


def reason(error: BaseException, batch_size: int) -> Term:
    """Why a training failed, and what helps."""
    if not out_of_memory(error):
        return Term("jobs.broken", {"kind": type(error).__name__})
    if batch_size <= 1:
        return Term("jobs.memory_model")
    smaller = 2 ** ((batch_size - 1).bit_length() - 1)  # the largest power of two below
    return Term("jobs.memory", {"batch_size": batch_size, "smaller": smaller})
