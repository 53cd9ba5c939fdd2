"""Writing pictures with a Gated PixelCNN without computing anything twice.

The naive way evaluates the whole network for each pixel and throws away all but one place. But no feature of
the past changes when a pixel is written, so `write` keeps them: the vertical stack is computed once a row,
from the row before; the horizontal one at a single place, as small matrix products on weights reshaped
beforehand.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from playground.models._autoregressive import draw, quantise
from playground.spec import SampleStep

if TYPE_CHECKING:
    from playground.models.pixelcnn import GatedLayer, PixelCNN


def _gate(a: Tensor) -> Tensor:
    """The model's gate, (B, 2C, ...) -> (B, C, ...), with the sigmoid in place."""
    f, g = a.sigmoid_().chunk(2, dim=1)
    return torch.addcmul(g, f, g, value=-2.0)


def _layers(model: "PixelCNN") -> "list[GatedLayer]":
    return [cast("GatedLayer", layer) for layer in model.layers]


class _Column:
    """The horizontal stack at one place after the other of a row; it remembers the features to the left."""

    def __init__(self, model: "PixelCNN", num: int) -> None:
        """Reshape the weights: matrices (in, out) instead of kernels (out, in, 1, columns)."""
        layers, c = _layers(model), model.config.channels
        self.channels = c
        self.kernels = [
            layer.horizontal.weight.permute(3, 1, 0, 2).flatten(0, 1)[..., 0].contiguous() for layer in layers
        ]
        self.outs = [(layer.out.weight.flatten(1), layer.out.bias) for layer in layers]
        self.head = [(conv.weight.flatten(1), conv.bias) for conv in (model.hidden, model.logits)]
        # of each layer the features of the row, after one column of zeros: the padding
        empty = model.logits.weight.new_zeros(num, (model.config.width + 1) * c)
        self.rows = [empty.clone() for _ in layers[1:]]

    def step(self, column: int, pixels: Tensor, links: list[Tensor]) -> Tensor:
        """Features of the last layer at `column`, (B, C).

        Args:
            column: of the place; those to its left have been visited.
            pixels: (B, features * reach) seen by the first layer.
            links: of each layer (B, W, 2C), what the vertical stack and the class contribute to this row.
        """
        c, h = self.channels, pixels.new_zeros(())  # the first layer has no residual connection
        for i, (kernel, (weight, bias)) in enumerate(zip(self.kernels, self.outs, strict=True)):
            seen = pixels if i == 0 else self.rows[i - 1][:, column * c : (column + 2) * c]
            h = h + F.linear(_gate(torch.addmm(links[i][:, column], seen, kernel)), weight, bias)
            if i < len(self.rows):
                self.rows[i][:, (column + 1) * c : (column + 2) * c] = h
        return h

    def logits(self, h: Tensor) -> Tensor:
        """(B, C) features of the last layer -> (B, levels)."""
        for weight, bias in self.head:
            h = F.linear(h.relu(), weight, bias)
        return h


class _Rows:
    """The vertical stack, a row at a time; it remembers the row before."""

    def __init__(self, model: "PixelCNN", labels: Tensor) -> None:
        """Compute the biases once."""
        self.layers = _layers(model)
        self.biases = [layer.biases(labels) for layer in self.layers]
        shape = (len(labels), model.config.channels, 1, model.config.width)
        self.before = [model.logits.weight.new_zeros(shape) for _ in self.layers[1:]]

    def step(self, row: int, pixels: Tensor) -> list[Tensor]:
        """What each layer's horizontal gate receives on this row, each (B, W, 2C).

        Args:
            row: the rows above have been visited.
            pixels: (B, features, reach, W + 2 reach), the rows above and their padding.
        """
        links, v = [], pixels
        for i, (layer, biases) in enumerate(zip(self.layers, self.biases, strict=True)):
            vertical_bias, horizontal_bias = (b[:, :, row : row + 1] if i == 0 else b for b in biases)
            if i == 0:
                seen = pixels
            else:
                seen = F.pad(torch.cat([self.before[i - 1], v], dim=2), (1, 1))
                self.before[i - 1] = v
            above = _gate(layer.vertical(seen) + vertical_bias)
            links.append((layer.link(above) + horizontal_bias)[:, :, 0].transpose(1, 2).contiguous())
            v = above if i == 0 else v + above
        return links


def write(
    model: "PixelCNN", x: Tensor, mask: Tensor, labels: Tensor, uniforms: Tensor, temperature: float
) -> Iterator[SampleStep]:
    """Draw the pixels of x where the mask is 0: see `Autoregressive.write`."""
    reach, (height, width) = model.config.reach, x.shape[2:]
    kept, known = mask[:, 0] > 0.5, quantise(x, model.levels)[:, 0]
    places = [[column for column in range(width) if not kept[:, row, column].all()] for row in range(height)]
    num_steps, step = sum(map(len, places)), 0
    shown = torch.where(kept[:, None], x, -1.0)
    if not num_steps:
        yield SampleStep(1, 1, shown, 0)
    # the first layer's input, channels last and padded, so that neighbourhoods are plain slices
    seen = F.pad(model.features(known[:, None]), (reach, reach, reach, 0)).permute(0, 2, 3, 1).contiguous()
    rows, across = _Rows(model, labels), _Column(model, len(x))
    for row in range(height):
        if step == num_steps:
            return
        links = rows.step(row, seen[:, row : row + reach].permute(0, 3, 1, 2))
        for column in range(max(places[row], default=-1) + 1):
            h = across.step(column, seen[:, reach + row, column : column + reach].flatten(1), links)
            if column not in places[row]:
                continue
            value = draw(across.logits(h), uniforms[:, row, column], temperature)
            keep = kept[:, row, column]
            shown[:, 0, row, column] = torch.where(keep, x[:, 0, row, column], value)
            value = torch.where(keep, known[:, row, column], value)
            seen[:, reach + row, reach + column] = model.features(value[:, None, None, None])[:, :, 0, 0]
            step += 1
            yield SampleStep(step, num_steps, shown.clone(), step)
