"""Translation as it is looked at: from which look of a picture to which, there and back, how close."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from playground import data, registry, uploads
from playground.data.pairs import Domain, halves, pair
from playground.data.sketches import edges
from playground.spec import JudgesPatches, ModelSpec, Translates, Words

BACK = {"ab": "ba", "ba": "ab"}
NUM_DRAWS = 3  # of a translation that noise changes
_COLOURED, _FEW = 40, 0.01  # levels that a pixel's channels differ by, share of such pixels


class Route(NamedTuple):
    """From the one look of pictures to the other.

    Attributes:
        dataset: of the paired pictures.
        direction: ``ab`` or ``ba``.
    """

    dataset: str
    direction: str

    @property
    def key(self) -> str:
        """What programs call it, such as ``noto-twemoji``."""
        return f"{self.source.key}-{self.target.key}"

    @property
    def source(self) -> Domain:
        """What goes in."""
        return pair(self.dataset).domains[self.direction == "ba"]

    @property
    def target(self) -> Domain:
        """What comes out."""
        return pair(self.dataset).domains[self.direction == "ab"]


def route(spec: ModelSpec, direction: str) -> Route:
    """The way that a model goes in one of its directions."""
    return Route(spec.dataset.removesuffix("_unpaired"), direction)


def directions(spec: ModelSpec) -> tuple[str, ...]:
    """Those of a model that translates."""
    return cast(type[Translates], spec.model).directions


def looks(spec: ModelSpec, direction: str) -> tuple[Words, Words]:
    """What a published model takes and what it makes of it, in a direction."""
    a, b = spec.config.looks
    return (a, b) if direction == "ab" else (b, a)


def routes() -> dict[str, Route]:
    """Every way that some model goes, by its key."""
    specs = [registry.spec(name) for name in registry.names("Translates")]
    found = [route(spec, direction) for spec in specs for direction in directions(spec)]
    return {one.key: one for one in found}


def models(way: Route) -> list[str]:
    """The models that go a way."""
    specs = [registry.spec(name) for name in registry.names("Translates")]
    return [s.name for s in specs if any(route(s, direction) == way for direction in directions(s))]


def held_out(way: Route) -> tuple[Tensor, Tensor]:
    """Held-out pictures and their true counterparts, (N, C, H, W) and (N, C', H, W), uint8."""
    both = halves(way.dataset, data.load(way.dataset, "test").images)
    return both if way.direction == "ab" else (both[1], both[0])


def training(way: Route) -> tuple[Tensor, Tensor]:
    """Training pictures and their true counterparts, as `held_out`; an unpaired model never saw the pairs."""
    both = halves(way.dataset, data.load(way.dataset, "train").images)
    return both if way.direction == "ab" else (both[1], both[0])


def reads(spec: ModelSpec, direction: str) -> tuple[int, int, float]:
    """Channels, side in pixels and paper in [-1, 1] of the pictures that a model takes in a direction."""
    try:
        domain = pair(spec.dataset).domains[direction == "ba"]
    except ValueError:  # no pairs of ours: a published model, or one of a single set
        if spec.published is not None:
            return 3, int(spec.config.image_size), 1.0
        channels, side = data.load(spec.dataset, "test").images.shape[1:3]
        return channels, side, 1.0
    return domain.channels, domain.side, domain.paper


def read(spec: ModelSpec, direction: str, value: Any) -> Tensor:
    """A picture from outside as a model takes it: see `uploads`; whatever its size and kind, on its paper.

    Grey ink on black paper is placed as MNIST's digits are. Where drawings are taken, a picture in colours
    gives its edges. Everything else is made as large as it fits.

    Args:
        spec: of the model.
        direction: one of its directions.
        value: the bytes of a PNG, JPEG or WebP file, or a data URI.

    Returns:
        (1, C, H, W) in [-1, 1].

    Raises:
        InvalidInput: if it is no such picture, in one sentence.
    """
    channels, side, paper = reads(spec, direction)
    pixels = uploads.rgb(value)
    if channels == 1 and paper < 0:
        return data.to_float(data.to_uint8(uploads.digit(pixels)))
    x = data.to_uint8(uploads.letterbox(pixels, side, 3, paper))
    if channels == 1:
        coloured = (x.amax(1).int() - x.amin(1).int() > _COLOURED).float().mean() > _FEW
        x = edges(x) if coloured else data.to_uint8(uploads.letterbox(pixels, side, 1, paper))
    return data.to_float(x)


def alike(x: Tensor, channels: int) -> Tensor:
    """The same pictures in grey (1) or in colours (3)."""
    if x.shape[1] == channels:
        return x
    return x.mean(1, keepdim=True) if channels == 1 else x.expand(-1, channels, -1, -1)


def l1(x: Tensor, y: Tensor) -> Tensor:
    """(B,) mean absolute differences of pixels in [-1, 1]: 0 for the same, 2 for black against white."""
    return (x - y).abs().flatten(1).mean(1)


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """(B,) structural similarities (Wang et al. 2004), 1 for the same; torchmetrics', Gaussian window 11.

    It wants levels from 0 up: a mean below zero would count as another sign of light.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    options: dict[str, Any] = {"data_range": 1.0, "reduction": "none"}
    x, y = ((z.float() + 1) / 2 for z in (x, y))
    return cast(Tensor, structural_similarity_index_measure(x, y, **options)).reshape(-1)


@dataclass(frozen=True)
class Translated:
    """What one model makes of some pictures; everything on the CPU, in [-1, 1].

    Attributes:
        y: (B, C', H, W) translations.
        back: (B, C, H, W) translated back, if it goes back.
        away: (B, 1, H, W) how far `back` is from the picture, pixel by pixel, 0 to 2.
        same: (B, C, H, W) what the generator of the picture's own look makes of it, which should be nothing
            else, if it goes back and both looks have as many channels.
        patches: (B, 1, h, w) what its discriminator says of `y`, about 1 for real, 0 for made.
        truth_patches: what it says of the true counterparts.
        field: pixels along an edge that one of these judgements is about.
        draws: (S, B, C', H, W) translations with the noise of the seeds 0 to S - 1, if it has any.
        milliseconds: that translating one picture took.
        nfe: network evaluations of one translation.
    """

    y: Tensor
    back: Tensor | None
    away: Tensor | None
    same: Tensor | None
    patches: Tensor | None
    truth_patches: Tensor | None
    field: int | None
    draws: Tensor | None
    milliseconds: float
    nfe: int


@torch.no_grad()
def translate(model: Any, x: Tensor, direction: str, truth: Tensor | None = None) -> Translated:
    """Everything there is to see of a translation.

    Args:
        model: with the capability `Translates`.
        x: (B, C, H, W) in [-1, 1].
        direction: one of the model's.
        truth: (B, C', H, W) the true counterparts, if there are any.
    """
    where = next(model.parameters()).device
    x = x.to(where)
    start = time.perf_counter()
    y = model.translate(x, direction).float()
    y.cpu()  # waits for the device
    seconds = time.perf_counter() - start
    back = away = same = patches = truth_patches = field = draws = None
    if BACK[direction] in model.directions:
        back = model.translate(y, BACK[direction]).float()
        away = (back - x).abs().mean(1, keepdim=True).cpu()
        same = model.translate(x, BACK[direction]).float().cpu() if x.shape == y.shape else None
    if isinstance(model, JudgesPatches):
        field, patches = model.receptive_field(), model.judge_patches(x, y, direction).float().cpu()
        if truth is not None:
            truth_patches = model.judge_patches(x, truth.to(where), direction).float().cpu()
    if model.has_noise:
        seeds = (torch.Generator().manual_seed(seed) for seed in range(NUM_DRAWS))
        draws = torch.stack([model.translate(x, direction, one).float().cpu() for one in seeds])
    back = None if back is None else back.cpu()
    took, nfe = 1000 * seconds / len(x), model.translate_nfe
    return Translated(y.cpu(), back, away, same, patches, truth_patches, field, draws, took, nfe)


def compared(y: Tensor, x: Tensor, truth: Tensor) -> list[dict[str, float]]:
    """How close translations, and the untranslated pictures, come to the truth: one mapping a picture.

    Args:
        y: (B, C', H, W) translations.
        x: (B, C, H, W) what they were made of.
        truth: (B, C', H, W).
    """
    nothing = alike(x, truth.shape[1])
    values: Sequence[Tensor] = (l1(y, truth), ssim(y, truth), l1(nothing, truth), ssim(nothing, truth))
    keys = ("l1", "ssim", "l1_nothing", "ssim_nothing")
    rows = torch.stack(list(values), dim=1).tolist()
    return [{key: round(value, 4) for key, value in zip(keys, row, strict=True)} for row in rows]
