"""One digit from the reader: a test digit, a drawing or a file; and a brush that erases parts of it.

Three calls make a section that asks for a digit, two more one that asks for a hole in it::

    pad = digit_pad.pad("pg-flow-pad")            # gr.HTML; an input of the section's events, with common.RAW
    x = digit_pad.read(value)                     # in the handler: (1, 1, 28, 28), or one sentence

    eraser = digit_pad.eraser(pad, "pg-pixels-eraser")   # shows the digit as models see it; a brush erases
    mask = digit_pad.read_mask(value)             # (1, 1, 28, 28), 1 to keep; never all of it, never nothing

The pad's value is a text: empty, ``test:INDEX`` (of MNIST's test set) or the data URI of a drawing or of a
file, so it is also what an endpoint may take. Its ``input`` event fires when a stroke ends, a digit is chosen
or the sheet is cleared, with ``live=True`` also several times a second while one draws. The eraser's value is
784 characters, row by row, ``1`` where the picture is kept and ``0`` where it is erased.
"""

import html
from functools import cache
from typing import Any

import gradio as gr
import torch
from torch import Tensor

from playground import data, figures, judge, uploads
from playground.locale import both
from playground.tabs import common
from playground.tabs.pieces import page, spoken
from playground.validation import InvalidInput, shown

SIDE = 28
MAX_TEST = 10_000  # digits in MNIST's test set
HALVES = ("lower", "upper", "right", "left")
_EACH = 6  # test digits of each class on a pad
_TEST = "test:"


def pad(elem_id: str, *, live: bool = False, first: int | None = 2) -> gr.HTML:
    """A sheet to draw on, ten classes of test digits to choose from, and a button that takes a file.

    Args:
        elem_id: of the component.
        live: whether ``input`` also fires while a stroke is drawn.
        first: class of the test digit that is there from the start; None leaves the sheet empty.
    """
    return gr.HTML(
        "" if first is None else example(first), html_template=_pad_skeleton(live), apply_default_css=False,
        css_template=page("latent_pad.css") + page("digit_pad.css"),
        js_on_load=page("latent_pad.js") + page("strokes.js") + page("digit_pad.js"),
        elem_id=elem_id, min_width=200,
    )  # fmt: skip


def eraser(source: gr.HTML, elem_id: str, erased: str = "lower") -> gr.HTML:
    """The digit of a pad as models see it, with a brush that erases; it follows the pad by itself.

    Args:
        source: the pad.
        elem_id: of the component.
        erased: the half that is erased at first, one of `HALVES`; empty for nothing.
    """
    found = gr.HTML(
        half(erased) if erased else "1" * SIDE**2, picture=_seen(source.value), apply_default_css=False,
        html_template=_eraser_skeleton(), css_template=page("latent_pad.css") + page("digit_eraser.css"),
        js_on_load=page("digit_eraser.js"), elem_id=elem_id, min_width=200,
    )  # fmt: skip
    source.input(see, source, found, **common.LATEST)
    return found


@common.guarded
def see(value: Any, request: gr.Request) -> Any:
    """What the eraser shows of a pad; a picture that cannot be read is refused in one sentence."""
    return gr.update(picture=_seen(value))


def _seen(value: Any) -> str:
    """The address of a pad's digit as models see it; nothing for nothing."""
    return "" if value in (None, "") else figures.png_data_uri(figures.grid(read(value)))


def read(value: Any) -> Tensor:
    """The digit of a pad or of a program, as MNIST has them: (1, 1, 28, 28) in [-1, 1], on 256 grey levels.

    Args:
        value: ``test:INDEX``, or a PNG, JPEG or WebP file as bytes or as a data URI.

    Raises:
        InvalidInput: if there is nothing, or nothing that can be read.
    """
    if value is None or value == "":
        raise InvalidInput("digit_pad.nothing")
    if isinstance(value, str) and value.startswith(_TEST):
        number = value.removeprefix(_TEST)
        if not (number.isascii() and number.isdigit() and len(number) <= 5 and int(number) < MAX_TEST):
            raise InvalidInput("digit_pad.no_test", maximum=MAX_TEST - 1, value=shown(value))
        return data.to_float(_digits().images[int(number)][None])
    return data.to_float(data.to_uint8(uploads.digit(uploads.rgb(value))))


