"""What may lie behind one noisy picture: x_0 given x_t, drawn many times, in one jump or in small steps.

Four ways to draw: a GAN's jump, which knows no x_t and starts from noise of its own; a jump with a latent
(`Jumps`); the best single Gaussian around a diffusion model's prediction; and the same model in many small
Gaussian steps, which together need not be Gaussian at all. A draw is a picture of 784 numbers; on the line
through the means of the two digits that occur most one sees whether draws form one bump or several.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from playground import data, judge, jumps
from playground.nn import randn
from playground.spec import HasLatent, HasScore, Jumps, ModelSpec

WAYS = ("one", "few", "bump", "many")
NUM_DRAWS = 192  # of each way
SMALL_STEPS = 20  # of the way in small steps
LIMIT = 4.0  # of the histograms, in which the means of the two digits lie at -1 and 1
BINS = 36
NUM_CLASSES = 10
_BATCH = 48
_ENOUGH = 6  # draws of a digit from which on its mean says something
_SHARE = 0.04  # of the draws that makes a digit count
_ALIKE = 0.05  # from their mean: draws that are all but the same
_HEEDED = 0.3  # of the distance from the mean that the small steps show
_NARROW = 0.6  # of the usual width: each draw in the density along the line
_SMALL = 0.15  # of the highest peak: what is lower is a few stray draws
_VALLEY = 0.6  # of the lower of two peaks: they are two bumps where the density between them is less
_NUM_SPREAD = 128  # test digits that the width of the best Gaussian is measured on
_SPREADS: "WeakKeyDictionary[Any, dict[int, float]]" = WeakKeyDictionary()  # of a model, by timestep

Drawing = Iterator[Tensor | None]  # a batch of pictures, or None while one is on its way


def from_nothing(
    model: HasLatent, conditional: bool, generator: torch.Generator, device: torch.device
) -> Drawing:
    """A GAN's pictures, every class equally often."""
    while True:
        z = randn((_BATCH, *model.latent_shape), generator, device)
        labels = torch.randint(NUM_CLASSES, (_BATCH,), generator=generator).to(device)
        yield model.decode(z, labels if conditional else None)


def by_jumps(model: Jumps, xt: Tensor, t: int, generator: torch.Generator) -> Drawing:
    """One jump from x_t, each time with another latent; no label is given."""
    while True:
        yield model.draw_x0(xt.expand(_BATCH, -1, -1, -1), t, generator=generator)


def by_one_gaussian(model: HasScore, xt: Tensor, t: int, width: float, generator: torch.Generator) -> Drawing:
    """N(x0_hat, width^2 I): with the `spread` as width the likeliest on data of all around the prediction."""
    x0_hat = model.predict(xt, t).x0_hat
    while True:
        yield x0_hat + width * randn((_BATCH, *xt.shape[1:]), generator, xt.device)


def by_small_steps(model: HasScore, xt: Tensor, t: int, generator: torch.Generator) -> Drawing:
    """The whole rest of the way in small Gaussian steps, every draw on its own."""
    while True:
        many = xt.expand(_BATCH, -1, -1, -1)
        for state in jumps.gaussian_steps(model, many, t, SMALL_STEPS, None, generator):
            last = state.x
            yield None
        yield last


def level(model: HasScore, a: float) -> int:
    """The timestep whose a_t is closest."""
    return int((model.alphas_cumprod - a).abs().argmin())


def spread(model: HasScore, t: int, device: torch.device) -> float:
    """How far x_0 is from x0_hat at timestep t: root mean square over pixels of test digits, always the same.

    It is the standard deviation that makes N(x0_hat, sigma^2 I) likeliest. A model is measured once.
    """
    known = _SPREADS.setdefault(model, {})
    if t not in known:
        known[t] = _measured_spread(model, t, device)
    return known[t]


@torch.no_grad()
def _measured_spread(model: HasScore, t: int, device: torch.device) -> float:
    images = data.load(judge.spec().dataset, "test").images
    x0 = data.to_float(images[judge.some(len(images), _NUM_SPREAD)]).to(device)
    eps = randn(x0.shape, torch.Generator().manual_seed(0), device)
    xt = model.add_noise(x0, eps, torch.full((len(x0),), t, device=device))
    return float((model.predict(xt, t).x0_hat - x0).square().mean().sqrt())


