"""Resampling together with a convolution: the same result as the two in turn, in less than half the work.

A 3x3 convolution after a doubling, or before a halving, reads or writes four times the pixels it need. Both
are linear, so one 4x4 kernel with stride 2 does both: each of its weights is the sum of the (up to four) 3x3
weights that meet the same pixel (1710.10196 and 1812.04948 compute their large layers so). A blur, linear
too, goes into the kernel as well; it then sees beyond the border what the convolution would make there.
"""

import torch.nn.functional as F
from torch import Tensor


def double(x: Tensor) -> Tensor:
    """Nearest neighbour: (B, C, H, W) -> (B, C, 2H, 2W)."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def halve(x: Tensor) -> Tensor:
    """Mean of 2x2 pixels: (B, C, 2H, 2W) -> (B, C, H, W)."""
    return F.avg_pool2d(x, 2)


def double_conv(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, smooth: bool = False) -> Tensor:
    """conv(double(x)): (B, C, H, W) and a (D, C, 3, 3) kernel -> (B, D, 2H, 2W).

    With `smooth` the doubled x is blurred by (1, 2, 1) / 4 both ways, which makes the doubling bilinear.
    """
    kernel = 4 * _spread(weight, smooth).flip(2, 3).transpose(0, 1)
    return F.conv_transpose2d(x, kernel, bias, stride=2, padding=kernel.shape[2] // 2 - 1)


def conv_halve(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, smooth: bool = False) -> Tensor:
    """halve(conv(x)): (B, C, 2H, 2W) and a (D, C, 3, 3) kernel -> (B, D, H, W); x blurred if `smooth`."""
    kernel = _spread(weight, smooth)
    return F.conv2d(x, kernel, bias, stride=2, padding=kernel.shape[2] // 2 - 1)


def _spread(weight: Tensor, smooth: bool) -> Tensor:
    """A (D, C, 3, 3) kernel averaged over 2x2 places: (D, C, 4, 4), or (D, C, 6, 6) with the blur in it."""
    for _ in range(3 if smooth else 1):  # the mean of two neighbours, twice, is (1, 2, 1) / 4
        weight = F.avg_pool2d(weight, 2, stride=1, padding=1)
    return weight
