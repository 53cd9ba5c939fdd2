"""Directions in a latent space that mean something: principal ones, and differences between means.

Principal directions of a generator's features (GANSpace, Härkönen et al. 2020, arXiv:2004.02546): draw many
z, look at the activations y of an early layer, find their principal components V (section 2.1), and, as the
sampler starts from z and not from y, carry them back by least squares (eq. 2),

    x_j = V^T (y_j - mean),    U = argmin sum_j |U x_j - z_j|^2,    z' = z + a sigma_k u_k.

For a model with styles the components are those of its styles w, and w moves (eq. 1). Differences between
the mean codes of two groups of pictures are the older way (1512.09300, section 4.2): z' = z + a (m_b - m_a).
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from playground import data, judge
from playground.nn import randn
from playground.seeding import seeded
from playground.spec import HasStyles

_EXACT = 1024  # columns up to which the covariance is worked out whole
_CHUNK = 250


@dataclass(frozen=True)
class Components:
    """Principal components, the largest first.

    Attributes:
        mean: (F,).
        basis: (K, F), orthonormal rows; in each the largest entry is positive.
        scale: (K,), the standard deviation along each.
        share: (K,), the part of all variance that each one holds.
    """

    mean: Tensor
    basis: Tensor
    scale: Tensor
    share: Tensor

    def coordinates(self, x: Tensor) -> Tensor:
        """(N, F) -> (N, K)."""
        return (x - self.mean) @ self.basis.T


def pca(x: Tensor, num: int) -> Components:
    """The first `num` principal components of (N, F), at most F; for wide x by a seeded random projection."""
    mean, num = x.mean(0), min(num, x.shape[1], len(x) - 1)
    centred = x - mean
    total = centred.square().sum() / (len(x) - 1)
    if x.shape[1] <= _EXACT:
        _, basis = torch.linalg.eigh((centred.T @ centred).double())
        basis = basis.flip(1)[:, :num].T.to(x.dtype)
    else:
        with seeded(0):
            basis = torch.pca_lowrank(centred, q=min(num + 8, *x.shape), center=False, niter=4)[2].T[:num]
    largest = basis.gather(1, basis.abs().argmax(1, keepdim=True))
    basis = basis * torch.where(largest < 0, -1.0, 1.0)
    variance = (centred @ basis.T).square().sum(0) / (len(x) - 1)
    return Components(mean, basis, variance.sqrt(), variance / total.clamp_min(1e-30))


class _Heard(Exception):
    """Ends a forward pass once the layer that is listened to has spoken; carries what it said."""


def _speak(layer: nn.Module, inputs: Any, output: Tensor) -> None:
    raise _Heard(output.detach())


def _telling(model: Any, z: Tensor, labels: Tensor | None) -> nn.Module | None:
    """The first linear layer to speak that tells two z (2, *latent_shape) of one class apart, or None.

    One that embeds the time or the label says the same of every z: its principal components are rounding.
    """
    told: list[nn.Module] = []

    def listen(layer: nn.Module, inputs: Any, output: Tensor) -> None:
        if len(output) == 2 and not output[0].allclose(output[1]):
            told.append(layer)

    ears = [layer.register_forward_hook(listen) for layer in model.modules() if isinstance(layer, nn.Linear)]
    model.decode(z, labels)
    for ear in ears:
        ear.remove()
    return told[0] if told else None


@torch.no_grad()
def features(model: Any, z: Tensor, labels: Tensor | None = None) -> Tensor:
    """What PCA looks at: styles, else the first linear layer's activations that depend on z, else pictures.

    Args:
        model: with a latent; a copy of it is listened to, so nobody who shares it notices.
        z: (N, *latent_shape).
        labels: (N,) or None.

    Returns:
        (N, F) on the CPU.
    """
    where, found = judge.device_of(model), []
    listener = model if isinstance(model, HasStyles) else copy.deepcopy(model)
    if not isinstance(model, HasStyles):
        one_class = None if labels is None else labels[:1].expand(2).to(where)
        if layer := _telling(listener, z[:2].to(where), one_class):
            layer.register_forward_hook(_speak)
    for start in range(0, len(z), _CHUNK):
        part = z[start : start + _CHUNK].to(where)
        asked = None if labels is None else labels[start : start + _CHUNK].to(where)
        if isinstance(listener, HasStyles):
            found.append(listener.styles(part, asked)[:, 0])
            continue
        try:
            found.append(listener.decode(part, asked))
        except _Heard as heard:
            found.append(heard.args[0])
    return torch.cat(found).flatten(1).float().cpu()


@dataclass(frozen=True)
class Directions:
    """Principal directions of a generator.

    Attributes:
        moves: (K, *latent_shape), or (K, D) in the space of styles: one standard deviation along each.
        share: (K,), the part of the features' variance that each component holds.
        in_styles: whether a move is added to the styles and not to z.
    """

    moves: Tensor
    share: Tensor
    in_styles: bool


def principal(model: Any, num: int, labels: Tensor | None = None, num_samples: int = 2000) -> Directions:
    """GANSpace: `num` principal directions, from `num_samples` latents drawn with seed 0.

    Args:
        model: with a latent.
        num: how many directions.
        labels: (num_samples,) or None.
        num_samples: latents to look at.
    """
    z = randn((num_samples, *model.latent_shape), torch.Generator().manual_seed(0))
    seen = features(model, z, labels)
    found = pca(seen, num)
    if isinstance(model, HasStyles):
        return Directions(found.basis * found.scale[:, None], found.share, True)
    x = found.coordinates(seen) / found.scale.clamp_min(1e-12)  # unit variance, so a move is one sigma
    moves = torch.linalg.lstsq(x.double(), z.flatten(1).double()).solution.float()
    return Directions(moves.view(-1, *model.latent_shape), found.share, False)


@torch.no_grad()
def walk(
    model: Any, z: Tensor, directions: Directions, amounts: Tensor, labels: Tensor | None = None,
    spread: float = 1.0,
) -> Tensor:  # fmt: skip
    """Pictures of one latent moved along every direction.

    Args:
        model: the one the directions belong to.
        z: (1, *latent_shape).
        directions: K of them.
        amounts: (T,) standard deviations.
        labels: (1,) or None.
        spread: how far the style that it starts from stays from the mean, where there are styles.

    Returns:
        (K, T, C, H, W) on the CPU.
    """
    where, num = judge.device_of(model), len(directions.moves) * len(amounts)
    asked = None if labels is None else labels.to(where)
    shifts = directions.moves[:, None] * amounts.view(1, -1, *[1] * (directions.moves.dim() - 1))
    shifts = shifts.flatten(0, 1).to(where)
    if directions.in_styles:
        w = model.truncate(model.styles(z.to(where), asked), spread, asked)
        x = model.synthesise(w + shifts[:, None])
    else:
        x = model.decode(z.to(where) + shifts, None if asked is None else asked.expand(num))
    return x.float().cpu().unflatten(0, (len(directions.moves), len(amounts)))


@torch.no_grad()
def encode(model: Any, images: data.Images, num: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Encode `num` of a data set's pictures, always the same ones, a part at a time.

    Yields:
        z (b, *latent_shape), x (b, C, H, W) in [-1, 1] and labels (b,), all on the CPU.
    """
    rows, where = judge.some(len(images), min(num, len(images))), judge.device_of(model)
    for part in rows.split(_CHUNK):
        x, labels = data.to_float(images.images[part]), images.labels[part]
        z = model.encode(x.to(where), labels.to(where))
        yield cast(Tensor, z).float().cpu(), x, labels


