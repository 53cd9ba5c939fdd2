"""Log-likelihoods of pictures from anywhere: on the grey levels a model knows, in nats and bits/dim, by kind.

Three kinds of numbers, none of which compares with another: probabilities of pictures on 2 grey levels,
those on 256, and densities of pictures on 256 levels that were dequantised. `group` tells them apart; within
a group a value is ``exact`` or a lower ``bound``, and always says which.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from playground import data
from playground.judge import device_of
from playground.spec import HasLikelihood, ModelSpec

SEED = 0
KINDS = ("exact", "bound", "dequantised")
GROUPS = ("binary", "discrete", "dequantised")
UNITS = {"binary": "nats", "discrete": "bits/dim", "dequantised": "bits/dim"}  # as the literature has them


def kind(spec: ModelSpec) -> str:
    """One of `KINDS`, for a model with `HasLikelihood`."""
    return cast(HasLikelihood, spec.model).likelihood


def levels(spec: ModelSpec) -> int:
    """The grey levels that a model's likelihood is defined on, 2 or 256."""
    return int(getattr(spec.model, "levels", spec.levels))


def group(spec: ModelSpec) -> str:
    """Which numbers a model's likelihood compares with: one of `GROUPS`."""
    return _grouped(kind(spec), levels(spec))


def _grouped(kind_: str, num_levels: int) -> str:
    if kind_ == "dequantised":
        return "dequantised"
    return "binary" if num_levels == 2 else "discrete"


@dataclass(frozen=True)
class Measured:
    """A likelihood on a card: the mean of -log p(x) over test pictures, so lower is better.

    Attributes:
        group: one of `GROUPS`; numbers of different groups do not compare.
        kind: one of `KINDS`.
        value: in the unit of its group (`UNITS`).
        num: pictures it is the mean of.
        error: its standard error, in the same unit; None where the card has none.
        num_latents: k of an importance-weighted bound; 1 for all else.
        given_label: whether it is of log p(x | y), the model being told the label; None where not said.
    """

    group: str
    kind: str
    value: float
    num: int
    error: float | None = None
    num_latents: int = 1
    given_label: bool | None = None

    @property
    def digits(self) -> int:
        """Decimals that are worth reading."""
        return 2 if UNITS[self.group] == "nats" else 3


def of_card(metrics: Mapping[str, Mapping[str, Any]]) -> list[Measured]:
    """The likelihoods on a card, the best (of bounds: the tightest) first."""
    found = []
    for key in ("nll", "iwae"):
        if (entry := metrics.get(f"{key}_nats")) is None:
            continue
        group_ = _grouped(entry["kind"], entry.get("levels", 256))
        said = entry if UNITS[group_] == "nats" else metrics[f"{key}_bits_per_dim"]
        found.append(Measured(
            group_, entry["kind"], said["value"], said["num"], said.get("error"),
            entry.get("num_latents", 1) if key == "iwae" else 1, entry.get("given_label"),
        ))  # fmt: skip
    return sorted(found, key=lambda measured: measured.value)


def on_levels(x: Tensor, num: int, seed: int = SEED) -> Tensor:
    """(B, C, H, W) in [-1, 1] on 256 grey levels, rounded, or on 2, by coin flips of a fixed seed."""
    if num == 2:
        return data.binarise(x, torch.Generator().manual_seed(seed))
    return data.to_float(data.to_uint8(x))


@torch.no_grad()
def log_prob(model: Any, x: Tensor, labels: Tensor | None = None, seed: int = SEED) -> Tensor:
    """Log-likelihoods in nats: (B, C, H, W) on the model's grey levels -> (B,), in double, on the CPU.

    What is not a number becomes minus infinity: a picture to which the model gives no probability at all.

    Args:
        model: with `HasLikelihood`.
        x: pictures.
        labels: (B,) for a conditional model; None asks for log p(x), every class as likely.
        seed: of what is random in a bound or in dequantisation.
    """
    where = device_of(model)
    given = None if labels is None else labels.to(where)
    generator = torch.Generator().manual_seed(seed)
    found = model.log_prob(x.to(where), given, generator=generator).cpu().double()
    return found.nan_to_num(nan=-math.inf, posinf=math.inf, neginf=-math.inf)


def bits_per_dim(nats: float, num_dims: int) -> float:
    """A log-likelihood in nats as the bits that a code of it spends on each pixel: lower is more likely."""
    return -nats / (num_dims * math.log(2))
