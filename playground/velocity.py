r"""Paths from noise to data: their velocity, how straight they are, and what a network gives for them.

Models of the diffusion family can draw by following an ordinary differential equation dx/dt = v(x, t) from
noise (t = 1) to data (t = 0), where data and noise mix as x_t = alpha_t x_0 + sigma_t eps and

    v(x, t) = alpha'_t E[x_0 | x_t = x] + sigma'_t E[eps | x_t = x]           (2210.02747, theorem 1)

Flow matching mixes along straight lines, alpha = 1 - t and sigma = t; diffusion along arcs, alpha = cos and
sigma = sin. For points in the plane both expectations are sums that can be written down, so the field is
exact and nothing is trained. How straight a path is tells how few steps are enough to follow it:

    S = integral of |v - (x_1 - x_0)|^2 dt from 0 to 1                        (2209.03003, section 2.2)

Dividing x_t by alpha_t + sigma_t turns any mixture into the straight one with t = sigma / (alpha + sigma):
what bend is left then belongs to the model, what goes belonged to the schedule.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from playground import data, judge, reversing
from playground.nn import randn
from playground.spec import Denoises, HasScore, ModelSpec, Samples

SPREAD = 0.06  # of each point of the plane: the data are a mixture of that many small normal distributions
_SCALE = 1.6  # toys lie in [-1, 1]; their spread should be about that of the noise


class Mix(NamedTuple):
    """How data and noise mix at one time: alpha_t, sigma_t and their derivatives."""

    alpha: float
    sigma: float
    d_alpha: float
    d_sigma: float


def straight(t: float) -> Mix:
    """Flow matching's mixture (2209.03003, eq. 1)."""
    return Mix(1 - t, t, -1.0, 1.0)


def arc(t: float) -> Mix:
    """Diffusion's, whose variance stays 1: the cosine schedule without its offset (2102.09672, eq. 17)."""
    angle = math.pi / 2 * t
    return Mix(
        math.cos(angle), math.sin(angle), -math.pi / 2 * math.sin(angle), math.pi / 2 * math.cos(angle)
    )


MIXES: dict[str, Callable[[float], Mix]] = {"straight": straight, "arc": arc}


def toy_points(name: str, num: int = 600, start: int = 0) -> Tensor:
    """(num, 2) points of a toy data set, from `start` in the training set."""
    return _SCALE * data.load(name, "train").images[start : start + num, :, 0, 0]


def toy_velocity(points: Tensor, x: Tensor, mix: Mix) -> Tensor:
    """The exact velocity at x for data spread by `SPREAD` around each of the points.

    Args:
        points: (N, 2).
        x: (B, 2).
        mix: of the time.

    Returns:
        (B, 2), alpha' E[x_0 | x] + sigma' E[eps | x].
    """
    variance = mix.alpha**2 * SPREAD**2 + mix.sigma**2
    gaps = torch.cdist(x, mix.alpha * points).square()
    mean = (-gaps / (2 * variance)).softmax(1) @ points
    rest = (x - mix.alpha * mean) / variance
    return mix.d_alpha * (mean + mix.alpha * SPREAD**2 * rest) + mix.d_sigma * mix.sigma * rest


def toy_walk(points: Tensor, x: Tensor, name: str, num_steps: int) -> Tensor:
    """Euler's method from noise to data: (B, 2) at t = 1 -> (num_steps + 1, B, 2)."""
    found = [x]
    for k in range(num_steps):
        v = toy_velocity(points, found[-1], MIXES[name](1 - k / num_steps))
        found.append(found[-1] - v / num_steps)
    return torch.stack(found)


def apart(x: Tensor, y: Tensor, num_directions: int = 32) -> float:
    """How far two clouds (N, 2) of as many points lie apart: their sliced Wasserstein distance.

    Seen from each of so many directions, points are paired in order (Bonneel et al. 2015); the result is the
    mean distance of the pairs.
    """
    angles = torch.arange(num_directions) * (math.pi / num_directions)
    ways = torch.stack([angles.cos(), angles.sin()])
    return ((x @ ways).sort(0).values - (y @ ways).sort(0).values).abs().mean().item()


@dataclass(frozen=True)
class Straightness:
    """How far paths are from straight; ratios of means over the paths, as some may end where they start.

    Attributes:
        bend: S / |x_1 - x_0|^2, 0 for straight lines walked at constant speed.
        detour: length of the path / |x_1 - x_0|, 1 for straight lines walked at any speed.
    """

    bend: float
    detour: float


def straightness(times: Sequence[float] | Tensor, xs: Tensor) -> Straightness:
    """Of paths through the points xs (K, B, ...) at K monotonous times, in straight pieces."""
    t = torch.as_tensor(times, dtype=torch.float64)
    x = xs.double().flatten(2)  # (K, B, D)
    share = t.diff() / (t[-1] - t[0])  # of the time
    moved, whole = x.diff(dim=0), x[-1] - x[0]
    waste = (moved / share[:, None, None] - whole).square().sum(2)
    bend = (share[:, None] * waste).sum(0).mean() / whole.square().sum(1).mean()
    return Straightness(bend.item(), (moved.norm(dim=2).sum(0).mean() / whole.norm(dim=1).mean()).item())


