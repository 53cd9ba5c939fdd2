"""What autoregressive models share: the likelihood as a product, and drawing in reading order.

A model says, for every pixel, how likely each grey level is given the pixels before it; everything else
follows:

    log p(x | y) = sum_i log p(x_i | x_1, ..., x_{i-1}, y).

Where a picture is completed and no class is given, one is drawn from what the model believes of it: by Bayes'
rule p(y | x_1, ..., x_k) ~ p(x_1, ..., x_k | y), with x_1 to x_k what is kept before the first erased pixel.
What is kept after that says nothing of y without a sum over all that may have been erased.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer

from playground.data import binarise
from playground.nn import adam, randint, update
from playground.spec import (
    Batch,
    Completes,
    Control,
    GenerativeModel,
    HasLikelihood,
    PredictsPixels,
    Recipe,
    Samples,
    SampleStep,
    Words,
)

TEMPERATURE = Control(
    key="temperature",
    label=Words("Temperature", "温度"),
    default=1.0,
    minimum=0.2,
    maximum=1.5,
    step=0.05,
    info=Words("Below 1 the likelier grey levels are preferred.", "小于 1 时更偏向概率高的灰度。"),
)


class Autoregressive(GenerativeModel, Samples, HasLikelihood, PredictsPixels, Completes):
    """A class-conditional model of pictures with one channel, one pixel after the other in reading order."""

    likelihood = "exact"
    temperature = 1.0  # of samples, where none is asked for

    def __init__(self, levels: int, num_classes: int, size: tuple[int, int]) -> None:
        """Pictures of `size`, (height, width), on `levels` grey levels."""
        super().__init__()
        self.levels, self.num_classes, self.size = levels, num_classes, size

    @abstractmethod
    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Logits of every pixel given its past: (B, 1, H, W) in [-1, 1], (B,) -> (B, levels, H, W)."""

    @abstractmethod
    def write(
        self, x: Tensor, mask: Tensor, labels: Tensor, uniforms: Tensor, temperature: float
    ) -> Iterator[SampleStep]:
        """Draw the pixels of x where the mask is 0, one moment for each place, computing nothing twice.

        Args:
            x: (B, 1, H, W) in [-1, 1]; kept where the (B, 1, H, W) mask is 1.
            mask: 1 to keep a pixel, 0 to draw it.
            labels: (B,) int64.
            uniforms: (B, H, W) in [0, 1), one for each pixel.
            temperature: the logits' divisor.
        """

    def pixel_logits(self, x: Tensor, labels: Tensor) -> Tensor:
        """The same as calling the model: (B, 1, H, W), (B,) int64 -> (B, levels, H, W); differentiable."""
        return self(x, labels)

    def pixel_nats(self, x: Tensor, labels: Tensor) -> Tensor:
        """-log p(x_i | past, y): (B, 1, H, W) in [-1, 1], (B,) -> (B, H * W) nats."""
        target = ((x + 1) * ((self.levels - 1) / 2)).round().long()
        logits = self(x, labels).permute(0, 2, 3, 1).reshape(-1, self.levels)  # channels last: no copy
        return F.cross_entropy(logits, target.flatten(), reduction="none").view(x.shape[0], -1)

    def make_optimizers(self, hp: Recipe) -> dict[str, Optimizer]:
        """One for the whole network."""
        self.max_norm = hp.max_norm
        return {type(self).__name__.lower(): adam(self.parameters(), hp)}

    def train_step(self, batch: Batch, optimizers: dict[str, Optimizer]) -> dict[str, float]:
        """Raise the likelihood once; nats of a picture on two levels, bits per dimension on more."""
        x = binarise(batch.x, batch.generator) if self.levels == 2 else batch.x
        loss = self.pixel_nats(x, batch.labels).mean()
        (optimizer,) = optimizers.values()
        update(loss, optimizer, self.max_norm)
        if self.levels == 2:
            return {"nats": loss.item() * x[0].numel()}
        return {"bits_per_dim": loss.item() / math.log(2)}

    def log_prob(
        self, x: Tensor, labels: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Exact log p(x | y), or without labels log p(x) with every class as likely.

        Args:
            x: (B, 1, H, W), on `levels` grey levels.
            labels: (B,) int64; None sums over the classes, log p(x) = log mean_y p(x | y).
            generator: not used, nothing is random.

        Returns:
            (B,) nats.

        Raises:
            ValueError: if a pixel lies between the grey levels.
        """
        steps = (x + 1) * ((self.levels - 1) / 2)
        if not torch.allclose(steps, steps.round(), atol=1e-2):
            raise ValueError(f"Pixels must be on {self.levels} grey levels from -1 to 1; round them first.")
        if labels is not None:
            return -self.pixel_nats(x, labels).sum(dim=1)
        given = -self.class_nats(x).sum(dim=2)
        return given.logsumexp(dim=0) - math.log(len(given))

    def class_nats(self, x: Tensor) -> Tensor:
        """`pixel_nats` given each class in turn: (B, 1, H, W) -> (num_classes, B, H * W) nats."""
        given = (x.new_full((len(x),), y).long() for y in range(self.num_classes))
        return torch.stack([self.pixel_nats(x, labels) for labels in given])

    def belief(self, x: Tensor, mask: Tensor) -> Tensor:
        """p(y | the pixels before the first erased one), every class as likely before any pixel is seen.

        Args:
            x: (B, 1, H, W) in [-1, 1]; the network sees it on its grey levels.
            mask: (B, 1, H, W), 0 where a pixel is erased.

        Returns:
            (B, num_classes) on the CPU.
        """
        before = leading(mask)
        seen = torch.where(before, quantise(x, self.levels).flatten(1).cpu(), -1.0)
        rows, places = torch.cat([seen, before], dim=1).unique(dim=0, return_inverse=True)
        seen, kept = rows.double().chunk(2, dim=1)  # each prefix once, however often it is completed
        nats = self.class_nats(seen.to(x).view(-1, *x.shape[1:])).cpu().double()
        return (-(nats * kept).sum(dim=2)).softmax(dim=0).T[places]

    def sample(
        self, num: int, *, labels: Tensor | None = None, generator: torch.Generator, **controls: Any
    ) -> Iterator[SampleStep]:
        """Write `num` pictures, from the top left to the bottom right; one moment for each pixel."""
        x = next(self.parameters()).new_full((num, 1, *self.size), -1.0)
        return self.complete(x, torch.zeros_like(x), labels=labels, generator=generator, **controls)

    @torch.no_grad()
    def complete(
        self,
        x: Tensor,
        mask: Tensor,
        *,
        labels: Tensor | None = None,
        generator: torch.Generator,
        **controls: Any,
    ) -> Iterator[SampleStep]:
        """Keep x where the (B, 1, H, W) mask is 1 and draw the other pixels, each given its past alone.

        Args:
            x: (B, 1, H, W) in [-1, 1]; the network sees it on its grey levels.
            mask: 1 to keep a pixel, 0 to draw it.
            labels: (B,) int64; None draws each from `belief`, which costs one evaluation for every class.
            generator: CPU generator of the labels and of one uniform number for each pixel.
            controls: ``temperature``, the logits' divisor.
        """
        extra = 0
        if labels is None and self._tells(mask):
            labels, extra = self.belief(x, mask).multinomial(1, generator=generator)[:, 0], self.num_classes
        elif labels is None:
            labels = randint(self.num_classes, len(x), generator)
        uniforms = torch.rand(len(x), *x.shape[2:], generator=generator).to(x)
        temperature = controls.get("temperature", self.temperature)
        for moment in self.write(x, mask, labels.to(x.device), uniforms, temperature):
            yield moment._replace(nfe=moment.nfe + extra)

    def _tells(self, mask: Tensor) -> bool:
        """Whether a pixel is kept before the first erased one of any picture that is not kept whole."""
        before = leading(mask).sum(dim=1)
        return bool(((before > 0) & (before < mask[0].numel())).any())


def leading(mask: Tensor) -> Tensor:
    """(B, 1, H, W), 1 where a pixel is kept -> (B, H * W) bool on the CPU, places before the first erased."""
    return (mask.flatten(1) > 0.5).cpu().long().cumprod(dim=1).bool()


def ink_features(x: Tensor, levels: int) -> Tensor:
    """What a first layer sees: (B, 1, H, W), and of grey pixels also if there is any and full ink."""
    if levels == 2:
        return x
    return torch.cat([x, (x > -1).to(x.dtype), (x > 0.9).to(x.dtype)], dim=1)


def digit_odds(levels: int) -> Tensor:
    """(levels,) logits with which every pixel is black at the odds of a digit's picture, 4 to 1."""
    bias = torch.zeros(levels)
    bias[0] = math.log(4 * (levels - 1))
    return bias


def draw(logits: Tensor, uniforms: Tensor, temperature: float) -> Tensor:
    """Grey levels by inversion: the first one at which the cumulative probability exceeds the uniform number.

    Args:
        logits: (B, levels).
        uniforms: (B,) in [0, 1).
        temperature: the logits' divisor, above 0.

    Returns:
        (B,) values in [-1, 1].
    """
    num_levels = logits.shape[1]
    cumulative = (logits / temperature).softmax(dim=1).cumsum(dim=1)
    level = (cumulative[:, :-1] <= uniforms[:, None]).sum(dim=1)
    return level.to(logits.dtype) * (2 / (num_levels - 1)) - 1


def quantise(x: Tensor, num_levels: int) -> Tensor:
    """The nearest of `num_levels` grey levels from -1 to 1, same shape."""
    scale = (num_levels - 1) / 2
    return ((x + 1) * scale).round() / scale - 1


@torch.no_grad()
def write_naively(
    model: Autoregressive, labels: Tensor, uniforms: Tensor, temperature: float = 1.0, stop: int | None = None
) -> Tensor:
    """The reference: one pass of the whole network for each pixel, all but one place of it thrown away.

    Args:
        model: the network.
        labels: (B,) int64.
        uniforms: (B, H, W) in [0, 1), one for each pixel.
        temperature: the logits' divisor.
        stop: draw only the first so many pixels.

    Returns:
        (B, 1, H, W) in [-1, 1].
    """
    x, width = torch.full_like(uniforms[:, None], -1.0), uniforms.shape[2]
    for row, column in [divmod(place, width) for place in range(uniforms[0].numel())][:stop]:
        logits = model(x, labels)[:, :, row, column]
        x[:, 0, row, column] = draw(logits, uniforms[:, row, column], temperature)
    return x
