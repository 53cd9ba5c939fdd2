"""Pictures of one model refined by another: noised a little, denoised, and judged before and after.

SDEdit (Meng et al. 2021, arXiv:2108.01073) takes a GAN's pictures for sketches: a little noise hides their
faults, and the way back from there puts what is probable in their place.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from playground import judge, race, restoring
from playground.judge import Metrics
from playground.mending import Film, rmse
from playground.spec import HasScore, ModelSpec, Samples, SampleStep

NUM_STEPS = 50  # of the whole way; a part of it takes a part of them


@dataclass(frozen=True)
class Refined:
    """What came of it.

    Attributes:
        before: (num, C, H, W) as they were drawn, on the CPU.
        frames: moments of the refinement, each (num, C, H, W), the last one the result.
        marks: what each of them is called.
        nfe: network evaluations of the refinement.
        metrics: of `judge.quick`, before and after.
        moved: root mean squared difference of before and after.
        kept: share of the pictures in which the classifier reads what it read before.
    """

    before: Tensor
    frames: list[Tensor]
    marks: list[str]
    nfe: int
    metrics: tuple[Metrics, Metrics]
    moved: float
    kept: float


def refine(
    model: Samples, spec: ModelSpec, refiner: HasScore, strength: float, num: int, seed: int
) -> Iterator[SampleStep | Refined]:
    """Draw, refine, judge.

    Args:
        model: that draws, with its default controls, every class in turn if it takes one.
        spec: its specification.
        refiner: with a score; it is given the labels that the model was given, or none.
        strength: share of the way to noise, 0 (exclusive) to 1.
        num: pictures.
        seed: of everything random.

    Yields:
        What there is to see (the model's pictures, then the refiner's), and at last `Refined`.
    """
    labels = race.labels_of(spec, num, None)
    drawing = race.start(model, num, labels, seed, spec.defaults())
    moment = None
    for moment in drawing:
        yield moment
    if moment is None:
        raise RuntimeError(f"{spec.title} drew nothing.")
    before, where = moment.x.clamp(-1, 1), judge.device_of(cast(nn.Module, refiner))
    film, generator = Film(limit=16), torch.Generator().manual_seed(seed)
    given = None if labels is None else labels.to(where)
    for moment in restoring.sdedit(
        refiner, before.to(where), strength, labels=given, generator=generator, num_steps=NUM_STEPS
    ):
        film.add(moment)
        yield moment
    before, after = before.cpu(), film.frames[-1]
    metrics = (judge.quick(before, labels, spec.levels), judge.quick(after, labels, spec.levels))
    read = [judge.look(x)[1].argmax(1) for x in (before, after)]
    kept = (read[0] == read[1]).double().mean().item()
    yield Refined(before, film.frames, film.marks, film.nfe, metrics, rmse(after, before), kept)