def mixture(model: Denoises, timesteps: Sequence[int]) -> tuple[Tensor, Tensor]:
    """alpha_t and sigma_t at int timesteps, (K,) each, read off what `add_noise` does to ones and zeros."""
    where = judge.device_of(cast(nn.Module, model))
    one = torch.ones(len(timesteps), 1, 1, 1, device=where)
    t = torch.tensor(list(timesteps), device=where)
    alpha = model.add_noise(one, torch.zeros_like(one), t)
    sigma = model.add_noise(torch.zeros_like(one), one, t)
    return alpha.flatten().cpu().double(), sigma.flatten().cpu().double()


class Trail:
    """Where a model's paths lead on the way from noise to pictures."""

    def __init__(self, model: Denoises, spec: ModelSpec) -> None:
        """Nothing is walked yet."""
        self.model, self.spec = model, spec
        self.timesteps: list[int] = []
        self.xs: list[Tensor] = []

    def walk(self, eps: Tensor, labels: Tensor | None, num_steps: int, guidance: float) -> Iterator[float]:
        """Walk from the noise eps (B, C, H, W); yields the share that is done.

        What a model draws on its way, as one that jumps does, is the same each time.
        """
        generator = torch.Generator().manual_seed(0)
        known = controls(self.spec, num_steps, guidance)
        total = known.get("num_steps", self.model.num_timesteps - 1)
        for step in self.model.denoise(eps, labels=labels, generator=generator, **known):
            self.timesteps.append(step.t)
            self.xs.append(step.xt.cpu())
            end = step.x0_hat.cpu()
            yield len(self.xs) / total
        self.xs.append(end)

    @property
    def times(self) -> list[float]:
        """From 1 (noise) to 0 (picture), one for each of xs."""
        return [self.model.when(t) for t in self.timesteps] + [0.0]

    def as_walked(self) -> Straightness:
        """In the model's own coordinates and time."""
        return straightness(self.times, torch.stack(self.xs))

    def as_straight_mixture(self) -> Straightness:
        """After x_t / (alpha_t + sigma_t), which leaves the bend that is not the schedule's."""
        alpha, sigma = mixture(self.model, self.timesteps)
        whole = torch.cat([alpha + sigma, torch.ones(1)])
        times = torch.cat([sigma, torch.zeros(1)]) / whole
        return straightness(times, torch.stack(self.xs) / whole.view(-1, 1, 1, 1, 1))

    def at(self, gone: float) -> Tensor:
        """(B, C, H, W): where all paths were when a share `gone` of the time was over."""
        times = self.times
        return self.xs[min(range(len(times)), key=lambda i: abs(1 - times[i] - gone))]


def controls(spec: ModelSpec, num_steps: int, guidance: float) -> dict[str, Any]:
    """Values for those knobs that a model has; its sampler and the rest stay as they are."""
    values = {"num_steps": num_steps, "guidance": guidance}
    return {key: value for key, value in values.items() if reversing.knob(spec, key) is not None}


def noise_of(spec: ModelSpec, num: int, seed: int) -> Tensor:
    """(num, C, H, W): the noise that `sample` starts from with that seed."""
    shape = data.load(spec.dataset, "test").images.shape[1:]
    return randn((num, *shape), torch.Generator().manual_seed(seed))


def drawn(
    model: Samples,
    spec: ModelSpec,
    labels: Tensor | None,
    seed: int,
    num: int,
    num_steps: int,
    guidance: float,
) -> tuple[Tensor, int]:
    """(num, C, H, W) pictures from `noise_of` in so many steps, and evaluations of the network."""
    known = controls(spec, num_steps, guidance)
    given = labels if spec.conditional else None
    generator = torch.Generator().manual_seed(seed)
    *_, last = model.sample(num, labels=given, generator=generator, **known)
    return last.x.cpu(), last.nfe


def errors(
    model: HasScore, x0: Tensor, eps: Tensor, timesteps: Sequence[int]
) -> Iterator[tuple[int, float, float]]:
    """How well a model without a label tells noise from picture.

    Args:
        model: on any device.
        x0: (B, C, H, W) pictures.
        eps: noise of the same shape, the same at every timestep.
        timesteps: of the model.

    Yields:
        t, and the root mean squared errors of eps_hat and of x0_hat clipped to [-1, 1].
    """
    where = judge.device_of(cast(nn.Module, model))
    x0, eps = x0.to(where), eps.to(where)
    for t in timesteps:
        with torch.no_grad():
            found = model.predict(model.add_noise(x0, eps, torch.full((len(x0),), t, device=where)), t)
        wrong_eps, wrong_x0 = found.eps_hat - eps, found.x0_hat.clamp(-1, 1) - x0
        yield t, wrong_eps.square().mean().sqrt().item(), wrong_x0.square().mean().sqrt().item()
