"""Training: one iterator that the Train tab, the command line and the tests all consume.

`Training` holds the whole state of a run (model, average, optimisers, random numbers, step), which
`checkpoint` saves and resumes to the same result; `train` drives it and yields a `TrainEvent` after every
update. Not asking for the next event pauses the run, closing the iterator stops it.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from playground import data, distributed, previews, registry
from playground.data import Images
from playground.schedules import SWITCHES, PreviewClock, average_model, lr_factor, switches_of
from playground.seeding import seeded
from playground.spec import Batch, GenerativeModel, ModelSpec, Recipe

_RECALIBRATION_BATCHES = 32
_SNAPSHOT_EVERY = 50  # steps between copies of the last good state

_States = list[dict[str, Tensor]]


class TrainingDiverged(RuntimeError):
    """A loss is not finite; the model is back at its last good state."""

    def __init__(self, step: int, lr: float) -> None:
        """Remember the step and the learning rate at which it happened."""
        super().__init__(
            f"Training diverged at step {step:,} with learning rate {lr:.2g}: a loss is not finite. "
            "Try a smaller learning rate."
        )
        self.step, self.lr = step, lr


@dataclass(frozen=True)
class TrainEvent:
    """What one update did.

    Attributes:
        step: updates so far.
        num_steps: updates of the whole run; estimated when the run is measured in minutes.
        metrics: the losses by name.
        samples: (16, C, H, W) in [-1, 1] on the CPU from fixed latents, when it was time for them.
        images_per_second: of the bare updates, smoothed.
        progress: 0 to 1.
        eta: seconds left.
        lr: learning rate of this update, as a fraction of each optimiser's peak.
    """

    step: int
    num_steps: int
    metrics: dict[str, float]
    samples: Tensor | None
    images_per_second: float
    progress: float
    eta: float
    lr: float


class Training:
    """The whole state of one run."""

    def __init__(
        self,
        spec: ModelSpec,
        images: Images,
        recipe: Recipe | None = None,
        *,
        seed: int = 0,
        device: torch.device | str = "cpu",
        minutes: float | None = None,
        switches: Mapping[str, Any] | None = None,
    ) -> None:
        """Build model and optimisers.

        With `minutes` the run is measured in time instead of steps; `switches` (checked values by key) differ
        from the spec's.
        """
        self.spec, self.seed, self.minutes = spec, seed, minutes
        self.planned = self.recipe = recipe or spec.recipe  # before and after switches were turned
        self.device = torch.device(device)
        self.step, self.elapsed, self.num_images = 0, 0.0, 0
        self.changes: list[tuple[int, dict[str, Any]]] = []  # of switches: (step, {key: value})
        self._defaults = {switch.key: switch.default for switch in switches_of(spec, self.planned)}
        self.model = spec.build(seed)
        self.teacher = registry.teach(spec, self.model)  # sha256 of its weights, if there is one
        if switches:
            self._turn(switches)
            self.changes.append((0, dict(switches)))
        self._start()
        self.generator = torch.Generator(self.device).manual_seed(distributed.stream(seed))
        self.images, self.labels = images.images.to(self.device), images.labels.to(self.device)
        self.dataset = images.name
        self.budgets = [minutes]  # what the run was given, in minutes, in turn; None for the recipe's steps
        self.origin: str | None = None  # sha256 of the weights that the run went on from
        self.freed: list[tuple[int, str]] = []  # (step, pattern): since when only what it finds learns
        self.hurry = False  # set by another thread that does not want to wait for samples
        self._order: tuple[int, Tensor] | None = None
        self._good: _States | None = None

    @property
    def progress(self) -> float:
        """How much of the run is done, 0 to 1."""
        done = self.elapsed / (60 * self.minutes) if self.minutes else self.step / self.recipe.num_steps
        return min(done, 1.0)

    @property
    def num_steps(self) -> int:
        """Updates of the whole run; an estimate when it is measured in minutes."""
        if not self.minutes:
            return self.recipe.num_steps
        return max(self.step, round(self.step / max(self.progress, 1e-9)))

    @property
    def switches(self) -> dict[str, Any]:
        """Every switch and what it stands at."""
        return self._defaults | _last(self.changes)

    def tune(self, values: Mapping[str, Any]) -> None:
        """Turn switches, checked and live, between two updates; the optimisers keep their moments."""
        self._turn(values)
        self.changes.append((self.step, dict(values)))
        for name, fresh in self.model.make_optimizers(self.recipe).items():
            for group, new in zip(self.optimizers[name].param_groups, fresh.param_groups, strict=True):
                group.update({key: value for key, value in new.items() if key != "params"})
                group["initial_lr"] = new["lr"]

    def continue_from(
        self, changes: Sequence[tuple[int, Mapping[str, Any]]], standing: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Put a fresh run's switches where another run left them, so that its state fits.

        Args:
            changes: of that run.
            standing: what its switches stood at, if its defaults may have been others than today's.

        Returns:
            Those that were given to this run and now stand elsewhere: they are still to be tuned.
        """
        given = _last(self.changes)
        self.changes = [(step, dict(values)) for step, values in changes]
        left = self.switches
        known = {key: value for key, value in (standing or {}).items() if key in left}
        if other := {key: value for key, value in known.items() if value != left[key]}:
            self.changes.insert(0, (0, other))
            left |= other
        self._turn({key: left[key] for key in given | _last(self.changes)})
        self._start()
        return {key: value for key, value in given.items() if left[key] != value}

    def _turn(self, values: Mapping[str, Any]) -> None:
        common = {switch.key for switch in SWITCHES}
        self.recipe = replace(self.recipe, **{key: values[key] for key in values if key in common})
        with seeded(self.seed):  # some switches add layers
            self.model.tune({key: value for key, value in values.items() if key not in common})

    def _start(self) -> None:
        """Optimisers and average for the model as it is."""
        self.model.to(self.device).train()
        self.optimizers = self.model.make_optimizers(self.recipe)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["initial_lr"] = group["lr"]
        self.ema = average_model(self.model, self.recipe.ema) if self.recipe.ema else None

    def batch(self, step: int) -> Batch:
        """The batch of an update: every picture once an epoch, in an order drawn from seed and epoch."""
        num = distributed.size()
        size = min(self.recipe.batch_size, len(self.images) // num)
        epoch, position = divmod(step, len(self.images) // (size * num))
        if self._order is None or self._order[0] != epoch:
            shuffler = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            order = torch.randperm(len(self.images), generator=shuffler)
            self._order = (epoch, order.to(self.device))
        start = (position * num + distributed.rank()) * size
        index = self._order[1][start : start + size]
        x = self.images[index]
        x = data.to_float(x) if x.dtype == torch.uint8 else x
        return Batch(x, self.labels[index], self.generator, self.progress, step)

    def update(self) -> tuple[dict[str, float], float]:
        """One update of every network: the losses by name and the learning rate's factor.

        Raises:
            TrainingDiverged: if a loss is not finite; the weights are back at the last good state.
        """
        factor = lr_factor(self.recipe, self.step, self.progress)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
        before = self._copy() if self.step % _SNAPSHOT_EVERY == 0 else None
        metrics = distributed.mean(self.model.train_step(self.batch(self.step), self.optimizers))
        distributed.follow_main(self.model, whole=self.step == 0)  # some layers are set by the first batch
        if not all(math.isfinite(value) for value in metrics.values()):
            self._restore(self._good or before)
            peak = max(g["lr"] for o in self.optimizers.values() for g in o.param_groups)
            raise TrainingDiverged(self.step + 1, peak)
        self._good = before or self._good  # its loss was finite, so it was good
        if self.ema is not None:
            self.ema.update_parameters(self.model)
        self.step += 1
        self.num_images += self.recipe.batch_size * distributed.size()
        return metrics, factor

    def best_model(self) -> GenerativeModel:
        """The averaged model if there is one, with what averaging invalidates recomputed; in eval mode."""
        if self.ema is None:
            return self.model.eval()
        averaged = cast(GenerativeModel, self.ema.module)
        with torch.no_grad():
            averaged.recalibrate(self._batches())
        return averaged.eval()

    def preview(self) -> Tensor | None:
        """(16, C, H, W) in [-1, 1] on the CPU, of the same things every time; None in a hurry."""
        what = self.spec, self.best_model(), self.dataset
        drawn = previews.draw(*what, self.seed, self.device, lambda: self.hurry)
        self.model.train()
        return None if self.hurry else drawn

    def _copy(self) -> _States:
        """Of the weights and their average, which bad weights would spoil before their loss is known."""
        modules = [self.model] if self.ema is None else [self.model, self.ema]
        return [{key: value.detach().clone() for key, value in m.state_dict().items()} for m in modules]

    def _restore(self, states: _States | None) -> None:
        for module, state in zip((self.model, self.ema), states or (), strict=False):
            if module is not None:
                module.load_state_dict(state)

    def _batches(self) -> Iterator[Batch]:
        generator = torch.Generator(self.device).manual_seed(self.seed)
        for step in range(_RECALIBRATION_BATCHES):
            yield self.batch(step)._replace(generator=generator)


def _last(changes: Sequence[tuple[int, Mapping[str, Any]]]) -> dict[str, Any]:
    """What every switch that was turned stands at."""
    return {key: value for _, values in changes for key, value in values.items()}


def train(training: Training, *, preview: str | None = None) -> Iterator[TrainEvent]:
    """Update until the run is done, yielding after every update.

    Args:
        training: the run, fresh or resumed; it advances as events are asked for.
        preview: ``live`` for samples as often as 5% of the time allows, ``moments`` for a dozen in all (the
            ones a replay shows), None for none.

    Raises:
        TrainingDiverged: if a loss is not finite.
    """
    mode = preview if previews.possible(training.spec) else None
    speed, clock = 0.0, PreviewClock(mode, training.progress, training.step)
    while training.progress < 1 or training.step == 0:
        start = time.perf_counter()
        metrics, lr = training.update()
        seconds = time.perf_counter() - start
        now = training.recipe.batch_size * distributed.size() / seconds
        speed = now if training.step <= 2 else 0.95 * speed + 0.05 * now
        training.elapsed += seconds
        samples = None
        if clock.due(training.progress, training.elapsed):
            samples = training.preview()
            training.elapsed += time.perf_counter() - start - seconds
            clock.spent(time.perf_counter() - start - seconds, training.elapsed)
        training.elapsed = distributed.clock(training.elapsed)
        progress = training.progress
        eta = training.elapsed * (1 - progress) / max(progress, 1e-9)
        yield TrainEvent(training.step, training.num_steps, metrics, samples, speed, progress, eta, lr)