@dataclass
class Guesses:
    """The draws of one way.

    Attributes:
        way: one of `WAYS`.
        spec: of the model that draws.
        drawing: what is still to come.
        nfe: evaluations of the network for one draw.
        x0: (N, C, H, W) on the CPU, so far.
        seconds: of its own clock.
        classes: (N,) what the classifier reads in them.
    """

    way: str
    spec: ModelSpec
    drawing: Drawing
    nfe: int
    x0: Tensor = field(default_factory=lambda: torch.empty(0))
    seconds: float = 0.0
    classes: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))

    @property
    def done(self) -> bool:
        """Whether all are there."""
        return len(self.x0) >= NUM_DRAWS

    @torch.no_grad()
    def advance(self) -> None:
        """A batch, read by the classifier, or one step on the way to one; reading is not the way's time."""
        started = time.perf_counter()
        found = next(self.drawing)
        found = None if found is None else found.cpu()
        self.seconds += time.perf_counter() - started
        if found is not None:
            self.x0 = torch.cat([self.x0, found]) if len(self.x0) else found
            self.classes = torch.cat([self.classes, judge.look(found.clamp(-1, 1))[1].argmax(1)])

    def counts(self) -> list[int]:
        """Draws read as each digit."""
        return torch.bincount(self.classes, minlength=NUM_CLASSES).tolist()

    @property
    def apart(self) -> float:
        """How far draws are from their mean: root mean square over draws and pixels."""
        return float((self.x0 - self.x0.mean(0)).square().mean().sqrt())

    @property
    def num_kinds(self) -> int:
        """Digits that are no rarity among the draws."""
        return sum(count >= _SHARE * len(self.x0) for count in self.counts())


def noisy(model: Jumps, x0: Tensor, t: int, seed: int) -> Tensor:
    """x_t of a picture (1, C, H, W) at one of the model's levels."""
    eps = randn(x0.shape, torch.Generator().manual_seed(seed), x0.device)
    return model.add_noise(x0, eps, torch.tensor([t], device=x0.device))


def enter(
    models: Mapping[str, tuple[nn.Module, ModelSpec]], x0: Tensor, t: int, seed: int
) -> tuple[Tensor, list[Guesses]]:
    """All ways from one x_t, nothing drawn yet; what a model is measured by beforehand is no draw's time.

    Args:
        models: for each of `jumps.KINDS` a model and its spec.
        x0: (1, C, H, W), the picture that is made noisy.
        t: a level of the model with few jumps, 1 to its last.
        seed: of the noise and of all draws.

    Returns:
        x_t, (1, C, H, W), and a `Guesses` for each of `WAYS`.
    """
    one, few, many = (models[key] for key in jumps.KINDS)
    device = judge.device_of(few[0])
    model = cast(Jumps, few[0])
    source = x0.to(device)
    xt = noisy(model, source, t, seed)
    score = cast(HasScore, many[0])
    fine = level(score, float(model.alphas_cumprod[t]))
    rng = [torch.Generator().manual_seed(seed + place) for place in range(len(WAYS))]
    width = spread(score, fine, device)
    gan = from_nothing(cast(HasLatent, one[0]), one[1].conditional, rng[0], judge.device_of(one[0]))
    return xt.cpu(), [
        Guesses("one", one[1], gan, 1),
        Guesses("few", few[1], by_jumps(model, xt, t, rng[1]), 1),
        Guesses("bump", many[1], by_one_gaussian(score, xt, fine, width, rng[2]), 1),
        Guesses("many", many[1], by_small_steps(score, xt, fine, rng[3]), min(SMALL_STEPS, fine + 1)),
    ]


