"""From noise to data in one jump, in a few, or in many small steps, from the same noise.

Data and noise mix as x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) eps. A diffusion model draws every step back from a
Gaussian around one prediction x0_hat,

    x_s ~ q(x_s | x_t, x0_hat) = N(m, v I),   alpha = a_t / a_s,
    m = (sqrt(a_s) (1 - alpha) x0_hat + sqrt(alpha) (1 - a_s) x_t) / (1 - a_t),
    v = (1 - a_s) (1 - alpha) / (1 - a_t)                                                (2006.11239, eq. 7)

which is right for small steps only: after a large one many pictures are possible, far from each other, and
one bump lies between them. A denoising diffusion GAN draws x0_hat itself, with a latent (2112.07804).
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from playground import data, judge, race, registry
from playground.nn import randn
from playground.spec import HasLatent, HasScore, Jumps, ModelSpec

KINDS = ("one", "few", "many")  # jumps, or steps
MAX_MOMENTS = 40


def kind(spec: ModelSpec) -> str | None:
    """Which way a model goes, one of `KINDS`; None for models that go neither."""
    can = set(spec.capabilities)
    if "Jumps" in can:
        return "few"
    if "HasScore" in can:
        return "many"
    one_shot = {"Samples", "HasLatent"} <= can and "Denoises" not in can
    return "one" if one_shot and spec.family in ("gan", "hybrid") else None


def names(wanted: str) -> list[str]:
    """Models of digits that go a way: those with weights first, and of them those that take a label."""
    found = [name for name in registry.names() if kind(registry.spec(name)) == wanted]
    found = [name for name in found if registry.spec(name).dataset == judge.spec().dataset]
    return sorted(found, key=lambda n: (not registry.shipped(n), not registry.spec(n).conditional))


class State(NamedTuple):
    """Where a way is, (B, C, H, W), what it takes for the picture behind it, and evaluations so far."""

    x: Tensor
    x0_hat: Tensor
    nfe: int


def one_jump(
    model: HasLatent, xt: Tensor, labels: Tensor | None, generator: torch.Generator
) -> Iterator[State]:
    """The first numbers of the noise are the latent, what it lacks is drawn; then there is the picture."""
    num = math.prod(model.latent_shape)
    z = xt.flatten(1)[:, :num]
    if z.shape[1] < num:
        z = torch.cat([z, randn((len(xt), num - z.shape[1]), generator, xt.device)], dim=1)
    x0 = model.decode(z.reshape(-1, *model.latent_shape), labels)
    yield State(xt, x0, 1)
    yield State(x0, x0, 1)


def few_jumps(model: Jumps, xt: Tensor, labels: Tensor | None, generator: torch.Generator) -> Iterator[State]:
    """As the model samples from x_T."""
    for step in model.denoise(xt, labels=labels, generator=generator):
        yield State(step.xt, step.x0_hat, step.nfe)
    yield State(step.x0_hat, step.x0_hat, step.nfe)


def gaussian(x0_hat: Tensor, xt: Tensor, a: float, a_ahead: float, eps: Tensor) -> Tensor:
    """x_s ~ q(x_s | x_t, x0_hat) (2006.11239, eq. 7), a = a_t and a_ahead = a_s > a_t."""
    alpha = a / a_ahead
    mean = (math.sqrt(a_ahead) * (1 - alpha) * x0_hat + math.sqrt(alpha) * (1 - a_ahead) * xt) / (1 - a)
    return mean + math.sqrt((1 - a_ahead) * (1 - alpha) / (1 - a)) * eps


def gaussian_steps(
    model: HasScore, xt: Tensor, t: int, num_steps: int, labels: Tensor | None, generator: torch.Generator
) -> Iterator[State]:
    """From x_t to the picture in `num_steps` steps of equal length, at most t + 1; x0_hat clipped."""
    num_steps = min(num_steps, t + 1)
    times = [round((t + 1) * (1 - i / num_steps)) - 1 for i in range(num_steps + 1)]
    for nfe, (now, ahead) in enumerate(zip(times, times[1:], strict=False), 1):
        x0_hat = model.predict(xt, now, labels).x0_hat.clamp(-1, 1)
        yield State(xt, x0_hat, nfe)
        if ahead >= 0:
            a, a_ahead = (float(model.alphas_cumprod[level]) for level in (now, ahead))
            xt = gaussian(x0_hat, xt, a, a_ahead, randn(xt.shape, generator, xt.device))
    yield State(x0_hat, x0_hat, num_steps)


@dataclass
class Walk:
    """One model's way from noise to a picture, step by step; its clock runs while its model computes.

    Attributes:
        spec: of the model.
        num_steps: of the whole way.
        steps: what is still to come.
        states: on the CPU, the noise first and the picture last.
        seconds: of its own clock.
    """

    spec: ModelSpec
    num_steps: int
    steps: Iterator[State]
    states: list[State] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def done(self) -> bool:
        """Whether the picture is there."""
        return len(self.states) > self.num_steps

    @property
    def share(self) -> float:
        """How much of the way is done, 0 to 1."""
        return min(1.0, len(self.states) / (self.num_steps + 1))

    @torch.no_grad()
    def advance(self) -> None:
        """One more state."""
        started = time.perf_counter()
        state = next(self.steps)
        race.wait_for(state.x0_hat)
        self.seconds += time.perf_counter() - started
        self.states.append(State(state.x.cpu(), state.x0_hat.clamp(-1, 1).cpu(), state.nfe))


def walk(model: nn.Module, spec: ModelSpec, seed: int, label: int | None, num_steps: int) -> Walk:
    """A model's way from the noise of a seed, which is the same for every model.

    Args:
        model: of that spec; `kind` says which way it goes.
        spec: of the model.
        seed: of the noise, the first and what comes on the way.
        label: the class that is asked for; None asks for none, and draws one for a GAN that needs one.
        num_steps: of a model that goes in small steps; the others have their own number.
    """
    generator = torch.Generator().manual_seed(seed)
    device = judge.device_of(model)
    xt = randn((1, *data.load(spec.dataset, "test").images.shape[1:]), generator, device)
    labels = None if label is None or not spec.conditional else torch.tensor([label], device=device)
    way = kind(spec)
    if way == "one":
        if labels is None and spec.conditional:
            labels = torch.randint(10, (1,), generator=generator).to(device)
        return Walk(spec, 1, one_jump(cast(HasLatent, model), xt, labels, generator))
    if way == "few":
        few = cast(Jumps, model)
        return Walk(spec, few.num_timesteps - 1, few_jumps(few, xt, labels, generator))
    many = cast(HasScore, model)
    last = many.num_timesteps - 1
    num_steps = min(num_steps, last + 1)
    return Walk(spec, num_steps, gaussian_steps(many, xt, last, num_steps, labels, generator))


def moments(walks: Sequence[Walk]) -> list[list[int]]:
    """For every walk the state that each moment of one common film shows; the last moment shows the end.

    A state lasts until the next step is done: after a third of the film a way of four jumps has done one.
    """
    num = min(MAX_MOMENTS, max(walk.num_steps for walk in walks))
    return [[moment * walk.num_steps // num for moment in range(num + 1)] for walk in walks]
