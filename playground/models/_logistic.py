"""The logistic distribution: its density, and its quantiles as those of a normal variable."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from playground.nn import doubled


def logistic_log_prob(h: Tensor) -> Tensor:
    """Log-density of the standard logistic distribution (section 3.4), elementwise."""
    return -F.softplus(h) - F.softplus(-h)


def logistic_to_normal(h: Tensor) -> Tensor:
    """The normal quantile of a logistic variable, Phi(z) = sigmoid(h), elementwise, far into both tails.

    log Phi(-r) = log sigmoid(-|h|) is solved for r by Newton's method on the logarithms, in double precision.
    """
    tail = F.logsigmoid(-doubled(h).abs())  # log probability beyond |h|, at most -log 2
    r = (-2 * (tail + math.log(2))).sqrt()  # from above: Phi(-r) <= exp(-r^2 / 2) / 2
    for _ in range(8):
        log_tail = torch.special.log_ndtr(-r)
        slope = torch.exp(-0.5 * r**2 - 0.5 * math.log(2 * math.pi) - log_tail)
        r = r + (log_tail - tail) / slope
    return r.clamp(min=0).to(h) * h.sign()


def normal_to_logistic(z: Tensor) -> Tensor:
    """The h that `logistic_to_normal` maps to z."""
    tail = torch.special.log_ndtr(-doubled(z).abs())
    return (torch.log1p(-tail.exp()) - tail).to(z) * z.sign()
