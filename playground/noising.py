r"""How noise comes: three schedules, one step and one jump, and that both end at the same distribution.

A schedule is a sequence betas; with a_t = (1 - beta_0) ... (1 - beta_t), called alphas_cumprod,

    q(x_t | x_{t-1}) = N(sqrt(1 - beta_t) x_{t-1}, beta_t I)              (Ho et al. 2020, 2006.11239, eq. 2)
    q(x_t | x_0)     = N(sqrt(a_t) x_0, (1 - a_t) I)                                   (2006.11239, eq. 4)

so that the signal-to-noise ratio is SNR(t) = a_t / (1 - a_t) (Kingma et al. 2021, 2107.00630, eq. 2). Pixels
are taken as they are, in [-1, 1]; a picture's own variance does not enter the ratio.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from playground.models._solvers import cosine_alphas_cumprod
from playground.nn import randn

NUM_TIMESTEPS = 1000
LIMIT = 3.5  # histograms run from -LIMIT to LIMIT; what lies beyond counts in the first and last bin
NUM_BINS = 56
_MAX_BETA = 0.999


def linear(num_timesteps: int) -> Tensor:
    """(T,) a_t of betas that rise evenly from 1e-4 to 0.02 for T = 1000 (2006.11239, section 4).

    For another T they are scaled so that the noise at the end stays about the same.
    """
    scale = 1000 / num_timesteps
    betas = torch.linspace(1e-4 * scale, 0.02 * scale, num_timesteps, dtype=torch.float64)
    return (1 - betas.clamp(max=_MAX_BETA)).cumprod(0)


def cosine(num_timesteps: int) -> Tensor:
    """(T,) a_t that follow a squared cosine (Nichol & Dhariwal 2021, 2102.09672, eq. 17)."""
    return cosine_alphas_cumprod(num_timesteps).double()


def sigmoid(num_timesteps: int, start: float = -3.0, end: float = 3.0, tau: float = 1.0) -> Tensor:
    """(T,) a_t that fall along a sigmoid from start / tau to end / tau (Jabri et al. 2022, 2212.11972)."""
    u = torch.arange(num_timesteps + 1, dtype=torch.float64) / num_timesteps
    low, high = (torch.tensor(edge / tau, dtype=torch.float64).sigmoid() for edge in (start, end))
    a = (high - ((u * (end - start) + start) / tau).sigmoid()) / (high - low)
    betas = (1 - a[1:] / a[:-1]).clamp(max=_MAX_BETA)
    return (1 - betas).cumprod(0)


SCHEDULES: dict[str, Callable[[int], Tensor]] = {"linear": linear, "cosine": cosine, "sigmoid": sigmoid}


def alphas_cumprod(name: str, num_timesteps: int = NUM_TIMESTEPS) -> Tensor:
    """(T,) float64, falling: a_t of the schedule of a name.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in SCHEDULES:
        raise ValueError(f"The schedule must be one of {', '.join(SCHEDULES)}; got {name!r}.")
    return SCHEDULES[name](num_timesteps)


def betas_of(a: Tensor) -> Tensor:
    """(T,) a_t -> (T,) beta_t, the variance that each step adds."""
    return 1 - a / torch.cat([torch.ones_like(a[:1]), a[:-1]])


def log_snr(a: Tensor) -> Tensor:
    """(T,) a_t -> (T,) log a_t / (1 - a_t), natural logarithm."""
    return a.log() - (-a).log1p()


def step(x: Tensor, beta: float, eps: Tensor) -> Tensor:
    """x_t ~ q(x_t | x_{t-1}): one step further, with fresh noise eps of the shape of x."""
    return math.sqrt(1 - beta) * x + math.sqrt(beta) * eps


def jump(x0: Tensor, a_t: float, eps: Tensor) -> Tensor:
    """x_t ~ q(x_t | x_0): all steps up to t at once, with noise eps of the shape of x0."""
    return math.sqrt(a_t) * x0 + math.sqrt(1 - a_t) * eps


def chain(
    x0: Tensor, betas: Tensor, stops: Sequence[int], generator: torch.Generator
) -> Iterator[tuple[int, Tensor]]:
    """Go step by step and look at some of them.

    Args:
        x0: (B, C, H, W).
        betas: (T,).
        stops: rising timesteps, 0 to T - 1.
        generator: of the noise, fresh in every step.

    Yields:
        Each stop with its x_t.
    """
    xt, wanted = x0, set(stops)
    for t, beta in enumerate(betas[: max(stops) + 1].tolist()):
        xt = step(xt, beta, randn(xt.shape, generator, xt.device))
        if t in wanted:
            yield t, xt


def histogram(x: Tensor, num_bins: int = NUM_BINS) -> Tensor:
    """Shares of the values in equal bins from -LIMIT to LIMIT: any shape -> (num_bins,), adding up to 1."""
    inside = x.detach().flatten().double().clamp(-LIMIT, LIMIT - 1e-9)
    counts = torch.histc(inside, num_bins, -LIMIT, LIMIT)
    return counts / counts.sum()


def normal_histogram(num_bins: int = NUM_BINS) -> Tensor:
    """What `histogram` tends to for standard normal noise: (num_bins,)."""
    edges = torch.linspace(-LIMIT, LIMIT, num_bins + 1, dtype=torch.float64)
    edges[0], edges[-1] = -math.inf, math.inf
    return torch.special.ndtr(edges).diff()


def distance(p: Tensor, q: Tensor) -> float:
    """Total variation of two histograms: the share of values that would have to move, 0 to 1."""
    return 0.5 * (p - q).abs().sum().item()


@dataclass(frozen=True)
class Meeting:
    """Where the two ways to x_t stand after as many steps.

    Attributes:
        t: the timestep.
        means: of all pixels, step by step and in one jump.
        stds: the same of their standard deviations.
        histograms: the same of their histograms, each (num_bins,).
        distance: total variation of the two histograms.
        floor: the same of two independent jumps: what chance alone makes of as many values.
        num: how many values each histogram counts.
    """

    t: int
    means: tuple[float, float]
    stds: tuple[float, float]
    histograms: tuple[Tensor, Tensor]
    distance: float
    floor: float
    num: int


def both_ways(
    x0: Tensor, a: Tensor, stops: Sequence[int], copies: int, generator: torch.Generator
) -> Iterator[Meeting]:
    """Noise copies of a picture step by step, and as many in one jump; compare at some timesteps.

    Args:
        x0: (1, C, H, W).
        a: (T,) alphas_cumprod.
        stops: rising timesteps.
        copies: of the picture, each with its own noise.
        generator: of all the noise.
    """
    many = x0.expand(copies, *x0.shape[1:])
    for t, walked in chain(many, betas_of(a), stops, generator):
        level = float(a[t])
        jumped, again = (jump(many, level, randn(many.shape, generator)) for _ in range(2))
        first, second, third = (histogram(x) for x in (walked, jumped, again))
        yield Meeting(
            t, (walked.mean().item(), jumped.mean().item()), (walked.std().item(), jumped.std().item()),
            (first, second), distance(first, second), distance(second, third), walked.numel(),
        )  # fmt: skip
