"""Ways through a latent space, and how evenly the pictures change along them.

A model with a latent draws a picture from a standard normal vector z of d numbers. In many dimensions such a
vector has a length near sqrt(d), give or take 1/sqrt(2): all of them lie near one sphere. The straight line
between two of them leaves that sphere, by up to 30% for vectors at right angles, which random ones nearly
are, so its middle is a z that the model hardly ever saw. The great circle stays on it (Shoemake 1985; White
2016, arXiv:1609.04468).
"""

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from playground import data, judge, metrics, registry
from playground.nn import randn
from playground.spec import HasLatent, HasStyles, ModelSpec

_PARALLEL = 1e-4  # radians: below this the circle is the line
_NUM_YARDSTICK = 200  # real pictures that give the unit of path length
_YARDSTICKS: "WeakKeyDictionary[Any, float]" = WeakKeyDictionary()
_PLAIN_YARDSTICKS: dict[str, float] = {}
_LOCK = threading.Lock()


def draw(model: HasLatent, seed: int, spread: float = 1.0, num: int = 1) -> Tensor:
    """(num, *latent_shape) on the CPU: the first latents that `sample` draws from this seed.

    `spread` multiplies them, except for a model with styles, whose styles `decode` pulls to their mean.
    """
    z = randn((num, *model.latent_shape), torch.Generator().manual_seed(seed))
    return z if isinstance(model, HasStyles) else spread * z


def moments(num: int) -> Tensor:
    """(num,) evenly spaced from 0 to 1, both included."""
    return torch.linspace(0, 1, num)


def lerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The straight line (1 - t) a + t b: two (*shape) and (T,) -> (T, *shape), ends exact."""
    t = t.view(-1, *[1] * a.dim())
    return (1 - t) * a + t * b


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The great circle from a to b; its length goes evenly from one's to the other's.

    With the unit vectors u, v at an angle omega, the direction is
    sin((1 - t) omega) / sin(omega) u + sin(t omega) / sin(omega) v. Where no circle is defined (parallel,
    opposite or zero vectors) it is the straight line.

    Args:
        a: (*shape).
        b: (*shape).
        t: (T,) in [0, 1].

    Returns:
        (T, *shape); a at t = 0 and b at t = 1.
    """
    norm_a, norm_b = a.double().norm(), b.double().norm()
    if min(norm_a, norm_b) == 0:
        return lerp(a, b, t)
    u, v = a.double() / norm_a, b.double() / norm_b
    omega = torch.acos((u * v).sum().clamp(-1, 1))
    if omega.sin() < _PARALLEL:
        return lerp(a, b, t)
    t = t.double().view(-1, *[1] * a.dim())
    direction = (((1 - t) * omega).sin() * u + (t * omega).sin() * v) / omega.sin()
    return (direction * ((1 - t) * norm_a + t * norm_b)).to(a.dtype)


PATHS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"slerp": slerp, "lerp": lerp}


def sheet(corners: Tensor, num: int, path: str = "slerp") -> Tensor:
    """A grid spanned by four latents, or by two in opposite corners.

    With two, one half of z's numbers goes from the first to the second across, the other half downwards, so
    the remaining corners hold half of each.

    Args:
        corners: (4, *shape), top left, top right, bottom left and bottom right; or (2, *shape), top left and
            bottom right.
        num: cells a side.
        path: ``slerp`` or ``lerp``.

    Returns:
        (num * num, *shape), row by row.
    """
    go, t, shape = PATHS[path], moments(num), corners.shape[1:]
    if len(corners) == 2:
        first, last = corners.flatten(1)
        half = len(first) // 2
        across, down = go(first[:half], last[:half], t), go(first[half:], last[half:], t)
        cells = torch.cat([across.repeat(num, 1), down.repeat_interleave(num, 0)], 1)
        return cells.view(-1, *shape)
    left, right = go(corners[0], corners[2], t), go(corners[1], corners[3], t)
    return torch.cat([go(left[row], right[row], t) for row in range(num)])


