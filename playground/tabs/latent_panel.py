"""What the Latent tab's panels are sent: JSON that the page draws, scrubs and walks without asking again."""

import html
import json
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from playground import figures
from playground.locale import LANGUAGES, both, text
from playground.tabs.pieces import address, chip, spoken

_GIF_SIDE = 224  # pixels, about


def row(title: str, x: Tensor, note: str = "", **more: Any) -> dict[str, Any]:
    """One strip of a reel.

    Args:
        title: HTML.
        x: (T, C, H, W), its frames.
        note: HTML, small print.
        more: `steps` (changes between neighbours), `says` (HTML for each frame), `large` (shown enlarged),
            `key` (the reader may name it, and the name is kept under this key).
    """
    return {"title": title, "note": note, "strip": address(x, len(x)), "frames": len(x), **more}


def thumb(title: str, x: Tensor) -> dict[str, str]:
    """One small picture (1, C, H, W) with what it is."""
    return {"title": title, "picture": address(x)}


def reel(rows: Sequence[dict[str, Any]], marks: Sequence[str], status: str, **more: Any) -> str:
    """Strips of equally many frames under one slider.

    Args:
        rows: of `row`.
        marks: what the slider says at each frame.
        status: HTML above.
        more: `start` (the frame shown first), `note` (HTML below), `downloads` (HTML), `thumbs`
            (of `thumb`), `history` (cells of one line of the table of what was drawn before).
    """
    return json.dumps(
        {
            "busy": False,
            "status": f"{chip('done')}<span>{status}</span>",
            "rows": rows,
            "marks": marks,
            **more,
        }
    )


def plane(cells: Tensor, num: int, status: str, **more: Any) -> str:
    """A square of num x num pictures (row by row) that is hovered and walked.

    Args:
        cells: (num * num, C, H, W).
        num: a side.
        status: HTML above.
        more: `points` ([x, y, class] in thousandths, from the top left), `names` (of the classes),
            `corners` (HTML, top left, top right, bottom left, bottom right), `note` (HTML below).
    """
    said = f"{chip('done')}<span>{status}</span>"
    return json.dumps({"busy": False, "status": said, "sheet": address(cells, num), "cells": num, **more})


def downloads(x: Tensor, name: str) -> str:
    """Links to a GIF that goes there and back and to the strip as a PNG, for frames (T, C, H, W)."""
    frames = [figures.grid(one[None]) for one in x]
    scale = max(1, round(_GIF_SIDE / frames[0].width))
    film = figures.data_uri(figures.gif(frames + frames[-2:0:-1], 2.4, scale), "image/gif")
    strip = figures.png_data_uri(figures.grid(x, len(x), gap=2, scale=max(1, scale // 2)))
    return (
        f'<a href="{film}" download="{name}.gif">{both("latent.gif")}</a>'
        f'<a href="{strip}" download="{name}.png">{both("latent.png")}</a>'
    )


def reel_skeleton(ready: str, table: bool = False) -> str:
    """What stays in place while a reel changes."""
    heads = "".join(f"<th scope=col>{both(f'latent.table_{key}')}</th>" for key in ("model", "way", "length"))
    heads += "".join(f"<th scope=col>{both(f'latent.table_{key}')}</th>" for key in ("detour", "uneven"))
    history = (
        f'<div class="pg-scroll"><table hidden><caption>{both("latent.table")}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody></tbody></table></div>"
    )
    named = (f'data-{code}="{html.escape(text("latent.name_it", code), quote=True)}"' for code in LANGUAGES)
    return (
        f'<div class="reel" {" ".join(named)}><div class="pg-status"></div>'
        f'<p class="ready">{ready}</p>'
        '<div class="body" hidden><div class="thumbs"></div><div class="rows"></div>'
        '<div class="pg-scrub"><button type="button" class="play" aria-label="'
        f'{spoken("sample.play")}">▶</button><input type="range" class="slider" min="0" max="1" value="0" '
        f'aria-label="{spoken("latent.moment")}"><output></output></div>'
        f'<div class="note"></div><div class="pg-downloads"></div></div>{history if table else ""}</div>'
    )


def plane_skeleton(ready: str) -> str:
    """What stays in place while a plane changes."""
    return (
        f'<div class="plane"><div class="pg-status"></div><p class="ready">{ready}</p>'
        f'<div class="body" hidden><div class="board"><span class="corner a"></span>'
        f'<span class="corner b"></span><canvas width="720" height="720" tabindex="0" role="application" '
        f'aria-label="{spoken("latent.board")}"></canvas><span class="corner c"></span>'
        f'<span class="corner d"></span></div><div class="side"><div class="big" role="img" '
        f'aria-label="{spoken("latent.here")}"></div><p class="hint">{both("latent.hover")}</p>'
        f'<div class="pg-scrub"><button type="button" class="walk">▶ {both("latent.walk")}</button>'
        f'<button type="button" class="clear">{both("latent.clear_path")}</button></div>'
        f'<div class="way"></div><label class="layer"><input type="checkbox" class="show"> '
        f'{both("latent.show_cells")}</label></div></div><div class="note"></div></div>'
    )


def pad_skeleton(key: str) -> str:
    """A canvas to draw on, with a button that takes a file instead."""
    return (
        f'<div class="pad" role="group" aria-label="{spoken(f"latent.{key}")}"><b>{both(f"latent.{key}")}</b>'
        f'<div class="sheet"><canvas width="224" height="224" '
        f'aria-label="{spoken("latent.draw_here")}"></canvas><img alt="" hidden></div><div class="tools">'
        f'<button type="button" class="wipe">{both("latent.wipe")}</button>'
        f'<button type="button" class="choose">{both("latent.choose")}</button>'
        '<input type="file" accept="image/png,image/jpeg,image/webp" hidden '
        f'aria-label="{spoken("latent.choose")}">'
        "</div></div>"
    )
