r"""The variational bound of a diffusion model's likelihood (Ho et al. 2020, arXiv:2006.11239, eq. 5).

With SNR(t) = a_t / (1 - a_t) and p's steps of the same variance as q's, every step costs

    KL(q(x_{t-1} | x_t, x_0) | p(x_{t-1} | x_t)) = (SNR(t - 1) - SNR(t)) / 2 * |x_0 - x0_hat(x_t)|^2

nats (Kingma et al. 2021, arXiv:2107.00630, eq. 13). To it come KL(q(x_T | x_0) | N(0, I)) at the noisy end
and -log p(x_0 | x_1) at the other: a Gaussian around x0_hat with the variance of the first step, cut into the
256 grey levels (2006.11239, eq. 13). The sum over the T - 1 steps is estimated without bias from a few of
them, drawn evenly along log SNR, one from each of as many equal parts.
"""

import math

import torch
from torch import Tensor

from playground.nn import doubled, rand, randn
from playground.spec import HasScore

NUM_TIMES = 32


@torch.no_grad()
def variational_bound(
    model: HasScore, x: Tensor, labels: Tensor | None, generator: torch.Generator, num_times: int = NUM_TIMES
) -> Tensor:
    """A lower bound of log p(x), without bias.

    Args:
        model: with a score.
        x: (B, C, H, W) in [-1, 1] on 256 grey levels.
        labels: (B,) or None for no label.
        generator: of the noise and of the timesteps that are drawn.
        num_times: how many steps stand for all of them.

    Returns:
        (B,) nats.
    """
    a = model.alphas_cumprod.cpu().double()
    last = float(a[-1])
    prior = 0.5 * (last * doubled(x).square() - last - math.log1p(-last)).flatten(1).sum(1)
    return -(prior.to(x) + _steps(model, x, labels, generator, num_times)) + _decoder(
        model, x, labels, generator
    )


def _steps(
    model: HasScore, x: Tensor, labels: Tensor | None, generator: torch.Generator, num_times: int
) -> Tensor:
    """(B,) nats: the sum over t = 1 to T - 1, from `num_times` of them, drawn as log SNR falls."""
    a = model.alphas_cumprod.cpu().double()
    snr = a / (1 - a)
    fall = (snr[:-1] / snr[1:]).log()
    share = fall / fall.sum()
    places = (torch.arange(num_times) + rand((num_times,), generator).cpu()) / num_times
    drawn = torch.searchsorted(share.cumsum(0), places.double()).clamp(max=len(share) - 1)
    total = torch.zeros(len(x), dtype=x.dtype, device=x.device)
    for index in drawn.tolist():
        weight = float(0.5 * (snr[index] - snr[index + 1]) / share[index] / num_times)
        total += weight * (x - _x0_hat(model, x, index + 1, labels, generator)).square().flatten(1).sum(1)
    return total


def _x0_hat(model: HasScore, x: Tensor, t: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
    """x0_hat, clipped, of x_t ~ q(x_t | x)."""
    xt = model.add_noise(x, randn(x.shape, generator, x.device), torch.full((len(x),), t, device=x.device))
    return model.predict(xt, t, labels).x0_hat.clamp(-1, 1)


def _decoder(model: HasScore, x: Tensor, labels: Tensor | None, generator: torch.Generator) -> Tensor:
    """(B,) log p(x_0 | x_1) in nats; the darkest and the brightest level reach to infinity."""
    scale = math.sqrt(1 - float(model.alphas_cumprod[0]))
    centre, exact = doubled(_x0_hat(model, x, 0, labels, generator)), doubled(x)
    upper = torch.where(exact > 0.999, math.inf, (exact + 1 / 255 - centre) / scale)
    lower = torch.where(exact < -0.999, -math.inf, (exact - 1 / 255 - centre) / scale)
    flip = lower > 0  # in the upper tail the difference of two numbers near 1 is lost
    upper, lower = torch.where(flip, -lower, upper), torch.where(flip, -upper, lower)
    top, bottom = torch.special.log_ndtr(upper), torch.special.log_ndtr(lower)
    inside = top + torch.log1p(-(bottom - top).exp().clamp(max=1 - 1e-12))
    return inside.flatten(1).sum(1).to(x)