def read_mask(value: Any) -> Tensor:
    """What is kept (1) and what is erased (0) of a digit: (1, 1, 28, 28).

    Args:
        value: 784 characters ``0`` and ``1``, row by row, or the half to erase, one of `HALVES`.

    Raises:
        InvalidInput: for anything else, and if nothing or everything is erased.
    """
    text = half(value) if value in HALVES else value
    if not isinstance(text, str) or len(text) != SIDE**2 or set(text) - {"0", "1"}:
        raise InvalidInput("digit_pad.mask", halves=", ".join(HALVES), value=shown(value))
    if len(set(text)) == 1:
        raise InvalidInput("digit_pad.mask_nothing" if text[0] == "1" else "digit_pad.mask_everything")
    return torch.tensor([float(character) for character in text]).view(1, 1, SIDE, SIDE)


def half(name: str) -> str:
    """The mask that erases one half, as 784 characters."""
    kept = torch.ones(SIDE, SIDE, dtype=torch.int64)
    middle = SIDE // 2
    rows = {"lower": slice(middle, None), "upper": slice(middle)}.get(name, slice(None))
    columns = {"right": slice(middle, None), "left": slice(middle)}.get(name, slice(None))
    kept[rows, columns] = 0
    return "".join(map(str, kept.flatten().tolist()))


def example(label: int) -> str:
    """The value of a pad that shows the first test digit of a class."""
    return f"{_TEST}{_examples()[0][label]}"


def _digits() -> data.Images:
    return data.load(judge.spec().dataset, "test")


@cache
def _examples() -> list[list[int]]:
    """Indices of test digits: a row for each of `_EACH`, in it one of every class."""
    labels = _digits().labels
    rows = [(labels == label).nonzero()[:_EACH, 0].tolist() for label in range(10)]
    return [list(row) for row in zip(*rows, strict=True)]


@cache
def _sheet() -> str:
    """Those test digits as one picture, ink on paper."""
    indices = [index for row in _examples() for index in row]
    paper = -data.to_float(_digits().images[indices])
    return figures.png_data_uri(figures.grid(paper.mul(3.75).round().div(3.75), 10, gap=0))  # fewer bytes


def _pad_skeleton(live: bool) -> str:
    """What stays in place while one draws."""
    buttons = "".join(
        f'<button type="button" data-digit="{label}" aria-label="{spoken("digit_pad.test", label=label)}">'
        f'<i style="background-position-x:{100 * label / 9:.3f}%"></i></button>'
        for label in range(10)
    )
    indices = html.escape(" ".join(str(index) for row in _examples() for index in row))
    return (
        f'<div class="pad" data-live="{int(live)}" data-tests="{indices}">'
        f'<div class="sheet"><canvas width="224" height="224" aria-label="{spoken("latent.draw_here")}">'
        f'</canvas><img alt="" hidden><p class="hint">{both("latent.draw_here")}</p></div>'
        f'<div class="tools"><button type="button" class="wipe">{both("latent.wipe")}</button>'
        f'<button type="button" class="choose">{both("latent.choose")}</button>'
        '<input type="file" accept="image/png,image/jpeg,image/webp" hidden '
        f'aria-label="{spoken("latent.choose")}"></div>'
        f"<small>{both('digit_pad.tests')}</small>"
        f'<div class="tests" style="--tests:url({_sheet()})">{buttons}</div></div>'
    )


def _eraser_skeleton() -> str:
    """What stays in place while one erases."""
    halves = "".join(
        f'<button type="button" data-mask="{half(name)}">{both(f"digit_pad.{name}")}</button>'
        for name in HALVES
    )
    return (
        f'<div class="pad"><div class="sheet"><canvas width="224" height="224" '
        f'aria-label="{spoken("digit_pad.erase_here")}"></canvas></div>'
        f"<small>{both('digit_pad.erase_here')}</small>"
        f'<div class="tools">{halves}<button type="button" data-mask="{"1" * SIDE**2}">'
        f"{both('digit_pad.keep_all')}</button></div></div>"
    )
