"""What the tests of jumps share."""

import torch

from playground import jumps

FEW = jumps.names("few")[0]


def heaps(means, num=60, seed=0):
    """Pictures in heaps around means along one pixel, and their classes."""
    x = 0.1 * torch.randn(num * len(means), 1, 28, 28, generator=torch.Generator().manual_seed(seed))
    classes = torch.arange(len(means)).repeat_interleave(num)
    x[:, 0, 5, 5] += torch.tensor(means)[classes]
    return x, classes
