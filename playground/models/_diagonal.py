"""An LSTM along the diagonals of a picture (van den Oord et al. 2016, arXiv:1601.06759, section 3.2).

At each place the state comes from the place beside it and the place above it, both on the diagonal before; so
the recurrence takes H + W - 1 steps, and two directions, from the upper left and the upper right corner, go
in one batch. The backward pass is written out: it keeps each step's tensors small enough for a processor's
cache, where automatic differentiation of the same loop would go over the whole picture again and again.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


class Diagonal(NamedTuple):
    """The places of one diagonal, which all have the same row + column, columns counted from either side.

    Attributes:
        left: its places in reading order, columns counted from the left.
        right: the same, columns counted from the right.
        top: 1 if it begins in the first row, else 0.
        bottom: 1 if it ends in the first column, else 0.
    """

    left: slice
    right: slice
    top: int
    bottom: int

    def neighbours(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """What its places see of the diagonal before: beside them and above them.

        (2, n_before, B, h) -> two of (2, n, B, h); outside the picture there are zeros.
        """
        padded = F.pad(h, (0, 0, 0, 0, self.top, self.bottom))
        return padded[:, 1:], padded[:, :-1]

    def hand_back(self, beside: Tensor) -> Tensor:
        """The way back of what was seen beside: (2, n, B, h) -> (2, n_before, B, h)."""
        return F.pad(beside, (0, 0, 0, 0, 1 - self.top, -self.bottom))

    def hand_up(self, above: Tensor) -> Tensor:
        """The way back of what was seen above: (2, n, B, h) -> (2, n_before, B, h)."""
        return F.pad(above, (0, 0, 0, 0, -self.top, 1 - self.bottom))


def diagonals(height: int, width: int) -> list[Diagonal]:
    """Those of an H x W picture in the order of the recurrence."""
    found = []
    for index in range(height + width - 1):
        first, last = max(0, index - width + 1), min(height - 1, index)  # rows
        left = [row * width + index - row for row in (first, last)]
        right = [row * width + width - 1 - (index - row) for row in (first, last)]
        found.append(
            Diagonal(
                slice(left[0], left[1] + 1, max(width - 1, 1)),
                slice(right[0], right[1] + 1, width + 1),
                int(index < width),
                int(index < height),
            )
        )
    return found


def cell(gates: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """One LSTM update (eq. 3): (..., 4h) sigmoids of the gates, (..., h) memory -> new state and memory.

    c = f . c + i . tanh(g), h = o . tanh(c). As tanh(a) = 2 sigmoid(2 a) - 1, one sigmoid serves all four
    gates; the weights before g take up the 2.
    """
    o, f, i, g = gates.chunk(4, dim=-1)
    memory = torch.addcmul(f * memory, i, g, value=2) - i
    return o * memory.tanh(), memory


class _Scan(torch.autograd.Function):
    """The recurrence, forward and backward."""

    @staticmethod
    def forward(
        ctx: Any, u: Tensor, weight: Tensor, bias: Tensor, path: list[Diagonal], width: int
    ) -> Tensor:
        """Diagonal by diagonal; what the way back needs is kept."""
        num, batch, _ = u.shape
        hidden = bias.shape[2] // 4
        out = u.new_zeros(num + width, batch, 2 * hidden)
        h = memory = u.new_zeros(2, 0, batch, hidden)
        kept = []
        for step in path:
            past = torch.cat([torch.stack([u[step.left], u[step.right]]), *step.neighbours(h)], dim=-1)
            before = step.neighbours(memory)[0]
            gates = torch.baddbmm(bias, past.flatten(1, 2), weight).sigmoid_().view(*past.shape[:3], -1)
            h, memory = cell(gates, before)
            out[step.left, :, :hidden] = h[0]
            out[width:][step.right, :, hidden:] = h[1]  # to the row below
            kept.append((past, gates, before, memory))
        ctx.kept, ctx.path, ctx.width, ctx.shape = kept, path, width, u.shape
        ctx.save_for_backward(weight)
        return out[:num]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """From the last diagonal to the first."""
        (weight,) = ctx.saved_tensors
        back, grad_weight = weight.transpose(1, 2).contiguous(), torch.zeros_like(weight)
        grad_bias = weight.new_zeros(2, 1, weight.shape[2])
        hidden, width, (num, batch, channels) = weight.shape[2] // 4, ctx.width, ctx.shape
        grad_u = grad.new_zeros(num, batch, channels)
        grad = F.pad(grad, (0, 0, 0, 0, 0, width))
        to_h = to_memory = grad.new_zeros(())
        for step, (past, gates, before, memory) in zip(reversed(ctx.path), reversed(ctx.kept), strict=True):
            grad_h = torch.stack([grad[step.left, :, :hidden], grad[width:][step.right, :, hidden:]]).add_(
                to_h
            )
            grad_gates, grad_before = _cell_backward(grad_h, to_memory, gates, before, memory)
            flat = grad_gates.flatten(1, 2)
            grad_weight.baddbmm_(past.flatten(1, 2).transpose(1, 2), flat)
            grad_bias += flat.sum(dim=1, keepdim=True)
            grad_past = torch.bmm(flat, back).view_as(past)
            seen, beside, above = grad_past.split([channels, hidden, hidden], dim=-1)
            grad_u[step.left] += seen[0]
            grad_u[step.right] += seen[1]
            to_h, to_memory = step.hand_back(beside) + step.hand_up(above), step.hand_back(grad_before)
        return grad_u, grad_weight, grad_bias, None, None


def _cell_backward(
    grad_h: Tensor, grad_memory: Tensor, gates: Tensor, before: Tensor, memory: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of a cell's gates, before their sigmoid, and of the memory that came in."""
    o, f, i, g = gates.chunk(4, dim=-1)
    tanh = memory.tanh()
    inner = torch.ops.aten.tanh_backward(grad_h * o, tanh).add_(grad_memory)
    grads = torch.empty_like(gates)
    to_o, to_f, to_i, to_g = grads.chunk(4, dim=-1)
    torch.mul(grad_h, tanh, out=to_o)
    torch.mul(inner, before, out=to_f)
    torch.addcmul(-inner, inner, g, value=2, out=to_i)  # i multiplies 2 g - 1
    torch.mul(inner, i, out=to_g).mul_(2)
    return torch.ops.aten.sigmoid_backward(grads, gates), inner * f


def scan(u: Tensor, weight: Tensor, bias: Tensor, path: list[Diagonal], width: int) -> Tensor:
    """States of both directions, those from the right moved down a row.

    Args:
        u: (H * W, B, C), places in reading order.
        weight: (2, C + 2h, 4h), from a place and the states beside and above it to the gates.
        bias: (2, 1, 4h).
        path: the picture's diagonals.
        width: of the picture.

    Returns:
        (H * W, B, 2h): the state from the left and the one from the right of the place above.
    """
    return _Scan.apply(u, weight, bias, path, width)
