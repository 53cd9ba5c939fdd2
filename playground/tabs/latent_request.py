"""What the Latent tab is asked for, checked; and the two latents that a request is about."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from playground import data, families, judge, latent, registry, uploads, validation
from playground.spec import ModelSpec
from playground.tabs import common
from playground.validation import InvalidInput

MAX_SPREAD = 1.5
KNOBS = ("temperature", "truncation")  # what models call the spread of z


@dataclass(frozen=True)
class Asked:
    """A checked request.

    Attributes:
        name: of the model, as it was asked for.
        spec: its specification.
        label: the class that is held, None where the model takes none.
        seeds: of the two ends.
        spread: times z, or how far styles stay from their mean.
        pictures: (1, C, H, W) for an end that is a picture, otherwise None.
    """

    name: str
    spec: ModelSpec
    label: int | None
    seeds: tuple[int, int]
    spread: float
    pictures: tuple[Tensor | None, Tensor | None] = (None, None)

    @property
    def stepwise(self) -> bool:
        """Whether one picture takes many evaluations of the network, as a diffusion's does."""
        return "Denoises" in self.spec.capabilities

    @property
    def chunk(self) -> int:
        """Pictures decoded in one turn at the device."""
        return 4 if self.stepwise else 64

    def labels(self, num: int) -> Tensor | None:
        """(num,) of the held class, or None."""
        return None if self.label is None else torch.full((num,), self.label)


def check(
    name: Any, label: Any, seed: Any, seed_to: Any, spread: Any = None, start: Any = None, end: Any = None
) -> Asked:
    """Check a request; raises InvalidInput."""
    spec = common.look_up(name, "HasLatent")
    seeds = validation.seed(seed), validation.seed(seed_to)
    wanted = validation.label(label, spec)
    spread = usual_spread(spec) if spread is None else spread
    spread = validation.number(spread, validation.Term("latent.spread"), 0, MAX_SPREAD)
    pictures = picture(start, spec), picture(end, spec)
    if wanted is None and spec.conditional:
        wanted = class_of(spec, seeds, pictures)
    return Asked(name, spec, wanted, seeds, spread, pictures)


def class_of(spec: ModelSpec, seeds: tuple[int, int], pictures: tuple[Tensor | None, Tensor | None]) -> int:
    """The one class held all the way where none is asked: what an own digit is read as, else the seed's."""
    own = next((x for x in pictures if x is not None), None)
    if own is None or spec.dataset != judge.spec().dataset:
        return seeds[0] % 10
    return families.read(own)[0]


def usual_spread(spec: ModelSpec) -> float:
    """The spread at which a model draws by default; 1 where its own knob counts in other units."""
    own = [control.default for control in spec.controls if control.key in KNOBS]
    return float(own[0]) if own and isinstance(own[0], int | float) and own[0] <= 1 else 1.0


def picture(value: Any, spec: ModelSpec) -> Tensor | None:
    """A picture from the page or a program as the model sees it; nothing is nothing.

    Raises:
        InvalidInput: if it cannot be read, or the model does not encode.
    """
    if value is None or value == "":
        return None
    if "Encodes" not in spec.capabilities:
        raise InvalidInput("latent.no_encoder", model=spec.title)
    pixels = uploads.rgb(value)
    if spec.dataset == judge.spec().dataset:
        return uploads.digit(pixels)
    _, channels, side, _ = data.load(spec.dataset, "test").images.shape
    return uploads.square(pixels, side, channels)


def ends(model: Any, asked: Asked) -> Tensor:
    """The latents of the two ends: (2, *latent_shape), on the CPU; pictures are encoded, seeds are drawn."""
    found = []
    for seed, x in zip(asked.seeds, asked.pictures, strict=True):
        found.append(latent.draw(model, seed, asked.spread) if x is None else code(model, asked, x))
    return torch.cat(found)


@torch.no_grad()
def code(model: Any, asked: Asked, x: Tensor) -> Tensor:
    """A picture's latent: (1, C, H, W) -> (1, *latent_shape), on the CPU."""
    where, labels = judge.device_of(model), asked.labels(len(x))
    z = model.encode(x.to(where), None if labels is None else labels.to(where)).float().cpu()
    if not torch.isfinite(z).all():
        raise InvalidInput("latent.no_code", model=asked.spec.title)
    return z


def sections(spec: ModelSpec) -> list[str]:
    """What the tab can show of a model, by its capabilities."""
    can = set(spec.capabilities)
    one_shot = "Denoises" not in can
    found = ["interpolate", "grid"]
    found += ["map", "arithmetic"] if "Encodes" in can and one_shot else []
    found += ["directions"] if one_shot else []
    found += ["styles"] if "HasStyles" in can else []
    found += ["truncation"] if any(control.key in KNOBS for control in spec.controls) else []
    return found


def start_name() -> str:
    """The model that is shown first: of those with weights, if there are any, the one that shows most."""
    names = registry.names("HasLatent")
    return max(names, key=lambda name: (registry.shipped(name), len(sections(registry.spec(name)))))