class Line(NamedTuple):
    """A line through the space of pictures.

    Attributes:
        origin: (D,), where it is 0.
        direction: (D,), whose product with a difference to the origin says where on it a picture lies.
        ends: the digits whose means lie at -1 and 1; None for a line through no such means.
    """

    origin: Tensor
    direction: Tensor
    ends: tuple[int, int] | None

    def place(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N,)."""
        return (x.flatten(1) - self.origin) @ self.direction


def line(x: Tensor, classes: Tensor) -> Line:
    """The line on which draws (N, C, H, W), read as `classes` (N,), lie apart.

    Through the means of the two most frequent digits; where there is only one, along the direction in which
    draws differ most, in units of their standard deviation.
    """
    flat = x.flatten(1)
    counts = torch.bincount(classes, minlength=NUM_CLASSES)
    first, second = counts.argsort(descending=True, stable=True)[:2].tolist()
    if counts[second] >= _ENOUGH:
        ends = (min(first, second), max(first, second))
        low, high = (flat[classes == digit].mean(0) for digit in ends)
        between = high - low
        return Line((low + high) / 2, 2 * between / between.square().sum().clamp(min=1e-12), ends)
    origin = flat.mean(0)
    _, values, directions = torch.linalg.svd(flat - origin, full_matrices=False)
    deviation = values[0] / math.sqrt(max(1, len(flat) - 1))
    return Line(origin, directions[0] / deviation.clamp(min=1e-6), None)


def heeds_latent(ways: Sequence[Guesses]) -> bool | None:
    """Whether the large jump draws as many different pictures as there are, going by the small steps.

    A generator may learn to overlook its latent; then all its draws are one picture. None before both have
    drawn something, and where the small steps find no variety either.
    """
    few, many = (next(way for way in ways if way.way == key) for key in ("few", "many"))
    if not len(few.x0) or not len(many.x0) or many.apart < _ALIKE:
        return None
    return few.apart >= _HEEDED * many.apart


def num_bumps(way: Guesses, found: Line) -> int:
    """How many bumps a way's draws form on the line: peaks of their density with valleys between them.

    The density is a sum of Gaussians, narrower than Silverman's rule of thumb has them (1986, eq. 3.28),
    which blurs two bumps into one. Of 192 draws from one Gaussian 0.2% seem to form two, from a uniform
    distribution 2%.
    """
    places = found.place(way.x0)
    width = (_NARROW * 1.06 * places.std() * len(places) ** -0.2).clamp(min=1e-6)
    grid = torch.linspace(float(places.min() - 3 * width), float(places.max() + 3 * width), 128)
    density = (-0.5 * ((grid[:, None] - places) / width).square()).exp().sum(1)
    count, up, last = 0, True, 0.0  # the highest since the last valley, or the lowest since the last peak
    for now in (density / density.max()).tolist():
        last = max(last, now) if up else min(last, now)
        if up and last > _SMALL and now < _VALLEY * last:
            count, up, last = count + 1, False, now
        elif not up and now > _SMALL and last < _VALLEY * now:
            up, last = True, now
    return max(1, count)


def finding(ways: Sequence[Guesses]) -> str | None:
    """What the draws of the large jump turned out to be, beside those of the small steps.

    Returns:
        ``"several"`` bumps; ``"one"`` bump, in which the draws differ; ``"overlooked"``, all but the same
        picture whatever the latent; None where there is nothing to compare, as in `heeds_latent`.
    """
    heeded = heeds_latent(ways)
    if not heeded:
        return None if heeded is None else "overlooked"
    few = next(way for way in ways if way.way == "few")
    return "several" if num_bumps(few, common_line(ways)) > 1 else "one"


def histogram(places: Tensor) -> list[float]:
    """(N,) places on a line -> shares of them in `BINS` bins from -LIMIT to LIMIT, the rest at the edges."""
    bins = ((places + LIMIT) / (2 * LIMIT) * BINS).long().clamp(0, BINS - 1)
    return (torch.bincount(bins, minlength=BINS) / max(1, len(places))).tolist()


def common_line(ways: Sequence[Guesses]) -> Line:
    """The line for all ways: it goes by the draws of those that may form several bumps and start from x_t."""
    kept = [way for way in ways if way.way in ("few", "many") and len(way.x0)] or list(ways)
    return line(torch.cat([way.x0 for way in kept]), torch.cat([way.classes for way in kept]))
