"""What flows share: training by maximum likelihood of dequantised pixels, and drawing by the inverse.

A flow f is a bijection between a picture x and a latent z of as many variables, standard normal if the model
is right, whose change of volume is known (1410.8516, eq. 1):

    log p(x) = log N(f(x); 0, I) + log |det df/dx|.

It is a density, while pixels are whole numbers: each is spread evenly over its grey level first, and the mean
of the log-density then bounds log P(x) from below (1511.01844, section 3.1). A model file says what f is.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from playground.nn import adam, rand, randn, update
from playground.spec import (
    Batch,
    Control,
    Encodes,
    Flows,
    GenerativeModel,
    HasLatent,
    HasLikelihood,
    Recipe,
    Samples,
    SampleStep,
    Words,
)

TEMPERATURE = Control(
    key="temperature",
    label=Words("Temperature", "温度"),
    default=1.0,
    minimum=0.0,
    maximum=1.5,
    step=0.05,
    info=Words("Standard deviation of z; 1 is the model itself.", "z 的标准差；1 是模型本身的分布。"),
)


def dequantise(x: Tensor, generator: torch.Generator) -> Tensor:
    """Spread each grey level k evenly over its bin, [k, k + 1).

    Args:
        x: (B, C, H, W), on 256 grey levels in [-1, 1].
        generator: CPU generator of one uniform number for each pixel.

    Returns:
        The same shape; half a level, 1 / 255, beyond [-1, 1] at most.
    """
    return x + (rand(x.shape, generator, x.device) - 0.5) / 127.5


class Flow(GenerativeModel, Samples, HasLatent, Encodes, HasLikelihood, Flows):
    """A bijection of pictures with one channel; a subclass says how it goes, and what density that gives.

    It defines `through`, `latent_groups`, `encode`, `inverse` and `log_prob`; inside [-1, 1] its `decode`
    undoes its `encode` up to rounding.
    """

    likelihood = "dequantised"
    levels = 256
    temperature = 1.0  # of samples, where none is asked for

    def __init__(self, size: int) -> None:
        """Pictures of `size` pixels, both ways."""
        super().__init__()
        self.num_dims = size**2
        self.latent_shape = (self.num_dims,)
        self.max_norm = 0.0

    @abstractmethod
    def inverse(self, z: Tensor) -> Tensor:
        """(B, num_dims) -> x (B, 1, H, W), the inverse of `flow`; beyond [-1, 1] where z asks for it."""

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, num_dims) standard normal -> (B, 1, H, W) in [-1, 1], of single precision."""
        return self.inverse(z).clamp(-1, 1).float()

    @torch.no_grad()
    def sample(
        self, num: int, *, labels: Tensor | None = None, generator: torch.Generator, **controls: Any
    ) -> Iterator[SampleStep]:
        """One pass of the inverse from z ~ N(0, ``temperature``^2 I)."""
        device = next(self.parameters()).device
        temperature = controls.get("temperature", self.temperature)
        z = temperature * randn((num, *self.latent_shape), generator, device)
        yield SampleStep(1, 1, self.decode(z), 1)

    def make_optimizers(self, hp: Recipe) -> dict[str, Optimizer]:
        """One optimiser for the whole flow."""
        self.max_norm = hp.max_norm
        return {"flow": adam(self.parameters(), hp)}

    def train_step(self, batch: Batch, optimizers: dict[str, Optimizer]) -> dict[str, float]:
        """Raise the likelihood of the dequantised pictures once; nats of a picture and bits per dimension."""
        loss = -self.log_prob(batch.x, generator=batch.generator).mean()
        update(loss, optimizers["flow"], self.max_norm)
        nats = loss.item()
        return {"loss": nats, "bits_per_dim": nats / (math.log(2) * self.num_dims)}