@torch.no_grad()
def decode(model: Any, z: Tensor, labels: Tensor | None, chunk: int, spread: float = 1.0) -> Iterator[Tensor]:
    """Decode latents a part at a time.

    Args:
        model: with a latent.
        z: (B, *latent_shape).
        labels: (B,) or None.
        chunk: pictures a part.
        spread: for a model with styles, how far they stay from their mean (StyleGAN's truncation psi,
            1812.04948, appendix B); others overlook it.

    Yields:
        (b, C, H, W) on the CPU.
    """
    where = judge.device_of(model)
    for start in range(0, len(z), chunk):
        part, asked = z[start : start + chunk].to(where), None
        if labels is not None:
            asked = labels[start : start + chunk].to(where)
        if isinstance(model, HasStyles) and spread != 1:
            x = model.synthesise(model.truncate(model.styles(part, asked), spread, asked))
        else:
            x = model.decode(part, asked)
        yield x.float().cpu()


@torch.no_grad()
def style_path(model: Any, z: Tensor, labels: Tensor | None, t: Tensor, spread: float = 1.0) -> Tensor:
    """The straight line between the styles of two latents.

    Args:
        model: with styles.
        z: (2, *latent_shape).
        labels: (2,) or None.
        t: (T,) in [0, 1].
        spread: as in `decode`.

    Returns:
        (T, C, H, W) on the CPU.
    """
    where = judge.device_of(model)
    asked = None if labels is None else labels.to(where)
    w = model.truncate(model.styles(z.to(where), asked), spread, asked)
    return model.synthesise(lerp(w[0], w[1], t.to(where))).float().cpu()


@dataclass(frozen=True)
class Smoothness:
    """How pictures change along a path.

    Attributes:
        steps: distances between neighbouring pictures; 1 is the mean distance of two real pictures.
        length: their sum.
        unevenness: their standard deviation over their mean (the coefficient of variation): 0 where every
            step changes as much as every other, large where little happens and then all at once.
        detour: length over the distance between the two ends, at least 1.
        seen_by: ``features`` (of the digit classifier) or ``pixels``.
    """

    steps: tuple[float, ...]
    length: float
    unevenness: float
    detour: float
    seen_by: str


def smoothness(seen: Tensor, unit: float = 1.0, seen_by: str = "features") -> Smoothness:
    """Measure a path from what is seen of its pictures: (T, F), T >= 2."""
    seen = seen.flatten(1).double() / unit
    steps = (seen[1:] - seen[:-1]).norm(dim=1)
    length, ends = steps.sum().item(), (seen[-1] - seen[0]).norm().item()
    uneven = (steps.std(correction=0) / steps.mean()).item() if length > 0 else 0.0
    detour = length / ends if ends > 1e-9 * max(length, 1.0) else math.inf
    return Smoothness(tuple(steps.tolist()), length, uneven, detour if length > 0 else 1.0, seen_by)


def measure(x: Tensor, spec: ModelSpec) -> Smoothness:
    """How evenly the pictures (T, C, H, W) of one path change; the unit is two real pictures' mean distance.

    Digits are seen by the classifier, whose features change with what they show; all else by its pixels.
    """
    if spec.dataset == judge.spec().dataset:
        return smoothness(judge.look(x)[0], _feature_unit(), "features")
    return smoothness(x, _pixel_unit(spec.dataset), "pixels")


def diversity(x: Tensor, spec: ModelSpec) -> float:
    """How far apart pictures (B, C, H, W) are in pixels; 1 is as far as real ones."""
    return metrics.spread(x.flatten(1)) / _pixel_unit(spec.dataset)


def confidence(x: Tensor) -> float:
    """The classifier's mean probability of the most probable class: (B, C, H, W) -> 0 to 1."""
    return judge.look(x)[1].softmax(1).max(1).values.mean().item()


def _feature_unit() -> float:
    model = registry.load(judge.NAME)
    with _LOCK:
        if model not in _YARDSTICKS:
            _YARDSTICKS[model] = metrics.spread(judge.look(_real(judge.spec().dataset))[0])
        return _YARDSTICKS[model]


def _pixel_unit(dataset: str) -> float:
    with _LOCK:
        if dataset not in _PLAIN_YARDSTICKS:
            _PLAIN_YARDSTICKS[dataset] = metrics.spread(_real(dataset).flatten(1))
        return _PLAIN_YARDSTICKS[dataset]


def _real(dataset: str) -> Tensor:
    images = data.load(dataset, "test").images
    return data.to_float(images[judge.some(len(images), _NUM_YARDSTICK)])
