"""One background training: what was asked for, what has become of it, and the view a page draws."""

import logging
import math
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from playground import data, device, pretrain
from playground.diagnosis import Diagnosis, Watched, one_shot
from playground.replay import Recorder
from playground.schedules import switches_of
from playground.spec import GenerativeModel, ModelSpec, Recipe
from playground.training import TrainEvent, TrainingDiverged, train
from playground.validation import Term

MAX_MOMENTS = 24  # of samples over time
FINAL = ("stopped", "done", "failed")
AT = "@"  # between a trained model's name and the data set, where that is not its spec's own

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What to train: `minutes`, when given, replaces the recipe's number of steps.

    `switches` are checked values by key; what is not there stands as recipe and model have it.
    """

    spec: ModelSpec
    dataset: str
    recipe: Recipe
    seed: int
    minutes: float | None = None
    switches: Mapping[str, Any] = field(default_factory=dict)

    @property
    def called(self) -> str:
        """What the trained model is called: ``NAME``, or ``NAME@DATASET`` off the data set of its spec."""
        own = self.dataset == self.spec.dataset
        return self.spec.name if own else f"{self.spec.name}{AT}{self.dataset}"

    def standing(self) -> dict[str, Any]:
        """Every switch as the training starts."""
        return {s.key: s.default for s in switches_of(self.spec, self.recipe)} | dict(self.switches)


@dataclass(frozen=True)
class JobView:
    """A job as it was at one moment.

    Attributes:
        state: ``queued``, ``running``, ``paused``, ``stopped``, ``done`` or ``failed``.
        position: 1 for the next in line, 0 when it has a place on the device or wants none.
        event: what the last update said, without its samples.
        eta: seconds left, the sharing of the device counted in.
        losses: {name: [[step, value], ...]}, decimated; those of the diagnosis among them.
        moments: (step, (B, C, H, W) uint8) over time, the last one the latest.
        message: why it failed or was paused.
        usable: whether its model can be had.
        version: changes whenever anything else does.
        switches: what each stands at, a change still to be made counted in.
        changes: (updates before it, {key: value}), those that were made before the first update at 0.
        diagnosis: the latest, where there is one.
        pace: seconds between two updates in slow motion, else 0.
    """

    id: str
    request: Request
    state: str
    position: int
    event: TrainEvent | None
    eta: float
    losses: dict[str, list[list[float]]]
    moments: tuple[tuple[int, Tensor], ...]
    message: Term | None
    usable: bool
    version: int
    switches: Mapping[str, Any] = field(default_factory=dict)
    changes: tuple[tuple[int, dict[str, Any]], ...] = ()
    diagnosis: Diagnosis | None = None
    pace: float = 0.0


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
    wanted: float = math.inf  # updates it may still do before it pauses
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    state: str = "paused"  # one of FINAL, or paused; who is in line is queued or running
    stopping: bool = False
    message: Term | None = None
    training: Watched | None = None
    events: Iterator[TrainEvent] | None = None
    event: TrainEvent | None = None
    switches: dict[str, Any] = field(init=False)
    pending: dict[str, Any] = field(default_factory=dict)  # changes the next update begins with
    changes: tuple[tuple[int, dict[str, Any]], ...] = ()
    pace: float = 0.0  # seconds between two updates
    ready: float = 0.0  # when the next one may begin
    recorder: Recorder = field(default_factory=Recorder)
    diagnoses: Recorder = field(default_factory=Recorder)  # rarer than updates, so averaged apart from them
    diagnosis: Diagnosis | None = None
    film: Film = field(default_factory=Film)
    model: GenerativeModel | None = None
    card: dict[str, Any] | None = None
    served: float = 0.0  # when it last had the device
    used: float = 0.0  # seconds of the device in this turn
    seen: float = field(default_factory=time.monotonic)
    version: int = 0

    def __post_init__(self) -> None:
        """The switches stand as was asked."""
        self.switches = self.request.standing()

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in FINAL

    @property
    def num_bytes(self) -> int:
        """Of the finished model."""
        tensors = self.model.state_dict().values() if self.model is not None else ()
        return sum(t.numel() * t.element_size() for t in tensors)

    def open(self, where: torch.device) -> Watched:
        """A fresh training, to be kept under the lock; raises DataUnavailable."""
        asked, images = self.request, data.load(self.request.dataset, "train")
        training = Watched(
            asked.spec, images, asked.recipe, seed=asked.seed, device=where, minutes=asked.minutes,
            switches=asked.switches,
        )  # fmt: skip
        training.get_ready()
        return training

    def begin(self, training: Watched) -> None:
        """Take a training that `open` made."""
        self.training, self.events = training, train(training, preview="live")
        self.changes = tuple(training.changes)

    def turn_switches(self) -> None:
        """Make the changes that were asked for since the last update; what stands so already is no change."""
        values = {k: v for k, v in self.pending.items() if self.switches[k] != v}
        self.pending = {}
        if values and self.training is not None:
            self.training.tune(values)
            self.switches |= values
            self.changes = (*self.changes, (self.training.step, values))
            self.version += 1

    def next_event(self) -> TrainEvent | None:
        """One update. Seen in slow motion or one at a time, it shows its samples where they cost little."""
        event = next(self.events, None) if self.events is not None else None
        slow = self.pace > 0 or self.wanted == 1
        if event is None or event.samples is not None or not slow or not one_shot(self.request.spec):
            return event
        return replace(event, samples=self.training.preview()) if self.training is not None else event

    def record(self, event: TrainEvent) -> None:
        """Remember what an update said."""
        self.event = replace(event, samples=None)
        self.recorder.record(self.event)
        if event.samples is not None:
            self.show(event.step, event.samples)
        self.ready = time.monotonic() + self.pace
        self.wanted -= 1
        self.version += 1

    def show(self, step: int, x: Tensor) -> None:
        """Remember samples (B, C, H, W) in [-1, 1], and what was found of the model when they were drawn."""
        self.film.add(step, x)
        found = self.training.diagnosis if self.training is not None else None
        if found is not None and found is not self.diagnosis and self.event is not None:
            self.diagnosis = found
            self.diagnoses.record(replace(self.event, step=step, metrics=found.metrics()))

    def harvest(self) -> tuple[GenerativeModel, dict[str, Any]] | None:
        """The model, averaged or after a failure the last good one, and its card, if there was an update."""
        if self.training is None or self.training.step == 0:
            return None
        model = self.training.best_model().requires_grad_(False)
        return model, pretrain.card(self.training) | {"source": "trained in the Train tab"}

    def view(self, index: int, sharing: int, places: int) -> JobView:
        """The job as it is now.

        Args:
            index: in line, -1 when it is not there.
            sharing: how many take turns on the device.
            places: how many could.
        """
        state = self.state if index < 0 else "running" if index < places else "queued"
        eta = math.nan
        if self.event is not None:
            eta = self.event.eta * max(1, sharing) + self.pace * (self.event.num_steps - self.event.step)
        position = max(0, index - places + 1)
        return JobView(
            self.id, self.request, state, position, self.event, eta,
            self.recorder.losses() | self.diagnoses.losses(), self.film.moments(), self.message,
            self.model is not None, self.version, self.switches | self.pending, self.changes, self.diagnosis,
            self.pace,
        )  # fmt: skip


def reason(error: BaseException, batch_size: int) -> Term:
    """Why a training failed, and what helps; what nobody thought of goes into the log."""
    if isinstance(error, TrainingDiverged):
        return Term("jobs.diverged", {"step": error.step, "lr": f"{error.lr:.2g}"})
    if isinstance(error, data.DataUnavailable):
        return Term(error.key, error.params)
    if not device.out_of_memory(error):
        _LOG.error("A training failed", exc_info=error)
        return Term("jobs.broken", {"kind": type(error).__name__})
    if batch_size <= 1:
        return Term("jobs.memory_model")
    smaller = 2 ** ((batch_size - 1).bit_length() - 1)  # the largest power of two below
    return Term("jobs.memory", {"batch_size": batch_size, "smaller": smaller})