def class_means(z: Tensor, labels: Tensor, num_classes: int = 10) -> Tensor:
    """(N, *shape) and (N,) -> (num_classes, *shape); zero for a class without members."""
    flat = z.flatten(1)
    sums = torch.zeros(num_classes, flat.shape[1]).index_add_(0, labels, flat)
    counts = torch.bincount(labels, minlength=num_classes).clamp_min(1)
    return (sums / counts[:, None]).view(num_classes, *z.shape[1:])


def strokes(x: Tensor) -> dict[str, Tensor]:
    """What can be measured on white-on-black strokes (N, C, H, W): each (N,).

    - ``thickness``: area over half the outline, in pixels;
    - ``slant``: how far a stroke moves to the right on its way up, from the second moments;
    - ``width``: spread from left to right over spread from top to bottom.
    """
    ink = (x.mean(1) + 1) / 2  # (N, H, W)
    mass = ink.sum((1, 2)).clamp_min(1e-6)
    rows, columns = torch.arange(ink.shape[1]).view(1, -1, 1), torch.arange(ink.shape[2]).view(1, 1, -1)
    dy = rows - (ink * rows).sum((1, 2), keepdim=True) / mass.view(-1, 1, 1)
    dx = columns - (ink * columns).sum((1, 2), keepdim=True) / mass.view(-1, 1, 1)
    var_y = ((ink * dy.square()).sum((1, 2)) / mass).clamp_min(1e-6)
    var_x = (ink * dx.square()).sum((1, 2)) / mass
    outline = ink.diff(dim=1).abs().sum((1, 2)) + ink.diff(dim=2).abs().sum((1, 2))
    return {
        "thickness": mass / (outline / 2).clamp_min(1e-6),
        "slant": -(ink * dx * dy).sum((1, 2)) / mass / var_y,
        "width": (var_x / var_y).sqrt(),
    }


