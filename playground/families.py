"""One picture given to every family: each does with it what it can, by its capabilities.

A model that encodes gives a code, or words, and takes them back; a flow and the path of an equation invert
themselves; one that writes pixel by pixel completes; one with a score or with jumps drowns the picture in
noise and restores it; a generator without an encoder is inverted by a search (`playground.inversion`). What a
family cannot do follows from what it is, so `approach` asks for capabilities only.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from playground import inversion, judge, jumps, restoring, scoring
from playground.nn import randn
from playground.spec import ModelSpec

APPROACHES = (
    "encode", "tokens", "exact", "trajectory", "complete", "restore", "jump", "search", "redraw", "none",
)  # fmt: skip
NUM_VARIANTS = 4  # completions, and what jumps lead to
NUM_DRAWS = 8  # of what is random in a bound or in dequantisation, for one picture
NOISED = 0.5  # how far into a diffusion's timesteps the picture is noised
NUM_RESTORING = 25  # steps back from there
_SECONDS = 0.15  # a search's updates that are done in one go


def approach(spec: ModelSpec) -> str:
    """What a model does with a picture that it is given: one of `APPROACHES`."""
    can = set(spec.capabilities)
    for capability, how in (("HasScore", "restore"), ("Jumps", "jump"), ("HasCodes", "tokens")):
        if capability in can:
            return how
    if {"Encodes", "HasLatent"} <= can:
        if "Denoises" in can:
            return "trajectory"
        return "exact" if "HasLikelihood" in can and scoring.kind(spec) == "dequantised" else "encode"
    if "Completes" in can:
        return "complete"
    if "Denoises" in can:
        return "redraw"
    return "search" if "HasLatent" in can else "none"


class Moment(NamedTuple):
    """Where an attempt is.

    Attributes:
        share: of the work, 0 to 1.
        x: (B, C, H, W), what the model makes of the picture so far, the one to be looked at first.
        nfe: evaluations of the network so far; 0 where nobody counts them.
        between: (B, C, H, W), what lies on the way (the noised picture, what is left of an erased one), or
            None.
        region: (1, 1, H, W), 1 where x can differ from the picture; None for everywhere.
    """

    share: float
    x: Tensor
    nfe: int
    between: Tensor | None = None
    region: Tensor | None = None


Work = Iterator[Moment]


@torch.no_grad()
def _encoded(model: Any, x: Tensor, labels: Tensor | None, nfe: int) -> Work:
    """To the code and back, in one go."""
    z = model.encode(x, labels)
    between = (z / 3).view(x.shape) if z.numel() == x.numel() else None  # 3: a normal number's reach
    yield Moment(1.0, model.decode(z, labels), nfe, between)


@torch.no_grad()
def _worded(model: Any, x: Tensor) -> Work:
    """To words of the vocabulary and back, in one go; in between they are shown as grey levels."""
    codes = model.codes(x)
    between = 2 * codes[:, None] / codes.max().clamp(min=1) - 1
    yield Moment(1.0, model.paint(codes), 2, between)


@torch.no_grad()
def _jumped(model: Any, x: Tensor, labels: Tensor | None, seed: int) -> Work:
    """Noised half way, then back by jumps, `NUM_VARIANTS` times: x_0 is drawn, then q(x_{t-1} | x_t, x_0)."""
    generator, a, first = torch.Generator().manual_seed(seed), model.alphas_cumprod, _jump_start(model)
    eps = randn(x.shape, generator, x.device)
    noised = model.add_noise(x, eps, torch.full((1,), first, device=x.device))
    xt = noised.expand(NUM_VARIANTS, -1, -1, -1)
    many = None if labels is None else labels.expand(NUM_VARIANTS)
    for t in range(first, 0, -1):
        x0 = model.draw_x0(xt, t, many, generator=generator)
        yield Moment((first - t + 1) / first, x0, first - t + 1, noised)
        xt = jumps.gaussian(x0, xt, float(a[t]), float(a[t - 1]), randn(xt.shape, generator, x.device))


def _jump_start(model: Any) -> int:
    """The level of noise from which jumps lead back: half of all, at least the first."""
    return max(1, (model.num_timesteps - 1) // 2)


@torch.no_grad()
def _completed(model: Any, spec: ModelSpec, x: Tensor, labels: Tensor | None, seed: int) -> Work:
    """The lower half written anew, `NUM_VARIANTS` times."""
    mask = torch.ones_like(x[:, :1])
    mask[:, :, x.shape[2] // 2 :] = 0
    generator, num = torch.Generator().manual_seed(seed), NUM_VARIANTS
    many = None if labels is None else labels.expand(num)
    kept, seen = torch.where(mask > 0, x, -1.0), scoring.on_levels(x, scoring.levels(spec))
    steps = model.complete(
        seen.to(x).expand(num, -1, -1, -1), mask.expand(num, -1, -1, -1), labels=many, generator=generator,
        **spec.defaults(),
    )  # fmt: skip
    for moment in steps:
        yield Moment(moment.step / moment.num_steps, moment.x, moment.nfe, kept, 1 - mask)


@torch.no_grad()
def _restored(model: Any, x: Tensor, labels: Tensor | None, seed: int) -> Work:
    """Noised to x_t, then back by DDIM (2010.02502, eq. 12) from there."""
    generator, start = torch.Generator().manual_seed(seed), _restoring_start(model)
    eps = randn(x.shape, generator, x.device)
    noised = model.add_noise(x, eps, torch.full((len(x),), start - 1, device=x.device))
    steps = restoring.back_from(
        model, noised, start, labels=labels, generator=generator, num_steps=NUM_RESTORING, eta=0.0
    )
    for moment in steps:
        yield Moment(moment.step / moment.num_steps, moment.x, moment.nfe, noised)


def _restoring_start(model: Any) -> int:
    """How many timesteps lie between a restored picture and its noised one, at least one."""
    return max(1, round(NOISED * model.num_timesteps))


@torch.no_grad()
def _redrawn(model: Any, spec: ModelSpec, x: Tensor, labels: Tensor | None, seed: int) -> Work:
    """Drowned in noise altogether, then drawn anew."""
    generator = torch.Generator().manual_seed(seed)
    top = torch.full((len(x),), model.num_timesteps - 1, device=x.device)
    noised = model.add_noise(x, randn(x.shape, generator, x.device), top)
    total = max(1, int(spec.defaults().get("num_steps", model.num_timesteps - 1)))
    steps = model.denoise(noised, labels=labels, generator=generator, **spec.defaults())
    for step, moment in enumerate(steps, 1):
        yield Moment(min(1.0, step / total), moment.x0_hat, step, noised)


def _searched(model: Any, x: Tensor, labels: Tensor | None, seed: int) -> Work:
    """The latent found by gradient; a moment holds as many updates as there is time for."""
    started = time.perf_counter()
    for found in inversion.invert(model, x, labels, seed=seed, num_steps=inversion.NUM_STEPS):
        if found.step == found.num_steps or time.perf_counter() - started > _SECONDS:
            yield Moment(found.step / found.num_steps, found.x, found.nfe)
            started = time.perf_counter()


def work(model: Any, spec: ModelSpec, x: Tensor, label: int | None = None, seed: int = 0) -> Work:
    """What a model does with a picture, by its `approach`.

    Args:
        model: of the spec.
        spec: its specification.
        x: (1, 1, 28, 28) in [-1, 1], on the CPU.
        label: what a conditional model is told; overlooked by the others.
        seed: of what is random.
    """
    x = x.to(judge.device_of(model))
    labels = torch.full((1,), label, device=x.device) if spec.conditional and label is not None else None
    how = approach(spec)
    if how in ("encode", "exact", "trajectory"):
        yield from _encoded(model, x, labels, 0 if how == "trajectory" else 2)
    elif how == "tokens":
        yield from _worded(model, x)
    elif how == "jump":
        yield from _jumped(model, x, labels, seed)
    elif how == "complete":
        yield from _completed(model, spec, x, labels, seed)
    elif how == "restore":
        yield from _restored(model, x, labels, seed)
    elif how == "search":
        yield from _searched(model, x, labels, seed)
    elif how == "redraw":
        yield from _redrawn(model, spec, x, labels, seed)


def pixel_error(x: Tensor, y: Tensor, region: Tensor | None = None) -> float:
    """Root mean square difference of two pictures (1, C, H, W), black to white being 1, within a region."""
    difference = (x.cpu() - y.cpu()).double() / 2
    if region is None:
        return float(difference.square().mean().sqrt())
    inside = region.cpu().expand_as(difference) > 0
    return float(difference[inside].square().mean().sqrt())


@dataclass
class Attempt:
    """One model and the picture, a moment at a time.

    Attributes:
        spec: of the model.
        model: it.
        picture: (1, 1, 28, 28) in [-1, 1].
        label: what the classifier reads in it.
        seed: of what is random.
        moment: the latest one.
        nats: the picture's log-likelihood under the model, where it has one and once it is known.
        reading: what the classifier reads in the result, and how sure it is, 0 to 1.
        failed: why it broke off, a key of ``locale/``; empty if it did not.
        seconds: on its own clock, the likelihood left out.
        done: whether it is.
    """

    spec: ModelSpec
    model: Any
    picture: Tensor
    label: int | None = None
    seed: int = 0
    moment: Moment | None = None
    nats: float | None = None
    reading: tuple[int, float] | None = None
    failed: str = ""
    seconds: float = 0.0
    done: bool = False
    _steps: Work | None = field(default=None, repr=False)

    @property
    def error(self) -> float | None:
        """How far the result is from the picture, where it can differ."""
        if self.moment is None:
            return None
        return pixel_error(self.picture, self.moment.x[:1], self.moment.region)

    def advance(self) -> None:
        """One more moment; after the last one the likelihood and what the classifier sees."""
        started = time.perf_counter()
        if self._steps is None:
            self._steps = work(self.model, self.spec, self.picture, self.label, self.seed)
        try:
            moment = next(self._steps, None)
        except inversion.NoGradient:
            moment, self.failed = None, "families.no_gradient"
        if moment is not None:
            self.moment = moment
            self.moment.x.cpu()  # waits for the device
            self.seconds += time.perf_counter() - started
            return
        self.nats, self.done = likelihood(self.model, self.spec, self.picture), True
        if self.moment is not None:
            self.reading = read(self.moment.x[:1])


def likelihood(model: Any, spec: ModelSpec, x: Tensor) -> float | None:
    """A picture's log-likelihood in nats, without a label; the mean of some draws where draws matter.

    None where the model has no likelihood.
    """
    if "HasLikelihood" not in spec.capabilities:
        return None
    num = 1 if scoring.kind(spec) == "exact" else NUM_DRAWS
    seen = scoring.on_levels(x, scoring.levels(spec)).expand(num, -1, -1, -1)
    return float(scoring.log_prob(model, seen).mean())


def read(x: Tensor) -> tuple[int, float]:
    """What the digit classifier sees in a picture (1, C, H, W), and how sure it is, 0 to 1."""
    probabilities = judge.look(x)[1].softmax(1)[0]
    return int(probabilities.argmax()), float(probabilities.max())


def facts(model: Any, spec: ModelSpec) -> dict[str, int]:
    """Numbers that a sentence about a model's approach may name."""
    found = {"pixels": 28 * 28, "variants": NUM_VARIANTS, "starts": inversion.NUM_STARTS}
    found |= {"updates": inversion.NUM_STEPS, "back": NUM_RESTORING}
    if "HasLatent" in spec.capabilities:
        found["dims"] = math.prod(model.latent_shape)
    if "HasScore" in spec.capabilities:
        found["noise"] = round(100 * (1 - float(model.alphas_cumprod[_restoring_start(model) - 1])))
    if "Jumps" in spec.capabilities:
        found["jumps"] = _jump_start(model)
        found["noise"] = round(100 * (1 - float(model.alphas_cumprod[found["jumps"]])))
    return found
