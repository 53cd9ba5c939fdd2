"""Writing pictures with a PixelRNN without computing anything twice.

No state of the past changes when a pixel is written, so `write` keeps them: the states from the left advance
by one place with every pixel; the states from the right, which start at the end of a row, follow when the row
is complete; the part of the first layer that sees the rows above is computed once a row.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from playground.models._autoregressive import draw, ink_features, quantise
from playground.models._diagonal import cell
from playground.spec import SampleStep

if TYPE_CHECKING:
    from playground.models.pixelrnn import DiagonalBiLSTM, PixelRNN


class _States:
    """The states of every layer along the row that is being written and the one above it."""

    def __init__(self, model: "PixelRNN", num: int) -> None:
        """All zero: nothing has been seen."""
        config = model.config
        self.layers = [cast("DiagonalBiLSTM", layer) for layer in model.layers]
        empty = model.logits.weight.new_zeros
        depth, width, hidden = len(self.layers), config.width, config.hidden
        self.inputs = empty(depth, width, num, config.channels)  # of this row
        self.left = empty(depth, width, num, hidden)  # of this row up to here, then of the one above
        self.right = empty(depth, width, num, hidden)  # of the row above
        self.beside = empty(depth, 2, num, hidden)  # state and memory from the left
        self.from_right = [torch.stack([layer.weight[1] for layer in self.layers])]
        self.from_right += [torch.stack([layer.bias[1] for layer in self.layers])]

    def step(self, column: int, h: Tensor) -> Tensor:
        """Features of the last layer at a place; those to its left have been visited: (B, C) -> (B, C)."""
        for i, layer in enumerate(self.layers):
            self.inputs[i, column] = h
            past = torch.cat([h, self.beside[i, 0], self.left[i, column]], dim=1)
            gates = torch.addmm(layer.bias[0], past, layer.weight[0]).sigmoid_()
            state, self.beside[i, 1] = cell(gates, self.beside[i, 1])
            self.beside[i, 0] = self.left[i, column] = state
            h = h + layer.out(torch.cat([state, self.right[i, column]], dim=1))
        return h

    def end_row(self) -> None:
        """The row is written: let the states from the right follow, all layers at once."""
        weight, bias = self.from_right
        channels, hidden = self.inputs.shape[3], self.right.shape[3]
        gates = torch.baddbmm(bias, self.inputs.flatten(1, 2), weight[:, :channels])
        gates = gates.view(*self.inputs.shape[:3], 4 * hidden)
        state = memory = self.right.new_zeros(len(self.layers), self.right.shape[2], hidden)
        for column in reversed(range(self.right.shape[1])):
            past = torch.cat([state, self.right[:, column]], dim=2)
            state, memory = cell(
                torch.baddbmm(gates[:, column], past, weight[:, channels:]).sigmoid_(), memory
            )
            self.right[:, column] = state
        self.beside.zero_()


def write(
    model: "PixelRNN", x: Tensor, mask: Tensor, labels: Tensor, uniforms: Tensor, temperature: float
) -> Iterator[SampleStep]:
    """Draw the pixels of x where the mask is 0: see `Autoregressive.write`."""
    reach, width, levels = model.config.reach, x.shape[3], model.levels
    kept, known = mask[:, 0] > 0.5, quantise(x, levels)[:, 0]
    drawn = (~kept.all(dim=0)).nonzero().tolist()
    num_steps, step = len(drawn), 0
    places = {(row, column) for row, column in drawn}
    shown = torch.where(kept[:, None], x, -1.0)
    if not num_steps:
        yield SampleStep(1, 1, shown, 0)
        return
    # the first layer's input, channels last and padded, so that neighbourhoods are plain slices
    seen = (
        F.pad(ink_features(known[:, None], levels), (reach, reach, reach, 0)).permute(0, 2, 3, 1).contiguous()
    )
    states, kernel = (
        _States(model, len(x)),
        model.window.beside.weight[:, :, 0].permute(2, 1, 0).flatten(0, 1),
    )
    for row, column in [divmod(i, width) for i in range(width * drawn[-1][0] + drawn[-1][1] + 1)]:
        if column == 0:
            if row:
                states.end_row()
            above = model.window.from_above(seen[:, row : row + reach].permute(0, 3, 1, 2), labels, row)
        h = torch.addmm(above[:, :, column], seen[:, reach + row, column : column + reach].flatten(1), kernel)
        h = states.step(column, h)
        if (row, column) not in places:
            continue
        value = draw(model.head(h), uniforms[:, row, column], temperature)
        keep = kept[:, row, column]
        shown[:, 0, row, column] = torch.where(keep, x[:, 0, row, column], value)
        value = torch.where(keep, known[:, row, column], value)
        seen[:, reach + row, reach + column] = ink_features(value[:, None, None, None], levels)[:, :, 0, 0]
        step += 1
        yield SampleStep(step, num_steps, shown.clone(), step)
