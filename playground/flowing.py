"""A picture on its way through a flow: what each layer makes of it and of its density, and edited latents.

The density of a picture x follows its latent z through the change of variables (1410.8516, eq. 1):

    log p(x) = log N(z; 0, I) + sum over layers of log |det d(after) / d(before)|,

where x counts pixels in grey levels, [0, 256), as every likelihood here does.

Everything here asks a model for `Flows`, `Encodes` and `HasLatent` and for nothing else.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from playground.judge import device_of
from playground.models._flow import dequantise
from playground.nn import randn
from playground.spec import FlowStep

KEEP, ZERO, OTHER, NOISE = CHOICES = ("keep", "zero", "other", "noise")
TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)
_TAIL = 0.01  # of the variables on either side is drawn as black or white


@dataclass(frozen=True)
class Layer:
    """One layer of the way.

    Attributes:
        name: as the model calls it.
        picture: (1, 1, H, W) in [-1, 1], every variable at the pixel it comes from.
        mean: of all variables after it.
        std: their standard deviation.
        log_det: what it adds to the log-density of the dequantised picture, in nats; the first is
            that of the map from grey levels, [0, 256), not from [-1, 1].
    """

    name: str
    picture: Tensor
    mean: float
    std: float
    log_det: float


@dataclass(frozen=True)
class Way:
    """A picture's way to z and back.

    Attributes:
        layers: in order; the last one's variables are z.
        log_normal: log N(z; 0, I) of the dequantised picture, in nats.
        z: (1, *latent_shape) of the picture itself, on the CPU.
        again: (1, 1, H, W), decoded from z.
        error: the largest difference between `again` and the picture, in [-1, 1].
        nfe: network evaluations there and back.
        seconds: that there and back took, densities included.
    """

    layers: list[Layer]
    log_normal: float
    z: Tensor
    again: Tensor
    error: float
    nfe: int
    seconds: float

    @property
    def nats(self) -> float:
        """Log-density of the picture with one draw of dequantisation noise, for pixels in [0, 256)."""
        return self.log_normal + sum(layer.log_det for layer in self.layers)


@torch.no_grad()
def travel(model: Any, x: Tensor, seed: int = 0) -> Way:
    """Send a picture (1, 1, H, W), on 256 grey levels in [-1, 1], through a flow and back.

    Pictures of the layers, z and the way back are those of the picture itself; the densities are those of its
    pixels spread over their grey level with noise of that seed, for a density of whole levels does not exist.
    """
    x, started = x.to(device_of(model)), time.perf_counter()
    spread = dequantise(x, torch.Generator().manual_seed(seed))
    layers: list[Layer] = []
    for step in model.through(torch.cat([x, spread])):
        h, log_det = step.h[0].cpu().double(), float(step.log_det[1])
        log_det -= 0 if layers else x[0].numel() * math.log(127.5)  # one level is 1 / 127.5 of x's unit
        layers.append(
            Layer(step.name, picture(step, tuple(x.shape[2:])), float(h.mean()), float(h.std()), log_det)
        )
    log_normal = -0.5 * (step.h[1].cpu().double().square() + math.log(2 * math.pi)).sum()
    again = model.decode(step.h[:1].view(1, *model.latent_shape))
    error, nfe = float((again - x).abs().max()), 1 + model.decode_nfe
    seconds = time.perf_counter() - started
    return Way(layers, float(log_normal), step.h[:1].cpu(), again.cpu(), error, nfe, seconds)


def picture(step: FlowStep, shape: tuple[int, ...], row: int = 0) -> Tensor:
    """The variables of one picture as grey pixels, (1, 1, H, W): black and white are their extremes."""
    h = step.h[row].detach().float().cpu()
    low, high = h.quantile(_TAIL), h.quantile(1 - _TAIL)
    grey = ((h - low) / (high - low).clamp(min=1e-6) * 2 - 1).clamp(-1, 1)
    if step.places is not None:
        grey = torch.empty_like(grey).scatter(0, step.places.cpu(), grey)
    return grey.view(1, 1, *shape)


def edited(
    model: Any, z: Tensor, other: Tensor, choices: Sequence[str], scale: float = 1.0, seed: int = 0
) -> Tensor:
    """A latent of which some groups are replaced, all of it scaled.

    Args:
        model: with `Flows`.
        z: (1, *latent_shape).
        other: the latent of the other picture, the same shape.
        choices: of `CHOICES`, one for each of `model.latent_groups()`.
        scale: times the result.
        seed: of the noise.
    """
    noise = randn(z.shape, torch.Generator().manual_seed(seed))
    sources = {KEEP: z, ZERO: torch.zeros_like(z), OTHER: other, NOISE: noise}
    made = z.clone()
    for indices, choice in zip(model.latent_groups(), choices, strict=True):
        made[:, indices.cpu()] = sources[choice][:, indices.cpu()]
    return scale * made


@torch.no_grad()
def decoded(model: Any, z: Tensor) -> Tensor:
    """(B, *latent_shape) -> pictures (B, C, H, W) on the CPU."""
    return model.decode(z.to(device_of(model))).cpu()


def by_temperature(model: Any, num: int, seed: int = 0) -> Iterator[tuple[float, Tensor]]:
    """The same `num` latents at every temperature: (temperature, pictures (num, C, H, W))."""
    z = randn((num, *model.latent_shape), torch.Generator().manual_seed(seed))
    for temperature in TEMPERATURES:
        yield temperature, decoded(model, temperature * z)
