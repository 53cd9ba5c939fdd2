r"""Ways back from noise to data for anything that predicts x0 and eps: schedules, schedulers, steps.

With a_t = alphas_cumprod[t] every x_t is a mixture sqrt(a_t) x0_hat + sqrt(1 - a_t) eps_hat of what is
predicted from it, so a point of the way is an angle, phi = arctan sqrt((1 - a_t) / a_t), from 0 (picture) to
pi/2 (noise). In it the probability-flow ODE (Song et al. 2021, arXiv:2011.13456, eq. 13) has no other
coefficients (Salimans & Ho 2022, arXiv:2202.00512, app. D):

    dx / dphi = v_hat = cos(phi) eps_hat - sin(phi) x0_hat

Euler's method goes along its tangent; Heun's corrects that with the slope at the far end. DDIM solves the
same equation, as Euler's method in x / cos(phi) over tan(phi) (arXiv:2010.02502, eq. 14).
"""

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from playground.nn import randn
from playground.spec import DenoiseStep, HasScore, SampleStep

SCHEDULERS = ("DDPM", "DDIM", "DPM-Solver++")  # diffusers'
SOLVERS = ("Euler", "Heun")  # ours
SAMPLERS = SCHEDULERS + SOLVERS

Predict = Callable[[Tensor, int], DenoiseStep]


def vp_alphas_cumprod(num_steps: int) -> Tensor:
    """(T,) of DDGAN's schedule: beta rises from 0.1 to 20 over the time 0 to 1 (2011.13456, eq. 32)."""
    time = torch.arange(1, num_steps + 1) / num_steps
    return torch.exp(-0.1 * time - 0.5 * (20 - 0.1) * time**2)


def cosine_alphas_cumprod(num_timesteps: int) -> Tensor:
    """(T,) a_t, the part of the variance that is still picture (2102.09672, eq. 17, betas at most 0.999)."""
    u = torch.arange(num_timesteps + 1, dtype=torch.float64) / num_timesteps
    f = torch.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2
    betas = (1 - f[1:] / f[:-1]).clamp(max=0.999)
    return (1 - betas).cumprod(0).float()


def make_scheduler(name: str, num_steps: int, num_timesteps: int = 1000) -> Any:
    """A scheduler of diffusers, its timesteps set; it keeps state, so each call needs a fresh one.

    All clip x0_hat to [-1, 1] and start at the noisiest timestep (2305.08891, table 2, "trailing").

    Raises:
        ValueError: if the name is unknown or num_steps is not in 1 to T.
    """
    from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

    classes: dict[str, tuple[Any, dict[str, Any]]] = {
        "DDPM": (DDPMScheduler, {"clip_sample": True}),
        "DDIM": (DDIMScheduler, {"clip_sample": True}),
        "DPM-Solver++": (DPMSolverMultistepScheduler, {"thresholding": True, "sample_max_value": 1.0}),
    }  # thresholding at a maximum of 1 is clipping
    if name not in classes:
        raise ValueError(f"scheduler must be one of {', '.join(classes)}; got {name!r}.")
    scheduler_class, clipping = classes[name]
    scheduler = scheduler_class(
        num_train_timesteps=num_timesteps, beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction", timestep_spacing="trailing", **clipping,
    )  # fmt: skip
    set_trailing(scheduler, num_steps)
    return scheduler


def set_trailing(scheduler: Any, num_steps: int) -> None:
    """Give a scheduler of diffusers the timesteps of `trailing`; for some counts its own end in -1.

    Raises:
        ValueError: if num_steps is not in 1 to T.
    """
    times = trailing(num_steps, scheduler.config.num_train_timesteps)
    if _is_ddim(scheduler):  # which takes no timesteps
        scheduler.set_timesteps(num_steps)
        scheduler.timesteps = torch.tensor(times)
    else:
        scheduler.set_timesteps(timesteps=times)


def timesteps(scheduler: Any) -> Iterator[int]:
    """Those of a scheduler, each to be followed by its step, which leads to the next of them."""
    times, is_ddim = scheduler.timesteps.tolist(), _is_ddim(scheduler)
    for t, s in zip(times, times[1:] + [-1], strict=True):
        if is_ddim:  # it would go to t - T // num_steps, not always s
            scheduler.num_inference_steps = Fraction(scheduler.config.num_train_timesteps, t - s)
        yield t


def _is_ddim(scheduler: Any) -> bool:
    from diffusers import DDIMScheduler

    return isinstance(scheduler, DDIMScheduler)


def trailing(num_steps: int, start: int) -> list[int]:
    """Timesteps from start - 1 down, evenly spaced, to be followed by -1, the picture (2305.08891, table 2).

    Raises:
        ValueError: if num_steps is not in 1 to start.
    """
    if not 1 <= num_steps <= start:
        raise ValueError(f"num_steps must be 1 to {start}; got {num_steps}.")
    return [round(start - i * start / num_steps) - 1 for i in range(num_steps)]


def level(model: HasScore, t: int) -> float:
    """a_t, and 1 for t = -1, the picture."""
    return float(model.alphas_cumprod[t]) if t >= 0 else 1.0


