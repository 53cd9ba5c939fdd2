"""Truncation's trade: how quality and coverage of a model change along its control ``truncation``.

Latents nearer to the middle give more typical pictures and fewer kinds of them (Brock et al. 2018,
arXiv:1809.11096, section 3.1; Karras et al. 2018, arXiv:1812.04948, appendix B). Here that is measured.
"""

import torch

from playground import judge, metrics
from playground.judge import K, entry
from playground.measuring import Clock, Part, draw
from playground.spec import Control, GenerativeModel, ModelSpec

KEY = "truncation"
MAX_NUM = 2_000  # samples a setting
NUM_SETTINGS = 7


def control(spec: ModelSpec) -> Control | None:
    """The control of a model that truncates, if it has one."""
    return next((control for control in spec.controls if control.key == KEY), None)


def applies(spec: ModelSpec) -> bool:
    """Whether there is anything to measure, and the classifier knows such pictures."""
    return control(spec) is not None and spec.dataset == judge.spec().dataset


def settings(spec: ModelSpec) -> list[float]:
    """Evenly from the control's least to its greatest value."""
    found = control(spec)
    if found is None or found.minimum is None or found.maximum is None:
        raise ValueError(f"{spec.title} has no truncation with limits.")
    values = torch.linspace(found.minimum, found.maximum, NUM_SETTINGS, dtype=torch.float64)
    return [round(value, 4) for value in values.tolist()]


def measure(spec: ModelSpec, model: GenerativeModel, num: int) -> Part:
    """Fidelity (FID, precision) and variety (recall, coverage) at each setting, on `num` samples each.

    The entry's value is the setting with the least FID; `num` real pictures stand for the neighbours' four.
    """
    values = settings(spec)
    clock = Clock(KEY, num * len(values))
    real = judge.features(spec.dataset, "train", spec.levels)
    subset = real[judge.some(len(real), num)]
    reach = metrics.radii(subset, K)
    curves: dict[str, list[float]] = {key: [] for key in ("fid", "precision", "recall", "coverage")}
    for value in values:
        fake, _ = yield from draw(spec, model, num, clock, {KEY: value})
        found = metrics.neighbours(subset, fake, K, reach)._asdict() | {"fid": metrics.fid(real, fake)}
        for key, curve in curves.items():
            curve.append(float(f"{found[key]:.4g}"))
    best = values[min(range(len(values)), key=lambda i: curves["fid"][i])]
    return {KEY: entry(best, num, settings=values, k=K, **curves)}
