"""One damaged picture and what a score makes of it: the tasks of `playground.restoring`, run and measured."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from playground import data, judge, restoring
from playground.nn import randn
from playground.slots import Slots
from playground.spec import HasScore, ModelSpec, SampleStep

TASKS = ("inpaint", "super", "denoise", "sdedit", "invert", "likelihood")
DRAWN = TASKS[:4]  # those that draw pictures
MAX_FRAMES = 40
FACTORS = (2, 4, 7)
FLOW_STEPS = 60  # of the ODE that carries the density along


@dataclass(frozen=True)
class Job:
    """What is to be done.

    Attributes:
        task: one of `TASKS`.
        spec: of the model.
        x: (1, C, H, W), the picture as it was before any damage.
        label: that the model is given, None for none.
        seed: of all noise.
        num_steps: of the way back.
        guidance: of the label.
        num: draws, or further test pictures of which the likelihood is taken.
        mask: (1, 1, H, W), 1 where the picture is kept.
        factor: of the coarse picture.
        sigma: standard deviation of the noise in the noisy one.
        strength: share of the way to noise that a sketch goes.
        rounds: how often each step is taken where the task goes back and forth.
    """

    task: str
    spec: ModelSpec
    x: Tensor
    label: int | None = None
    seed: int = 0
    num_steps: int = 50
    guidance: float = 1.0
    num: int = 4
    mask: Tensor = field(default_factory=lambda: torch.ones(1, 1, 1, 1))
    factor: int = 4
    sigma: float = 0.5
    strength: float = 0.5
    rounds: int = 4

    def generator(self, offset: int = 0) -> torch.Generator:
        """All randomness of the job comes from here."""
        return torch.Generator().manual_seed(self.seed + offset)

    def labels(self, num: int, where: torch.device) -> Tensor | None:
        """(num,) of the label, or None."""
        return None if self.label is None else torch.full((num,), self.label, device=where)


@dataclass(frozen=True)
class Done:
    """What came of it.

    Attributes:
        frames: moments of the way, each (num, C, H, W), on the CPU.
        marks: what each of them is called.
        nfe: network evaluations.
        numbers: what was measured, by name.
    """

    frames: list[Tensor]
    marks: list[str]
    nfe: int
    numbers: Mapping[str, Any]


def given(job: Job) -> Tensor:
    """(1, C, H, W) what is left of the picture: grey where it is erased, blocks where it is coarse."""
    if job.task == "inpaint":
        return job.x * job.mask
    if job.task == "super":
        return restoring.enlarge(restoring.coarse(job.x, job.factor), job.factor)
    if job.task == "denoise":
        return job.x + job.sigma * randn(job.x.shape, job.generator(1))
    return job.x


def work(model: HasScore, job: Job) -> Iterator[SampleStep | Done]:
    """Do a job, a moment at a time; the last item is `Done`."""
    if job.task == "invert":
        yield from _there_and_back(model, job)
    elif job.task == "likelihood":
        yield from _likelihoods(model, job)
    else:
        yield from _drawn(model, job)


def _drawn(model: HasScore, job: Job) -> Iterator[SampleStep | Done]:
    """Several pictures that fit what is given, and how near they are to what it was made of."""
    film = Film()
    for moment in _steps(model, job):
        film.add(moment)
        yield moment._replace(x=moment.x.clamp(-1, 1).cpu())
    drawn, left, truth = film.frames[-1], given(job), job.x
    numbers: dict[str, Any] = {
        "rmse_given": rmse(left, truth), "rmse_drawn": _mean([rmse(one[None], truth) for one in drawn]),
        "rmse_mean": rmse(drawn.mean(0, keepdim=True), truth), "num": len(drawn),
    }  # fmt: skip
    if job.spec.dataset == judge.spec().dataset:
        read = judge.look(torch.cat([truth, left.clamp(-1, 1), drawn]))[1].argmax(1).tolist()
        numbers |= {"class_before": read[0], "class_given": read[1], "classes": read[2:]}
    yield Done(film.frames, film.marks, film.nfe, numbers)


def _steps(model: HasScore, job: Job) -> Iterator[SampleStep]:
    """The moments of a task that draws pictures, `job.num` at once."""
    where = model.alphas_cumprod.device
    x = given(job).to(where).expand(job.num, *job.x.shape[1:])
    common: dict[str, Any] = {
        "labels": job.labels(job.num, where), "generator": job.generator(), "num_steps": job.num_steps,
        "guidance": job.guidance,
    }  # fmt: skip
    if job.task == "inpaint":
        mask = job.mask.to(where).expand(job.num, 1, *job.x.shape[2:])
        return restoring.repaint(model, x, mask, rounds=job.rounds, **common)
    if job.task == "super":
        return restoring.super_resolve(
            model, restoring.coarse(x, job.factor), job.factor, rounds=job.rounds, **common
        )
    if job.task == "denoise":
        return restoring.denoise(model, x, job.sigma, **common)
    return restoring.sdedit(model, x, job.strength, **common)


def _there_and_back(model: HasScore, job: Job) -> Iterator[SampleStep | Done]:
    """To noise and back with as many steps, and the error for a half and a quarter of them."""
    where, film = model.alphas_cumprod.device, Film()
    x, labels = job.x.to(where), job.labels(1, where)
    counts = sorted({max(1, job.num_steps // part) for part in (4, 2, 1)})
    total, done, errors = 2 * sum(counts), 0, {}
    noise = x
    for num_steps in counts:
        xt = x
        for go in (restoring.invert, restoring.return_trip):
            for moment in go(model, xt, labels=labels, num_steps=num_steps):
                xt, done = moment.x, done + 1
                if num_steps == counts[-1]:
                    film.add(SampleStep(moment.step, 2 * num_steps, moment.x, moment.nfe))
                yield SampleStep(done, total, moment.x.clamp(-1, 1).cpu(), done)
            noise = xt if go is restoring.invert else noise
        errors[num_steps] = (rmse(xt.cpu(), job.x), (xt.cpu() - job.x).abs().max().item())
    z = noise.float().cpu()
    numbers = {
        "errors": [{"num_steps": n, "rmse": e[0], "largest": e[1]} for n, e in errors.items()],
        "mean": z.mean().item(), "std": z.std().item(), "noise": z,
    }  # fmt: skip
    yield Done(film.frames, film.marks, done, numbers)


def _likelihoods(model: HasScore, job: Job) -> Iterator[SampleStep | Done]:
    """Bits per dimension of the picture, and of test pictures without it, by the flow and by the bound.

    Where a label was asked for it is the picture's; every test picture is given its own.
    """
    where = model.alphas_cumprod.device
    images = data.load(job.spec.dataset, "test")
    rows = judge.some(len(images), job.num)
    x = torch.cat([job.x, data.to_float(images.images[rows])]).to(where)
    labels = job.labels(1, where)
    if labels is not None:
        labels = torch.cat([labels, images.labels[rows].to(where)])
    total, flow = 100, None
    for item in restoring.flow_likelihood(
        model, x, labels=labels, generator=job.generator(), num_steps=FLOW_STEPS
    ):
        if isinstance(item, float):
            yield SampleStep(round(90 * item), total, job.x, 0)
        else:
            flow = item
    if flow is None:
        raise RuntimeError("The flow ended without a likelihood.")
    below = restoring.bound(model, x, labels=labels, generator=job.generator())
    found = {"flow": told(flow, job.x.numel()), "bound": told(below, job.x.numel())}
    yield Done([job.x], [""], flow.nfe + below.nfe, found | {"num": job.num})


def told(likelihood: restoring.Likelihood, num_dims: int) -> dict[str, float]:
    """Bits per dimension of the first picture, and mean and standard error of the others."""
    bits = (-likelihood.nats.cpu().double() / (num_dims * torch.log(torch.tensor(2.0)))).tolist()
    others = torch.tensor(bits[1:])
    error = (others.std() / len(others) ** 0.5).item() if len(others) > 1 else 0.0
    return {"own": bits[0], "mean": others.mean().item(), "error": error, "nfe": likelihood.nfe}


class Film:
    """At most `limit` moments, evenly spread, the last one among them."""

    def __init__(self, limit: int = MAX_FRAMES) -> None:
        """Empty."""
        self.frames: list[Tensor] = []
        self.marks: list[str] = []
        self.nfe = 0
        self._slots, self._steps = Slots(limit), 0

    def add(self, moment: SampleStep) -> None:
        """Keep a moment if `Slots` wants it."""
        self._steps += 1
        self.nfe = moment.nfe
        if self._slots.wants(self._steps, moment.num_steps):
            self.frames.append(moment.x.clamp(-1, 1).cpu())
            self.marks.append(f"{self._steps} / {moment.num_steps}")


def rmse(x: Tensor, y: Tensor) -> float:
    """Root mean squared difference of pixels; none is clipped, so noise counts in full."""
    return (x - y).square().mean().sqrt().item()


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
