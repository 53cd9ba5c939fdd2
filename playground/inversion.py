"""The latent of a picture for a model that has no encoder: it is searched for by gradient.

    z* = argmin_z |G(z) - x|^2 / D + w |f(G(z)) - f(x)|^2 / |f(x)|^2 + v |z|^2 / d

with f the features of the digit classifier, D pixels and d numbers in z. The first term asks for the same
pixels, the second for the same digit (Zhu et al. 2016, arXiv:1609.03552, section 4.1), the third keeps z
where the generator has been trained (Bora et al. 2017, arXiv:1703.03209). There are many valleys, so several
starts go down side by side, the best of a handful of random latents. What stays of the error says how far
the picture lies from everything that the generator can draw (Webster et al. 2019, arXiv:1901.03396).
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Adam

from playground import judge, registry
from playground.nn import randn

NUM_STARTS, NUM_CANDIDATES, NUM_STEPS = 6, 48, 150
_LR, _LAST_LR = 0.12, 0.01  # falls like a cosine from the one to the other
_FEATURES, _PRIOR = 0.2, 1e-3


class NoGradient(RuntimeError):
    """The model's pictures carry no gradient back to their latent."""


class Found(NamedTuple):
    """The best latent so far.

    Attributes:
        step: updates so far.
        num_steps: updates in all.
        x: (1, C, H, W), what it decodes to.
        z: (1, *latent_shape).
        losses: of every start, best or not, as they are now.
        nfe: evaluations of the generator so far, for however many starts at once.
    """

    step: int
    num_steps: int
    x: Tensor
    z: Tensor
    losses: tuple[float, ...]
    nfe: int


class Aim:
    """What is minimised: the distance of pictures from one picture."""

    def __init__(self, x: Tensor) -> None:
        """`x` is (1, C, H, W) in [-1, 1], on the model's device."""
        self.x, self.classifier = x, registry.load(judge.NAME)
        self.where = judge.device_of(self.classifier)
        self.features = self._features(x)

    def _features(self, x: Tensor) -> Tensor:
        classifier: Any = self.classifier
        return classifier.features(x.to(self.where)).float()

    def __call__(self, y: Tensor, z: Tensor) -> Tensor:
        """(B, C, H, W) and (B, *latent_shape) -> (B,)."""
        pixels = (y - self.x).square().flatten(1).mean(1)
        seen = (self._features(y) - self.features).square().sum(1) / self.features.square().sum()
        return pixels + _FEATURES * seen.to(pixels.device) + _PRIOR * z.square().flatten(1).mean(1)


def decode(model: Any, z: Tensor, labels: Tensor | None) -> Tensor:
    """(B, *latent_shape) -> (B, C, H, W), all of the one label (1,) where there is one."""
    return model.decode(z, None if labels is None else labels.to(z.device).expand(len(z)))


@torch.no_grad()
def starts(model: Any, aim: Aim, labels: Tensor | None, seed: int) -> tuple[Tensor, int]:
    """The best of some random latents, (NUM_STARTS, *latent_shape), and the evaluations that took."""
    generator = torch.Generator().manual_seed(seed)
    candidates = randn((NUM_CANDIDATES, *model.latent_shape), generator, aim.x.device)
    parts = [aim(decode(model, part, labels), part) for part in candidates.split(NUM_STARTS)]
    best = torch.cat(parts).argsort()[:NUM_STARTS]
    return candidates[best].clone().requires_grad_(True), len(parts)


def invert(
    model: Any, x: Tensor, labels: Tensor | None = None, *, seed: int = 0, num_steps: int = NUM_STEPS
) -> Iterator[Found]:
    """Search for the latent of a picture, an update a moment.

    Args:
        model: with `HasLatent`; its pictures must carry gradients.
        x: (1, C, H, W) in [-1, 1].
        labels: (1,) for a conditional model.
        seed: of the random latents it starts from.
        num_steps: updates.

    Raises:
        NoGradient: if the model decodes without gradients.
        WeightsError: if the classifier cannot be used.
    """
    aim = Aim(x.to(judge.device_of(model)))
    z, nfe = starts(model, aim, labels, seed)
    optimizer, best, kept, seen = Adam([z], lr=_LR), math.inf, z.detach()[:1], aim.x
    for step in range(1, num_steps + 1):
        share = 0.5 * (1 + math.cos(math.pi * (step - 1) / num_steps))
        optimizer.param_groups[0]["lr"] = _LAST_LR + (_LR - _LAST_LR) * share
        with torch.enable_grad():
            y = decode(model, z, labels)
            if not y.requires_grad:
                raise NoGradient("The model decodes without gradients.")
            losses = aim(y, z)
            (z.grad,) = torch.autograd.grad(losses.sum(), z)  # of z alone: the model is shared
        nfe += 1
        index = int(losses.argmin())
        if float(losses.detach()[index]) < best:
            best, kept = float(losses.detach()[index]), z.detach()[index : index + 1].clone()
            seen = y.detach()[index : index + 1]
        optimizer.step()
        yield Found(step, num_steps, seen, kept, tuple(losses.tolist()), nfe)
