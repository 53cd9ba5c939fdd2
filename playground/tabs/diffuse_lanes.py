"""A panel of lanes: ways, or pictures before and after, whose strips of frames move under one slider."""

import json
from collections.abc import Sequence
from typing import Any

import gradio as gr
import torch
from torch import Tensor

from playground.locale import both
from playground.tabs import pieces

NUM_THUMBS = 14


def component(elem_id: str, ready: str, **values: int) -> gr.HTML:
    """An empty panel; `ready` is the key of what it says, with the values, until it is filled."""
    skeleton = (
        f'<div class="lanes-panel"><div class="pg-status"></div>'
        f'<p class="ready">{both(ready, **values)}</p><div class="body" hidden><div class="lanes"></div>'
        '<div class="pg-scrub"><button type="button" class="play" aria-label="'
        f'{pieces.spoken("sample.play")}">▶</button><input type="range" class="slider" min="0" max="1" '
        f'value="0" aria-label="{pieces.spoken("diffuse.moment")}"><output></output></div>'
        '<div class="note"></div><div class="pg-downloads"></div></div></div>'
    )
    return gr.HTML(
        "", html_template=skeleton, apply_default_css=False, css_template=pieces.page("diffuse_lanes.css"),
        js_on_load=pieces.page("diffuse_lanes.js"), elem_id=elem_id,
    )  # fmt: skip


def row(title: str, frames: Sequence[Tensor], film: bool = False, wide: bool = False) -> dict[str, Any]:
    """One strip of a lane.

    Args:
        title: HTML.
        frames: of (1, C, H, W) each.
        film: show the strip too, thinned to `NUM_THUMBS`, below the frame that the slider is at.
        wide: show the frame larger, for it holds several pictures.
    """
    made = {
        "title": title,
        "wide": wide,
        "strip": pieces.address(torch.cat(list(frames)), len(frames)),
        "frames": len(frames),
    }
    if film:
        num = min(len(frames), NUM_THUMBS)
        few = [frames[round(i * (len(frames) - 1) / max(num - 1, 1))] for i in range(num)]
        made |= {"film": pieces.address(torch.cat(few), num), "thumbs": num}
    return made


def lane(title: str, rows: Sequence[dict[str, Any]], facts: str = "", **more: Any) -> dict[str, Any]:
    """One column of the panel.

    Args:
        title: HTML.
        rows: of `row`, all with as many frames.
        facts: HTML beside the title.
        more: `classes` (of `classes`), `says` (HTML for each frame).
    """
    return {"title": title, "rows": list(rows), "facts": facts, **more}


def live(lanes: Sequence[dict[str, Any]], status: str) -> str:
    """While it is computed: lanes of one frame."""
    status = f"{pieces.chip('running')}<span>{status}</span>"
    return json.dumps({"busy": True, "status": status, "lanes": lanes})


def final(lanes: Sequence[dict[str, Any]], marks: Sequence[str], status: str, **more: Any) -> str:
    """When it is done.

    Args:
        lanes: of `lane`.
        marks: what the slider says at each frame.
        status: HTML above.
        more: `note` and `downloads` (HTML below), `start` (the frame shown first, the last by default),
            `state` (``done`` or ``stopped``).
    """
    chip = pieces.chip(more.pop("state", "done"))
    status = f"{chip}<span>{status}</span>"
    return json.dumps({"busy": False, "status": status, "lanes": lanes, "marks": list(marks), **more})


def classes(seen: Tensor, decided: int) -> str:
    """Probabilities (T, 10) of the digits as a field: a column a frame, a line where it is decided."""
    num = len(seen)
    cells = "".join(
        f'<rect x="{frame}" y="{digit}" width="1.02" height="1" fill-opacity="{value:.2f}"/>'
        for frame, values in enumerate(seen.tolist())
        for digit, value in enumerate(values)
        if value > 0.015
    )
    digits = "".join(f"<span>{digit}</span>" for digit in range(10))
    return (
        f'<svg viewBox="0 0 {num} 10" preserveAspectRatio="none" role="img" aria-label="'
        f'{pieces.spoken("diffuse.classes")}">{cells}<path class="decided" d="M{decided} 0V10"/></svg>'
        f'<div class="digits" aria-hidden="true">{digits}</div>'
    )
