r"""Inverse problems without retraining: what a trained score can do for a picture that is damaged.

Everything here works on any model with `HasScore`. From x_t it predicts x0_hat; what is known of the picture
then corrects that prediction, or decides where the way back starts:

    inpainting         the known part is noised afresh at every step     (`repaint`, arXiv:2201.09865)
    super-resolution   x0_hat + A^+ (y - A x0_hat), A the mean of blocks    (arXiv:2212.00490, eq. 13),
                       where that leaves [-1, 1] the nearest picture inside
    denoising          y = x_0 + sigma n is x_t / sqrt(a_t) for the t with (1 - a_t) / a_t = sigma^2
    SDEdit             a sketch, noised up to some t, and back from there           (arXiv:2108.01073)
    inversion          DDIM's equation upwards, from a picture to its noise  (arXiv:2010.02502, eq. 14)
    likelihood         the same equation carries the density along          (arXiv:2011.13456, eq. 39)
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from playground.models._bound import variational_bound
from playground.models._solvers import clipped, level, repaint, step_back, step_forward, trailing
from playground.nn import rand, randn
from playground.spec import HasScore, SampleStep

BOUND_TIMES = 100  # of the timesteps, that stand for all in the bound
HALVINGS = 16  # of the interval in which a block's number is looked for: to less than a hundredth of a level

__all__ = [
    "Likelihood", "bound", "coarse", "denoise", "enlarge", "flow_likelihood", "invert", "matching_timestep",
    "repaint", "return_trip", "sdedit", "super_resolve",
]  # fmt: skip


def back_from(
    model: HasScore, xt: Tensor, start: int, *, labels: Tensor | None, generator: torch.Generator,
    num_steps: int, guidance: float = 1.0, eta: float = 1.0, known: tuple[Tensor, int] | None = None,
    rounds: int = 1,
) -> Iterator[SampleStep]:  # fmt: skip
    """The way back from x_t at t = start - 1; x0_hat is what there is to see.

    Args:
        model: with a score.
        xt: (B, C, H, W).
        start: how many timesteps lie ahead, 1 to T.
        labels: (B,) or None for no label.
        generator: of the fresh noise.
        num_steps: at most; there are never more than `start`.
        guidance: as in `HasScore.predict`.
        eta: fresh noise, 0 (DDIM) to 1 (DDPM).
        known: a coarse picture and its factor, to which every x0_hat is made to fit.
        rounds: how often each step is taken, back and forth (2201.09865, section 4.2).
    """
    times = trailing(min(num_steps, start), start)
    each = 1 if labels is None or guidance in (0, 1) else 2
    step, total = 0, len(times) * rounds
    for t, s in zip(times, times[1:] + [-1], strict=True):
        a_t, a_s = level(model, t), level(model, s)
        for again in reversed(range(rounds)):
            with torch.no_grad():
                prediction = clipped(model.predict(xt, t, labels, guidance), a_t)
            if known is not None:
                prediction = clipped(prediction._replace(x0_hat=_fit(prediction.x0_hat, *known)), a_t)
            xt, step = step_back(prediction, a_t, a_s, eta, generator), step + 1
            xt = step_forward(xt, a_s, a_t, generator) if again else xt
            yield SampleStep(step, total, prediction.x0_hat, step * each)


def coarse(x: Tensor, factor: int) -> Tensor:
    """A: (B, C, H, W) -> (B, C, H / factor, W / factor), the mean of every block."""
    return F.avg_pool2d(x, factor)


def enlarge(y: Tensor, factor: int) -> Tensor:
    """A^+: every pixel becomes a block, (B, C, h, w) -> (B, C, h * factor, w * factor); A A^+ = I."""
    return y.repeat_interleave(factor, 2).repeat_interleave(factor, 3)


def _fit(x: Tensor, y: Tensor, factor: int) -> Tensor:
    """The picture in [-1, 1] nearest to x whose blocks have the means y.

    It is x moved by one number a block and clipped; its block's mean rises with that number, so halving
    finds it.
    """
    blocks = F.pixel_unshuffle(x, factor).unflatten(1, (-1, factor**2))  # (B, C, factor^2, h, w)
    move, width = torch.zeros_like(y)[:, :, None], 1 + float(x.abs().max())
    for _ in range(HALVINGS):
        width /= 2
        below = (blocks + move).clamp(-1, 1).mean(2, keepdim=True) < y[:, :, None]
        move = torch.where(below, move + width, move - width)
    return F.pixel_shuffle((blocks + move).clamp(-1, 1).flatten(1, 2), factor)


def super_resolve(
    model: HasScore, y: Tensor, factor: int, *, labels: Tensor | None, generator: torch.Generator,
    num_steps: int = 50, guidance: float = 1.0, rounds: int = 4,
) -> Iterator[SampleStep]:  # fmt: skip
    """Draw a picture whose blocks of factor x factor pixels have the means y (B, C, h, w)."""
    x = enlarge(y, factor)
    xt, start = randn(x.shape, generator, x.device), model.num_timesteps
    yield from back_from(
        model, xt, start, labels=labels, generator=generator, num_steps=num_steps, guidance=guidance,
        known=(y, factor), rounds=rounds,
    )  # fmt: skip


def matching_timestep(model: HasScore, sigma: float) -> int:
    """The t at which x_t / sqrt(a_t) = x_0 + noise of standard deviation nearest to sigma, in ratio."""
    a = model.alphas_cumprod.cpu().double()
    return int(((1 - a) / a).sqrt().log().sub(math.log(sigma)).abs().argmin())


def denoise(
    model: HasScore, y: Tensor, sigma: float, *, labels: Tensor | None, generator: torch.Generator,
    num_steps: int = 50, guidance: float = 1.0, eta: float = 1.0,
) -> Iterator[SampleStep]:  # fmt: skip
    """Draw a clean picture given y = x_0 + sigma n (B, C, H, W), n standard normal.

    With eta = 1 it is drawn from what is possible given y; with eta = 0 one of these is fixed by y.
    """
    t = matching_timestep(model, sigma)
    yield from back_from(
        model, math.sqrt(level(model, t)) * y, t + 1, labels=labels, generator=generator,
        num_steps=num_steps, guidance=guidance, eta=eta,
    )  # fmt: skip


def sdedit(
    model: HasScore, x: Tensor, strength: float, *, labels: Tensor | None, generator: torch.Generator,
    num_steps: int = 50, guidance: float = 1.0,
) -> Iterator[SampleStep]:  # fmt: skip
    """Noise x (B, C, H, W) up to a share of all timesteps, and come back (2108.01073, algorithm 1).

    Args:
        model: with a score.
        x: sketches, in [-1, 1].
        strength: 0 (exclusive) to 1: the larger, the more realistic and the less like x.
        labels: (B,) or None for no label.
        generator: of all noise.
        num_steps: for the whole way; a part of it takes as large a part of the steps.
        guidance: as in `HasScore.predict`.
    """
    start = max(1, round(strength * model.num_timesteps))
    xt = step_forward(x, 1.0, level(model, start - 1), generator)
    yield from back_from(
        model, xt, start, labels=labels, generator=generator, guidance=guidance,
        num_steps=max(1, math.ceil(num_steps * start / model.num_timesteps)),
    )  # fmt: skip


def invert(model: HasScore, x: Tensor, *, labels: Tensor | None, num_steps: int = 50) -> Iterator[SampleStep]:
    """DDIM upwards: from pictures (B, C, H, W) to the noise that `return_trip` turns into them; shows x_t.

    Each step takes the prediction where it starts for the one where it ends, so the error falls with the
    length of the steps.
    """
    times = trailing(num_steps, model.num_timesteps)[::-1]
    xt, now = x, -1
    for step, t in enumerate(times, 1):
        with torch.no_grad():
            prediction = model.predict(xt, max(now, 0), labels)
        a_t = level(model, t)
        xt, now = math.sqrt(a_t) * prediction.x0_hat + math.sqrt(1 - a_t) * prediction.eps_hat, t
        yield SampleStep(step, num_steps, xt, step)


def return_trip(
    model: HasScore, xt: Tensor, *, labels: Tensor | None, num_steps: int = 50
) -> Iterator[SampleStep]:
    """DDIM downwards from noise, nothing clipped, so that nothing but `invert`'s error is seen; shows x_t."""
    times = trailing(num_steps, model.num_timesteps)
    for step, (t, s) in enumerate(zip(times, times[1:] + [-1], strict=True), 1):
        with torch.no_grad():
            prediction = model.predict(xt, t, labels)
        a_s = level(model, s)
        xt = math.sqrt(a_s) * prediction.x0_hat + math.sqrt(1 - a_s) * prediction.eps_hat
        yield SampleStep(step, num_steps, xt, step)