def contrast(z: Tensor, values: Tensor, labels: Tensor, share: float = 0.2) -> Tensor:
    """The mean code of the pictures with the highest values less that of those with the lowest.

    The same share of every class goes into both groups, so that the difference is not one of class.

    Args:
        z: (N, *shape).
        values: (N,), measured on the pictures.
        labels: (N,).
        share: of a class in each group.

    Returns:
        (*shape).
    """
    high, low = [], []
    for label in labels.unique():
        rows = (labels == label).nonzero()[:, 0]
        ordered, num = rows[values[rows].argsort()], max(1, int(share * len(rows)))
        low.append(ordered[:num])
        high.append(ordered[-num:])
    return z[torch.cat(high)].mean(0) - z[torch.cat(low)].mean(0)


@dataclass(frozen=True)
class Plane:
    """A flat map of a latent space: two axes through the mean code, and the box that holds nearly all codes.

    Attributes:
        shape: of one z.
        mean: (D,).
        basis: (2, D), orthonormal.
        low: (2,), the box's lower ends in coordinates of the basis.
        high: (2,), its upper ends.
        share: of the codes' variance that the map shows.
    """

    shape: tuple[int, ...]
    mean: Tensor
    basis: Tensor
    low: Tensor
    high: Tensor
    share: float

    def place(self, z: Tensor) -> Tensor:
        """(N, *shape) -> (N, 2): across from 0 to 1 and up from 0 to 1 inside the box."""
        found = (z.flatten(1) - self.mean) @ self.basis.T
        return (found - self.low) / (self.high - self.low)

    def cells(self, num: int) -> Tensor:
        """(num * num, *shape): the codes at the middles of the box's cells, row by row from the top left."""
        middles = (torch.arange(num) + 0.5) / num
        up, across = torch.meshgrid(middles.flip(0), middles, indexing="ij")
        found = torch.stack([across, up], -1).view(-1, 2) * (self.high - self.low) + self.low
        return (self.mean + found @ self.basis).view(-1, *self.shape)


def plane(z: Tensor) -> Plane:
    """The map of codes (N, *shape): its two axes where there are two, otherwise PCA's first two."""
    flat = z.flatten(1)
    if flat.shape[1] == 2:
        mean, basis, share = flat.mean(0), torch.eye(2), 1.0
    else:
        found = pca(flat, 2)
        mean, basis, share = found.mean, found.basis, found.share.sum().item()
    placed = (flat - mean) @ basis.T
    low, high = placed.quantile(0.005, 0), placed.quantile(0.995, 0)
    pad = 0.04 * (high - low).clamp_min(1e-6)
    return Plane(tuple(z.shape[1:]), mean, basis, low - pad, high + pad, share)
