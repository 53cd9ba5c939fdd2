"""What to translate: which way, and held-out pictures from a searchable grid, a drawing or a file.

One component. Its value is a JSON text ``{"route": KEY, "pick": TEXT}``, the text as
`translate_request.pictures` takes it; its ``input`` event fires when either changes.
"""

import html
import io
import json
from functools import cache

import gradio as gr
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from playground import data, figures, translating
from playground.data import emoji
from playground.data.pairs import Domain
from playground.locale import LANGUAGES, both, spans, text
from playground.tabs.pieces import page, spoken
from playground.tabs.translate_request import FIRST, MAX_PICTURES, kind

_THUMB = 32  # pixels of an emoji in the grid
_DIGITS = 40
_COLOURS = ("#1b1b1b", "#ffcc4d", "#dd2e44", "#55acee", "#77b255", "#8b5e3c", "#ffffff")


def component(elem_id: str) -> gr.HTML:
    """The picker, with four emoji chosen."""
    first = next(iter(translating.routes().values()))
    start = {"route": first.key, "pick": FIRST[kind(first)]}
    return gr.HTML(
        json.dumps(start), html_template=_skeleton(), apply_default_css=False, elem_id=elem_id, min_width=300,
        css_template=page("translate_source.css"),
        js_on_load=page("translate_source.js") + page("strokes.js"),
    )  # fmt: skip


def title(source: Domain, target: Domain) -> str:
    """A way in words, as HTML."""
    return f'{spans(source.title)} <span aria-hidden="true">→</span> {spans(target.title)}'


@cache
def _skeleton() -> str:
    """What stays in place."""
    ways = "".join(
        f'<button type="button" data-route="{way.key}" data-kind="{kind(way)}" '
        f'data-first="{FIRST[kind(way)]}" data-pen="{_pen(way.source)}" '
        f'data-colours="{int(way.source.channels == 3)}">{title(way.source, way.target)}</button>'
        for way in translating.routes().values()
    )
    swatches = "".join(
        f'<button type="button" class="swatch" data-colour="{colour}" style="--c:{colour}" '
        f'aria-label="{spoken("translate.ink")} {number + 1}"></button>'
        for number, colour in enumerate(_COLOURS)
    )
    return (
        f'<div class="source" data-most="{MAX_PICTURES}">'
        f'<div class="ways" role="group" aria-label="{spoken("translate.route")}">{ways}</div>'
        f'<div class="find"><input type="search" maxlength="60" {_placeholder("translate.search")} '
        f'aria-label="{spoken("translate.search")}"><button type="button" class="some">'
        f"{both('translate.some')}</button></div>"
        f"<small>{both('translate.pick', most=MAX_PICTURES)}</small>{_emoji()}{_digits()}"
        f'<p class="none" hidden>{both("translate.none")}</p>'
        f'<small class="or">{both("translate.or_draw")}</small>'
        f'<div class="paper"><canvas width="256" height="256" aria-label="{spoken("translate.draw")}">'
        f'</canvas><img alt="" hidden></div><div class="tools"><span class="inks">{swatches}</span>'
        f'<button type="button" class="wipe">{both("latent.wipe")}</button>'
        f'<button type="button" class="choose">{both("diffuse.choose_picture")}</button>'
        '<input type="file" accept="image/png,image/jpeg,image/webp" hidden '
        f'aria-label="{spoken("diffuse.choose_picture")}"></div></div>'
    )


def _placeholder(key: str) -> str:
    """A phrase for an empty box, which the page says in its language."""
    said = ((code, html.escape(text(key, code), quote=True)) for code in LANGUAGES)
    return " ".join(f'data-{code}="{phrase}"' for code, phrase in said)


def _pen(source: Domain) -> int:
    """How wide a pen must be on 256 pixels for lines as the model knows them."""
    if source.channels == 3:
        return 14
    return 8 if source.paper > 0 else 20


def _emoji() -> str:
    """The held-out emoji, with the words they are found by."""
    indices, entries = emoji.indices("test"), emoji.entries()
    thumbs = data.to_float(data.load("emoji_noto", "test").images)
    small = thumbs.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).mean((3, 5))
    buttons = []
    for place, index in enumerate(indices):
        entry = entries[index]
        found_by = " ".join((entry["name"], entry["short_name"], entry["category"], entry["subcategory"]))
        buttons.append(_button(f"emoji:{index}", entry["name"], found_by, place, len(indices)))
    return _grid("emoji", small, "".join(buttons), len(indices))


def _digits() -> str:
    """Some test digits."""
    digits = data.load("mnist", "test")
    labels = [int(label) for label in digits.labels[:_DIGITS]]
    buttons = [_button(f"test:{i}", str(label), str(label), i, _DIGITS) for i, label in enumerate(labels)]
    return _grid("test", -data.to_float(digits.images[:_DIGITS]), "".join(buttons), _DIGITS)


def _button(value: str, name: str, found_by: str, place: int, num: int) -> str:
    words = html.escape(found_by.replace("-", " ").lower(), quote=True)
    said = html.escape(name, quote=True)
    across = f"{100 * place / (num - 1):.3f}%"
    return (
        f'<button type="button" data-pick="{value}" data-words="{words}" title="{said}" aria-label="{said}" '
        f'tabindex="-1"><i style="background-position-x:{across}"></i></button>'
    )


def _grid(named: str, x: Tensor, buttons: str, num: int) -> str:
    """Buttons that show one strip of pictures (N, C, H, W) in [-1, 1], a frame each."""
    said = spoken(f"translate.grid_{named}")
    return (
        f'<div class="grid" data-kind="{named}" role="group" aria-label="{said}" '
        f'style="--strip:url({_strip(x)});--num:{num}">{buttons}</div>'
    )


def _strip(x: Tensor) -> str:
    """Pictures side by side as one small file."""
    rows = torch.cat(list(data.to_uint8(x).expand(-1, 3, -1, -1)), dim=2)
    buffer = io.BytesIO()
    pixels = np.ascontiguousarray(rows.permute(1, 2, 0).numpy())
    Image.fromarray(pixels).save(buffer, "WEBP", quality=72, method=4)
    return figures.data_uri(buffer.getvalue(), "image/webp")
