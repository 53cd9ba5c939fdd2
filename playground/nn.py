"""Blocks and small tools that several models share."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from playground.spec import Recipe


def randn(shape: Sequence[int], generator: torch.Generator, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal noise drawn where `generator` lives, then moved: the same seed, the same noise."""
    return torch.randn(tuple(shape), generator=generator, device=generator.device).to(device)


def rand(shape: Sequence[int], generator: torch.Generator, device: torch.device | str = "cpu") -> Tensor:
    """Uniform noise on [0, 1) drawn where `generator` lives, then moved."""
    return torch.rand(tuple(shape), generator=generator, device=generator.device).to(device)


def randint(high: int, num: int, generator: torch.Generator, device: torch.device | str = "cpu") -> Tensor:
    """(num,) int64, uniform on 0 to high - 1, drawn where `generator` lives, then moved."""
    return torch.randint(high, (num,), generator=generator, device=generator.device).to(device)


def adam(parameters: Iterable[nn.Parameter], hp: Recipe, lr: float | None = None) -> Optimizer:
    """Adam (1412.6980), or AdamW (1711.05101) when the recipe asks for weight decay."""
    if hp.weight_decay:
        return AdamW(parameters, lr=lr or hp.lr, betas=hp.betas, weight_decay=hp.weight_decay)
    return Adam(parameters, lr=lr or hp.lr, betas=hp.betas)


def update(loss: Tensor, optimizer: Optimizer, max_norm: float = 0.0) -> None:
    """Descend `loss` once; with `max_norm` the gradient is clipped to that norm first."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if max_norm:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, max_norm)
    optimizer.step()
