"""What the Diffuse tab's panels are made of: arrays that the page computes with, plots with a cursor."""

import base64
import html
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from playground import data, svg
from playground.data import emoji
from playground.locale import both
from playground.spec import Words
from playground.tabs import diffuse_request
from playground.tabs.pieces import address, spoken

PLOT = (410, 210)  # of the view box, pixels
_EVERY = 12  # of the emoji one in so many is shown
_THUMB = 32


def array(x: Tensor, kind: str) -> str:
    """Numbers as base64, a quarter of what JSON would take; `kind` is numpy's, such as ``f4``."""
    return base64.b64encode(x.detach().cpu().numpy().astype(f"<{kind}").tobytes()).decode()


def plot(curves: Mapping[Any, svg.Curve], title: Words, **options: Any) -> str:
    """Curves with a line that the page moves: element ``i``, of a figure whose --at goes from 0 to 1."""
    width, height = options.pop("size", PLOT)
    drawn = svg.curves_svg(curves, width=width, height=height, title=title, **options)
    left, span = 100 * 52 / width, 100 * (width - 68) / width  # as `svg` places its axes
    return f'<div class="cursor" style="--left:{left:.3f}%;--span:{span:.3f}">{drawn}<i></i></div>'


def emoji_indices() -> list[int]:
    """The emoji that one can click."""
    return list(range(0, len(data.load(diffuse_request.EMOJI, "test")), _EVERY))


def pick_skeleton() -> str:
    """Emoji to choose from, and a button that takes a file as it is, in colours."""
    indices, entries = emoji_indices(), emoji.entries()
    names = [html.escape(entries[index]["name"]) for index in emoji.indices("test")]
    x = data.to_float(data.load(diffuse_request.EMOJI, "test").images[indices])
    small = x.unflatten(3, (-1, x.shape[3] // _THUMB)).unflatten(2, (-1, x.shape[2] // _THUMB)).mean((3, 5))
    sheet, last = address(small, len(indices)), len(indices) - 1
    buttons = "".join(
        f'<button type="button" data-emoji="{index}" title="{names[index]}" aria-label="{names[index]}">'
        f'<i style="background-position-x:{100 * place / last:.3f}%"></i></button>'
        for place, index in enumerate(indices)
    )
    return (
        f'<div class="pick"><small>{both("diffuse.pick")}</small><div class="emoji" '
        f'style="--emoji:url({sheet});--num:{len(indices)}">{buttons}</div>'
        f'<div class="tools"><button type="button" class="choose">{both("diffuse.choose_picture")}</button>'
        '<input type="file" accept="image/png,image/jpeg,image/webp" hidden '
        f'aria-label="{spoken("diffuse.choose_picture")}"><img alt="" hidden></div></div>'
    )
