"""Going on from shipped weights with some of their parameters free and all others as they were.

Biases and scales alone can adapt a network (Ben Zaken et al. 2021, arXiv:2106.10199; of a GAN's generator,
Noguchi & Harada 2019, arXiv:1904.01774), and of the weights only those need to be stored anew. An opponent
learns whole, for one that stands still is soon fooled; what it learns is kept only where it was asked for.
What is stored anew is rounded to a few significant bits: the last ones of a weight are noise of the training
that no compression takes away (Klöwer et al. 2021, 10.1038/s43588-021-00156-2, of climate data).
"""

import re

import torch
from torch import Tensor, nn

SIGNIFICANT_BITS = 6  # at most 1.6% off; the FID of the StyleGAN was no worse with them than with eight

_OPPONENT = "discriminator"  # a parameter's name begins so


def freeze(model: nn.Module, pattern: str) -> None:
    """Let only those parameters learn whose names the regular expression finds, and any discriminator.

    Raises:
        ValueError: if it is no regular expression or finds none.
    """
    names = [name for name, _ in model.named_parameters()]
    if not any(_found(pattern, name) for name in names):
        raise ValueError(f"free: no parameter's name has {pattern!r} in it; one is named {names[0]!r}.")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(_OPPONENT) or _found(pattern, name))


def merge(
    model: nn.Module, before: dict[str, Tensor], after: dict[str, Tensor], pattern: str
) -> dict[str, Tensor]:
    """The state `before`, but what the pattern finds, rounded, and statistics, as they are, of `after`."""
    free = {name for name, _ in model.named_parameters() if _found(pattern, name)}
    stay = {name for name, _ in model.named_parameters()} - free
    stay |= {name for name in before if name.startswith(_OPPONENT) and not _found(pattern, name)}
    merged = {name: before[name] if name in stay else value for name, value in after.items()}
    return merged | {name: rounded(after[name]) for name in free}


def rounded(value: Tensor, bits: int = SIGNIFICANT_BITS) -> Tensor:
    """Numbers to the nearest with so many significant bits, the leading one counted, ties to even."""
    mantissa, exponent = torch.frexp(value)
    return torch.ldexp((mantissa * 2**bits).round() / 2**bits, exponent)


def _found(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error as error:
        raise ValueError(f"free: {pattern!r} is no regular expression ({error}).") from error
