"""The way back from noise, watched: what is predicted at every step, by whom, and where the class is decided.

A way may have a thousand steps; of more than `MAX_FRAMES` one in so many is kept, the last one always. Every
way has its own clock, which runs only while its model computes.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from playground import data, judge, race
from playground.nn import randn
from playground.spec import Control, Denoises, DenoiseStep, HasScore, ModelSpec

MAX_FRAMES = 100


@dataclass(frozen=True)
class Frame:
    """One step that was kept, on the CPU; pictures are (1, C, H, W).

    Attributes:
        t: its timestep.
        xt: where it starts.
        eps_hat: the noise that is seen in it.
        x0_hat: the picture that is seen in it.
        apart: x0_hat with the label and without any, where the model can tell them apart.
    """

    t: int
    xt: Tensor
    eps_hat: Tensor
    x0_hat: Tensor
    apart: tuple[Tensor, Tensor] | None = None


class Way:
    """One sampler's way back from noise to one picture."""

    def __init__(
        self, model: Denoises, xt: Tensor, label: int | None, steps: Iterator[DenoiseStep], expected: int
    ) -> None:
        """Nothing is computed yet; `start` makes one. So many steps are expected."""
        self.model, self.xt, self.label, self.steps = model, xt, label, steps
        self.every = math.ceil(expected / MAX_FRAMES)
        self.frames: list[Frame] = []
        self.last: DenoiseStep | None = None
        self.num_steps, self.seconds, self.done = 0, 0.0, False

    @torch.no_grad()
    def advance(self) -> None:
        """One more step."""
        started = time.perf_counter()
        step = next(self.steps, None)
        if step is not None:
            race.wait_for(step.x0_hat)
        self.seconds += time.perf_counter() - started
        if step is None:
            self.done = True
            if self.last is not None and self.frames[-1].t != self.last.t:
                self.frames.append(self._frame(self.last))
            return
        self.last, self.num_steps = step, self.num_steps + 1
        if (self.num_steps - 1) % self.every == 0:
            self.frames.append(self._frame(step))

    def _frame(self, step: DenoiseStep) -> Frame:
        """A step to keep. Asking with and without the label is for show: no clock and no count runs."""
        apart = None
        if self.label is not None and isinstance(self.model, HasScore):
            labels = torch.full((len(step.xt),), self.label, device=step.xt.device)
            found = [self.model.predict(step.xt, step.t, given).x0_hat for given in (labels, None)]
            apart = _shown(found[0]), _shown(found[1])
        return Frame(step.t, step.xt.cpu(), step.eps_hat.cpu(), _shown(step.x0_hat), apart)

    @property
    def share(self) -> float:
        """How much of the way is done, 0 to 1."""
        if self.done or self.last is None:
            return float(self.done)
        return min(1.0, 1 - self.last.t / self.model.num_timesteps)

    @property
    def left(self) -> float | None:
        """Seconds of its own clock until it is done, at its pace so far."""
        if self.done:
            return 0.0
        return self.seconds * (1 / self.share - 1) if self.share > 0 else None

    @property
    def nfe(self) -> int:
        """Evaluations of the network so far, 0 where the model does not count."""
        return self.last.nfe if self.last is not None else 0


def _shown(x: Tensor) -> Tensor:
    return x.clamp(-1, 1).cpu()


def start(model: Denoises, spec: ModelSpec, seed: int, label: int | None, controls: dict[str, Any]) -> Way:
    """A way from the noise of a seed: the same noise, and the same picture, as `sample` makes of it.

    Args:
        model: of that spec.
        spec: of the model.
        seed: of the noise, the first and what is added on the way.
        label: the class that is asked for; None asks for none.
        controls: values of the spec's controls.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = data.load(spec.dataset, "test").images.shape[1:]
    xt = randn((1, *shape), generator, judge.device_of(cast(nn.Module, model)))
    labels = None if label is None else torch.tensor([label])
    steps = model.denoise(xt, labels=labels, generator=generator, **controls)
    return Way(model, xt, label, steps, controls.get("num_steps", model.num_timesteps))


def rehearse(model: Denoises, spec: ModelSpec, controls: dict[str, Any]) -> None:
    """Do one step that does not count: what a library sets up once is not the sampler's time."""
    way = start(model, spec, 0, None, controls)
    way.advance()
    race.close(way.steps)


def knob(spec: ModelSpec, role: str) -> Control | None:
    """The control of a model that plays a role; None if it has none.

    Args:
        spec: of the model.
        role: ``sampler`` (the first drop-down), ``num_steps``, ``guidance`` or ``eta``.
    """
    if role == "sampler":
        return next((control for control in spec.controls if control.choices), None)
    return next((control for control in spec.controls if control.key == role), None)


def aligned(ways: Sequence[Way]) -> tuple[list[float], list[list[int]]]:
    """One row of moments for ways of different length.

    Returns:
        The moments, as shares of the timesteps still to go, and for every way the frame that each of them
        shows: the last one that had begun by then.
    """
    shares = [[frame.t / way.model.num_timesteps for frame in way.frames] for way in ways]
    moments = max(shares, key=len)
    places = []
    for own in shares:
        at = [max((i for i, share in enumerate(own) if share >= moment), default=0) for moment in moments]
        places.append([*at[:-1], len(own) - 1])
    return moments, places


def probabilities(way: Way) -> Tensor:
    """What the classifier reads in x0_hat at every frame: (T, K)."""
    return judge.look(torch.cat([frame.x0_hat for frame in way.frames]))[1].softmax(1)


def decided(seen: Tensor) -> int:
    """The first frame from which the most probable class stays that of the end: (T, K) -> 0 to T - 1."""
    classes = seen.argmax(1)
    other = (classes != classes[-1]).nonzero()
    return int(other[-1]) + 1 if len(other) else 0