def clipped(prediction: DenoiseStep, a_t: float) -> DenoiseStep:
    """The prediction with x0_hat in [-1, 1], and the eps_hat that leads from there to x_t."""
    x0_hat = prediction.x0_hat.clamp(-1, 1)
    eps_hat = (prediction.xt - math.sqrt(a_t) * x0_hat) / math.sqrt(1 - a_t)
    return prediction._replace(x0_hat=x0_hat, eps_hat=eps_hat)


def step_back(
    prediction: DenoiseStep, a_t: float, a_s: float, eta: float, generator: torch.Generator
) -> Tensor:
    """One step x_t -> x_s (2010.02502, eq. 12 and 16): DDIM for eta = 0, DDPM's own for eta = 1.

    Args:
        prediction: at x_t (B, C, H, W).
        a_t: level of x_t.
        a_s: level of x_s, higher; 1 gives x0_hat.
        eta: how much fresh noise.
        generator: of that noise.
    """
    sigma = eta * math.sqrt((1 - a_s) / (1 - a_t) * (1 - a_t / a_s))
    mean = math.sqrt(a_s) * prediction.x0_hat + math.sqrt(1 - a_s - sigma**2) * prediction.eps_hat
    if sigma == 0:
        return mean
    return mean + sigma * randn(mean.shape, generator, mean.device)


def step_forward(x_s: Tensor, a_s: float, a_t: float, generator: torch.Generator) -> Tensor:
    """x_t ~ q(x_t | x_s) for a noisier t (2006.11239, eq. 2, of several steps at once)."""
    keep = a_t / a_s
    return math.sqrt(keep) * x_s + math.sqrt(1 - keep) * randn(x_s.shape, generator, x_s.device)


def probability_flow(
    predict: Predict, xt: Tensor, times: list[int], alphas_cumprod: Tensor, solver: str
) -> Iterator[tuple[DenoiseStep, Tensor, int]]:
    """Solve dx/dphi = v_hat from noise to the picture or back, in Euler's or Heun's way.

    Args:
        predict: (B, C, H, W) x_t and t -> the predictions.
        xt: (B, C, H, W) at the first of the times.
        times: timesteps on the way, falling or rising; -1 is the picture, phi = 0.
        alphas_cumprod: (T,).
        solver: ``Euler`` or ``Heun``, whose step to the picture is Euler's, as there is nothing to predict.

    Yields:
        Each step's predictions, where it leads to, and how often `predict` was asked.
    """
    angles = [math.acos(math.sqrt(float(alphas_cumprod[t]))) if t >= 0 else 0.0 for t in times]
    for index, (t, s) in enumerate(pairwise(times)):
        phi, next_phi = angles[index], angles[index + 1]
        prediction, num = predict(xt, max(t, 0)), 1  # of the picture as of the least noise
        slope = _slope(prediction, phi)
        ahead = xt + (next_phi - phi) * slope
        if solver == "Heun" and s >= 0:
            far = _slope(predict(ahead, s), next_phi)
            ahead, num = xt + (next_phi - phi) * (slope + far) / 2, 2
        yield prediction, ahead, num
        xt = ahead


def _slope(prediction: DenoiseStep, phi: float) -> Tensor:
    """v_hat."""
    return math.cos(phi) * prediction.eps_hat - math.sin(phi) * prediction.x0_hat


def repaint(
    model: HasScore, x: Tensor, mask: Tensor, *, labels: Tensor | None, generator: torch.Generator,
    num_steps: int = 50, guidance: float = 1.0, rounds: int = 4,
) -> Iterator[SampleStep]:  # fmt: skip
    """RePaint (Lugmayr et al. 2022, arXiv:2201.09865, algorithm 1): draw what the mask leaves open.

    At every step the known part is noised from x and the unknown one denoised; going forth and back
    `rounds` times lets the two agree.

    Args:
        model: with a score.
        x: (B, C, H, W) in [-1, 1].
        mask: (B, 1, H, W), 1 where x is kept.
        labels: (B,) or None for no label.
        generator: a CPU generator.
        num_steps: of the way back.
        guidance: as in `HasScore.predict`.
        rounds: how often each step is taken.

    Yields:
        num_steps * rounds moments; what is shown is x in the known part and x0_hat in the other.
    """
    times = trailing(num_steps, model.num_timesteps)
    xt = randn(x.shape, generator, x.device)
    each = 1 if labels is None or guidance in (0, 1) else 2
    done, total = 0, num_steps * rounds
    for t, s in zip(times, times[1:] + [-1], strict=True):
        a_t, a_s = level(model, t), level(model, s)
        for again in reversed(range(rounds)):
            with torch.no_grad():
                prediction = clipped(model.predict(xt, t, labels, guidance), a_t)
            x_s = torch.lerp(
                step_back(prediction, a_t, a_s, 1.0, generator), step_forward(x, 1.0, a_s, generator), mask
            )
            xt = step_forward(x_s, a_s, a_t, generator) if again else x_s
            done += 1
            shown = torch.lerp(prediction.x0_hat, x, mask)
            yield SampleStep(done, total, x_s if done == total else shown, done * each)