class Likelihood(NamedTuple):
    """How probable pictures are to a model: (B,) nats, and the network evaluations that it took."""

    nats: Tensor
    nfe: int


def bound(model: HasScore, x: Tensor, *, labels: Tensor | None, generator: torch.Generator) -> Likelihood:
    """The variational lower bound of log p (2006.11239, eq. 5), estimated from `BOUND_TIMES` timesteps."""
    return Likelihood(variational_bound(model, x, labels, generator, BOUND_TIMES), BOUND_TIMES + 1)


def flow_likelihood(
    model: HasScore, x: Tensor, *, labels: Tensor | None, generator: torch.Generator, num_steps: int = 60
) -> Iterator[float | Likelihood]:
    """Log p by the probability-flow ODE (2011.13456, eq. 39), pixels dequantised with uniform noise.

    In the angle phi between picture and noise dx/dphi = v_hat and d log p / dphi = -div v_hat, whose
    divergence is estimated with one random sign vector e: e^T (dv_hat / dx) e (Hutchinson; eq. 40). Heun's
    method takes equal steps of log SNR from t = 0 to T - 1.

    Args:
        model: with a score.
        x: (B, C, H, W) in [-1, 1] on 256 grey levels.
        labels: (B,) or None for no label.
        generator: of the dequantisation and of e.
        num_steps: at most; two network evaluations each, with their gradients.

    Yields:
        How much is done, 0 to 1; at last the likelihood of the discrete pictures.
    """
    times = _even_in_log_snr(model, num_steps)
    angles = [math.atan2(math.sqrt(1 - level(model, t)), math.sqrt(level(model, t))) for t in times]
    signs = (rand(x.shape, generator, x.device) < 0.5).to(x.dtype) * 2 - 1
    start = level(model, 0)
    xt = math.sqrt(start) * (x + (2 * rand(x.shape, generator, x.device) - 1) / 255)
    num_dims = x[0].numel()
    total = torch.full((len(x),), num_dims * (math.log(2 / 255) + 0.5 * math.log(start)), device=x.device)
    for step in range(len(times) - 1):
        change = [0.5 * math.sin(2 * angles[step + i]) for i in (0, 1)]  # dphi / du, u = log tan phi
        width = math.log(math.tan(angles[step + 1]) / math.tan(angles[step]))
        v, divergence = _field(model, xt, times[step], labels, signs)
        ahead = xt + width * change[0] * v
        far, far_divergence = _field(model, ahead, times[step + 1], labels, signs)
        xt = xt + width / 2 * (change[0] * v + change[1] * far)
        total = total + width / 2 * (change[0] * divergence + change[1] * far_divergence)
        yield (step + 1) / (len(times) - 1)
    normal = -0.5 * (xt.square() + math.log(2 * math.pi)).flatten(1).sum(1)
    yield Likelihood(total + normal, 2 * (len(times) - 1))


def _even_in_log_snr(model: HasScore, num_steps: int) -> list[int]:
    """Rising timesteps from 0 to T - 1, as evenly spaced in log SNR as whole numbers can be."""
    a = model.alphas_cumprod.cpu().double()
    snr = (a / (1 - a)).log()
    wanted = torch.linspace(float(snr[0]), float(snr[-1]), num_steps + 1, dtype=torch.float64)
    found = torch.searchsorted(-snr, -wanted).clamp(max=len(a) - 1)
    return sorted(set(found.tolist()) | {0, len(a) - 1})


@torch.enable_grad()
def _field(
    model: HasScore, xt: Tensor, t: int, labels: Tensor | None, signs: Tensor
) -> tuple[Tensor, Tensor]:
    """v_hat (B, C, H, W) and an estimate of its divergence (B,), as seen along `signs`."""
    xt, a_t = xt.detach().requires_grad_(), level(model, t)
    prediction = model.predict(xt, t, labels)
    v = math.sqrt(a_t) * prediction.eps_hat - math.sqrt(1 - a_t) * prediction.x0_hat
    (gradient,) = torch.autograd.grad((v * signs).sum(), xt)
    return v.detach(), (gradient * signs).flatten(1).sum(1)
