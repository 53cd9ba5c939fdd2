"""Pictures as line drawings: the edges of an emoji, the outline of a digit. Same picture, same drawing.

`edges` is Canny's detector (Canny 1986) without its library: a gradient, thinned to its ridge, kept where it
is strong or hangs together with what is strong, and drawn with a soft pen about two pixels wide, like the
lines that a mouse draws on the playground's canvas. `outline` is a morphological gradient: what a digit gains
when it is made one pixel fatter.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_STRONG, _WEAK = 0.12, 0.05  # of the largest gradient there can be: a line begins, a line goes on
_FOLLOW = 24  # pixels that a line is followed from where it is strong
_MARGIN = 2  # pixels of white around a picture, so that what touches its border has an edge there
_CHUNK = 256  # pictures at a time, so that a whole set takes little memory
_RIDGES = ((0, 1), (1, 1), (1, 0), (1, -1))  # the neighbours across an edge, (down, right)


def edges(images: Tensor) -> Tensor:
    """The edges of colour pictures, black on white.

    Args:
        images: (N, 3, H, W) uint8.

    Returns:
        (N, 1, H, W) uint8.
    """
    return torch.cat([_edges(part.float() / 255) for part in images.split(_CHUNK)])


def outline(images: Tensor) -> Tensor:
    """Hollow digits: the largest of 3x3 neighbours minus the pixel itself; (N, 1, H, W) uint8, same shape."""
    return torch.cat([_outline(part) for part in images.split(16 * _CHUNK)])


def _edges(x: Tensor) -> Tensor:
    strength, across = _gradient(_blur(F.pad(x, (_MARGIN,) * 4, value=1.0)))
    thin = torch.where(_is_ridge(strength, across), strength, torch.zeros(()))
    line, candidate = thin > _STRONG, thin > _WEAK
    for _ in range(_FOLLOW):
        line = (F.max_pool2d(line.float(), 3, 1, 1) > 0) & candidate
    ink = (2.2 * _blur(line.float())).clamp(max=1)[:, :, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    return ((1 - ink) * 255).round().to(torch.uint8)


def _blur(x: Tensor) -> Tensor:
    """The binomial filter (1 2 1) / 4 along both axes, same shape; the border is repeated."""
    kernel = torch.tensor([1.0, 2.0, 1.0]) / 4
    return _filter(x, torch.outer(kernel, kernel))


def _gradient(x: Tensor) -> tuple[Tensor, Tensor]:
    """Sobel's gradient of the channel where it is strongest, in [0, 1], and which of `_RIDGES` it crosses."""
    kernel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 4
    right, down = _filter(x, kernel), _filter(x, kernel.T)
    strength, channel = (right.square() + down.square()).sqrt().max(1, keepdim=True)
    angle = torch.atan2(down.gather(1, channel), right.gather(1, channel))
    return strength, (angle / (torch.pi / 4)).round().long() % 4


def _is_ridge(strength: Tensor, across: Tensor) -> Tensor:
    """Where the gradient is no weaker than at both its neighbours across the edge; (N, 1, H, W) bool."""
    height, width = strength.shape[2:]
    padded = F.pad(strength, (1, 1, 1, 1))
    result = torch.zeros_like(across, dtype=torch.bool)
    for index, (down, right) in enumerate(_RIDGES):
        before, after = (
            padded[:, :, 1 + s * down : 1 + s * down + height, 1 + s * right : 1 + s * right + width]
            for s in (-1, 1)
        )
        # ">=" on one side only: of two equal neighbours one is the ridge
        result |= (across == index) & (strength > before) & (strength >= after)
    return result


def _filter(x: Tensor, kernel: Tensor) -> Tensor:
    """Every channel under one 3x3 kernel, same shape."""
    num, channels, height, width = x.shape
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate").flatten(0, 1)[:, None]
    return F.conv2d(padded, kernel[None, None]).view(num, channels, height, width)


def _outline(x: Tensor) -> Tensor:
    fat = F.max_pool2d(x.float(), 3, 1, 1)
    return (fat - x).to(torch.uint8)
